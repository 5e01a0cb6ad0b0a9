/* Hashes and randomness, by OpenSSL. */
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <pthread.h>

#include "identity/rules.h"
#include "proto/text.h"

/* HMAC-SHA256 without a key yet. OpenSSL's one-shot call looks the algorithm up by name each time,
 * which costs more than the hash of a short message. Made once, then only copied: each thread has
 * one of its own, because even the copy costs as much as the hash. */
static EVP_MAC_CTX *blank;
static pthread_key_t own; /* the thread's context; it ends with the thread */
static EVP_MD *sha256;    /* for the same reason */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void end_own(void *ctx)
{
    EVP_MAC_CTX_free(ctx);
}

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
    if (ctx != NULL && EVP_MAC_CTX_set_params(ctx, params) == 1 &&
        pthread_key_create(&own, end_own) == 0)
        blank = ctx;
    else
        EVP_MAC_CTX_free(ctx);
}

static EVP_MAC_CTX *own_context(void)
{
    pthread_once(&once, look_up);
    if (blank == NULL)
        return NULL;
    EVP_MAC_CTX *ctx = pthread_getspecific(own);
    if (ctx != NULL)
        return ctx;
    ctx = EVP_MAC_CTX_dup(blank);
    if (ctx != NULL && pthread_setspecific(own, ctx) == 0)
        return ctx;
    EVP_MAC_CTX_free(ctx);
    return NULL;
}

int identity_hmac_sha256(const uint8_t *key, size_t key_len, const uint8_t *msg, size_t len,
                         uint8_t mac[32])
{
    size_t out_len = 0;
    /* Without a key, a context that is kept would take the one before, somebody else's. */
    EVP_MAC_CTX *ctx = key == NULL ? NULL : own_context();
    bool ok = ctx != NULL && EVP_MAC_init(ctx, key, key_len, NULL) == 1 &&
              EVP_MAC_update(ctx, msg, len) == 1 && EVP_MAC_final(ctx, mac, &out_len, 32) == 1;
    return ok && out_len == 32 ? TEDDY_OK : TEDDY_EIO;
}

int identity_sha256(const uint8_t *msg, size_t len, uint8_t digest[32])
{
    (void)pthread_once(&once, look_up);
    return sha256 != NULL && EVP_Digest(msg, len, digest, NULL, sha256, NULL) == 1 ? TEDDY_OK
                                                                                   : TEDDY_EIO;
}

/* A draw costs more than its bytes, so each thread draws for several. What is handed out is wiped
 * here. */
int identity_random(uint8_t *out, size_t len)
{
    static _Thread_local uint8_t drawn[1024];
    static _Thread_local size_t left;
    if (len > sizeof drawn / 4)
        return len <= INT_MAX && RAND_bytes(out, (int)len) == 1 ? TEDDY_OK : TEDDY_EIO;
    if (left < len) {
        left = 0;
        if (RAND_bytes(drawn, (int)sizeof drawn) != 1)
            return TEDDY_EIO;
        left = sizeof drawn;
    }
    left -= len;
    memcpy(out, drawn + left, len);
    wipe(drawn + left, len);
    return TEDDY_OK;
}
