#include "proto/utf8.h"

#include "proto/word.h"

/* What must follow a first byte: four bits for each byte to come, the next in the lowest; none when
 * it is no first byte. Such a bit stands for 16 values: 80 to 8F, 90, A0, B0 to BF. */
static uint32_t following(uint8_t first)
{
    /* The second byte keeps out the overlong, the surrogates and what is over U+10FFFF (RFC 3629
     * section 4). */
    static const uint8_t second[] = {
        0xC, 0xF, 0xF, 0xF, 0xF, 0xF, 0xF, 0xF, 0xF, 0xF, 0xF, 0xF, 0xF, 0x3, 0xF, 0xF, /* E0 */
        0xE, 0xF, 0xF, 0xF, 0x1,                                                        /* F0 */
    };

    if (first < 0xC2 || first > 0xF4)
        return 0;
    if (first < 0xE0)
        return 0xF;
    return (first < 0xF0 ? 0xF0u : 0xFF0u) | second[first - 0xE0];
}

bool utf8_feed(struct utf8 *u, const void *data, size_t len)
{
    const uint8_t *p = data;
    uint32_t rest = u->rest;

    while (len > 0) {
        size_t taken = 1;

        if (rest != 0) {
            unsigned low = *p ^ 0x80u;

            if (low > 0x3F || (rest >> (low >> 4) & 1) == 0)
                return false;
            rest >>= 4;
        } else if (word_fits(len) && (word_at(p) & WORD_OF(0x80)) == 0) {
            taken = sizeof(uint64_t); /* all ASCII */
        } else if (*p >= 0x80) {
            rest = following(*p);
            if (rest == 0)
                return false;
        }
        p += taken;
        len -= taken;
    }
    u->rest = rest;
    return true;
}

bool utf8_ok(const void *data, size_t len)
{
    struct utf8 u = {0};

    return utf8_feed(&u, data, len) && utf8_done(&u);
}
