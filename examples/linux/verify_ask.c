/* Asking: requests, claims, sessions, and how answers read in the report. */
#include <stdio.h>
#include <string.h>

#include "proto/text.h"
#include "proto/writer.h"
#include "verify_parts.h"

const char *seen_answer(const struct verify *v)
{
    static _Thread_local char text[128];
    char code[64] = "";
    size_t len;

    if (v->answer.status == 0) {
        snprintf(text, sizeof text, "no answer: %s", teddy_err_text(v->answer.err));
        return text;
    }
    if (v->answer.is_json)
        (void)!json_string(&v->answer.json, "code", code, sizeof code, &len);
    snprintf(text, sizeof text, "%d%s%s", v->answer.status, code[0] != '\0' ? " " : "", code);
    return text;
}

const char *seen_close(const struct verify *v)
{
    static _Thread_local char text[128];

    if (v->in.err != TEDDY_OK)
        snprintf(text, sizeof text, "no close frame: %s", teddy_err_text(v->in.err));
    else
        snprintf(text, sizeof text, "%u %s", v->in.code, v->in.word);
    return text;
}

bool code_is(struct verify *v, const char *code)
{
    char text[64];
    size_t len;

    return v->answer.is_json &&
           json_string(&v->answer.json, "code", text, sizeof text, &len) == TEDDY_OK &&
           strcmp(text, code) == 0;
}

static bool has_text(const struct verify *v, const char *name)
{
    char text[512];
    size_t len = 0;

    return json_string(&v->answer.json, name, text, sizeof text, &len) == TEDDY_OK && len > 0;
}

static bool is_problem(struct verify *v)
{
    struct span type;
    uint64_t status;

    return v->answer.is_json && http1_field(&v->answer.head, "Content-Type", &type) == 1 &&
           strlen("application/problem+json") <= type.len &&
           span_ieq((struct span){type.p, strlen("application/problem+json")},
                    "application/problem+json") &&
           json_u64(&v->answer.json, "status", &status) == TEDDY_OK &&
           status == (uint64_t)v->answer.status && has_text(v, "type") && has_text(v, "title") &&
           has_text(v, "detail") && has_text(v, "request_id") && has_text(v, "code");
}

/* Every error counts towards the one check of their form. */
static void judge_problem(struct verify *v, const char *method, const char *target)
{
    if (v->answer.status < 400)
        return;
    v->problems++;
    if (is_problem(v))
        return;
    v->bad_problems++;
    if (v->bad_problem[0] == '\0')
        snprintf(v->bad_problem, sizeof v->bad_problem, "%d of %s %.100s", v->answer.status, method,
                 target);
}

static bool wait_out(struct verify *v)
{
    struct span value;
    uint64_t seconds;

    if (v->answer.status != 429 || http1_field(&v->answer.head, "Retry-After", &value) != 1 ||
        u64_parse(value, &seconds) != TEDDY_OK || seconds > 90)
        return false;
    fprintf(stderr, "teddy-device: the server limits our rate: waiting %u s\n",
            (unsigned)seconds + 1);
    teddy_posix_port.disconnect(v->main.port);
    (void)teddy_posix_wait(v->main.port, ((uint32_t)seconds + 1) * 1000, TEDDY_WANTS_READ, NULL, 0);
    return true;
}

void ask(struct verify *v, const char *method, const char *target, const char *lines,
         const char *body, size_t body_len)
{
    wire_request(&v->main, method, target, lines, body, body_len, &v->answer);
    if (wait_out(v))
        wire_request(&v->main, method, target, lines, body, body_len, &v->answer);
    judge_problem(v, method, target);
    teddy_posix_port.disconnect(v->main.port);
}

void post_json(struct verify *v, const char *target, const char *body)
{
    ask(v, "POST", target, "Content-Type: application/json\r\nConnection: close\r\n", body,
        strlen(body));
}

void nonce_new(struct verify *v, char out[33])
{
    uint8_t bytes[16] = {0};
    struct writer w = writer_on(out, 33);

    (void)!teddy_posix_port.random(v->main.port, bytes, sizeof bytes);
    writer_hex(&w, bytes, sizeof bytes);
    (void)writer_end(&w);
}

static bool sign(struct verify *v, const struct claim_form *f, uint8_t mac[32])
{
    uint8_t message[CLAIM_SIGNED_MAX];
    size_t len = claim_signed_bytes(f->device_id, f->child_id, f->nonce, f->decoded, message);

    return teddy_posix_port.hmac_sha256(v->main.port, message, len, mac) == TEDDY_OK;
}

static void write_claim(const struct claim_form *f, const uint8_t mac[32], char *out, size_t cap)
{
    struct writer w = writer_on(out, cap);

    writer_text(&w, "{\"device_id\":\"");
    writer_text(&w, f->device_id);
    writer_text(&w, "\",\"child_id\":\"");
    writer_text(&w, f->child_id);
    writer_text(&w, "\",\"nonce\":\"");
    writer_text(&w, f->nonce);
    writer_text(&w, "\",\"hmac_hex\":\"");
    if (f->hmac_hex)
        writer_text(&w, f->hmac_hex);
    else
        writer_hex(&w, mac, 32);
    writer_text(&w, "\"");
    writer_text(&w, f->extra ? f->extra : "");
    writer_text(&w, "}");
    (void)writer_end(&w);
}

bool claim_send(struct verify *v, const struct claim_form *form)
{
    struct token_pair pair;
    uint8_t mac[32];
    char body[1024];

    if (!sign(v, form, mac))
        return false;
    write_claim(form, mac, body, sizeof body);
    post_json(v, v->claim_path, body);
    if (v->answer.status != 200 || token_pair_read(v->answer.body, &pair) != TEDDY_OK)
        return false;
    v->pair = pair;
    v->has_pair = true;
    memcpy(v->mac, mac, sizeof mac);
    if (form->nonce != v->nonce)
        snprintf(v->nonce, sizeof v->nonce, "%s", form->nonce);
    wipe(&pair, sizeof pair);
    return true;
}

bool claim_fresh(struct verify *v)
{
    char nonce[33];

    nonce_new(v, nonce);
    return claim_send(v, &(struct claim_form){
                             .device_id = v->args->id, .child_id = v->args->child, .nonce = nonce});
}

bool session_open(struct verify *v, struct wire *w)
{
    ws_open(w, v->ws_path, NULL, v->pair.access, &v->answer);
    if (v->answer.err || v->answer.status != 101)
        return false;
    if (ws_send_text(w, "{\"type\":\"hello\",\"sdk\":\"verify\",\"max\":65536}") != TEDDY_OK)
        return false;
    ws_await(w, &v->in, "welcome");
    return v->in.err == TEDDY_OK && v->in.opcode == WS_TEXT;
}
