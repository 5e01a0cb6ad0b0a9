/* What this room's tests share. */
#ifndef SAFETY_TESTING_H
#define SAFETY_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "safety/safety.h"

#define CHILD ((struct safety_who){{"en", 2}, 6})

/* The guard with its built-in lists; opened once. */
static inline const struct safety *builtin(void)
{
    static struct safety *s;
    struct safety_config config = {0};
    char err[256];

    if (!s && safety_open(&config, &s, err, sizeof err) != TEDDY_OK)
        fail_msg("%s", err);
    return s;
}

/* What an answer becomes. */
struct said {
    char text[8192];
    size_t len, sentences;
    struct safety_verdict verdict;
    enum safety_say last;
};

static inline void gather(void *ctx, const struct safety_sentence *s)
{
    struct said *said = ctx;

    assert_true(said->len + s->text.len < sizeof said->text);
    memcpy(said->text + said->len, s->text.p, s->text.len);
    said->len += s->text.len;
    said->text[said->len] = '\0';
    said->sentences++;
    said->verdict.categories |= s->verdict.categories;
    said->verdict.blocked |= s->verdict.blocked;
    said->last = s->say;
}

static inline struct said say_with(const struct safety *s, struct safety_who who, const char *text)
{
    struct said said = {0};
    struct safety_out o;

    safety_out_init(&o, s, &who, 0);
    safety_out_feed(&o, span_of(text), gather, &said);
    safety_out_end(&o, gather, &said);
    return said;
}

static inline struct safety_verdict hear_with(const struct safety *s, struct safety_who who,
                                              const char *text, char *out, size_t cap)
{
    struct safety_verdict v;
    size_t len = safety_in(s, &who, span_of(text), out, cap - 1, &v);

    out[len] = '\0';
    return v;
}

#endif
