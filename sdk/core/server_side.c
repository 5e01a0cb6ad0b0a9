#include "server_side.h"

#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "proto/claim.h"
#include "proto/downlink.h"
#include "proto/endpoints.h"
#include "proto/http1.h"
#include "proto/json.h"
#include "proto/text.h"

static const uint8_t secret[32] = {0xa1, 0xb2, 0xc3, 0xd4, 0xe5, 0xf6};

void server_hmac(const uint8_t *msg, size_t len, uint8_t mac[32])
{
    unsigned mac_len = 32;
    assert_non_null(HMAC(EVP_sha256(), secret, sizeof secret, msg, len, mac, &mac_len));
}

void server_sha1(const uint8_t *msg, size_t len, uint8_t digest[20])
{
    unsigned digest_len = 20;
    assert_int_equal(EVP_Digest(msg, len, digest, &digest_len, EVP_sha1(), NULL), 1);
}

void server_bytes(struct world *w, const void *data, size_t len)
{
    if (w->plan.cut_at != 0 && w->total_out + len >= w->plan.cut_at) {
        len = w->plan.cut_at > w->total_out ? w->plan.cut_at - w->total_out : 0;
        w->gone = !w->plan.stall;
    }
    w->total_out += len;
    if (w->out_at == w->out_len) {
        w->out_at = w->out_len = 0;
    }
    assert_true(len <= sizeof w->out - w->out_len);
    memcpy(w->out + w->out_len, data, len);
    w->out_len += len;
}

static void text_out(struct world *w, const char *text)
{
    server_bytes(w, text, strlen(text));
}

void server_frame(struct world *w, uint8_t opcode, bool fin, const void *data, size_t len)
{
    uint8_t head[WS_HEADER_MAX];
    size_t n = ws_header(head, opcode, len, NULL);
    head[0] = (uint8_t)(fin ? head[0] : head[0] & 0x7f);
    server_bytes(w, head, n);
    server_bytes(w, data, len);
}

void server_text(struct world *w, const char *text)
{
    server_frame(w, WS_TEXT, true, text, strlen(text));
}

void server_close(struct world *w, uint16_t code, const char *reason)
{
    uint8_t payload[WS_CONTROL_MAX];
    size_t len = ws_close_payload(payload, code, span_of(reason != NULL ? reason : ""));
    if (w->plan.drop) {
        w->gone = true;
        return;
    }
    server_frame(w, WS_CLOSE, true, payload, len);
    w->gone = true;
}

void server_drop(struct world *w)
{
    w->gone = true;
}

void server_accept(struct world *w)
{
    w->open = true;
    w->gone = w->upgraded = w->greeted = false;
    w->in_len = w->out_len = w->out_at = w->total_out = w->message_len = 0;
    w->seq = 0;
}

