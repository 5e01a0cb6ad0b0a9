/* The state of the fleet, each second: of all of it, or, for a token for some devices, of those. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "console/events.h"

#define PAUSE_MS 5000

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (double)(t.tv_sec * 1000 + t.tv_nsec / 1000000) / 1000;
}

static void read_figures(const struct console_events *e, struct figures *f)
{
    const uint64_t *n = f->totals.counts;

    metrics_totals(&f->totals);
    f->at_ms = loop_now_ms(e->loop);
    f->claims = n[METRIC_CLAIMS];
    f->messages = n[METRIC_MESSAGES_IN] + n[METRIC_MESSAGES_OUT];
    f->refusals = n[METRIC_CLAIMS_REFUSED] + n[METRIC_CLAIMS_LIMITED] +
                  n[METRIC_REFRESHES_REFUSED] + n[METRIC_UPGRADES_REFUSED] +
                  n[METRIC_MESSAGES_REFUSED];
}

/* Milliseconds, of the answers of the last second; null when there was none. */
static json_t *reply_ms(const struct figures *now, const struct figures *before, unsigned permille)
{
    const enum histogram h = HISTOGRAM_REPLY_DONE;

    if (before->at_ms == 0 || histogram_count(&now->totals, &before->totals, h) == 0)
        return json_null();
    return json_real((double)histogram_quantile_us(&now->totals, &before->totals, h, permille) /
                     1000);
}

static json_t *sessions(const struct figures *now)
{
    const uint64_t *n = now->totals.counts;

    return json_pack("{s:I, s:I, s:I}", "opening", (json_int_t)n[METRIC_SESSIONS_OPENING], "live",
                     (json_int_t)n[METRIC_SESSIONS_LIVE], "closing",
                     (json_int_t)n[METRIC_SESSIONS_CLOSING]);
}

/* A second; null behind a pause, when there is nothing to compare with. */
static json_t *rate(const struct figures *now, const struct figures *before, uint64_t n, uint64_t m)
{
    uint64_t ms = now->at_ms - before->at_ms;

    if (before->at_ms == 0 || ms == 0 || ms > PAUSE_MS)
        return json_null();
    return json_real(1000.0 * (double)(n - m) / (double)ms);
}

static char *fleet(struct console_events *e)
{
    struct figures now, *was = &e->before;
    uint64_t commits, jobs;
    unsigned waiting;
    char *text;

    read_figures(e, &now);
    store_stats(e->context->store, &commits, &jobs, &waiting);
    json_t *json = json_pack(
        "{s:f, s:I, s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:i}", "at", now_s(), "online",
        (json_int_t)now.totals.counts[METRIC_SESSIONS_LIVE], "sessions", sessions(&now),
        "connections", (json_int_t)conn_count(), "claims", rate(&now, was, now.claims, was->claims),
        "messages", rate(&now, was, now.messages, was->messages), "refusals",
        rate(&now, was, now.refusals, was->refusals), "latency", reply_ms(&now, was, 500),
        "latency99", reply_ms(&now, was, 990), "store_waiting", (int)waiting);
    e->before = now;
    text = json != NULL ? json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(13)) : NULL;
    json_decref(json);
    return text;
}

/* ---- Of some devices ---- */

static bool count(void *arg, const struct session_info *info)
{
    struct scoped_round *r = arg;

    for (unsigned i = 0; i < r->count; i++)
        r->of[i].online += strncmp(info->device_id, r->of[i].prefix, strlen(r->of[i].prefix)) == 0;
    return true;
}

static void tell_scoped(struct console_events *e)
{
    const struct scoped_round *r = &e->round;

    for (struct listener_of_events *l = e->first; l != NULL; l = l->next)
        for (unsigned i = 0; i < r->count; i++) {
            if (r->of[i].number != l->number)
                continue;
            json_t *json =
                json_pack("{s:f, s:I}", "at", now_s(), "online", (json_int_t)r->of[i].online);
            char *text =
                json != NULL ? json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(13)) : NULL;
            if (text != NULL)
                (void)events_tell(l, "state", 0, text);
            free(text);
            json_decref(json);
        }
}

static void visit(struct loop *loop, struct loop_task *task)
{
    struct console_events *e = CONTAINER(task, struct console_events, round.task);
    struct scoped_round *r = &e->round;
    const struct admin_context *a = e->context;

    (void)loop;
    if (atomic_load(&e->stopped))
        return;
    if (r->at == a->loop_count) {
        r->busy = false;
        tell_scoped(e);
        return;
    }
    hub_each(a->hubs[r->at++], count, r);
    loop_post(r->at == a->loop_count ? e->loop : a->loops[r->at], &r->task);
}

static void start_round(struct console_events *e)
{
    struct scoped_round *r = &e->round;

    if (r->busy)
        return;
    r->at = r->count = 0;
    for (const struct listener_of_events *l = e->first; l != NULL; l = l->next)
        if (l->who.prefix[0] != '\0' && !l->leaving) {
            r->of[r->count].number = l->number;
            r->of[r->count].online = 0;
            memcpy(r->of[r->count++].prefix, l->who.prefix, sizeof l->who.prefix);
        }
    if (r->count == 0)
        return;
    r->busy = true;
    r->task.run = visit;
    loop_post(e->context->loops[0], &r->task);
}

void figures_tell(struct console_events *e)
{
    char *text = fleet(e);

    for (struct listener_of_events *l = e->first; l != NULL && text != NULL; l = l->next)
        if (l->who.prefix[0] == '\0')
            (void)events_tell(l, "state", 0, text);
    free(text);
    start_round(e);
}
