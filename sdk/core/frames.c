/* The session's output: one frame at a time, in a small chunk. A message that is longer goes out in
 * several, as fragments. */
#include "core.h"
#include "proto/text.h"
#include "teddy/version.h"

#define ESCAPE_MAX    6
#define HEADER_MAX    8 /* of a frame in a chunk: two bytes tell its length, four are the mask */
#define DOUBLINGS_MAX 3 /* of the wait for an echo */

_Static_assert(sizeof((struct teddy_frame *)0)->chunk <= HEADER_MAX + UINT16_MAX,
               "the length of what a chunk holds is two bytes");

/* Appends what there is room for of the body, and of a quoted one the end of its object. */
static void append_body(struct teddy_frame *f, struct writer *w)
{
    for (; f->body_len > 0 && w->cap - w->len >= ESCAPE_MAX; f->body++, f->body_len--) {
        if (f->quoted) {
            writer_json_byte(w, *f->body);
        } else {
            writer_bytes(w, f->body, 1);
        }
    }
    f->unfinished = w->cap - w->len < ESCAPE_MAX;
    if (f->quoted && !f->unfinished) {
        writer_text(w, "\"}");
    }
}

/* Makes a frame of what was written, under a mask of its own. */
static int seal(struct teddy_client *c, uint8_t opcode, const struct writer *w)
{
    struct teddy_frame *f = &c->frame;
    uint8_t header[WS_HEADER_MAX], mask[4];
    if (w->overflow) {
        return TEDDY_ENOSPC;
    }
    if (c->port->random(c->ctx, mask, sizeof mask) != TEDDY_OK) {
        return TEDDY_EIO;
    }
    size_t len = ws_header(header, opcode, w->len, mask);
    if (f->unfinished) {
        header[0] = opcode; /* without the FIN */
    }
    f->at = HEADER_MAX - len;
    f->len = HEADER_MAX + w->len;
    memcpy(f->chunk + f->at, header, len);
    ws_mask(f->chunk + HEADER_MAX, w->len, mask);
    c->moved_at = c->now;
    return TEDDY_OK;
}

static void write_close(struct teddy_client *c, struct writer *w)
{
    const uint8_t code[] = {(uint8_t)(c->our_close >> 8), (uint8_t)c->our_close};
    if (c->our_close != WS_CLOSE_NO_STATUS) {
        writer_bytes(w, code, sizeof code);
    }
}

static void write_hello(struct teddy_client *c, struct writer *w)
{
    char max[21];
    sdk_decimal(c->decoder.max_message, max);
    writer_text(w, "{\"type\":\"hello\"");
    if (c->config.firmware != NULL) {
        sdk_write(w, ",\"firmware\":\"%\"", &c->config.firmware);
    }
    if (c->last.epoch != 0) {
        c->queue->write_id(w, ",\"last\":\"%\"", &c->last);
    }
    sdk_write(w, ",\"sdk\":\"" TEDDY_SDK_VERSION "\",\"max\":%}", (const char *[]){max});
}

/* The body stands within a string, the object's last. */
static void write_refresh(struct teddy_client *c, struct writer *w)
{
    writer_text(w, "{\"type\":\"refresh\",\"refresh\":\"");
    c->frame.body = (const uint8_t *)sdk_token(c);
    c->frame.body_len = strlen(sdk_token(c));
    c->frame.quoted = true;
    c->refresh_sent = true;
    c->refresh_at = c->now + 2 * c->times.step_timeout_ms;
}

static void write_say(struct teddy_client *c, struct writer *w)
{
    struct teddy_frame *f = &c->frame;
    struct sdk_entry head;
    char id[21];
    memcpy(&head, c->outbox.buf, sizeof head); /* say_due has seen it */
    f->body = c->outbox.buf + TEDDY_OUTBOX_ENTRY;
    f->body_len = head.len;
    c->head_sent = true;
    if (head.kind == SDK_REPORT) { /* its own object, with `type` put before its members */
        writer_text(w, "{\"type\":\"telemetry\",");
        f->body++;
        f->body_len--;
        return;
    }
    c->says++;
    sdk_decimal(head.id, id);
    sdk_write(w, "{\"type\":\"text\",\"id\":\"%\",\"text\":\"", (const char *[]){id});
    f->quoted = true;
}

