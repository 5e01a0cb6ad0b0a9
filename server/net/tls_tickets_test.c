/* Resumption over real handshakes: who may, and for how long. */
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/testing.h"
#include "net/tls_tickets.h"

enum { LIFETIME = 3600, TURN = LIFETIME / 2, START = 1000000 };

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
#define EACH_VERSION(v) for (const int *v = versions; v < versions + 2; v++)

static char err[512], warn[512], note[TLS_TICKETS_NOTE];

static const char *in_dir(const char *name)
{
    static char paths[4][160];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", testing_dir(), name);
    return path;
}

/* A server that echoes, with keys of its own. */

static size_t echo(struct conn *c, uint8_t *data, size_t len)
{
    conn_send(c, data, len);
    return len;
}

static void closed(struct conn *c, enum conn_end why)
{
    (void)c;
    (void)why;
}

static void accepted(struct loop *loop, int fd, const struct sockaddr_storage *peer, void *user)
{
    static const struct conn_handler handler = {.data = echo, .closed = closed};
    (void)peer;
    assert_int_equal(conn_new(loop, fd, user, NULL, &handler, NULL, NULL), TEDDY_OK);
}

struct fixture {
    struct tls_tickets *tickets;
    struct tls_context *tls;
    struct testing_server server;
};

static struct tls_tickets *open_keys(const char *name, uint64_t now_s)
{
    struct tls_tickets *t = NULL;
    memset(note, 'x', sizeof note);
    assert_int_equal(tls_tickets_open(in_dir(name), LIFETIME, now_s, &t, note), TEDDY_OK);
    return t;
}

static struct tls_files own_files(void)
{
    return (struct tls_files){in_dir("server.crt"), in_dir("server.key"), NULL};
}

static void start_with(struct fixture *f, struct tls_tickets *tickets)
{
    const struct tls_files files = own_files();
    f->tickets = tickets;
    assert_int_equal(tls_context_new(&files, tickets, &f->tls, err, sizeof err, warn, sizeof warn),
                     TEDDY_OK);
    testing_start(&f->server, accepted, f->tls);
}

static void start(struct fixture *f, const char *name, uint64_t now_s)
{
    start_with(f, open_keys(name, now_s));
}

static void stop(struct fixture *f)
{
    testing_stop(&f->server);
    tls_context_free(f->tls);
    tls_tickets_free(f->tickets);
}

/* A client that keeps its session. */

struct visit {
    int version;
    uint64_t options;
    const char *groups;
    SSL_SESSION *session; /* offered, then what the server gave */
};

static SSL *connect_ssl(const struct visit *v, int fd)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    assert_int_equal(SSL_CTX_set_min_proto_version(ctx, v->version), 1);
    assert_int_equal(SSL_CTX_set_max_proto_version(ctx, v->version), 1);
    SSL_CTX_set_options(ctx, v->options);
    if (v->groups)
        assert_int_equal(SSL_CTX_set1_groups_list(ctx, v->groups), 1);
    SSL *ssl = SSL_new(ctx);
    SSL_CTX_free(ctx);
    if (v->session)
        SSL_set_session(ssl, v->session);
    SSL_set_fd(ssl, fd);
    if (SSL_connect(ssl) == 1)
        return ssl;
    SSL_free(ssl);
    return NULL;
}

enum outcome { FAILED, FULL, RESUMED };

/* One echo, behind which the ticket of TLS 1.3 has come, too. */
static enum outcome visit(struct fixture *f, struct visit *v)
{
    char byte = 'x';
    struct testing_client c = testing_connect(f->server.port, false, 0);
    c.ssl = connect_ssl(v, c.fd);
    if (!c.ssl) {
        testing_close(&c);
        return FAILED;
    }
    testing_send(&c, &byte, 1);
    assert_int_equal(testing_recv(&c, &byte, 1), 1);
    enum outcome how = SSL_session_reused(c.ssl) ? RESUMED : FULL;
    SSL_SESSION_free(v->session);
    v->session = SSL_get1_session(c.ssl);
    SSL_shutdown(c.ssl);
    testing_close(&c);
    return how;
}

static void forget(struct visit *v)
{
    SSL_SESSION_free(v->session);
    v->session = NULL;
}

