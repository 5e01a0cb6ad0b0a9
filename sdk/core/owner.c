#include "core.h"

#define FNV_OFFSET 14695981039346656037u
#define FNV_PRIME  1099511628211u

static uint64_t mix(uint64_t h, const void *data, size_t len)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < len; i++) {
        h = (h ^ p[i]) * FNV_PRIME;
    }
    return h;
}

/* Against mistakes, not against people: the port seals what this stands in. */
void sdk_owner(const struct teddy_client *c, const char *child_id, uint8_t out[8])
{
    const char *child = child_id != NULL ? child_id : "";
    uint64_t h = mix(FNV_OFFSET, c->config.device_id, strlen(c->config.device_id) + 1);
    h = mix(h, child, strlen(child) + 1);
    h = mix(h, c->url.host, c->url.host_len);
    h = mix(h, &c->url.port, sizeof c->url.port);
    memcpy(out, &h, sizeof h);
}
