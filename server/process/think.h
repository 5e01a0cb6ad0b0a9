/* Leaves out what a model says to itself at the beginning of its answer, between <think> and
 * </think>, and white space before its first word: some servers hand both on as if they were part
 * of the answer. */
#ifndef PROCESS_THINK_H
#define PROCESS_THINK_H

#include "process/lines.h"

/* All zero is the beginning of an answer. */
struct think {
    uint8_t state; /* think.c */
    uint8_t matched;
};

/* Appends what is to be said of piece to out. */
TEDDY_MUST_CHECK int think_feed(struct think *t, struct span piece, struct buffer *out, size_t max);
/* The answer ends: what looked like the beginning of <think> was not. */
TEDDY_MUST_CHECK int think_end(struct think *t, struct buffer *out, size_t max);

#endif
