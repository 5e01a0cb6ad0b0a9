#include "identity/audit_key.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "identity/key_file.h"

struct audit_key {
    EVP_PKEY *pkey;
};

static struct audit_key *wrap(EVP_PKEY *pkey)
{
    struct audit_key *k = NULL;
    if (pkey != NULL && EVP_PKEY_get_id(pkey) == EVP_PKEY_ED25519)
        k = calloc(1, sizeof *k);
    if (k != NULL)
        k->pkey = pkey;
    else
        EVP_PKEY_free(pkey);
    return k;
}

static int fail(const char *path, const char *what, char *err, size_t cap)
{
    snprintf(err, cap, "audit key %s: %s: %s", path, what, strerror(errno));
    return TEDDY_EIO;
}

static bool write_key(int fd, EVP_PKEY *pkey)
{
    FILE *f = fdopen(fd, "w");
    if (f == NULL) {
        close(fd);
        return false;
    }
    bool ok = PEM_write_PKCS8PrivateKey(f, pkey, NULL, NULL, 0, NULL, NULL) == 1 &&
              fflush(f) == 0 && fsync(fileno(f)) == 0;
    return fclose(f) == 0 && ok;
}

/* Whole or not at all, and never over one that somebody else has just made. */
static int make(const char *path, char *err, size_t cap)
{
    char temporary[PATH_MAX];
    if (snprintf(temporary, sizeof temporary, "%s.XXXXXX", path) >= (int)sizeof temporary) {
        errno = ENAMETOOLONG;
        return fail(path, "cannot be made", err, cap);
    }
    EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    int fd = pkey == NULL ? -1 : mkostemp(temporary, O_CLOEXEC); /* mode 0600 */
    bool ok = fd >= 0 && write_key(fd, pkey);
    EVP_PKEY_free(pkey);
    ok = ok && (link(temporary, path) == 0 || errno == EEXIST);
    int r = ok ? TEDDY_OK : fail(path, "cannot be made", err, cap);
    if (fd >= 0)
        unlink(temporary);
    if (ok && !key_file_settle(path))
        r = fail(path, "its directory cannot be synced", err, cap);
    return r;
}

static int check_file(int fd, const char *path, char *err, size_t cap)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return fail(path, "cannot be examined", err, cap);
    if (!S_ISREG(st.st_mode)) {
        snprintf(err, cap, "audit key %s: it is not a file", path);
        return TEDDY_EPROTO;
    }
    if ((st.st_mode & 077) != 0) {
        snprintf(err, cap,
                 "audit key %s: others may read or write it (mode %03o): chmod 600 it, and move it "
                 "away for a new one if somebody did",
                 path, (unsigned)st.st_mode & 0777u);
        return TEDDY_EAUTH;
    }
    return TEDDY_OK;
}

static int no_password(char *buf, int size, int writing, void *user)
{
    (void)buf;
    (void)size;
    (void)writing;
    (void)user;
    return -1;
}

static int load(const char *path, bool public_half, struct audit_key **out, char *err, size_t cap)
{
    *out = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT && !public_half)
        return TEDDY_ENOTFOUND;
    if (fd < 0)
        return fail(path, "cannot be opened", err, cap);
    int r = public_half ? TEDDY_OK : check_file(fd, path, err, cap);
    FILE *f = r == TEDDY_OK ? fdopen(fd, "r") : NULL;
    if (f == NULL) {
        close(fd);
        return r == TEDDY_OK ? fail(path, "cannot be read", err, cap) : r;
    }
    *out = wrap(public_half ? PEM_read_PUBKEY(f, NULL, no_password, NULL)
                            : PEM_read_PrivateKey(f, NULL, no_password, NULL));
    fclose(f);
    if (*out != NULL)
        return TEDDY_OK;
    snprintf(err, cap, "audit key %s: it is not an Ed25519 key in PEM%s", path,
             public_half ? "" : "; restore a backup, or move the file away for a new one");
    return TEDDY_EPROTO;
}

