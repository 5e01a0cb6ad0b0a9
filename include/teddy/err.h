/* Results of every function of Teddy that can fail. 0 is success, failures are negative, and
 * TEDDY_AGAIN, which is positive, says "nothing wrong, more bytes or another call are needed". */
#ifndef TEDDY_ERR_H
#define TEDDY_ERR_H

#define TEDDY_ERR_MAP(X)                                                                           \
    X(OK, 0, "ok")                                                                                 \
    X(AGAIN, 1, "more is needed")                                                                  \
    X(EINVAL, -1, "invalid argument")                                                              \
    X(EPROTO, -2, "malformed input")                                                               \
    X(ETOOBIG, -3, "over a limit")                                                                 \
    X(EUTF8, -4, "invalid UTF-8")                                                                  \
    X(EUNSUPPORTED, -5, "not supported")                                                           \
    X(EDUP, -6, "already there")                                                                   \
    X(ENOSPC, -7, "no room in the buffer given")                                                   \
    X(ENOTFOUND, -8, "not found")                                                                  \
    X(EAUTH, -9, "not authentic")                                                                  \
    X(EEXPIRED, -10, "expired")                                                                    \
    X(EFULL, -11, "queue full")                                                                    \
    X(ECLOSED, -12, "connection closed")                                                           \
    X(EIO, -13, "input or output failed")                                                          \
    X(EDNS, -14, "name not resolved")                                                              \
    X(ETLS, -15, "TLS failed")                                                                     \
    X(ECERT, -16, "certificate not accepted")                                                      \
    X(ECLOCK, -17, "clock is wrong")                                                               \
    X(ESTORE, -18, "store failed")                                                                 \
    X(ENOMEM, -19, "out of memory")                                                                \
    X(ETIMEOUT, -20, "timed out")

enum teddy_err {
#define TEDDY_ERR_ENUM(name, value, text) TEDDY_##name = (value),
    TEDDY_ERR_MAP(TEDDY_ERR_ENUM)
#undef TEDDY_ERR_ENUM
};

#define TEDDY_MUST_CHECK __attribute__((warn_unused_result))

/* The English text of a result; never NULL. Threads: any. Blocks: no. Allocates: no. */
const char *teddy_err_text(int err);

#endif
