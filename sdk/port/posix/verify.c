/* Judging the server's certificate: Mbed TLS checks the chain and names; dates are judged by our
 * own clock, and addresses, which Mbed TLS 2.28 does not compare, here. */
#include "posix_port.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/writer.h"

#define DATES (MBEDTLS_X509_BADCERT_EXPIRED | MBEDTLS_X509_BADCERT_FUTURE)

struct port_verify *verify_new(const char *host, uint16_t port)
{
    struct port_verify *v = calloc(1, sizeof *v);
    union port_address a;

    if (!v)
        return NULL;
    v->port = port;
    v->bad_depth = -1;
    snprintf(v->host, sizeof v->host, "%s", host);
    v->host_is_ip = address_parse(host, &a);
    if (v->host_is_ip && a.any.sa_family == AF_INET6) {
        v->ip_len = 16;
        memcpy(v->ip, &a.v6.sin6_addr, v->ip_len);
    } else if (v->host_is_ip) {
        v->ip_len = 4;
        memcpy(v->ip, &a.v4.sin_addr, v->ip_len);
    }
    return v;
}

/* The system's clock, which Mbed TLS asked, is only one of those we believe. */
static uint32_t judge_dates(struct teddy_posix *p, const mbedtls_x509_crt *crt, uint32_t flags)
{
    uint64_t now = clock_wall(p);

    flags &= ~(uint32_t)DATES;
    if (now > clock_from_x509(&crt->valid_to))
        flags |= MBEDTLS_X509_BADCERT_EXPIRED;
    if (now < clock_from_x509(&crt->valid_from))
        flags |= MBEDTLS_X509_BADCERT_FUTURE;
    return flags;
}

/* Called from the root to the server's own certificate (depth 0). */
int verify_certificate(void *ctx, mbedtls_x509_crt *crt, int depth, uint32_t *flags)
{
    struct teddy_posix *p = ctx;
    struct port_verify *v = p->tls->verify;

    v->checked = true;
    *flags = judge_dates(p, crt, *flags);
    if (depth == 0 && v->host_is_ip && !san_has_ip(crt, v->ip, v->ip_len))
        *flags |= MBEDTLS_X509_BADCERT_CN_MISMATCH;
    if (*flags != 0 && v->bad_depth < 0) {
        v->bad_depth = depth;
        mbedtls_x509_dn_gets(v->bad_subject, sizeof v->bad_subject, &crt->subject);
    }
    v->date_flags |= *flags & DATES;
    v->other_flags |= *flags & ~(uint32_t)DATES;
    return 0;
}

struct reason {
    uint32_t flag;
    const char *text;
};

static const struct reason reasons[] = {
    {MBEDTLS_X509_BADCERT_NOT_TRUSTED, "no authority we trust has signed it"},
    {MBEDTLS_X509_BADCERT_CN_MISMATCH, "it is not for this host"},
    {MBEDTLS_X509_BADCERT_EXPIRED, "it has expired"},
    {MBEDTLS_X509_BADCERT_FUTURE, "it is not valid yet"},
    {MBEDTLS_X509_BADCERT_REVOKED, "it was revoked"},
    {MBEDTLS_X509_BADCERT_BAD_MD | MBEDTLS_X509_BADCERT_BAD_PK | MBEDTLS_X509_BADCERT_BAD_KEY,
     "its key or signature is too weak"},
    {MBEDTLS_X509_BADCERT_KEY_USAGE | MBEDTLS_X509_BADCERT_EXT_KEY_USAGE |
         MBEDTLS_X509_BADCERT_NS_CERT_TYPE,
     "it is not meant for a server"},
};

static void list_reasons(struct writer *w, uint32_t flags)
{
    uint32_t known = 0;

    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        known |= reasons[i].flag;
        if ((flags & reasons[i].flag) == 0)
            continue;
        if (w->len > 0)
            writer_text(w, ", ");
        writer_text(w, reasons[i].text);
    }
    if ((flags & ~known) != 0)
        writer_text(w, w->len > 0 ? ", and more is wrong" : "it is not acceptable");
}

int verify_refused(struct teddy_posix *p)
{
    struct port_verify *v = p->tls->verify;
    /* Usage and curve are judged after the callback: those flags are in the result alone. */
    uint32_t result = mbedtls_ssl_get_verify_result(&p->tls->ssl);
    char text[300];
    struct writer w = writer_on(text, sizeof text);

    if (result != UINT32_MAX)
        v->other_flags |= result & ~(uint32_t)DATES;
    list_reasons(&w, v->other_flags | v->date_flags);
    (void)writer_end(&w);
    port_log(p, TEDDY_LOG_WARN, "the certificate for %s is refused: %s (%s%s)", v->host,
             w.overflow ? "for several reasons" : text, v->bad_depth > 0 ? "in its chain: " : "",
             v->bad_depth >= 0 ? v->bad_subject : "?");
    return v->other_flags == 0 && v->date_flags != 0 ? TEDDY_ECLOCK : TEDDY_ECERT;
}
