/* Whom the toy trusts, over real sockets against OpenSSL. */
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "posix_port.h"
#include "proto/text.h"
#include "test_pki.h"

#define DAY   86400
#define FIRST 1000000000 /* 2001 */
#define LAST  4000000000 /* 2096 */

static struct pki_cert ca, other_ca;
static char dir[64], ca_path[96], other_path[96], state_path[96], last_log[1024];

static void on_log(void *user, enum teddy_log_level level, const char *line)
{
    (void)user;
    (void)level;
    snprintf(last_log, sizeof last_log, "%s", line);
}

static struct teddy_posix *port_new(const char *ca_file, const char *state)
{
    struct teddy_posix_options o = {.ca_file = ca_file, .state_file = state, .log = on_log};
    struct teddy_posix *p;
    char why[256];
    int err = teddy_posix_new(&p, &o, why, sizeof why);

    if (err)
        fail_msg("%s", why);
    return p;
}

static const struct teddy_posix_peer *peer_of(struct teddy_posix *p)
{
    static struct teddy_posix_peer peer;

    teddy_posix_peer(p, &peer);
    return &peer;
}

/* Drives a call that may say AGAIN; every single call must come back at once. */
static int connect_within(struct teddy_posix *p, const char *host, uint16_t port, bool tls,
                          uint32_t ms)
{
    uint64_t until = teddy_posix_now_ms() + ms;
    int err = TEDDY_AGAIN;

    last_log[0] = '\0';
    for (int phase = 0; phase < 2; phase++) {
        for (;;) {
            err = phase == 0 ? teddy_posix_port.resolve(p, host)
                             : teddy_posix_port.connect(p, host, port, tls);
            if (err != TEDDY_AGAIN)
                break;
            if (teddy_posix_now_ms() >= until)
                return TEDDY_AGAIN;
            assert_int_equal(teddy_posix_wait(p, 50, TEDDY_WANTS_READ, NULL, 0), TEDDY_OK);
        }
        if (err)
            return err;
    }
    return err;
}

static int tls_connect(struct teddy_posix *p, const char *host, uint16_t port)
{
    return connect_within(p, host, port, true, 5000);
}

static int recv_some(struct teddy_posix *p, uint8_t *buf, size_t cap, size_t *got)
{
    int err;

    while ((err = teddy_posix_port.recv(p, buf, cap, got)) == TEDDY_AGAIN)
        assert_int_equal(teddy_posix_wait(p, 5000, TEDDY_WANTS_READ, NULL, 0), TEDDY_OK);
    return err;
}

static void assert_echoes(struct teddy_posix *p, size_t len)
{
    uint8_t *out = malloc(len), *in = malloc(len);
    size_t sent = 0, got = 0, n;
    bool again = false;

    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(i * 7 + i / 251);
    while (got < len) {
        int err = TEDDY_AGAIN;
        /* A caller may have more to send by the time it is called again: no byte of it may be lost.
         */
        size_t want = again || len - sent < 3000 ? len - sent : 3000;
        if (sent < len) {
            err = teddy_posix_port.send(p, out + sent, want, &n);
            again = err == TEDDY_AGAIN;
            sent += err == TEDDY_OK ? n : 0;
        }
        assert_true(err >= 0);
        err = teddy_posix_port.recv(p, in + got, len - got, &n);
        if (err == TEDDY_OK)
            got += n;
        else
            assert_int_equal(
                teddy_posix_wait(p, 5000, TEDDY_WANTS_READ | (sent < len ? TEDDY_WANTS_WRITE : 0u),
                                 NULL, 0),
                TEDDY_OK);
        assert_true(err >= 0);
    }
    assert_memory_equal(in, out, len);
    free(in);
    free(out);
}

struct verdict {
    const char *cn, *san, *host;
    const char *usage;
    int64_t from, to; /* days from now */
    int err;
    const char *says; /* in the log */
};

