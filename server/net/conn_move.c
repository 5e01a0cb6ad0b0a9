/* A connection goes to another loop. */
#include "net/conn_internal.h"

static void arrive(struct loop *loop, struct loop_task *task)
{
    struct conn *c = CONTAINER(task, struct conn, task);
    void (*arrived)(struct conn * c) = c->arrived;
    c->loop = loop;
    c->moving = false;
    conn_enlist(c);
    conn_time_init(c);
    conn_time_start(c);
    uint32_t events = c->state == CONN_DEAD ? 0 : conn_wanted(c);
    c->io.events = 0;
    if (loop_io_add(loop, &c->io, events) != TEDDY_OK)
        conn_end(c, CONN_END_LOCAL);
    conn_schedule(c);
    arrived(c);
}

/* Posted only now: nobody on this loop holds the connection any more. */
void conn_depart(struct conn *c)
{
    c->task.run = arrive;
    loop_post(c->move_to, &c->task);
}

void conn_move(struct conn *c, struct loop *to, void (*arrived)(struct conn *c))
{
    loop_io_del(c->loop, &c->io);
    conn_time_stop(c);
    conn_delist(c);
    c->moving = true;
    c->paused = true;
    c->move_to = to;
    c->arrived = arrived;
    conn_schedule(c);
}
