/* What the tests of this room share. */
#ifndef PROTO_TEST_H
#define PROTO_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/span.h"

/* A string literal with its length, so that it may hold NULs. */
#define LIT(text) ((struct span){(text), sizeof(text) - 1})

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

/* A copy in a heap block of exactly its size, so that a sanitizer sees one byte too much. */
static inline struct span heap_copy(struct span s)
{
    char *p = malloc(s.len > 0 ? s.len : 1);

    assert_non_null(p);
    if (s.len > 0)
        memcpy(p, s.p, s.len);
    return (struct span){p, s.len};
}

static inline void heap_free(struct span s)
{
    free((void *)(uintptr_t)s.p);
}

#define assert_span(span_, text_)                                                                  \
    do {                                                                                           \
        struct span s_ = (span_);                                                                  \
        assert_int_equal(s_.len, strlen(text_));                                                   \
        assert_memory_equal(s_.p, text_, s_.len);                                                  \
    } while (0)

#endif
