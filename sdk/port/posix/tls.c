/* TLS 1.2 by Mbed TLS over the non-blocking socket; the peer's certificate is required and
 * verified. */
#include "posix_port.h"

#include <errno.h>
#include <mbedtls/error.h>
#include <mbedtls/platform.h>
#include <stdlib.h>
#include <string.h>

/* Forward secrecy and an AEAD, nothing else. */
static const int suites[] = {
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    MBEDTLS_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    0,
};

static int tls_random(void *ctx, unsigned char *out, size_t len)
{
    return teddy_posix_port.random(ctx, out, len) == TEDDY_OK ? 0 : -1;
}

static int bio_send(void *ctx, const unsigned char *data, size_t len)
{
    struct teddy_posix *p = ctx;
    ssize_t n = send(p->link.fd, data, len < INT32_MAX ? len : INT32_MAX, MSG_NOSIGNAL);

    if (n >= 0)
        return (int)n;
    return errno == EAGAIN || errno == EINTR ? MBEDTLS_ERR_SSL_WANT_WRITE
                                             : MBEDTLS_ERR_SSL_CONN_EOF;
}

static int bio_recv(void *ctx, unsigned char *buf, size_t cap)
{
    struct teddy_posix *p = ctx;
    ssize_t n = recv(p->link.fd, buf, cap < INT32_MAX ? cap : INT32_MAX, 0);

    if (n > 0)
        return (int)n;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return MBEDTLS_ERR_SSL_WANT_READ;
    return MBEDTLS_ERR_SSL_CONN_EOF;
}