static void judge(const struct verdict *v)
{
    time_t now = time(NULL);
    struct pki_cert c =
        pki_make(v->cn, &ca, false, v->san, v->usage, now + v->from * DAY, now + v->to * DAY);
    struct teddy_posix *p = port_new(ca_path, NULL);
    struct pki_server s;

    pki_server_start(&s, &c, PKI_ECHO, false);
    assert_int_equal(tls_connect(p, v->host, s.port), v->err);
    assert_int_equal(peer_of(p)->tls, v->err == TEDDY_OK);
    if (v->says && !strstr(last_log, v->says))
        fail_msg("the log says \"%s\", not \"%s\"", last_log, v->says);
    if (v->err == TEDDY_OK)
        assert_echoes(p, 100);
    teddy_posix_free(p);
    pki_server_stop(&s);
    pki_free(&c);
}

static void certificates_are_judged(void **state)
{
    static const struct verdict table[] = {
        {"toys", "DNS:localhost", "localhost", NULL, -1, 10, TEDDY_OK, NULL},
        {"toys", "IP:127.0.0.1", "127.0.0.1", NULL, -1, 10, TEDDY_OK, NULL},
        {"toys", "DNS:x,IP:10.0.0.1,IP:127.0.0.1", "127.0.0.1", "serverAuth", -1, 10, TEDDY_OK,
         NULL},
        {"toys", "DNS:elsewhere", "localhost", NULL, -1, 10, TEDDY_ECERT, "not for this host"},
        {"localhost", "DNS:elsewhere", "localhost", NULL, -1, 10, TEDDY_ECERT, "not for this host"},
        {"toys", "IP:127.0.0.2", "127.0.0.1", NULL, -1, 10, TEDDY_ECERT, "not for this host"},
        {"127.0.0.1", NULL, "127.0.0.1", NULL, -1, 10, TEDDY_ECERT, "not for this host"},
        {"127.0.0.1", "DNS:127.0.0.1", "127.0.0.1", NULL, -1, 10, TEDDY_ECERT, "not for this host"},
        {"toys", "IP:0:0:0:0:0:ffff:7f00:1", "127.0.0.1", NULL, -1, 10, TEDDY_ECERT,
         "not for this host"},
        {"toys", "IP:127.0.0.1", "localhost", NULL, -1, 10, TEDDY_ECERT, "not for this host"},
        {"toys", "DNS:localhost", "localhost", NULL, -10, -1, TEDDY_ECLOCK, "expired"},
        {"toys", "DNS:localhost", "localhost", NULL, 1, 10, TEDDY_ECLOCK, "not valid yet"},
        {"toys", "DNS:elsewhere", "localhost", NULL, -10, -1, TEDDY_ECERT, "expired"},
        {"toys", "IP:127.0.0.2", "127.0.0.1", NULL, 1, 10, TEDDY_ECERT, "not for this host"},
        {"toys", "DNS:localhost", "localhost", "clientAuth", -1, 10, TEDDY_ECERT,
         "not meant for a server"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        judge(&table[i]);
}

static void ipv6_addresses_are_verified(void **state)
{
    struct pki_cert good = pki_make("toys", &ca, false, "IP:::1", NULL, FIRST, LAST);
    struct pki_cert bad = pki_make("toys", &ca, false, "IP:::2", NULL, FIRST, LAST);
    struct teddy_posix *p = port_new(ca_path, NULL);
    struct pki_server s;

    (void)state;
    pki_server_start(&s, &good, PKI_ECHO, true);
    assert_int_equal(tls_connect(p, "::1", s.port), TEDDY_OK);
    teddy_posix_port.disconnect(p);
    pki_server_stop(&s);
    teddy_posix_forget_session(p);
    pki_server_start(&s, &bad, PKI_ECHO, true);
    assert_int_equal(tls_connect(p, "::1", s.port), TEDDY_ECERT);
    teddy_posix_free(p);
    pki_server_stop(&s);
    pki_free(&good);
    pki_free(&bad);
}

static void strangers_are_refused(void **state)
{
    struct pki_cert of_other =
        pki_make("toys", &other_ca, false, "DNS:localhost", NULL, FIRST, LAST);
    struct pki_cert alone = pki_make("localhost", NULL, false, "DNS:localhost", NULL, FIRST, LAST);
    /* Signed by a certificate that is no authority, although ours vouches for it. */
    struct pki_cert leaf = pki_make("leaf", &ca, false, "DNS:leaf", NULL, FIRST, LAST);
    struct pki_cert of_leaf = pki_make("toys", &leaf, false, "DNS:localhost", NULL, FIRST, LAST);
    const struct pki_cert *all[] = {&of_other, &alone, &of_leaf};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct teddy_posix *p = port_new(ca_path, NULL);
        struct pki_server s;
        pki_server_start(&s, all[i], PKI_ECHO, false);
        assert_int_equal(tls_connect(p, "localhost", s.port), TEDDY_ECERT);
        assert_non_null(strstr(last_log, "no authority we trust"));
        teddy_posix_free(p);
        pki_server_stop(&s);
    }
    pki_free(&of_other);
    pki_free(&alone);
    pki_free(&of_leaf);
    pki_free(&leaf);
}

static void a_given_self_signed_certificate_is_trusted(void **state)
{
    struct pki_cert alone = pki_make("localhost", NULL, false, "DNS:localhost", NULL, FIRST, LAST);
    char path[96];
    struct teddy_posix *p;
    struct pki_server s;

    (void)state;
    snprintf(path, sizeof path, "%s/alone.crt", dir);
    pki_write(&alone, path);
    p = port_new(path, NULL);
    pki_server_start(&s, &alone, PKI_ECHO, false);
    assert_int_equal(tls_connect(p, "localhost", s.port), TEDDY_OK);
    teddy_posix_free(p);
    pki_server_stop(&s);
    pki_free(&alone);
}

static void write_time(uint64_t t)
{
    char path[128];
    FILE *f;

    snprintf(path, sizeof path, "%s.time", state_path);
    f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, "%llu\n", (unsigned long long)t);
    fclose(f);
}

