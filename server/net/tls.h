/* TLS 1.2 and 1.3 at the server, by OpenSSL. */
#ifndef NET_TLS_H
#define NET_TLS_H

#include <stddef.h>
#include <stdint.h>

#include "teddy/err.h"

struct tls_context;
struct tls_tickets;
struct ssl_st;

struct tls_files {
    const char *cert; /* PEM: the leaf, then its intermediates in order */
    const char *key;  /* PEM */
    const char *ca;   /* PEM the chain must lead to, or NULL */
};

/* Loads and checks the files: readable, the key fits, every certificate in date, each signed by the
 * next, the chain leading to `ca` when given. On failure err names the file, what is wrong and what
 * to do; nothing changes. warn gets a remark that is no error (e.g. leads to no root of this
 * system: fine for a private authority) or "". tickets (NULL: sessions cannot be resumed) must
 * outlive the context and its connections. A session is resumed only while the certificate is for
 * the same names and of the same authority as the one that the client verified. */
TEDDY_MUST_CHECK int tls_context_new(const struct tls_files *files, struct tls_tickets *tickets,
                                     struct tls_context **out, char *err, size_t cap, char *warn,
                                     size_t warn_cap);
void tls_context_free(struct tls_context *ctx);
/* Loads the files anew; on success new connections use them, on failure the old ones stay. Threads:
 * any. */
TEDDY_MUST_CHECK int tls_context_reload(struct tls_context *ctx, const struct tls_files *files,
                                        char *err, size_t cap, char *warn, size_t warn_cap);
/* When the certificate in use expires, in seconds since 1970. Threads: any. */
int64_t tls_context_expires_s(struct tls_context *ctx);
/* A server-side SSL for a new connection, or NULL. Threads: any. */
struct ssl_st *tls_accept(struct tls_context *ctx);

/* Makes a development authority and a certificate for localhost, 127.0.0.1, ::1 and this host's
 * name in dir (ca.crt, ca.key, server.crt, server.key; the keys 0600), unless they are there and
 * good for another 7 days. A new leaf is signed by the authority already there, so that who trusts
 * ca.crt goes on trusting. *made tells. */
TEDDY_MUST_CHECK int tls_dev_certificate(const char *dir, int *made, char *err, size_t cap);

#endif