/* What a configuration of Mbed TLS points to is only read by its connections, in any thread. */
int tls_configure(struct teddy_posix_trust *trust)
{
    mbedtls_ssl_config *c = &trust->config;

    if (mbedtls_ssl_config_defaults(c, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM,
                                    MBEDTLS_SSL_PRESET_DEFAULT) != 0)
        return TEDDY_ENOMEM;
    mbedtls_ssl_conf_min_version(c, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
    mbedtls_ssl_conf_ciphersuites(c, suites);
    mbedtls_ssl_conf_cert_profile(c, &mbedtls_x509_crt_profile_next);
    mbedtls_ssl_conf_renegotiation(c, MBEDTLS_SSL_RENEGOTIATION_DISABLED);
    mbedtls_ssl_conf_session_tickets(c, MBEDTLS_SSL_SESSION_TICKETS_ENABLED);
    mbedtls_ssl_conf_authmode(c, MBEDTLS_SSL_VERIFY_REQUIRED);
    mbedtls_ssl_conf_ca_chain(c, &trust->chain, NULL);
    mbedtls_ssl_conf_rng(c, tls_random, NULL);
    return TEDDY_OK;
}

int tls_start(struct teddy_posix *p, const char *host, uint16_t port)
{
    struct port_tls *t;

    tls_stop(p);
    if (!(t = calloc(1, sizeof *t)))
        return TEDDY_ENOMEM;
    p->tls = t;
    mbedtls_ssl_init(&t->ssl);
    if (!(t->verify = verify_new(host, port)) || mbedtls_ssl_setup(&t->ssl, &p->trust->config) != 0)
        return TEDDY_ENOMEM;
    mbedtls_ssl_set_verify(&t->ssl, verify_certificate, p);
    /* An address is no name for SNI (RFC 6066), and no name to compare: the verify callback
     * compares it itself. */
    if (!t->verify->host_is_ip && mbedtls_ssl_set_hostname(&t->ssl, host) != 0)
        return TEDDY_ETLS;
    mbedtls_ssl_set_bio(&t->ssl, p, bio_send, bio_recv, NULL);
    resume_offer(p);
    return TEDDY_OK;
}

/* AGAIN with the direction noted, or the failure logged. */
static int outcome(struct teddy_posix *p, int ret, const char *doing)
{
    char text[128];

    p->link.wants_write = ret == MBEDTLS_ERR_SSL_WANT_WRITE;
    if (ret == MBEDTLS_ERR_SSL_WANT_READ || ret == MBEDTLS_ERR_SSL_WANT_WRITE)
        return TEDDY_AGAIN;
    if (ret == MBEDTLS_ERR_SSL_CONN_EOF) {
        port_log(p, TEDDY_LOG_WARN, "the connection broke while %s", doing);
        return TEDDY_EIO;
    }
    mbedtls_strerror(ret, text, sizeof text);
    port_log(p, TEDDY_LOG_WARN, "TLS failed while %s: %s", doing, text);
    return TEDDY_ETLS;
}

/* What the certificate said is kept in its place: a certificate is kilobytes. */
static void drop_certificate(mbedtls_ssl_session *session)
{
    if (!session->peer_cert)
        return;
    mbedtls_x509_crt_free(session->peer_cert);
    mbedtls_free(session->peer_cert);
    session->peer_cert = NULL;
}

static int describe(struct teddy_posix *p)
{
    struct port_tls *t = p->tls;
    const mbedtls_x509_crt *crt = mbedtls_ssl_get_peer_cert(&t->ssl);

    p->peer.resumed = !t->verify->checked;
    p->peer.version = mbedtls_ssl_get_version(&t->ssl);
    p->peer.cipher = mbedtls_ssl_get_ciphersuite(&t->ssl);
    /* Belt and braces: no handshake of ours may end without a verified certificate. */
    if (mbedtls_ssl_get_verify_result(&t->ssl) != 0 || (p->peer.resumed ? !p->kept : !crt))
        return TEDDY_ECERT;
    p->peer.cert = p->peer.resumed ? cert_ref(p->kept->cert) : cert_of(crt);
    return p->peer.cert ? TEDDY_OK : TEDDY_ENOMEM;
}

/* Also for what it may be used for, which Mbed TLS judges apart from the chain. */
static bool certificate_refused(struct port_tls *t, int ret)
{
    uint32_t result = mbedtls_ssl_get_verify_result(&t->ssl);

    if (ret == MBEDTLS_ERR_SSL_WANT_READ || ret == MBEDTLS_ERR_SSL_WANT_WRITE)
        return false;
    return t->verify->other_flags != 0 || t->verify->date_flags != 0 ||
           ret == MBEDTLS_ERR_X509_CERT_VERIFY_FAILED ||
           (ret == MBEDTLS_ERR_SSL_BAD_HS_CERTIFICATE && result != 0 && result != UINT32_MAX);
}

static int greeted(struct teddy_posix *p)
{
    struct port_tls *t = p->tls;
    int err = describe(p);

    p->link.wants_write = false;
    if (err) {
        resume_forget(p);
        return err;
    }
    drop_certificate(t->ssl.session);
    resume_keep(p);
    free(t->verify);
    t->verify = NULL;
    return TEDDY_OK;
}

int tls_handshake(struct teddy_posix *p)
{
    struct port_tls *t = p->tls;
    int ret = mbedtls_ssl_handshake(&t->ssl);
    int err;

    if (ret == 0)
        return greeted(p);
    if (certificate_refused(t, ret)) {
        resume_forget(p);
        return verify_refused(p);
    }
    err = outcome(p, ret, "greeting the server");
    if (err != TEDDY_AGAIN)
        resume_forget(p); /* so that nothing kept can fail us twice */
    return err;
}

int tls_send(struct teddy_posix *p, const uint8_t *data, size_t len, size_t *sent)
{
    struct port_tls *t = p->tls;
    int ret;

    /* A record once made must be flushed by the same call again, however much the caller has by
     * now. */
    if (t->pending > len)
        return TEDDY_EINVAL;
    if (t->pending > 0)
        len = t->pending;
    else if (len > MBEDTLS_SSL_OUT_CONTENT_LEN)
        len = MBEDTLS_SSL_OUT_CONTENT_LEN;
    ret = mbedtls_ssl_write(&t->ssl, data, len);
    if (ret > 0) {
        t->pending = 0;
        p->link.wants_write = false;
        *sent = (size_t)ret;
        return TEDDY_OK;
    }
    if (ret == MBEDTLS_ERR_SSL_WANT_WRITE)
        t->pending = len;
    return outcome(p, ret, "sending");
}

int tls_recv(struct teddy_posix *p, uint8_t *buf, size_t cap, size_t *got)
{
    int ret = mbedtls_ssl_read(&p->tls->ssl, buf, cap);

    if (ret > 0) {
        *got = (size_t)ret;
        return TEDDY_OK;
    }
    if (ret == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY)
        return TEDDY_ECLOSED;
    /* 0 is a stream cut without close_notify: broken, not ended, for anybody may have cut it. */
    return outcome(p, ret == 0 ? MBEDTLS_ERR_SSL_CONN_EOF : ret, "receiving");
}

void tls_stop(struct teddy_posix *p)
{
    struct port_tls *t = p->tls;

    if (!t)
        return;
    if (p->link.state == LINK_OPEN && t->pending == 0)
        (void)mbedtls_ssl_close_notify(&t->ssl);
    mbedtls_ssl_free(&t->ssl);
    free(t->verify);
    free(t);
    p->tls = NULL;
}
