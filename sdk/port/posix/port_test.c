/* The small calls: names, secret, digests, waiting. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "posix_port.h"
#include "proto/text.h"

static const struct teddy_posix_trust no_trust;
static char dir[64], secret_path[96], last_log[512];

static void on_log(void *user, enum teddy_log_level level, const char *line)
{
    (void)user;
    (void)level;
    snprintf(last_log, sizeof last_log, "%s", line);
}

static struct teddy_posix *port_new(const char *dns)
{
    struct teddy_posix_options o = {.trust = &no_trust, .dns_servers = dns, .log = on_log};
    struct teddy_posix *p;

    assert_int_equal(teddy_posix_new(&p, &o, NULL, 0), TEDDY_OK);
    return p;
}

/* A name server in this very thread: everything is polled, so nothing needs another. */
struct dns_server {
    int fd;
    char address[40];
    int questions;
    bool silent;
};

static void dns_open(struct dns_server *s)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;

    memset(s, 0, sizeof *s);
    s->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&a, len), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&a, &len), 0);
    snprintf(s->address, sizeof s->address, "127.0.0.1:%u", ntohs(a.sin_port));
}

/* Names that begin with 'n' do not exist; others are 127.0.0.9, then 127.0.0.1, and have no IPv6.
 */
static void dns_serve(struct dns_server *s)
{
    static const uint8_t answers[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 127, 0, 0, 9,
                                      0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 127, 0, 0, 1};
    uint8_t m[512 + sizeof answers];
    struct sockaddr_in from;
    socklen_t from_len = sizeof from;
    ssize_t n = recvfrom(s->fd, m, 512, 0, (struct sockaddr *)&from, &from_len);
    size_t len = (size_t)n, end = 12;
    bool is_a;

    if (n < 17)
        return;
    s->questions++;
    if (s->silent)
        return;
    while (end < len && m[end] != 0)
        end += m[end] + 1u;
    end += 5; /* the root label, type and class */
    is_a = m[end - 3] == 1;
    m[2] = 0x81;
    m[3] = m[13] == 'n' ? 0x83 : 0x80;
    m[7] = 0;
    m[9] = m[11] = 0;
    if (is_a && m[13] != 'n') {
        m[7] = 2;
        memcpy(m + end, answers, sizeof answers);
        end += sizeof answers;
    }
    sendto(s->fd, m, end, 0, (struct sockaddr *)&from, from_len);
}

static int resolve_within(struct teddy_posix *p, struct dns_server *s, const char *host,
                          uint32_t ms)
{
    uint64_t until = teddy_posix_now_ms() + ms;
    int err;

    while ((err = teddy_posix_port.resolve(p, host)) == TEDDY_AGAIN &&
           teddy_posix_now_ms() < until) {
        struct pollfd extra = {.fd = s ? s->fd : -1, .events = POLLIN};
        assert_int_equal(teddy_posix_wait(p, 100, TEDDY_WANTS_READ, &extra, 1), TEDDY_OK);
        if (s && (extra.revents & POLLIN))
            dns_serve(s);
    }
    return err;
}

static void numbers_need_no_lookup(void **state)
{
    struct teddy_posix *p = port_new("127.0.0.1:1");

    (void)state;
    assert_int_equal(teddy_posix_port.resolve(p, "127.0.0.1"), TEDDY_OK);
    assert_int_equal(teddy_posix_port.resolve(p, "::1"), TEDDY_OK);
    assert_int_equal(p->dns.addresses[0].any.sa_family, AF_INET6);
    teddy_posix_free(p);
}

static void names_are_resolved_and_addresses_tried_in_turn(void **state)
{
    struct dns_server s;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int listener = socket(AF_INET, SOCK_STREAM, 0), err;
    struct teddy_posix_peer peer;
    struct teddy_posix *p;

    (void)state;
    assert_int_equal(bind(listener, (struct sockaddr *)&a, len), 0);
    assert_int_equal(listen(listener, 5), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&a, &len), 0);
    dns_open(&s);
    p = port_new(s.address);
    assert_int_equal(resolve_within(p, &s, "teddy.example", 5000), TEDDY_OK);
    assert_int_equal(p->dns.count, 2);
    /* Nobody listens on 127.0.0.9: the other address is taken. */
    while ((err = teddy_posix_port.connect(p, "teddy.example", ntohs(a.sin_port), false)) ==
           TEDDY_AGAIN)
        assert_int_equal(teddy_posix_wait(p, 1000, TEDDY_WANTS_READ, NULL, 0), TEDDY_OK);
    assert_int_equal(err, TEDDY_OK);
    teddy_posix_peer(p, &peer);
    assert_int_equal(strncmp(peer.address, "127.0.0.1:", 10), 0);
    assert_false(peer.tls);
    teddy_posix_free(p);
    close(listener);
    close(s.fd);
}

