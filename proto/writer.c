#include "proto/writer.h"

#include "proto/word.h"
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

extern inline void writer_text(struct writer *w, const char *text);

void writer_span(struct writer *w, struct span s)
{
    writer_bytes(w, s.p, s.len);
}

/* Takes the last decimal digit off *n, by long division in pieces of 16 bits: a 32-bit chip divides
 * those by itself, and 64 bits only with 2 KB of library. */
static unsigned take_digit(uint64_t *n)
{
    if (sizeof(size_t) == sizeof *n) {
        unsigned digit = (unsigned)(*n % 10);

        *n /= 10;
        return digit;
    }

    uint32_t high = (uint32_t)(*n >> 32), low = (uint32_t)*n;
    uint32_t mid = high % 10 << 16 | low >> 16;
    uint32_t last = mid % 10 << 16 | (low & 0xFFFF);

    *n = (uint64_t)(high / 10) << 32 | (mid / 10 << 16 | last / 10);
    return last % 10;
}

void writer_u64(struct writer *w, uint64_t n)
{
    char digits[20];
    size_t at = sizeof digits;

    do {
        digits[--at] = (char)('0' + take_digit(&n));
    } while (n > 0);
    writer_bytes(w, digits + at, sizeof digits - at);
}

void writer_hex(struct writer *w, const uint8_t *data, size_t len)
{
    if (w->overflow || len > (w->cap - w->len) / 2) {
        w->overflow = true;
        return;
    }
    for (char *to = w->buf + w->len; len > 0; len--) {
        *to++ = hex_digits[*data >> 4];
        *to++ = hex_digits[*data++ & 15];
        w->len += 2;
    }
}

static bool is_plain(uint8_t byte)
{
    return byte >= 0x20 && byte != '"' && byte != '\\' && byte != 0x7F;
}

void writer_json_byte(struct writer *w, uint8_t byte)
{
    if (byte < 0x20 || byte == 0x7F) {
        writer_text(w, "\\u00");
        writer_hex(w, &byte, 1);
        return;
    }
    if (!is_plain(byte))
        writer_bytes(w, "\\", 1);
    writer_bytes(w, &byte, 1);
}

/* is_plain of eight bytes. Each sum is of seven bits, so that it stays in its byte, and reaches the
 * eighth when the byte is at least 20, not `"`, not `\`; the last one when it is 7F. */
static bool are_plain(uint64_t bytes)
{
    uint64_t low = bytes & WORD_OF(0x7F);
    uint64_t plain = (low + WORD_OF(0x60)) & ((low ^ WORD_OF('"')) + WORD_OF(0x7F)) &
                     ((low ^ WORD_OF('\\')) + WORD_OF(0x7F)) & ~(low + WORD_OF(1));

    return ((plain | bytes) & WORD_OF(0x80)) == WORD_OF(0x80);
}

/* How many bytes go as they are, from the first on. */
static size_t plain_run(struct span s)
{
    size_t n = 0;

    while (word_fits(s.len - n) && are_plain(word_at(s.p + n)))
        n += sizeof(uint64_t);
    while (n < s.len && is_plain((uint8_t)s.p[n]))
        n++;
    return n;
}

void writer_json_string(struct writer *w, struct span s)
{
    size_t plain = plain_run(s);

    writer_bytes(w, "\"", 1);
    writer_bytes(w, s.p, plain);
    while (plain < s.len) {
        writer_json_byte(w, (uint8_t)s.p[plain++]);
        s = (struct span){s.p + plain, s.len - plain};
        plain = plain_run(s);
        writer_bytes(w, s.p, plain);
    }
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
