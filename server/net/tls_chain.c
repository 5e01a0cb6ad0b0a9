/* Is this certificate going to be believed? Everything that can be known at start is checked at
 * start, in words. */
#include "net/tls_internal.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

enum { NAME_LEN = 200, DATE_LEN = 40 };

static void subject_of(const X509 *cert, char out[NAME_LEN])
{
    BIO *bio = BIO_new(BIO_s_mem());
    out[0] = 0;
    if (bio && X509_NAME_print_ex(bio, X509_get_subject_name(cert), 0, XN_FLAG_RFC2253) >= 0) {
        int n = BIO_read(bio, out, NAME_LEN - 1);
        out[n > 0 ? n : 0] = 0;
    }
    BIO_free(bio);
}

static void date_of(const ASN1_TIME *time, char out[DATE_LEN])
{
    struct tm tm;
    if (ASN1_TIME_to_tm(time, &tm) != 1 || strftime(out, DATE_LEN, "%Y-%m-%d %H:%M UTC", &tm) == 0)
        snprintf(out, DATE_LEN, "(unreadable date)");
}

static BIO *open_file(const char *path, const char *what, char *err, size_t cap)
{
    FILE *f = fopen(path, "re");
    if (!f) {
        snprintf(err, cap, "%s %s: %s", what, path, strerror(errno));
        return NULL;
    }
    BIO *bio = BIO_new_fp(f, BIO_CLOSE);
    if (!bio) {
        fclose(f);
        snprintf(err, cap, "out of memory");
    }
    return bio;
}

static bool ended_cleanly(void)
{
    unsigned long e = ERR_peek_last_error();
    return e == 0 || ERR_GET_REASON(e) == PEM_R_NO_START_LINE;
}

int tls_read_certs(const char *path, STACK_OF(X509) * *out, char *err, size_t cap)
{
    ERR_clear_error();
    BIO *bio = open_file(path, "certificate", err, cap);
    if (!bio)
        return TEDDY_EIO;
    STACK_OF(X509) *certs = sk_X509_new_null();
    X509 *cert;
    while (certs && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL)
        if (sk_X509_push(certs, cert) <= 0) {
            X509_free(cert);
            break;
        }
    bool clean = ended_cleanly();
    ERR_clear_error();
    BIO_free(bio);
    if (certs && clean && sk_X509_num(certs) > 0) {
        *out = certs;
        return TEDDY_OK;
    }
    if (!clean)
        snprintf(err, cap, "certificate %s: damaged after certificate %d", path,
                 certs ? sk_X509_num(certs) : 0);
    else
        snprintf(err, cap, "certificate %s: no PEM certificate in it", path);
    sk_X509_pop_free(certs, X509_free);
    return TEDDY_ECERT;
}

static int no_password(char *buf, int size, int writing, void *asked)
{
    (void)buf;
    (void)size;
    (void)writing;
    *(bool *)asked = true;
    return -1;
}

int tls_read_key(const char *path, EVP_PKEY **out, char *err, size_t cap)
{
    bool encrypted = false;
    BIO *bio = open_file(path, "key", err, cap);
    if (!bio)
        return TEDDY_EIO;
    *out = PEM_read_bio_PrivateKey(bio, NULL, no_password, &encrypted);
    ERR_clear_error();
    BIO_free(bio);
    if (*out)
        return TEDDY_OK;
    if (encrypted)
        snprintf(err, cap, "key %s: it is encrypted; give an unencrypted one, mode 0600", path);
    else
        snprintf(err, cap, "key %s: no PEM private key in it", path);
    return TEDDY_ECERT;
}

