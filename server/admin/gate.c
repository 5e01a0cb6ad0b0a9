#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/internal.h"
#include "ops/log.h"
#include "ops/refusals.h"
#include "proto/text.h"

/* The Unix socket's peer shows its uid. */
static bool gate_socket(struct http_request *req, const struct conn *c)
{
    uint32_t uid = 0;

    if (conn_peer_uid(c, &uid) == TEDDY_OK && (uid == 0 || uid == geteuid()))
        return true;
    LOG(LOG_WARN, "admin_refused", LOG_S("handler", req->route->name), LOG_N("uid", uid),
        LOG_S("request_id", req->request_id));
    refusal_count(loop_index(req->loop), "admin.refused", "forbidden", &req->client);
    http_problem(req, 403, "forbidden", "Only the server's own user and root may administer it.");
    return false;
}

static bool gate_https(struct http_request *req)
{
    const struct admin_context *a = admin_context_of(req);
    uint8_t key[17];
    size_t len = ratelimit_address_key(&req->client, key);
    uint32_t retry_after_s;

    if (admin_bearer_ok(a, req))
        return true;
    LOG(LOG_WARN, "admin_refused", LOG_S("handler", req->route->name),
        LOG_S("request_id", req->request_id));
    refusal_count(loop_index(req->loop), "admin.refused", "bad_admin_token", &req->client);
    if (!ratelimit_take(a->failures, key, len, loop_now_ms(req->loop), &retry_after_s)) {
        http_problem_retry(req, 429, "rate_limited", "Too many wrong tokens from this address.",
                           retry_after_s);
        return false;
    }
    http_set_field(req, "WWW-Authenticate", "Bearer");
    http_problem(req, 401, "bad_admin_token",
                 "Authorization: Bearer with the admin token is needed.");
    return false;
}

bool admin_gate(struct http_request *req)
{
    const struct conn *c = http_conn(req);

    if (c == NULL) { /* who has left shows nothing any more */
        http_problem(req, 403, "forbidden", "The connection is gone.");
        return false;
    }
    return conn_is_tls(c) ? gate_https(req) : gate_socket(req, c);
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