static void a_name_that_is_not_is_an_error(void **state)
{
    struct dns_server s;
    struct teddy_posix *p;

    (void)state;
    dns_open(&s);
    p = port_new(s.address);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(resolve_within(p, &s, "nobody.example", 5000), TEDDY_EDNS);
        assert_non_null(strstr(last_log, "cannot resolve nobody.example"));
    }
    assert_int_equal(teddy_posix_port.connect(p, "nobody.example", 1, false), TEDDY_EINVAL);
    assert_int_equal(resolve_within(p, &s, "", 5000), TEDDY_EDNS);
    teddy_posix_free(p);
    close(s.fd);
}

static void a_silent_name_server_blocks_nobody(void **state)
{
    struct dns_server s;
    struct teddy_posix *p;

    (void)state;
    dns_open(&s);
    s.silent = true;
    p = port_new(s.address);
    assert_int_equal(resolve_within(p, &s, "teddy.example", 300), TEDDY_AGAIN);
    assert_true(s.questions > 0);
    teddy_posix_port.disconnect(p); /* gives it up */
    s.silent = false;
    assert_int_equal(resolve_within(p, &s, "teddy.example", 5000), TEDDY_OK);
    s.silent = true;
    assert_int_equal(resolve_within(p, &s, "other.example", 100), TEDDY_AGAIN);
    teddy_posix_free(p); /* in the middle of a lookup */
    close(s.fd);
}

static void hosts_of_this_machine_are_known(void **state)
{
    struct teddy_posix *p = port_new("127.0.0.1:1");

    (void)state;
    assert_int_equal(resolve_within(p, NULL, "localhost", 5000), TEDDY_OK);
    teddy_posix_free(p);
}

static void write_secret(const char *text, mode_t mode)
{
    FILE *f;

    unlink(secret_path);
    f = fopen(secret_path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(chmod(secret_path, mode), 0);
}

static int try_secret(struct teddy_posix **p, char *why, size_t why_len)
{
    struct teddy_posix_options o = {.trust = &no_trust, .secret_file = secret_path};

    return teddy_posix_new(p, &o, why, why_len);
}

#define SECRET "a1b2c3d4e5f6789012345678901234567890abcdef1234567890abcdef123456"

static void the_secret_signs(void **state)
{
    static const char message[] = "Teddy-ESP32-0001child123random_nonce";
    uint8_t mac[32], expected[32];
    struct teddy_posix *p;
    char why[200];

    (void)state;
    assert_int_equal(
        hex_decode(span_of("1dba426218eb94999b7c878af626d32d3f4614e6b02bab2e2319509c866509f3"),
                   expected, 32),
        TEDDY_OK);
    write_secret(SECRET "\n", 0600);
    assert_int_equal(try_secret(&p, why, sizeof why), TEDDY_OK);
    assert_int_equal(
        teddy_posix_port.hmac_sha256(p, (const uint8_t *)message, sizeof message - 1, mac),
        TEDDY_OK);
    assert_memory_equal(mac, expected, 32);
    teddy_posix_free(p);
    p = port_new(NULL);
    assert_int_equal(teddy_posix_port.hmac_sha256(p, (const uint8_t *)message, 1, mac), TEDDY_EIO);
    teddy_posix_free(p);
}

static void a_bad_secret_file_is_refused_clearly(void **state)
{
    static const struct {
        const char *text;
        mode_t mode;
        int err;
        const char *says;
    } table[] = {
        {SECRET, 0640, TEDDY_EAUTH, "chmod 600"},
        {SECRET, 0604, TEDDY_EAUTH, "chmod 600"},
        {SECRET "0", 0600, TEDDY_EPROTO, "64 hex digits"},
        {SECRET SECRET, 0600, TEDDY_EPROTO, "64 hex digits"},
        {"", 0600, TEDDY_EPROTO, "64 hex digits"},
        {"\n" SECRET, 0600, TEDDY_EPROTO, "64 hex digits"},
        {"g1b2c3d4e5f6789012345678901234567890abcdef1234567890abcdef123456", 0600, TEDDY_EPROTO,
         "64 hex"},
    };
    struct teddy_posix *p;
    char why[200];

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        write_secret(table[i].text, table[i].mode);
        assert_int_equal(try_secret(&p, why, sizeof why), table[i].err);
        assert_null(p);
        assert_non_null(strstr(why, table[i].says));
        assert_null(strstr(why, "a1b2c3"));
    }
    unlink(secret_path);
    assert_int_equal(try_secret(&p, why, sizeof why), TEDDY_ENOTFOUND);
    assert_non_null(strstr(why, "no secret file"));
    assert_int_equal(mkdir(secret_path, 0700), 0);
    assert_int_equal(try_secret(&p, why, sizeof why), TEDDY_EIO);
    rmdir(secret_path);
}