/* Stored time 2035: what the system thinks not valid yet is valid, and what it thinks valid has
 * expired. */
static void dates_are_judged_by_the_latest_clock(void **state)
{
    const time_t t2035 = 2051222400;
    struct pki_cert future =
        pki_make("toys", &ca, false, "DNS:localhost", NULL, t2035 - DAY, t2035 + DAY);
    struct pki_cert past = pki_make("toys", &ca, false, "DNS:localhost", NULL, FIRST, t2035 - DAY);
    struct teddy_posix *p;
    struct pki_server s;

    (void)state;
    write_time((uint64_t)t2035);
    p = port_new(ca_path, state_path);
    assert_in_range(teddy_posix_port.wall_time(p), t2035, t2035 + 60);
    pki_server_start(&s, &future, PKI_ECHO, false);
    assert_int_equal(tls_connect(p, "localhost", s.port), TEDDY_OK);
    teddy_posix_port.disconnect(p);
    pki_server_stop(&s);
    pki_server_start(&s, &past, PKI_ECHO, false);
    assert_int_equal(tls_connect(p, "localhost", s.port), TEDDY_ECLOCK);
    teddy_posix_free(p);
    pki_server_stop(&s);
    write_time(0);
    pki_free(&future);
    pki_free(&past);
}

static void server_time_is_kept_but_bounded_by_the_certificate(void **state)
{
    const uint64_t t2040 = 2208988800;
    struct pki_cert c = pki_make("toys", &ca, false, "DNS:localhost", NULL, FIRST, (time_t)t2040);
    struct teddy_posix *p = port_new(ca_path, state_path);
    struct pki_server s;

    (void)state;
    teddy_posix_port.server_time(p, t2040 - 10); /* nobody has vouched for it */
    assert_true(teddy_posix_port.wall_time(p) < t2040 - 10);
    pki_server_start(&s, &c, PKI_ECHO, false);
    assert_int_equal(tls_connect(p, "localhost", s.port), TEDDY_OK);
    teddy_posix_port.server_time(p, t2040 + 1);
    assert_true(teddy_posix_port.wall_time(p) < t2040 - 10);
    teddy_posix_port.server_time(p, t2040 - 1000);
    assert_in_range(teddy_posix_port.wall_time(p), t2040 - 1000, t2040 - 900);
    teddy_posix_free(p);
    p = port_new(ca_path, state_path);
    assert_in_range(teddy_posix_port.wall_time(p), t2040 - 1000, t2040 - 900);
    teddy_posix_free(p);
    write_time(0);
    pki_server_stop(&s);
    pki_free(&c);
}

