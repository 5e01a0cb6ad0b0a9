#include "proto/utf8.h"

bool utf8_feed(struct utf8 *u, const void *data, size_t len)
{
    const uint8_t *p = data;

    for (size_t i = 0; i < len; i++) {
        uint8_t c = p[i];

        if (u->need == 0) {
            if (c < 0x80)
                continue;
            if (c < 0xC2 || c > 0xF4)
                return false;
            u->need = (uint8_t)(1 + (c >= 0xE0) + (c >= 0xF0));
        } else {
            if (c < u->low || c > u->high)
                return false;
            u->need--;
        }
        /* What must follow: after some first bytes not all of 80 to BF (RFC 3629 section 4). */
        u->low = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
        u->high = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
    }
    return true;
}

bool utf8_ok(const void *data, size_t len)
{
    struct utf8 u = {0};

    return utf8_feed(&u, data, len) && utf8_done(&u);
}
