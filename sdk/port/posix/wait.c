/* What an instance waits for, and waiting for it. */
#include "posix_port.h"

#include <errno.h>

static void lower(uint32_t *timeout_ms, uint64_t to)
{
    if (to < *timeout_ms)
        *timeout_ms = (uint32_t)to;
}

int teddy_posix_fd(const struct teddy_posix *p)
{
    return p->link.fd;
}

bool teddy_posix_pending(const struct teddy_posix *p)
{
    return p->link.state == LINK_OPEN && p->tls && mbedtls_ssl_check_pending(&p->tls->ssl) != 0;
}

short teddy_posix_events(const struct teddy_posix *p, unsigned wants)
{
    const struct port_link *l = &p->link;

    if (l->fd < 0)
        return 0;
    if (l->state == LINK_CONNECTING)
        return POLLOUT;
    if (l->state == LINK_HANDSHAKE)
        return l->wants_write ? POLLOUT : POLLIN;
    return (short)((wants & TEDDY_WANTS_READ ? POLLIN : 0) |
                   (wants & TEDDY_WANTS_WRITE || l->wants_write ? POLLOUT : 0));
}

size_t teddy_posix_poll(struct teddy_posix *p, unsigned wants, struct pollfd *out, size_t cap,
                        uint32_t *timeout_ms)
{
    struct port_link *l = &p->link;

    if (p->dns.state == DNS_RUNNING)
        return dns_poll(&p->dns, out, cap, timeout_ms);
    if (l->fd < 0 || cap == 0)
        return 0;
    if (l->state == LINK_CONNECTING && l->at + 1 < p->dns.count) {
        uint64_t now = teddy_posix_now_ms();
        lower(timeout_ms, l->try_until_ms > now ? l->try_until_ms - now : 0);
    }
    if ((wants & TEDDY_WANTS_READ) && teddy_posix_pending(p))
        *timeout_ms = 0;
    out[0] = (struct pollfd){.fd = l->fd, .events = teddy_posix_events(p, wants)};
    return out[0].events != 0; /* who waits for nothing would still be told of its end, at once */
}

int teddy_posix_wait(struct teddy_posix *p, uint32_t timeout_ms, unsigned wants,
                     struct pollfd *extra, size_t extra_count)
{
    struct pollfd fds[TEDDY_POSIX_POLL_MAX + 8];
    size_t own, i;

    if (extra_count > 8)
        return TEDDY_EINVAL;
    own = teddy_posix_poll(p, wants, fds, TEDDY_POSIX_POLL_MAX, &timeout_ms);
    for (i = 0; i < extra_count; i++) {
        fds[own + i] = extra[i];
        extra[i].revents = 0;
    }
    if (poll(fds, own + extra_count, timeout_ms < INT32_MAX ? (int)timeout_ms : INT32_MAX) < 0)
        return errno == EINTR ? TEDDY_OK : TEDDY_EIO;
    for (i = 0; i < extra_count; i++)
        extra[i].revents = fds[own + i].revents;
    return TEDDY_OK;
}
