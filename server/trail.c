/* The audit trail's upkeep: each minute what was refused becomes events, what is too old leaves,
 * and the end of the chain is signed. */
#include <stdio.h>
#include <time.h>

#include "ops/log.h"
#include "proto/utc.h"
#include "teddyd.h"

#define MINUTE_MS 60000u
#define LATE_MS   50u /* behind the minute's end */
#define PIECE     2000u
#define DAY_MS    86400000u

static uint64_t wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int add_refusal(struct store_tx *tx, const struct refusal *r)
{
    char block[REFUSALS_BLOCK_LEN] = "", detail[256], minute[UTC_TEXT];
    (void)utc_text(r->minute * 60, minute);
    refusal_block_text(r->block, block);
    snprintf(detail, sizeof detail,
             "{\"reason\":\"%s\",\"block\":\"%s\",\"minute\":\"%s\",\"count\":%llu}", r->reason,
             block, minute, (unsigned long long)r->count);
    return audit_add(tx, &(struct audit_event){.event = r->event,
                                               .actor = r->actor[0] != '\0' ? r->actor : "server",
                                               .detail = detail});
}

static int prune(struct store_tx *tx, struct trail *t, uint64_t now_ms)
{
    uint64_t keep_ms = (uint64_t)t->config->retention_audit_days * DAY_MS;
    uint64_t before = keep_ms > 0 && now_ms > keep_ms ? now_ms - keep_ms : 0;
    struct audit_head anchor;
    int rc = audit_prunable(tx, before, t->config->audit_events_max, PIECE, &anchor, &t->more);
    if (rc != TEDDY_OK)
        return rc == TEDDY_ENOTFOUND ? TEDDY_OK : rc;
    anchor.at_ms = now_ms;
    rc = audit_key_sign(t->key, AUDIT_SIGNED_ANCHOR, &anchor);
    if (rc == TEDDY_OK)
        rc = audit_prune(tx, &anchor, &t->pruned);
    return rc;
}

static int run_trail(struct store_tx *tx, struct store_job *job)
{
    struct trail *t = (struct trail *)job;
    uint64_t now_ms = wall_ms();
    int rc = TEDDY_OK;
    t->more = false;
    t->pruned = 0;
    for (unsigned i = 0; rc == TEDDY_OK && i < t->refused.count; i++)
        rc = add_refusal(tx, &t->refused.entry[i]);
    if (rc == TEDDY_OK && t->event != NULL)
        rc = audit_add(tx, &(struct audit_event){.event = t->event,
                                                 .actor = "server",
                                                 .detail = "{\"version\":\"" TEDDY_VERSION "\"}"});
    if (rc == TEDDY_OK)
        rc = prune(tx, t, now_ms);
    return rc == TEDDY_OK ? audit_sign_grown(tx, t->key, now_ms) : rc;
}

static void done_on_store(struct store_job *job)
{
    struct trail *t = (struct trail *)job;
    loop_post(t->loop, &t->task);
}

static void plan(struct trail *t)
{
    uint64_t wait = t->more ? 1 : MINUTE_MS - wall_ms() % MINUTE_MS + LATE_MS;
    loop_timer_set(t->loop, &t->timer, loop_now_ms(t->loop) + wait);
}

/* What did not get into the store stays for the next time. */
static void settle(struct trail *t)
{
    t->busy = false;
    if (t->job.result == TEDDY_OK) {
        metric_add(0, METRIC_PRUNED_AUDIT, t->pruned);
        t->refused = (struct refusals){0};
        return;
    }
    t->more = false; /* it is tried again when the next minute is over, not at once */
    LOG(LOG_WARN, "audit_failed",
        LOG_S("do", "what was refused is kept and written within minutes"));
}

static void back(struct loop *loop, struct loop_task *task)
{
    struct trail *t = (struct trail *)(void *)((char *)task - offsetof(struct trail, task));
    (void)loop;
    if (!t->busy) /* trail_stop was faster */
        return;
    settle(t);
    plan(t);
}

static void due(struct loop *loop, struct loop_timer *timer)
{
    struct trail *t = (struct trail *)(void *)((char *)timer - offsetof(struct trail, timer));
    (void)loop;
    refusals_collect(&t->refused, wall_ms() / MINUTE_MS);
    t->job = (struct store_job){.run = run_trail, .done = done_on_store};
    t->busy = store_write(t->store, &t->job) == TEDDY_OK;
    if (!t->busy) {
        t->more = false;
        plan(t);
    }
}

