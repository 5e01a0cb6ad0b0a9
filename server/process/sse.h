/* Server-sent events as the WHATWG's HTML standard reads them (section 9.2.6): lines end in CR, LF
 * or CRLF, `data` lines of an event are joined by LF, a blank line dispatches it, comments and
 * unknown fields are ignored, an event without its blank line is none. `id` and `retry` mean
 * nothing here. */
#ifndef PROCESS_SSE_H
#define PROCESS_SSE_H

#include <stdbool.h>

#include "process/lines.h"

#define SSE_TYPE_MAX 16

struct sse {
    struct lines lines;
    struct buffer data;
    bool has_data, given, first; /* an event was handed out; this is the first line */
    char type[SSE_TYPE_MAX]; /* of the event being read; "" for a message, what is longer is cut */
};

/* max: bytes of a line and of an event's data. */
void sse_init(struct sse *s, size_t max);
void sse_fini(struct sse *s);

/* Takes what has come up to the end of the next event: TEDDY_OK, and *data is its data, valid until
 * the next call, s->type its type; TEDDY_AGAIN: all was taken; TEDDY_ETOOBIG; TEDDY_ENOMEM. `bytes`
 * is moved behind what was taken. */
TEDDY_MUST_CHECK int sse_next(struct sse *s, struct span *bytes, struct span *data);

#endif
