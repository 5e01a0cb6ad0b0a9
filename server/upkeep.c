/* What the server does by itself now and then: what is older than the configuration keeps it leaves
 * the store. A walk through the tables is a row of small jobs with pauses between them, in which
 * claims go by. A reader looks at each piece first, as hardly one has anything to do: what the
 * writer reads stays in its large cache, in the place of what claims need, and the memory with it.
 */
#include "ops/log.h"
#include "teddyd.h"

#define WALK_FIRST_MS 1000
#define WALK_EVERY_MS 3600000
#define PIECE_MS      20   /* between two pieces */
#define BUSY_MS       1000 /* the same, while others wait for the store */
#define BUSY_JOBS     64

static const enum metric metrics[RETENTION_KINDS] = {
#define METRIC_OF(id, name) METRIC_PRUNED_##id,
    RETENTION_MAP(METRIC_OF)
#undef METRIC_OF
};

static int run_look(struct store_tx *tx, struct store_job *job)
{
    struct upkeep *u = (struct upkeep *)job;
    return store_retain_look(tx, &u->bounds, app_now_s(), &u->at, &u->next, &u->due);
}

static int run_piece(struct store_tx *tx, struct store_job *job)
{
    struct upkeep *u = (struct upkeep *)job;
    if (u->at.step == RETAIN_REST) /* once in a walk: here, where the disk may take its time */
        upgrade_tidy(u->server);
    return store_retain(tx, &u->bounds, app_now_s(), &u->at, &u->next, u->pruned);
}

static void job_done(struct store_job *job)
{
    struct upkeep *u = (struct upkeep *)job;
    loop_post(u->loop, &u->task);
}

static void plan(struct upkeep *u, uint32_t after_ms)
{
    loop_timer_set(u->loop, &u->timer, loop_now_ms(u->loop) + after_ms);
}

static void end_walk(struct upkeep *u)
{
    uint64_t all = 0;
    for (unsigned i = 0; i < RETENTION_KINDS; i++)
        all += u->walk[i];
    if (all > 0)
        LOG(LOG_INFO, "pruned", LOG_N("messages_expired", u->walk[RETENTION_MESSAGES_EXPIRED]),
            LOG_N("messages", u->walk[RETENTION_MESSAGES]),
            LOG_N("token_families", u->walk[RETENTION_TOKENS]),
            LOG_N("released", u->walk[RETENTION_RELEASED]),
            LOG_N("bindings", u->walk[RETENTION_BINDINGS]),
            LOG_N("children", u->walk[RETENTION_CHILDREN]),
            LOG_N("batches", u->walk[RETENTION_BATCHES]),
            LOG_N("admin_tokens", u->walk[RETENTION_ADMIN_TOKENS]),
            LOG_N("turns", u->walk[RETENTION_TURNS]), LOG_N("reports", u->walk[RETENTION_REPORTS]),
            LOG_N("telemetry", u->walk[RETENTION_TELEMETRY]),
            LOG_N("sessions", u->walk[RETENTION_SESSIONS]));
    memset(u->walk, 0, sizeof u->walk);
    u->at = (struct retention_place){0};
    u->due = false;
    plan(u, WALK_EVERY_MS);
}

static void submit(struct upkeep *u)
{
    u->job = (struct store_job){.run = u->due ? run_piece : run_look, .done = job_done};
    if ((u->due ? store_write : store_read)(u->store, &u->job) != TEDDY_OK)
        plan(u, BUSY_MS);
}

static void count_pruned(struct loop *loop, struct upkeep *u)
{
    for (unsigned i = 0; i < RETENTION_KINDS; i++) {
        u->walk[i] += u->pruned[i];
        metric_add(loop_index(loop), metrics[i], u->pruned[i]);
    }
    if (u->pruned[RETENTION_ALERTS] > 0) {
        metric_add(loop_index(loop), METRIC_ALERTS_DROPPED, u->pruned[RETENTION_ALERTS]);
        LOG(LOG_ERROR, "alert_dropped", LOG_N("alerts", u->pruned[RETENTION_ALERTS]),
            LOG_S("why", "too old"), LOG_S("do", "teddyctl audit tail: talk.alert names the toys"));
    }
    metric_add(loop_index(loop), METRIC_DOWNLINKS_EXPIRED, u->pruned[RETENTION_MESSAGES_EXPIRED]);
}

static void back(struct loop *loop, struct loop_task *task)
{
    struct upkeep *u = (struct upkeep *)(void *)((char *)task - offsetof(struct upkeep, task));
    if (!u->store) /* the server ends */
        return;
    if (u->job.result != TEDDY_OK) {
        LOG(LOG_WARN, "prune_failed", LOG_S("do", "it is tried again within the hour"));
        end_walk(u);
        return;
    }
    if (u->job.run == run_look && u->due) {
        submit(u);
        return;
    }
    if (u->due)
        count_pruned(loop, u);
    u->due = false;
    u->at = u->next;
    if (u->at.step == RETAIN_DONE)
        end_walk(u);
    else
        plan(u, PIECE_MS);
}

static void due(struct loop *loop, struct loop_timer *timer)
{
    struct upkeep *u = (struct upkeep *)(void *)((char *)timer - offsetof(struct upkeep, timer));
    uint64_t commits, jobs;
    unsigned waiting;
    (void)loop;
    store_stats(u->store, &commits, &jobs, &waiting);
    if (waiting > BUSY_JOBS)
        plan(u, BUSY_MS);
    else
        submit(u);
}

void upkeep_start(struct server *s)
{
    const struct config *c = &s->app.config;
    struct upkeep *u = &s->upkeep;
    u->server = s;
    u->store = s->app.store;
    u->loop = s->app.loops[0];
    u->bounds = (struct retention_bounds){
        .messages_days = c->retention_messages_days,
        .tokens_days = c->retention_tokens_days,
        .bindings_days = c->retention_bindings_days,
        .children_days = c->retention_children_days,
        .batches_days = c->retention_batches_days,
        .admin_tokens_days = c->retention_admin_tokens_days,
        .memory_days = c->retention_memory_days,
        .reports_days = c->retention_reports_days,
        .telemetry_days = c->retention_telemetry_days,
        .sessions_days = c->retention_sessions_days,
        .blocked_words_days = c->blocked_words ? c->retention_blocked_words_days : 0};
    u->timer.fire = due;
    u->task.run = back;
    plan(u, WALK_FIRST_MS);
}

void upkeep_stop(struct server *s)
{
    if (s->upkeep.loop)
        loop_timer_unset(s->upkeep.loop, &s->upkeep.timer);
    s->upkeep.store = NULL;
}
