/* Where a message ends: how its body is framed, and chunked bodies. */
#include "proto/http1.h"
#include "proto/http1_chars.h"
#include "proto/text.h"

#define CHUNK_LINE_MAX 256  /* a chunk's size and its extensions */
#define TRAILER_MAX    4096 /* all trailer lines together */

static bool never_has_body(int status)
{
    return (status >= 100 && status < 200) || status == 204 || status == 304;
}

int http1_body(const struct http_head *head, bool is_response, enum http_body *kind,
               uint64_t *length)
{
    struct span coding, digits;
    size_t codings = http1_field(head, "transfer-encoding", &coding);
    size_t lengths = http1_field(head, "content-length", &digits);

    *kind = HTTP_BODY_NONE;
    *length = 0;
    if (lengths > 1 || (codings > 0 && lengths > 0))
        return TEDDY_EPROTO;
    if (lengths == 1 && u64_parse(digits, length) != TEDDY_OK)
        return TEDDY_EPROTO;
    /* HTTP/1.0 knows no transfer coding: who sends one means something else by it (section 6.1). */
    if (codings > 1 || (codings == 1 && (coding.len == 0 || head->minor == 0)))
        return TEDDY_EPROTO;
    if (codings == 1 && !span_ieq(coding, "chunked"))
        return TEDDY_EUNSUPPORTED;
    if (is_response && never_has_body(head->status)) {
        *length = 0;
        return TEDDY_OK;
    }
    if (codings == 1)
        *kind = HTTP_BODY_CHUNKED;
    else if (lengths == 1)
        *kind = HTTP_BODY_LENGTH;
    else if (is_response)
        *kind = HTTP_BODY_CLOSE;
    return TEDDY_OK;
}

bool http1_keep_alive(const struct http_head *head)
{
    bool is_response = head->status != 0;
    enum http_body kind;
    uint64_t length;

    if (http1_body(head, is_response, &kind, &length) != TEDDY_OK || kind == HTTP_BODY_CLOSE)
        return false;
    if (http1_field_has(head, "connection", "close"))
        return false;
    return head->minor == 1 || http1_field_has(head, "connection", "keep-alive");
}

enum state {
    SIZE_START, /* the first digit of a chunk's size */
    SIZE,
    SIZE_SPACE, /* white space before an extension */
    EXTENSION,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_START, /* the first byte of a trailer line, or the last CR */
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    LAST_LF,
    DONE,
};

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Moves to the state the byte leads to; false when it may not stand here. */
static bool to(struct http_chunked *c, enum state state, bool allowed)
{
    c->state = (uint8_t)state;
    return allowed;
}

static bool take_size(struct http_chunked *c, char byte)
{
    int digit = hex_digit(byte);

    if (digit >= 0) {
        if (c->left > UINT64_MAX >> 4)
            return false;
        c->left = c->left << 4 | (uint64_t)digit;
        return to(c, SIZE, true);
    }
    if (c->state == SIZE_START)
        return false;
    if (byte == '\r')
        return to(c, SIZE_LF, true);
    if (byte == ';')
        return to(c, EXTENSION, true);
    return to(c, SIZE_SPACE, http_is_space(byte));
}

/* Behind the line with the size: its data, or after the last chunk the trailers. */
static bool end_size(struct http_chunked *c, char byte)
{
    c->line = 0;
    return to(c, c->left > 0 ? DATA : TRAILER_START, byte == '\n');
}

static bool take_trailer(struct http_chunked *c, char byte)
{
    switch (c->state) {
    case TRAILER_START:
        return byte == '\r' ? to(c, LAST_LF, true) : to(c, TRAILER_NAME, http_is_token(byte));
    case TRAILER_NAME:
        return byte == ':' ? to(c, TRAILER_VALUE, true) : http_is_token(byte);
    case TRAILER_VALUE:
        return byte == '\r' ? to(c, TRAILER_LF, true) : http_is_text(byte);
    default:
        return to(c, TRAILER_START, byte == '\n');
    }
}

/* Every byte that is not data. */
static bool take_byte(struct http_chunked *c, char byte)
{
    if (++c->line > (c->state < DATA ? CHUNK_LINE_MAX : TRAILER_MAX))
        return false;
    switch (c->state) {
    case SIZE_START:
    case SIZE:
        return take_size(c, byte);
    case SIZE_SPACE:
        return byte == ';' ? to(c, EXTENSION, true) : http_is_space(byte);
    case EXTENSION:
        return byte == '\r' ? to(c, SIZE_LF, true) : http_is_text(byte);
    case SIZE_LF:
        return end_size(c, byte);
    case DATA_CR:
        return to(c, DATA_LF, byte == '\r');
    case DATA_LF:
        c->line = 0;
        return to(c, SIZE_START, byte == '\n');
    case LAST_LF:
        return to(c, DONE, byte == '\n');
    default:
        return take_trailer(c, byte);
    }
}

int http1_chunked(struct http_chunked *c, const char *buf, size_t len, size_t *used,
                  struct span *data)
{
    size_t at = 0;

    *data = (struct span){buf, 0};
    *used = 0;
    while (at < len && c->state != DONE) {
        if (c->state == DATA) {
            size_t n = len - at < c->left ? len - at : (size_t)c->left;

            *data = (struct span){buf + at, n};
            c->left -= n;
            if (c->left == 0)
                c->state = DATA_CR;
            *used = at + n;
            return TEDDY_AGAIN;
        }
        if (!take_byte(c, buf[at++]))
            return TEDDY_EPROTO;
    }
    *used = at;
    return c->state == DONE ? TEDDY_OK : TEDDY_AGAIN;
}
