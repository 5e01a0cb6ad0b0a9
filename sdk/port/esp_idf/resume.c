/* TLS sessions kept in memory: a reconnect to the same server costs no certificate check and no key
 * exchange. Only a session whose certificate was verified is kept, and only for the host and port
 * it was verified for. */
#include "esp_port.h"

#include <esp_tls.h>
#include <sdkconfig.h>
#include <string.h>

#if CONFIG_TEDDY_TLS_RESUME

void resume_forget(struct teddy_esp *p)
{
    esp_tls_free_client_session(p->resume.session);
    p->resume.session = NULL;
}

struct esp_tls_client_session *resume_offer(struct teddy_esp *p, const char *host, uint16_t port)
{
    struct port_resume *r = &p->resume;

    if (!r->session)
        return NULL;
    /* What a full handshake would refuse by now must not live on by being resumed. */
    if (r->port != port || strcmp(r->host, host) != 0 || clock_wall(p) > r->not_after ||
        clock_now_ms() - r->since_ms > CONFIG_TEDDY_TLS_KEPT_S * UINT64_C(1000))
        resume_forget(p);
    return r->session;
}

void resume_keep(struct teddy_esp *p, const char *host, uint16_t port)
{
    struct port_resume *r = &p->resume;
    size_t len = strlen(host);

    resume_forget(p);
    if (len >= sizeof r->host)
        return;
    r->session = esp_tls_get_client_session(p->link.tls);
    if (!r->session)
        return;
    memcpy(r->host, host, len + 1);
    r->port = port;
    r->not_after = p->verdict.not_after;
    if (p->verdict.seen)
        r->since_ms = clock_now_ms();
}

#else

void resume_forget(struct teddy_esp *p)
{
    (void)p;
}

void resume_keep(struct teddy_esp *p, const char *host, uint16_t port)
{
    (void)p;
    (void)host;
    (void)port;
}

#endif
