/* Bytes to and from one server, plain or TLS. Nothing blocks. A closed transport can be opened
 * again, but not from within its own callbacks: a timer does that, so that no event of the old
 * connection reaches the new one. */
#ifndef LOAD_TRANSPORT_H
#define LOAD_TRANSPORT_H

#include <openssl/ssl.h>

#include "bench/load/loop.h"
#include "bench/load/options.h"
#include "bench/load/target.h"

#define READ_SIZE (256 << 10) /* bytes of one read, what was held before included */

struct transport;

struct transport_handler {
    void (*ready)(struct transport *t); /* connected, the TLS handshake is done */
    /* The bytes that came and are not consumed; writable. Returns how many it is done with; the
     * rest is offered again with more behind. */
    size_t (*data)(struct transport *t, uint8_t *data, size_t len);
    void (*ended)(struct transport *t, const char *why); /* by the peer, or failed: closed */
};

/* What all transports share. */
struct dialer {
    struct loop *loop;
    struct target target;
    SSL_CTX *tls; /* NULL: plain */
    bool resume, spread;
    uint64_t dialed;
    uint8_t *buf; /* what a read goes into */
};

enum transport_state { TRANSPORT_CLOSED, TRANSPORT_CONNECTING, TRANSPORT_SHAKING, TRANSPORT_OPEN };

struct transport {
    struct source source; /* first */
    struct dialer *dialer;
    const struct transport_handler *handler;
    int fd;
    uint8_t state;
    bool resumed;   /* the TLS session of this connection */
    uint32_t wants; /* what epoll is asked for */
    SSL *ssl;
    SSL_SESSION *ticket; /* of the last connection; NULL: none yet */
    uint8_t *out;        /* what could not be sent yet */
    size_t out_len;
    uint8_t *held; /* what came and was not consumed */
    size_t held_len;
};

/* False: said on stderr. */
bool dialer_init(struct dialer *d, struct loop *loop, const struct options *o);
void dialer_fini(struct dialer *d);

void transport_init(struct transport *t, struct dialer *d, const struct transport_handler *h);
void transport_fini(struct transport *t);
/* False: no connection could be begun (errno). Otherwise ready or ended comes. */
bool transport_open(struct transport *t);
/* All of it, now or as soon as the peer takes it. False: the connection is lost; ended comes. */
bool transport_send(struct transport *t, const void *data, size_t len);
/* No callback follows. */
void transport_close(struct transport *t);

#endif
