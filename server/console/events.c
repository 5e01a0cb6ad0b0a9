/* GET /api/v1/admin/events: server-sent events for as long as the token, or the session of the
 * console, lasts. A listener costs a bounded amount of memory, and none waits for another. */
#include "console/events.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/log.h"
#include "proto/text.h"

#define LINGER_MS 10000

/* ---- Listeners ---- */

bool events_tell(struct listener_of_events *l, const char *event, int64_t n, const char *data)
{
    char head[80], id[40] = "";

    if (l->leaving || conn_unsent(l->conn) > EVENTS_AHEAD)
        return false;
    if (n > 0)
        (void)snprintf(id, sizeof id, "id: %lld\n", (long long)n);
    (void)snprintf(head, sizeof head, "%sevent: %s\ndata: ", id, event);
    conn_send(l->conn, head, strlen(head));
    conn_send(l->conn, data, strlen(data));
    conn_send(l->conn, "\n\n", 2);
    return true;
}

void events_skip(struct listener_of_events *l, int64_t to)
{
    char gap[80];

    (void)snprintf(gap, sizeof gap, "{\"after\":%lld,\"upto\":%lld}", (long long)l->after,
                   (long long)to);
    if (events_tell(l, "gap", 0, gap))
        l->after = to;
}

void events_dismiss(struct listener_of_events *l, const char *reason)
{
    char text[80];

    if (l->leaving)
        return;
    l->leaving = true;
    (void)snprintf(text, sizeof text, "event: end\ndata: {\"reason\":\"%s\"}\n\n", reason);
    LOG(LOG_INFO, "events_end", LOG_S("reason", reason), LOG_N("unsent", conn_unsent(l->conn)));
    conn_send(l->conn, text, strlen(text));
    conn_finish(l->conn, LINGER_MS);
}

static void beat(struct listener_of_events *l)
{
    if (!l->leaving && conn_unsent(l->conn) <= EVENTS_AHEAD)
        conn_send(l->conn, ":\n\n", 3);
}

/* Nobody has anything to say here. */
static size_t on_data(struct conn *c, uint8_t *data, size_t len)
{
    (void)c;
    (void)data;
    return len;
}

/* It may have been behind because of what was unsent. */
static void on_drained(struct conn *c)
{
    struct listener_of_events *l = conn_user(c);

    if (!l->leaving && l->after >= 0 && l->after < l->of->feed.end)
        feed_look(l->of);
}

static void on_closed(struct conn *c, enum conn_end why)
{
    struct listener_of_events *l = conn_user(c), **at = &l->of->first;

    (void)why;
    while (*at != l)
        at = &(*at)->next;
    *at = l->next;
    l->of->count--;
    free(l);
}

static const struct conn_handler handler = {
    .data = on_data, .drained = on_drained, .closed = on_closed};

/* ---- The clock ---- */

/* NULL: it may go on. */
static const char *why_ended(const struct listener_of_events *l)
{
    const struct admin_context *a = l->of->context;

    if (l->who.token[0] != '\0' && !admin_token_in_force(a, l->who.token))
        return "token_ended";
    if (l->who.session != 0 &&
        !console_session_lives(a->console->sessions, l->who.session, loop_now_ms(l->of->loop)))
        return "signed_out";
    return NULL;
}

static void tick(struct loop *loop, struct loop_timer *timer)
{
    struct console_events *e = CONTAINER(timer, struct console_events, timer);

    if (e->count == 0)
        return;
    e->ticks++;
    for (struct listener_of_events *l = e->first; l != NULL; l = l->next) {
        const char *reason = why_ended(l);
        if (reason != NULL)
            events_dismiss(l, reason);
        else if (e->ticks % EVENTS_BEAT_TICKS == 0)
            beat(l);
    }
    e->feed.looks = 0;
    feed_look(e);
    if (e->ticks % EVENTS_STATE_TICKS == 0)
        figures_tell(e);
    loop_timer_set(loop, timer, loop_now_ms(loop) + EVENTS_TICK_MS);
}

struct console_events *console_events_new(const struct admin_context *context, struct loop *loop)
{
    struct console_events *e = calloc(1, sizeof *e);

    if (e == NULL)
        return NULL;
    e->context = context;
    e->loop = loop;
    e->timer.fire = tick;
    return e;
}

void console_events_end(struct console_events *e)
{
    e->ending = true;
    for (struct listener_of_events *l = e->first; l != NULL; l = l->next)
        events_dismiss(l, "going_away");
}

void console_events_stop(struct console_events *e)
{
    atomic_store(&e->stopped, true);
    loop_timer_unset(e->loop, &e->timer);
}

void console_events_free(struct console_events *e)
{
    if (e == NULL)
        return;
    feed_stop(e);
    free(e);
}

/* ---- A listener comes: first where the audit trail ends, so that nothing behind is missed ---- */

struct coming {
    struct store_job job;
    struct loop_task task;
    struct http_request *req;
    struct console_events *events;
    struct admin_caller who;
    bool resumes;
    int64_t last; /* the event that it has */
    struct audit_head end;
};