static void name_of_key(const struct visit *v, unsigned char name[16])
{
    const unsigned char *ticket;
    size_t len;
    SSL_SESSION_get0_ticket(v->session, &ticket, &len);
    assert_true(len > 16);
    memcpy(name, ticket, 16);
}

/* Resuming. */

static void each_version_resumes(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, "keys", START);
    assert_string_equal(note, "");
    EACH_VERSION(version)
    {
        struct visit v = {.version = *version};
        assert_int_equal(visit(&f, &v), FULL);
        for (int i = 0; i < 3; i++) {
            unsigned long hint = SSL_SESSION_get_ticket_lifetime_hint(v.session);
            assert_int_equal(hint, LIFETIME);
            assert_int_equal(SSL_SESSION_get_max_early_data(v.session), 0);
            assert_int_equal(visit(&f, &v), RESUMED);
        }
        forget(&v);
    }
    stop(&f);
}

/* A ticket seen twice tells an onlooker that it is the same toy; TLS 1.2 has no room to do better.
 */
static void tickets_of_tls_1_3_are_used_once(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, "keys", START);
    struct visit v = {.version = TLS1_3_VERSION};
    assert_int_equal(visit(&f, &v), FULL);
    SSL_SESSION *first = v.session;
    SSL_SESSION_up_ref(first);
    assert_int_equal(visit(&f, &v), RESUMED);
    const unsigned char *a, *b;
    size_t a_len, b_len;
    SSL_SESSION_get0_ticket(first, &a, &a_len);
    SSL_SESSION_get0_ticket(v.session, &b, &b_len);
    assert_false(a_len == b_len && memcmp(a, b, a_len) == 0);
    SSL_SESSION_free(first);
    forget(&v);
    stop(&f);
}

/* The client may do without a key exchange and has no group for one: a server that agreed would
 * resume with what the ticket holds alone. */
static void never_without_a_key_exchange(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, "keys", START);
    struct visit v = {.version = TLS1_3_VERSION};
    assert_int_equal(visit(&f, &v), FULL);
    v.options = SSL_OP_ALLOW_NO_DHE_KEX;
    v.groups = "P-256";
    assert_int_equal(visit(&f, &v), RESUMED);
    v.groups = "X448";
    assert_int_equal(visit(&f, &v), FAILED);
    forget(&v);
    stop(&f);
}

static void none_when_off(void **state)
{
    (void)state;
    struct fixture f;
    start_with(&f, NULL);
    EACH_VERSION(version)
    {
        struct visit v = {.version = *version};
        for (int i = 0; i < 2; i++) {
            assert_int_equal(visit(&f, &v), FULL);
            assert_false(SSL_SESSION_has_ticket(v.session));
        }
        forget(&v);
    }
    stop(&f);
}

/* Keys. */

static void a_restart_keeps_the_keys(void **state)
{
    (void)state;
    EACH_VERSION(version)
    {
        struct fixture f;
        struct visit v = {.version = *version};
        start(&f, "keys", START);
        assert_int_equal(visit(&f, &v), FULL);
        stop(&f);
        start(&f, "keys", START + 1);
        assert_string_equal(note, "");
        assert_int_equal(visit(&f, &v), RESUMED);
        stop(&f);
        start(&f, "other-keys", START);
        assert_int_equal(visit(&f, &v), FULL);
        stop(&f);
        forget(&v);
    }
}

static bool in_file(const char *name, const unsigned char *bytes, size_t len)
{
    static unsigned char content[4096];
    FILE *file = fopen(in_dir(name), "r");
    assert_non_null(file);
    size_t got = fread(content, 1, sizeof content, file);
    fclose(file);
    assert_true(got > 0 && got < sizeof content);
    return memmem(content, got, bytes, len) != NULL;
}

static SSL_SESSION *again(const struct visit *v)
{
    SSL_SESSION_up_ref(v->session);
    return v->session;
}

