#include "core.h"

#define FNV_OFFSET 2166136261u
#define FNV_PRIME  16777619u

/* A function of its own, for the flash's sake: the compiler would make three. */
static __attribute__((noinline)) uint32_t mix(uint32_t h, const char *p, size_t len)
{
    while (len-- > 0) {
        h = (h ^ (uint8_t)*p++) * FNV_PRIME;
    }
    return h;
}

/* Against mistakes, not against people: the port seals what this stands in. */
void sdk_owner(const struct teddy_client *c, const char *child_id, uint8_t out[SDK_OWNER_LEN])
{
    const char *device_id = c->config.device_id;
    uint32_t h = mix(FNV_OFFSET, device_id, strlen(device_id) + 1);
    h = mix(h, child_id, strlen(child_id) + 1);
    h = mix(h, c->url.authority, c->url.authority_len);
    memcpy(out, &h, sizeof h);
}
