#include "bench/load/transport.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static void ask(struct transport *t, uint32_t events)
{
    if (t->wants == events)
        return;
    t->wants = events;
    loop_change(t->dialer->loop, t->fd, events, &t->source);
}

static void end(struct transport *t, const char *why)
{
    transport_close(t);
    t->handler->ended(t, why);
}

/* Reads or writes: bytes moved, 0 for later, -1 lost, -2 the peer's proper end. */
enum { MOVE_LATER = 0, MOVE_LOST = -1, MOVE_END = -2 };

static ssize_t tls_result(struct transport *t, int n)
{
    switch (SSL_get_error(t->ssl, n)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return MOVE_LATER;
    case SSL_ERROR_ZERO_RETURN:
        return MOVE_END;
    default:
        ERR_clear_error();
        return MOVE_LOST;
    }
}

static ssize_t move_in(struct transport *t, void *to, size_t cap)
{
    ssize_t n;

    if (t->ssl != NULL) {
        int got = SSL_read(t->ssl, to, (int)cap);
        return got > 0 ? got : tls_result(t, got);
    }
    n = recv(t->fd, to, cap, 0);
    if (n > 0)
        return n;
    return n == 0 ? MOVE_END : errno == EAGAIN || errno == EINTR ? MOVE_LATER : MOVE_LOST;
}

static ssize_t move_out(struct transport *t, const void *from, size_t len)
{
    ssize_t n;

    if (t->ssl != NULL) {
        int put = SSL_write(t->ssl, from, (int)len);
        return put > 0 ? put : tls_result(t, put);
    }
    n = send(t->fd, from, len, MSG_NOSIGNAL);
    return n >= 0 ? n : errno == EAGAIN || errno == EINTR ? MOVE_LATER : MOVE_LOST;
}

/* As much as the peer takes; false: lost. */
static bool push(struct transport *t, const uint8_t *data, size_t len, size_t *sent)
{
    *sent = 0;
    while (*sent < len) {
        ssize_t n = move_out(t, data + *sent, len - *sent);
        if (n <= 0)
            return n == MOVE_LATER;
        *sent += (size_t)n;
    }
    return true;
}

static bool keep(uint8_t **held, size_t *held_len, const uint8_t *data, size_t len)
{
    uint8_t *grown = realloc(*held, *held_len + len);

    if (grown == NULL)
        return false;
    memcpy(grown + *held_len, data, len);
    *held = grown;
    *held_len += len;
    return true;
}

static void drop(uint8_t **held, size_t *held_len)
{
    free(*held);
    *held = NULL;
    *held_len = 0;
}

/* A connection found lost while sending ends at its next event, so that no caller is called back
 * from within its own call. */
static bool lost(struct transport *t)
{
    (void)shutdown(t->fd, SHUT_RDWR);
    return false;
}

bool transport_send(struct transport *t, const void *data, size_t len)
{
    size_t sent = 0;

    if (t->state != TRANSPORT_OPEN)
        return false;
    if (t->out_len == 0 && !push(t, data, len, &sent))
        return lost(t);
    if (sent == len)
        return true;
    if (!keep(&t->out, &t->out_len, (const uint8_t *)data + sent, len - sent))
        return lost(t);
    ask(t, EPOLLIN | EPOLLOUT);
    return true;
}

static bool flush(struct transport *t)
{
    size_t sent;

    if (t->out_len == 0)
        return true;
    if (!push(t, t->out, t->out_len, &sent))
        return false;
    t->out_len -= sent;
    if (t->out_len == 0) {
        drop(&t->out, &t->out_len);
        ask(t, EPOLLIN);
    } else {
        memmove(t->out, t->out + sent, t->out_len);
    }
    return true;
}

/* Offers what is in buf until the handler takes no more; returns what is left at *from. */
static size_t offer(struct transport *t, uint8_t **from, size_t len)
{
    while (len > 0 && t->state == TRANSPORT_OPEN) {
        size_t used = t->handler->data(t, *from, len);
        if (used == 0)
            break;
        *from += used;
        len -= used;
    }
    return len;
}

/* One read; false when there was nothing more, or the connection is over. */
static bool take(struct transport *t)
{
    uint8_t *from = t->dialer->buf;
    size_t had = t->held_len, room = READ_SIZE - had, len;
    ssize_t n;

    if (had > 0)
        memcpy(from, t->held, had);
    n = move_in(t, from + had, room);
    if (n < 0)
        end(t, n == MOVE_END ? "closed by the server" : "connection lost");
    if (n <= 0)
        return false;
    drop(&t->held, &t->held_len);
    len = offer(t, &from, had + (size_t)n);
    if (t->state != TRANSPORT_OPEN)
        return false;
    if (len == READ_SIZE || (len > 0 && !keep(&t->held, &t->held_len, from, len))) {
        end(t, "an answer larger than anything expected");
        return false;
    }
    /* What TLS has decrypted already epoll does not tell of. */
    return (size_t)n == room || (t->ssl != NULL && SSL_has_pending(t->ssl));
}

