/* Who is let in, and who is put out: tokens, takeover, superseding, refresh. */
#include <stdio.h>
#include <string.h>

#include "proto/endpoints.h"
#include "proto/text.h"
#include "verify_parts.h"

/* An upgrade with that token must be completed and closed with 1008 and this word. */
static void refused(struct verify *v, const char *path, const char *query, const char *bearer,
                    const char *word, const char *what)
{
    ws_open(&v->other, path, query, bearer, &v->answer);
    if (v->answer.err || v->answer.status != 101) {
        check(v, false, what, "the upgrade: %s", seen_answer(v));
    } else {
        ws_await_close(&v->other, &v->in);
        check(v,
              v->in.err == TEDDY_OK && v->in.code == 1008 &&
                  (!word || strcmp(v->in.word, word) == 0),
              what, "%s", seen_close(v));
    }
    wire_close(&v->other);
}

/* The token with one character of its signature changed. */
static void tampered(struct verify *v)
{
    char token[LIMIT_TOKEN_LEN + 1];
    char *signature;

    snprintf(token, sizeof token, "%s", v->pair.access);
    signature = strrchr(token, '.');
    if (signature && signature[1] != '\0')
        signature[1] = signature[1] == 'A' ? 'B' : 'A';
    refused(v, v->ws_path, NULL, token, "bad_token",
            "a token with its signature altered is 1008 bad_token");
    wipe(token, sizeof token);
}

/* {"alg":"none","typ":"JWT"} before the same claims, unsigned. */
static void unsigned_token(struct verify *v)
{
    const char *claims = strchr(v->pair.access, '.');
    const char *end = claims ? strchr(claims + 1, '.') : NULL;
    char token[LIMIT_TOKEN_LEN + 64];

    if (!end)
        return;
    snprintf(token, sizeof token, "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0%.*s",
             (int)(end - claims + 1), claims);
    refused(v, v->ws_path, NULL, token, "bad_token", "a token of alg none is 1008 bad_token");
    wipe(token, sizeof token);
}

static void tokens(struct verify *v)
{
    char elsewhere[sizeof v->ws_path + 8], *id;

    refused(v, v->ws_path, NULL, NULL, "no_token", "a session without a token is 1008 no_token");
    refused(v, v->ws_path, NULL, "garbage", "bad_token", "garbage for a token is 1008 bad_token");
    refused(v, v->ws_path, v->pair.access, v->pair.access, NULL,
            "a token in the query and as Bearer at once is 1008");
    refused(v, v->ws_path, NULL, v->pair.refresh, "bad_token",
            "a refresh token in access's place is 1008 bad_token");
    tampered(v);
    unsigned_token(v);
    snprintf(elsewhere, sizeof elsewhere, "%s", v->ws_path);
    id = strrchr(elsewhere, '/') + 1;
    snprintf(id, sizeof elsewhere - (size_t)(id - elsewhere), "%s",
             strcmp(v->args->id, "x") == 0 ? "y" : "x");
    refused(v, elsewhere, NULL, v->pair.access, "wrong_device",
            "another device's path is 1008 wrong_device");
}

static void takeover(struct verify *v)
{
    bool open = session_open(v, &v->main) && session_open(v, &v->other);

    if (open)
        ws_await_close(&v->main, &v->in);
    check(v,
          open && v->in.err == TEDDY_OK && v->in.code == 4001 &&
              strcmp(v->in.word, "replaced") == 0,
          "a newer session takes over: the older is closed with 4001 replaced", "%s",
          open ? seen_close(v) : seen_answer(v));
    wire_close(&v->main);
    if (open) {
        v->in.err = ws_send_text(&v->other, "Is it still me?");
        if (v->in.err == TEDDY_OK)
            ws_await(&v->other, &v->in, "echo");
        check(v, v->in.err == TEDDY_OK && v->in.opcode == WS_TEXT, "and the newer one goes on",
              "%s", v->in.err ? teddy_err_text(v->in.err) : "echo");
    }
    wire_close(&v->other);
}

static void superseded(struct verify *v)
{
    char old[LIMIT_TOKEN_LEN + 1], body[LIMIT_TOKEN_LEN + 32];
    struct writer w = writer_on(body, sizeof body);
    bool open = session_open(v, &v->other), claimed;

    snprintf(old, sizeof old, "%s", v->pair.refresh);
    claimed = claim_fresh(v);
    if (open && claimed)
        ws_await_close(&v->other, &v->in);
    check(v,
          open && claimed && v->in.err == TEDDY_OK && v->in.code == 1008 &&
              strcmp(v->in.word, "superseded") == 0,
          "a new claim closes the older family's session with 1008 superseded", "%s",
          open && claimed ? seen_close(v) : seen_answer(v));
    wire_close(&v->other);
    refresh_write(&w, old);
    (void)writer_end(&w);
    post_json(v, ENDPOINT_REFRESH, body);
    check(v, v->answer.status == 401, "the older family's refresh token is 401", "%s",
          seen_answer(v));
    wipe(old, sizeof old);
    wipe(body, sizeof body);
}

void verify_policy(struct verify *v)
{
    tokens(v);
    takeover(v);
    superseded(v);
}
