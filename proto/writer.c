#include "proto/writer.h"

#include "teddy/err.h"

static const char hex_digits[] = "0123456789abcdef";

void writer_bytes(struct writer *w, const void *data, size_t len)
{
    if (w->overflow || len > w->cap - w->len) {
        w->overflow = true;
        return;
    }
    if (len > 0) {
        memcpy(w->buf + w->len, data, len);
        w->len += len;
    }
}

void writer_text(struct writer *w, const char *text)
{
    writer_bytes(w, text, strlen(text));
}

void writer_span(struct writer *w, struct span s)
{
    writer_bytes(w, s.p, s.len);
}

void writer_u64(struct writer *w, uint64_t n)
{
    char digits[20];
    size_t at = sizeof digits;

    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    writer_bytes(w, digits + at, sizeof digits - at);
}

void writer_hex(struct writer *w, const uint8_t *data, size_t len)
{
    if (w->overflow || len > (w->cap - w->len) / 2) {
        w->overflow = true;
        return;
    }
    for (size_t i = 0; i < len; i++) {
        w->buf[w->len++] = hex_digits[data[i] >> 4];
        w->buf[w->len++] = hex_digits[data[i] & 15];
    }
}

/* The escape of one character that may not stand in a string as it is. */
static void json_escape(struct writer *w, unsigned char c)
{
    char escape[6] = {'\\', 'u', '0', '0', hex_digits[c >> 4], hex_digits[c & 15]};
    size_t len = 2;

    switch (c) {
    case '"':
    case '\\':
        escape[1] = (char)c;
        break;
    case '\b':
        escape[1] = 'b';
        break;
    case '\f':
        escape[1] = 'f';
        break;
    case '\n':
        escape[1] = 'n';
        break;
    case '\r':
        escape[1] = 'r';
        break;
    case '\t':
        escape[1] = 't';
        break;
    default:
        len = sizeof escape;
    }
    writer_bytes(w, escape, len);
}

void writer_json_string(struct writer *w, struct span s)
{
    size_t start = 0;

    writer_bytes(w, "\"", 1);
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7F)
            continue;
        writer_bytes(w, s.p + start, i - start);
        json_escape(w, c);
        start = i + 1;
    }
    if (s.len > start)
        writer_bytes(w, s.p + start, s.len - start);
    writer_bytes(w, "\"", 1);
}

int writer_end(struct writer *w)
{
    if (w->overflow || w->len == w->cap) {
        w->overflow = true;
        return TEDDY_ENOSPC;
    }
    w->buf[w->len] = '\0';
    return TEDDY_OK;
}
