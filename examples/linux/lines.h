/* Lines of stdin as they come: bounded, valid UTF-8, never waiting. */
#ifndef DEVICE_LINES_H
#define DEVICE_LINES_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/limits.h"

struct lines {
    int fd;
    char buf[LIMIT_UTTERANCE + 2];
    size_t len;
    bool skipping; /* the rest of a line that is too long */
    bool ended;    /* no more input */
};

enum lines_next {
    LINES_NONE, /* nothing whole: poll fd, then lines_fill */
    LINES_LINE, /* a line to say */
    LINES_TOO_LONG,
    LINES_NOT_UTF8,
    LINES_END,
};

void lines_init(struct lines *l, int fd);
/* Reads once; to be called when fd is readable. */
void lines_fill(struct lines *l);
/* The next line, valid until the next call; empty ones are passed over. */
enum lines_next lines_next(struct lines *l, const char **text, size_t *len);
/* Takes away the line that lines_next gave. */
void lines_drop(struct lines *l);

#endif
