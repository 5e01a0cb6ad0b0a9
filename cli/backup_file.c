/* The form of a backup's file. */
#include "cli/backup.h"

#include <errno.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

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

static int digest_pieces(EVP_MD_CTX *md, char *piece, int fd, const char *name, uint64_t bytes,
                         int to, const char *to_name, struct progress *progress)
{
    for (uint64_t at = 0; at < bytes;) {
        size_t want = bytes - at < PIECE ? (size_t)(bytes - at) : PIECE;
        ssize_t n = read_at(fd, piece, want, at);
        if (n < 0)
            return fail("%s: cannot be read: %s", name, strerror(errno));
        if (n == 0)
            return fail("%s: it was cut short; take another backup", name);
        if (EVP_DigestUpdate(md, piece, (size_t)n) != 1)
            return fail("SHA-256 does not work");
        if (to >= 0 && !write_all(to, piece, (size_t)n))
            return fail("%s: cannot be written: %s", to_name, strerror(errno));
        at += (uint64_t)n;
        progress_show(progress, to >= 0 ? "copying" : "checking", at, bytes);
    }
    return CTL_DONE;
}

int backup_digest(int fd, const char *name, uint64_t bytes, int to, const char *to_name,
                  struct progress *progress, uint8_t sha256[SHA256_LEN])
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    char *piece = malloc(PIECE);
    unsigned len = 0;
    int rc = CTL_DONE;

    if (md == NULL || piece == NULL || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1)
        rc = fail("out of memory");
    progress->unit = "bytes";
    if (rc == CTL_DONE)
        rc = digest_pieces(md, piece, fd, name, bytes, to, to_name, progress);
    if (rc == CTL_DONE && EVP_DigestFinal_ex(md, sha256, &len) != 1)
        rc = fail("SHA-256 does not work");
    progress_end(progress);
    EVP_MD_CTX_free(md);
    free(piece);
    return rc;
}

static void hex(const uint8_t *data, size_t len, char *out, size_t cap)
{
    struct writer w = writer_on(out, cap);

    writer_hex(&w, data, len);
    (void)writer_end(&w);
}

json_t *backup_manifest_json(const struct backup_manifest *m, const char *file)
{
    char made[32], sha256[2 * SHA256_LEN + 1], master[2 * SEAL_ID_LEN + 1];

    backup_time(m->made_s, false, made);
    hex(m->sha256, SHA256_LEN, sha256, sizeof sha256);
    hex(m->facts.master_id, SEAL_ID_LEN, master, sizeof master);
    return json_pack("{s:s, s:s, s:s, s:i, s:I, s:I, s:s, s:s}", "file", file, "made", made,
                     "version", m->version, "schema", m->facts.schema, "devices",
                     (json_int_t)m->facts.devices, "bytes", (json_int_t)m->bytes, "sha256", sha256,
                     "master_key", master);
}

int backup_manifest_write(int fd, const char *name, const struct backup_manifest *m)
{
    char line[BACKUP_MANIFEST_LEN];
    json_t *json = backup_manifest_json(m, "");
    bool ok = json != NULL && json_object_del(json, "file") == 0 &&
              json_object_set_new(json, "teddy_backup", json_integer(FORM)) == 0 &&
              json_object_set_new(json, "made_s", json_integer((json_int_t)m->made_s)) == 0;
    size_t len = ok ? json_dumpb(json, line, sizeof line - 1, JSON_COMPACT) : 0;

    json_decref(json);
    if (len == 0 || len >= sizeof line)
        return fail("out of memory");
    memset(line + len, ' ', sizeof line - 1 - len);
    line[sizeof line - 1] = '\n';
    if (lseek(fd, (off_t)m->bytes, SEEK_SET) < 0 || !write_all(fd, line, sizeof line))
        return fail("%s: cannot be written: %s", name, strerror(errno));
    return CTL_DONE;
}

static bool take_hex(const json_t *json, const char *member, uint8_t *out, size_t len)
{
    const char *text = json_string_value(json_object_get(json, member));

    return text != NULL && hex_decode(span_of(text), out, len) == TEDDY_OK;
}

