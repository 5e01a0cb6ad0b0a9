/* What the files of this room know of each other. */
#ifndef NET_INTERNAL_H
#define NET_INTERNAL_H

#include "net/conn.h"

/* What a loop knows of the connections it owns. */
struct loop_conns {
    struct conn *all;
    struct conn *due, **due_end; /* to be settled at the end of the round, in the order asked */
    struct loop_task settle;     /* deferred while any is due */
    struct traffic *spare;       /* an empty one, so that an echo allocates nothing; or NULL */
};

struct loop_conns *loop_conns(struct loop *loop);
/* conn_io.c: lets go of the spare. */
void loop_conns_fini(struct loop_conns *conns);

#endif