static void bad_options_are_refused_clearly(void **state)
{
    struct teddy_posix_options o = {.trust = &no_trust, .bind_addr = "localhost"};
    struct teddy_posix *p;
    char why[200];

    (void)state;
    assert_int_equal(teddy_posix_new(&p, &o, why, sizeof why), TEDDY_EINVAL);
    assert_non_null(strstr(why, "numeric address"));
    o = (struct teddy_posix_options){.ca_file = "/nonexistent/ca.crt"};
    assert_int_equal(teddy_posix_new(&p, &o, why, sizeof why), TEDDY_EIO);
    assert_non_null(strstr(why, "/nonexistent/ca.crt"));
    write_secret("no certificate", 0600);
    o.ca_file = secret_path;
    assert_int_equal(teddy_posix_new(&p, &o, why, sizeof why), TEDDY_EPROTO);
    o = (struct teddy_posix_options){.trust = &no_trust, .state_file = "/nonexistent/state"};
    assert_int_equal(teddy_posix_new(&p, &o, why, sizeof why), TEDDY_EIO);
    assert_non_null(strstr(why, "No such file"));
    unlink(secret_path);
}

static void digests_and_randomness(void **state)
{
    struct teddy_posix *p = port_new(NULL);
    uint8_t digest[20], expected[20], a[64] = {0}, b[64] = {0};

    (void)state;
    assert_int_equal(hex_decode(span_of("a9993e364706816aba3e25717850c26c9cd0d89d"), expected, 20),
                     TEDDY_OK);
    assert_int_equal(teddy_posix_port.sha1(p, (const uint8_t *)"abc", 3, digest), TEDDY_OK);
    assert_memory_equal(digest, expected, 20);
    assert_int_equal(teddy_posix_port.random(p, a, sizeof a), TEDDY_OK);
    assert_int_equal(teddy_posix_port.random(p, b, sizeof b), TEDDY_OK);
    assert_memory_not_equal(a, b, sizeof a);
    teddy_posix_free(p);
    teddy_posix_free(NULL);
}

static void without_a_file_it_is_kept_in_memory(void **state)
{
    struct teddy_posix *p = port_new(NULL);
    uint8_t record_a[700], record_b[25], buf[2000];
    size_t len = 0;

    (void)state;
    memset(record_a, 'a', sizeof record_a);
    memset(record_b, 'b', sizeof record_b);
    assert_int_equal(teddy_posix_port.load(p, TEDDY_RECORD_TOKENS, buf, sizeof buf, &len),
                     TEDDY_ENOTFOUND);
    assert_int_equal(teddy_posix_port.save(p, TEDDY_RECORD_TOKENS, record_a, sizeof record_a),
                     TEDDY_OK);
    assert_int_equal(teddy_posix_port.load(p, TEDDY_RECORD_TOKENS, buf, sizeof buf, &len),
                     TEDDY_OK);
    assert_int_equal(len, sizeof record_a);
    assert_memory_equal(buf, record_a, len);
    assert_int_equal(teddy_posix_port.load(p, TEDDY_RECORD_LAST, buf, sizeof buf, &len),
                     TEDDY_ENOTFOUND);
    assert_int_equal(teddy_posix_port.save(p, TEDDY_RECORD_LAST, record_b, 25), TEDDY_OK);
    assert_int_equal(teddy_posix_port.load(p, TEDDY_RECORD_TOKENS, buf, 10, &len), TEDDY_EAUTH);
    assert_int_equal(teddy_posix_port.load(p, TEDDY_RECORD_LAST, buf, sizeof buf, &len), TEDDY_OK);
    assert_int_equal(len, 25);
    assert_int_equal(teddy_posix_port.erase(p), TEDDY_OK);
    assert_int_equal(teddy_posix_port.load(p, TEDDY_RECORD_TOKENS, buf, sizeof buf, &len),
                     TEDDY_ENOTFOUND);
    teddy_posix_free(p);
}

