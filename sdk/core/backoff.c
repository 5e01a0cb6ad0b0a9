#include "core.h"

#define DOUBLINGS_MAX 4 /* of the refused wait: sixteen times the first */

static uint64_t scaled(uint32_t r, uint64_t bound)
{
    return ((uint64_t)r * (bound + 1)) >> 32;
}

uint32_t sdk_backoff_ms(const struct teddy_client_config *config, unsigned n, uint32_t r)
{
    uint64_t ceiling = (uint64_t)config->backoff_base_ms << (n < 31 ? n : 31);
    if (ceiling > config->backoff_cap_ms) {
        ceiling = config->backoff_cap_ms;
    }
    uint64_t wait = scaled(r, ceiling);
    return wait < config->backoff_floor_ms ? config->backoff_floor_ms : (uint32_t)wait;
}

uint32_t sdk_refused_ms(const struct teddy_client_config *config, unsigned n, uint32_t r)
{
    uint64_t wait = (uint64_t)config->backoff_refused_ms << (n < DOUBLINGS_MAX ? n : DOUBLINGS_MAX);
    /* A quarter of jitter on top: a fleet that was refused together does not come back together. */
    wait += scaled(r, wait / 4);
    return wait > TEDDY_RETRY_MAX_MS ? TEDDY_RETRY_MAX_MS : (uint32_t)wait;
}
