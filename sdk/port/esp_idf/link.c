/* The one connection: a non-blocking TCP socket, then TLS over it.
 *
 * esp-tls is not asked to connect: its lookup blocks (getaddrinfo), and its non-blocking connect
 * waits in select, for ever when no timeout is set, and with one forgets which socket it waited
 * for. So the socket is connected here and handed to esp-tls, which is documented for sockets of
 * the caller's, and does the rest without waiting. */
#include "esp_port.h"

#include <errno.h>
#include <fcntl.h>
#include <lwip/inet.h>
#include <lwip/sockets.h>
#include <string.h>
#include <sys/select.h>
#include <unistd.h>

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
#if CONFIG_LWIP_IPV6
    struct sockaddr_in6 v6;
#endif
};

static socklen_t make_address(const char *text, uint16_t port, union address *out)
{
    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, text, &out->v4.sin_addr) == 1) {
        out->v4.sin_family = AF_INET;
        out->v4.sin_port = htons(port);
        return sizeof out->v4;
    }
#if CONFIG_LWIP_IPV6
    if (inet_pton(AF_INET6, text, &out->v6.sin6_addr) == 1) {
        out->v6.sin6_family = AF_INET6;
        out->v6.sin6_port = htons(port);
        return sizeof out->v6;
    }
#endif
    return 0;
}

/* 0, or errno. */
static int open_socket(struct port_link *l, const char *address, uint16_t port)
{
    union address to;
    socklen_t len = make_address(address, port, &to);
    int on = 1, flags;

    if (len == 0)
        return EAFNOSUPPORT;
    l->fd = socket(to.any.sa_family, SOCK_STREAM, IPPROTO_TCP);
    if (l->fd < 0)
        return errno;
    flags = fcntl(l->fd, F_GETFL, 0);
    if (flags < 0 || fcntl(l->fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return errno;
    (void)setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(l->fd, &to.any, len) != 0 && errno != EINPROGRESS)
        return errno;
    l->state = LINK_CONNECTING;
    return 0;
}

/* 0: connected; EINPROGRESS; or why not. */
static int connect_progress(const struct port_link *l)
{
    fd_set writable;
    struct timeval now = {0, 0};
    int error = 0, n;
    socklen_t len = sizeof error;

    FD_ZERO(&writable);
    FD_SET(l->fd, &writable);
    n = select(l->fd + 1, NULL, &writable, NULL, &now);
    if (n <= 0)
        return n == 0 ? EINPROGRESS : errno;
    return getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 ? error : errno;
}

/* TEDDY_OK: TCP is up. */
static int tcp_connect(struct teddy_esp *p, const char *host, uint16_t port)
{
    struct port_link *l = &p->link;
    int why = l->state == LINK_CLOSED ? open_socket(l, p->dns.address, port) : 0;

    if (why == 0)
        why = connect_progress(l);
    if (why == 0)
        return TEDDY_OK;
    if (why == EINPROGRESS)
        return TEDDY_AGAIN;
    port_log(TEDDY_LOG_WARN, "cannot connect to %s (%s:%u): %s", host, p->dns.address, port,
             strerror(why));
    l->state = LINK_BROKEN;
    return TEDDY_EIO;
}

int link_connect(void *ctx, const char *host, uint16_t port, bool tls)
{
    struct teddy_esp *p = ctx;
    struct port_link *l = &p->link;
    int err;

    if (l->state == LINK_CLOSED || l->state == LINK_CONNECTING) {
        if ((err = tcp_connect(p, host, port)) != TEDDY_OK)
            return err;
        l->state = tls ? LINK_HANDSHAKE : LINK_OPEN;
        if (tls && (err = tls_start(p)) != TEDDY_OK) {
            l->state = LINK_BROKEN;
            return err;
        }
    }
    if (l->state == LINK_HANDSHAKE) {
        err = tls_handshake(p, host, port);
        if (err != TEDDY_AGAIN)
            l->state = err == TEDDY_OK ? LINK_OPEN : LINK_BROKEN;
        return err;
    }
    return l->state == LINK_OPEN ? TEDDY_OK : TEDDY_EIO;
}

static int plain_send(struct port_link *l, const uint8_t *data, size_t len, size_t *sent)
{
    ssize_t n = send(l->fd, data, len, 0);

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
    struct teddy_esp *p = ctx;

    *sent = 0;
    if (p->link.state != LINK_OPEN)
        return TEDDY_ECLOSED;
    if (len == 0)
        return TEDDY_EINVAL;
    return p->link.tls ? tls_send(p, data, len, sent) : plain_send(&p->link, data, len, sent);
}

int link_recv(void *ctx, uint8_t *buf, size_t cap, size_t *got)
{
    struct teddy_esp *p = ctx;

    *got = 0;
    if (p->link.state != LINK_OPEN)
        return TEDDY_ECLOSED;
    if (cap == 0)
        return TEDDY_EINVAL;
    return p->link.tls ? tls_recv(p, buf, cap, got) : plain_recv(&p->link, buf, cap, got);
}

void link_disconnect(void *ctx)
{
    struct teddy_esp *p = ctx;

    dns_forget(p);
    tls_stop(p);
    if (p->link.fd >= 0)
        close(p->link.fd);
    p->link = (struct port_link){.fd = -1};
}