/* A store that lost its newest events or heads, or is another, shows at once, and before its end is
 * signed anew; the rest is `teddyctl audit verify`'s to find. */
struct look {
    struct store_job job; /* first */
    struct audit_head newest, last;
    bool any, good;
    uint64_t unsigned_ms, last_ms; /* the first event behind the newest head, and the last */
};

static bool take_newest(void *arg, const struct audit_head *head)
{
    struct look *l = arg;
    l->newest = *head;
    l->any = true;
    return true;
}

static bool compare(void *arg, const struct audit_row *row)
{
    struct look *l = arg;
    if (row->n != l->newest.n) {
        l->unsigned_ms = row->at_ms;
        return false;
    }
    l->good = !row->damaged && memcmp(row->hash, l->newest.hash, AUDIT_HASH_LEN) == 0;
    return l->good;
}

static bool take_time(void *arg, const struct audit_row *row)
{
    struct look *l = arg;
    l->last_ms = row->at_ms;
    return false;
}

static int run_look(struct store_tx *tx, struct store_job *job)
{
    struct look *l = (struct look *)job;
    int rc = audit_heads(tx, take_newest, l);
    if (rc == TEDDY_OK)
        rc = audit_last(tx, &l->last);
    if (rc == TEDDY_OK && l->any)
        rc = audit_rows(tx, l->newest.n - 1, compare, l);
    return rc == TEDDY_OK && l->last.n > 0 ? audit_rows(tx, l->last.n - 1, take_time, l) : rc;
}

static bool looks_good(const struct look *l)
{
    if (!l->any)
        return l->last.n == 0;
    bool late = l->unsigned_ms > 0 && l->last_ms > l->unsigned_ms &&
                l->last_ms - l->unsigned_ms > AUDIT_UNSIGNED_MS;
    return l->good && !late;
}

int trail_open(struct server *s)
{
    struct trail *t = &s->trail;
    struct look look = {.job.run = run_look};
    char path[PATH_MAX];
    t->store = s->app.store;
    t->config = &s->app.config;
    snprintf(path, sizeof path, "%s/" AUDIT_KEY_FILE, s->data);
    int rc = audit_key_load(path, &t->key, s->error, sizeof s->error);
    if (rc != TEDDY_OK)
        return rc;
    if (store_read_wait(s->app.store, &look.job) != TEDDY_OK || !looks_good(&look))
        LOG(LOG_ERROR, "audit_broken", LOG_N("event", (uint64_t)look.newest.n),
            LOG_S("do", "the audit trail does not hold what was signed last, or lost its heads: "
                        "teddyctl audit verify says where"));
    t->event = "server.started";
    t->job.run = run_trail;
    rc = store_write_wait(s->app.store, &t->job);
    t->event = NULL;
    if (rc != TEDDY_OK)
        snprintf(s->error, sizeof s->error, "the audit trail cannot be written; the log says why");
    return rc;
}

void trail_start(struct server *s)
{
    struct trail *t = &s->trail;
    t->loop = s->app.loops[0];
    t->timer.fire = due;
    t->task.run = back;
    plan(t);
}

static int run_nothing(struct store_tx *tx, struct store_job *job)
{
    (void)tx;
    (void)job;
    return TEDDY_OK;
}

void trail_stop(struct server *s)
{
    struct trail *t = &s->trail;
    if (t->key == NULL)
        return;
    if (t->loop != NULL)
        loop_timer_unset(t->loop, &t->timer);
    if (t->busy) { /* jobs are done in their order: behind this one, ours is */
        struct store_job barrier = {.run = run_nothing};
        (void)store_write_wait(t->store, &barrier);
        settle(t);
    }
    refusals_collect(&t->refused, UINT64_MAX);
    t->event = "server.stopped";
    t->job = (struct store_job){.run = run_trail};
    if (store_write_wait(t->store, &t->job) != TEDDY_OK)
        LOG(LOG_WARN, "audit_failed",
            LOG_S("do", "what was refused since the last minute is not in the audit trail"));
}

void trail_close(struct server *s)
{
    audit_key_free(s->trail.key);
    s->trail.key = NULL;
}
