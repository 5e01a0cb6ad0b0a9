#ifndef NET_TLS_INTERNAL_H
#define NET_TLS_INTERNAL_H

#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdbool.h>

#include "net/tls.h"
#include "net/tls_tickets.h"

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

/* The whole old file or the whole new one (mode 0600), whatever happens; `synced`: also when power
 * is lost. False: errno says why. */
TEDDY_MUST_CHECK bool tls_file_replace(const char *path, const void *data, size_t len, bool synced);

/* Has the context issue and take tickets under these keys; NULL: none at all. */
void tls_tickets_use(SSL_CTX *ctx, struct tls_tickets *tickets);

/* Whom a client has verified when it has verified this chain: the context its sessions belong to.
 */
TEDDY_MUST_CHECK bool tls_chain_identity(const struct tls_chain *chain, uint8_t out[32]);

#endif
