#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "net/tls_internal.h"

struct tls_context {
    struct tls_tickets *tickets; /* or NULL */
    pthread_mutex_t lock;        /* ctx */
    SSL_CTX *ctx;
};

/* TLS 1.2: forward secrecy and AEAD only. TLS 1.3 has nothing else. AES-128 first: what comes with
 * it hashes by SHA-256, for which processors have instructions, and a handshake hashes much. */
static const char ciphers12[] = "ECDHE+AES128+AESGCM:ECDHE+AESGCM:ECDHE+CHACHA20";
static const char ciphers13[] =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
static const char groups[] = "X25519:P-256:P-384";

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                       const unsigned char *in, unsigned in_len, void *arg)
{
    static const unsigned char ours[] = "\x08http/1.1";
    unsigned char *chosen;
    (void)ssl;
    (void)arg;
    if (SSL_select_next_proto(&chosen, out_len, ours, sizeof ours - 1, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK; /* a client that offers others only may still try HTTP/1.1 */
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static void set_modes(SSL_CTX *ctx)
{
    SSL_CTX_set_options(ctx,
                        SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                            SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
                            /* Requests are framed by length and sessions by their close frame: a
                             * peer that leaves without close_notify truncates nothing unnoticed. */
                            SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(ctx, 1); /* header and record in one call */
    SSL_CTX_set_alpn_select_cb(ctx, choose_alpn, NULL);
}

static bool set_identity(SSL_CTX *ctx, const struct tls_chain *chain)
{
    uint8_t identity[32];
    return tls_chain_identity(chain, identity) &&
           SSL_CTX_set_session_id_context(ctx, identity, sizeof identity) == 1;
}

static SSL_CTX *build(const struct tls_chain *chain, struct tls_tickets *tickets)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (!ctx)
        return NULL;
    set_modes(ctx);
    tls_tickets_use(ctx, tickets);
    if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
        SSL_CTX_set_cipher_list(ctx, ciphers12) == 1 &&
        SSL_CTX_set_ciphersuites(ctx, ciphers13) == 1 &&
        SSL_CTX_set1_groups_list(ctx, groups) == 1 &&
        SSL_CTX_use_certificate(ctx, chain->leaf) == 1 &&
        SSL_CTX_set1_chain(ctx, chain->rest) == 1 && SSL_CTX_use_PrivateKey(ctx, chain->key) == 1 &&
        set_identity(ctx, chain))
        return ctx;
    SSL_CTX_free(ctx);
    return NULL;
}

static int load(const struct tls_files *files, struct tls_tickets *tickets, SSL_CTX **out,
                char *err, size_t cap, char *warn, size_t warn_cap)
{
    struct tls_chain chain;
    int rc = tls_chain_load(files, &chain, err, cap, warn, warn_cap);
    if (rc != TEDDY_OK)
        return rc;
    ERR_clear_error();
    *out = build(&chain, tickets);
    tls_chain_fini(&chain);
    if (*out)
        return TEDDY_OK;
    snprintf(err, cap, "certificate %s cannot be used: %s", files->cert,
             ERR_reason_error_string(ERR_peek_last_error()));
    ERR_clear_error();
    return TEDDY_ETLS;
}

int tls_context_new(const struct tls_files *files, struct tls_tickets *tickets,
                    struct tls_context **out, char *err, size_t cap, char *warn, size_t warn_cap)
{
    SSL_CTX *ctx;
    int rc = load(files, tickets, &ctx, err, cap, warn, warn_cap);
    if (rc != TEDDY_OK)
        return rc;
    struct tls_context *t = calloc(1, sizeof *t);
    if (!t || pthread_mutex_init(&t->lock, NULL) != 0) {
        free(t);
        SSL_CTX_free(ctx);
        snprintf(err, cap, "out of memory");
        return TEDDY_ENOMEM;
    }
    t->tickets = tickets;
    t->ctx = ctx;
    *out = t;
    return TEDDY_OK;
}

void tls_context_free(struct tls_context *t)
{
    if (!t)
        return;
    SSL_CTX_free(t->ctx);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

int tls_context_reload(struct tls_context *t, const struct tls_files *files, char *err, size_t cap,
                       char *warn, size_t warn_cap)
{
    SSL_CTX *ctx;
    int rc = load(files, t->tickets, &ctx, err, cap, warn, warn_cap);
    if (rc != TEDDY_OK)
        return rc;
    pthread_mutex_lock(&t->lock);
    SSL_CTX *old = t->ctx;
    t->ctx = ctx;
    pthread_mutex_unlock(&t->lock);
    SSL_CTX_free(old); /* connections that use it keep it */
    return TEDDY_OK;
}

int64_t tls_context_expires_s(struct tls_context *t)
{
    struct tm tm = {.tm_year = 70, .tm_mday = 1};
    pthread_mutex_lock(&t->lock);
    const X509 *leaf = SSL_CTX_get0_certificate(t->ctx);
    int ok = leaf && ASN1_TIME_to_tm(X509_get0_notAfter(leaf), &tm);
    pthread_mutex_unlock(&t->lock);
    return ok ? (int64_t)timegm(&tm) : 0;
}

struct ssl_st *tls_accept(struct tls_context *t)
{
    pthread_mutex_lock(&t->lock);
    SSL *ssl = SSL_new(t->ctx);
    pthread_mutex_unlock(&t->lock);
    if (ssl)
        SSL_set_accept_state(ssl);
    return ssl;
}