static int run_end(struct store_tx *tx, struct store_job *job)
{
    return audit_last(tx, &CONTAINER(job, struct coming, job)->end);
}

static void found_end(struct store_job *job)
{
    struct coming *c = CONTAINER(job, struct coming, job);

    loop_post(c->req->loop, &c->task);
}

/* Where it goes on; what lies too far back it has to read as pages (GET …/audit). */
static void place(struct listener_of_events *l, const struct coming *c)
{
    int64_t oldest = c->end.n > EVENTS_RESUME_MAX ? c->end.n - EVENTS_RESUME_MAX : 0;

    if (c->who.role < ROLE_OPERATOR) {
        l->after = -1;
        return;
    }
    l->after = c->resumes && c->last < c->end.n ? c->last : c->end.n;
    if (l->after < oldest)
        events_skip(l, oldest);
}

/* An id alone: no event, but who comes again before the first one names it. */
static void tell_place(struct listener_of_events *l)
{
    char id[40];

    if (l->after < 0)
        return;
    (void)snprintf(id, sizeof id, "id: %lld\n\n", (long long)l->after);
    conn_send(l->conn, id, strlen(id));
}

static void begin(struct listener_of_events *l, struct conn *conn, const struct coming *c)
{
    struct console_events *e = c->events;

    *l = (struct listener_of_events){
        .next = e->first, .of = e, .conn = conn, .number = ++e->last, .who = c->who};
    e->first = l;
    e->count++;
    conn_set_handler(conn, &handler, l);
    conn_resume(conn);
    conn_send(conn, "retry: 2000\n\n", 13);
    place(l, c);
    tell_place(l);
    if (e->feed.end < c->end.n)
        e->feed.end = c->end.n;
    if (e->count == 1)
        loop_timer_set(e->loop, &e->timer, loop_now_ms(e->loop) + EVENTS_TICK_MS);
}

/* Asked when one begins, and not before: several may have been on their way at once. */
static bool room_for(const struct console_events *e, const struct admin_caller *who)
{
    unsigned own = 0;

    for (const struct listener_of_events *l = e->first; l != NULL; l = l->next)
        own += strcmp(l->who.token, who->token) == 0;
    return e->count < EVENTS_LISTENERS_MAX && own < EVENTS_OF_ONE_MAX;
}

static void start(struct loop *loop, struct loop_task *task)
{
    struct coming *c = CONTAINER(task, struct coming, task);
    struct listener_of_events *l = calloc(1, sizeof *l);
    struct conn *conn = NULL;

    (void)loop;
    if (c->events->ending) {
        http_problem_retry(c->req, 503, "draining", "This server is going away.", 1);
    } else if (c->job.result != TEDDY_OK) {
        http_problem_retry(c->req, 503, "store_unavailable", "The store cannot be read.", 1);
    } else if (!room_for(c->events, &c->who)) {
        http_problem_retry(c->req, 429, "too_many_streams",
                           "As many listen already as may; close a page of the console.", 5);
    } else if (l == NULL) {
        http_problem(c->req, 500, "internal", "Out of memory.");
    } else {
        http_set_field(c->req, "Cache-Control", "no-store");
        conn = http_stream(c->req, "text/event-stream");
    }
    if (conn != NULL)
        begin(l, conn, c);
    else
        free(l);
    free(c);
}

/* Where it goes on: behind Last-Event-ID, which a browser sends when it comes again by itself, or
 * else behind what the page says, which may have closed its stream meanwhile. */
static bool read_last(struct http_request *req, struct coming *c)
{
    struct span value;
    char text[24];
    size_t len = 0, fields = http1_field(&req->head, "Last-Event-ID", &value);
    int rc = http_query(req, "after", text, sizeof text, &len);
    uint64_t n = 0;

    c->resumes = fields > 0 || rc != TEDDY_ENOTFOUND;
    if (!c->resumes)
        return true;
    if (fields == 0)
        value = (struct span){text, len};
    if (fields <= 1 && (rc == TEDDY_OK || rc == TEDDY_ENOTFOUND) &&
        u64_parse(value, &n) == TEDDY_OK && n < INT64_MAX) {
        c->last = (int64_t)n;
        return true;
    }
    http_problem(req, 422, "bad_last_event_id",
                 "Last-Event-ID, and after, is the number of an event, once.");
    return false;
}

void console_listen(struct http_request *req)
{
    struct console_events *e = admin_context_of(req)->console->events;
    struct coming *c = calloc(1, sizeof *c), asked = {.req = req, .events = e};

    if (c == NULL) {
        http_problem(req, 500, "internal", "Out of memory.");
        return;
    }
    if (!admin_gate_caller(req, &asked.who) || !read_last(req, &asked)) {
        free(c);
        return;
    }
    *c = asked;
    c->job = (struct store_job){.run = run_end, .done = found_end};
    c->task.run = start;
    if (store_read(e->context->store, &c->job) != TEDDY_OK) {
        free(c);
        http_problem_retry(req, 503, "store_unavailable",
                           "The store cannot do this now; try again.", 1);
    }
}
