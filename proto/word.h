/* Eight bytes at a time where a word is so wide: on the server. A 32-bit chip goes by bytes, and
 * has none of this in its code. Whatever the alignment and the order of bytes. */
#ifndef PROTO_WORD_H
#define PROTO_WORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define WORD_OF(byte) (UINT64_C(0x0101010101010101) * (byte)) /* eight of them */

/* True while a word of them is left. */
static inline bool word_fits(size_t len)
{
    return sizeof(size_t) == sizeof(uint64_t) && len >= sizeof(uint64_t);
}

static inline uint64_t word_at(const void *p)
{
    uint64_t word;

    memcpy(&word, p, sizeof word);
    return word;
}

#endif
