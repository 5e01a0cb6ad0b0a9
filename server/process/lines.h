/* Lines out of bytes that come in any pieces. */
#ifndef PROCESS_LINES_H
#define PROCESS_LINES_H

#include <stdbool.h>

#include "proto/span.h"
#include "teddy/err.h"

/* Bytes on the heap, up to a bound. All zero is empty. */
struct buffer {
    char *p;
    size_t len, cap;
};

/* TEDDY_ETOOBIG: more than max; TEDDY_ENOMEM. */
TEDDY_MUST_CHECK int buffer_add(struct buffer *b, struct span s, size_t max);
void buffer_fini(struct buffer *b); /* wiped: it may hold a child's words */

struct lines {
    struct buffer rest; /* a line without its end so far */
    size_t max;
    bool lone_cr;  /* CR ends a line, too, as for events; else only LF, with or without CR */
    bool after_cr; /* an LF now belongs to the end before */
    bool given;    /* rest was handed out */
};

/* The next whole line, without its end: TEDDY_OK, valid until the next call or until bytes goes;
 * TEDDY_AGAIN: none, all is kept; TEDDY_ETOOBIG: longer than max; TEDDY_ENOMEM. bytes is moved. */
TEDDY_MUST_CHECK int lines_next(struct lines *l, struct span *bytes, struct span *line);
void lines_fini(struct lines *l);

#endif
