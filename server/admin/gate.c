/* Who may call what: the one place where a caller becomes a role and an actor. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/internal.h"
#include "ops/log.h"
#include "ops/refusals.h"
#include "proto/text.h"

static void log_refused(const struct http_request *req, const char *code)
{
    LOG(LOG_WARN, "admin_refused", LOG_S("handler", req->route->name), LOG_S("code", code),
        LOG_S("actor", req->actor[0] != '\0' ? req->actor : "-"),
        LOG_S("request_id", req->request_id));
}

void admin_refused(const struct http_request *req, const char *code)
{
    refusal_count_by(loop_index(req->loop), "admin.refused", code, req->actor,
                     refusal_block(&req->client));
}

/* Who reads leaves an event a minute, not one each time: a console that polls would fill the disk.
 */
static bool let_in(const struct http_request *req)
{
    if (strcmp(req->route->method, "GET") == 0)
        refusal_count_by(loop_index(req->loop), "admin.read", req->route->name, req->actor,
                         refusal_block(&req->client));
    return true;
}

/* The Unix socket's peer shows its uid. */
static bool gate_socket(struct http_request *req, const struct conn *c, struct admin_caller *who)
{
    uint32_t uid = 0;
    bool known = conn_peer_uid(c, &uid) == TEDDY_OK;

    if (known)
        (void)snprintf(req->actor, sizeof req->actor, "uid:%u", uid);
    if (known && (uid == 0 || uid == geteuid())) {
        who->role = ROLE_OWNER;
        return true;
    }
    log_refused(req, "forbidden");
    http_problem(req, 403, "forbidden", "Only the server's own user and root may administer it.");
    return false;
}

/* A wrong token costs its address one of its failures; without one left it is not even told that it
 * is wrong. */
void admin_refuse_token(struct http_request *req, int status, const char *code, const char *detail)
{
    uint32_t retry_after_s;

    log_refused(req, code);
    if (!ratelimit_take_address(admin_context_of(req)->failures, &req->client,
                                loop_now_ms(req->loop), &retry_after_s)) {
        http_problem_retry(req, 429, "rate_limited", "Too many wrong tokens from this address.",
                           retry_after_s);
        return;
    }
    if (status == 401)
        http_set_field(req, "WWW-Authenticate", "Bearer");
    http_problem(req, status, code, detail);
}

static bool refuse_bearer(struct http_request *req, int status, const char *code,
                          const char *detail)
{
    admin_refuse_token(req, status, code, detail);
    return false;
}

/* By the token that the request bears or, when it bears none, by the one that its cookie stands
 * for. False: it has been answered. */
static bool find_token(struct http_request *req, struct admin_token_row *t,
                       enum admin_token_verdict *verdict, uint64_t *session)
{
    const struct admin_context *a = admin_context_of(req);
    struct admin_cookie cookie = {.status = 0};
    struct span value;

    if (a->cookie == NULL || http1_field(&req->head, "Authorization", &value) > 0 ||
        !a->cookie(req, &cookie)) {
        *verdict = admin_bearer(req, t);
        return true;
    }
    if (cookie.status == 401)
        return refuse_bearer(req, 401, cookie.code, cookie.detail);
    if (cookie.status != 0) { /* some other page asks, and not the one who signed in */
        log_refused(req, cookie.code);
        http_problem(req, cookie.status, cookie.code, cookie.detail);
        return false;
    }
    *session = cookie.session;
    *verdict = admin_token_of_id(req, cookie.token, t);
    return true;
}

static bool gate_https(struct http_request *req, struct admin_caller *who)
{
    enum admin_token_verdict verdict;
    struct admin_token_row t;

    if (admin_bearer_in_query(req))
        return refuse_bearer(req, 400, "token_in_query",
                             "A token never stands in a query, which others log. Revoke it.");
    if (!find_token(req, &t, &verdict, &who->session))
        return false;
    switch (verdict) {
    case ADMIN_TOKEN_BAD:
        break;
    case ADMIN_TOKEN_EXPIRED:
        (void)snprintf(req->actor, sizeof req->actor, "token:%s", t.id);
        return refuse_bearer(req, 401, "admin_token_expired",
                             "This admin token has expired; make another.");
    case ADMIN_TOKEN_GOOD:
        (void)snprintf(req->actor, sizeof req->actor, "token:%s", t.id);
        (void)snprintf(who->prefix, sizeof who->prefix, "%s", t.prefix);
        (void)snprintf(who->token, sizeof who->token, "%s", t.id);
        if (!route_role_parse(span_of(t.role), &who->role))
            who->role = ROLE_NONE;
        return true;
    }
    return refuse_bearer(req, 401, "bad_admin_token",
                         "Authorization: Bearer with an admin token in force is needed, once.");
}