static int check_date(const char *path, const X509 *cert, char *err, size_t cap)
{
    char name[NAME_LEN], date[DATE_LEN];
    subject_of(cert, name);
    if (X509_cmp_current_time(X509_get0_notBefore(cert)) > 0) {
        date_of(X509_get0_notBefore(cert), date);
        snprintf(err, cap, "certificate %s: %s is not valid before %s; is the clock right?", path,
                 name, date);
        return TEDDY_EEXPIRED;
    }
    if (X509_cmp_current_time(X509_get0_notAfter(cert)) < 0) {
        date_of(X509_get0_notAfter(cert), date);
        snprintf(err, cap, "certificate %s: %s expired on %s; renew it", path, name, date);
        return TEDDY_EEXPIRED;
    }
    return TEDDY_OK;
}

static bool signed_by(X509 *cert, X509 *issuer)
{
    bool ok = X509_check_issued(issuer, cert) == X509_V_OK &&
              X509_verify(cert, X509_get0_pubkey(issuer)) == 1;
    ERR_clear_error();
    return ok;
}

static int check_order(const char *path, const struct tls_chain *chain, char *err, size_t cap)
{
    X509 *cert = chain->leaf;
    for (int i = 0; i < sk_X509_num(chain->rest); i++) {
        X509 *next = sk_X509_value(chain->rest, i);
        if (!signed_by(cert, next)) {
            char a[NAME_LEN], b[NAME_LEN];
            subject_of(cert, a);
            subject_of(next, b);
            snprintf(err, cap,
                     "certificate %s: %s is not signed by %s, which follows it; put the leaf "
                     "first, then "
                     "each certificate's issuer",
                     path, a, b);
            return TEDDY_ECERT;
        }
        cert = next;
    }
    return TEDDY_OK;
}

static int check_key(const struct tls_files *files, const struct tls_chain *chain, char *err,
                     size_t cap)
{
    int fits = X509_check_private_key(chain->leaf, chain->key);
    ERR_clear_error();
    if (fits == 1)
        return TEDDY_OK;
    char name[NAME_LEN];
    subject_of(chain->leaf, name);
    snprintf(err, cap, "key %s does not belong to the first certificate of %s (%s)", files->key,
             files->cert, name);
    return TEDDY_ECERT;
}

/* X509_V_OK, or why the chain does not lead to a certificate of the store. */
static int verify(X509_STORE *store, const struct tls_chain *chain)
{
    int result = X509_V_ERR_OUT_OF_MEM;
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    if (ctx && X509_STORE_CTX_init(ctx, store, chain->leaf, chain->rest) == 1 &&
        X509_STORE_CTX_set_purpose(ctx, X509_PURPOSE_SSL_SERVER) == 1) {
        X509_verify_cert(ctx);
        result = X509_STORE_CTX_get_error(ctx);
    }
    X509_STORE_CTX_free(ctx);
    ERR_clear_error();
    return result;
}

static int check_ca(const struct tls_files *files, const struct tls_chain *chain, char *err,
                    size_t cap)
{
    STACK_OF(X509) *roots = NULL;
    int rc = tls_read_certs(files->ca, &roots, err, cap);
    if (rc != TEDDY_OK)
        return rc;
    X509_STORE *store = X509_STORE_new();
    bool ok = store != NULL;
    for (int i = 0; ok && i < sk_X509_num(roots); i++)
        ok = X509_STORE_add_cert(store, sk_X509_value(roots, i)) == 1;
    int result = ok ? verify(store, chain) : X509_V_ERR_OUT_OF_MEM;
    X509_STORE_free(store);
    sk_X509_pop_free(roots, X509_free);
    if (result == X509_V_OK)
        return TEDDY_OK;
    snprintf(err, cap, "certificate %s does not lead to %s: %s", files->cert, files->ca,
             X509_verify_cert_error_string(result));
    return TEDDY_ECERT;
}

/* Only a remark: a private authority is nothing this system need know. */
static void remark_on_roots(const struct tls_files *files, const struct tls_chain *chain,
                            char *warn, size_t cap)
{
    X509_STORE *store = X509_STORE_new();
    if (!store || X509_STORE_set_default_paths(store) != 1) {
        X509_STORE_free(store);
        ERR_clear_error();
        return;
    }
    int result = verify(store, chain);
    X509_STORE_free(store);
    if (result != X509_V_OK)
        snprintf(warn, cap,
                 "certificate %s leads to no root of this system (%s); clients need its authority "
                 "given to them",
                 files->cert, X509_verify_cert_error_string(result));
}

