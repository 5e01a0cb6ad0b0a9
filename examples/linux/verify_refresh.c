/* Refresh, over HTTPS and in the session, and what becomes of a token that was spent. */
#include <stdio.h>
#include <string.h>

#include "proto/endpoints.h"
#include "proto/text.h"
#include "verify_parts.h"

static bool refresh_with(struct verify *v, const char *token, struct token_pair *out)
{
    char body[LIMIT_TOKEN_LEN + 32];
    struct writer w = writer_on(body, sizeof body);

    refresh_write(&w, token);
    (void)writer_end(&w);
    post_json(v, ENDPOINT_REFRESH, body);
    wipe(body, sizeof body);
    return v->answer.status == 200 && token_pair_read(v->answer.body, out) == TEDDY_OK;
}

static bool same_token(const char *a, const char *b)
{
    struct jwt x, y;

    return jwt_parse(span_of(a), &x) == TEDDY_OK && jwt_parse(span_of(b), &y) == TEDDY_OK &&
           strcmp(x.jti, y.jti) == 0 && x.iat == y.iat && x.exp == y.exp;
}

static void in_session(struct verify *v)
{
    char message[LIMIT_TOKEN_LEN + 48];
    struct token_pair pair;
    bool got;

    if (!session_open(v, &v->main)) {
        check(v, false, "a session opens with the refreshed tokens", "%s", seen_answer(v));
        return;
    }
    snprintf(message, sizeof message, "{\"type\":\"refresh\",\"refresh\":\"%s\"}", v->pair.refresh);
    v->in.err = ws_send_text(&v->main, message);
    wipe(message, sizeof message);
    if (v->in.err == TEDDY_OK)
        ws_await(&v->main, &v->in, "tokens");
    got = v->in.err == TEDDY_OK && v->in.opcode == WS_TEXT &&
          token_pair_read(v->in.text, &pair) == TEDDY_OK;
    check(v, got, "refresh in the session gives tokens", "%s",
          v->in.err                  ? teddy_err_text(v->in.err)
          : v->in.opcode == WS_CLOSE ? seen_close(v)
                                     : "tokens");
    if (got) {
        v->pair = pair;
        v->in.err = ws_send_text(&v->main, "{\"type\":\"ping\",\"t\":1}");
        if (v->in.err == TEDDY_OK)
            ws_await(&v->main, &v->in, "pong");
        check(v, v->in.err == TEDDY_OK && v->in.opcode == WS_TEXT, "and the session goes on", "%s",
              v->in.err ? teddy_err_text(v->in.err) : "pong");
    }
    wipe(&pair, sizeof pair);
    wire_close(&v->main);
}

/* The successor has been presented by now: the spent token betrays a thief, and ends its family. */
static void reuse(struct verify *v, const char *spent)
{
    struct token_pair none;
    bool open = session_open(v, &v->other);

    (void)refresh_with(v, spent, &none);
    check(v, v->answer.status == 401 && code_is(v, "token_reused"),
          "a spent refresh token is 401 token_reused", "%s", seen_answer(v));
    if (open)
        ws_await_close(&v->other, &v->in);
    check(v, open && v->in.err == TEDDY_OK && v->in.code == 1008,
          "and its family's session is closed with 1008", "%s",
          open ? seen_close(v) : "no session");
    wire_close(&v->other);
}

void verify_refresh(struct verify *v)
{
    char spent[LIMIT_TOKEN_LEN + 1];
    struct token_pair first, second;
    bool ok;

    snprintf(spent, sizeof spent, "%s", v->pair.refresh);
    ok = refresh_with(v, spent, &first);
    if (!check(v, ok, "a refresh is answered 200 with a new pair", "%s", seen_answer(v)))
        return;
    check(v,
          strcmp(first.refresh, spent) != 0 &&
              http1_field_has(&v->answer.head, "Cache-Control", "no-store"),
          "the pair is another, and may not be stored", "%s",
          strcmp(first.refresh, spent) != 0 ? "new" : "the same");
    ok = refresh_with(v, spent, &second) && same_token(first.access, second.access) &&
         same_token(first.refresh, second.refresh);
    check(v, ok, "asked again before it is used, it is the same successor: jti, iat, exp", "%s",
          seen_answer(v));
    v->pair = first;
    in_session(v);
    reuse(v, spent);
    ok = claim_fresh(v);
    check(v, ok, "a new claim pairs it again", "%s", seen_answer(v));
    wipe(spent, sizeof spent);
    wipe(&first, sizeof first);
    wipe(&second, sizeof second);
}
