#include "process/mend.h"

#include "proto/text.h"
#include "proto/utf8.h"

#define REPLACED         "\xEF\xBF\xBD"
#define REPLACED_ESCAPED "\\ufffd"

/* The number in \uXXXX at s, or -1. */
static int escaped(struct span s)
{
    int n = 0;
    if (s.len < 6 || s.p[0] != '\\' || s.p[1] != 'u')
        return -1;
    for (int i = 2; i < 6; i++) {
        int digit = hex_value(s.p[i]);
        if (digit < 0)
            return -1;
        n = n * 16 + digit;
    }
    return n;
}

/* The length of the escape at s, and whether it can stay. */
static size_t escape(struct span s, bool *good)
{
    int n = escaped(s), low;
    *good = true;
    if (n < 0)
        return s.len < 2 || (uint8_t)s.p[1] >= 0x80 ? 1 : 2; /* another escape, or wrong JSON */
    if (n >= 0xD800 && n < 0xDC00) {
        low = escaped((struct span){s.p + 6, s.len - 6});
        *good = low >= 0xDC00 && low < 0xE000;
        return *good ? 12 : 6;
    }
    *good = n != 0 && (n < 0xDC00 || n >= 0xE000);
    return 6;
}

/* The length of the character at s; of what is none, with the rest of it. */
static size_t character(struct span s, bool *good)
{
    size_t n = 1;
    for (n = 1; n <= 4 && n <= s.len; n++)
        if (utf8_ok(s.p, n)) {
            *good = true;
            return n;
        }
    *good = false;
    for (n = 1; n < 4 && n < s.len && ((uint8_t)s.p[n] & 0xC0) == 0x80; n++)
        ;
    return n;
}

static bool is_plain(struct span s)
{
    for (size_t i = 0; i + 1 < s.len; i++)
        if (s.p[i] == '\\' && s.p[i + 1] == 'u')
            return false;
    return utf8_ok(s.p, s.len);
}

int json_mend(struct span json, struct buffer *room, struct span *out)
{
    int rc = TEDDY_OK;
    *out = json;
    if (is_plain(json))
        return TEDDY_OK;
    room->len = 0;
    for (size_t at = 0; at < json.len && rc == TEDDY_OK;) {
        struct span left = {json.p + at, json.len - at};
        bool is_escape = *left.p == '\\', good;
        size_t n = is_escape ? escape(left, &good) : character(left, &good);
        struct span piece =
            good ? (struct span){left.p, n} : span_of(is_escape ? REPLACED_ESCAPED : REPLACED);
        rc = buffer_add(room, piece, SIZE_MAX);
        at += n;
    }
    *out = (struct span){room->p ? room->p : "", room->len};
    return rc;
}
