/* A TLS handshake takes as long as fifty messages: those of a round are served before any has its
 * turn, and only a few have it in each round. Half of those were begun before, so that what is new
 * cannot keep them from their end, nor the other way round. */
#include "net/conn_internal.h"

uint32_t conn_handshake_patience(const struct conn *c)
{
    return c->limits->handshake_ms ? c->limits->handshake_ms : CONN_HANDSHAKE_MS;
}

/* The guard was set when it began, and knows when that was. */
void conn_handshake_ended(const struct conn *c, bool ok)
{
    const struct loop_watch *watch = loop_watch(c->loop);
    uint32_t began_ms = c->guard_ms - conn_handshake_patience(c);
    if (watch)
        watch->handshake(c->loop, (uint32_t)loop_now_ms(c->loop) - began_ms, ok);
}

static void handshake(struct conn *c)
{
    enum transport t = transport_handshake(c);
    if (t == TRANSPORT_BLOCKED)
        return;
    if (t != TRANSPORT_OK) {
        conn_end(c, t == TRANSPORT_TLS ? CONN_END_TLS : CONN_END_PEER);
        return;
    }
    conn_handshake_ended(c, true);
    c->state = CONN_OPEN;
    conn_unguard(c);
    if (transport_pending(c)) /* came with the last flight */
        conn_pull(c);
}

static struct conn *take(struct conn_queue *q)
{
    struct conn *c = q->first;
    if (c)
        q->first = c->next_due;
    return c;
}

static void turns(struct loop *loop, struct loop_task *task)
{
    struct conn_queue *q = loop_conns(loop)->turns;
    for (int i = 0; i < CONN_HANDSHAKES_PER_ROUND; i++) {
        struct conn *c = take(&q[i % 2]);
        if (!c)
            c = take(&q[(i + 1) % 2]);
        if (!c)
            return;
        c->queued = false;
        if (c->state == CONN_HANDSHAKE && !c->moving)
            handshake(c);
        conn_schedule(c);
    }
    if (q[0].first || q[1].first)
        loop_defer_heavy(loop, task);
}

void conn_handshake_later(struct conn *c)
{
    struct loop_conns *conns = loop_conns(c->loop);
    if (c->queued)
        return;
    c->queued = true;
    if (!conns->turns[0].first && !conns->turns[1].first) {
        conns->turn.run = turns;
        loop_defer_heavy(c->loop, &conns->turn);
    }
    conn_queue_add(&conns->turns[transport_begun(c)], c);
}

void loop_conns_stop(struct loop_conns *conns)
{
    for (struct conn *c = conns->all; c; c = c->next) /* ending is deferred */
        if (c->state == CONN_HANDSHAKE)
            conn_abort(c);
}
