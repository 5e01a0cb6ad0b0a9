/* The times of a connection: the handler's deadline and the guard of its own, on one timer. */
#include "net/conn_internal.h"

/* The guard is never far from now, so that its low bits say when. */
static uint64_t guard_at(const struct conn *c)
{
    uint64_t now = loop_now_ms(c->loop);
    return now + (uint64_t)(int64_t)(int32_t)(c->guard_ms - (uint32_t)now);
}

void conn_time_start(struct conn *c)
{
    uint64_t at = c->deadline_ms;
    if (c->moving)
        return; /* conn_move.c starts it on the other loop */
    if (c->guarded && (at == 0 || guard_at(c) < at))
        at = guard_at(c);
    if (at == 0)
        conn_time_stop(c);
    else if (!c->timer.prev || c->timer.at_ms != at)
        loop_timer_set(c->loop, &c->timer, at);
}

void conn_time_stop(struct conn *c)
{
    if (!c->moving)
        loop_timer_unset(c->loop, &c->timer);
}

static void guard_fired(struct conn *c)
{
    c->guarded = false;
    conn_end(c, c->state == CONN_HANDSHAKE ? CONN_END_TLS : CONN_END_STALLED);
}

static void deadline_fired(struct conn *c)
{
    c->deadline_ms = 0;
    if (c->state != CONN_OPEN && c->state != CONN_HANDSHAKE)
        return;
    if (c->handler->deadline)
        c->handler->deadline(c);
    else
        conn_abort(c);
}

static void fired(struct loop *loop, struct loop_timer *timer)
{
    struct conn *c = CONTAINER(timer, struct conn, timer);
    uint64_t now = loop_now_ms(loop);
    if (c->guarded && guard_at(c) <= now)
        guard_fired(c);
    if (c->deadline_ms && c->deadline_ms <= now)
        deadline_fired(c);
    conn_time_start(c);
}

void conn_time_init(struct conn *c)
{
    c->timer = (struct loop_timer){.fire = fired};
}

void conn_guard(struct conn *c, uint64_t at_ms)
{
    c->guard_ms = (uint32_t)at_ms;
    c->guarded = true;
    conn_time_start(c);
}

void conn_unguard(struct conn *c)
{
    if (!c->guarded)
        return;
    c->guarded = false;
    conn_time_start(c);
}

void conn_set_deadline(struct conn *c, uint64_t at_ms)
{
    c->deadline_ms = at_ms;
    conn_time_start(c);
}
