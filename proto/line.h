/* Words of a line of text that a person wrote in a file. */
#ifndef PROTO_LINE_H
#define PROTO_LINE_H

#include "proto/text.h"

/* Without the blanks at both ends, nor the CR at the end. */
static inline struct span line_trim(struct span s)
{
    while (s.len > 0 && (*s.p == ' ' || *s.p == '\t')) {
        s.p++;
        s.len--;
    }
    while (s.len > 0 && (s.p[s.len - 1] == ' ' || s.p[s.len - 1] == '\t' || s.p[s.len - 1] == '\r'))
        s.len--;
    return s;
}

/* Cuts the first word off s. */
static inline struct span line_word(struct span *s)
{
    struct span word = {s->p, 0};

    while (word.len < s->len && s->p[word.len] != ' ' && s->p[word.len] != '\t')
        word.len++;
    *s = line_trim((struct span){s->p + word.len, s->len - word.len});
    return word;
}

#endif
