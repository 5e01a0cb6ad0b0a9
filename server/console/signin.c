/* Signing in and out. The page shows an admin token, or the code of a one-time link, and gets a
 * cookie that stands for the token; no script can read it, and no other page can use it. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "admin/gate.h"
#include "admin/trail.h"
#include "console/console.h"
#include "console/credential.h"
#include "identity/audit_verify.h"
#include "ops/log.h"
#include "proto/text.h"
#include "proto/utc.h"

static struct console *console_of(const struct http_request *req)
{
    return admin_context_of(req)->console;
}

/* A browser sends a cookie along with what any page has it ask for. What counts is that the page is
 * ours and, of what changes something, that it knows the field: a form or a link sets none. */
static bool is_page(const struct http_request *req, struct admin_cookie *out)
{
    bool safe = span_is(req->head.method, "GET") || span_is(req->head.method, "HEAD");
    struct span value;

    out->status = 403;
    if (!http_same_origin(req)) {
        out->code = "cross_origin";
        out->detail = "Only a page of this server may ask for this with a cookie.";
    } else if (!safe &&
               (http1_field(&req->head, "X-Teddy-Console", &value) != 1 || !span_is(value, "1"))) {
        out->code = "no_console_field";
        out->detail = "What changes something needs the field X-Teddy-Console: 1.";
    } else {
        out->status = 0;
    }
    return out->status == 0;
}

/* False: no cookie. */
static bool find(const struct http_request *req, struct admin_cookie *out,
                 struct console_session *session)
{
    struct span value = {NULL, 0};
    int rc = http_cookie(&req->head, CONSOLE_COOKIE, &value);

    if (rc == TEDDY_ENOTFOUND)
        return false;
    if (!is_page(req, out))
        return true;
    if (rc == TEDDY_OK &&
        console_session_use(console_of(req)->sessions, value, loop_now_ms(req->loop), session)) {
        memcpy(out->token, session->token, sizeof out->token);
        out->session = session->number;
        return true;
    }
    out->status = 401;
    out->code = "signed_out";
    out->detail = "This session has ended; sign in again.";
    return true;
}

bool console_cookie(const struct http_request *req, struct admin_cookie *out)
{
    struct console_session session;

    return find(req, out, &session);
}

static void name_actor(struct http_request *req, const char *token)
{
    (void)snprintf(req->actor, sizeof req->actor, "token:%s", token);
}

static void set_cookie(struct http_request *req, const char *value, unsigned age_s)
{
    char text[200];

    (void)snprintf(text, sizeof text,
                   CONSOLE_COOKIE "=%s; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=%u",
                   value, age_s);
    http_set_field(req, "Set-Cookie", text);
    wipe(text, sizeof text);
}

static void answer(struct http_request *req, int status, const struct admin_token_row *t,
                   uint64_t ends_ms)
{
    uint64_t now_s = (uint64_t)time(NULL);
    uint64_t ends_s = now_s + (ends_ms - loop_now_ms(req->loop)) / 1000;
    char when[UTC_TEXT];

    (void)utc_text(ends_s < t->expires_s ? ends_s : t->expires_s, when);
    admin_respond_json(req, status,
                       json_pack("{s:s, s:s, s:s, s:s, s:s}", "name", t->name, "role", t->role,
                                 "prefix", t->prefix, "token", t->id, "expires", when));
}

/* Who has signed in already and does so again leaves no session behind. */
static void leave_old(struct http_request *req)
{
    struct admin_cookie cookie;
    struct console_session session;

    if (find(req, &cookie, &session) && cookie.status == 0)
        console_session_close(console_of(req)->sessions, session.number);
}

static void sign_in(struct http_request *req, const struct admin_token_row *t)
{
    uint64_t now_ms = loop_now_ms(req->loop);
    char secret[CONSOLE_SECRET_LEN + 1];

    leave_old(req);
    if (console_session_open(console_of(req)->sessions, t->id, now_ms, secret) != TEDDY_OK) {
        http_problem(req, 500, "internal", "No session could be made.");
        return;
    }
    name_actor(req, t->id);
    LOG(LOG_INFO, "console_signed_in", LOG_S("actor", req->actor),
        LOG_S("request_id", req->request_id));
    admin_trail_post(admin_context_of(req)->store, "console.signed_in", req->actor);
    set_cookie(req, secret, CONSOLE_LIFE_MS / 1000);
    wipe(secret, sizeof secret);
    answer(req, 201, t, now_ms + CONSOLE_LIFE_MS);
}

