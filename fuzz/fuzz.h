/* What the targets share. A target aborts when an invariant does not hold: that is a find like a
 * crash. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/span.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define HOLDS(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);         \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* A copy in a heap block of exactly its size, so that a sanitizer sees one byte too much. */
static inline uint8_t *heap_copy(const void *data, size_t len)
{
    uint8_t *p = malloc(len > 0 ? len : 1);

    HOLDS(p != NULL);
    if (len > 0)
        memcpy(p, data, len);
    return p;
}

#endif
