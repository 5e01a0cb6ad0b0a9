/* OpenSSL and nothing else: a session is an SSL object with released buffers, a descriptor and 24
 * bytes. Its handshakes, its memory and its records are what any server on OpenSSL pays at least.
 * openssl_bare --tls CERT KEY [--json] */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "floor.h"

struct bare {
    struct floor_conn conn;
    SSL *ssl;
};

static SSL_CTX *context(const char *cert, const char *key)
{
    static const unsigned char id[] = "bare";
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (ctx == NULL || SSL_CTX_use_certificate_chain_file(ctx, cert) != 1 ||
        SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1) {
        ERR_print_errors_fp(stderr);
        exit(1);
    }
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_session_id_context(ctx, id, sizeof id - 1);
    SSL_CTX_set_num_tickets(ctx, 1);
    return ctx;
}

static void take(int epoll, int listener, SSL_CTX *ctx)
{
    int fd;
    while ((fd = floor_accept(listener)) >= 0) {
        struct bare *b = calloc(1, sizeof *b);
        if (b == NULL || (b->ssl = SSL_new(ctx)) == NULL || SSL_set_fd(b->ssl, fd) != 1)
            abort();
        SSL_set_accept_state(b->ssl);
        b->conn.fd = fd;
        floor_watch(epoll, fd, b);
    }
}

static void end(struct bare *b)
{
    SSL_shutdown(b->ssl);
    SSL_free(b->ssl);
    close(b->conn.fd);
    free(b->conn.kept);
    free(b);
    ERR_clear_error();
}

static void serve(struct bare *b, bool json)
{
    static uint8_t in[FLOOR_BUFFER], out[FLOOR_BUFFER];
    do {
        int got = SSL_read(b->ssl, in, sizeof in); /* the handshake, too */
        if (got <= 0) {
            if (SSL_get_error(b->ssl, got) != SSL_ERROR_WANT_READ)
                end(b);
            return;
        }
        long made = floor_answer(&b->conn, json, in, (size_t)got, out);
        if (made < 0 || (made > 0 && SSL_write(b->ssl, out, (int)made) != made)) {
            end(b);
            return;
        }
    } while (SSL_has_pending(b->ssl));
}

static _Noreturn void run(int epoll, int listener, SSL_CTX *ctx, bool json)
{
    struct epoll_event events[FLOOR_ROUND];
    for (;;) {
        int n = epoll_wait(epoll, events, FLOOR_ROUND, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == NULL)
                take(epoll, listener, ctx);
            else
                serve(events[i].data.ptr, json);
        }
    }
}

int main(int argc, char **argv)
{
    const char *cert = NULL, *key = NULL;
    uint16_t port = 0;
    bool json = false;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            json = true;
        } else if (strcmp(argv[i], "--tls") == 0 && i + 2 < argc) {
            cert = argv[++i];
            key = argv[++i];
        } else {
            return 2;
        }
    }
    if (cert == NULL)
        return 2;
    SSL_CTX *ctx = context(cert, key);
    int listener = floor_listen(&port), epoll = epoll_create1(EPOLL_CLOEXEC);
    floor_ready(port);
    floor_watch(epoll, listener, NULL);
    run(epoll, listener, ctx, json);
}
