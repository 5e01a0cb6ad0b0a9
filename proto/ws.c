#include "proto/ws.h"

#include "proto/text.h"
#include "proto/word.h"

#define BIT_FIN     0x80u
#define BITS_RSV    0x70u
#define BITS_OPCODE 0x0Fu
#define BIT_CONTROL 0x08u
#define BIT_MASK    0x80u

/* A frame's header. */
struct header {
    uint8_t opcode;
    bool fin;
    uint32_t payload_len;
    size_t len; /* bytes of the header itself; 0: none, in the middle of a payload */
};

static void unmask(uint8_t *data, size_t len, const uint8_t mask[4], unsigned at)
{
    size_t i = 0;

    if (word_fits(len)) {
        uint8_t key[sizeof(uint64_t)];

        for (unsigned k = 0; k < sizeof key; k++)
            key[k] = mask[(at + k) % 4];
        for (; word_fits(len - i); i += sizeof(uint64_t)) {
            uint64_t word = word_at(data + i) ^ word_at(key);

            memcpy(data + i, &word, sizeof word);
        }
    }
    for (; i < len; i++)
        data[i] ^= mask[(at + i) % 4];
}

void ws_mask(uint8_t *data, size_t len, const uint8_t mask[4])
{
    unmask(data, len, mask, 0);
}

void ws_unmask_next(struct ws_decoder *d, uint8_t *data, size_t len, bool first)
{
    if (first) {
        memcpy(d->mask, data - sizeof d->mask, sizeof d->mask);
        d->mask_at = 0;
    }
    unmask(data, len, d->mask, d->mask_at);
    d->mask_at = (uint8_t)((d->mask_at + len) % sizeof d->mask);
}

static bool is_control(uint8_t opcode)
{
    return (opcode & BIT_CONTROL) != 0;
}

/* The first byte of a header, against the message that is open. */
static int check_opcode(const struct ws_decoder *d, uint8_t byte)
{
    uint8_t opcode = byte & BITS_OPCODE;

    if (byte & BITS_RSV)
        return TEDDY_EPROTO;
    if (is_control(opcode))
        return opcode <= WS_PONG && byte & BIT_FIN ? TEDDY_OK : TEDDY_EPROTO;
    return opcode <= WS_BINARY && (opcode == WS_CONTINUATION) == (d->opcode != 0) ? TEDDY_OK
                                                                                  : TEDDY_EPROTO;
}

/* The length of the payload; h->len grows by the bytes it took. */
static int read_length(const uint8_t *buf, size_t len, struct header *h)
{
    uint8_t small = buf[1] & 0x7F;
    size_t bytes = small == 126 ? 2 : 8;

    h->payload_len = small;
    if (small < 126)
        return TEDDY_OK;
    if (len < h->len + bytes)
        return TEDDY_AGAIN;
    /* The highest bit is none of the length (section 5.2). */
    if (bytes == 8 && buf[2] & 0x80)
        return TEDDY_EPROTO;
    h->payload_len = 0;
    for (size_t i = 0; i < bytes; i++) {
        if (h->payload_len >> 24)
            return TEDDY_ETOOBIG;
        h->payload_len = h->payload_len << 8 | buf[h->len++];
    }
    /* The shortest form is the only one. */
    return h->payload_len < (bytes == 2 ? 126 : 65536) ? TEDDY_EPROTO : TEDDY_OK;
}

/* Everything wrong is found at the first byte that shows it, however the input is cut. */
static int read_header(const struct ws_decoder *d, const uint8_t *buf, size_t len, struct header *h)
{
    int err;

    if (len == 0)
        return TEDDY_AGAIN;
    err = check_opcode(d, buf[0]);
    if (err != TEDDY_OK)
        return err;
    h->opcode = buf[0] & BITS_OPCODE;
    h->fin = (buf[0] & BIT_FIN) != 0;
    if (len < 2)
        return TEDDY_AGAIN;
    if (((buf[1] & BIT_MASK) != 0) != (d->unmask != NULL))
        return TEDDY_EPROTO;
    if (is_control(h->opcode) && (buf[1] & 0x7F) > WS_CONTROL_MAX)
        return TEDDY_EPROTO;
    h->len = 2;
    err = read_length(buf, len, h);
    if (err != TEDDY_OK)
        return err;
    if (!is_control(h->opcode) && h->payload_len > d->max_message - d->message_len)
        return TEDDY_ETOOBIG;
    if (d->unmask != NULL)
        h->len += sizeof d->mask;
    return len < h->len ? TEDDY_AGAIN : TEDDY_OK;
}