int audit_key_load(const char *path, struct audit_key **out, char *err, size_t cap)
{
    int r = load(path, false, out, err, cap);
    if (r == TEDDY_ENOTFOUND) {
        r = make(path, err, cap);
        if (r == TEDDY_OK)
            r = load(path, false, out, err, cap);
    }
    return r;
}

int audit_key_load_public(const char *path, struct audit_key **out, char *err, size_t cap)
{
    return load(path, true, out, err, cap);
}

struct audit_key *audit_key_of(const uint8_t raw[AUDIT_PUBLIC_LEN])
{
    return wrap(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, raw, AUDIT_PUBLIC_LEN));
}

void audit_key_free(struct audit_key *k)
{
    if (k != NULL)
        EVP_PKEY_free(k->pkey);
    free(k);
}

#define MESSAGE_MAX (24 + 16 + AUDIT_HASH_LEN)

static uint8_t *put_u64(uint8_t *at, uint64_t n)
{
    for (unsigned i = 0; i < 8; i++)
        at[i] = (uint8_t)(n >> (56 - 8 * i));
    return at + 8;
}

static size_t message(enum audit_signed what, const struct audit_head *head,
                      uint8_t out[MESSAGE_MAX])
{
    const char *says = what == AUDIT_SIGNED_HEAD ? "teddy audit head\n" : "teddy audit anchor\n";
    uint8_t *at = out;
    memcpy(at, says, strlen(says));
    at = put_u64(at + strlen(says), (uint64_t)head->n);
    at = put_u64(at, head->at_ms);
    memcpy(at, head->hash, AUDIT_HASH_LEN);
    return (size_t)(at - out) + AUDIT_HASH_LEN;
}

int audit_key_sign_text(const struct audit_key *k, const void *text, size_t len,
                        uint8_t signature[AUDIT_SIGNATURE_LEN])
{
    size_t signature_len = AUDIT_SIGNATURE_LEN;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx != NULL && EVP_DigestSignInit(ctx, NULL, NULL, NULL, k->pkey) == 1 &&
              EVP_DigestSign(ctx, signature, &signature_len, text, len) == 1 &&
              signature_len == AUDIT_SIGNATURE_LEN;
    EVP_MD_CTX_free(ctx);
    return ok ? TEDDY_OK : TEDDY_EIO;
}

bool audit_key_verifies_text(const struct audit_key *k, const void *text, size_t len,
                             const uint8_t signature[AUDIT_SIGNATURE_LEN])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, k->pkey) == 1 &&
              EVP_DigestVerify(ctx, signature, AUDIT_SIGNATURE_LEN, text, len) == 1;
    EVP_MD_CTX_free(ctx);
    return ok;
}

int audit_key_sign(const struct audit_key *k, enum audit_signed what, struct audit_head *head)
{
    uint8_t text[MESSAGE_MAX];
    size_t len = message(what, head, text);
    return audit_key_sign_text(k, text, len, head->signature);
}

bool audit_key_verifies(const struct audit_key *k, enum audit_signed what,
                        const struct audit_head *head)
{
    uint8_t text[MESSAGE_MAX];
    size_t len = message(what, head, text);
    return audit_key_verifies_text(k, text, len, head->signature);
}

int audit_key_public(const struct audit_key *k, uint8_t raw[AUDIT_PUBLIC_LEN])
{
    size_t len = AUDIT_PUBLIC_LEN;
    return EVP_PKEY_get_raw_public_key(k->pkey, raw, &len) == 1 && len == AUDIT_PUBLIC_LEN
               ? TEDDY_OK
               : TEDDY_EIO;
}

int audit_key_pem(const struct audit_key *k, char *out, size_t cap)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    long len =
        bio != NULL && PEM_write_bio_PUBKEY(bio, k->pkey) == 1 ? BIO_get_mem_data(bio, &text) : 0;
    bool ok = len > 0 && (size_t)len < cap;
    if (ok) {
        memcpy(out, text, (size_t)len);
        out[len] = '\0';
    }
    BIO_free(bio);
    return ok ? TEDDY_OK : TEDDY_EIO;
}
