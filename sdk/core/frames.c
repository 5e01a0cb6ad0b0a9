/* The session's output: one frame at a time, made piece by piece into a small chunk, masked as it
 * is made. */
#include "core.h"
#include "proto/text.h"
#include "teddy/version.h"

#define ESCAPE_MAX 6
#define HEAD_MAX   208 /* hello with a firmware of 32 characters, each escaped to two, and an id */

static size_t escape_byte(uint8_t byte, uint8_t out[ESCAPE_MAX])
{
    static const char digits[] = "0123456789abcdef";
    if (byte >= 0x20 && byte != '"' && byte != '\\') {
        out[0] = byte;
        return 1;
    }
    out[0] = '\\';
    if (byte >= 0x20) {
        out[1] = byte;
        return 2;
    }
    memcpy(out + 1, "u00", 3);
    out[4] = (uint8_t)digits[byte >> 4];
    out[5] = (uint8_t)digits[byte & 15];
    return ESCAPE_MAX;
}

static void put(struct teddy_frame *f, const void *data, size_t len)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < len; i++) {
        f->chunk[f->len++] = p[i] ^ f->mask[f->mask_at];
        f->mask_at = (f->mask_at + 1) & 3;
    }
}

static void refill(struct teddy_frame *f)
{
    f->len = 0;
    f->at = 0;
    while (f->body_at < f->body_len && f->len + ESCAPE_MAX <= sizeof f->chunk) {
        uint8_t out[ESCAPE_MAX] = {f->body[f->body_at]};
        put(f, out, f->escape ? escape_byte(f->body[f->body_at], out) : 1);
        f->body_at++;
    }
    size_t tail = strlen(f->tail);
    if (f->body_at == f->body_len && f->len + tail <= sizeof f->chunk) {
        put(f, f->tail, tail);
        f->unfinished = false;
    }
}

static uint64_t body_size(const struct teddy_frame *f)
{
    uint64_t size = 0;
    uint8_t out[ESCAPE_MAX];
    for (size_t i = 0; i < f->body_len; i++) {
        size += f->escape ? escape_byte(f->body[i], out) : 1;
    }
    return size;
}

/* Begins a frame of head, then f's body and tail as they were set, under a mask of its own. */
static int begin(struct teddy_client *c, enum sdk_frame_kind kind, uint8_t opcode, const void *head,
                 size_t head_len)
{
    struct teddy_frame *f = &c->frame;
    if (c->port->random(c->ctx, f->mask, sizeof f->mask) != TEDDY_OK) {
        return TEDDY_EIO;
    }
    uint64_t total = head_len + body_size(f) + strlen(f->tail);
    f->at = 0;
    f->len = ws_header(f->chunk, opcode, total, f->mask);
    f->mask_at = 0;
    f->kind = (uint8_t)kind;
    f->unfinished = f->body_len > 0 || f->tail[0] != '\0';
    put(f, head, head_len);
    c->wanted &= (uint8_t)~kind;
    c->moved_at = c->now;
    return TEDDY_OK;
}

static int begin_close(struct teddy_client *c)
{
    uint8_t payload[WS_CONTROL_MAX];
    size_t len = 0;
    if (c->our_close != WS_CLOSE_NO_STATUS) {
        len = ws_close_payload(payload, c->our_close, span_of(""));
    }
    return begin(c, SDK_FRAME_CLOSE, WS_CLOSE, payload, len);
}

static int begin_hello(struct teddy_client *c)
{
    char head[HEAD_MAX];
    struct writer w = writer_on(head, sizeof head);
    writer_text(&w, "{\"type\":\"hello\",\"sdk\":\"" TEDDY_SDK_VERSION "\"");
    if (c->config.firmware != NULL) {
        writer_text(&w, ",\"firmware\":");
        writer_json_string(&w, span_of(c->config.firmware));
    }
    writer_text(&w, ",\"max\":");
    writer_u64(&w, c->decoder.max_message);
    if (c->last.epoch != 0) {
        writer_text(&w, ",\"last\":\"");
        downlink_id_write(&w, &c->last);
        writer_text(&w, "\"");
    }
    writer_text(&w, "}");
    return w.overflow ? TEDDY_ENOSPC : begin(c, SDK_FRAME_HELLO, WS_TEXT, head, w.len);
}

static int begin_ack(struct teddy_client *c)
{
    char head[64];
    struct writer w = writer_on(head, sizeof head);
    writer_text(&w, "{\"type\":\"ack\",\"id\":\"");
    downlink_id_write(&w, &c->last);
    writer_text(&w, "\"}");
    return begin(c, SDK_FRAME_ACK, WS_TEXT, head, w.len);
}

static int begin_refresh(struct teddy_client *c)
{
    static const char head[] = "{\"type\":\"refresh\",\"refresh\":\"";
    c->frame.body = (const uint8_t *)sdk_token(c);
    c->frame.body_len = strlen(sdk_token(c));
    c->frame.tail = "\"}";
    c->refresh_sent = true;
    c->refresh_at = c->now + 2 * (uint64_t)c->config.step_timeout_ms;
    return begin(c, SDK_FRAME_REFRESH, WS_TEXT, head, sizeof head - 1);
}

