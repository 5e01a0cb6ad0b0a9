/* The one connection: TCP to each resolved address in turn, then TLS over it. */
#include "posix_port.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

static void set_port(union port_address *a, uint16_t port)
{
    if (a->any.sa_family == AF_INET6)
        a->v6.sin6_port = htons(port);
    else
        a->v4.sin_port = htons(port);
}

static void close_socket(struct port_link *l)
{
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
}

static int bind_local(struct teddy_posix *p, int fd, int family)
{
    int on = 1;

    if (!p->has_bind || p->bind.any.sa_family != family)
        return 0;
    /* The local port is chosen at connect, so that many toys of one address do not use them up. */
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    return bind(fd, &p->bind.any, address_len(&p->bind));
}

/* 0, or errno. */
static int try_address(struct teddy_posix *p, union port_address *a, uint16_t port)
{
    struct port_link *l = &p->link;
    int on = 1;

    set_port(a, port);
    p->peer.address = *a;
    l->fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->fd < 0)
        return errno;
    setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (bind_local(p, l->fd, a->any.sa_family) != 0)
        return errno;
    if (connect(l->fd, &a->any, address_len(a)) != 0 && errno != EINPROGRESS)
        return errno;
    l->state = LINK_CONNECTING;
    l->try_until_ms = teddy_posix_now_ms() + PORT_CONNECT_TRY_MS;
    return 0;
}

/* 0: connected; EINPROGRESS; or why not. */
static int connect_progress(struct port_link *l, bool has_next)
{
    struct pollfd pfd = {.fd = l->fd, .events = POLLOUT};
    int error = 0;
    socklen_t len = sizeof error;

    if (poll(&pfd, 1, 0) == 0)
        return has_next && teddy_posix_now_ms() >= l->try_until_ms ? ETIMEDOUT : EINPROGRESS;
    if (getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        return errno;
    return error;
}

/* TEDDY_OK: TCP is up. */
static int tcp_connect(struct teddy_posix *p, const char *host, uint16_t port)
{
    struct port_link *l = &p->link;
    struct port_dns *d = &p->dns;
    char address[64];
    int why = EHOSTUNREACH;

    if (l->state == LINK_CLOSED)
        l->at = 0;
    for (; l->at < d->count; l->at++) {
        if (l->state == LINK_CLOSED)
            why = try_address(p, &d->addresses[l->at], port);
        if (l->state == LINK_CONNECTING)
            why = connect_progress(l, l->at + 1 < d->count);
        if (why == 0)
            return TEDDY_OK;
        if (why == EINPROGRESS)
            return TEDDY_AGAIN;
        address_text(&p->peer.address, address, sizeof address);
        port_log(p, TEDDY_LOG_WARN, "cannot connect to %s (%s): %s", host, address, strerror(why));
        close_socket(l);
        l->state = LINK_CLOSED;
    }
    l->state = LINK_BROKEN;
    return TEDDY_EIO;
}

int link_connect(void *ctx, const char *host, uint16_t port, bool tls)
{
    struct teddy_posix *p = ctx;
    struct port_link *l = &p->link;
    int err;

    if (l->state == LINK_CLOSED && (p->dns.state != DNS_DONE || strlen(host) >= PORT_HOST_MAX))
        return TEDDY_EINVAL;
    if (l->state == LINK_CLOSED || l->state == LINK_CONNECTING) {
        if (l->state == LINK_CLOSED)
            peer_clear(&p->peer);
        if ((err = tcp_connect(p, host, port)) != TEDDY_OK)
            return err;
        l->state = tls ? LINK_HANDSHAKE : LINK_OPEN;
        if (tls && (err = tls_start(p, host, port)) != TEDDY_OK) {
            l->state = LINK_BROKEN;
            return err;
        }
    }
    if (l->state == LINK_HANDSHAKE) {
        err = tls_handshake(p);
        if (err != TEDDY_AGAIN)
            l->state = err == TEDDY_OK ? LINK_OPEN : LINK_BROKEN;
        return err;
    }
    return l->state == LINK_OPEN ? TEDDY_OK : TEDDY_EIO;
}

static int plain_send(struct port_link *l, const uint8_t *data, size_t len, size_t *sent)
{
    ssize_t n = send(l->fd, data, len, MSG_NOSIGNAL);

    if (n > 0) {
        *sent = (size_t)n;
        return TEDDY_OK;
    }
    if (n == 0 || errno == EAGAIN || errno == EINTR)
        return TEDDY_AGAIN;
    return errno == EPIPE || errno == ECONNRESET ? TEDDY_ECLOSED : TEDDY_EIO;
}

static int plain_recv(struct port_link *l, uint8_t *buf, size_t cap, size_t *got)
{
    ssize_t n = recv(l->fd, buf, cap, 0);

    if (n > 0) {
        *got = (size_t)n;
        return TEDDY_OK;
    }
    if (n == 0)
        return TEDDY_ECLOSED;
    return errno == EAGAIN || errno == EINTR ? TEDDY_AGAIN : TEDDY_EIO;
}

int link_send(void *ctx, const uint8_t *data, size_t len, size_t *sent)
{
    struct teddy_posix *p = ctx;

    *sent = 0;
    if (p->link.state != LINK_OPEN)
        return TEDDY_ECLOSED;
    if (len == 0)
        return TEDDY_EINVAL;
    return p->tls ? tls_send(p, data, len, sent) : plain_send(&p->link, data, len, sent);
}

int link_recv(void *ctx, uint8_t *buf, size_t cap, size_t *got)
{
    struct teddy_posix *p = ctx;

    *got = 0;
    if (p->link.state != LINK_OPEN)
        return TEDDY_ECLOSED;
    if (cap == 0)
        return TEDDY_EINVAL;
    return p->tls ? tls_recv(p, buf, cap, got) : plain_recv(&p->link, buf, cap, got);
}

void link_disconnect(void *ctx)
{
    struct teddy_posix *p = ctx;

    tls_stop(p);
    close_socket(&p->link);
    p->link.state = LINK_CLOSED;
    p->link.wants_write = false;
    if (p->dns.state == DNS_RUNNING)
        dns_forget(p);
}