/* Section 7.4, what may stand on the wire: of 1000 to 1014 a bit each, and 3000 to 4999. */
static bool close_code_ok(unsigned code)
{
    const unsigned registered = 0x7F8F;

    return (code - 1000 < 15 && registered >> (code - 1000) & 1) || code - 3000 < 2000;
}

static int check_close(const uint8_t *data, size_t len)
{
    if (len == 0)
        return TEDDY_OK;
    if (len == 1 || !close_code_ok(data[0] * 256u + data[1]))
        return TEDDY_EPROTO;
    return utf8_ok(data + 2, len - 2) ? TEDDY_OK : TEDDY_EUTF8;
}

/* Begins a data frame. The message's opcode is set until its last piece is taken. */
static void begin_frame(struct ws_decoder *d, const struct header *h)
{
    if (h->opcode != WS_CONTINUATION)
        d->opcode = h->opcode;
    d->fin = h->fin;
    d->message_len += h->payload_len; /* at most max_message */
}

/* A piece of a message's text, and of its end. */
static int end_piece(struct ws_decoder *d, const struct ws_event *ev)
{
    if (d->opcode == WS_TEXT &&
        (!utf8_feed(&d->utf8, ev->data, ev->len) || (ev->last && !utf8_done(&d->utf8))))
        return TEDDY_EUTF8;
    if (ev->last) {
        d->opcode = 0;
        d->message_len = 0;
    }
    return TEDDY_OK;
}

int ws_decode(struct ws_decoder *d, uint8_t *buf, size_t len, size_t *used, struct ws_event *ev)
{
    struct header h = {.payload_len = d->frame_left};
    bool control;
    int err;

    *used = 0;
    if (d->frame_left == 0) {
        err = read_header(d, buf, len, &h);
        if (err != TEDDY_OK)
            return err;
    }
    control = is_control(h.opcode);
    len -= h.len;
    /* A control frame waits for all its payload, and another for its first byte, so that each
     * event of it has one. */
    if (len < (control ? h.payload_len : h.payload_len > 0))
        return TEDDY_AGAIN;
    if (len > h.payload_len)
        len = h.payload_len;
    if (d->unmask != NULL)
        d->unmask(d, buf + h.len, len, h.len > 0);
    if (h.len > 0 && !control)
        begin_frame(d, &h);
    d->frame_left = h.payload_len - (uint32_t)len;
    *ev =
        (struct ws_event){control ? h.opcode : d->opcode, h.len > 0 && h.opcode != WS_CONTINUATION,
                          control || (d->fin && d->frame_left == 0), buf + h.len, len};
    *used = h.len + len;
    if (control)
        return h.opcode == WS_CLOSE ? check_close(ev->data, len) : TEDDY_OK;
    return end_piece(d, ev);
}

enum ws_close_code ws_close_code_of(int err)
{
    switch (err) {
    case TEDDY_EPROTO:
        return WS_CLOSE_PROTOCOL;
    case TEDDY_EUTF8:
        return WS_CLOSE_INVALID_UTF8;
    case TEDDY_ETOOBIG:
        return WS_CLOSE_TOO_BIG;
    case TEDDY_EUNSUPPORTED:
        return WS_CLOSE_UNSUPPORTED;
    default:
        return WS_CLOSE_INTERNAL;
    }
}

const char *ws_close_word_of(int err)
{
    switch (err) {
    case TEDDY_EPROTO:
        return "protocol";
    case TEDDY_EUTF8:
        return "invalid_utf8";
    case TEDDY_ETOOBIG:
        return "too_big";
    case TEDDY_EUNSUPPORTED:
        return "unsupported";
    default:
        return "internal";
    }
}

size_t ws_header(uint8_t out[WS_HEADER_MAX], uint8_t opcode, size_t payload_len,
                 const uint8_t *mask)
{
    size_t bytes = payload_len < 126 ? 0 : payload_len < 65536 ? 2 : 8;
    uint8_t small = bytes == 0 ? (uint8_t)payload_len : bytes == 2 ? 126 : 127;
    size_t n = 2;

    out[0] = (uint8_t)(BIT_FIN | opcode);
    out[1] = (uint8_t)(mask != NULL ? BIT_MASK | small : small);
    for (size_t i = bytes; i > 0; i--) {
        out[n + i - 1] = (uint8_t)payload_len;
        payload_len >>= 8;
    }
    n += bytes;
    if (mask != NULL) {
        memcpy(out + n, mask, 4);
        n += 4;
    }
    return n;
}
