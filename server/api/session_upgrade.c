/* GET /ws/esp32/{device_id} (docs/protocol.md, "Session"): finds the token, checks it, moves to the
 * device's loop, registers the session, reads the family's state, and only then goes live. A
 * well-formed upgrade is always completed, so that a toy sees the verdict as a close code. */
#include <stdlib.h>

#include "api/app.h"
#include "api/handlers.h"
#include "api/rotation.h"
#include "ops/log.h"
#include "ops/refusals.h"
#include "proto/text.h"

struct upgrade {
    struct store_job job;
    struct loop_task task;
    struct http_request *req;
    struct app *app;
    struct loop *loop; /* the device's */
    uint64_t session_id;
    struct jwt token;
    uint8_t sid[STORE_JTI_LEN], jti[STORE_JTI_LEN];
    struct family_row family;
    enum verdict verdict;
    bool recording;
};

#define JOB_OF(member_ptr, member)                                                                 \
    ((struct upgrade *)(void *)((char *)(member_ptr)-offsetof(struct upgrade, member)))

static void upgrade_free(struct upgrade *u)
{
    wipe(u, sizeof *u);
    free(u);
}

static struct hub *hub_here(struct http_request *req)
{
    return app_of(req)->hubs[loop_index(req->loop)];
}

/* Completes the upgrade only to close it with a verdict. */
static void close_with(struct http_request *req, uint16_t code, const char *word, bool retry)
{
    struct app *app = app_of(req);
    struct hub *hub = hub_here(req);
    char reason[LIMIT_CLOSE_REASON + 1];
    session_reason(&app->session, word, retry, reason, sizeof reason);
    LOG(LOG_INFO, "upgrade_refused", LOG_N("close", code), LOG_S("reason", word),
        LOG_S("request_id", req->request_id));
    metric_add(loop_index(req->loop), METRIC_UPGRADES_REFUSED, 1);
    struct conn *conn = http_upgrade(req);
    if (conn)
        session_refuse(hub, conn, code, reason);
}

/* A refusal on account of the token: counted against the address, and over its limit answered 429
 * before upgrading. */
static void refuse(struct http_request *req, const char *word)
{
    uint32_t retry_after_s;
    refusal_count(loop_index(req->loop), "session.refused", word, &req->client);
    if (limits_fail(&app_of(req)->limits, LIMITS_UPGRADE_REFUSALS, &req->client,
                    loop_now_ms(req->loop), &retry_after_s))
        close_with(req, WS_CLOSE_POLICY, word, false);
    else
        http_problem_retry(req, 429, "rate_limited",
                           "Too many refused upgrades from this address; wait for Retry-After.",
                           retry_after_s);
}

static const char *word_of(enum verdict v)
{
    switch (v) {
    case VERDICT_DEVICE_DISABLED:
        return "device_disabled";
    case VERDICT_WRONG_DEVICE:
        return "wrong_device";
    default:
        return "token_revoked";
    }
}

static void go_live(struct upgrade *u)
{
    struct hub *hub = hub_here(u->req);
    struct conn *conn = http_upgrade(u->req);
    if (u->family.own_processor)
        session_set_own(hub, u->session_id);
    if (conn)
        session_start(hub, u->session_id, conn);
    else
        session_unregister(hub, u->session_id);
}

static int run_present(struct store_tx *tx, struct store_job *job)
{
    struct upgrade *u = JOB_OF(job, job);
    u->verdict = VERDICT_OK;
    return token_present(tx, u->recording, u->sid, u->jti, &u->token, &u->family, &u->verdict);
}

static void done_on_store(struct store_job *job)
{
    struct upgrade *u = JOB_OF(job, job);
    loop_post(u->loop, &u->task);
}

static void presented(struct loop *loop, struct loop_task *task)
{
    struct upgrade *u = JOB_OF(task, task);
    (void)loop;
    if (u->job.result == TEDDY_OK && u->verdict == VERDICT_MUST_RECORD && !u->recording) {
        u->recording = true;
        if (store_write(u->app->store, &u->job) == TEDDY_OK)
            return;
        session_unregister(hub_here(u->req), u->session_id);
        close_with(u->req, WS_CLOSE_OVERLOAD, "overload", true);
    } else if (u->job.result == TEDDY_OK && u->verdict == VERDICT_OK) {
        go_live(u);
    } else {
        session_unregister(hub_here(u->req), u->session_id);
        if (u->verdict == VERDICT_OK || u->verdict == VERDICT_MUST_RECORD ||
            u->job.result == TEDDY_ESTORE)
            close_with(u->req, WS_CLOSE_INTERNAL, "internal", true);
        else
            refuse(u->req, word_of(u->verdict));
    }
    upgrade_free(u);
}

