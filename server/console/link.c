/* One-time links. Behind each stands an admin token of its own, whose text nobody has: it is listed
 * and revoked like any other, and what is done with it is in the audit trail under its id. */
#include <stdio.h>
#include <string.h>

#include "admin/gate.h"
#include "console/console.h"
#include "identity/audit_verify.h"
#include "proto/text.h"
#include "proto/utc.h"

static void made(struct http_request *req, const struct admin_command *c)
{
    const struct console *console = admin_context_of(req)->console;
    const struct admin_token_row *t = &c->tokens->made;
    char code[CONSOLE_SECRET_LEN + 1], url[CONSOLE_URL_LEN + 80], when[UTC_TEXT];

    if (console_link_make(console->sessions, t->id, loop_now_ms(req->loop), code) != TEDDY_OK) {
        http_problem(req, 500, "internal", "No link could be made.");
        return;
    }
    (void)snprintf(url, sizeof url, "%s" CONSOLE_PATH "/#once=%s", console->origin, code);
    (void)utc_text(c->now_s + CONSOLE_LINK_MS / 1000, when);
    admin_respond_json(req, 201,
                       json_pack("{s:s, s:s, s:s, s:s, s:s}", "url", url, "expires", when, "token",
                                 t->id, "role", t->role, "prefix", t->prefix));
    wipe(url, sizeof url);
    wipe(code, sizeof code);
}

void console_link(struct http_request *req)
{
    static const char usual[] =
        "{\"role\":\"owner\",\"name\":\"console link\",\"expires_in\":43200}";
    const struct console *console = admin_context_of(req)->console;
    struct span body = req->body.len > 0 ? req->body : span_of(usual);
    struct admin_command *c;
    bool bad_json = false;
    char why[160];

    if (!admin_gate(req))
        return;
    if (console == NULL || console->origin[0] == '\0') {
        http_problem(req, 409, "console_off", "There is no console here.");
        return;
    }
    c = admin_command_new(ADMIN_TOKEN_CREATE, NULL, (struct span){"", 0});
    if (c == NULL || admin_token_read(c, body, &bad_json, why, sizeof why)) {
        admin_submit_then(req, c, made);
        return;
    }
    admin_command_free(c);
    http_problem(req, bad_json ? 400 : 422, bad_json ? "bad_json" : "bad_members", why);
}