static void keys_rotate_and_are_forgotten(void **state)
{
    (void)state;
    struct fixture f;
    unsigned char first[16], name[16];
    unlink(in_dir("keys"));
    start(&f, "keys", START);
    EACH_VERSION(version)
    {
        uint64_t now_s = START + (uint64_t)(version - versions) * 10 * LIFETIME;
        bool begun = tls_tickets_tend(f.tickets, now_s, note);
        assert_int_equal(begun, version != versions);
        struct visit v = {.version = *version};
        assert_int_equal(visit(&f, &v), FULL);
        name_of_key(&v, first);
        assert_true(in_file("keys", first, sizeof first));

        assert_false(tls_tickets_tend(f.tickets, now_s + TURN - 1, note));
        assert_true(tls_tickets_tend(f.tickets, now_s + TURN, note));
        struct visit old = {.version = *version, .session = again(&v)};
        assert_int_equal(visit(&f, &old), RESUMED); /* and gets one under the new key */
        name_of_key(&old, name);
        assert_memory_not_equal(name, first, sizeof name);

        (void)tls_tickets_tend(f.tickets, now_s + TURN + LIFETIME - 1, note);
        struct visit late = {.version = *version, .session = again(&v)};
        assert_int_equal(visit(&f, &late), RESUMED);
        assert_true(in_file("keys", first, sizeof first));
        (void)tls_tickets_tend(f.tickets, now_s + TURN + LIFETIME, note);
        struct visit later = {.version = *version, .session = again(&v)};
        assert_int_equal(visit(&f, &later), FULL);
        assert_false(in_file("keys", first, sizeof first));
        assert_string_equal(note, "");
        forget(&v);
        forget(&old);
        forget(&late);
        forget(&later);
    }
    stop(&f);
}

static void a_late_start_does_what_was_due(void **state)
{
    (void)state;
    struct fixture f;
    struct visit v = {.version = TLS1_2_VERSION};
    static const struct {
        uint64_t after_s;
        enum outcome how;
    } starts[] = {{TURN + LIFETIME - 1, RESUMED}, {TURN + LIFETIME, FULL}};
    for (size_t i = 0; i < 2; i++) {
        unsigned char before[16], after[16];
        unlink(in_dir("keys"));
        start(&f, "keys", START);
        assert_int_equal(visit(&f, &v), FULL);
        name_of_key(&v, before);
        stop(&f);
        start(&f, "keys", START + starts[i].after_s);
        assert_int_equal(visit(&f, &v), starts[i].how);
        name_of_key(&v, after);
        assert_memory_not_equal(before, after, sizeof before);
        stop(&f);
        forget(&v);
    }
}

/* Set back by a year: the keys are neither lost nor do they live for a year. */
static void a_clock_set_back(void **state)
{
    (void)state;
    struct fixture f;
    struct visit v = {.version = TLS1_3_VERSION};
    uint64_t now_s = START - 365 * 86400 / 100;
    unlink(in_dir("keys"));
    start(&f, "keys", START);
    assert_int_equal(visit(&f, &v), FULL);
    struct visit again_later = {.version = v.version, .session = again(&v)};
    assert_false(tls_tickets_tend(f.tickets, now_s, note));
    assert_int_equal(visit(&f, &v), RESUMED);
    assert_true(tls_tickets_tend(f.tickets, now_s + TURN, note));
    assert_true(tls_tickets_tend(f.tickets, now_s + TURN + LIFETIME, note));
    assert_int_equal(visit(&f, &again_later), FULL);
    forget(&v);
    forget(&again_later);
    stop(&f);
}

/* Certificates. */

static void reload(struct fixture *f, const struct tls_files *files)
{
    assert_int_equal(tls_context_reload(f->tls, files, err, sizeof err, warn, sizeof warn),
                     TEDDY_OK);
}

