#ifndef NET_TLS_INTERNAL_H
#define NET_TLS_INTERNAL_H

#include <openssl/x509.h>
#include <stdbool.h>

#include "net/tls.h"

/* A certificate with what came behind it in its file, and its key. */
struct tls_chain {
    X509 *leaf;
    STACK_OF(X509) * rest; /* in the file's order; maybe empty */
    EVP_PKEY *key;
};

/* Reads and checks everything tls_context_new promises. */
TEDDY_MUST_CHECK int tls_chain_load(const struct tls_files *files, struct tls_chain *out, char *err,
                                    size_t cap, char *warn, size_t warn_cap);
void tls_chain_fini(struct tls_chain *chain);

/* One PEM file each; on failure err says what is wrong with it. */
TEDDY_MUST_CHECK int tls_read_certs(const char *path, STACK_OF(X509) * *out, char *err, size_t cap);
TEDDY_MUST_CHECK int tls_read_key(const char *path, EVP_PKEY **out, char *err, size_t cap);

#endif
