/* The two digests that the tests ask libcrypto for, where there is none: tests/rv32/digest.c. */
#ifndef RV32_OPENSSL_EVP_H
#define RV32_OPENSSL_EVP_H

#include <stddef.h>

typedef struct rv32_digest EVP_MD;

const EVP_MD *EVP_sha1(void);
const EVP_MD *EVP_sha256(void);

/* 1, always. impl is not used. */
int EVP_Digest(const void *data, size_t len, unsigned char *out, unsigned *out_len,
               const EVP_MD *md, void *impl);

#endif
