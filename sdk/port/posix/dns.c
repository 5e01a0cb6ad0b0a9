/* Names to addresses, by c-ares: never blocking, polled with the rest. Numeric addresses need no
 * lookup. */
#include "posix_port.h"

#include <ares.h>
#include <arpa/inet.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#define DNS_TRY_MS 2500
#define DNS_TRIES  3

struct dns_lookup {
    ares_channel
        channel; /* lives for one lookup, so that each reads the system's configuration afresh */
    int status;  /* of c-ares */
    char host[];
};

/* c-ares wants one call per process, which is not its threads' business but ours; a process that
 * only knows numbers does without. */
static pthread_once_t ares_once = PTHREAD_ONCE_INIT;

static void ares_start(void)
{
    ares_library_init(ARES_LIB_INIT_ALL);
}

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

static bool address_known(const struct ares_addrinfo_node *node)
{
    return (node->ai_family == AF_INET || node->ai_family == AF_INET6) &&
           node->ai_addrlen <= sizeof(union port_address);
}

static void addresses_forget(struct port_dns *d)
{
    free(d->addresses);
    d->addresses = NULL;
    d->count = 0;
}

static bool addresses_take(struct port_dns *d, const struct ares_addrinfo_node *first)
{
    const struct ares_addrinfo_node *node;
    size_t count = 0;

    for (node = first; node; node = node->ai_next)
        count += address_known(node);
    if (count > PORT_ADDRESSES_MAX)
        count = PORT_ADDRESSES_MAX;
    if (count == 0 || !(d->addresses = calloc(count, sizeof *d->addresses)))
        return false;
    for (node = first; node && d->count < count; node = node->ai_next)
        if (address_known(node))
            memcpy(&d->addresses[d->count++], node->ai_addr, node->ai_addrlen);
    return true;
}

static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *result)
{
    struct port_dns *d = arg;

    (void)timeouts;
    d->lookup->status = status;
    d->state = DNS_FAILED;
    if (status != ARES_SUCCESS)
        return;
    if (addresses_take(d, result->nodes))
        d->state = DNS_DONE;
    ares_freeaddrinfo(result);
}

/* Never from within a callback. */
static void lookup_end(struct port_dns *d)
{
    if (!d->lookup)
        return;
    if (d->lookup->channel)
        ares_destroy(d->lookup->channel);
    free(d->lookup);
    d->lookup = NULL;
}

static int start(struct teddy_posix *p, const char *host)
{
    struct port_dns *d = &p->dns;
    struct ares_options o = {.timeout = DNS_TRY_MS, .tries = DNS_TRIES};
    struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    size_t host_size = strlen(host) + 1;
    struct dns_lookup *l = calloc(1, sizeof *l + host_size);

    if (!l)
        return TEDDY_EDNS;
    d->lookup = l;
    memcpy(l->host, host, host_size);
    pthread_once(&ares_once, ares_start);
    if (ares_init_options(&l->channel, &o, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES) != ARES_SUCCESS) {
        l->channel = NULL;
        lookup_end(d);
        return TEDDY_EDNS;
    }
    if (p->dns_servers && ares_set_servers_ports_csv(l->channel, p->dns_servers) != ARES_SUCCESS) {
        lookup_end(d);
        return TEDDY_EDNS;
    }
    d->state = DNS_RUNNING;
    ares_getaddrinfo(l->channel, host, NULL, &hints, on_answer, d);
    return TEDDY_OK;
}

/* What ares_getsock's bits say of socket i, as poll's events. c-ares' own macros shift a signed 1
 * into the sign. */
static short events_of(int bits, int i)
{
    unsigned b = (unsigned)bits;

    return (short)((b >> i & 1 ? POLLIN : 0) | (b >> (i + ARES_GETSOCK_MAXNUM) & 1 ? POLLOUT : 0));
}

size_t dns_poll(const struct port_dns *d, struct pollfd *out, size_t cap, uint32_t *timeout_ms)
{
    ares_socket_t fds[ARES_GETSOCK_MAXNUM];
    int bits = ares_getsock(d->lookup->channel, fds, ARES_GETSOCK_MAXNUM);
    struct timeval left;
    size_t n = 0;

    for (int i = 0; i < ARES_GETSOCK_MAXNUM && n < cap; i++) {
        short events = events_of(bits, i);
        if (events != 0)
            out[n++] = (struct pollfd){.fd = fds[i], .events = events};
    }
    if (ares_timeout(d->lookup->channel, NULL, &left)) {
        uint64_t ms = (uint64_t)left.tv_sec * 1000 + (uint64_t)left.tv_usec / 1000 + 1;
        *timeout_ms = ms < *timeout_ms ? (uint32_t)ms : *timeout_ms;
    }
    return n;
}

/* Lets c-ares read, write and look at its clock. */
static void turn(struct port_dns *d)
{
    ares_channel channel = d->lookup->channel;
    ares_socket_t fds[ARES_GETSOCK_MAXNUM];
    int bits = ares_getsock(channel, fds, ARES_GETSOCK_MAXNUM);

    for (int i = 0; i < ARES_GETSOCK_MAXNUM && d->state == DNS_RUNNING; i++) {
        short events = events_of(bits, i);
        if (events != 0)
            ares_process_fd(channel, events & POLLIN ? fds[i] : ARES_SOCKET_BAD,
                            events & POLLOUT ? fds[i] : ARES_SOCKET_BAD);
    }
    if (d->state == DNS_RUNNING)
        ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

/* An address stands for itself. */
static int take_number(struct port_dns *d, const union port_address *a)
{
    if (!(d->addresses = malloc(sizeof *a)))
        return TEDDY_EDNS;
    *d->addresses = *a;
    d->count = 1;
    d->state = DNS_DONE;
    return TEDDY_OK;
}

int dns_resolve(void *ctx, const char *host)
{
    struct teddy_posix *p = ctx;
    struct port_dns *d = &p->dns;
    union port_address number;
    int err;

    if (host[0] == '\0' || strlen(host) >= PORT_HOST_MAX)
        return TEDDY_EDNS;
    if (d->state != DNS_RUNNING || strcmp(host, d->lookup->host) != 0) {
        dns_forget(p);
        if (address_parse(host, &number))
            return take_number(d, &number);
        if ((err = start(p, host)) != TEDDY_OK)
            return err;
    }
    if (d->state == DNS_RUNNING)
        turn(d);
    if (d->state == DNS_RUNNING)
        return TEDDY_AGAIN;
    if (d->state == DNS_FAILED)
        port_log(p, TEDDY_LOG_WARN, "cannot resolve %s: %s", host,
                 ares_strerror(d->lookup->status));
    lookup_end(d);
    return d->state == DNS_DONE ? TEDDY_OK : TEDDY_EDNS;
}

void dns_forget(struct teddy_posix *p)
{
    lookup_end(&p->dns);
    addresses_forget(&p->dns);
    p->dns.state = DNS_IDLE;
}
