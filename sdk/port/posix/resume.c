/* TLS sessions kept in memory: a reconnect to the same server costs no certificate check and no key
 * exchange. Only a session whose certificate was verified is kept, and only for the host and port
 * it was verified for. */
#include "posix_port.h"

#include <stdlib.h>
#include <string.h>

static void kept_free(struct port_kept *k)
{
    mbedtls_ssl_session_free(&k->session); /* wipes the master secret, too */
    cert_drop(k->cert);
    free(k);
}

void resume_forget(struct teddy_posix *p)
{
    if (p->kept)
        kept_free(p->kept);
    p->kept = NULL;
}

/* The session has no certificate in it by now, and so the copy has none. */
void resume_keep(struct teddy_posix *p)
{
    const struct port_verify *v = p->tls->verify;
    uint64_t since = p->kept && p->peer.resumed ? p->kept->since_ms : teddy_posix_now_ms();
    size_t host_size = strlen(v->host) + 1;
    struct port_kept *k = calloc(1, sizeof *k + host_size);

    resume_forget(p);
    if (!k)
        return;
    mbedtls_ssl_session_init(&k->session);
    if (mbedtls_ssl_get_session(&p->tls->ssl, &k->session) != 0) {
        kept_free(k);
        return;
    }
    k->cert = cert_ref(p->peer.cert);
    k->since_ms = since;
    k->port = v->port;
    memcpy(k->host, v->host, host_size);
    p->kept = k;
}

void resume_offer(struct teddy_posix *p)
{
    const struct port_verify *v = p->tls->verify;
    const struct port_kept *k = p->kept;

    if (!k)
        return;
    /* What a full handshake would refuse by now must not live on by being resumed. */
    if (k->port != v->port || strcmp(k->host, v->host) != 0 || clock_wall(p) > k->cert->not_after ||
        teddy_posix_now_ms() - k->since_ms > PORT_SESSION_KEPT_S * UINT64_C(1000) ||
        mbedtls_ssl_set_session(&p->tls->ssl, &k->session) != 0)
        resume_forget(p);
}