/* A report is its own object, with `type` put before its members. */
static int begin_report(struct teddy_client *c)
{
    static const char head[] = "{\"type\":\"telemetry\",";
    c->frame.body++;
    c->frame.body_len--;
    c->head_sent = true;
    return begin(c, SDK_FRAME_SAY, WS_TEXT, head, sizeof head - 1);
}

static int begin_say(struct teddy_client *c)
{
    struct teddy_frame *f = &c->frame;
    char head[64], number[21];
    struct sdk_entry entry;
    struct writer w = writer_on(head, sizeof head);
    if (!sdk_head(c, &entry, &f->body)) {
        return TEDDY_ENOTFOUND;
    }
    f->body_len = entry.len;
    if (entry.kind == SDK_REPORT) {
        return begin_report(c);
    }
    if (c->welcomed) {
        sdk_decimal(entry.id, number);
        writer_text(&w, "{\"type\":\"text\",\"id\":\"");
        writer_text(&w, number);
        writer_text(&w, "\",\"text\":\"");
        f->escape = true;
        f->tail = "\"}";
    }
    c->head_sent = true;
    c->says++;
    return begin(c, SDK_FRAME_SAY, WS_TEXT, head, w.len);
}

static bool say_due(struct teddy_client *c)
{
    struct sdk_entry head;
    if (c->online_at == 0 || c->now < c->say_at || !sdk_head(c, &head, NULL)) {
        return false;
    }
    if (head.kind == SDK_SAY || c->welcomed) {
        return true;
    }
    sdk_session_said(c); /* an older server takes no reports */
    return sdk_head(c, &head, NULL);
}

/* Begins the next frame that is owed. TEDDY_ENOTFOUND: there is none. */
static int begin_next(struct teddy_client *c)
{
    struct teddy_frame *f = &c->frame;
    *f = (struct teddy_frame){.tail = ""};
    if (c->stage == SDK_CLOSING || (c->wanted & SDK_FRAME_CLOSE) != 0) {
        return (c->wanted & SDK_FRAME_CLOSE) != 0 ? begin_close(c) : TEDDY_ENOTFOUND;
    }
    if (c->wanted & SDK_FRAME_PONG) {
        return begin(c, SDK_FRAME_PONG, WS_PONG, c->pong, c->pong_len);
    }
    if (c->wanted & SDK_FRAME_HELLO) {
        return begin_hello(c);
    }
    if (c->wanted & SDK_FRAME_PING) {
        return begin(c, SDK_FRAME_PING, WS_PING, "", 0);
    }
    if (c->wanted & SDK_FRAME_REFRESH) {
        return begin_refresh(c);
    }
    if (c->wanted & SDK_FRAME_ACK) {
        return begin_ack(c);
    }
    return say_due(c) ? begin_say(c) : TEDDY_ENOTFOUND;
}

static void finish_say(struct teddy_client *c)
{
    struct sdk_entry head;
    bool report = sdk_head(c, &head, NULL) && head.kind == SDK_REPORT;
    if (c->head_done || report) {
        sdk_session_said(c);
        return;
    }
    unsigned doublings = c->says < 4 ? c->says - 1u : 3;
    c->say_at = c->now + ((uint64_t)c->config.echo_timeout_ms << doublings);
}

static void finish(struct teddy_client *c)
{
    uint8_t kind = c->frame.kind;
    c->frame.kind = 0;
    if (kind == SDK_FRAME_REFRESH) {
        wipe(c->rx, c->rx_len); /* held for the token alone */
        c->hold = SDK_HOLD_NONE;
        c->more = true;
    } else if (kind == SDK_FRAME_SAY) {
        finish_say(c);
    }
}

bool sdk_frames_saying(const struct teddy_client *c)
{
    return c->frame.kind == SDK_FRAME_SAY;
}

static int flush(struct teddy_client *c)
{
    struct teddy_frame *f = &c->frame;
    while (f->at < f->len) {
        size_t sent = 0;
        int rc = c->port->send(c->ctx, f->chunk + f->at, f->len - f->at, &sent);
        if (rc != TEDDY_OK) {
            return rc;
        }
        if (sent == 0 || sent > f->len - f->at) {
            return TEDDY_EIO;
        }
        f->at += sent;
        c->moved_at = c->now;
    }
    return TEDDY_OK;
}

int sdk_frames_pump(struct teddy_client *c)
{
    for (;;) {
        int rc = flush(c);
        if (rc != TEDDY_OK) {
            return rc;
        }
        if (c->frame.unfinished) {
            refill(&c->frame);
            continue;
        }
        if (c->frame.kind != 0) {
            finish(c);
        }
        rc = begin_next(c);
        if (rc != TEDDY_OK) {
            return rc == TEDDY_ENOTFOUND ? TEDDY_OK : rc;
        }
    }
}
