#include "api/app.h"

#include <stdlib.h>
#include <time.h>

#include "ops/log.h"

uint64_t app_now_s(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec;
}

void app_fail(struct http_request *req, struct ratelimit *failures, int status, const char *code,
              const char *detail)
{
    uint8_t key[17];
    size_t len = ratelimit_address_key(&req->client, key);
    uint32_t retry_after_s;
    if (ratelimit_take(failures, key, len, loop_now_ms(req->loop), &retry_after_s)) {
        http_problem(req, status, code, detail);
        return;
    }
    http_problem_retry(req, 429, "rate_limited",
                       "Too many failing requests from this address; wait for Retry-After.",
                       retry_after_s);
}

void app_unavailable(struct http_request *req)
{
    http_problem_retry(req, 503, "store_unavailable",
                       "The store cannot take this now; nothing was changed. Try again.", 1);
}

struct close_task {
    struct loop_task task;
    struct app *app;
    char device_id[LIMIT_ID_LEN + 1];
    uint8_t keep_sid[STORE_JTI_LEN];
    bool keep;
    uint16_t code;
    const char *word;
};

static void close_on_its_loop(struct loop *loop, struct loop_task *task)
{
    struct close_task *t = (struct close_task *)task;
    session_close_device(t->app->hubs[loop_index(loop)], t->device_id, t->keep ? t->keep_sid : NULL,
                         t->code, t->word);
    free(t);
}

void app_close_device(struct app *app, const char *device_id, const uint8_t *keep_sid,
                      uint16_t code, const char *word)
{
    struct close_task *t = calloc(1, sizeof *t);
    if (!t) {
        /* Fail closed: an open session that ought to be closed is worse than a restart. */
        LOG(LOG_ERROR, "out_of_memory", LOG_S("at", "close_device"));
        abort();
    }
    t->task.run = close_on_its_loop;
    t->app = app;
    snprintf(t->device_id, sizeof t->device_id, "%s", device_id);
    t->keep = keep_sid != NULL;
    if (keep_sid)
        memcpy(t->keep_sid, keep_sid, sizeof t->keep_sid);
    t->code = code;
    t->word = word;
    loop_post(app->loops[hub_index(device_id, app->loop_count)], &t->task);
}
