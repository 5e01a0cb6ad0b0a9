/* What an instance takes of the heap, as the C library counts it: with each chunk's overhead, and
 * in the libraries below as well. One process is to hold ten thousand. */
#include <arpa/inet.h>
#include <malloc.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "posix_port.h"
#include "test_pki.h"

#define PLAIN_MAX 600 /* with a connection, without records */
#define TLS_MAX   37500
#define KEPT_MAX  1000 /* after a TLS connection: its session, and what its certificate said */
#define FIRST     1000000000
#define LAST      4000000000

enum { PLAIN_COUNT = 200, TLS_COUNT = 20 };

static struct pki_cert ca, server_cert;
static char ca_path[96];

static size_t heap(void)
{
    struct mallinfo2 m = mallinfo2();

    return m.uordblks + m.hblkhd;
}

static int listen_local(uint16_t *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
    assert_int_equal(listen(fd, 256), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    *port = ntohs(a.sin_port);
    return fd;
}

/* A process of its own, so that its heap is not counted: greets one after the other and keeps all
 * open. */
static pid_t tls_server(int listener)
{
    pid_t pid = fork();
    SSL_CTX *ctx;

    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    ctx = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate(ctx, server_cert.x509);
    SSL_CTX_use_PrivateKey(ctx, server_cert.key);
    for (;;) {
        SSL *ssl = SSL_new(ctx);
        SSL_set_fd(ssl, accept(listener, NULL, NULL));
        SSL_accept(ssl);
    }
}

static void connect_one(struct teddy_posix *p, uint16_t port, bool tls)
{
    int err;

    assert_int_equal(teddy_posix_port.resolve(p, "127.0.0.1"), TEDDY_OK);
    while ((err = teddy_posix_port.connect(p, "127.0.0.1", port, tls)) == TEDDY_AGAIN)
        assert_int_equal(teddy_posix_wait(p, 5000, TEDDY_WANTS_READ, NULL, 0), TEDDY_OK);
    assert_int_equal(err, TEDDY_OK);
}

static struct teddy_posix *instance_new(const struct teddy_posix_trust *trust)
{
    static const uint8_t secret[32] = {1};
    struct teddy_posix_options o = {.trust = trust, .secret = secret, .bind_addr = "127.0.0.7"};
    struct teddy_posix *p;

    assert_int_equal(teddy_posix_new(&p, &o, NULL, 0), TEDDY_OK);
    return p;
}

static struct teddy_posix_trust *trust_new(void)
{
    struct teddy_posix_trust *trust;
    char why[200];

    if (teddy_posix_trust_load(&trust, ca_path, why, sizeof why))
        fail_msg("%s", why);
    return trust;
}

static size_t each(size_t before, size_t count)
{
    size_t now = heap();

    return now > before ? (now - before) / count : 0;
}

static void a_plain_instance_is_small(void **state)
{
    struct teddy_posix_trust *trust = trust_new();
    struct teddy_posix *all[PLAIN_COUNT];
    size_t before, idle, connected, record;
    uint8_t last[25] = {0};
    uint16_t port;
    int listener = listen_local(&port);

    (void)state;
    before = heap();
    for (int i = 0; i < PLAIN_COUNT; i++)
        all[i] = instance_new(trust);
    idle = each(before, PLAIN_COUNT);
    for (int i = 0; i < PLAIN_COUNT; i++)
        connect_one(all[i], port, false);
    connected = each(before, PLAIN_COUNT);
    for (int i = 0; i < PLAIN_COUNT; i++)
        assert_int_equal(teddy_posix_port.save(all[i], TEDDY_RECORD_LAST, last, sizeof last),
                         TEDDY_OK);
    record = each(before, PLAIN_COUNT);
    print_message("bytes of a plain instance: %zu, connected %zu, with a last record %zu\n", idle,
                  connected, record);
    assert_in_range(idle, 100, PLAIN_MAX);
    assert_in_range(connected, idle, PLAIN_MAX);
    assert_in_range(record, connected + 25, connected + 48);
    for (int i = 0; i < PLAIN_COUNT; i++)
        teddy_posix_free(all[i]);
    assert_in_range(each(before, PLAIN_COUNT), 0, 32); /* nothing stays */
    close(listener);
    teddy_posix_trust_free(trust);
}

static void tls_takes_what_mbed_tls_takes(void **state)
{
    struct teddy_posix_trust *trust = trust_new();
    struct teddy_posix *all[TLS_COUNT];
    size_t before, plain, connected, resumed, kept;
    uint16_t port;
    int listener = listen_local(&port);
    pid_t server = tls_server(listener);

    (void)state;
    before = heap();
    for (int i = 0; i < TLS_COUNT; i++)
        all[i] = instance_new(trust);
    plain = each(before, TLS_COUNT);
    for (int i = 0; i < TLS_COUNT; i++)
        connect_one(all[i], port, true);
    connected = each(before, TLS_COUNT) - plain;
    for (int i = 0; i < TLS_COUNT; i++)
        teddy_posix_port.disconnect(all[i]);
    kept = each(before, TLS_COUNT) - plain;
    for (int i = 0; i < TLS_COUNT; i++) {
        struct teddy_posix_peer peer;
        connect_one(all[i], port, true);
        teddy_posix_peer(all[i], &peer);
        assert_true(peer.resumed); /* what was kept suffices */
        assert_string_equal(peer.subject, "CN=toys");
    }
    resumed = each(before, TLS_COUNT) - plain;
    print_message("bytes of TLS: %zu, resumed %zu, kept after it %zu\n", connected, resumed, kept);
    assert_in_range(connected, 32768, TLS_MAX);
    assert_in_range(resumed, 32768, TLS_MAX);
    assert_in_range(kept, 80, KEPT_MAX);
    for (int i = 0; i < TLS_COUNT; i++)
        teddy_posix_free(all[i]);
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    close(listener);
    teddy_posix_trust_free(trust);
}

static int setup(void **state)
{
    int fd;

    (void)state;
    snprintf(ca_path, sizeof ca_path, "/tmp/teddy-memory-XXXXXX");
    assert_true((fd = mkstemp(ca_path)) >= 0);
    close(fd);
    ca = pki_make("test authority", NULL, true, NULL, NULL, FIRST, LAST);
    server_cert = pki_make("toys", &ca, false, "IP:127.0.0.1", NULL, FIRST, LAST);
    pki_write(&ca, ca_path);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pki_free(&ca);
    pki_free(&server_cert);
    return unlink(ca_path);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_instance_is_small),
        cmocka_unit_test(tls_takes_what_mbed_tls_takes),
    };

    (void)argc;
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
    (void)argv;
    return 77; /* their heap is another one, and is not counted */
#endif
    /* Chunks freed but kept aside for the thread would count as used. */
    if (!getenv("GLIBC_TUNABLES")) {
        setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0", 1);
        execv("/proc/self/exe", argv);
    }
    return cmocka_run_group_tests(tests, setup, teardown);
}
