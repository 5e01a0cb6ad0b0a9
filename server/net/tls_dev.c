/* The development authority and its certificate, so that a first start needs no preparation and
 * still is TLS. */
#include <errno.h>
#include <limits.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/tls_internal.h"

enum { DAY_S = 86400, MARGIN_S = 7 * DAY_S, CA_DAYS = 3650, LEAF_DAYS = 396 };

struct pair {
    X509 *cert;
    EVP_PKEY *key;
};

struct dev {
    const char *dir;
    char host[256];
    char *err;
    size_t cap;
};

static void pair_fini(struct pair *p)
{
    X509_free(p->cert);
    EVP_PKEY_free(p->key);
    *p = (struct pair){0};
}

static void path_in(const struct dev *d, const char *name, char out[PATH_MAX])
{
    snprintf(out, PATH_MAX, "%s/%s", d->dir, name);
}

static int fail(struct dev *d, const char *what, const char *path)
{
    snprintf(d->err, d->cap, "cannot %s %s: %s", what, path, strerror(errno));
    return TEDDY_EIO;
}

static int write_file(struct dev *d, const char *name, BIO *content)
{
    char path[PATH_MAX], *data;
    path_in(d, name, path);
    long len = BIO_get_mem_data(content, &data);
    return tls_file_replace(path, data, (size_t)len, true) ? TEDDY_OK : fail(d, "write", path);
}

/* The key first: a certificate is there only when its key is. */
static int write_pair(struct dev *d, const struct pair *p, const char *cert_name,
                      const char *key_name)
{
    BIO *key = BIO_new(BIO_s_secmem()), *cert = BIO_new(BIO_s_mem());
    int rc = TEDDY_ENOMEM;
    if (key && cert && PEM_write_bio_PKCS8PrivateKey(key, p->key, NULL, NULL, 0, NULL, NULL) == 1 &&
        PEM_write_bio_X509(cert, p->cert) == 1) {
        rc = write_file(d, key_name, key);
        if (rc == TEDDY_OK)
            rc = write_file(d, cert_name, cert);
    } else {
        snprintf(d->err, d->cap, "out of memory");
    }
    BIO_free(key);
    BIO_free(cert);
    return rc;
}

static bool set_serial(X509 *cert)
{
    unsigned char bytes[16];
    if (RAND_bytes(bytes, sizeof bytes) != 1)
        return false;
    bytes[0] = (unsigned char)((bytes[0] & 0x7f) | 0x40); /* positive, never empty */
    BIGNUM *n = BN_bin2bn(bytes, sizeof bytes, NULL);
    bool ok = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert)) != NULL;
    BN_free(n);
    return ok;
}

static bool add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool ok = ext && X509_add_ext(cert, ext, -1) == 1;
    X509_EXTENSION_free(ext);
    return ok;
}

static bool set_name(X509 *cert, const char *cn)
{
    X509_NAME *name = X509_get_subject_name(cert);
    return X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8,
                                      (const unsigned char *)"Teddy development", -1, -1, 0) == 1 &&
           X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1,
                                      0) == 1;
}

/* A new key and a certificate for it, all but extensions and signature. */
static bool start_pair(struct pair *p, const char *cn, int days)
{
    p->key = EVP_EC_gen("P-256");
    p->cert = X509_new();
    return p->key && p->cert && X509_set_version(p->cert, X509_VERSION_3) == 1 &&
           set_serial(p->cert) && set_name(p->cert, cn) &&
           X509_gmtime_adj(X509_getm_notBefore(p->cert), -3600) && /* clocks differ a little */
           X509_gmtime_adj(X509_getm_notAfter(p->cert), (long)days * DAY_S) &&
           X509_set_pubkey(p->cert, p->key) == 1;
}

