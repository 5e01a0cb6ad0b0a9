/* Records of an instance without files: in memory, as large as they are, wiped when they go. */
#include "posix_port.h"

#include <stdlib.h>
#include <string.h>

#include "proto/text.h"

int ram_load(const struct port_ram_record *r, uint8_t *buf, size_t cap, size_t *len)
{
    if (!r->data)
        return TEDDY_ENOTFOUND;
    if (r->len > cap)
        return TEDDY_EAUTH;
    memcpy(buf, r->data, r->len);
    *len = r->len;
    return TEDDY_OK;
}

int ram_save(struct port_ram_record *r, const uint8_t *data, size_t len)
{
    uint8_t *kept = malloc(len > 0 ? len : 1);

    if (!kept)
        return TEDDY_EIO;
    memcpy(kept, data, len);
    ram_erase(r);
    r->data = kept;
    r->len = len;
    return TEDDY_OK;
}

void ram_erase(struct port_ram_record *r)
{
    if (r->data)
        wipe(r->data, r->len);
    free(r->data);
    r->data = NULL;
    r->len = 0;
}
