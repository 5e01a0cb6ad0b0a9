/* TLS sessions kept in memory: a reconnect to the same server costs no certificate check and no key
 * exchange. Only a session whose certificate was verified is kept, and only for the host and port
 * it was verified for. */
#include "posix_port.h"

#include <stdio.h>
#include <string.h>

void resume_forget(struct teddy_posix *p)
{
    struct port_tls *t = &p->tls;

    if (t->has_kept)
        mbedtls_ssl_session_free(&t->kept);
    t->has_kept = false;
}

void resume_keep(struct teddy_posix *p, uint16_t port)
{
    struct port_tls *t = &p->tls;
    uint64_t since = t->has_kept && p->peer.resumed ? t->kept_since_ms : teddy_posix_now_ms();

    resume_forget(p);
    mbedtls_ssl_session_init(&t->kept);
    if (mbedtls_ssl_get_session(&t->ssl, &t->kept) != 0) {
        mbedtls_ssl_session_free(&t->kept);
        return;
    }
    t->has_kept = true;
    t->kept_since_ms = since;
    t->kept_port = port;
    t->kept_peer = p->peer;
    snprintf(t->kept_host, sizeof t->kept_host, "%s", t->host);
}

void resume_offer(struct teddy_posix *p, uint16_t port)
{
    struct port_tls *t = &p->tls;

    if (!t->has_kept)
        return;
    /* What a full handshake would refuse by now must not live on by being resumed. */
    if (t->kept_port != port || strcmp(t->kept_host, t->host) != 0 ||
        clock_wall(p) > t->kept_peer.not_after ||
        teddy_posix_now_ms() - t->kept_since_ms > PORT_SESSION_KEPT_S * UINT64_C(1000)) {
        resume_forget(p);
        return;
    }
    if (mbedtls_ssl_set_session(&t->ssl, &t->kept) != 0)
        resume_forget(p);
}
