#include "net/conn_internal.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

/* What went wrong in the last TLS call. OpenSSL's error queue belongs to the thread, not to the
 * connection: each call clears it first, so that one peer's failure is never read as another's. */
static enum transport tls_failure(struct conn *c, int ret, bool writing)
{
    switch (SSL_get_error(c->ssl, ret)) {
    case SSL_ERROR_WANT_READ:
        if (writing)
            c->write_wants_read = true;
        return TRANSPORT_BLOCKED;
    case SSL_ERROR_WANT_WRITE:
        if (!writing)
            c->read_wants_write = true;
        return TRANSPORT_BLOCKED;
    case SSL_ERROR_ZERO_RETURN:
        return TRANSPORT_EOF;
    case SSL_ERROR_SYSCALL:
        c->tls_broken = true;
        return TRANSPORT_RESET;
    default:
        c->tls_broken = true;
        return TRANSPORT_TLS;
    }
}

enum transport transport_handshake(struct conn *c)
{
    ERR_clear_error();
    c->read_wants_write = false;
    int ret = SSL_do_handshake(c->ssl);
    enum transport t = ret == 1 ? TRANSPORT_OK : tls_failure(c, ret, false);
    ERR_clear_error();
    return t;
}

bool transport_begun(const struct conn *c)
{
    return !SSL_in_before(c->ssl);
}

static enum transport tls_read(struct conn *c, void *buf, size_t cap, size_t *n)
{
    ERR_clear_error();
    c->read_wants_write = false;
    int ret = SSL_read_ex(c->ssl, buf, cap, n);
    enum transport t = ret == 1 ? TRANSPORT_OK : tls_failure(c, ret, false);
    ERR_clear_error();
    return t;
}

static enum transport tls_write(struct conn *c, const void *data, size_t len, size_t *n)
{
    ERR_clear_error();
    c->write_wants_read = false;
    int ret = SSL_write_ex(c->ssl, data, len, n);
    enum transport t = ret == 1 ? TRANSPORT_OK : tls_failure(c, ret, true);
    ERR_clear_error();
    return t;
}

enum transport transport_read(struct conn *c, void *buf, size_t cap, size_t *n)
{
    if (c->ssl && c->state == CONN_OPEN)
        return tls_read(c, buf, cap, n);
    /* Once finishing, TLS records are thrown away undeciphered. */
    ssize_t got = loop_recv(c->loop, &c->io, buf, cap);
    if (got > 0) {
        *n = (size_t)got;
        return TRANSPORT_OK;
    }
    if (got == 0)
        return TRANSPORT_EOF;
    return errno == EAGAIN || errno == EWOULDBLOCK ? TRANSPORT_BLOCKED : TRANSPORT_RESET;
}

enum transport transport_write(struct conn *c, const void *data, size_t len, size_t *n)
{
    if (c->ssl)
        return tls_write(c, data, len, n);
    ssize_t put = loop_send(c->loop, &c->io, data, len, c->state == CONN_FINISHING);
    if (put >= 0) {
        *n = (size_t)put;
        return TRANSPORT_OK;
    }
    return errno == EAGAIN || errno == EWOULDBLOCK ? TRANSPORT_BLOCKED : TRANSPORT_RESET;
}

bool transport_pending(const struct conn *c)
{
    return c->ssl && c->state == CONN_OPEN && SSL_has_pending(c->ssl);
}

bool transport_shutdown(struct conn *c)
{
    if (c->ssl && !c->tls_broken) {
        ERR_clear_error();
        int ret = SSL_shutdown(c->ssl);
        bool blocked = ret < 0 && SSL_get_error(c->ssl, ret) == SSL_ERROR_WANT_WRITE;
        ERR_clear_error();
        if (blocked)
            return false;
    }
    if (!c->parted)
        shutdown(c->io.fd, SHUT_WR);
    return true;
}
