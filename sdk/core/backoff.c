#include "core.h"

_Static_assert(TEDDY_RETRY_MAX_MS <= SDK_SPAN_MS / 8, "also what is doubled stays a time");

#define DOUBLINGS_MAX 4 /* of the refused wait: sixteen times the first */

/* base doubled n times, cap at most. */
static uint32_t doubled(uint32_t base, unsigned n, uint32_t cap)
{
    n = n < 31 ? n : 31;
    return base > cap >> n ? cap : base << n;
}

/* 0..bound, bound being less than 2^32 - 1. */
static uint32_t scaled(uint32_t r, uint32_t bound)
{
    return (uint32_t)(((uint64_t)r * (bound + 1)) >> 32);
}

uint32_t sdk_backoff_ms(const struct teddy_times *times, unsigned n, uint32_t r)
{
    uint32_t wait = scaled(r, doubled(times->backoff_base_ms, n, times->backoff_cap_ms));
    wait = wait < times->backoff_floor_ms ? times->backoff_floor_ms : wait;
    return sdk_least(wait, times->backoff_cap_ms);
}

uint32_t sdk_refused_ms(const struct teddy_times *times, unsigned n, uint32_t r)
{
    n = n < DOUBLINGS_MAX ? n : DOUBLINGS_MAX;
    uint32_t wait = doubled(times->backoff_refused_ms, n, TEDDY_RETRY_MAX_MS);
    /* A quarter of jitter on top: a fleet that was refused together does not come back together. */
    return sdk_least(wait + scaled(r, wait / 4), TEDDY_RETRY_MAX_MS);
}
