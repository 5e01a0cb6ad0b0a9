/* POST /api/v1/token/refresh (docs/protocol.md, "Tokens"). */
#include "api/app.h"
#include "api/handlers.h"
#include "api/pair_answer.h"
#include "api/rotation.h"
#include "proto/text.h"

static const char *detail_of(const char *code)
{
    static const char *const details[][2] = {
        {"token_expired", "The refresh token has expired; claim again."},
        {"token_revoked", "The refresh token's family is revoked; claim again."},
        {"token_reused",
         "A spent refresh token was presented again: its family is revoked now; claim again."},
        {"device_disabled", "This device is disabled; its operator can enable it."},
        {"bad_token", "This is not a refresh token of this server."},
    };
    for (size_t i = 0; i < sizeof details / sizeof details[0]; i++)
        if (strcmp(details[i][0], code) == 0)
            return details[i][1];
    return "The refresh was refused.";
}

static void answered(struct rotation *r, int status, const char *code)
{
    if (!code)
        pair_answer(r->req, &r->family, &r->pair);
    else if (status == 503)
        app_unavailable(r->req);
    else if (status == 429) {
        app_refused(r->req, code);
        http_problem_retry(r->req, 429, "rate_limited",
                           "This device refreshes too often; wait for Retry-After.",
                           rotation_retry_after_s(r));
    } else
        app_fail(r->req, LIMITS_REFRESH_FAILURES, status, code, detail_of(code));
    rotation_free(r);
}

void handle_refresh(struct http_request *req)
{
    struct app *app = app_of(req);
    char token[LIMIT_TOKEN_LEN + 1];
    int rc = refresh_read(req->body, token);
    if (rc == TEDDY_EINVAL) {
        app_fail(req, LIMITS_REFRESH_FAILURES, 422, "invalid_members",
                 "Exactly one of `refresh` and `refresh_token` is needed, a string of 1 to 700 "
                 "characters.");
        return;
    }
    if (rc != TEDDY_OK) {
        app_fail(req, LIMITS_REFRESH_FAILURES, 400,
                 rc == TEDDY_EDUP ? "duplicate_member" : "invalid_json",
                 "The body is not one acceptable JSON object.");
        return;
    }
    struct rotation *r = rotation_new(app, req->loop, answered);
    if (r) {
        r->req = req;
        rotation_start(r, token, NULL, NULL);
    } else {
        app_unavailable(req);
    }
    wipe(token, sizeof token);
}