static void sessions_are_resumed(void **state)
{
    struct pki_cert c =
        pki_make("toys", &ca, false, "DNS:localhost,IP:127.0.0.1", NULL, FIRST, LAST);
    struct teddy_posix *p = port_new(ca_path, NULL);
    struct pki_server s;
    char fingerprint[65];

    (void)state;
    pki_server_start(&s, &c, PKI_ECHO, false);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(tls_connect(p, "localhost", s.port), TEDDY_OK);
        assert_int_equal(peer_of(p)->resumed, i > 0);
        assert_true(peer_of(p)->tls);
        assert_string_equal(peer_of(p)->subject, "CN=toys");
        assert_string_equal(peer_of(p)->issuer, "CN=test authority");
        assert_string_equal(peer_of(p)->version, "TLSv1.2");
        if (i == 0)
            memcpy(fingerprint, peer_of(p)->sha256, sizeof fingerprint);
        assert_string_equal(peer_of(p)->sha256, fingerprint);
        assert_echoes(p, 3000);
        teddy_posix_port.disconnect(p);
    }
    /* Another name for the same server is another server. */
    assert_int_equal(tls_connect(p, "127.0.0.1", s.port), TEDDY_OK);
    assert_false(peer_of(p)->resumed);
    teddy_posix_port.disconnect(p);
    assert_int_equal(tls_connect(p, "localhost", s.port), TEDDY_OK);
    assert_false(peer_of(p)->resumed);
    teddy_posix_port.disconnect(p);
    teddy_posix_free(p);
    pki_server_stop(&s);
    assert_int_equal(atomic_load(&s.handshakes), 6);
    assert_int_equal(atomic_load(&s.resumed), 3);
    pki_free(&c);
}

static void a_server_that_forgot_the_session_is_verified_again(void **state)
{
    struct pki_cert c = pki_make("toys", &ca, false, "DNS:localhost", NULL, FIRST, LAST);
    struct pki_cert evil = pki_make("toys", &other_ca, false, "DNS:localhost", NULL, FIRST, LAST);
    struct teddy_posix *p = port_new(ca_path, NULL);
    struct pki_server s;
    uint16_t port;

    (void)state;
    pki_server_start(&s, &c, PKI_ECHO, false);
    port = s.port;
    assert_int_equal(tls_connect(p, "localhost", port), TEDDY_OK);
    teddy_posix_port.disconnect(p);
    pki_server_stop(&s);
    pki_server_start(&s, &evil, PKI_ECHO, false);
    p->kept->port = s.port; /* as if it had taken over the very port */
    assert_int_equal(tls_connect(p, "localhost", s.port), TEDDY_ECERT);
    teddy_posix_free(p);
    pki_server_stop(&s);
    pki_free(&c);
    pki_free(&evil);
}

static void a_kept_session_ends_with_its_certificate(void **state)
{
    struct pki_cert c =
        pki_make("toys", &ca, false, "DNS:localhost", NULL, FIRST, time(NULL) + DAY);
    struct teddy_posix *p = port_new(ca_path, NULL);
    struct pki_server s;

    (void)state;
    pki_server_start(&s, &c, PKI_ECHO, false);
    assert_int_equal(tls_connect(p, "localhost", s.port), TEDDY_OK);
    teddy_posix_port.disconnect(p);
    p->time_stored = (uint64_t)time(NULL) + 2 * DAY;
    assert_int_equal(tls_connect(p, "localhost", s.port), TEDDY_ECLOCK);
    teddy_posix_free(p);
    pki_server_stop(&s);
    pki_free(&c);
}