static void refuse(struct http_request *req, enum admin_token_verdict verdict, bool link)
{
    LOG(LOG_WARN, "console_refused", LOG_S("request_id", req->request_id));
    if (verdict == ADMIN_TOKEN_EXPIRED)
        admin_refuse_token(req, 401, "admin_token_expired",
                           "This admin token has expired; make another.");
    else if (link)
        admin_refuse_token(req, 401, "bad_link",
                           "This link was used already, or is older than five minutes; make "
                           "another: teddyctl console link");
    else
        admin_refuse_token(req, 401, "bad_admin_token", "This is no admin token in force.");
}

static void by_token(struct http_request *req, struct span text)
{
    struct admin_token_row t;
    enum admin_token_verdict verdict = admin_token_of_text(req, text, &t);

    if (verdict == ADMIN_TOKEN_GOOD)
        sign_in(req, &t);
    else
        refuse(req, verdict, false);
}

static void by_link(struct http_request *req, struct span code)
{
    enum admin_token_verdict verdict = ADMIN_TOKEN_BAD;
    char token[ADMIN_TOKEN_ID_LEN + 1];
    struct admin_token_row t;

    if (console_link_take(console_of(req)->sessions, code, loop_now_ms(req->loop), token))
        verdict = admin_token_of_id(req, token, &t);
    if (verdict == ADMIN_TOKEN_GOOD)
        sign_in(req, &t);
    else
        refuse(req, verdict, true);
}

void console_sign_in(struct http_request *req)
{
    struct admin_cookie page;
    char text[CONSOLE_CREDENTIAL_MAX + 1];
    size_t len;

    console_fields(req);
    if (!is_page(req, &page)) {
        http_problem(req, page.status, page.code, page.detail);
        return;
    }
    switch (console_credential_read(req->body, text, &len)) {
    case CONSOLE_BY_TOKEN:
        by_token(req, (struct span){text, len});
        break;
    case CONSOLE_BY_LINK:
        by_link(req, (struct span){text, len});
        break;
    case CONSOLE_NO_MEMBER:
        http_problem(req, 422, "bad_members", "The one member is token or once, a short string.");
        break;
    case CONSOLE_NO_JSON:
        http_problem(req, 400, "bad_json", "The body is {\"token\": …} or {\"once\": …}.");
        break;
    }
    wipe(text, sizeof text);
}

/* True with the session and its token; otherwise it has been answered. */
static bool is_signed_in(struct http_request *req, struct console_session *session,
                         struct admin_token_row *t)
{
    struct admin_cookie cookie = {
        .status = 401, .code = "signed_out", .detail = "Nobody is signed in."};

    if (find(req, &cookie, session) && cookie.status == 0) {
        name_actor(req, session->token);
        if (admin_token_of_id(req, session->token, t) == ADMIN_TOKEN_GOOD)
            return true;
        console_session_close(console_of(req)->sessions, session->number);
        cookie.status = 401;
        cookie.code = "signed_out";
        cookie.detail = "The token of this session is revoked, or has expired.";
    }
    http_problem(req, cookie.status, cookie.code, cookie.detail);
    return false;
}

void console_signed_in(struct http_request *req)
{
    struct console_session session;
    struct admin_token_row t;

    if (is_signed_in(req, &session, &t))
        answer(req, 200, &t, session.ends_ms);
}

void console_sign_out(struct http_request *req)
{
    struct console_session session;
    struct admin_token_row t;

    console_fields(req);
    if (!is_signed_in(req, &session, &t))
        return;
    console_session_close(console_of(req)->sessions, session.number);
    admin_trail_post(admin_context_of(req)->store, "console.signed_out", req->actor);
    set_cookie(req, "", 0);
    http_set_field(req, "Cache-Control", "no-store");
    http_respond(req, 204, NULL, NULL, 0);
}
