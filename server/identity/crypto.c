/* HMAC and randomness, by OpenSSL. */
#include <limits.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "identity/rules.h"

int identity_hmac_sha256(const uint8_t *key, size_t key_len, const uint8_t *msg, size_t len,
                         uint8_t mac[32])
{
    unsigned out_len = 0;
    if (key_len > INT_MAX ||
        HMAC(EVP_sha256(), key, (int)key_len, msg, len, mac, &out_len) == NULL || out_len != 32)
        return TEDDY_EIO;
    return TEDDY_OK;
}

int identity_random(uint8_t *out, size_t len)
{
    return len <= INT_MAX && RAND_bytes(out, (int)len) == 1 ? TEDDY_OK : TEDDY_EIO;
}
