#include "proto/ids.h"

#include "proto/text.h"

bool id_ok(struct span id)
{
    return id.len >= 1 && id.len <= LIMIT_ID_LEN && span_within(id, "_-");
}

bool nonce_ok(struct span nonce)
{
    if (nonce.len < LIMIT_NONCE_MIN || nonce.len > LIMIT_NONCE_MAX)
        return false;
    for (size_t i = 0; i < nonce.len; i++) {
        char c = nonce.p[i];

        if (c < 0x20 || c > 0x7E || c == '"' || c == '\\')
            return false;
    }
    return true;
}

bool nonce_decode16(struct span nonce, uint8_t out[16])
{
    return hex_decode(nonce, out, 16) == TEDDY_OK;
}
