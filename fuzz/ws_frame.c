/* The frame decoder. Input: one byte of flags (bit 0: frames are masked), one for the size of the
 * pieces, two for the largest message, then what came over the wire. */
#include "fuzz.h"
#include "proto/ws.h"

#define ROOM (1 << 18)

/* What was heard: each whole message or control frame as opcode, length (4 bytes) and payload. */
struct heard {
    uint8_t log[ROOM];
    size_t log_len;
    uint8_t message[ROOM]; /* the open one */
    size_t message_len;
    int err;
};

static void record(struct heard *h, uint8_t opcode, const uint8_t *data, size_t len)
{
    uint32_t n = (uint32_t)len;

    HOLDS(sizeof h->log - h->log_len >= 5 + len);
    h->log[h->log_len++] = opcode;
    memcpy(h->log + h->log_len, &n, 4);
    h->log_len += 4;
    if (len > 0)
        memcpy(h->log + h->log_len, data, len);
    h->log_len += len;
}

static void check_close(const struct ws_event *ev)
{
    uint8_t again[WS_CONTROL_MAX];
    struct span reason, word;
    uint32_t retry_ms;
    uint16_t code;

    ws_close_read(ev->data, ev->len, &code, &reason);
    ws_reason_read(reason, &word, &retry_ms);
    HOLDS(ws_close_payload(again, code, reason) == ev->len);
    HOLDS(memcmp(again, ev->data, ev->len) == 0);
}

static void hear(struct heard *h, const struct ws_event *ev, uint32_t max)
{
    if (ev->opcode >= WS_CLOSE) {
        HOLDS(ev->first && ev->last && ev->len <= WS_CONTROL_MAX);
        if (ev->opcode == WS_CLOSE)
            check_close(ev);
        record(h, ev->opcode, ev->data, ev->len);
        return;
    }
    HOLDS(ev->opcode == WS_TEXT || ev->opcode == WS_BINARY);
    if (ev->first)
        h->message_len = 0;
    HOLDS(h->message_len + ev->len <= max);
    if (ev->len > 0)
        memcpy(h->message + h->message_len, ev->data, ev->len);
    h->message_len += ev->len;
    if (!ev->last)
        return;
    HOLDS(ev->opcode == WS_BINARY || utf8_ok(h->message, h->message_len));
    record(h, ev->opcode, h->message, h->message_len);
    h->message_len = 0;
}

/* Decodes in pieces; what a piece leaves is given again before the next. */
static void decode(struct heard *h, bool masked, uint32_t max, const uint8_t *in, size_t len,
                   size_t step)
{
    struct ws_decoder d;
    size_t fed = 0, at = 0;

    ws_decoder_init(&d, masked, max);
    h->log_len = h->message_len = 0;
    h->err = TEDDY_AGAIN;
    while (fed < len && h->err >= 0) {
        uint8_t *block;
        size_t pos = 0, used;
        struct ws_event ev;

        fed = len - fed < step ? len : fed + step;
        block = heap_copy(in + at, fed - at);
        do {
            h->err = ws_decode(&d, block + pos, fed - at - pos, &used, &ev);
            HOLDS(used <= fed - at - pos);
            if (h->err == TEDDY_OK) {
                HOLDS(ev.data >= block + pos && ev.data + ev.len <= block + pos + used);
                hear(h, &ev, max);
            }
            pos += used;
        } while (h->err == TEDDY_OK);
        at += pos;
        free(block);
    }
}

/* Writes everything heard as the other end would. */
static size_t encode(const struct heard *h, bool masked, uint8_t *out)
{
    static const uint8_t mask[4] = {0xde, 0xad, 0x00, 0xff};
    size_t n = 0;

    for (size_t at = 0; at < h->log_len;) {
        uint32_t len;

        memcpy(&len, h->log + at + 1, 4);
        n += ws_header(out + n, h->log[at], len, masked ? mask : NULL);
        memcpy(out + n, h->log + at + 5, len);
        if (masked)
            ws_mask(out + n, len, mask);
        n += len;
        at += 5 + len;
    }
    return n;
}

static void same(const struct heard *a, const struct heard *b)
{
    HOLDS(a->err == b->err);
    HOLDS(a->log_len == b->log_len && memcmp(a->log, b->log, a->log_len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct heard whole, pieces;
    static uint8_t again[2 * ROOM];
    bool masked;
    uint32_t max;
    size_t step;

    if (len < 4 || len > ROOM / 8)
        return 0;
    masked = data[0] & 1;
    step = (size_t)data[1] + 1;
    max = (uint32_t)data[2] << 8 | data[3];
    data += 4;
    len -= 4;
    decode(&whole, masked, max, data, len, len > 0 ? len : 1);
    decode(&pieces, masked, max, data, len, step);
    same(&whole, &pieces);
    decode(&pieces, masked, max, data, len, 1);
    same(&whole, &pieces);
    len = encode(&whole, !masked, again);
    whole.err = TEDDY_AGAIN;
    decode(&pieces, !masked, max, again, len, step);
    same(&whole, &pieces);
    return 0;
}