static bool role_ok(struct http_request *req, const struct admin_caller *who)
{
    char detail[96];

    if (who->role >= req->route->role)
        return true;
    log_refused(req, "role_too_low");
    (void)snprintf(detail, sizeof detail, "This needs the role %s; the token has %s.",
                   route_role_name(req->route->role), route_role_name(who->role));
    http_problem(req, 403, "role_too_low", detail);
    return false;
}

/* Of a route with {device_id} in it, and nothing else, a prefix can tell whether it may. */
static bool in_scope(const struct http_request *req, const struct admin_caller *who)
{
    static const char device[] = "{device_id}";
    const char *param = strchr(req->route->pattern, '{');
    size_t len = strlen(who->prefix);

    return param != NULL && strncmp(param, device, sizeof device - 1) == 0 &&
           req->params[0].len >= len && memcmp(req->params[0].p, who->prefix, len) == 0;
}

static bool scope_ok(struct http_request *req, const struct admin_caller *who)
{
    char detail[LIMIT_ID_LEN + 96];

    if (who->prefix[0] == '\0' || in_scope(req, who))
        return true;
    log_refused(req, "out_of_scope");
    (void)snprintf(detail, sizeof detail, "The token is good for devices %s... and nothing else.",
                   who->prefix);
    http_problem(req, 403, "out_of_scope", detail);
    return false;
}

static bool find_caller(struct http_request *req, struct admin_caller *who)
{
    const struct conn *c = http_conn(req);

    *who = (struct admin_caller){.role = ROLE_NONE};
    if (c == NULL) { /* who has left shows nothing any more */
        http_problem(req, 403, "forbidden", "The connection is gone.");
        return false;
    }
    return conn_is_tls(c) ? gate_https(req, who) : gate_socket(req, c, who);
}

bool admin_gate(struct http_request *req)
{
    struct admin_caller who;

    return find_caller(req, &who) && role_ok(req, &who) && scope_ok(req, &who) && let_in(req);
}

bool admin_gate_body(struct http_request *req)
{
    struct admin_caller who;

    return find_caller(req, &who) && role_ok(req, &who);
}

bool admin_gate_caller(struct http_request *req, struct admin_caller *who)
{
    return find_caller(req, who) && role_ok(req, who) && let_in(req);
}

bool admin_gate_list(struct http_request *req, char prefix[LIMIT_ID_LEN + 1])
{
    struct admin_caller who;

    if (!admin_gate_caller(req, &who))
        return false;
    memcpy(prefix, who.prefix, sizeof who.prefix);
    return true;
}

void admin_respond_json(struct http_request *req, int status, json_t *json)
{
    char *text = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;

    json_decref(json);
    if (text == NULL) {
        http_problem(req, 500, "internal", "Out of memory.");
        return;
    }
    http_set_field(req, "Cache-Control", "no-store");
    http_respond(req, status, "application/json", text, strlen(text));
    free(text);
}

bool admin_query_limit(struct http_request *req, unsigned def, unsigned max, unsigned *out)
{
    char text[24], detail[96];
    uint64_t n = def;
    size_t len;
    int rc = http_query(req, "limit", text, sizeof text, &len);

    if (rc == TEDDY_OK)
        rc = u64_parse((struct span){text, len}, &n);
    else if (rc == TEDDY_ENOTFOUND)
        rc = TEDDY_OK;
    if (rc == TEDDY_OK && n >= 1 && n <= max) {
        *out = (unsigned)n;
        return true;
    }
    (void)snprintf(detail, sizeof detail, "limit is a whole number from 1 to %u, given once.", max);
    http_problem(req, 422, "bad_query", detail);
    return false;
}
