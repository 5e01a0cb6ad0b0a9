/* The state of the running server, as /status shows it. */
#include <time.h>
#include <unistd.h>

#include "admin/internal.h"
#include "admin/time_json.h"
#include "ops/metrics.h"

/* Since the server's start; refreshes are tokens renewed. */
static json_t *counts_json(void)
{
    const struct {
        const char *name;
        enum metric m;
    } counts[] = {
        {"claims", METRIC_CLAIMS},
        {"claims_refused", METRIC_CLAIMS_REFUSED},
        {"claims_limited", METRIC_CLAIMS_LIMITED},
        {"refreshes", METRIC_REFRESHES},
        {"refreshes_refused", METRIC_REFRESHES_REFUSED},
        {"upgrades_refused", METRIC_UPGRADES_REFUSED},
        {"utterances", METRIC_UTTERANCES},
        {"replies", METRIC_REPLIES},
    };
    json_t *json = json_object();

    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        (void)json_object_set_new(json, counts[i].name,
                                  json_integer((json_int_t)metric_read(counts[i].m)));
    return json;
}

/* Of each loop its own: how many of them do not ask that backend, because it failed. */
static json_t *breakers_json(void)
{
    return json_pack("{s:I, s:I, s:I}", "chat", (json_int_t)metric_read(METRIC_BACKEND_CHAT_OPEN),
                     "webhook", (json_int_t)metric_read(METRIC_BACKEND_WEBHOOK_OPEN), "exec",
                     (json_int_t)metric_read(METRIC_BACKEND_EXEC_OPEN));
}

json_t *admin_status_json(const struct admin_context *ctx, const struct admin_live *live)
{
    uint64_t commits = 0, jobs = 0, now_s = (uint64_t)time(NULL);
    uint64_t up_s = now_s > ctx->started_s ? now_s - ctx->started_s : 0;
    unsigned waiting = 0;

    store_stats(ctx->store, &commits, &jobs, &waiting);
    return json_pack(
        "{s:s, s:i, s:o, s:I, s:b, s:i, s:i, s:i, s:i, s:o, s:o, s:{s:I, s:I, s:i}}", "version",
        TEDDY_VERSION, "pid", (int)getpid(), "started", time_or_null(ctx->started_s), "up_s",
        (json_int_t)up_s, "draining", live->draining, "loops", (int)ctx->loop_count, "connections",
        (int)conn_count(), "requests", (int)http_in_flight(), "sessions", (int)live->sessions,
        "counts", counts_json(), "breakers_open", breakers_json(), "store", "commits",
        (json_int_t)commits, "jobs", (json_int_t)jobs, "waiting", (int)waiting);
}
