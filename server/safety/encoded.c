/* Base64 and hexadecimal: a word of them that is text when it is decoded. Nobody says such a thing;
 * it is there to bring words past the lists. */
#include "safety/internal.h"

#define ENCODED_MIN 16 /* characters */
#define DECODED_MAX 64 /* bytes that are looked at */

static int base64_value(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at;

    if (c == '-' || c == '_')
        return c == '-' ? 62 : 63;
    at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool readable(const uint8_t *p, size_t n)
{
    size_t letters = 0;

    for (size_t i = 0; i < n; i++) {
        if ((p[i] < 0x20 && p[i] != '\n' && p[i] != '\t') || p[i] >= 0x7F)
            return false;
        letters += (p[i] | 0x20) >= 'a' && (p[i] | 0x20) <= 'z';
    }
    return n >= 8 && letters * 2 >= n;
}

/* bits: 6 of base64, 4 of hexadecimal. */
static bool decodes(struct span word, int (*value)(char), unsigned bits)
{
    uint8_t out[DECODED_MAX];
    uint32_t held = 0;
    unsigned have = 0;
    size_t n = 0;

    for (size_t i = 0; i < word.len && n < DECODED_MAX; i++) {
        int v = value(word.p[i]);
        if (v < 0)
            return false;
        held = held << bits | (uint32_t)v;
        have += bits;
        if (have >= 8) {
            have -= 8;
            out[n++] = (uint8_t)(held >> have);
        }
    }
    return readable(out, n);
}

static bool may_be_code(char c)
{
    return ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (c >= '0' && c <= '9') || c == '+' ||
           c == '/' || c == '-' || c == '_';
}

bool encoded(struct span text)
{
    for (size_t i = 0, n; i < text.len; i += n + 1) {
        for (n = 0; i + n < text.len && may_be_code(text.p[i + n]); n++)
            ;
        struct span word = {text.p + i, n};
        if (n >= ENCODED_MIN && (decodes(word, base64_value, 6) || decodes(word, hex_value, 4)))
            return true;
    }
    return false;
}
