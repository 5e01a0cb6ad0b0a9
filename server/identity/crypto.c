/* Hashes and randomness, by OpenSSL. */
#include <limits.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "identity/rules.h"
#include "proto/text.h"

#define BLOCK 64 /* SHA-256's */

/* OpenSSL's calls by name look the algorithm up each time, and its HMAC makes three contexts for
 * each key: both cost more than the hash of a short message. So each thread keeps one context of
 * SHA-256, and HMAC is made of it here. */
static EVP_MD *sha256;
static pthread_key_t own; /* the thread's context; it ends with the thread */
static bool can_own;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void end_own(void *ctx)
{
    EVP_MD_CTX_free(ctx);
}

static void look_up(void)
{
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    can_own = sha256 != NULL && pthread_key_create(&own, end_own) == 0;
}

static EVP_MD_CTX *own_context(void)
{
    pthread_once(&once, look_up);
    EVP_MD_CTX *ctx = can_own ? pthread_getspecific(own) : NULL;
    if (ctx != NULL || !can_own)
        return ctx;
    ctx = EVP_MD_CTX_new();
    if (ctx != NULL && EVP_DigestInit_ex(ctx, sha256, NULL) == 1 &&
        pthread_setspecific(own, ctx) == 0)
        return ctx;
    EVP_MD_CTX_free(ctx);
    return NULL;
}

/* Of two pieces. The context is kept: what it was given last stays in it no longer than the next
 * message. */
static bool digest(EVP_MD_CTX *ctx, const void *a, size_t a_len, const void *b, size_t b_len,
                   uint8_t out[32])
{
    return EVP_DigestInit_ex(ctx, NULL, NULL) == 1 && EVP_DigestUpdate(ctx, a, a_len) == 1 &&
           EVP_DigestUpdate(ctx, b, b_len) == 1 && EVP_DigestFinal_ex(ctx, out, NULL) == 1;
}

/* RFC 2104. */
int identity_hmac_sha256(const uint8_t *key, size_t key_len, const uint8_t *msg, size_t len,
                         uint8_t mac[32])
{
    uint8_t pad[BLOCK] = {0};
    EVP_MD_CTX *ctx = key == NULL ? NULL : own_context();
    bool ok = ctx != NULL && (key_len <= BLOCK || digest(ctx, key, key_len, NULL, 0, pad));
    if (ok && key_len <= BLOCK)
        memcpy(pad, key, key_len);
    for (size_t i = 0; i < BLOCK; i++)
        pad[i] ^= 0x36;
    ok = ok && digest(ctx, pad, BLOCK, msg, len, mac);
    for (size_t i = 0; i < BLOCK; i++)
        pad[i] ^= 0x36 ^ 0x5c;
    ok = ok && digest(ctx, pad, BLOCK, mac, 32, mac);
    wipe(pad, sizeof pad);
    return ok ? TEDDY_OK : TEDDY_EIO;
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
