/* A connection from the inside: conn.c is its life, conn_io.c moves its bytes, conn_time.c has its
 * deadline and its guard, conn_move.c takes it to another loop, conn_transport.c speaks to the
 * socket or to TLS. */
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

/* Bytes at p[at] .. p[at + len]. What passes may hold tokens, so it is wiped. */
struct buffer {
    uint8_t *p;
    size_t at, len, cap;
};

/* What a connection holds while bytes of it wait. */
struct traffic {
    struct buffer in, out;
    struct traffic *next; /* of a spare one */
};

/* One that is idle costs this and nothing more, and there are many: docs/performance.md says where
 * each byte goes, and conn.c that there are no more of them. */
struct conn {
    struct loop_io io;
    union {
        struct loop_timer timer; /* the earlier of deadline and guard */
        struct loop_task task;   /* on the move, when no timer runs: the arrival */
    };
    struct loop *loop;
    struct ssl_st *ssl; /* NULL: plain */
    const struct conn_handler *handler;
    void *user;
    const struct conn_limits *limits;
    struct traffic *traffic; /* NULL: nothing waits */
    union {
        struct {
            struct conn *next, **prev;
        };
        struct { /* on the move, when no loop lists it */
            struct loop *move_to;
            void (*arrived)(struct conn *c);
        };
    };
    struct conn *next_due; /* queued, in one of the loop's */
    uint64_t deadline_ms;  /* 0: none */
    uint32_t guard_ms;     /* guarded: handshake, stalled output or lingering; low bits */
    uint8_t state;         /* enum conn_state */
    uint8_t why;           /* enum conn_end, once CONN_DEAD */
    bool guarded : 1;
    bool moving : 1;
    bool queued : 1; /* settle, or the handshake's turn, is due */
    bool paused : 1;
    bool offer : 1;   /* held input is to be offered again */
    bool more : 1;    /* TLS may hold input the socket does not tell of */
    bool eof : 1;     /* the peer sends no more */
    bool drained : 1; /* all output was written in this round */
    bool write_blocked : 1;
    bool read_wants_write : 1; /* TLS */
    bool write_wants_read : 1; /* TLS */
    bool tls_broken : 1;       /* no close_notify any more */
    bool parted : 1;           /* the peer has said its last: no lingering */
};

/* conn.c */
void conn_end(struct conn *c, enum conn_end why); /* the first reason counts; closed comes later */
void conn_schedule(struct conn *c);               /* settle at the end of the round */
void conn_queue_add(struct conn_queue *q, struct conn *c);
void conn_enlist(struct conn *c);
void conn_delist(struct conn *c);
uint32_t conn_wanted(const struct conn *c); /* what the loop is to watch for */

/* conn_time.c */
void conn_time_init(struct conn *c);
void conn_guard(struct conn *c, uint64_t at_ms);
void conn_unguard(struct conn *c);
/* Sets the timer for what is due next, after a move; stop undoes it. */
void conn_time_start(struct conn *c);
void conn_time_stop(struct conn *c);

/* conn_handshake.c: gives a handshake its turn, behind the messages of the round. */
void conn_handshake_later(struct conn *c);
uint32_t conn_handshake_patience(const struct conn *c);   /* ms; its guard's */
void conn_handshake_ended(const struct conn *c, bool ok); /* in CONN_HANDSHAKE still: it counts */

/* conn_move.c: the end of the round in which conn_move was called. */
void conn_depart(struct conn *c);

/* conn_io.c */
size_t conn_held(const struct conn *c);  /* input that waits */
void conn_drop_held(struct conn *c);     /* and output, too */
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
/* conn_bio.c: c->ssl reads and writes through the loop from here on. False: no memory. */
bool transport_attach(struct conn *c);
bool transport_pending(const struct conn *c); /* TLS holds bytes it has already read */
/* close_notify, and half-close unless the connection is closed next. False: blocked, again when
 * writable. */
bool transport_shutdown(struct conn *c);

#endif
