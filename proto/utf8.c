#include "proto/utf8.h"

/* The first byte of a character of two bytes or more: what must follow (RFC 3629 section 4). */
static bool start(struct utf8 *u, uint8_t c)
{
    u->low = 0x80;
    u->high = 0xBF;
    if (c >= 0xC2 && c <= 0xDF) {
        u->need = 1;
    } else if (c >= 0xE0 && c <= 0xEF) {
        u->need = 2;
        if (c == 0xE0)
            u->low = 0xA0;
        else if (c == 0xED)
            u->high = 0x9F;
    } else if (c >= 0xF0 && c <= 0xF4) {
        u->need = 3;
        if (c == 0xF0)
            u->low = 0x90;
        else if (c == 0xF4)
            u->high = 0x8F;
    } else {
        return false;
    }
    return true;
}

bool utf8_feed(struct utf8 *u, const void *data, size_t len)
{
    const uint8_t *p = data;

    for (size_t i = 0; i < len; i++) {
        uint8_t c = p[i];

        if (u->need == 0) {
            if (c >= 0x80 && !start(u, c))
                return false;
        } else {
            if (c < u->low || c > u->high)
                return false;
            u->need--;
            u->low = 0x80;
            u->high = 0xBF;
        }
    }
    return true;
}

bool utf8_ok(const void *data, size_t len)
{
    struct utf8 u = {0};

    return utf8_feed(&u, data, len) && utf8_done(&u);
}
