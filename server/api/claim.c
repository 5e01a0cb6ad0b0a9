/* POST /api/v1/pair/claim (docs/protocol.md, "Claim"): reads the body, then check and commit in
 * one job of the store's writer, then the answer. Only what passed all checks writes. The writer
 * reads what it keeps in its own cache; a reader's is empty again after each commit. */
#include <stdio.h>
#include <stdlib.h>

#include "api/app.h"
#include "api/handlers.h"
#include "api/pair_answer.h"
#include "ops/log.h"
#include "proto/text.h"

struct claim_job {
    struct store_job job;
    struct loop_task task;
    struct http_request *req;
    struct app *app;
    uint64_t now_s;
    uint64_t now_ms; /* the loop's, for the limits */
    struct claim claim;
    struct family_row family;
    enum verdict verdict;
    bool supersedes; /* the device's session is this loop's, and ends before the answer */
    bool counted;    /* against the device's limit */
    bool limited;
    uint32_t retry_after_s;
};

#define JOB_OF(member_ptr, member)                                                                 \
    ((struct claim_job *)(void *)((char *)(member_ptr)-offsetof(struct claim_job, member)))

static void job_free(struct claim_job *j)
{
    wipe(j, sizeof *j);
    free(j);
}

static void refuse(struct claim_job *j, int status, const char *code, const char *detail)
{
    LOG(LOG_INFO, "claim_refused", LOG_S("device", j->claim.device_id), LOG_S("code", code),
        LOG_S("request_id", j->req->request_id));
    metric_add(loop_index(j->req->loop), METRIC_CLAIMS_REFUSED, 1);
    app_fail(j->req, LIMITS_CLAIM_FAILURES, status, code, detail);
}

static void refuse_by_verdict(struct claim_job *j)
{
    switch (j->verdict) {
    case VERDICT_DEVICE_NOT_FOUND:
        refuse(j, 404, "device_not_found", "No device of this device_id is registered.");
        break;
    case VERDICT_DEVICE_DISABLED:
        refuse(j, 403, "device_disabled", "This device is disabled; its operator can enable it.");
        break;
    case VERDICT_RELEASE_REQUIRED:
        refuse(j, 403, "release_required",
               "This device is bound to another child and must be released first.");
        break;
    case VERDICT_NONCE_REPLAYED:
        refuse(j, 409, "nonce_replayed", "This claim was accepted before; choose a fresh nonce.");
        break;
    default:
        limits_attacked(&j->app->limits, j->claim.device_id, j->now_ms);
        refuse(j, 401, "invalid_signature",
               "hmac_hex is not the HMAC-SHA256 of device_id, child_id and nonce under this "
               "device's secret.");
        break;
    }
}

/* On the writer's thread, so that the closes of one device's claims come in the order of their
 * commits: a late one would end the session of a family newer than its own. Where the session's
 * loop is the request's, what is posted for the answer is in that order, too, and does both. */
static void committed(struct store_job *job)
{
    struct claim_job *j = JOB_OF(job, job);
    bool accepted = job->result == TEDDY_OK && j->verdict == VERDICT_OK && !j->limited;
    j->supersedes = accepted && app_loop_of(j->app, j->claim.device_id) == j->req->loop;
    if (accepted && !j->supersedes)
        app_close_device(j->app, j->claim.device_id, j->family.sid, WS_CLOSE_POLICY, "superseded");
    loop_post(j->req->loop, &j->task);
}

static void refund(struct claim_job *j)
{
    if (j->counted)
        ratelimit_refund(j->app->limits.of[LIMITS_CLAIMS], j->claim.device_id,
                         strlen(j->claim.device_id), j->now_ms);
    j->counted = false;
}

static void refuse_by_limit(struct claim_job *j)
{
    metric_add(loop_index(j->req->loop), METRIC_CLAIMS_LIMITED, 1);
    app_refused(j->req, "rate_limited");
    http_problem_retry(j->req, 429, "rate_limited",
                       "This device has claimed too often; wait for Retry-After.",
                       j->retry_after_s);
}

static void answer(struct loop *loop, struct loop_task *task)
{
    struct claim_job *j = JOB_OF(task, task);
    bool refused = j->verdict != VERDICT_OK;
    if (j->supersedes)
        session_close_device(hub_of(loop), j->claim.device_id, j->family.sid, WS_CLOSE_POLICY,
                             "superseded");
    /* What the store has lost may be what this claim was refused for. */
    if (j->job.result == TEDDY_ESTORE || (j->job.result != TEDDY_OK && !refused)) {
        refund(j);
        app_unavailable(j->req);
    } else if (refused) {
        refund(j);
        refuse_by_verdict(j);
    } else if (j->limited) {
        refuse_by_limit(j);
    } else {
        metric_add(loop_index(loop), METRIC_CLAIMS, 1);
        histogram_add(loop_index(loop), HISTOGRAM_CLAIM, loop_now_ms(loop) - j->now_ms);
        LOG(LOG_INFO, "claimed", LOG_S("device", j->claim.device_id),
            LOG_S("request_id", j->req->request_id));
        pair_answer(j->req, &j->family, &j->family.pair);
    }
    job_free(j);
}

