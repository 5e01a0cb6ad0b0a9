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

static uint64_t online(void)
{
    uint64_t closed = metric_read(METRIC_SESSIONS_CLOSED); /* first: never less than none */

    return metric_read(METRIC_SESSIONS_OPENED) - closed;
}

static struct figures read_figures(const struct console_events *e)
{
    return (struct figures){
        .at_ms = loop_now_ms(e->loop),
        .claims = metric_read(METRIC_CLAIMS),
        .messages = metric_read(METRIC_MESSAGES_IN) + metric_read(METRIC_MESSAGES_OUT),
        .refusals = metric_read(METRIC_CLAIMS_REFUSED) + metric_read(METRIC_CLAIMS_LIMITED) +
                    metric_read(METRIC_REFRESHES_REFUSED) + metric_read(METRIC_UPGRADES_REFUSED) +
                    metric_read(METRIC_MESSAGES_REFUSED),
    };
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
    struct figures now = read_figures(e), *was = &e->before;
    uint64_t commits, jobs;
    unsigned waiting;
    char *text;

    store_stats(e->context->store, &commits, &jobs, &waiting);
    json_t *json = json_pack(
        "{s:f, s:I, s:I, s:o, s:o, s:o, s:i}", "at", now_s(), "online", (json_int_t)online(),
        "connections", (json_int_t)conn_count(), "claims", rate(&now, was, now.claims, was->claims),
        "messages", rate(&now, was, now.messages, was->messages), "refusals",
        rate(&now, was, now.refusals, was->refusals), "store_waiting", (int)waiting);
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
