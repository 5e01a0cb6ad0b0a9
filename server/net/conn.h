/* A connection: plain or TLS, its bounded input and output, one deadline. It knows bytes and
 * nothing of what they mean; a handler does. All calls: from the thread of the loop that owns it at
 * that moment. */
#ifndef NET_CONN_H
#define NET_CONN_H

#include <stddef.h>

#include "net/loop.h"

struct conn;
struct tls_context;

enum conn_end {
    CONN_END_LOCAL,   /* we closed it */
    CONN_END_PEER,    /* the peer closed or reset it */
    CONN_END_TLS,     /* the handshake or a record failed */
    CONN_END_STALLED, /* output over its hard limit, or not taken in time: a peer that never reads
                       */
};

struct conn_handler {
    /* The bytes held so far and not consumed (data is writable in place). Returns how many of them
     * it is done with; the rest is kept and offered again with more behind. Called again while it
     * consumes and stays unpaused. After conn_abort or conn_finish it is not called any more. */
    size_t (*data)(struct conn *c, uint8_t *data, size_t len);
    /* The deadline set last has passed. NULL: conn_abort. */
    void (*deadline)(struct conn *c);
    /* All output has been written. NULL: nothing. */
    void (*drained)(struct conn *c);
    /* The last callback, exactly once, never from within another call of this interface: release
     * what belongs to user. */
    void (*closed)(struct conn *c, enum conn_end why);
};

#define CONN_HANDSHAKE_MS 10000

struct conn_limits { /* kept by address, not copied; 0 is the default */
    size_t in_max;   /* unconsumed input; more is not read until some is consumed; default 64 KiB */
    size_t out_max;  /* unsent output; more drops the connection; default 256 KiB */
    uint32_t handshake_ms;   /* TLS handshake, default CONN_HANDSHAKE_MS */
    uint32_t write_stall_ms; /* output not moving for so long drops the connection, default 20 s */
};

/* Takes the accepted fd over (also on failure: closed). tls NULL: plain. The handler's data is
 * called only once a TLS handshake is done. limits (NULL: the defaults) must outlive the
 * connection. *out (out may be NULL) is the connection, valid until closed. Runs on loop's thread.
 */
TEDDY_MUST_CHECK int conn_new(struct loop *loop, int fd, struct tls_context *tls,
                              const struct conn_limits *limits, const struct conn_handler *handler,
                              void *user, struct conn **out);

void conn_set_handler(struct conn *c, const struct conn_handler *handler, void *user);
void conn_set_limits(struct conn *c, const struct conn_limits *limits); /* kept by address */
void *conn_user(const struct conn *c);
struct loop *conn_loop(const struct conn *c);
bool conn_is_tls(const struct conn *c);
/* Of a Unix socket's peer. TEDDY_EINVAL when it is none. */
TEDDY_MUST_CHECK int conn_peer_uid(const struct conn *c, uint32_t *uid);

/* Copies into the output; all that one round gathers leaves in one write. TEDDY_EFULL: over
 * out_max, the connection is being dropped (closed will come). TEDDY_ECLOSED: it already ends.
 * Threads: the loop's. Blocks: no. */
int conn_send(struct conn *c, const void *data, size_t len);
size_t conn_unsent(const struct conn *c);
void conn_pause(struct conn *c);  /* no data callbacks (and no reading) until resumed */
void conn_resume(struct conn *c); /* what is held is offered again at the end of the round */
/* One deadline per connection; 0 unsets it. */
void conn_set_deadline(struct conn *c, uint64_t at_ms);
/* Sends what is queued, then closes (TLS close_notify, half-close, a short wait for the peer so
 * that it can read the last bytes); at most linger_ms. */
void conn_finish(struct conn *c, uint32_t linger_ms);
/* The same when the peer has said that it sends no more: closes as soon as all is sent. */
void conn_part(struct conn *c, uint32_t linger_ms);
void conn_abort(struct conn *c); /* closes now, unsent output is lost */
/* Hands the connection to another loop: detached here at once, then arrived(c) is called on `to`'s
 * thread, paused; from then on it belongs to that loop. The handler's closed comes on `to`. */
void conn_move(struct conn *c, struct loop *to, void (*arrived)(struct conn *c));

/* Calls each for every connection this loop owns. each may end the one it is given. */
void conn_each(struct loop *loop, void (*each)(struct conn *c, void *arg), void *arg);
/* The handler set last: tells whose connection it is. */
const struct conn_handler *conn_handler_of(const struct conn *c);

/* Connections alive in the process, all loops (for limits and metrics). Threads: any. */
unsigned conn_count(void);

#endif
