#include "store/seal_box.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "proto/text.h"

#define NONCE_LEN 12
#define TAG_LEN   16

_Static_assert(SEAL_KEY_LEN == LIMIT_SECRET_LEN, "a key is sealed as a secret is");

/* Each context is keyed once: for a message only the nonce is set. */
struct seal_box {
    EVP_CIPHER_CTX *shut, *open;
    EVP_MAC_CTX *fingerprint, *erasure;
};

/* HKDF-SHA256; info parts the keys from each other. */
static bool derive(const uint8_t key[SEAL_KEY_LEN], const char *info, uint8_t *out, size_t len)
{
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)key, SEAL_KEY_LEN),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)(uintptr_t)info,
                                          strlen(info)),
        OSSL_PARAM_construct_end(),
    };
    EVP_KDF *hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *ctx = hkdf == NULL ? NULL : EVP_KDF_CTX_new(hkdf);
    bool ok = ctx != NULL && EVP_KDF_derive(ctx, out, len, params) == 1;
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(hkdf);
    return ok;
}

static EVP_CIPHER_CTX *gcm_new(const uint8_t key[SEAL_KEY_LEN], bool shut)
{
    EVP_CIPHER *aes = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    EVP_CIPHER_CTX *ctx = aes == NULL ? NULL : EVP_CIPHER_CTX_new();
    bool ok = ctx != NULL && EVP_CipherInit_ex2(ctx, aes, key, NULL, shut ? 1 : 0, NULL) == 1;
    EVP_CIPHER_free(aes); /* the context holds it */
    if (ok)
        return ctx;
    EVP_CIPHER_CTX_free(ctx);
    return NULL;
}

static EVP_MAC_CTX *mac_new(const uint8_t *key, size_t len)
{
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *ctx = hmac == NULL ? NULL : EVP_MAC_CTX_new(hmac);
    bool ok = ctx != NULL && EVP_MAC_init(ctx, key, len, params) == 1;
    EVP_MAC_free(hmac);
    if (ok)
        return ctx;
    EVP_MAC_CTX_free(ctx);
    return NULL;
}

static int shut(EVP_CIPHER_CTX *ctx, const char *bound, const uint8_t plain[SEAL_KEY_LEN],
                uint8_t out[SEALED_LEN])
{
    uint8_t *body = out + NONCE_LEN, *tag = body + SEAL_KEY_LEN;
    int n = 0;
    bool ok = RAND_bytes(out, NONCE_LEN) == 1 &&
              EVP_EncryptInit_ex2(ctx, NULL, NULL, out, NULL) == 1 &&
              EVP_EncryptUpdate(ctx, NULL, &n, (const uint8_t *)bound, (int)strlen(bound)) == 1 &&
              EVP_EncryptUpdate(ctx, body, &n, plain, SEAL_KEY_LEN) == 1 && n == SEAL_KEY_LEN &&
              EVP_EncryptFinal_ex(ctx, tag, &n) == 1 &&
              EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, tag) == 1;
    return ok ? TEDDY_OK : TEDDY_EIO;
}

static int open_bound(EVP_CIPHER_CTX *ctx, const char *bound, const uint8_t sealed[SEALED_LEN],
                      uint8_t out[SEAL_KEY_LEN])
{
    const uint8_t *body = sealed + NONCE_LEN;
    uint8_t tag[TAG_LEN];
    int n = 0;
    memcpy(tag, body + SEAL_KEY_LEN, TAG_LEN);
    bool ok = EVP_DecryptInit_ex2(ctx, NULL, NULL, sealed, NULL) == 1 &&
              EVP_DecryptUpdate(ctx, NULL, &n, (const uint8_t *)bound, (int)strlen(bound)) == 1 &&
              EVP_DecryptUpdate(ctx, out, &n, body, SEAL_KEY_LEN) == 1 && n == SEAL_KEY_LEN &&
              EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, tag) == 1;
    if (ok && EVP_DecryptFinal_ex(ctx, tag, &n) == 1)
        return TEDDY_OK;
    wipe(out, SEAL_KEY_LEN);
    return ok ? TEDDY_EAUTH : TEDDY_EIO;
}

