/* What the service manager's watchdog hears is a round that really went through everything: each
 * loop ran a task, a reader read, the writer committed a transaction. Whatever hangs ends the
 * pings, and the manager starts the server anew. */
#include "ops/log.h"
#include "ops/notify.h"
#include "teddyd.h"

#define ROUNDS_IN_TIME 4 /* in the time that the manager waits */
#define LATE_ROUNDS    2 /* so many late, the log says so */

/* It reads in its transaction, so the database is there; and has no change to be synced. */
static int run_look(struct store_tx *tx, struct store_job *job)
{
    struct device_row row;
    (void)job;
    int rc = store_device_get(tx, "watchdog", &row);
    return rc == TEDDY_ENOTFOUND ? TEDDY_OK : rc;
}

static void post_back(struct watchdog_step *step)
{
    loop_post(step->of->app->loops[0], &step->back);
}

static void looked(struct store_job *job)
{
    post_back(CONTAINER(job, struct watchdog_step, job));
}

static void turned(struct loop *loop, struct loop_task *task)
{
    struct watchdog_step *step = CONTAINER(task, struct watchdog_step, there);
    (void)loop;
    if (!step->of->stopped) /* or loop 0 may be gone, and this one runs what was left */
        post_back(step);
}

static void round_done(struct watchdog *w)
{
    if (w->failed || w->stopped)
        return;
    if (w->late >= LATE_ROUNDS)
        LOG(LOG_INFO, "watchdog_goes_on", LOG_N("late_ms", w->late * w->period_ms));
    w->late = 0;
    notify("WATCHDOG=1\nSTATUS=%s, %u connections",
           atomic_load(&w->app->draining) ? "Draining" : "Serving", conn_count());
}

static void came_back(struct loop *loop, struct loop_task *task)
{
    struct watchdog_step *step = CONTAINER(task, struct watchdog_step, back);
    struct watchdog *w = step->of;
    (void)loop;
    step->under_way = false;
    w->failed |= step->job.result != TEDDY_OK;
    if (--w->under_way == 0)
        round_done(w);
}

static void begin_step(struct watchdog *w, unsigned i)
{
    struct watchdog_step *step = &w->steps[i];
    struct app *app = w->app;
    int rc = TEDDY_OK;
    step->job = (struct store_job){.run = run_look, .done = looked};
    if (i == WATCHDOG_WRITER)
        rc = store_write(app->store, &step->job);
    else if (i == WATCHDOG_READER)
        rc = store_read(app->store, &step->job);
    else
        loop_post(app->loops[i - WATCHDOG_LOOPS], &step->there);
    step->under_way = rc == TEDDY_OK;
    w->under_way += step->under_way;
    w->failed |= rc != TEDDY_OK; /* so much waits that there is no room */
}

static void say_late(const struct watchdog *w)
{
    bool writer = w->steps[WATCHDOG_WRITER].under_way, reader = w->steps[WATCHDOG_READER].under_way;
    LOG(LOG_ERROR, "watchdog_late",
        LOG_S("waits_for", writer         ? "the store's writer"
                           : reader       ? "a reader of the store"
                           : w->under_way ? "a loop"
                                          : "a commit that succeeds"),
        LOG_S("do", "the service manager will start the server anew unless it goes on"));
}

static void due(struct loop *loop, struct loop_timer *timer)
{
    struct watchdog *w = CONTAINER(timer, struct watchdog, timer);
    loop_timer_set(loop, timer, loop_now_ms(loop) + w->period_ms);
    if ((w->under_way > 0 || w->failed) && ++w->late == LATE_ROUNDS)
        say_late(w);
    if (w->under_way > 0)
        return;
    w->failed = false;
    for (unsigned i = 0; i < WATCHDOG_LOOPS + w->app->loop_count; i++)
        begin_step(w, i);
}

void watchdog_start(struct server *s)
{
    struct watchdog *w = &s->watchdog;
    uint64_t within_ms = notify_watchdog_ms();
    if (within_ms == 0)
        return;
    w->app = &s->app;
    w->period_ms = within_ms / ROUNDS_IN_TIME + 1;
    w->timer.fire = due;
    for (unsigned i = 0; i < WATCHDOG_LOOPS + METRIC_LOOPS_MAX; i++)
        w->steps[i] = (struct watchdog_step){.there.run = turned, .back.run = came_back, .of = w};
    loop_timer_set(s->app.loops[0], &w->timer, loop_now_ms(s->app.loops[0]) + w->period_ms);
}

void watchdog_stop(struct server *s)
{
    s->watchdog.stopped = true;
    if (s->watchdog.app)
        loop_timer_unset(s->app.loops[0], &s->watchdog.timer);
}