static void a_silent_server_blocks_nobody(void **state)
{
    struct teddy_posix *p = port_new(ca_path, NULL);
    struct pki_server s;
    uint64_t began, longest = 0;

    (void)state;
    pki_server_start(&s, NULL, PKI_SILENT, false);
    assert_int_equal(connect_within(p, "127.0.0.1", s.port, true, 300), TEDDY_AGAIN);
    for (int i = 0; i < 100; i++) {
        began = teddy_posix_now_ms();
        assert_int_equal(teddy_posix_port.connect(p, "127.0.0.1", s.port, true), TEDDY_AGAIN);
        if (teddy_posix_now_ms() - began > longest)
            longest = teddy_posix_now_ms() - began;
    }
    assert_true(longest < 3000); /* on a busy machine; who blocks waits for ever */
    teddy_posix_port.disconnect(p);
    teddy_posix_port.disconnect(p); /* always safe */
    teddy_posix_free(p);
    pki_server_stop(&s);
}

static void no_tls_and_nobody_there_are_told_apart(void **state)
{
    struct pki_cert c = pki_make("toys", &ca, false, "DNS:localhost", NULL, FIRST, LAST);
    struct teddy_posix *p = port_new(ca_path, NULL);
    struct pki_server s;
    uint8_t byte = 'x';
    size_t n;

    (void)state;
    pki_server_start(&s, NULL, PKI_PLAIN_TEXT, false);
    assert_int_equal(tls_connect(p, "127.0.0.1", s.port), TEDDY_ETLS);
    teddy_posix_port.disconnect(p);
    pki_server_stop(&s); /* its port is free again: nobody listens */
    assert_int_equal(tls_connect(p, "127.0.0.1", s.port), TEDDY_EIO);
    assert_non_null(strstr(last_log, "refused"));
    teddy_posix_port.disconnect(p);
    assert_int_equal(teddy_posix_port.send(p, &byte, 1, &n), TEDDY_ECLOSED);
    assert_int_equal(teddy_posix_port.recv(p, &byte, 1, &n), TEDDY_ECLOSED);
    teddy_posix_free(p);
    pki_free(&c);
}

static void a_cut_stream_is_broken_and_a_closed_one_closed(void **state)
{
    struct pki_cert c = pki_make("toys", &ca, false, "DNS:localhost", NULL, FIRST, LAST);
    struct teddy_posix *p = port_new(ca_path, NULL);
    struct pki_server s;
    uint8_t buf[16] = "hello";
    size_t n;

    (void)state;
    pki_server_start(&s, &c, PKI_CUT, false);
    assert_int_equal(tls_connect(p, "localhost", s.port), TEDDY_OK);
    assert_int_equal(teddy_posix_port.send(p, buf, 5, &n), TEDDY_OK);
    assert_int_equal(recv_some(p, buf, sizeof buf, &n), TEDDY_EIO);
    teddy_posix_port.disconnect(p);
    pki_server_stop(&s);
    pki_server_start(&s, &c, PKI_ECHO, false);
    assert_int_equal(tls_connect(p, "localhost", s.port), TEDDY_OK);
    atomic_store(&s.stop, true); /* it says close_notify */
    assert_int_equal(recv_some(p, buf, sizeof buf, &n), TEDDY_ECLOSED);
    teddy_posix_free(p);
    pki_server_stop(&s);
    pki_free(&c);
}