/* Only an authentic claim counts against its device. Once, however often the job is run. */
static bool within_limit(void *job)
{
    struct claim_job *j = job;
    if (!j->counted)
        j->counted = ratelimit_take(j->app->limits.of[LIMITS_CLAIMS], j->claim.device_id,
                                    strlen(j->claim.device_id), j->now_ms, &j->retry_after_s);
    j->limited = !j->counted;
    return j->counted;
}

static int run_claim(struct store_tx *tx, struct store_job *job)
{
    struct claim_job *j = JOB_OF(job, job);
    j->limited = false;
    int err = claim_commit(tx, &j->claim, j->app->claim_policy, &j->family, j->now_s, within_limit,
                           j, &j->verdict);
    if (j->verdict == VERDICT_NONCE_REPLAYED)
        refund(j); /* before the next job: a flood of replays uses nothing up */
    return err;
}

/* The same without writing. */
static int run_vet(struct store_tx *tx, struct store_job *job)
{
    struct claim_job *j = JOB_OF(job, job);
    return claim_check(tx, &j->claim, j->app->claim_policy, &j->verdict);
}

static int commit(struct claim_job *j)
{
    j->job.run = run_claim;
    j->job.done = committed;
    j->task.run = answer;
    if (family_new(&j->app->policy, j->claim.device_id, j->claim.child_id, j->now_s, &j->family) !=
        TEDDY_OK)
        return TEDDY_EIO;
    return store_write(j->app->store, &j->job);
}

static void vetted(struct loop *loop, struct loop_task *task)
{
    struct claim_job *j = JOB_OF(task, task);
    if (j->job.result != TEDDY_OK || j->verdict != VERDICT_OK) {
        answer(loop, task);
    } else if (commit(j) != TEDDY_OK) {
        app_unavailable(j->req);
        job_free(j);
    }
}

static void vet_done(struct store_job *job)
{
    struct claim_job *j = JOB_OF(job, job);
    loop_post(j->req->loop, &j->task);
}

/* While failing claims are more than may be, the writer sees none: a reader has a look first. Who
 * is right is only a little later. */
static int vet(struct claim_job *j)
{
    j->job.run = run_vet;
    j->job.done = vet_done;
    j->task.run = vetted;
    return store_read(j->app->store, &j->job);
}

/* "Missing or malformed: child_id, nonce." */
static void name_bad_members(unsigned bad, char *out, size_t cap)
{
    struct writer w = writer_on(out, cap);
    writer_text(&w, "Missing or malformed:");
    const char *separator = " ";
    for (unsigned bit = CLAIM_DEVICE_ID; bit <= CLAIM_FIRMWARE_VERSION; bit <<= 1) {
        if (!(bad & bit))
            continue;
        writer_text(&w, separator);
        writer_text(&w, claim_member_name((enum claim_member)bit));
        separator = ", ";
    }
    writer_text(&w, ".");
    if (writer_end(&w) != TEDDY_OK)
        snprintf(out, cap, "A member is missing or malformed.");
}

static bool read_body(struct claim_job *j)
{
    unsigned bad = 0;
    int rc = claim_read(j->req->body, &j->claim, &bad);
    if (rc == TEDDY_OK)
        return true;
    char detail[160];
    if (rc == TEDDY_EINVAL) {
        name_bad_members(bad, detail, sizeof detail);
        refuse(j, 422, "invalid_members", detail);
    } else {
        snprintf(detail, sizeof detail, "The body is not one acceptable JSON object: %s.",
                 teddy_err_text(rc));
        refuse(j, 400, rc == TEDDY_EDUP ? "duplicate_member" : "invalid_json", detail);
    }
    return false;
}

void handle_claim(struct http_request *req)
{
    struct app *app = app_of(req);
    struct claim_job *j = calloc(1, sizeof *j);
    if (!j) {
        app_unavailable(req);
        return;
    }
    j->req = req;
    j->app = app;
    j->now_s = app_now_s();
    j->now_ms = loop_now_ms(req->loop);
    if (!read_body(j)) {
        job_free(j);
        return;
    }
    bool suspect = limits_claim_suspect(&app->limits, &req->client, j->now_ms);
    if ((suspect ? vet(j) : commit(j)) != TEDDY_OK) {
        app_unavailable(req);
        job_free(j);
    }
}