struct seal_box *seal_box_new(const uint8_t data_key[SEAL_KEY_LEN])
{
    struct seal_box *b = calloc(1, sizeof *b);
    uint8_t secret[SEAL_KEY_LEN], fingerprint[SEAL_KEY_LEN], erasure[SEAL_KEY_LEN];
    bool ok = b != NULL && derive(data_key, "teddy secret", secret, sizeof secret) &&
              derive(data_key, "teddy fingerprint", fingerprint, sizeof fingerprint) &&
              derive(data_key, "teddy erasure", erasure, sizeof erasure) &&
              (b->shut = gcm_new(secret, true)) != NULL &&
              (b->open = gcm_new(secret, false)) != NULL &&
              (b->fingerprint = mac_new(fingerprint, sizeof fingerprint)) != NULL &&
              (b->erasure = mac_new(erasure, sizeof erasure)) != NULL;
    wipe(secret, sizeof secret);
    wipe(fingerprint, sizeof fingerprint);
    wipe(erasure, sizeof erasure);
    if (ok)
        return b;
    seal_box_free(b);
    return NULL;
}

void seal_box_free(struct seal_box *b)
{
    if (b == NULL)
        return;
    EVP_CIPHER_CTX_free(b->shut);
    EVP_CIPHER_CTX_free(b->open);
    EVP_MAC_CTX_free(b->fingerprint);
    EVP_MAC_CTX_free(b->erasure);
    free(b);
}

int seal_box_shut(struct seal_box *b, const char *device_id, const uint8_t secret[LIMIT_SECRET_LEN],
                  uint8_t sealed[SEALED_LEN])
{
    return shut(b->shut, device_id, secret, sealed);
}

int seal_box_open(struct seal_box *b, const char *device_id, const uint8_t sealed[SEALED_LEN],
                  uint8_t secret[LIMIT_SECRET_LEN])
{
    return open_bound(b->open, device_id, sealed, secret);
}

static int mac_of(EVP_MAC_CTX *keyed, const void *data, size_t len, uint8_t out[SEAL_MAC_LEN])
{
    size_t n = 0;
    bool ok = EVP_MAC_init(keyed, NULL, 0, NULL) == 1 && EVP_MAC_update(keyed, data, len) == 1 &&
              EVP_MAC_final(keyed, out, &n, SEAL_MAC_LEN) == 1;
    return ok && n == SEAL_MAC_LEN ? TEDDY_OK : TEDDY_EIO;
}

int seal_box_fingerprint(struct seal_box *b, const uint8_t secret[LIMIT_SECRET_LEN],
                         uint8_t out[SEAL_MAC_LEN])
{
    return mac_of(b->fingerprint, secret, LIMIT_SECRET_LEN, out);
}

int seal_box_erasure(struct seal_box *b, const void *data, size_t len, uint8_t out[SEAL_MAC_LEN])
{
    return mac_of(b->erasure, data, len, out);
}

#define WRAPPED_FOR "teddy data key"

int seal_wrap(const uint8_t master[SEAL_KEY_LEN], const uint8_t data_key[SEAL_KEY_LEN],
              uint8_t wrapped[SEALED_LEN])
{
    EVP_CIPHER_CTX *ctx = gcm_new(master, true);
    int rc = ctx == NULL ? TEDDY_EIO : shut(ctx, WRAPPED_FOR, data_key, wrapped);
    EVP_CIPHER_CTX_free(ctx);
    return rc;
}

int seal_unwrap(const uint8_t master[SEAL_KEY_LEN], const uint8_t wrapped[SEALED_LEN],
                uint8_t data_key[SEAL_KEY_LEN])
{
    EVP_CIPHER_CTX *ctx = gcm_new(master, false);
    int rc = ctx == NULL ? TEDDY_EIO : open_bound(ctx, WRAPPED_FOR, wrapped, data_key);
    EVP_CIPHER_CTX_free(ctx);
    return rc;
}

int seal_id(const uint8_t master[SEAL_KEY_LEN], uint8_t id[SEAL_ID_LEN])
{
    return derive(master, "teddy master key id", id, SEAL_ID_LEN) ? TEDDY_OK : TEDDY_EIO;
}
