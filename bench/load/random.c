#include "bench/load/random.h"

#include <string.h>
#include <sys/random.h>

static uint64_t state;

uint64_t random_next(void)
{
    while (state == 0)
        if (getrandom(&state, sizeof state, 0) != sizeof state)
            state = 0x9E3779B97F4A7C15u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state * 0x2545F4914F6CDD1Du;
}

void random_bytes(void *out, size_t len)
{
    uint8_t *at = out;

    while (len > 0) {
        uint64_t word = random_next();
        size_t n = len < sizeof word ? len : sizeof word;
        memcpy(at, &word, n);
        at += n;
        len -= n;
    }
}

uint32_t random_below(uint32_t bound)
{
    return (uint32_t)((random_next() >> 32) * bound >> 32);
}
