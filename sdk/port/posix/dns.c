/* Names to addresses, by c-ares: never blocking, polled with the rest. Numeric addresses need no
 * lookup. */
#include "posix_port.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define DNS_TRY_MS 2500
#define DNS_TRIES  3

bool address_parse(const char *text, union port_address *out)
{
    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, text, &out->v4.sin_addr) == 1)
        out->v4.sin_family = AF_INET;
    else if (inet_pton(AF_INET6, text, &out->v6.sin6_addr) == 1)
        out->v6.sin6_family = AF_INET6;
    else
        return false;
    return true;
}

socklen_t address_len(const union port_address *a)
{
    return a->any.sa_family == AF_INET6 ? sizeof a->v6 : sizeof a->v4;
}

static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *result)
{
    struct port_dns *d = arg;
    struct ares_addrinfo_node *node;

    (void)timeouts;
    d->status = status;
    d->state = DNS_FAILED;
    if (status != ARES_SUCCESS)
        return;
    for (node = result->nodes; node && d->count < PORT_ADDRESSES_MAX; node = node->ai_next) {
        if (node->ai_family != AF_INET && node->ai_family != AF_INET6)
            continue;
        if (node->ai_addrlen > sizeof d->addresses[0])
            continue;
        memcpy(&d->addresses[d->count++], node->ai_addr, node->ai_addrlen);
    }
    ares_freeaddrinfo(result);
    d->state = d->count > 0 ? DNS_DONE : DNS_FAILED;
}

/* Never from within a callback. */
static void channel_close(struct port_dns *d)
{
    if (d->channel)
        ares_destroy(d->channel);
    d->channel = NULL;
}

static int start(struct teddy_posix *p, const char *host)
{
    struct port_dns *d = &p->dns;
    struct ares_options o = {.timeout = DNS_TRY_MS, .tries = DNS_TRIES};
    struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};

    if (ares_init_options(&d->channel, &o, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES) != ARES_SUCCESS) {
        d->channel = NULL;
        return TEDDY_EDNS;
    }
    if (p->dns_servers && ares_set_servers_ports_csv(d->channel, p->dns_servers) != ARES_SUCCESS) {
        channel_close(d);
        return TEDDY_EDNS;
    }
    snprintf(d->host, sizeof d->host, "%s", host);
    d->count = 0;
    d->state = DNS_RUNNING;
    ares_getaddrinfo(d->channel, host, NULL, &hints, on_answer, d);
    return TEDDY_OK;
}

/* c-ares' own macros shift a signed 1 into the sign. */
short dns_events(int bits, int i)
{
    unsigned b = (unsigned)bits;

    return (short)((b >> i & 1 ? POLLIN : 0) | (b >> (i + ARES_GETSOCK_MAXNUM) & 1 ? POLLOUT : 0));
}

/* Lets c-ares read, write and look at its clock. */
static void turn(struct port_dns *d)
{
    ares_socket_t fds[ARES_GETSOCK_MAXNUM];
    int bits = ares_getsock(d->channel, fds, ARES_GETSOCK_MAXNUM);

    for (int i = 0; i < ARES_GETSOCK_MAXNUM && d->state == DNS_RUNNING; i++) {
        short events = dns_events(bits, i);
        if (events != 0)
            ares_process_fd(d->channel, events & POLLIN ? fds[i] : ARES_SOCKET_BAD,
                            events & POLLOUT ? fds[i] : ARES_SOCKET_BAD);
    }
    if (d->state == DNS_RUNNING)
        ares_process_fd(d->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

int dns_resolve(void *ctx, const char *host)
{
    struct teddy_posix *p = ctx;
    struct port_dns *d = &p->dns;
    int err;

    if (host[0] == '\0' || strlen(host) >= sizeof d->host)
        return TEDDY_EDNS;
    if (d->state == DNS_RUNNING && strcmp(host, d->host) != 0)
        dns_cancel(p);
    if (d->state != DNS_RUNNING) {
        if (address_parse(host, &d->addresses[0])) {
            d->count = 1;
            d->state = DNS_DONE;
            return TEDDY_OK;
        }
        if ((err = start(p, host)) != TEDDY_OK)
            return err;
    }
    if (d->state == DNS_RUNNING)
        turn(d);
    if (d->state == DNS_RUNNING)
        return TEDDY_AGAIN;
    channel_close(d);
    if (d->state == DNS_DONE)
        return TEDDY_OK;
    port_log(p, TEDDY_LOG_WARN, "cannot resolve %s: %s", host, ares_strerror(d->status));
    return TEDDY_EDNS;
}

void dns_cancel(struct teddy_posix *p)
{
    channel_close(&p->dns);
    p->dns.state = DNS_IDLE;
    p->dns.count = 0;
}
