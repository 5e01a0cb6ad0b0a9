#include "api/rotation.h"

#include <stdlib.h>

#include "ops/log.h"
#include "proto/text.h"

#define JOB_OF(member_ptr, member)                                                                 \
    ((struct rotation *)(void *)((char *)(member_ptr)-offsetof(struct rotation, member)))

struct rotation *rotation_new(struct app *app, struct loop *loop,
                              void (*done)(struct rotation *r, int status, const char *code))
{
    struct rotation *r = calloc(1, sizeof *r);
    if (r) {
        r->app = app;
        r->loop = loop;
        r->done = done;
    }
    return r;
}

void rotation_free(struct rotation *r)
{
    if (r)
        wipe(r, sizeof *r);
    free(r);
}

static void finish(struct rotation *r, int status, const char *code)
{
    if (code)
        LOG(LOG_INFO, "refresh_refused", LOG_S("device", r->token.device_id), LOG_S("code", code));
    metric_add(loop_index(r->loop), code ? METRIC_REFRESHES_REFUSED : METRIC_REFRESHES, 1);
    r->done(r, status, code);
}

static void finish_by_verdict(struct rotation *r)
{
    switch (r->verdict) {
    case VERDICT_OK:
        finish(r, 200, NULL);
        break;
    case VERDICT_DEVICE_DISABLED:
        finish(r, 403, "device_disabled");
        break;
    case VERDICT_TOKEN_REUSED:
        finish(r, 401, "token_reused");
        break;
    case VERDICT_WRONG_DEVICE:
        finish(r, 401, "bad_token");
        break;
    default:
        finish(r, 401, "token_revoked");
        break;
    }
}

static void rotated(struct loop *loop, struct loop_task *task)
{
    struct rotation *r = JOB_OF(task, task);
    (void)loop;
    /* Somebody has the key, and it was thrown away meanwhile: what it signed earns no tokens. */
    if (keys_slot(keys_now(&r->app->keys), r->token.kid) < 0) {
        finish(r, 401, "bad_token");
        return;
    }
    if (r->job.result != TEDDY_OK && r->verdict == VERDICT_OK)
        finish(r, 503, "store_unavailable");
    else if (r->job.result == TEDDY_ESTORE)
        finish(r, 503, "store_unavailable");
    else
        finish_by_verdict(r);
}

static int run(struct store_tx *tx, struct store_job *job)
{
    struct rotation *r = JOB_OF(job, job);
    r->verdict = VERDICT_OK;
    return token_rotate(tx, r->sid, r->jti, &r->token, &r->fresh, r->now_s, &r->family, &r->pair,
                        &r->verdict);
}

/* On the writer's thread: the close comes before that of any later commit, so it cannot end the
 * session of a family that a claim has begun since. */
static void done_on_store(struct store_job *job)
{
    struct rotation *r = JOB_OF(job, job);
    /* Two parties hold this family: whoever has a session of it loses it now. */
    if (job->result == TEDDY_OK && r->verdict == VERDICT_TOKEN_REUSED)
        app_close_device(r->app, r->token.device_id, NULL, WS_CLOSE_POLICY, "token_revoked");
    loop_post(r->loop, &r->task);
}

uint32_t rotation_retry_after_s(const struct rotation *r)
{
    uint32_t seconds = 1;
    if (ratelimit_peek(r->app->limits.of[LIMITS_REFRESHES], r->sid, sizeof r->sid,
                       loop_now_ms(r->loop), &seconds))
        seconds = 1;
    return seconds;
}

void rotation_start(struct rotation *r, const char *token, const char *device_id,
                    const uint8_t *sid)
{
    r->now_s = app_now_s();
    int rc = token_check(keys_now(&r->app->keys), &r->app->policy, span_of(token), JWT_REFRESH,
                         r->now_s, &r->token);
    if (rc == TEDDY_EEXPIRED) {
        finish(r, 401, "token_expired");
        return;
    }
    if (rc != TEDDY_OK || token_ids(&r->token, r->sid, r->jti) != TEDDY_OK ||
        (device_id && strcmp(device_id, r->token.device_id) != 0) ||
        (sid && memcmp(sid, r->sid, STORE_JTI_LEN) != 0)) {
        finish(r, 401, "bad_token");
        return;
    }
    /* A device has one family in force: counted by family, an old one cannot use its minute up. */
    uint32_t retry_after_s;
    if (!ratelimit_take(r->app->limits.of[LIMITS_REFRESHES], r->sid, sizeof r->sid,
                        loop_now_ms(r->loop), &retry_after_s)) {
        finish(r, 429, "rate_limited");
        return;
    }
    r->job.run = run;
    r->job.done = done_on_store;
    r->task.run = rotated;
    if (pair_new(&r->app->policy, r->now_s, &r->fresh) != TEDDY_OK ||
        store_write(r->app->store, &r->job) != TEDDY_OK)
        finish(r, 503, "store_unavailable");
}
