#include "test_pki.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "test pki: %s failed\n", what);
    ERR_print_errors_fp(stderr);
    abort();
}

static void extend(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *e;

    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    must(e && X509_add_ext(x, e, -1), value);
    X509_EXTENSION_free(e);
}

struct pki_cert pki_make(const char *cn, const struct pki_cert *issuer, bool ca, const char *san,
                         const char *usage, time_t from, time_t to)
{
    static atomic_long serial = 1;
    struct pki_cert c = {X509_new(), EVP_EC_gen("P-256")};
    X509_NAME *name = X509_get_subject_name(c.x509);

    must(c.x509 && c.key, "key");
    X509_set_version(c.x509, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(c.x509), atomic_fetch_add(&serial, 1));
    ASN1_TIME_set(X509_getm_notBefore(c.x509), from);
    ASN1_TIME_set(X509_getm_notAfter(c.x509), to);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0);
    X509_set_issuer_name(c.x509, issuer ? X509_get_subject_name(issuer->x509) : name);
    X509_set_pubkey(c.x509, c.key);
    extend(c.x509, issuer ? issuer->x509 : c.x509, NID_basic_constraints,
           ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
    if (san)
        extend(c.x509, c.x509, NID_subject_alt_name, san);
    if (usage)
        extend(c.x509, c.x509, NID_ext_key_usage, usage);
    must(X509_sign(c.x509, issuer ? issuer->key : c.key, EVP_sha256()) > 0, "sign");
    return c;
}

void pki_free(struct pki_cert *c)
{
    X509_free(c->x509);
    EVP_PKEY_free(c->key);
    *c = (struct pki_cert){NULL, NULL};
}

void pki_write(const struct pki_cert *c, const char *path)
{
    FILE *f = fopen(path, "w");

    must(f && PEM_write_X509(f, c->x509), path);
    fclose(f);
}

/* True when fd can be read before the server is told to stop. */
static bool readable(struct pki_server *s, int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    while (!atomic_load(&s->stop))
        if (poll(&p, 1, 20) > 0)
            return true;
    return false;
}

static void talk(struct pki_server *s, SSL *ssl, int fd)
{
    char buf[4096];

    while (SSL_pending(ssl) > 0 || readable(s, fd)) {
        int n = SSL_read(ssl, buf, sizeof buf);
        if (n <= 0 || s->behaviour == PKI_CUT)
            return;
        if (SSL_write(ssl, buf, n) <= 0)
            return;
    }
}

static void serve(struct pki_server *s, SSL_CTX *ctx, int fd)
{
    SSL *ssl;
    char c[4096];

    if (s->behaviour == PKI_SILENT) {
        while (readable(s, fd) && read(fd, c, sizeof c) > 0)
            continue;
        return;
    }
    if (s->behaviour == PKI_PLAIN_TEXT) {
        static const char text[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
        if (readable(s, fd) && write(fd, text, sizeof text - 1) > 0)
            (void)!read(fd, c, sizeof c);
        return;
    }
    ssl = SSL_new(ctx);
    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) == 1) {
        atomic_fetch_add(&s->handshakes, 1);
        if (SSL_session_reused(ssl))
            atomic_fetch_add(&s->resumed, 1);
        talk(s, ssl, fd);
        if (s->behaviour != PKI_CUT)
            SSL_shutdown(ssl);
    }
    SSL_free(ssl);
    ERR_clear_error();
}

static void *run(void *arg)
{
    struct pki_server *s = arg;
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    must(ctx != NULL, "context");
    if (s->cert) {
        must(SSL_CTX_use_certificate(ctx, s->cert->x509) == 1, "certificate");
        must(SSL_CTX_use_PrivateKey(ctx, s->cert->key) == 1, "private key");
    }
    while (readable(s, s->listener)) {
        struct timeval limit = {.tv_sec = 5};
        int fd = accept(s->listener, NULL, NULL);
        if (fd < 0)
            continue;
        atomic_fetch_add(&s->accepted, 1);
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        serve(s, ctx, fd);
        close(fd);
    }
    SSL_CTX_free(ctx);
    return NULL;
}

void pki_server_start(struct pki_server *s, const struct pki_cert *cert,
                      enum pki_behaviour behaviour, bool ipv6)
{
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr *a = ipv6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4;
    socklen_t len = ipv6 ? sizeof v6 : sizeof v4;

    memset(s, 0, sizeof *s);
    s->cert = cert;
    s->behaviour = behaviour;
    s->listener = socket(a->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(s->listener >= 0 && bind(s->listener, a, len) == 0 && listen(s->listener, 256) == 0,
         "listen");
    must(getsockname(s->listener, a, &len) == 0, "getsockname");
    s->port = ntohs(ipv6 ? v6.sin6_port : v4.sin_port);
    must(pthread_create(&s->thread, NULL, run, s) == 0, "thread");
}

void pki_server_stop(struct pki_server *s)
{
    atomic_store(&s->stop, true);
    pthread_join(s->thread, NULL);
    close(s->listener);
}
