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

/* A class of characters, where a row does not name the character itself. */
enum { HEX = 1, SPACE, TOKEN, TEXT };

/* What may stand in each state, the first row that fits, and the state behind it. */
static const struct row {
    uint8_t state;
    char what;
    uint8_t next;
} rows[] = {
    {SIZE_START, HEX, SIZE},
    {SIZE, HEX, SIZE},
    {SIZE, '\r', SIZE_LF},
    {SIZE, ';', EXTENSION},
    {SIZE, SPACE, SIZE_SPACE},
    {SIZE_SPACE, ';', EXTENSION},
    {SIZE_SPACE, SPACE, SIZE_SPACE},
    {EXTENSION, '\r', SIZE_LF},
    {EXTENSION, TEXT, EXTENSION},
    {SIZE_LF, '\n', DATA}, /* TRAILER_START behind the last chunk */
    {DATA_CR, '\r', DATA_LF},
    {DATA_LF, '\n', SIZE_START},
    {TRAILER_START, '\r', LAST_LF},
    {TRAILER_START, TOKEN, TRAILER_NAME},
    {TRAILER_NAME, ':', TRAILER_VALUE},
    {TRAILER_NAME, TOKEN, TRAILER_NAME},
    {TRAILER_VALUE, '\r', TRAILER_LF},
    {TRAILER_VALUE, TEXT, TRAILER_VALUE},
    {TRAILER_LF, '\n', TRAILER_START},
    {LAST_LF, '\n', DONE},
};

static bool fits(char what, char byte)
{
    switch (what) {
    case HEX:
        return hex_value(byte) >= 0;
    case SPACE:
        return http_is_space(byte);
    case TOKEN:
        return http_is_token(byte);
    case TEXT:
        return http_is_text(byte);
    default:
        return byte == what;
    }
}

/* Every byte that is not data. */
static bool take_byte(struct http_chunked *c, char byte)
{
    const struct row *row = rows;

    if (++c->line > (c->state < DATA ? CHUNK_LINE_MAX : TRAILER_MAX))
        return false;
    while (row->state != c->state || !fits(row->what, byte)) {
        if (++row == rows + sizeof rows / sizeof rows[0])
            return false;
    }
    c->state = row->next;
    if (row->what == HEX) {
        if (c->left > UINT32_MAX >> 4)
            return false;
        c->left = c->left << 4 | (uint32_t)hex_value(byte);
    } else if (c->state == DATA || c->state == SIZE_START) {
        c->line = 0;
        if (c->left == 0 && c->state == DATA)
            c->state = TRAILER_START;
    }
    return true;
}

int http1_chunked(struct http_chunked *c, const char *buf, size_t len, size_t *used,
                  struct span *data)
{
    size_t at = 0;

    *data = (struct span){buf, 0};
    *used = 0;
    while (at < len && c->state != DONE) {
        if (c->state == DATA) {
            size_t n = len - at < c->left ? len - at : c->left;

            *data = (struct span){buf + at, n};
            c->left -= (uint32_t)n;
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
