/* What the chain is computed with. OpenSSL's one-shot digest looks the algorithm up at each call; a
 * context that is kept does not. */
#include <openssl/evp.h>
#include <stdlib.h>

#include "store/audit.h"

#define BLOCK 64 /* SHA-256's */

struct audit_hasher {
    EVP_MD_CTX *md;
    uint8_t buf[AUDIT_HASH_LEN + 16 + 5 * 2 + AUDIT_FIELDS_MAX];
};

struct audit_hasher *audit_hasher_new(void)
{
    struct audit_hasher *h = calloc(1, sizeof *h);
    if (h == NULL)
        return NULL;
    h->md = EVP_MD_CTX_new();
    if (h->md != NULL && EVP_DigestInit_ex(h->md, EVP_sha256(), NULL) == 1)
        return h;
    audit_hasher_free(h);
    return NULL;
}

void audit_hasher_free(struct audit_hasher *h)
{
    if (h == NULL)
        return;
    EVP_MD_CTX_free(h->md);
    free(h);
}

static bool digest(struct audit_hasher *h, const uint8_t *data, size_t len,
                   uint8_t out[AUDIT_HASH_LEN])
{
    return EVP_DigestInit_ex(h->md, NULL, NULL) == 1 && EVP_DigestUpdate(h->md, data, len) == 1 &&
           EVP_DigestFinal_ex(h->md, out, NULL) == 1;
}

static uint8_t *put(uint8_t *at, uint64_t n, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (uint8_t)(n >> 8 * (bytes - 1 - i));
    return at + bytes;
}

bool audit_hash(struct audit_hasher *h, const uint8_t prev[AUDIT_HASH_LEN],
                const struct audit_row *row, uint8_t out[AUDIT_HASH_LEN])
{
    const struct span fields[] = {
        row->event,
        row->device_id,
        {(const char *)row->child, row->child != NULL ? AUDIT_CHILD_LEN : 0},
        row->actor,
        row->detail,
    };
    size_t room = AUDIT_FIELDS_MAX;
    uint8_t *at = h->buf;

    memcpy(at, prev, AUDIT_HASH_LEN);
    at = put(at + AUDIT_HASH_LEN, (uint64_t)row->n, 8);
    at = put(at, row->at_ms, 8);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (fields[i].len > room)
            return false;
        room -= fields[i].len;
        at = put(at, fields[i].len, 2);
        if (fields[i].len > 0)
            memcpy(at, fields[i].p, fields[i].len);
        at += fields[i].len;
    }
    return digest(h, h->buf, (size_t)(at - h->buf), out);
}

bool audit_keyed_hash(struct audit_hasher *h, const uint8_t key[AUDIT_CHILD_LEN], struct span text,
                      uint8_t out[AUDIT_HASH_LEN])
{
    if (text.len > AUDIT_FIELDS_MAX)
        return false;
    memcpy(h->buf, key, AUDIT_CHILD_LEN);
    memcpy(h->buf + AUDIT_CHILD_LEN, text.p, text.len);
    return digest(h, h->buf, AUDIT_CHILD_LEN + text.len, out);
}

static void pad(uint8_t *out, const uint8_t key[AUDIT_CHILD_LEN], uint8_t with)
{
    memset(out, with, BLOCK);
    for (size_t i = 0; i < AUDIT_CHILD_LEN; i++)
        out[i] ^= key[i];
}

/* RFC 2104. */
bool audit_hmac(struct audit_hasher *h, const uint8_t key[AUDIT_CHILD_LEN], struct span text,
                uint8_t out[AUDIT_HASH_LEN])
{
    if (text.len > AUDIT_FIELDS_MAX)
        return false;
    pad(h->buf, key, 0x36);
    memcpy(h->buf + BLOCK, text.p, text.len);
    bool ok = digest(h, h->buf, BLOCK + text.len, out);
    pad(h->buf, key, 0x5c);
    memcpy(h->buf + BLOCK, out, AUDIT_HASH_LEN);
    ok = ok && digest(h, h->buf, BLOCK + AUDIT_HASH_LEN, out);
    memset(h->buf, 0, BLOCK + AUDIT_HASH_LEN);
    return ok;
}
