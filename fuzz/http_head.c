/* Heads and bodies of HTTP/1.1. Input: one byte of flags (bit 0: a response, bit 1: the input is a
 * chunked body alone), one for the size of the pieces, then the bytes of the connection. */
#include "fuzz.h"
#include "proto/http1.h"
#include "proto/writer.h"

#define ROOM (1 << 16)
#define MAX  2048

static int parse(bool is_response, const char *p, size_t len, struct http_head *head, size_t *used)
{
    return is_response ? http1_response(p, len, MAX, head, used)
                       : http1_request(p, len, MAX, head, used);
}

/* Growing beginnings say "more" until one says what the whole says. */
static void by_pieces(bool is_response, const char *p, size_t len, size_t step, int whole,
                      size_t whole_used)
{
    struct http_head head;
    size_t used;

    for (size_t fed = 0; fed < len;) {
        uint8_t *block;
        int err;

        fed = len - fed < step ? len : fed + step;
        block = heap_copy(p, fed);
        err = parse(is_response, (const char *)block, fed, &head, &used);
        free(block);
        HOLDS(err == whole || err == TEDDY_AGAIN);
        HOLDS(used == (err == TEDDY_OK ? whole_used : 0));
        if (err != TEDDY_AGAIN)
            return;
    }
    HOLDS(whole == TEDDY_AGAIN);
}

static bool is_clean(struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if ((c < 0x20 && c != '\t') || c == 0x7F)
            return false;
    }
    return true;
}

static void check_fields(const struct http_head *head)
{
    struct span name, value, first;
    enum http_body kind;
    uint64_t length;
    size_t at = 0;
    int err;

    while (http1_next_field(head, &at, &name, &value)) {
        HOLDS(name.len > 0 && is_clean(name) && is_clean(value));
        HOLDS(memchr(name.p, ' ', name.len) == NULL);
    }
    HOLDS(at == head->fields.len);
    err = http1_body(head, head->status != 0, &kind, &length);
    if (err == TEDDY_OK && kind == HTTP_BODY_LENGTH)
        HOLDS(http1_field(head, "Transfer-Encoding", &first) == 0 &&
              http1_field(head, "Content-Length", &first) == 1);
    if (err == TEDDY_OK && kind == HTTP_BODY_CHUNKED)
        HOLDS(http1_field(head, "Content-Length", &first) == 0);
    HOLDS(err == TEDDY_OK || !http1_keep_alive(head));
}

/* A head written from what was read reads as the same. */
static void write_again(const struct http_head *head)
{
    static char text[ROOM];
    struct writer w = writer_on(text, sizeof text);
    struct http_head back;
    size_t used;

    if (head->status != 0) {
        writer_text(&w, head->minor ? "HTTP/1.1 " : "HTTP/1.0 ");
        writer_u64(&w, (uint64_t)head->status);
    } else {
        writer_span(&w, head->method);
        writer_text(&w, " ");
        writer_span(&w, head->target);
        writer_text(&w, head->minor ? " HTTP/1.1" : " HTTP/1.0");
    }
    writer_text(&w, "\r\n");
    writer_span(&w, head->fields);
    writer_text(&w, "\r\n");
    HOLDS(!w.overflow);
    HOLDS(parse(head->status != 0, text, w.len, &back, &used) == TEDDY_OK);
    HOLDS(used == w.len && back.minor == head->minor && back.status == head->status);
    HOLDS(span_eq(back.method, head->method) && span_eq(back.target, head->target));
    HOLDS(span_eq(back.fields, head->fields));
}

/* Decodes in pieces; returns the last result. */
static int unchunk(const char *p, size_t len, size_t step, struct writer *out, size_t *taken)
{
    struct http_chunked c = {0};
    int err = TEDDY_AGAIN;

    *taken = 0;
    while (err == TEDDY_AGAIN && *taken < len) {
        size_t n = len - *taken < step ? len - *taken : step;
        uint8_t *block = heap_copy(p + *taken, n);
        struct span data;
        size_t used;

        err = http1_chunked(&c, (const char *)block, n, &used, &data);
        HOLDS(used <= n && (used > 0 || err < 0));
        writer_span(out, data);
        *taken += used;
        free(block);
    }
    return err;
}

static void check_chunks(const char *p, size_t len, size_t step)
{
    static char a[ROOM], b[ROOM];
    struct writer x = writer_on(a, sizeof a), y = writer_on(b, sizeof b);
    size_t x_taken, y_taken;
    int err = unchunk(p, len, len > 0 ? len : 1, &x, &x_taken);

    HOLDS(err == unchunk(p, len, step, &y, &y_taken));
    HOLDS(!x.overflow && x.len == y.len && memcmp(a, b, x.len) == 0);
    HOLDS(err < 0 || x_taken == y_taken);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    bool is_response;
    struct http_head head;
    const char *p;
    size_t step, used;
    int err;

    if (len < 2 || len > ROOM / 8)
        return 0;
    is_response = data[0] & 1;
    step = (size_t)data[1] + 1;
    p = (const char *)data + 2;
    len -= 2;
    if (data[0] & 2) {
        check_chunks(p, len, step);
        check_chunks(p, len, 1);
        return 0;
    }
    err = parse(is_response, p, len, &head, &used);
    HOLDS(used <= len && used <= MAX && (err == TEDDY_OK) == (used > 0));
    by_pieces(is_response, p, len, step, err, used);
    if (len <= 512)
        by_pieces(is_response, p, len, 1, err, used);
    if (err == TEDDY_OK) {
        check_fields(&head);
        write_again(&head);
        check_chunks(p + used, len - used, step);
    }
    return 0;
}