static void shake(struct transport *t)
{
    int done = SSL_connect(t->ssl);

    if (done != 1) {
        int why = SSL_get_error(t->ssl, done);
        if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
            ask(t, why == SSL_ERROR_WANT_READ ? EPOLLIN : EPOLLIN | EPOLLOUT);
            return;
        }
        unsigned long code = ERR_get_error();
        const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
        ERR_clear_error();
        end(t, reason != NULL ? reason : "the TLS handshake failed");
        return;
    }
    t->resumed = SSL_session_reused(t->ssl) == 1;
    t->state = TRANSPORT_OPEN;
    ask(t, EPOLLIN);
    t->handler->ready(t);
}

static bool tls_begin(struct transport *t)
{
    struct dialer *d = t->dialer;

    t->ssl = SSL_new(d->tls);
    if (t->ssl == NULL || SSL_set_fd(t->ssl, t->fd) != 1)
        return false;
    SSL_set_app_data(t->ssl, t);
    if (!d->target.literal)
        (void)SSL_set_tlsext_host_name(t->ssl, d->target.host);
    if (t->ticket != NULL && d->resume)
        (void)SSL_set_session(t->ssl, t->ticket);
    t->state = TRANSPORT_SHAKING;
    return true;
}

static void connected(struct transport *t, uint32_t events)
{
    int err = 0;
    socklen_t len = sizeof err;

    if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) == 0)
        return;
    if (getsockopt(t->fd, SOL_SOCKET, SO_ERROR, &err, &len) != 0 || err != 0) {
        end(t, strerror(err));
        return;
    }
    if (t->dialer->tls != NULL) {
        if (tls_begin(t))
            shake(t);
        else
            end(t, "out of memory");
        return;
    }
    t->state = TRANSPORT_OPEN;
    ask(t, EPOLLIN);
    t->handler->ready(t);
}

static void on_ready(struct source *s, uint32_t events)
{
    struct transport *t = (struct transport *)(void *)s;

    if (t->state == TRANSPORT_CONNECTING) {
        connected(t, events);
        return;
    }
    if (t->state == TRANSPORT_SHAKING) {
        shake(t);
        return;
    }
    if (t->state == TRANSPORT_OPEN && (events & EPOLLOUT) != 0 && !flush(t)) {
        end(t, "connection lost");
        return;
    }
    if ((events & ~(uint32_t)EPOLLOUT) != 0)
        while (t->state == TRANSPORT_OPEN && take(t))
            ;
}

void transport_init(struct transport *t, struct dialer *d, const struct transport_handler *h)
{
    *t = (struct transport){
        .source.ready = on_ready, .dialer = d, .handler = h, .fd = -1, .state = TRANSPORT_CLOSED};
}

static bool dial(struct transport *t)
{
    struct dialer *d = t->dialer;
    struct sockaddr_in from;
    int one = 1;

    if (target_source(&d->target, d->dialed++, d->spread, &from)) {
        (void)setsockopt(t->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
        if (bind(t->fd, (const struct sockaddr *)&from, sizeof from) != 0)
            return false;
    }
    (void)setsockopt(t->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(t->fd, (const struct sockaddr *)&d->target.addr, d->target.addr_len) != 0 &&
        errno != EINPROGRESS)
        return false;
    t->wants = EPOLLIN | EPOLLOUT;
    return loop_add(d->loop, t->fd, t->wants, &t->source);
}

bool transport_open(struct transport *t)
{
    t->fd = socket(t->dialer->target.addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (t->fd < 0)
        return false;
    t->state = TRANSPORT_CONNECTING;
    t->resumed = false;
    if (dial(t))
        return true;
    transport_close(t);
    return false;
}

void transport_close(struct transport *t)
{
    if (t->ssl != NULL) {
        /* OpenSSL resumes no session whose end was not said; when the peer is gone, nobody hears
         * it. */
        if (t->state != TRANSPORT_OPEN || SSL_shutdown(t->ssl) < 0)
            SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        ERR_clear_error();
        SSL_free(t->ssl);
        t->ssl = NULL;
    }
    if (t->fd >= 0)
        close(t->fd);
    t->fd = -1;
    t->state = TRANSPORT_CLOSED;
    drop(&t->out, &t->out_len);
    drop(&t->held, &t->held_len);
}

void transport_fini(struct transport *t)
{
    transport_close(t);
    SSL_SESSION_free(t->ticket);
    t->ticket = NULL;
}
