#ifndef RV32_OPENSSL_HMAC_H
#define RV32_OPENSSL_HMAC_H

#include <openssl/evp.h>

/* Returns out, which must not be NULL. A key of at most 64 bytes, a message of at most 1024. */
unsigned char *HMAC(const EVP_MD *md, const void *key, int key_len, const unsigned char *data,
                    size_t len, unsigned char *out, unsigned *out_len);

#endif