static void large_writes_survive_a_full_socket(void **state)
{
    struct pki_cert c = pki_make("toys", &ca, false, "DNS:localhost", NULL, FIRST, LAST);
    struct teddy_posix *p = port_new(ca_path, NULL);
    struct pki_server s;
    int small = 4096;

    (void)state;
    pki_server_start(&s, &c, PKI_ECHO, false);
    assert_int_equal(tls_connect(p, "localhost", s.port), TEDDY_OK);
    setsockopt(p->link.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    assert_echoes(p, 600000);
    teddy_posix_free(p);
    pki_server_stop(&s);
    pki_free(&c);
}

static void two_hundred_live_in_one_process(void **state)
{
    enum { COUNT = 200 };
    struct pki_cert c = pki_make("toys", &ca, false, "IP:127.0.0.1", NULL, FIRST, LAST);
    struct teddy_posix_trust *trust;
    struct teddy_posix *ports[COUNT];
    struct pki_server s;
    char why[128], from[32];

    (void)state;
    assert_int_equal(teddy_posix_trust_load(&trust, ca_path, why, sizeof why), TEDDY_OK);
    pki_server_start(&s, &c, PKI_ECHO, false);
    for (int i = 0; i < COUNT; i++) {
        struct teddy_posix_options o = {.trust = trust, .bind_addr = from};
        snprintf(from, sizeof from, "127.0.1.%d", i + 1);
        assert_int_equal(teddy_posix_new(&ports[i], &o, why, sizeof why), TEDDY_OK);
        assert_int_equal(teddy_posix_port.resolve(ports[i], "127.0.0.1"), TEDDY_OK);
        assert_int_equal(teddy_posix_port.connect(ports[i], "127.0.0.1", s.port, true),
                         TEDDY_AGAIN);
    }
    for (int i = 0; i < COUNT;
         i++) { /* the server takes one after the other: freeing one lets the next in */
        struct sockaddr_in local;
        socklen_t len = sizeof local;
        assert_int_equal(tls_connect(ports[i], "127.0.0.1", s.port), TEDDY_OK);
        assert_int_equal(getsockname(ports[i]->link.fd, (struct sockaddr *)&local, &len), 0);
        assert_int_equal(ntohl(local.sin_addr.s_addr), 0x7f000100u + (unsigned)i + 1);
        assert_echoes(ports[i], 10);
        teddy_posix_free(ports[i]);
    }
    teddy_posix_trust_free(trust);
    pki_server_stop(&s);
    pki_free(&c);
}

static int setup(void **state)
{
    (void)state;
    signal(
        SIGPIPE,
        SIG_IGN); /* the OpenSSL servers write to closed sockets; the port itself never raises it */
    snprintf(dir, sizeof dir, "/tmp/teddy-tls-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(ca_path, sizeof ca_path, "%s/ca.crt", dir);
    snprintf(other_path, sizeof other_path, "%s/other.crt", dir);
    snprintf(state_path, sizeof state_path, "%s/state", dir);
    ca = pki_make("test authority", NULL, true, NULL, NULL, FIRST, LAST);
    other_ca = pki_make("test authority", NULL, true, NULL, NULL, FIRST, LAST);
    pki_write(&ca, ca_path);
    pki_write(&other_ca, other_path);
    return 0;
}

static int teardown(void **state)
{
    static const char *const names[] = {"ca.crt", "other.crt", "alone.crt", "state.time",
                                        "state.lock"};
    char path[128];

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    rmdir(dir);
    pki_free(&ca);
    pki_free(&other_ca);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(certificates_are_judged),
        cmocka_unit_test(ipv6_addresses_are_verified),
        cmocka_unit_test(strangers_are_refused),
        cmocka_unit_test(a_given_self_signed_certificate_is_trusted),
        cmocka_unit_test(dates_are_judged_by_the_latest_clock),
        cmocka_unit_test(server_time_is_kept_but_bounded_by_the_certificate),
        cmocka_unit_test(sessions_are_resumed),
        cmocka_unit_test(a_server_that_forgot_the_session_is_verified_again),
        cmocka_unit_test(a_kept_session_ends_with_its_certificate),
        cmocka_unit_test(a_silent_server_blocks_nobody),
        cmocka_unit_test(no_tls_and_nobody_there_are_told_apart),
        cmocka_unit_test(a_cut_stream_is_broken_and_a_closed_one_closed),
        cmocka_unit_test(large_writes_survive_a_full_socket),
        cmocka_unit_test(two_hundred_live_in_one_process),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
