/* The bodies of claim and refresh, and the answer to both. Input: one byte that chooses (modulo 3),
 * then the body. */
#include "proto/claim.h"

#include "fuzz.h"
#include "proto/ids.h"
#include "proto/text.h"
#include "proto/utf8.h"
#include "teddy/client.h"

#define ROOM 8192

static void check_signed_bytes(const struct claim *c)
{
    uint8_t sent[CLAIM_SIGNED_MAX], decoded[CLAIM_SIGNED_MAX], nonce[16];
    size_t ids = strlen(c->device_id) + strlen(c->child_id);
    size_t len = claim_signed_bytes(c->device_id, c->child_id, c->nonce, false, sent);

    HOLDS(len == ids + strlen(c->nonce));
    HOLDS(memcmp(sent + ids, c->nonce, len - ids) == 0);
    len = claim_signed_bytes(c->device_id, c->child_id, c->nonce, true, decoded);
    HOLDS(len == (nonce_decode16(span_of(c->nonce), nonce) ? ids + 16 : 0));
    if (len > 0)
        HOLDS(memcmp(sent, decoded, ids) == 0 && memcmp(decoded + ids, nonce, 16) == 0);
}

static void try_claim(struct span body)
{
    static char text[ROOM];
    struct writer w = writer_on(text, sizeof text);
    struct claim c, back;
    unsigned bad = 99;
    int err = claim_read(body, &c, &bad);

    HOLDS((err == TEDDY_EINVAL) == (bad != 0));
    HOLDS((bad & CLAIM_DEVICE_ID) || err < TEDDY_EINVAL || id_ok(span_of(c.device_id)));
    HOLDS((bad & CLAIM_NONCE) || err < TEDDY_EINVAL || nonce_ok(span_of(c.nonce)));
    if (err != TEDDY_OK)
        return;
    HOLDS(id_ok(span_of(c.child_id)));
    HOLDS(utf8_ok(c.firmware_version, strlen(c.firmware_version)));
    HOLDS(utf8_ok(c.timestamp, strlen(c.timestamp)));
    check_signed_bytes(&c);
    if (!span_within(span_of(c.firmware_version), TEDDY_FIRMWARE_OTHERS))
        c.firmware_version[0] = '\0'; /* a server reads it; no toy is let write it */
    claim_write(&w, c.device_id, c.child_id, c.nonce, c.mac, c.firmware_version);
    HOLDS(!w.overflow && w.len <= LIMIT_CLAIM_BODY);
    HOLDS(claim_read((struct span){text, w.len}, &back, &bad) == TEDDY_OK);
    c.mac_well_formed = true; /* a MAC that was none reads as zeros */
    memset(c.timestamp, 0, sizeof c.timestamp);
    HOLDS(strcmp(c.firmware_version, back.firmware_version) == 0);
    HOLDS(strcmp(c.device_id, back.device_id) == 0 && strcmp(c.child_id, back.child_id) == 0);
    HOLDS(strcmp(c.nonce, back.nonce) == 0 && back.mac_well_formed);
    HOLDS(memcmp(c.mac, back.mac, sizeof c.mac) == 0);
}

static void try_refresh(struct span body)
{
    static char text[ROOM];
    char token[LIMIT_TOKEN_LEN + 1], back[LIMIT_TOKEN_LEN + 1];
    struct writer w = writer_on(text, sizeof text);
    int err = refresh_read(body, token);

    HOLDS((err == TEDDY_OK) == (token[0] != '\0'));
    /* What is no token's character is not written: it would have to be escaped. */
    if (err != TEDDY_OK || !span_within(span_of(token), "-_."))
        return;
    refresh_write(&w, token);
    HOLDS(!w.overflow);
    err = refresh_read((struct span){text, w.len}, back);
    HOLDS(err == TEDDY_OK && strcmp(token, back) == 0);
}

static void try_pair(struct span body)
{
    static const struct token_pair none;
    static char text[ROOM];
    struct token_pair pair, back;
    int err = token_pair_read(body, &pair);

    if (err != TEDDY_OK) {
        HOLDS(memcmp(&pair, &none, sizeof none) == 0);
        return;
    }
    for (int message = 0; message < 2; message++) {
        struct writer w = writer_on(text, sizeof text);

        token_pair_write(&w, message ? "tokens" : NULL, pair.access, pair.refresh, pair.expires_in);
        HOLDS(!w.overflow);
        HOLDS(token_pair_read((struct span){text, w.len}, &back) == TEDDY_OK);
        HOLDS(strcmp(pair.access, back.access) == 0 && strcmp(pair.refresh, back.refresh) == 0);
        HOLDS(pair.expires_in == back.expires_in);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span body;

    if (len < 1 || len > ROOM)
        return 0;
    body = (struct span){(const char *)data + 1, len - 1};
    switch (data[0] % 3) {
    case 0:
        try_claim(body);
        break;
    case 1:
        try_refresh(body);
        break;
    default:
        try_pair(body);
    }
    return 0;
}
