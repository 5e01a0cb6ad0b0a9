#include "proto/text.h"

int hex_value(char c)
{
    unsigned digit = (unsigned char)c - (unsigned)'0';
    unsigned letter = ((unsigned char)c | 0x20u) - 'a';

    if (digit < 10)
        return (int)digit;
    return letter < 6 ? (int)letter + 10 : -1;
}

int hex_decode(struct span hex, uint8_t *out, size_t out_len)
{
    if (hex.len % 2 != 0 || hex.len / 2 != out_len)
        return TEDDY_EPROTO;
    for (size_t i = 0; i < out_len; i++) {
        int high = hex_value(hex.p[2 * i]);
        int low = hex_value(hex.p[2 * i + 1]);

        if (high < 0 || low < 0)
            return TEDDY_EPROTO;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return TEDDY_OK;
}

static int base64url_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '-')
        return 62;
    return c == '_' ? 63 : -1;
}

int base64url_decode(struct span text, uint8_t *out, size_t cap, size_t *out_len)
{
    size_t len = text.len / 4 * 3 + (text.len % 4 > 1 ? text.len % 4 - 1 : 0);
    uint32_t bits = 0;
    unsigned held = 0;
    size_t n = 0;

    *out_len = 0;
    if (text.len % 4 == 1)
        return TEDDY_EPROTO;
    if (len > cap)
        return TEDDY_ENOSPC;
    for (size_t i = 0; i < text.len; i++) {
        int value = base64url_value(text.p[i]);

        if (value < 0)
            return TEDDY_EPROTO;
        bits = (bits << 6 | (uint32_t)value) & 0xFFFF;
        held += 6;
        if (held >= 8) {
            held -= 8;
            out[n++] = (uint8_t)(bits >> held);
        }
    }
    /* Trailing bits that are not zero would be a second spelling of the same bytes. */
    if ((bits & ((1u << held) - 1)) != 0)
        return TEDDY_EPROTO;
    *out_len = n;
    return TEDDY_OK;
}

/* Returns the number of characters written: without padding, as many as the data needs. */
static size_t encode(const uint8_t *data, size_t len, char *out, const char alphabet[64])
{
    char *to = out;

    for (; len >= 3; data += 3, len -= 3, to += 4) {
        uint32_t bits = (uint32_t)data[0] << 16 | (uint32_t)data[1] << 8 | data[2];

        to[0] = alphabet[bits >> 18];
        to[1] = alphabet[bits >> 12 & 63];
        to[2] = alphabet[bits >> 6 & 63];
        to[3] = alphabet[bits & 63];
    }
    if (len > 0) {
        uint32_t bits = (uint32_t)data[0] << 16 | (len > 1 ? (uint32_t)data[1] << 8 : 0);

        *to++ = alphabet[bits >> 18];
        *to++ = alphabet[bits >> 12 & 63];
        if (len > 1)
            *to++ = alphabet[bits >> 6 & 63];
    }
    return (size_t)(to - out);
}

void base64_encode(const uint8_t *data, size_t len, char *out)
{
    size_t n =
        encode(data, len, out, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");

    while (n % 4 != 0)
        out[n++] = '=';
    out[n] = '\0';
}

void base64url_encode(const uint8_t *data, size_t len, char *out)
{
    size_t n =
        encode(data, len, out, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");

    out[n] = '\0';
}

bool ct_equal(const void *a, const void *b, size_t len)
{
    const volatile uint8_t *x = a;
    const volatile uint8_t *y = b;
    uint8_t differ = 0;

    for (size_t i = 0; i < len; i++)
        differ |= x[i] ^ y[i];
    return differ == 0;
}

void wipe(void *p, size_t len)
{
    if (len == 0)
        return;
    memset(p, 0, len);
    /* The compiler must believe that somebody reads the zeros. */
    __asm__ volatile("" : : "r"(p) : "memory");
}

int u64_parse(struct span text, uint64_t *out)
{
    uint64_t n = 0;

    if (text.len == 0 || text.len > 20)
        return TEDDY_EPROTO;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned char)text.p[i] - (unsigned)'0';

        if (digit > 9 || n > UINT64_MAX / 10)
            return TEDDY_EPROTO;
        n = n * 10 + digit;
        if (n < digit)
            return TEDDY_EPROTO;
    }
    *out = n;
    return TEDDY_OK;
}

int u32_parse(struct span text, uint32_t *out)
{
    uint32_t n = 0;

    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned char)text.p[i] - (unsigned)'0';

        if (digit > 9)
            return TEDDY_EPROTO;
        n = n > (UINT32_MAX - digit) / 10 ? UINT32_MAX : n * 10 + digit;
    }
    *out = n;
    return text.len > 0 ? TEDDY_OK : TEDDY_EPROTO;
}

size_t span_run(struct span s, const char *others)
{
    size_t n = 0;

    while (n < s.len) {
        unsigned c = (unsigned char)s.p[n];

        if (c - '0' > 9 && (c | 0x20) - 'a' > 25 && memchr(others, (int)c, strlen(others)) == NULL)
            break;
        n++;
    }
    return n;
}

static unsigned lower(char c)
{
    unsigned letter = (unsigned char)c;

    return letter - 'A' < 26 ? letter + ('a' - 'A') : letter;
}

bool span_ieq(struct span a, const char *text)
{
    size_t i = 0;

    /* The NUL behind text is in no way equal to one inside a. */
    while (i < a.len && text[i] != '\0' && lower(a.p[i]) == lower(text[i]))
        i++;
    return i == a.len && text[i] == '\0';
}
