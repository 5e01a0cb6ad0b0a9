/* Who is at the other end: kept as small as it is, written out when asked for. */
#include "posix_port.h"

#include <arpa/inet.h>
#include <mbedtls/sha256.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/writer.h"

#define NAME_MAX_LEN 256

struct port_cert *cert_of(const mbedtls_x509_crt *crt)
{
    char subject[NAME_MAX_LEN] = "", issuer[NAME_MAX_LEN] = "";
    struct port_cert *c;
    size_t subject_size, issuer_size;

    mbedtls_x509_dn_gets(subject, sizeof subject, &crt->subject);
    mbedtls_x509_dn_gets(issuer, sizeof issuer, &crt->issuer);
    subject_size = strlen(subject) + 1;
    issuer_size = strlen(issuer) + 1;
    c = calloc(1, sizeof *c + subject_size + issuer_size);
    if (!c)
        return NULL;
    c->refs = 1;
    c->not_after = clock_from_x509(&crt->valid_to);
    memcpy(c->names, subject, subject_size);
    memcpy(c->names + subject_size, issuer, issuer_size);
    if (mbedtls_sha256_ret(crt->raw.p, crt->raw.len, c->sha256, 0) != 0) {
        free(c);
        return NULL;
    }
    return c;
}

struct port_cert *cert_ref(struct port_cert *c)
{
    c->refs++;
    return c;
}

void cert_drop(struct port_cert *c)
{
    if (c && --c->refs == 0)
        free(c);
}

void peer_clear(struct port_peer *peer)
{
    cert_drop(peer->cert);
    memset(peer, 0, sizeof *peer);
}

void address_text(const union port_address *a, char *out, size_t out_len)
{
    bool v6 = a->any.sa_family == AF_INET6;
    char text[INET6_ADDRSTRLEN] = "?";

    if (v6)
        inet_ntop(AF_INET6, &a->v6.sin6_addr, text, sizeof text);
    else
        inet_ntop(AF_INET, &a->v4.sin_addr, text, sizeof text);
    snprintf(out, out_len, v6 ? "[%s]:%u" : "%s:%u", text,
             ntohs(v6 ? a->v6.sin6_port : a->v4.sin_port));
}

void teddy_posix_peer(const struct teddy_posix *p, struct teddy_posix_peer *out)
{
    const struct port_peer *peer = &p->peer;
    const struct port_cert *c = peer->cert;
    struct writer w;

    memset(out, 0, sizeof *out);
    if (peer->address.any.sa_family != AF_UNSPEC)
        address_text(&peer->address, out->address, sizeof out->address);
    if (!c)
        return;
    out->tls = true;
    out->resumed = peer->resumed;
    out->not_after = c->not_after;
    snprintf(out->subject, sizeof out->subject, "%s", c->names);
    snprintf(out->issuer, sizeof out->issuer, "%s", c->names + strlen(c->names) + 1);
    snprintf(out->version, sizeof out->version, "%s", peer->version);
    snprintf(out->cipher, sizeof out->cipher, "%s", peer->cipher);
    w = writer_on(out->sha256, sizeof out->sha256);
    writer_hex(&w, c->sha256, sizeof c->sha256);
    (void)writer_end(&w);
}
