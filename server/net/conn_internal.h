/* A connection from the inside: conn.c is its life, conn_io.c moves its bytes, conn_transport.c
 * speaks to the socket or to TLS. */
#ifndef NET_CONN_INTERNAL_H
#define NET_CONN_INTERNAL_H

#include "net/internal.h"

enum conn_state {
    CONN_HANDSHAKE,
    CONN_OPEN,
    CONN_FINISHING, /* conn_finish: output still to be sent, input thrown away */
    CONN_LINGERING, /* all sent and half-closed: waiting for the peer to close */
    CONN_DEAD,      /* closed is due */
};

/* Bytes at p[at] .. p[at + len]; no memory while empty. What passes may hold tokens, so it is
 * wiped. */
struct buffer {
    uint8_t *p;
    size_t at, len, cap;
};

struct conn {
    struct loop_io io;
    struct loop *loop;
    struct ssl_st *ssl; /* NULL: plain */
    const struct conn_handler *handler;
    void *user;
    struct buffer in, out;
    struct loop_task task; /* settle at the end of a round, arrival after a move */
    struct loop_timer deadline;
    struct loop_timer guard; /* handshake, stalled output or lingering */
    struct conn_limits limits;
    struct loop *move_to;
    void (*arrived)(struct conn *c);
    struct conn *next, **prev;
    uint8_t state;   /* enum conn_state */
    uint8_t why;     /* enum conn_end, once CONN_DEAD */
    bool queued : 1; /* task is deferred */
    bool paused : 1;
    bool offer : 1; /* held input is to be offered again */
    bool more : 1;  /* TLS may hold input the socket does not tell of */
    bool eof : 1;   /* the peer sends no more */
    bool write_blocked : 1;
    bool read_wants_write : 1; /* TLS */
    bool write_wants_read : 1; /* TLS */
    bool tls_broken : 1;       /* no close_notify any more */
    struct sockaddr_storage peer;
};

/* conn.c */
void conn_end(struct conn *c, enum conn_end why); /* the first reason counts; closed comes later */
void conn_schedule(struct conn *c);               /* settle at the end of the round */

/* conn_io.c */
bool buffer_put(struct buffer *b, const void *data, size_t len);
void buffer_take(struct buffer *b, size_t len);
void buffer_free(struct buffer *b);
bool conn_reading(const struct conn *c); /* does it want to read? */
void conn_pull(struct conn *c);          /* reads and delivers */
void conn_offer(struct conn *c);         /* delivers what is held */
void conn_discard(struct conn *c);
void conn_flush(struct conn *c);

/* conn_transport.c: one call to the socket or to TLS */
enum transport { TRANSPORT_OK, TRANSPORT_BLOCKED, TRANSPORT_EOF, TRANSPORT_RESET, TRANSPORT_TLS };
enum transport transport_handshake(struct conn *c);
bool transport_begun(const struct conn *c); /* the handshake */
enum transport transport_read(struct conn *c, void *buf, size_t cap, size_t *n);
enum transport transport_write(struct conn *c, const void *data, size_t len, size_t *n);
bool transport_pending(const struct conn *c); /* TLS holds bytes it has already read */
/* close_notify and half-close. False: blocked, again when writable. */
bool transport_shutdown(struct conn *c);

#endif