static bool make_authority(struct pair *ca, const char *host)
{
    char cn[64];
    snprintf(cn, sizeof cn, "Teddy development CA %.40s", host);
    return start_pair(ca, cn, CA_DAYS) &&
           X509_set_issuer_name(ca->cert, X509_get_subject_name(ca->cert)) == 1 &&
           add_extension(ca->cert, ca->cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
           add_extension(ca->cert, ca->cert, NID_key_usage, "critical,keyCertSign,cRLSign") &&
           add_extension(ca->cert, ca->cert, NID_subject_key_identifier, "hash") &&
           X509_sign(ca->cert, ca->key, EVP_sha256()) > 0;
}

static bool plain_host_name(const char *host)
{
    size_t len = strlen(host);
    return len > 0 && len <= 253 &&
           strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") == len;
}

static bool make_leaf(struct pair *leaf, const struct pair *ca, const char *host)
{
    char san[400];
    snprintf(san, sizeof san, "DNS:localhost,%s%s%sIP:127.0.0.1,IP:::1", host[0] ? "DNS:" : "",
             host, host[0] ? "," : "");
    return start_pair(leaf, "localhost", LEAF_DAYS) &&
           X509_set_issuer_name(leaf->cert, X509_get_subject_name(ca->cert)) == 1 &&
           add_extension(leaf->cert, ca->cert, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(leaf->cert, ca->cert, NID_key_usage, "critical,digitalSignature") &&
           add_extension(leaf->cert, ca->cert, NID_ext_key_usage, "serverAuth") &&
           add_extension(leaf->cert, ca->cert, NID_subject_key_identifier, "hash") &&
           add_extension(leaf->cert, ca->cert, NID_authority_key_identifier, "keyid:always") &&
           add_extension(leaf->cert, ca->cert, NID_subject_alt_name, san) &&
           X509_sign(leaf->cert, ca->key, EVP_sha256()) > 0;
}

static bool lasts(const X509 *cert)
{
    time_t later = time(NULL) + MARGIN_S;
    return X509_cmp_current_time(X509_get0_notBefore(cert)) < 0 &&
           X509_cmp_time(X509_get0_notAfter(cert), &later) > 0;
}

static bool there(const struct dev *d, const char *name)
{
    char path[PATH_MAX];
    path_in(d, name, path);
    return access(path, F_OK) == 0;
}

/* TEDDY_OK: both files read and belonging together. */
static int read_pair(struct dev *d, const char *cert_name, const char *key_name, struct pair *out)
{
    char cert_path[PATH_MAX], key_path[PATH_MAX];
    path_in(d, cert_name, cert_path);
    path_in(d, key_name, key_path);
    STACK_OF(X509) *certs = NULL;
    int rc = tls_read_certs(cert_path, &certs, d->err, d->cap);
    if (rc != TEDDY_OK)
        return rc;
    out->cert = sk_X509_shift(certs);
    sk_X509_pop_free(certs, X509_free);
    rc = tls_read_key(key_path, &out->key, d->err, d->cap);
    if (rc == TEDDY_OK && X509_check_private_key(out->cert, out->key) != 1) {
        snprintf(d->err, d->cap, "%s does not belong to %s; remove both to have new ones made",
                 key_path, cert_path);
        rc = TEDDY_ECERT;
    }
    ERR_clear_error();
    if (rc != TEDDY_OK)
        pair_fini(out);
    return rc;
}

static bool leaf_good(struct dev *d, X509 *ca)
{
    struct pair leaf = {0};
    if (!there(d, "server.crt") || !there(d, "server.key") ||
        read_pair(d, "server.crt", "server.key", &leaf) != TEDDY_OK)
        return false;
    bool ok = lasts(leaf.cert) && X509_verify(leaf.cert, X509_get0_pubkey(ca)) == 1 &&
              X509_check_host(leaf.cert, "localhost", 0, 0, NULL) == 1 &&
              (!d->host[0] || X509_check_host(leaf.cert, d->host, 0, 0, NULL) == 1);
    ERR_clear_error();
    pair_fini(&leaf);
    return ok;
}

static int new_authority(struct dev *d, struct pair *ca)
{
    if (!make_authority(ca, d->host)) {
        snprintf(d->err, d->cap, "cannot make the development authority: %s",
                 ERR_reason_error_string(ERR_peek_last_error()));
        ERR_clear_error();
        return TEDDY_ETLS;
    }
    return write_pair(d, ca, "ca.crt", "ca.key");
}

/* Only the certificate is read while the leaf is good: who keeps ca.key elsewhere may. */
static int authority_cert(struct dev *d, struct pair *ca)
{
    char path[PATH_MAX];
    path_in(d, "ca.crt", path);
    STACK_OF(X509) *certs = NULL;
    int rc = tls_read_certs(path, &certs, d->err, d->cap);
    if (rc == TEDDY_OK)
        ca->cert = sk_X509_shift(certs);
    sk_X509_pop_free(certs, X509_free);
    return rc;
}

static int make(struct dev *d, struct pair *ca, bool fresh)
{
    struct pair leaf = {0};
    int rc = fresh ? new_authority(d, ca) : read_pair(d, "ca.crt", "ca.key", ca);
    if (rc != TEDDY_OK)
        return rc;
    if (make_leaf(&leaf, ca, d->host)) {
        rc = write_pair(d, &leaf, "server.crt", "server.key");
    } else {
        snprintf(d->err, d->cap, "cannot make the development certificate: %s",
                 ERR_reason_error_string(ERR_peek_last_error()));
        ERR_clear_error();
        rc = TEDDY_ETLS;
    }
    pair_fini(&leaf);
    return rc;
}

int tls_dev_certificate(const char *dir, int *made, char *err, size_t cap)
{
    struct dev d = {.dir = dir, .err = err, .cap = cap};
    struct pair ca = {0};
    *made = 0;
    if (strlen(dir) + sizeof "/server.crt" > PATH_MAX) {
        snprintf(err, cap, "%s: path too long", dir);
        return TEDDY_EINVAL;
    }
    if (gethostname(d.host, sizeof d.host - 1) != 0 || !plain_host_name(d.host))
        d.host[0] = 0;
    bool fresh = !there(&d, "ca.crt");
    if (!fresh) {
        int rc = authority_cert(&d, &ca);
        if (rc != TEDDY_OK)
            return rc;
        fresh = !lasts(ca.cert);
        bool good = !fresh && leaf_good(&d, ca.cert);
        pair_fini(&ca);
        if (good)
            return TEDDY_OK;
    }
    int rc = make(&d, &ca, fresh);
    *made = rc == TEDDY_OK;
    pair_fini(&ca);
    return rc;
}