static int check(const struct tls_files *files, const struct tls_chain *chain, char *err,
                 size_t cap)
{
    int rc = check_key(files, chain, err, cap);
    if (rc == TEDDY_OK)
        rc = check_date(files->cert, chain->leaf, err, cap);
    for (int i = 0; rc == TEDDY_OK && i < sk_X509_num(chain->rest); i++)
        rc = check_date(files->cert, sk_X509_value(chain->rest, i), err, cap);
    if (rc == TEDDY_OK)
        rc = check_order(files->cert, chain, err, cap);
    if (rc == TEDDY_OK && files->ca)
        rc = check_ca(files, chain, err, cap);
    return rc;
}

int tls_chain_load(const struct tls_files *files, struct tls_chain *out, char *err, size_t cap,
                   char *warn, size_t warn_cap)
{
    memset(out, 0, sizeof *out);
    if (warn_cap)
        warn[0] = 0;
    int rc = tls_read_certs(files->cert, &out->rest, err, cap);
    if (rc == TEDDY_OK) {
        out->leaf = sk_X509_shift(out->rest);
        rc = tls_read_key(files->key, &out->key, err, cap);
    }
    if (rc == TEDDY_OK)
        rc = check(files, out, err, cap);
    if (rc == TEDDY_OK && !files->ca && warn_cap)
        remark_on_roots(files, out, warn, warn_cap);
    if (rc != TEDDY_OK)
        tls_chain_fini(out);
    return rc;
}

static bool digest_names(EVP_MD_CTX *md, const X509 *leaf)
{
    int at = X509_get_ext_by_NID(leaf, NID_subject_alt_name, -1);
    const ASN1_OCTET_STRING *names =
        at < 0 ? NULL : X509_EXTENSION_get_data(X509_get_ext(leaf, at));
    const unsigned char *der;
    size_t len;
    if (names)
        return EVP_DigestUpdate(md, ASN1_STRING_get0_data(names),
                                (size_t)ASN1_STRING_length(names)) == 1;
    return X509_NAME_get0_der(X509_get_subject_name(leaf), &der, &len) == 1 &&
           EVP_DigestUpdate(md, der, len) == 1;
}

/* The name and key id that the topmost certificate says signed it: an authority made anew has
 * another key, while one that changes its intermediates stays the same. */
static bool digest_authority(EVP_MD_CTX *md, X509 *top)
{
    const ASN1_OCTET_STRING *id = X509_get0_authority_key_id(top);
    const unsigned char *der;
    size_t len;
    return X509_NAME_get0_der(X509_get_issuer_name(top), &der, &len) == 1 &&
           EVP_DigestUpdate(md, der, len) == 1 &&
           (!id ||
            EVP_DigestUpdate(md, ASN1_STRING_get0_data(id), (size_t)ASN1_STRING_length(id)) == 1);
}

bool tls_chain_identity(const struct tls_chain *chain, uint8_t out[32])
{
    int n = sk_X509_num(chain->rest);
    X509 *top = n > 0 ? sk_X509_value(chain->rest, n - 1) : chain->leaf;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok = md && EVP_DigestInit_ex2(md, EVP_sha256(), NULL) == 1 &&
              digest_names(md, chain->leaf) && digest_authority(md, top) &&
              EVP_DigestFinal_ex(md, out, NULL) == 1;
    EVP_MD_CTX_free(md);
    return ok;
}

void tls_chain_fini(struct tls_chain *chain)
{
    X509_free(chain->leaf);
    sk_X509_pop_free(chain->rest, X509_free);
    EVP_PKEY_free(chain->key);
    memset(chain, 0, sizeof *chain);
}
