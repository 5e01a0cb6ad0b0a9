/* The character classes of RFC 9110 section 5.6.2, for the head's reader and the chunks'. */
#ifndef PROTO_HTTP1_CHARS_H
#define PROTO_HTTP1_CHARS_H

#include <stdbool.h>

/* What a method or a field's name is made of: visible ASCII without delimiters (http1.c). */
bool http_is_token(char c);

/* What a line may hold: anything but control characters, the tab apart. */
static inline bool http_is_text(char c)
{
    unsigned char u = (unsigned char)c;

    return u == '\t' || (u >= 0x20 && u != 0x7F);
}

static inline bool http_is_space(char c)
{
    return c == ' ' || c == '\t';
}

#endif
