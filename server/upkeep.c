/* What the server does by itself now and then: messages to toys that have expired leave the store.
 */
#include "ops/log.h"
#include "teddyd.h"

#define UPKEEP_FIRST_MS 60000
#define UPKEEP_EVERY_MS 3600000

static int run_purge(struct store_tx *tx, struct store_job *job)
{
    struct upkeep *u = (struct upkeep *)job;
    return store_downlink_purge(tx, app_now_s(), &u->expired);
}

static void purge_done(struct store_job *job)
{
    struct upkeep *u = (struct upkeep *)job;
    loop_post(u->loop, &u->task);
}

static void plan(struct upkeep *u, uint32_t after_ms)
{
    loop_timer_set(u->loop, &u->timer, loop_now_ms(u->loop) + after_ms);
}

static void purged(struct loop *loop, struct loop_task *task)
{
    struct upkeep *u = (struct upkeep *)(void *)((char *)task - offsetof(struct upkeep, task));
    if (u->job.result != TEDDY_OK)
        LOG(LOG_WARN, "purge_failed", LOG_S("do", "it is tried again within the hour"));
    else if (u->expired > 0)
        LOG(LOG_INFO, "purged", LOG_N("messages", u->expired));
    if (u->job.result == TEDDY_OK)
        metric_add(loop_index(loop), METRIC_DOWNLINKS_EXPIRED, u->expired);
    plan(u, UPKEEP_EVERY_MS);
}

static void due(struct loop *loop, struct loop_timer *timer)
{
    struct upkeep *u = (struct upkeep *)(void *)((char *)timer - offsetof(struct upkeep, timer));
    (void)loop;
    u->job = (struct store_job){.run = run_purge, .done = purge_done};
    if (store_write(u->store, &u->job) != TEDDY_OK)
        plan(u, UPKEEP_FIRST_MS);
}

void upkeep_start(struct server *s)
{
    struct upkeep *u = &s->upkeep;
    u->store = s->app.store;
    u->loop = s->app.loops[0];
    u->timer.fire = due;
    u->task.run = purged;
    plan(u, UPKEEP_FIRST_MS);
}

void upkeep_stop(struct server *s)
{
    if (s->upkeep.loop)
        loop_timer_unset(s->upkeep.loop, &s->upkeep.timer);
}
