#include <dirent.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/testing.h"

/* Certificates of the test's own making: root <- middle <- leaf. */

struct made {
    X509 *cert;
    EVP_PKEY *key;
};

static char dir[64], err[512], warn[512];
static char leaf_names[300] = "DNS:localhost";

static const char *in_dir(const char *name)
{
    static char paths[4][384];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", dir, name);
    return path;
}

static void extend(X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    assert_non_null(ext);
    X509_add_ext(cert, ext, -1);
    X509_EXTENSION_free(ext);
}

static struct made make(const char *name, const struct made *issuer, long from_s, long to_s,
                        bool ca)
{
    static long serial;
    struct made m = {X509_new(), EVP_EC_gen("P-256")};
    X509_set_version(m.cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(m.cert), ++serial);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(m.cert), "CN", MBSTRING_ASC,
                               (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(m.cert, X509_get_subject_name(issuer ? issuer->cert : m.cert));
    X509_gmtime_adj(X509_getm_notBefore(m.cert), from_s);
    X509_gmtime_adj(X509_getm_notAfter(m.cert), to_s);
    X509_set_pubkey(m.cert, m.key);
    extend(m.cert, NID_basic_constraints, ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
    if (!ca)
        extend(m.cert, NID_subject_alt_name, leaf_names);
    X509_sign(m.cert, issuer ? issuer->key : m.key, EVP_sha256());
    return m;
}

static void unmake(struct made *m)
{
    X509_free(m->cert);
    EVP_PKEY_free(m->key);
}

static void write_certs(const char *name, const struct made *const *list)
{
    FILE *f = fopen(in_dir(name), "w");
    assert_non_null(f);
    for (; *list; list++)
        PEM_write_X509(f, (*list)->cert);
    fclose(f);
}
#define WRITE(name, ...) write_certs(name, (const struct made *const[]){__VA_ARGS__, NULL})

static void write_key(const char *name, const struct made *m, const char *password)
{
    FILE *f = fopen(in_dir(name), "w");
    assert_non_null(f);
    PEM_write_PKCS8PrivateKey(f, m->key, password ? EVP_aes_128_cbc() : NULL, password,
                              password ? (int)strlen(password) : 0, NULL, NULL);
    fclose(f);
}

static int load(const char *cert, const char *key, const char *ca)
{
    struct tls_context *ctx = NULL;
    const struct tls_files files = {in_dir(cert), in_dir(key), ca ? in_dir(ca) : NULL};
    err[0] = 0;
    snprintf(warn, sizeof warn, "stale");
    int rc = tls_context_new(&files, NULL, &ctx, err, sizeof err, warn, sizeof warn);
    assert_int_equal(rc == TEDDY_OK, err[0] == 0);
    tls_context_free(ctx);
    return rc;
}

static void says(const char *word)
{
    if (!strstr(err, word))
        fail_msg("'%s' does not say '%s'", err, word);
}

static struct made root, other_root, middle, leaf, expired, future;
enum { YEAR = 365 * 86400 };

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/teddy-tls-XXXXXX");
    assert_non_null(mkdtemp(dir));
    root = make("Root", NULL, -YEAR, YEAR, true);
    other_root = make("Other Root", NULL, -YEAR, YEAR, true);
    middle = make("Middle", &root, -YEAR, YEAR, true);
    leaf = make("Leaf", &middle, -YEAR, YEAR, false);
    expired = make("Old Leaf", &middle, -YEAR, -86400, false);
    future = make("Young Leaf", &middle, 86400, YEAR, false);
    write_key("key.pem", &leaf, NULL);
    write_key("other.pem", &root, NULL);
    write_key("locked.pem", &leaf, "password");
    write_key("expired-key.pem", &expired, NULL);
    write_key("future-key.pem", &future, NULL);
    WRITE("root.pem", &root);
    WRITE("other-root.pem", &other_root);
    WRITE("chain.pem", &leaf, &middle);
    WRITE("chain-root.pem", &leaf, &middle, &root);
    WRITE("leaf.pem", &leaf);
    WRITE("turned.pem", &leaf, &root, &middle);
    WRITE("expired.pem", &expired, &middle);
    WRITE("future.pem", &future, &middle);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    DIR *d = opendir(dir);
    for (struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.')
            unlink(in_dir(e->d_name));
    closedir(d);
    rmdir(dir);
    struct made *all[] = {&root, &other_root, &middle, &leaf, &expired, &future};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        unmake(all[i]);
    testing_fini();
    return 0;
}

static void takes_a_good_chain(void **state)
{
    (void)state;
    assert_int_equal(load("chain.pem", "key.pem", "root.pem"), TEDDY_OK);
    assert_string_equal(warn, "");
    assert_int_equal(load("chain-root.pem", "key.pem", "root.pem"), TEDDY_OK);
    assert_int_equal(load("chain.pem", "key.pem", NULL), TEDDY_OK);
    assert_non_null(strstr(warn, "no root of this system"));
}

static void says_what_is_wrong(void **state)
{
    (void)state;
    assert_int_equal(load("missing.pem", "key.pem", NULL), TEDDY_EIO);
    says("missing.pem: No such file");
    assert_int_equal(load("chain.pem", "missing.pem", NULL), TEDDY_EIO);
    says("key ");
    says("missing.pem: No such file");
    assert_int_equal(load("key.pem", "key.pem", NULL), TEDDY_ECERT);
    says("no PEM certificate");
    assert_int_equal(load("chain.pem", "leaf.pem", NULL), TEDDY_ECERT);
    says("no PEM private key");
    assert_int_equal(load("chain.pem", "locked.pem", NULL), TEDDY_ECERT);
    says("encrypted");
    assert_int_equal(load("chain.pem", "other.pem", NULL), TEDDY_ECERT);
    says("does not belong");
    assert_int_equal(load("expired.pem", "expired-key.pem", NULL), TEDDY_EEXPIRED);
    says("Old Leaf expired on 20");
    assert_int_equal(load("future.pem", "future-key.pem", NULL), TEDDY_EEXPIRED);
    says("Young Leaf is not valid before 20");
    assert_int_equal(load("turned.pem", "key.pem", NULL), TEDDY_ECERT);
    says("CN=Leaf is not signed by CN=Root");
    assert_int_equal(load("chain.pem", "key.pem", "other-root.pem"), TEDDY_ECERT);
    says("does not lead to");
    assert_int_equal(load("leaf.pem", "key.pem", "root.pem"),
                     TEDDY_ECERT); /* without its intermediate */
    says("does not lead to");
    assert_int_equal(load("chain.pem", "key.pem", "missing.pem"), TEDDY_EIO);
    FILE *f = fopen(in_dir("damaged.pem"), "w");
    fputs("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n", f);
    fclose(f);
    assert_int_equal(load("damaged.pem", "key.pem", NULL), TEDDY_ECERT);
    says("damaged");
}

/* What a client is offered, over a real handshake. */

static size_t no_data(struct conn *c, uint8_t *data, size_t len)
{
    conn_send(c, data, len);
    return len;
}

static void no_close(struct conn *c, enum conn_end why)
{
    (void)c;
    (void)why;
}

static void accepted(struct loop *loop, int fd, const struct sockaddr_storage *peer, void *user)
{
    static const struct conn_handler handler = {.data = no_data, .closed = no_close};
    (void)peer;
    assert_int_equal(conn_new(loop, fd, user, NULL, &handler, NULL, NULL), TEDDY_OK);
}

static void offers_only_what_is_sane(void **state)
{
    (void)state;
    struct testing_server s;
    testing_start(&s, accepted, testing_tls());
    struct testing_client c = testing_connect(s.port, true, TLS1_1_VERSION);
    assert_int_equal(c.fd, -1);
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (size_t i = 0; i < 2; i++) {
        c = testing_connect(s.port, true, versions[i]);
        assert_true(c.fd >= 0);
        assert_int_equal(SSL_version(c.ssl), versions[i]);
        assert_int_equal(SSL_get_verify_result(c.ssl), X509_V_OK);
        const unsigned char *alpn;
        unsigned alpn_len;
        SSL_get0_alpn_selected(c.ssl, &alpn, &alpn_len);
        assert_int_equal(alpn_len, 8);
        assert_memory_equal(alpn, "http/1.1", 8);
        const char *cipher = SSL_get_cipher_name(c.ssl);
        assert_true(strstr(cipher, "GCM") || strstr(cipher, "CHACHA20"));
        if (versions[i] == TLS1_2_VERSION) {
            assert_memory_equal(cipher, "ECDHE", 5);
            SSL_renegotiate(
                c.ssl); /* refused: the connection carries on or ends, but never renegotiates */
            assert_true(SSL_do_handshake(c.ssl) != 1);
        }
        testing_close(&c);
    }
    testing_stop(&s);
}

static void reload_serves_the_new_certificate(void **state)
{
    (void)state;
    struct testing_server s;
    struct tls_context *ctx;
    const struct tls_files first = {in_dir("chain.pem"), in_dir("key.pem"), NULL};
    assert_int_equal(tls_context_new(&first, NULL, &ctx, err, sizeof err, warn, sizeof warn),
                     TEDDY_OK);
    testing_start(&s, accepted, ctx);
    assert_int_equal(testing_connect(s.port, true, 0).fd,
                     -1); /* another authority than the client knows */
    char cert[128], key[128];
    snprintf(cert, sizeof cert, "%s/server.crt", testing_dir());
    snprintf(key, sizeof key, "%s/server.key", testing_dir());
    const struct tls_files bad = {cert, in_dir("key.pem"), NULL}, good = {cert, key, NULL};
    assert_int_equal(tls_context_reload(ctx, &bad, err, sizeof err, warn, sizeof warn),
                     TEDDY_ECERT);
    assert_int_equal(testing_connect(s.port, true, 0).fd, -1); /* the old one stays */
    assert_int_equal(tls_context_reload(ctx, &good, err, sizeof err, warn, sizeof warn), TEDDY_OK);
    struct testing_client c = testing_connect(s.port, true, 0);
    assert_true(c.fd >= 0);
    testing_close(&c);
    testing_stop(&s);
    tls_context_free(ctx);
}

/* The development certificate. */

static char dev[96];

static const char *in_dev(const char *name)
{
    static char paths[4][160];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", dev, name);
    return path;
}

static X509 *read_cert(const char *name)
{
    FILE *f = fopen(in_dev(name), "r");
    assert_non_null(f);
    X509 *cert = PEM_read_X509(f, NULL, NULL, NULL);
    fclose(f);
    return cert;
}

static bool same(X509 *a, const char *name)
{
    X509 *b = read_cert(name);
    bool is = X509_cmp(a, b) == 0;
    X509_free(b);
    return is;
}

static void check_leaf(X509 *cert, X509 *ca)
{
    char host[256];
    int days, seconds;
    assert_int_equal(gethostname(host, sizeof host), 0);
    assert_int_equal(X509_check_host(cert, "localhost", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(cert, host, 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(cert, "example.org", 0, 0, NULL), 0);
    assert_int_equal(X509_check_ip_asc(cert, "127.0.0.1", 0), 1);
    assert_int_equal(X509_check_ip_asc(cert, "::1", 0), 1);
    assert_int_equal(X509_check_ca(cert), 0);
    assert_int_equal(X509_get_extended_key_usage(cert), XKU_SSL_SERVER);
    assert_non_null(X509_get0_authority_key_id(cert));
    assert_non_null(X509_get0_subject_key_id(cert));
    assert_int_equal(
        ASN1_TIME_diff(&days, &seconds, X509_get0_notBefore(cert), X509_get0_notAfter(cert)), 1);
    assert_true(days < 397);
    assert_int_equal(X509_verify(cert, X509_get0_pubkey(ca)), 1);
}

static void makes_a_development_certificate_once(void **state)
{
    (void)state;
    int made = 0;
    struct stat st;
    snprintf(dev, sizeof dev, "%s", in_dir("dev-XXXXXX"));
    assert_non_null(mkdtemp(dev));
    assert_int_equal(tls_dev_certificate(dev, &made, err, sizeof err), TEDDY_OK);
    assert_int_equal(made, 1);
    static const char *const keys[] = {"ca.key", "server.key"};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(stat(in_dev(keys[i]), &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
    X509 *ca = read_cert("ca.crt"), *cert = read_cert("server.crt");
    assert_int_equal(X509_check_ca(ca), 1);
    assert_int_equal(X509_get_key_usage(ca), KU_KEY_CERT_SIGN | KU_CRL_SIGN);
    check_leaf(cert, ca);

    assert_int_equal(tls_dev_certificate(dev, &made, err, sizeof err), TEDDY_OK);
    assert_int_equal(made, 0);
    assert_true(same(cert, "server.crt"));

    assert_int_equal(unlink(in_dev("server.crt")), 0); /* a new leaf, the authority stays */
    assert_int_equal(tls_dev_certificate(dev, &made, err, sizeof err), TEDDY_OK);
    assert_int_equal(made, 1);
    assert_true(same(ca, "ca.crt"));
    assert_false(same(cert, "server.crt"));
    X509_free(cert);
    X509_free(ca);
}

/* A leaf that runs out within a week, signed by the authority that is there. */
static void renews_a_leaf_in_time(void **state)
{
    (void)state;
    int made = 0;
    struct made ca = {read_cert("ca.crt"), NULL};
    FILE *f = fopen(in_dev("ca.key"), "r");
    ca.key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
    fclose(f);
    char host[256];
    assert_int_equal(gethostname(host, sizeof host), 0);
    snprintf(leaf_names, sizeof leaf_names, "DNS:localhost,DNS:%s",
             host); /* nothing but its dates is wrong */
    struct made old = make("localhost", &ca, -YEAR, 6 * 86400, false);
    f = fopen(in_dev("server.crt"), "w");
    PEM_write_X509(f, old.cert);
    fclose(f);
    f = fopen(in_dev("server.key"), "w");
    PEM_write_PKCS8PrivateKey(f, old.key, NULL, NULL, 0, NULL, NULL);
    fclose(f);
    assert_int_equal(tls_dev_certificate(dev, &made, err, sizeof err), TEDDY_OK);
    assert_int_equal(made, 1);
    X509 *now = read_cert("server.crt");
    check_leaf(now, ca.cert);
    assert_true(same(ca.cert, "ca.crt"));
    X509_free(now);
    unmake(&old);
    unmake(&ca);
}

static void a_broken_authority_is_not_replaced_silently(void **state)
{
    (void)state;
    int made = 0;
    char away[160];
    snprintf(away, sizeof away, "%s/ca.key.away", dev);
    assert_int_equal(rename(in_dev("ca.key"), away), 0);
    assert_int_equal(tls_dev_certificate(dev, &made, err, sizeof err),
                     TEDDY_OK); /* not needed: the leaf is good */
    assert_int_equal(made, 0);
    assert_int_equal(unlink(in_dev("server.key")), 0);
    assert_int_equal(tls_dev_certificate(dev, &made, err, sizeof err), TEDDY_EIO);
    says("ca.key: No such file");
    write_key("stray.pem", &leaf, NULL);
    assert_int_equal(rename(in_dir("stray.pem"), in_dev("ca.key")), 0);
    assert_int_equal(tls_dev_certificate(dev, &made, err, sizeof err), TEDDY_ECERT);
    says("does not belong");
    assert_int_equal(tls_dev_certificate("/nonexistent/dir", &made, err, sizeof err), TEDDY_EIO);
    says("/nonexistent/dir");
    static const char *const names[] = {"ca.crt", "ca.key", "ca.key.away", "server.crt"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_int_equal(unlink(in_dev(names[i])), 0);
    assert_int_equal(rmdir(dev), 0); /* nothing else was left: no temporary file */
}

/* Listening. */

static void listens_on_unix_sockets(void **state)
{
    (void)state;
    int fd, again;
    struct stat st;
    char path[128];
    snprintf(path, sizeof path, "%s", in_dir("socket"));
    assert_int_equal(listen_unix(path, &fd, err, sizeof err), TEDDY_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(listen_unix(path, &again, err, sizeof err), TEDDY_EDUP);
    says("another process");
    close(fd); /* as if it had died */
    assert_int_equal(listen_unix(path, &fd, err, sizeof err), TEDDY_OK);
    close(fd);
    assert_int_equal(listen_unix(in_dir("leaf.pem"), &fd, err, sizeof err),
                     TEDDY_EIO); /* never removes a file */
    assert_int_equal(stat(in_dir("leaf.pem"), &st), 0);
    char longer[200];
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = 0;
    assert_int_equal(listen_unix(longer, &fd, err, sizeof err), TEDDY_EINVAL);
}

static void says_why_it_cannot_listen(void **state)
{
    (void)state;
    int fd, again;
    uint16_t port = 0;
    assert_int_equal(listen_tcp("::1", &port, &fd, err, sizeof err), TEDDY_OK);
    assert_true(port != 0);
    assert_int_equal(listen_tcp("::1", &port, &again, err, sizeof err), TEDDY_EIO);
    says("Address already in use");
    close(fd);
    port = 0;
    assert_int_equal(listen_tcp("192.0.2.1", &port, &fd, err, sizeof err), TEDDY_EIO);
    says("192.0.2.1");
    assert_int_equal(listen_tcp("no such name", &port, &fd, err, sizeof err), TEDDY_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_a_good_chain),
        cmocka_unit_test(says_what_is_wrong),
        cmocka_unit_test(offers_only_what_is_sane),
        cmocka_unit_test(reload_serves_the_new_certificate),
        cmocka_unit_test(makes_a_development_certificate_once),
        cmocka_unit_test(renews_a_leaf_in_time),
        cmocka_unit_test(a_broken_authority_is_not_replaced_silently),
        cmocka_unit_test(listens_on_unix_sockets),
        cmocka_unit_test(says_why_it_cannot_listen),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
