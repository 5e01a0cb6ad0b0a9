/* The small endpoints around the path: liveness, readiness, public keys, the echo for
 * conformance suites. */
#include <stdio.h>
#include <stdlib.h>

#include "api/app.h"
#include "api/handlers.h"
#include "session/ws_echo.h"

static void respond_json(struct http_request *req, int status, const char *body)
{
    http_set_field(req, "Cache-Control", "no-store");
    http_respond(req, status, "application/json", body, strlen(body));
}

void handle_healthz(struct http_request *req)
{
    respond_json(req, 200, "{\"status\":\"alive\"}");
}

struct ready_job {
    struct store_job job;
    struct loop_task task;
    struct http_request *req;
};

static int run_look(struct store_tx *tx, struct store_job *job)
{
    (void)job;
    struct device_row row;
    int rc = store_device_get(tx, "readyz", &row);
    return rc == TEDDY_ENOTFOUND ? TEDDY_OK : rc;
}

static void looked(struct store_job *job)
{
    struct ready_job *r = (struct ready_job *)job;
    loop_post(r->req->loop, &r->task);
}

static void ready_answer(struct loop *loop, struct loop_task *task)
{
    struct ready_job *r =
        (struct ready_job *)(void *)((char *)task - offsetof(struct ready_job, task));
    (void)loop;
    if (r->job.result == TEDDY_OK)
        respond_json(r->req, 200, "{\"status\":\"ready\"}");
    else
        http_problem_retry(r->req, 503, "store_unavailable", "The store cannot be read.", 1);
    free(r);
}

void handle_readyz(struct http_request *req)
{
    struct app *app = app_of(req);
    if (atomic_load(&app->draining)) {
        http_problem_retry(req, 503, "draining", "This server is going away.", 1);
        return;
    }
    struct ready_job *r = calloc(1, sizeof *r);
    if (r)
        *r = (struct ready_job){
            .job = {.run = run_look, .done = looked}, .task = {.run = ready_answer}, .req = req};
    if (!r || store_read(app->store, &r->job) != TEDDY_OK) {
        free(r);
        http_problem_retry(req, 503, "store_unavailable", "The store has too much to do.", 1);
    }
}

void handle_jwks(struct http_request *req)
{
    const char *jwks = keys_jwks(keys_now(&app_of(req)->keys));
    char cache[40];
    snprintf(cache, sizeof cache, "public, max-age=%u", JWKS_MAX_AGE_S);
    http_set_field(req, "Cache-Control", cache);
    http_respond(req, 200, "application/jwk-set+json", jwks, strlen(jwks));
}

void handle_ws_echo(struct http_request *req)
{
    uint32_t message_max = app_of(req)->config.message_max;
    if (!http_upgrade_ok(req))
        return;
    struct conn *conn = http_upgrade(req);
    if (conn)
        ws_echo_start(conn, message_max);
}
