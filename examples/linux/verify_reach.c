/* Is it there, is it encrypted, is it who it says. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "proto/endpoints.h"
#include "verify_parts.h"

static void date_of(uint64_t unix_s, char out[16])
{
    time_t t = (time_t)unix_s;
    struct tm tm;

    if (!gmtime_r(&t, &tm) || strftime(out, 16, "%Y-%m-%d", &tm) == 0)
        snprintf(out, 16, "?");
}

static bool encrypted(struct verify *v)
{
    struct teddy_posix_peer peer;
    const char *seen;
    char until[16];
    bool reached;
    int err;

    v->last_log[0] = '\0';
    err = wire_open(&v->main);
    teddy_posix_peer(v->main.port, &peer);
    /* What the port has logged says more than the error, when there is one. */
    seen = v->last_log[0] != '\0' ? v->last_log : teddy_err_text(err);
    if (!check(v, err != TEDDY_EDNS, "the name resolves", "%s", err == TEDDY_EDNS ? seen : v->host))
        return false;
    reached = err == TEDDY_OK || err == TEDDY_ETLS || err == TEDDY_ECERT || err == TEDDY_ECLOCK;
    if (!check(v, reached, "it can be reached by TCP", "%s", reached ? peer.address : seen))
        return false;
    if (!check(v, err == TEDDY_OK, "its certificate is verified for this host", "%s",
               err ? seen : peer.subject))
        return false;
    date_of(peer.not_after, until);
    check(v, peer.not_after > teddy_posix_port.wall_time(v->main.port) + 7 * 86400,
          "its certificate lasts another week", "issued by %s, until %s, sha256 %s", peer.issuer,
          until, peer.sha256);
    check(v, strcmp(peer.version, "TLSv1.2") == 0,
          "TLS 1.2 with forward secrecy and an AEAD is spoken", "%s, %s", peer.version,
          peer.cipher);
    wire_close(&v->main);
    return true;
}

/* The checker must notice a certificate for somebody else, or its other verdicts mean nothing. */
static void other_name(struct verify *v)
{
    int err;

    teddy_posix_forget_session(v->main.port);
    err = wire_open_as(&v->main, "another-host.invalid", true);
    check(v, err == TEDDY_ECERT || err == TEDDY_ETLS, "another host's name is refused", "%s",
          teddy_err_text(err));
    wire_close(&v->main);
    teddy_posix_forget_session(v->main.port);
}

static void plain_refused(struct verify *v)
{
    char request[256], authority[TEDDY_HOST_MAX + 16];
    int err = wire_open_as(&v->main, v->host, false);

    wire_authority(&v->main, authority);
    snprintf(request, sizeof request,
             "GET " ENDPOINT_HEALTHZ " HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n",
             authority);
    v->answer = (struct answer){.err = err};
    if (!err)
        v->answer.err = wire_send(&v->main, request, strlen(request));
    if (!v->answer.err)
        wire_answer(&v->main, &v->answer);
    check(v, v->answer.status == 0 || v->answer.status >= 300,
          "the same port serves nothing without TLS", "%s", seen_answer(v));
    wire_close(&v->main);
}

bool verify_reach(struct verify *v)
{
    if (v->url.tls) {
        if (!encrypted(v))
            return false;
        other_name(v);
        plain_refused(v);
    } else {
        struct teddy_posix_peer peer;
        int err = wire_open(&v->main);
        teddy_posix_peer(v->main.port, &peer);
        if (!check(v, err == TEDDY_OK, "it can be reached by TCP", "%s",
                   err ? v->last_log : peer.address))
            return false;
        wire_close(&v->main);
        skip(v, "TLS and its certificate",
             "--server is http://: tokens and what is said go unprotected");
    }
    ask(v, "GET", ENDPOINT_HEALTHZ, "Connection: close\r\n", NULL, 0);
    return check(v, v->answer.status == 200, "GET " ENDPOINT_HEALTHZ " is answered 200", "%s",
                 seen_answer(v));
}
