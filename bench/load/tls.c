/* The dialer: one TLS context for all, which keeps each transport's ticket with it. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/load/transport.h"

static int keep_ticket(SSL *ssl, SSL_SESSION *session)
{
    struct transport *t = SSL_get_app_data(ssl);

    if (t == NULL || !t->dialer->resume)
        return 0;
    SSL_SESSION_free(t->ticket);
    t->ticket = session;
    return 1; /* it is ours now */
}

static bool trust(SSL_CTX *tls, const struct target *to, const char *ca)
{
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(tls);

    if (ca == NULL)
        return true;
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
    return SSL_CTX_load_verify_locations(tls, ca, NULL) == 1 &&
           (to->literal ? X509_VERIFY_PARAM_set1_ip_asc(param, to->host)
                        : X509_VERIFY_PARAM_set1_host(param, to->host, 0)) == 1;
}

static bool tls_init(struct dialer *d, const struct options *o)
{
    d->tls = SSL_CTX_new(TLS_client_method());
    if (d->tls == NULL || !trust(d->tls, &d->target, o->ca) ||
        SSL_CTX_set_min_proto_version(d->tls, o->tls_version ? o->tls_version : TLS1_2_VERSION) !=
            1 ||
        SSL_CTX_set_max_proto_version(d->tls, o->tls_version) != 1)
        return false;
    SSL_CTX_set_mode(d->tls, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(d->tls, SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_read_ahead(d->tls, 1);
    SSL_CTX_set_session_cache_mode(d->tls, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(d->tls, keep_ticket);
    return true;
}

bool dialer_init(struct dialer *d, struct loop *loop, const struct options *o)
{
    *d = (struct dialer){.loop = loop, .resume = o->resume, .spread = o->spread};
    if (!target_parse(&d->target, o->url))
        return false;
    d->buf = malloc(READ_SIZE);
    if (d->buf != NULL && (!d->target.tls || tls_init(d, o)))
        return true;
    fprintf(stderr, "teddy-load: TLS does not start%s%s\n",
            o->ca != NULL ? "; is --ca right: " : "", o->ca != NULL ? o->ca : "");
    return false;
}

void dialer_fini(struct dialer *d)
{
    SSL_CTX_free(d->tls);
    free(d->buf);
}