static void waiting_ends_with_its_time(void **state)
{
    struct teddy_posix *p = port_new(NULL);
    uint64_t began = teddy_posix_now_ms();
    struct pollfd many[9] = {{.fd = -1}};

    (void)state;
    assert_int_equal(teddy_posix_wait(p, 30, TEDDY_WANTS_READ | TEDDY_WANTS_WRITE, NULL, 0),
                     TEDDY_OK);
    assert_in_range(teddy_posix_now_ms() - began, 29, 5000);
    assert_int_equal(teddy_posix_wait(p, 0, TEDDY_WANTS_READ | TEDDY_WANTS_WRITE, many, 9),
                     TEDDY_EINVAL);
    teddy_posix_free(p);
}

/* What a certificate's extensions may hold, cut short and altered everywhere: never a match by
 * mistake. */
static void san_is_read_strictly(void **state)
{
    static const uint8_t good[] = {0x30, 0x18, 0x30, 0x16, 0x06, 0x03, 0x55, 0x1d, 0x11,
                                   0x01, 0x01, 0xff, 0x04, 0x0c, 0x30, 0x0a, 0x82, 0x02,
                                   'a',  'b',  0x87, 0x04, 127,  0,    0,    1};
    static const uint8_t ip[] = {127, 0, 0, 1};
    mbedtls_x509_crt crt;
    int matches = 0;

    (void)state;
    memset(&crt, 0, sizeof crt);
    assert_false(san_has_ip(&crt, ip, 4));
    for (size_t len = 0; len <= sizeof good; len++) {
        uint8_t *copy = malloc(len + 1);
        memcpy(copy, good, len);
        crt.v3_ext.p = copy;
        crt.v3_ext.len = len;
        assert_int_equal(san_has_ip(&crt, ip, 4), len == sizeof good);
        for (size_t at = 0; at < len; at++) {
            for (int bit = 0; bit < 8; bit++) {
                copy[at] = (uint8_t)(copy[at] ^ (1 << bit));
                matches += san_has_ip(&crt, ip, 4);
                copy[at] = (uint8_t)(copy[at] ^ (1 << bit));
            }
        }
        free(copy);
    }
    /* Only what carries no meaning here may change: the boolean's value, the other name's tag and
     * bytes. */
    assert_in_range(matches, 24, 32);
}

/* An address with a mask, as name constraints have it, is no address. */
static void an_address_of_another_length_is_another(void **state)
{
    static const uint8_t masked[] = {0x30, 0x15, 0x30, 0x13, 0x06, 0x03, 0x55, 0x1d,
                                     0x11, 0x04, 0x0c, 0x30, 0x0a, 0x87, 0x08, 127,
                                     0,    0,    1,    255,  255,  255,  255};
    static const uint8_t ip[] = {127, 0, 0, 1, 255, 255, 255, 255};
    uint8_t copy[sizeof masked];
    mbedtls_x509_crt crt;

    (void)state;
    memcpy(copy, masked, sizeof copy);
    memset(&crt, 0, sizeof crt);
    crt.v3_ext.p = copy;
    crt.v3_ext.len = sizeof copy;
    assert_true(san_has_ip(&crt, ip, 8)); /* the bytes above are well-formed */
    assert_false(san_has_ip(&crt, ip, 4));
}

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/teddy-port-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(secret_path, sizeof secret_path, "%s/secret", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(secret_path);
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_need_no_lookup),
        cmocka_unit_test(names_are_resolved_and_addresses_tried_in_turn),
        cmocka_unit_test(a_name_that_is_not_is_an_error),
        cmocka_unit_test(a_silent_name_server_blocks_nobody),
        cmocka_unit_test(hosts_of_this_machine_are_known),
        cmocka_unit_test(the_secret_signs),
        cmocka_unit_test(a_bad_secret_file_is_refused_clearly),
        cmocka_unit_test(bad_options_are_refused_clearly),
        cmocka_unit_test(digests_and_randomness),
        cmocka_unit_test(without_a_file_it_is_kept_in_memory),
        cmocka_unit_test(waiting_ends_with_its_time),
        cmocka_unit_test(san_is_read_strictly),
        cmocka_unit_test(an_address_of_another_length_is_another),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
