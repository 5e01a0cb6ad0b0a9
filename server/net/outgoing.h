/* HTTP requests that the server makes itself, on a loop: libcurl's multi interface on the loop's
 * epoll and timers. The only place that knows libcurl. Nothing blocks, names are looked up on
 * threads of libcurl's. TLS is verified; no redirects, cookies or environment; HTTP/1.1 only, so
 * that giving up closes the connection and the other side notices. */
#ifndef NET_OUTGOING_H
#define NET_OUTGOING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/span.h"
#include "teddy/err.h"

struct loop;
struct outgoing;
struct transfer;

enum outgoing_end {
    OUTGOING_WHOLE,   /* the answer has come to its end */
    OUTGOING_REFUSED, /* no connection: name, address, TLS */
    OUTGOING_BROKEN,  /* it ended before its end */
    OUTGOING_TOO_BIG, /* more head or body than was allowed */
};

struct outgoing_options {
    const char *ca_file; /* PEM; NULL: the system's authorities */
    const char *proxy;   /* URL; NULL: none */
    uint32_t connect_ms; /* a connection must be there within */
    unsigned transfers;  /* about so many at once; their connections are kept for the next */
};

struct outgoing_request {
    const char *url;            /* http or https */
    const char *const *headers; /* "Name: value", up to NULL */
    struct span body;           /* POSTed */
    size_t answer_max;          /* bytes of its body */
};

/* Called on the loop, never from within a function of this header. In any of them the transfer may
 * be cancelled, and others be started or cancelled. */
struct outgoing_handler {
    /* Once, before data. type: of the content, without parameters, in lower case; "" for none.
     * False: the answer is of no use, end follows with OUTGOING_WHOLE and no data before. */
    bool (*head)(void *user, long status, const char *type);
    void (*data)(void *user, struct span bytes);
    /* Once, unless cancelled or let go; the transfer is gone. what: for the log, of libcurl. head
     * was not called when there was none. */
    void (*end)(void *user, enum outgoing_end why, const char *what);
};

/* Once, before there are threads. */
TEDDY_MUST_CHECK int outgoing_init(void);

/* Threads: all of what follows, the loop's, or one where the loop does not run. */
TEDDY_MUST_CHECK int outgoing_new(struct loop *loop, const struct outgoing_options *options,
                                  struct outgoing **out);
/* Drops all transfers without a word; before its loop is freed. NULL is fine. */
void outgoing_free(struct outgoing *o);

/* Copies what it is given. TEDDY_ENOMEM, or TEDDY_EINVAL when libcurl takes none of it. */
TEDDY_MUST_CHECK int outgoing_start(struct outgoing *o, const struct outgoing_request *request,
                                    const struct outgoing_handler *handler, void *user,
                                    struct transfer **out);
/* Within head: what a Retry-After of the answer says, 0 without one. */
uint64_t transfer_retry_after_s(const struct transfer *t);
/* At once: the connection is closed, nothing is called any more. */
void transfer_cancel(struct transfer *t);
/* Nothing is called any more, but what little may be left of the answer is awaited for a moment, so
 * that its connection can be used again. */
void transfer_let_go(struct transfer *t);

#endif
