/* What the files of this room know of each other. */
#ifndef NET_INTERNAL_H
#define NET_INTERNAL_H

#include "net/conn.h"

#define CONN_HANDSHAKES_PER_ROUND 4 /* that have their turn */

/* Connections one behind the other; end has no meaning while there is none. */
struct conn_queue {
    struct conn *first, **end;
};

/* What a loop knows of the connections it owns. */
struct loop_conns {
    struct conn *all;
    struct conn_queue due;      /* to be settled at the end of the round, in the order asked */
    struct loop_task settle;    /* deferred while any is due */
    struct conn_queue turns[2]; /* handshakes that wait for their turn: new, begun before */
    struct loop_task turn;      /* deferred while any waits */
    struct traffic *spare;      /* empty ones, so that an echo allocates nothing */
    unsigned spares;
};

struct loop_conns *loop_conns(struct loop *loop);
/* conn_handshake.c: nobody who waits for a handshake is given one any more. */
void loop_conns_stop(struct loop_conns *conns);
/* conn_io.c: lets go of the spare. */
void loop_conns_fini(struct loop_conns *conns);

#endif
