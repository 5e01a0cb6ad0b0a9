/* The guard with its built-in lists, opened once. */
#ifndef FUZZ_SAFETY_ANY_H
#define FUZZ_SAFETY_ANY_H

#include "fuzz.h"
#include "safety/safety.h"

static inline const struct safety *safety_any(void)
{
    static struct safety *s;
    struct safety_config config = {0};
    char err[256];

    if (s == NULL)
        HOLDS(safety_open(&config, &s, err, sizeof err) == TEDDY_OK);
    return s;
}

/* Before the first input: the time that one input may take is not for reading the lists. */
__attribute__((constructor)) static void safety_first(void)
{
    (void)safety_any();
}

#endif