/* As the development authority signs, but for other names. */
static void write_other_names(const char *name)
{
    FILE *file = fopen(in_dir("server.crt"), "r");
    X509 *cert = PEM_read_X509(file, NULL, NULL, NULL);
    fclose(file);
    file = fopen(in_dir("ca.key"), "r");
    EVP_PKEY *key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
    fclose(file);
    int at = X509_get_ext_by_NID(cert, NID_subject_alt_name, -1);
    X509_EXTENSION_free(X509_delete_ext(cert, at));
    X509_EXTENSION *other =
        X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:example.org");
    X509_add_ext(cert, other, -1);
    X509_EXTENSION_free(other);
    X509_sign(cert, key, EVP_sha256());
    file = fopen(in_dir(name), "w");
    PEM_write_X509(file, cert);
    fclose(file);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static void renew(void)
{
    int made = 0;
    assert_int_equal(unlink(in_dir("server.crt")), 0);
    assert_int_equal(tls_dev_certificate(testing_dir(), &made, err, sizeof err), TEDDY_OK);
    assert_int_equal(made, 1);
}

static void a_reload_keeps_sessions_of_the_same_identity(void **state)
{
    (void)state;
    write_other_names("names.crt");
    rename(in_dir("server.key"), in_dir("names.key")); /* the next leaf has a key of its own */
    assert_int_equal(link(in_dir("names.key"), in_dir("server.key")), 0);
    EACH_VERSION(version)
    {
        struct fixture f;
        start(&f, "keys", START);
        struct tls_files files = own_files(), names = {in_dir("names.crt"), in_dir("names.key"), 0};
        struct visit v = {.version = *version};
        assert_int_equal(visit(&f, &v), FULL);
        reload(&f, &files);
        assert_int_equal(visit(&f, &v), RESUMED);
        renew(); /* same names, same authority, another key */
        files = own_files();
        reload(&f, &files);
        assert_int_equal(visit(&f, &v), RESUMED);
        if (version == versions) {
            names = (struct tls_files){in_dir("names.crt"), in_dir("names.key"), NULL};
            reload(&f, &names);
            assert_int_equal(visit(&f, &v), FULL);
            assert_int_equal(visit(&f, &v), RESUMED);
            files = own_files();
            reload(&f, &files);
        }
        (void)visit(&f, &v);
        assert_int_equal(visit(&f, &v), RESUMED);
        unlink(in_dir("ca.crt")); /* another authority for the same names */
        unlink(in_dir("ca.key"));
        renew();
        files = own_files();
        reload(&f, &files);
        assert_int_equal(visit(&f, &v), FULL);
        forget(&v);
        stop(&f);
    }
}

/* Threads. */

struct rotator {
    struct tls_tickets *tickets;
    atomic_bool stop;
};

static void *rotate(void *arg)
{
    struct rotator *r = arg;
    char said[TLS_TICKETS_NOTE];
    for (uint64_t now_s = START; !atomic_load(&r->stop); now_s += TURN / 8)
        (void)tls_tickets_tend(r->tickets, now_s, said);
    return NULL;
}

/* Two servers, four loops, one set of keys that changes under them. */
static void loops_share_keys_that_rotate(void **state)
{
    (void)state;
    struct fixture a, b;
    pthread_t thread;
    start(&a, "keys", START);
    start_with(&b, a.tickets);
    struct visit v = {.version = TLS1_3_VERSION};
    assert_int_equal(visit(&a, &v), FULL);
    for (int i = 0; i < 4; i++)
        assert_int_equal(visit(i % 2 ? &a : &b, &v), RESUMED);
    struct rotator r = {.tickets = a.tickets};
    assert_int_equal(pthread_create(&thread, NULL, rotate, &r), 0);
    for (int i = 0; i < 40; i++)
        assert_int_not_equal(visit(i % 2 ? &a : &b, &v), FAILED);
    atomic_store(&r.stop, true);
    pthread_join(thread, NULL);
    forget(&v);
    while (conn_count() > 0) /* the last ones' ends: stop() wants to see none, of either server */
        sched_yield();
    b.tickets = NULL;
    stop(&b);
    stop(&a);
}

static int fini(void **state)
{
    (void)state;
    static const char *const names[] = {"keys", "other-keys", "names.crt", "names.key"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        unlink(in_dir(names[i]));
    testing_fini();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_version_resumes),
        cmocka_unit_test(tickets_of_tls_1_3_are_used_once),
        cmocka_unit_test(never_without_a_key_exchange),
        cmocka_unit_test(none_when_off),
        cmocka_unit_test(a_restart_keeps_the_keys),
        cmocka_unit_test(keys_rotate_and_are_forgotten),
        cmocka_unit_test(a_late_start_does_what_was_due),
        cmocka_unit_test(a_clock_set_back),
        cmocka_unit_test(a_reload_keeps_sessions_of_the_same_identity),
        cmocka_unit_test(loops_share_keys_that_rotate),
    };
    return cmocka_run_group_tests(tests, NULL, fini);
}
