/* UTF-8 as RFC 3629 defines it: no overlongs, no surrogates, nothing past U+10FFFF. */
#ifndef PROTO_UTF8_H
#define PROTO_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Incremental, for text that arrives in pieces; all zero is the start. */
struct utf8 {
    uint32_t rest; /* what must follow, see utf8.c; 0 between characters */
};

/* False as soon as the bytes so far cannot be a prefix of valid text. */
bool utf8_feed(struct utf8 *u, const void *data, size_t len);
/* True when no character is left half. */
static inline bool utf8_done(const struct utf8 *u)
{
    return u->rest == 0;
}
bool utf8_ok(const void *data, size_t len);

#endif
