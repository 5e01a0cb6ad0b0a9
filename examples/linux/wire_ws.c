#include "wire_ws.h"

#include <stdio.h>
#include <string.h>

#include "proto/text.h"

static bool accepted(struct wire *w, const struct answer *a, const char *key)
{
    char text[64], expected[WS_ACCEPT_LEN + 1];
    uint8_t digest[20];
    struct span got;
    int len = snprintf(text, sizeof text, "%s" WS_GUID, key);

    if (teddy_posix_port.sha1(w->port, (const uint8_t *)text, (size_t)len, digest) != TEDDY_OK)
        return false;
    ws_accept(digest, expected);
    return http1_field(&a->head, "Sec-WebSocket-Accept", &got) == 1 && span_is(got, expected) &&
           http1_field_has(&a->head, "Upgrade", "websocket") &&
           http1_field_has(&a->head, "Connection", "Upgrade");
}

void ws_open(struct wire *w, const char *target, const char *query_token, const char *bearer,
             struct answer *out)
{
    char lines[1024], path[1024], key[32];
    uint8_t nonce[16];

    memset(out, 0, sizeof *out);
    out->err = teddy_posix_port.random(w->port, nonce, sizeof nonce);
    if (out->err)
        return;
    base64_encode(nonce, sizeof nonce, key);
    snprintf(path, sizeof path, "%s%s%s", target, query_token ? "?token=" : "",
             query_token ? query_token : "");
    snprintf(lines, sizeof lines,
             "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: "
             "13\r\nSec-WebSocket-Key: %s\r\n%s%s%s",
             key, bearer ? "Authorization: Bearer " : "", bearer ? bearer : "",
             bearer ? "\r\n" : "");
    wire_request(w, "GET", path, lines, NULL, 0, out);
    wipe(path, sizeof path);
    wipe(lines, sizeof lines);
    ws_decoder_init(&w->decoder, false, LIMIT_WS_MESSAGE);
    if (!out->err && out->status == 101 && !accepted(w, out, key))
        out->err = TEDDY_EPROTO;
}

static int send_frame(struct wire *w, uint8_t first, uint64_t announced, const void *data,
                      size_t len)
{
    uint8_t frame[WS_HEADER_MAX + 8192], mask[4];
    size_t head;

    if (len > sizeof frame - WS_HEADER_MAX)
        return TEDDY_ETOOBIG;
    if (teddy_posix_port.random(w->port, mask, sizeof mask) != TEDDY_OK)
        return TEDDY_EIO;
    head = ws_header(frame, WS_TEXT, announced, mask);
    frame[0] = first;
    if (len > 0) {
        memcpy(frame + head, data, len);
        ws_mask(frame + head, len, mask);
    }
    return wire_send(w, frame, head + len);
}

int ws_send_raw(struct wire *w, uint8_t first, const void *data, size_t len)
{
    return send_frame(w, first, len, data, len);
}

int ws_send_text(struct wire *w, const char *text)
{
    return ws_send_raw(w, 0x80 | WS_TEXT, text, strlen(text));
}

int ws_announce(struct wire *w, uint8_t first, uint64_t len)
{
    return send_frame(w, first, len, NULL, 0);
}

static void take_close(struct incoming *in, const struct ws_event *ev)
{
    struct span reason, word;
    uint32_t retry_ms;

    ws_close_read(ev->data, ev->len, &in->code, &reason);
    ws_reason_read(reason, &word, &retry_ms);
    snprintf(in->word, sizeof in->word, "%.*s", (int)(word.len < 39 ? word.len : 39), word.p);
}

static void take_piece(struct incoming *in, const struct ws_event *ev)
{
    if (ev->first)
        in->text.len = 0;
    if (ev->len < sizeof in->text_bytes - in->text.len) {
        memcpy(in->text_bytes + in->text.len, ev->data, ev->len);
        in->text.len += ev->len;
    }
}

static void take_text(struct incoming *in)
{
    size_t len;

    memset(&in->json, 0, sizeof in->json);
    if (!json_looks_like_object(in->text) || json_parse(in->text, &in->json) != TEDDY_OK ||
        json_string(&in->json, "type", in->type, sizeof in->type, &len) != TEDDY_OK)
        in->type[0] = '\0';
}

/* True when *in is whole. */
static bool take(struct wire *w, struct incoming *in, const struct ws_event *ev)
{
    in->opcode = ev->opcode;
    switch (ev->opcode) {
    case WS_CLOSE:
        take_close(in, ev);
        (void)ws_send_raw(w, 0x80 | WS_CLOSE, ev->data, ev->len >= 2 ? 2 : 0);
        return true;
    case WS_PING:
        (void)ws_send_raw(w, 0x80 | WS_PONG, ev->data, ev->len);
        return false;
    case WS_TEXT:
    case WS_BINARY:
        take_piece(in, ev);
        if (ev->last && ev->opcode == WS_TEXT)
            take_text(in);
        return ev->last;
    default: /* a pong, with its payload as text */
        in->text.len = 0;
        take_piece(in, &(struct ws_event){.first = true, .data = ev->data, .len = ev->len});
        return true;
    }
}

void ws_next(struct wire *w, struct incoming *in, uint32_t patience_ms)
{
    uint64_t until = teddy_posix_now_ms() + patience_ms;

    in->code = 0;
    in->word[0] = in->type[0] = '\0';
    in->text = (struct span){in->text_bytes, 0};
    for (;;) {
        struct ws_event ev;
        size_t used = 0;
        uint64_t now = teddy_posix_now_ms();
        in->err = ws_decode(&w->decoder, w->buf + w->used, w->len - w->used, &used, &ev);
        w->used += used;
        if (in->err == TEDDY_OK && take(w, in, &ev))
            return;
        if (in->err == TEDDY_AGAIN)
            in->err = wire_more(w, until > now ? (uint32_t)(until - now) : 0);
        if (in->err != TEDDY_OK)
            return;
    }
}

void ws_await(struct wire *w, struct incoming *in, const char *type)
{
    do
        ws_next(w, in, WIRE_PATIENCE_MS);
    while (in->err == TEDDY_OK && in->opcode != WS_CLOSE && strcmp(in->type, type) != 0);
}

void ws_await_close(struct wire *w, struct incoming *in)
{
    do
        ws_next(w, in, WIRE_PATIENCE_MS);
    while (in->err == TEDDY_OK && in->opcode != WS_CLOSE);
}

void ws_member(const struct incoming *in, const char *name, char *out, size_t cap)
{
    size_t len;

    if (in->opcode != WS_TEXT || json_string(&in->json, name, out, cap, &len) != TEDDY_OK)
        out[0] = '\0';
}

uint64_t ws_number(const struct incoming *in, const char *name)
{
    uint64_t n;

    return in->opcode == WS_TEXT && json_u64(&in->json, name, &n) == TEDDY_OK ? n : 0;
}

bool ws_done(const struct incoming *in)
{
    const struct json_member *m = in->opcode == WS_TEXT ? json_find(&in->json, "done") : NULL;

    return m && m->type == JSON_TRUE;
}
