#include "net/testing.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64];
static struct tls_context *tls;
static pthread_mutex_t count_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t count_changed = PTHREAD_COND_INITIALIZER;

const char *testing_dir(void)
{
    if (!dir[0]) {
        snprintf(dir, sizeof dir, "/tmp/teddy-net-XXXXXX");
        assert_non_null(mkdtemp(dir));
        int made;
        char err[512];
        assert_int_equal(tls_dev_certificate(dir, &made, err, sizeof err), TEDDY_OK);
    }
    return dir;
}

struct tls_context *testing_tls(void)
{
    if (!tls) {
        char cert[128], key[128], err[512] = "", warn[512];
        snprintf(cert, sizeof cert, "%s/server.crt", testing_dir());
        snprintf(key, sizeof key, "%s/server.key", testing_dir());
        const struct tls_files files = {cert, key, NULL};
        assert_int_equal(tls_context_new(&files, NULL, &tls, err, sizeof err, warn, sizeof warn),
                         TEDDY_OK);
    }
    return tls;
}

void testing_fini(void)
{
    static const char *const names[] = {"ca.crt", "ca.key", "server.crt", "server.key"};
    tls_context_free(tls);
    tls = NULL;
    for (size_t i = 0; dir[0] && i < sizeof names / sizeof names[0]; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    if (dir[0])
        rmdir(dir);
    dir[0] = 0;
}

static void *run(void *loop)
{
    loop_run(loop);
    return NULL;
}

void testing_start(struct testing_server *s,
                   void (*accepted)(struct loop *loop, int fd, const struct sockaddr_storage *peer,
                                    void *user),
                   void *user)
{
    char err[256] = "";
    (void)testing_tls(); /* here, not on a loop's thread */
    memset(s, 0, sizeof *s);
    assert_int_equal(listen_tcp("127.0.0.1", &s->port, &s->fd, err, sizeof err), TEDDY_OK);
    for (unsigned i = 0; i < TESTING_LOOPS; i++)
        assert_int_equal(loop_new(&s->loops[i], i), TEDDY_OK);
    assert_int_equal(listener_new(s->loops[0], s->fd, accepted, user, &s->listener), TEDDY_OK);
    for (unsigned i = 0; i < TESTING_LOOPS; i++)
        assert_int_equal(pthread_create(&s->threads[i], NULL, run, s->loops[i]), 0);
}

void testing_stop(struct testing_server *s)
{
    for (unsigned i = 0; i < TESTING_LOOPS; i++) {
        loop_stop(s->loops[i]);
        pthread_join(s->threads[i], NULL);
    }
    listener_free(s->listener);
    for (unsigned i = 0; i < TESTING_LOOPS; i++)
        loop_free(s->loops[i]);
    close(s->fd);
    assert_int_equal(conn_count(), 0);
}

struct call {
    struct loop_task task;
    void (*fn)(struct loop *loop, void *arg);
    void *arg;
    unsigned done;
};

static void call_run(struct loop *loop, struct loop_task *task)
{
    struct call *c = (struct call *)(void *)task;
    c->fn(loop, c->arg);
    testing_count_add(&c->done);
}

void testing_on_loop(struct testing_server *s, void (*fn)(struct loop *loop, void *arg), void *arg)
{
    struct call c = {.task = {.run = call_run}, .fn = fn, .arg = arg};
    loop_post(s->loops[0], &c.task);
    testing_count_wait(&c.done, 1);
}

static SSL *client_ssl(int fd, int max_version)
{
    char ca[128];
    snprintf(ca, sizeof ca, "%s/ca.crt", testing_dir());
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    assert_int_equal(SSL_CTX_load_verify_locations(ctx, ca, NULL), 1);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
    if (max_version) {
        SSL_CTX_set_security_level(
            ctx, 0); /* so that a client may ask for what the server must refuse */
        SSL_CTX_set_min_proto_version(ctx, max_version < TLS1_2_VERSION ? TLS1_VERSION : 0);
        SSL_CTX_set_max_proto_version(ctx, max_version);
    }
    static const unsigned char alpn[] = "\x02h2\x08http/1.1";
    SSL_CTX_set_alpn_protos(ctx, alpn, sizeof alpn - 1);
    SSL *ssl = SSL_new(ctx);
    SSL_CTX_free(ctx);
    SSL_set1_host(ssl, "localhost");
    SSL_set_tlsext_host_name(ssl, "localhost");
    SSL_set_fd(ssl, fd);
    ERR_clear_error();
    if (SSL_connect(ssl) == 1)
        return ssl;
    SSL_free(ssl);
    return NULL;
}

struct testing_client testing_connect(uint16_t port, bool use_tls, int max_version)
{
    struct testing_client c = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(port)};
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const struct timeval patience = {.tv_sec = 60};
    setsockopt(c.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(c.fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    assert_int_equal(connect(c.fd, (struct sockaddr *)&addr, sizeof addr), 0);
    if (use_tls && !(c.ssl = client_ssl(c.fd, max_version))) {
        close(c.fd);
        c.fd = -1;
    }
    return c;
}

void testing_send(struct testing_client *c, const void *data, size_t len)
{
    ERR_clear_error();
    for (size_t at = 0; at < len;) {
        const char *p = (const char *)data + at;
        long n =
            c->ssl ? SSL_write(c->ssl, p, (int)(len - at)) : send(c->fd, p, len - at, MSG_NOSIGNAL);
        assert_true(n > 0);
        at += (size_t)n;
    }
}

long testing_recv(struct testing_client *c, void *buf, size_t len)
{
    ERR_clear_error();
    if (!c->ssl)
        return recv(c->fd, buf, len, 0);
    int n = SSL_read(c->ssl, buf, (int)len);
    if (n > 0)
        return n;
    return SSL_get_error(c->ssl, n) == SSL_ERROR_ZERO_RETURN ? 0 : -1;
}

size_t testing_recv_all(struct testing_client *c, void *buf, size_t len)
{
    size_t at = 0;
    while (at < len) {
        long n = testing_recv(c, (char *)buf + at, len - at);
        if (n <= 0)
            break;
        at += (size_t)n;
    }
    return at;
}

void testing_close(struct testing_client *c)
{
    SSL_free(c->ssl);
    if (c->fd >= 0)
        close(c->fd);
    *c = (struct testing_client){.fd = -1};
}

void testing_count_add(unsigned *count)
{
    pthread_mutex_lock(&count_lock);
    ++*count;
    pthread_cond_broadcast(&count_changed);
    pthread_mutex_unlock(&count_lock);
}

void testing_count_wait(const unsigned *count, unsigned value)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 60;
    pthread_mutex_lock(&count_lock);
    int rc = 0;
    while (*count < value && rc == 0)
        rc = pthread_cond_timedwait(&count_changed, &count_lock, &until);
    unsigned got = *count;
    pthread_mutex_unlock(&count_lock);
    assert_int_equal(got, value);
}
