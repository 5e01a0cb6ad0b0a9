#include "core.h"

#define FNV_OFFSET 2166136261u
#define FNV_PRIME  16777619u

static void mix(uint32_t h[2], const void *data, size_t len)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < len; i++) {
        h[0] = (h[0] ^ p[i]) * FNV_PRIME;
        h[1] = (h[1] ^ h[0] >> 16 ^ p[i]) * FNV_PRIME;
    }
}

/* Against mistakes, not against people: the port seals what this stands in. */
void sdk_owner(const struct teddy_client *c, const char *child_id, uint8_t out[8])
{
    const char *child = child_id != NULL ? child_id : "";
    uint32_t h[2] = {FNV_OFFSET, ~FNV_OFFSET};
    mix(h, c->config.device_id, strlen(c->config.device_id) + 1);
    mix(h, child, strlen(child) + 1);
    mix(h, c->url.authority, c->url.authority_len);
    memcpy(out, h, sizeof h);
}