static bool take_number(const json_t *json, const char *member, uint64_t *out)
{
    const json_t *n = json_object_get(json, member);

    *out = json_is_integer(n) && json_integer_value(n) > 0 ? (uint64_t)json_integer_value(n) : 0;
    return *out != 0;
}

static bool take_manifest(const json_t *json, uint64_t size, struct backup_manifest *m)
{
    const char *version = json_string_value(json_object_get(json, "version"));
    const json_t *devices = json_object_get(json, "devices");
    uint64_t form, schema;

    if (!take_number(json, "teddy_backup", &form) || form != FORM || version == NULL ||
        strlen(version) >= sizeof m->version ||
        version[strspn(version, "0123456789abcdefghijklmnopqrstuvwxyz.+-")] != '\0' ||
        !take_number(json, "schema", &schema) || schema > INT32_MAX || !json_is_integer(devices) ||
        json_integer_value(devices) < 0)
        return false;
    memcpy(m->version, version, strlen(version) + 1);
    m->facts.schema = (int)schema;
    m->facts.devices = (uint64_t)json_integer_value(devices);
    return take_number(json, "made_s", &m->made_s) && take_number(json, "bytes", &m->bytes) &&
           m->bytes == size - BACKUP_MANIFEST_LEN &&
           take_hex(json, "sha256", m->sha256, SHA256_LEN) &&
           take_hex(json, "master_key", m->facts.master_id, SEAL_ID_LEN);
}

bool backup_is_one(int fd, struct backup_manifest *m)
{
    char line[BACKUP_MANIFEST_LEN];
    json_t *json = NULL;
    struct stat st;
    bool ok;

    *m = (struct backup_manifest){0};
    ok = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > BACKUP_MANIFEST_LEN &&
         (uint64_t)st.st_size < BYTES_MAX &&
         read_at(fd, line, sizeof line, (uint64_t)st.st_size - sizeof line) == sizeof line;
    if (ok)
        json = json_loadb(line, sizeof line, JSON_REJECT_DUPLICATES, NULL);
    ok = json != NULL && take_manifest(json, (uint64_t)st.st_size, m);
    json_decref(json);
    return ok;
}

int backup_manifest_read(int fd, const char *name, struct backup_manifest *m)
{
    return backup_is_one(fd, m)
               ? CTL_DONE
               : fail("%s: it is no backup by teddyctl, or was cut short; take another", name);
}

/* ---- What is remembered of the last one ---- */

static void note_name(const struct ctl *ctl, char out[], size_t cap)
{
    (void)snprintf(out, cap, "%s/" BACKUP_NOTE, ctl->dir);
}

void backup_note(const struct ctl *ctl, const struct backup_manifest *m, const char *file)
{
    char path[sizeof ctl->dir + 32], partial[sizeof path + 8], whole[PATH_MAX];
    json_t *json = backup_manifest_json(m, realpath(file, whole) != NULL ? whole : file);

    note_name(ctl, path, sizeof path);
    (void)snprintf(partial, sizeof partial, "%s.new", path);
    if (json != NULL)
        (void)json_object_set_new(json, "made_s", json_integer((json_int_t)m->made_s));
    if (json == NULL || !link_become_owner(ctl->dir)) {
        json_decref(json);
        return;
    }
    mode_t before = umask(077);
    if (json_dump_file(json, partial, JSON_COMPACT) != 0 || rename(partial, path) != 0)
        (void)unlink(partial);
    (void)umask(before);
    link_become_self();
    json_decref(json);
}

json_t *backup_last(const struct ctl *ctl)
{
    char path[sizeof ctl->dir + 32];
    json_t *json = NULL;

    note_name(ctl, path, sizeof path);
    if (link_become_owner(ctl->dir)) {
        json = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
        link_become_self();
    }
    if (json_is_string(json_object_get(json, "made")) &&
        json_is_string(json_object_get(json, "file")))
        return json;
    json_decref(json);
    return NULL;
}
