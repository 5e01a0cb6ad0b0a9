/* The end of a run, in two steps. First sessions are told when to come back, and so is who still
 * comes: new sessions by their close, a balancer by /readyz. Once no session is left, nothing is
 * accepted any more, requests in flight are answered, and the loops stop. */
#include <stdlib.h>

#include "ops/log.h"
#include "ops/notify.h"
#include "teddyd.h"

#define DRAIN_LOOK_MS  20
#define DRAIN_QUIET_MS 1000 /* for what lingers once nothing is in flight */

struct drain_task {
    struct loop_task task;
    struct server *server;
    uint16_t code;
    const char *word;
};

static void tell_loop(struct loop *loop, struct loop_task *task)
{
    struct drain_task *t = (struct drain_task *)task;
    hub_drain(t->server->app.hubs[loop_index(loop)], t->code, t->word);
    if (loop_index(loop) == 0)
        console_events_end(t->server->console.events);
    free(t);
}

static void leave_loop(struct loop *loop, struct loop_task *task)
{
    struct drain_task *t = (struct drain_task *)task;
    serve_stop_on(t->server, loop);
    http_drain(loop);
    free(t);
}

static void stop_all(struct server *s)
{
    for (unsigned i = 0; i < s->app.loop_count; i++)
        loop_stop(s->app.loops[i]);
}

static void on_all(struct server *s, void (*run)(struct loop *loop, struct loop_task *task),
                   uint16_t code, const char *word)
{
    for (unsigned i = 0; i < s->app.loop_count; i++) {
        struct drain_task *t = calloc(1, sizeof *t);
        if (!t) {
            stop_all(s);
            return;
        }
        *t = (struct drain_task){.task = {.run = run}, .server = s, .code = code, .word = word};
        loop_post(s->app.loops[i], &t->task);
    }
}

static bool sessions_left(void)
{
    return metric_read(METRIC_SESSIONS_OPENED) != metric_read(METRIC_SESSIONS_CLOSED);
}

/* True when nothing more is to be waited for. */
static bool drained(struct server *s, uint64_t now)
{
    if (now >= s->drain_deadline_ms)
        return true;
    if (sessions_left())
        return false;
    if (!s->leaving) {
        s->leaving = true;
        on_all(s, leave_loop, 0, NULL);
        return false;
    }
    if (http_in_flight() > 0)
        s->quiet_since_ms = 0;
    else if (!s->quiet_since_ms)
        s->quiet_since_ms = now;
    return conn_count() == 0 || (s->quiet_since_ms && now - s->quiet_since_ms >= DRAIN_QUIET_MS);
}

static void look(struct loop *loop, struct loop_timer *timer)
{
    struct server *s =
        (struct server *)(void *)((char *)timer - offsetof(struct server, drain_timer));
    uint64_t now = loop_now_ms(loop);
    if (!drained(s, now)) {
        loop_timer_set(loop, timer, now + DRAIN_LOOK_MS);
        return;
    }
    LOG(LOG_INFO, "drained", LOG_N("connections_left", conn_count()),
        LOG_N("requests_left", http_in_flight()));
    stop_all(s);
}

void drain_start(struct server *s, uint16_t code, const char *word)
{
    struct loop *loop = s->app.loops[0];
    if (s->draining)
        return;
    s->draining = true;
    atomic_store(&s->app.draining, true);
    LOG(LOG_INFO, "draining", LOG_S("reason", word), LOG_N("connections", conn_count()));
    notify("STOPPING=1\nSTATUS=Draining: %s", word);
    on_all(s, tell_loop, code, word);
    s->drain_deadline_ms = loop_now_ms(loop) + s->app.config.drain_timeout_ms;
    s->drain_timer.fire = look;
    loop_timer_set(loop, &s->drain_timer, loop_now_ms(loop) + DRAIN_LOOK_MS);
}

static void requested(struct loop *loop, struct loop_task *task)
{
    struct server *s =
        (struct server *)(void *)((char *)task - offsetof(struct server, drain_request));
    (void)loop;
    drain_start(s, WS_CLOSE_GOING_AWAY, "going_away");
}

void drain_request(void *server)
{
    struct server *s = server;
    static atomic_flag once = ATOMIC_FLAG_INIT;
    if (atomic_flag_test_and_set(&once))
        return;
    s->drain_request.run = requested;
    loop_post(s->app.loops[0], &s->drain_request);
}
