#include "store/backup_file.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "proto/json.h"
#include "proto/text.h"
#include "proto/writer.h"

#define FORM      1
#define PIECE     (256u << 10)
#define BYTES_MAX ((uint64_t)1 << 42)

void backup_time(uint64_t s, bool plain, char out[32])
{
    time_t t = (time_t)s;
    struct tm utc;
    if (gmtime_r(&t, &utc) == NULL || (plain ? strftime(out, 32, "%Y%m%dT%H%M%SZ", &utc)
                                             : strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &utc)) == 0)
        (void)snprintf(out, 32, "unknown");
}

static int io_failed(const char *name, const char *what, char *err, size_t cap)
{
    snprintf(err, cap, "%s: cannot be %s: %s", name, what, strerror(errno));
    return TEDDY_EIO;
}

static bool write_all(int fd, const void *data, size_t len)
{
    const char *p = data;
    while (len > 0) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

/* Up to len bytes from there; -1 with errno. */
static ssize_t read_at(int fd, void *out, size_t len, uint64_t at)
{
    ssize_t n;
    do
        n = pread(fd, out, len, (off_t)at);
    while (n < 0 && errno == EINTR);
    return n;
}

/* ---- The bytes ---- */

struct digest {
    EVP_MD_CTX *md;
    char *piece;
    int fd, to;
    const char *name, *to_name;
    uint64_t bytes;
    const struct backup_watch *watch;
};

static int digest_pieces(const struct digest *d, char *err, size_t cap)
{
    for (uint64_t at = 0; at < d->bytes;) {
        size_t want = d->bytes - at < PIECE ? (size_t)(d->bytes - at) : PIECE;
        ssize_t n = read_at(d->fd, d->piece, want, at);
        if (n < 0)
            return io_failed(d->name, "read", err, cap);
        if (n == 0 || EVP_DigestUpdate(d->md, d->piece, (size_t)n) != 1) {
            snprintf(err, cap,
                     n == 0 ? "%s: it was cut short; take another backup"
                            : "%s: SHA-256 does not work",
                     d->name);
            return TEDDY_EIO;
        }
        if (d->to >= 0 && !write_all(d->to, d->piece, (size_t)n))
            return io_failed(d->to_name, "written", err, cap);
        at += (uint64_t)n;
        if (d->watch->progress != NULL)
            d->watch->progress(d->watch->arg, d->to >= 0 ? "copying" : "checking", at, d->bytes);
    }
    return TEDDY_OK;
}

int backup_digest(int fd, const char *name, uint64_t bytes, int to, const char *to_name,
                  const struct backup_watch *w, uint8_t sha256[BACKUP_SHA256_LEN], char *err,
                  size_t cap)
{
    struct digest d = {EVP_MD_CTX_new(), malloc(PIECE), fd, to, name, to_name, bytes, w};
    unsigned len = 0;
    int rc = TEDDY_EIO;
    snprintf(err, cap, "%s: SHA-256 does not work", name);
    if (d.md != NULL && d.piece != NULL && EVP_DigestInit_ex(d.md, EVP_sha256(), NULL) == 1)
        rc = digest_pieces(&d, err, cap);
    if (rc == TEDDY_OK && EVP_DigestFinal_ex(d.md, sha256, &len) != 1)
        rc = TEDDY_EIO;
    EVP_MD_CTX_free(d.md);
    free(d.piece);
    return rc;
}

/* ---- The manifest ---- */

static void name_of(struct writer *w, const char *comma, const char *name)
{
    writer_text(w, comma);
    writer_json_string(w, span_of(name));
    writer_text(w, ":");
}

static void put_text(struct writer *w, const char *name, const char *value)
{
    name_of(w, ",", name);
    writer_json_string(w, span_of(value));
}

static void put_number(struct writer *w, const char *comma, const char *name, uint64_t value)
{
    name_of(w, comma, name);
    writer_u64(w, value);
}

static void put_hex(struct writer *w, const char *name, const uint8_t *data, size_t len)
{
    name_of(w, ",", name);
    writer_text(w, "\"");
    writer_hex(w, data, len);
    writer_text(w, "\"");
}

int backup_manifest_write(int fd, const char *name, const struct backup_manifest *m, char *err,
                          size_t cap)
{
    char line[BACKUP_MANIFEST_LEN], made[32];
    struct writer w = writer_on(line, sizeof line - 1);
    backup_time(m->made_s, false, made);
    put_number(&w, "{", "teddy_backup", FORM);
    put_text(&w, "made", made);
    put_text(&w, "version", m->version);
    put_number(&w, ",", "schema", (uint64_t)m->facts.schema);
    put_number(&w, ",", "devices", m->facts.devices);
    put_number(&w, ",", "bytes", m->bytes);
    put_hex(&w, "sha256", m->sha256, sizeof m->sha256);
    put_hex(&w, "master_key", m->facts.master_id, SEAL_ID_LEN);
    put_number(&w, ",", "made_s", m->made_s);
    writer_text(&w, "}");
    errno = EOVERFLOW;
    if (w.overflow)
        return io_failed(name, "written", err, cap);
    memset(line + w.len, ' ', sizeof line - 1 - w.len);
    line[sizeof line - 1] = '\n';
    if (lseek(fd, (off_t)m->bytes, SEEK_SET) < 0 || !write_all(fd, line, sizeof line))
        return io_failed(name, "written", err, cap);
    return TEDDY_OK;
}

static bool take_hex(const struct json_object *o, const char *member, uint8_t *out, size_t len)
{
    const struct json_member *m = json_find(o, member);
    return m != NULL && m->type == JSON_STRING && hex_decode(m->value, out, len) == TEDDY_OK;
}

static bool take_number(const struct json_object *o, const char *member, uint64_t *out)
{
    return json_u64(o, member, out) == TEDDY_OK && *out != 0;
}

static bool take_manifest(const struct json_object *o, uint64_t size, struct backup_manifest *m)
{
    uint64_t form, schema;
    size_t len;
    if (!take_number(o, "teddy_backup", &form) || form != FORM ||
        json_string(o, "version", m->version, sizeof m->version, &len) != TEDDY_OK ||
        m->version[strspn(m->version, "0123456789abcdefghijklmnopqrstuvwxyz.+-")] != '\0' ||
        !take_number(o, "schema", &schema) || schema > INT32_MAX ||
        json_u64(o, "devices", &m->facts.devices) != TEDDY_OK)
        return false;
    m->facts.schema = (int)schema;
    return take_number(o, "made_s", &m->made_s) && take_number(o, "bytes", &m->bytes) &&
           m->bytes == size - BACKUP_MANIFEST_LEN &&
           take_hex(o, "sha256", m->sha256, sizeof m->sha256) &&
           take_hex(o, "master_key", m->facts.master_id, SEAL_ID_LEN);
}

bool backup_manifest_read(int fd, struct backup_manifest *m)
{
    char line[BACKUP_MANIFEST_LEN];
    struct json_object o;
    struct stat st;
    *m = (struct backup_manifest){0};
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > BACKUP_MANIFEST_LEN &&
           (uint64_t)st.st_size < BYTES_MAX &&
           read_at(fd, line, sizeof line, (uint64_t)st.st_size - sizeof line) == sizeof line &&
           json_parse((struct span){line, sizeof line}, &o) == TEDDY_OK &&
           take_manifest(&o, (uint64_t)st.st_size, m);
}
