#include "api/app.h"

#include <time.h>

#include "ops/refusals.h"
#include "proto/endpoints.h"

uint64_t app_now_s(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec;
}

void app_refused(const struct http_request *req, const char *code)
{
    bool claim = span_is(req->path, ENDPOINT_CLAIM);
    refusal_count(loop_index(req->loop), claim ? "claim.refused" : "token.refused", code,
                  &req->client);
}

void app_fail(struct http_request *req, enum limit failures, int status, const char *code,
              const char *detail)
{
    uint32_t retry_after_s;
    app_refused(req, code);
    if (limits_fail(&app_of(req)->limits, failures, &req->client, loop_now_ms(req->loop),
                    &retry_after_s)) {
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

static void wake_readers(struct loop *loop, struct loop_task *task)
{
    struct app_asking *a = (struct app_asking *)(void *)task;
    (void)loop;
    a->due = false;
    store_read_go(a->store);
}

int app_read(struct app *app, struct loop *loop, struct store_job *job)
{
    struct app_asking *a = &app->asking[loop_index(loop)];
    int rc = store_read_later(app->store, job);
    if (rc != TEDDY_OK || a->due)
        return rc;
    a->task.run = wake_readers;
    a->store = app->store;
    a->due = true;
    loop_defer(loop, &a->task);
    return TEDDY_OK;
}

struct loop *app_loop_of(const struct app *app, const char *device_id)
{
    return app->loops[hub_index(device_id, app->loop_count)];
}

void app_close_device(struct app *app, const char *device_id, const uint8_t *keep_sid,
                      uint16_t code, const char *word)
{
    struct hub *hub = app->hubs[hub_index(device_id, app->loop_count)];
    hub_post_close(hub, device_id, keep_sid, code, word);
}