static bool say_due(const struct teddy_client *c)
{
    return c->online && c->outbox.count > 0 && sdk_due(c, c->say_at);
}

/* The frame that is owed next, or 0. */
static uint32_t next_kind(struct teddy_client *c)
{
    /* An ack names the last message taken: it waits until that one is kept, too. */
    uint32_t wanted = c->wanted & ~(c->unkept ? (uint32_t)SDK_FRAME_ACK : 0);
    uint32_t first = wanted & -wanted;
    if (c->stage == SDK_CLOSING) {
        return first & SDK_FRAME_CLOSE;
    }
    return first == 0 && say_due(c) ? SDK_FRAME_SAY : first;
}

/* Writes the payload, or what stands before its body; returns the opcode. */
static uint8_t write_payload(struct teddy_client *c, uint32_t kind, struct writer *w)
{
    switch (kind) {
    case SDK_FRAME_CLOSE:
        write_close(c, w);
        return WS_CLOSE;
    case SDK_FRAME_PONG:
        writer_bytes(w, c->frame.pong, c->frame.pong_len);
        return WS_PONG;
    case SDK_FRAME_PING:
        return WS_PING;
    case SDK_FRAME_HELLO:
        write_hello(c, w);
        break;
    case SDK_FRAME_REFRESH:
        write_refresh(c, w);
        break;
    case SDK_FRAME_ACK:
        c->queue->write_id(w, "{\"type\":\"ack\",\"id\":\"%\"}", &c->last);
        break;
    default:
        write_say(c, w);
        break;
    }
    return WS_TEXT;
}

/* Begins the next message that is owed; returns its opcode, or WS_CONTINUATION when there is none.
 */
static uint8_t begin_next(struct teddy_client *c, struct writer *w)
{
    struct teddy_frame *f = &c->frame;
    uint32_t kind = next_kind(c);
    f->kind = kind;
    c->wanted &= ~kind;
    return kind == 0 ? WS_CONTINUATION : write_payload(c, kind, w);
}

static void finish_say(struct teddy_client *c)
{
    if (c->head_done || c->says == 0) { /* echoed meanwhile; or a report, which never is */
        sdk_session_said(c);
        return;
    }
    c->say_at = c->now + (c->times.echo_timeout_ms << sdk_least(c->says - 1u, DOUBLINGS_MAX));
}

static void finish(struct teddy_client *c)
{
    uint32_t kind = c->frame.kind;
    c->frame.kind = 0;
    c->frame.quoted = false; /* and no body is left */
    if (kind == SDK_FRAME_REFRESH) {
        wipe(c->rx, c->rx_len); /* held for the token alone */
        wipe(c->frame.chunk, sizeof c->frame.chunk);
        c->hold = SDK_HOLD_NONE;
        c->more = true;
    } else if (kind == SDK_FRAME_SAY) {
        c->more = true; /* what expired meanwhile could not be dropped */
        finish_say(c);
    }
}

bool sdk_frames_saying(const struct teddy_client *c)
{
    return c->frame.kind == SDK_FRAME_SAY;
}

int sdk_frames_pump(struct teddy_client *c)
{
    struct teddy_frame *f = &c->frame;
    int rc;
    while ((rc = sdk_send(c, f->chunk, f->len, &f->at)) == TEDDY_OK) {
        struct writer w = writer_on((char *)f->chunk + HEADER_MAX, sizeof f->chunk - HEADER_MAX);
        uint8_t opcode = WS_CONTINUATION;
        if (!f->unfinished) {
            finish(c);
            opcode = begin_next(c, &w);
            if (opcode == WS_CONTINUATION) {
                break;
            }
        }
        append_body(f, &w);
        rc = seal(c, opcode, &w);
        if (rc != TEDDY_OK) {
            break;
        }
    }
    return rc;
}