/* On the device's loop from here on. */
static void arrived(struct http_request *req, void *arg)
{
    struct upgrade *u = arg;
    u->loop = req->loop;
    /* Looked up on the loop that registers the session: a key thrown away before this is unknown
     * here, one thrown away after it finds the session there. */
    int key = keys_slot(keys_now(&u->app->keys), u->token.kid);
    if (key < 0) {
        refuse(req, "bad_token");
        upgrade_free(u);
        return;
    }
    struct session_owner owner = {.device_id = u->token.device_id,
                                  .child_id = u->token.child_id,
                                  .exp_s = u->token.exp,
                                  .key = (uint8_t)key,
                                  .client = &req->client};
    memcpy(owner.sid, u->sid, sizeof owner.sid);
    u->session_id = session_register(hub_here(req), &owner);
    u->job.run = run_present;
    u->job.done = done_on_store;
    u->task.run = presented;
    if (u->session_id && app_read(u->app, u->loop, &u->job) == TEDDY_OK)
        return;
    if (u->session_id)
        session_unregister(hub_here(req), u->session_id);
    close_with(req, WS_CLOSE_OVERLOAD, "overload", true);
    upgrade_free(u);
}

/* The access token of the request: TEDDY_ENOTFOUND when there is none, TEDDY_EPROTO for several or
 * malformed. */
static int find_token(const struct http_request *req, char out[LIMIT_TOKEN_LEN + 1], size_t *len)
{
    struct span value;
    size_t fields = http1_field(&req->head, "Authorization", &value);
    int query = http_query(req, "token", out, LIMIT_TOKEN_LEN + 1, len);
    if (fields == 0)
        return query == TEDDY_OK || query == TEDDY_ENOTFOUND ? query : TEDDY_EPROTO;
    if (fields > 1 || query != TEDDY_ENOTFOUND)
        return TEDDY_EPROTO;
    struct span scheme = {value.p, value.len < 6 ? value.len : 6};
    size_t skip = 6;
    while (skip < value.len && value.p[skip] == ' ')
        skip++;
    if (!span_ieq(scheme, "Bearer") || skip == 6 || value.len - skip > LIMIT_TOKEN_LEN)
        return TEDDY_EPROTO;
    *len = value.len - skip;
    memcpy(out, value.p + skip, *len);
    out[*len] = 0;
    return TEDDY_OK;
}

/* NULL when the token lets this device in; otherwise the close reason's word. */
static const char *check_token(struct http_request *req, struct upgrade *u)
{
    char token[LIMIT_TOKEN_LEN + 1];
    size_t len = 0;
    int rc = find_token(req, token, &len);
    if (rc == TEDDY_ENOTFOUND || (rc == TEDDY_OK && len == 0))
        return "no_token";
    if (rc == TEDDY_OK)
        rc = token_check(keys_now(&u->app->keys), &u->app->policy, (struct span){token, len},
                         JWT_ACCESS, app_now_s(), &u->token);
    wipe(token, sizeof token);
    if (rc == TEDDY_EEXPIRED)
        return "token_expired";
    if (rc != TEDDY_OK || token_ids(&u->token, u->sid, u->jti) != TEDDY_OK)
        return "bad_token";
    return span_is(req->params[0], u->token.device_id) ? NULL : "wrong_device";
}

/* True when this server takes no more sessions now; the request has then been closed with the
 * reason. */
static bool turned_away(struct http_request *req)
{
    struct app *app = app_of(req);
    uint16_t code;
    const char *word;
    if (hub_draining(hub_here(req), &code, &word))
        close_with(req, code, word, true);
    else if (conn_count() > app->config.connections_max)
        close_with(req, WS_CLOSE_OVERLOAD, "overload", true);
    else
        return false;
    return true;
}

void handle_session(struct http_request *req)
{
    if (!http_upgrade_ok(req) || turned_away(req))
        return;
    struct upgrade *u = calloc(1, sizeof *u);
    if (!u) {
        close_with(req, WS_CLOSE_OVERLOAD, "overload", true);
        return;
    }
    u->req = req;
    u->app = app_of(req);
    const char *word = check_token(req, u);
    if (word) {
        refuse(req, word);
        upgrade_free(u);
    } else {
        http_move(req, u->app->loops[hub_index(u->token.device_id, u->app->loop_count)], arrived,
                  u);
    }
}