static void body_out(struct world *w, const char *head, const char *body)
{
    char text[4096], size[64];
    size_t len = strlen(body);
    if (w->plan.interim) {
        text_out(w, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n");
    }
    snprintf(size, sizeof size, "Content-Length: %zu\r\n", len);
    snprintf(text, sizeof text, "%s%s\r\n%s", head, w->plan.until_close ? "" : size, body);
    text_out(w, text);
    w->gone = w->gone || (w->plan.until_close && !w->plan.stall);
}

static void answer(struct world *w, int status, const char *body)
{
    char head[1024];
    snprintf(head, sizeof head, "HTTP/1.1 %d Whatever\r\nDate: Fri, 15 Jan 2027 08:00:00 GMT\r\n%s",
             status, w->plan.fields != NULL ? w->plan.fields : "");
    body_out(w, head, body);
}

static void problem(struct world *w, int status)
{
    char body[256] = "<html>";
    if (w->plan.problem != NULL) {
        snprintf(body, sizeof body, "{\"type\":\"about:blank\",\"status\":%d,\"code\":\"%s\"}",
                 status, w->plan.problem);
    }
    answer(w, status, body);
}

static void new_pair(struct world *w)
{
    w->pair++;
    snprintf(w->access, sizeof w->access, "access.%u.aaaa-_", w->pair);
    snprintf(w->refresh, sizeof w->refresh, "refresh.%u.bbbb-_", w->pair);
}

static void pair_text(struct world *w, const char *type, char *out, size_t cap)
{
    struct writer body = writer_on(out, cap);
    token_pair_write(&body, type, w->access, w->refresh,
                     w->plan.expires_in != 0 ? w->plan.expires_in : 3600);
    assert_int_equal(writer_end(&body), TEDDY_OK);
}

static void give_pair(struct world *w)
{
    char text[1024];
    new_pair(w);
    pair_text(w, NULL, text, sizeof text);
    answer(w, 200, text);
}

static void on_claim(struct world *w, struct span body)
{
    struct claim claim;
    unsigned bad = 0;
    uint8_t message[CLAIM_SIGNED_MAX], mac[32];
    assert_int_equal(claim_read(body, &claim, &bad), TEDDY_OK);
    assert_string_equal(claim.device_id, w->config.device_id);
    assert_string_equal(claim.child_id, w->config.child_id);
    assert_int_equal(strlen(claim.nonce), 24);
    size_t len = claim_signed_bytes(claim.device_id, claim.child_id, claim.nonce, false, message);
    server_hmac(message, len, mac);
    assert_true(claim.mac_well_formed && memcmp(mac, claim.mac, 32) == 0);
    for (unsigned i = 0; i < w->claims && i < 64; i++) {
        assert_string_not_equal(w->nonces[i], claim.nonce);
    }
    if (w->claims < 64) {
        snprintf(w->nonces[w->claims], sizeof w->nonces[0], "%.32s", claim.nonce);
    }
    w->claims++;
    if (w->plan.claim_status != 0) {
        problem(w, w->plan.claim_status);
    } else {
        give_pair(w);
        w->claim_len = w->total_out;
    }
}

static void on_refresh(struct world *w, struct span body)
{
    char token[LIMIT_TOKEN_LEN + 1], text[1024];
    assert_int_equal(refresh_read(body, token), TEDDY_OK);
    w->refreshes++;
    bool spent = strcmp(token, w->spent) == 0, last = strcmp(token, w->refresh) == 0;
    snprintf(w->spent, sizeof w->spent, "%.63s", token);
    if (w->plan.refresh_status != 0) {
        problem(w, w->plan.refresh_status);
    } else if (w->plan.strict && spent) {
        pair_text(w, NULL, text, sizeof text); /* its answer was lost: the same successor again */
        answer(w, 200, text);
    } else if (w->plan.strict && !last) {
        problem(w, 401);
    } else {
        give_pair(w);
    }
}

static void on_upgrade(struct world *w, const struct http_head *head)
{
    struct span key, auth;
    char text[512], want[128], accept[WS_ACCEPT_LEN + 1];
    uint8_t digest[20];
    snprintf(want, sizeof want, "Bearer %s", w->access);
    snprintf(text, sizeof text, "/ws/esp32/%s", w->config.device_id);
    assert_true(span_is(head->target, text));
    assert_int_equal(http1_field(head, "Sec-WebSocket-Key", &key), 1);
    assert_int_equal(http1_field(head, "Authorization", &auth), 1);
    assert_true(ws_key_ok(key));
    /* What is presented was saved before, unless saving failed. */
    if (w->save_rc == TEDDY_OK && w->record_len[TEDDY_RECORD_TOKENS] != 0) {
        assert_non_null(memmem(w->records[TEDDY_RECORD_TOKENS], w->record_len[TEDDY_RECORD_TOKENS],
                               auth.p + 7, auth.len - 7));
    }
    w->upgrades++;
    w->stale = w->plan.strict && !span_is(auth, want);
    if (w->plan.upgrade_status != 0) {
        problem(w, w->plan.upgrade_status);
        return;
    }
    snprintf(text, sizeof text, "%.*s" WS_GUID, (int)key.len, key.p);
    server_sha1((const uint8_t *)text, strlen(text), digest);
    ws_accept(digest, accept);
    accept[3] = w->plan.bad_upgrade == 1 ? '!' : accept[3];
    snprintf(text, sizeof text,
             "HTTP/1.1 101 Switching Protocols\r\n%s%s%s%sSec-WebSocket-Accept: %s\r\n\r\n",
             w->plan.bad_upgrade == 2 ? "" : "Connection: keep-alive, Upgrade\r\n",
             w->plan.bad_upgrade == 3 ? "" : "Upgrade: WebSocket\r\n",
             w->plan.bad_upgrade == 4 ? "Sec-WebSocket-Extensions: permessage-deflate\r\n" : "",
             w->plan.bad_upgrade == 5 ? "Sec-WebSocket-Protocol: teddy\r\n" : "", accept);
    text_out(w, text);
    w->upgraded = true;
    w->upgraded_at = w->now;
    ws_decoder_init(&w->decoder, true, sizeof w->message - 1);
    if (w->plan.raw_session != NULL) {
        server_bytes(w, w->plan.raw_session, w->plan.raw_session_len);
    }
}

static void closes(struct world *w)
{
    server_close(w, w->plan.close_code, w->plan.close_reason);
}

static void on_say(struct world *w, const char *id, const char *text)
{
    char quoted[2048], message[4096];
    struct writer q = writer_on(quoted, sizeof quoted);
    writer_json_string(&q, (struct span){text, strlen(text) < 200 ? strlen(text) : 200});
    assert_int_equal(writer_end(&q), TEDDY_OK);
    snprintf(w->said_ids[w->says % 512], sizeof w->said_ids[0], "%.23s", id);
    snprintf(w->said_text, sizeof w->said_text, "%.500s", text);
    uint64_t sum = 14695981039346656037u;
    for (const char *p = text; *p != '\0'; p++) {
        sum = (sum ^ (uint8_t)*p) * 1099511628211u;
    }
    w->said_sums[w->says % 512] = sum;
    w->says++;
    w->seq++;
    if (w->plan.close_on_say) {
        closes(w);
    } else if (w->plan.said_error != NULL) {
        snprintf(message, sizeof message,
                 "{\"type\":\"error\",\"seq\":%u,\"id\":\"%s\",\"code\":\"%s\",\"detail\":\"no\"}",
                 (unsigned)w->seq, id, w->plan.said_error);
        server_text(w, message);
    } else if (!w->plan.no_echo) {
        snprintf(message, sizeof message,
                 "{\"type\":\"echo\",\"seq\":%u,\"id\":\"%s\",\"text\":%s}", (unsigned)w->seq, id,
                 quoted);
        server_text(w, message);
        snprintf(message, sizeof message,
                 "{\"type\":\"reply\",\"seq\":%u,\"id\":\"%s\",\"text\":%s,\"done\":true}",
                 (unsigned)w->seq, id, quoted);
        server_text(w, message);
    }
}

static void queue_out(struct world *w, unsigned i)
{
    char text[256];
    snprintf(text, sizeof text, "{\"type\":\"message\",\"id\":\"%s\",%s}", w->queue_id[i],
             w->queue[i]);
    server_text(w, text);
}

void server_queue(struct world *w, const char *id, const char *members)
{
    assert_true(w->queued < WORLD_QUEUE);
    snprintf(w->queue_id[w->queued], sizeof w->queue_id[0], "%s", id);
    snprintf(w->queue[w->queued], sizeof w->queue[0], "%s", members);
    w->queued++;
    if (w->open && w->greeted && !w->gone) {
        queue_out(w, w->queued - 1);
    }
}

/* The toy has this message, and all before. */
static void queue_acked(struct world *w, const char *id)
{
    struct downlink_id acked, each;
    unsigned kept = 0;
    assert_int_equal(downlink_id_parse(span_of(id), &acked), TEDDY_OK);
    for (unsigned i = 0; i < w->queued; i++) {
        if (downlink_id_parse(span_of(w->queue_id[i]), &each) != TEDDY_OK ||
            downlink_id_compare(&each, &acked) > 0) {
            memmove(w->queue_id[kept], w->queue_id[i], sizeof w->queue_id[0]);
            memmove(w->queue[kept++], w->queue[i], sizeof w->queue[0]);
        }
    }
    w->queued = kept;
}

static void on_hello(struct world *w)
{
    char text[256];
    w->hellos++;
    if (w->stale) {
        server_close(w, WS_CLOSE_POLICY, "token_expired");
        return;
    }
    if (w->plan.close_code != 0 && !w->plan.close_on_say && w->plan.lasts_ms == 0) {
        closes(w);
        return;
    }
    snprintf(text, sizeof text,
             "{\"type\":\"welcome\",\"session\":\"s1\",\"heartbeat_s\":%u,\"time\":%llu,"
             "\"resumed\":false,\"id\":\"none\",\"code\":\"of\",\"text\":\"it\",\"seq\":1,\"done\":"
             "true}",
             (unsigned)(w->plan.heartbeat_s != 0 ? w->plan.heartbeat_s : 30),
             (unsigned long long)(w->plan.time != 0 ? w->plan.time : w->wall));
    server_text(w, text);
    w->greeted = true;
    if (w->last[0] != '\0') {
        queue_acked(w, w->last);
    }
    for (unsigned i = 0; i < w->queued; i++) {
        queue_out(w, i);
    }
}

static void on_json(struct world *w, struct span json)
{
    struct json_object o;
    char type[20], id[24] = "", text[4200] = "", pair[1024];
    size_t len;
    assert_int_equal(json_parse(json, &o), TEDDY_OK);
    assert_int_equal(json_string(&o, "type", type, sizeof type, &len), TEDDY_OK);
    if (strcmp(type, "hello") == 0) {
        w->last[0] = '\0';
        (void)!json_string(&o, "last", w->last, sizeof w->last, &len);
        on_hello(w);
    } else if (strcmp(type, "ack") == 0) {
        w->acks++;
        assert_int_equal(json_string(&o, "id", w->acked, sizeof w->acked, &len), TEDDY_OK);
        queue_acked(w, w->acked);
    } else if (strcmp(type, "telemetry") == 0) {
        w->telemetry++;
        assert_in_range(json.len, 1, sizeof w->report - 1);
        snprintf(w->report, sizeof w->report, "%.*s", (int)json.len, json.p);
    } else if (strcmp(type, "text") == 0) {
        assert_int_equal(json_string(&o, "id", id, sizeof id, &len), TEDDY_OK);
        assert_int_equal(json_string(&o, "text", text, sizeof text, &len), TEDDY_OK);
        on_say(w, id, text);
    } else if (strcmp(type, "refresh") == 0) {
        w->inband++;
        assert_int_equal(json_string(&o, "refresh", w->spent, sizeof w->spent, &len), TEDDY_OK);
        if (!w->plan.no_tokens) {
            new_pair(w);
            pair_text(w, "tokens", pair, sizeof pair);
            server_text(w, pair);
        }
    } else {
        fail_msg("the toy said %s", type);
    }
}

static void on_message(struct world *w)
{
    struct span text = {w->message, w->message_len};
    w->message[w->message_len] = '\0';
    if (w->plan.mute) {
        return;
    }
    if (!json_looks_like_object(text)) {
        on_say(w, "", w->message);
    } else {
        on_json(w, text);
    }
}

static void on_frame(struct world *w, const struct ws_event *ev)
{
    struct span reason;
    if (ev->opcode == WS_PING) {
        w->pings++;
        if (!w->plan.no_pong) {
            server_frame(w, WS_PONG, true, ev->data, ev->len);
        }
    } else if (ev->opcode == WS_PONG) {
        w->pongs++;
    } else if (ev->opcode == WS_CLOSE) {
        ws_close_read(ev->data, ev->len, &w->toy_close, &reason);
        w->gone = true;
    } else {
        assert_int_equal(ev->opcode, WS_TEXT);
        w->message_len = ev->first ? 0 : w->message_len;
        assert_true(w->message_len + ev->len < sizeof w->message);
        memcpy(w->message + w->message_len, ev->data, ev->len);
        w->message_len += ev->len;
        if (ev->last) {
            on_message(w);
        }
    }
}

/* Each frame of the toy is masked, and each mask is new. */
static void mask_seen(struct world *w, const uint8_t *frame)
{
    size_t len = frame[1] & 0x7f;
    const uint8_t *mask = frame + (len == 126 ? 4 : len == 127 ? 10 : 2);
    w->same_masks += memcmp(mask, w->last_mask, 4) == 0;
    w->frames++;
    memcpy(w->last_mask, mask, 4);
}

static void session_feed(struct world *w)
{
    size_t at = 0;
    while (!w->gone) {
        struct ws_event ev;
        size_t used = 0;
        bool head = w->decoder.frame_left == 0;
        uint8_t copy[14] = {0};
        memcpy(copy, w->in + at, w->in_len - at < 14 ? w->in_len - at : 14);
        int rc = ws_decode(&w->decoder, w->in + at, w->in_len - at, &used, &ev);
        if (rc == TEDDY_OK && head) {
            mask_seen(w, copy);
        }
        at += used;
        if (rc == TEDDY_AGAIN) {
            break;
        }
        assert_int_equal(rc, TEDDY_OK);
        on_frame(w, &ev);
    }
    memmove(w->in, w->in + at, w->in_len - at);
    w->in_len -= at;
}

static void request_feed(struct world *w)
{
    struct http_head head;
    size_t used;
    enum http_body kind;
    uint64_t length = 0;
    int rc = http1_request((const char *)w->in, w->in_len, LIMIT_HTTP_HEAD, &head, &used);
    if (rc == TEDDY_AGAIN) {
        return;
    }
    assert_int_equal(rc, TEDDY_OK);
    assert_int_equal(http1_body(&head, false, &kind, &length), TEDDY_OK);
    if (w->in_len - used < length) {
        return;
    }
    struct span body = {(const char *)w->in + used, (size_t)length}, host;
    assert_int_equal(w->in_len, used + length);
    assert_int_equal(http1_field(&head, "Host", &host), 1);
    assert_true(span_is(host, w->config.server_url + strlen("https://")));
    assert_int_equal(head.minor, span_is(head.method, "GET") ? 1 : 0);
    w->in_len = 0;
    if (w->plan.raw_answer != NULL) {
        text_out(w, w->plan.raw_answer);
        w->gone = !w->plan.stall;
    } else if (span_is(head.target, ENDPOINT_CLAIM)) {
        on_claim(w, body);
    } else if (span_is(head.target, ENDPOINT_REFRESH)) {
        on_refresh(w, body);
    } else {
        on_upgrade(w, &head);
    }
}

void server_feed(struct world *w, const uint8_t *data, size_t len)
{
    if (w->gone) {
        return;
    }
    assert_true(len <= sizeof w->in - w->in_len);
    memcpy(w->in + w->in_len, data, len);
    w->in_len += len;
    if (w->upgraded) {
        session_feed(w);
    } else {
        request_feed(w);
    }
}

void server_tick(struct world *w)
{
    if (w->open && w->upgraded && !w->gone && w->plan.lasts_ms != 0 &&
        w->now - w->upgraded_at >= w->plan.lasts_ms) {
        closes(w);
    }
}

uint64_t server_next(const struct world *w)
{
    bool planned = w->open && w->upgraded && !w->gone && w->plan.lasts_ms != 0;
    return planned ? w->upgraded_at + w->plan.lasts_ms : 0;
}
