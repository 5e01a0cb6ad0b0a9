/* Hashes and randomness, by OpenSSL. */
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <pthread.h>

#include "identity/rules.h"

/* HMAC-SHA256 without a key yet. OpenSSL's one-shot call looks the algorithm up by name each time,
 * which costs more than the hash of a short message; a copy of this does not. Made once, then only
 * copied. */
static EVP_MAC_CTX *blank;
static EVP_MD *sha256; /* for the same reason */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void look_up(void)
{
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *ctx = hmac == NULL ? NULL : EVP_MAC_CTX_new(hmac);
    EVP_MAC_free(hmac); /* the context holds it */
    if (ctx != NULL && EVP_MAC_CTX_set_params(ctx, params) == 1)
        blank = ctx;
    else
        EVP_MAC_CTX_free(ctx);
}

int identity_hmac_sha256(const uint8_t *key, size_t key_len, const uint8_t *msg, size_t len,
                         uint8_t mac[32])
{
    size_t out_len = 0;
    pthread_once(&once, look_up);
    EVP_MAC_CTX *ctx = blank == NULL ? NULL : EVP_MAC_CTX_dup(blank);
    bool ok = ctx != NULL && EVP_MAC_init(ctx, key, key_len, NULL) == 1 &&
              EVP_MAC_update(ctx, msg, len) == 1 && EVP_MAC_final(ctx, mac, &out_len, 32) == 1;
    EVP_MAC_CTX_free(ctx);
    return ok && out_len == 32 ? TEDDY_OK : TEDDY_EIO;
}

int identity_sha256(const uint8_t *msg, size_t len, uint8_t digest[32])
{
    pthread_once(&once, look_up);
    return sha256 != NULL && EVP_Digest(msg, len, digest, NULL, sha256, NULL) == 1 ? TEDDY_OK
                                                                                   : TEDDY_EIO;
}

int identity_random(uint8_t *out, size_t len)
{
    return len <= INT_MAX && RAND_bytes(out, (int)len) == 1 ? TEDDY_OK : TEDDY_EIO;
}
