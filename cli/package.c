/* The directory of a batch. It is written as DIR.partial, which is locked, so that two teddyctl
 * cannot be at it; and it gets its name only when the registry has the batch. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/admin.h"
#include "cli/batch.h"
#include "proto/ids.h"
#include "proto/text.h"
#include "proto/utc.h"
#include "proto/writer.h"

#define MANIFEST     "manifest.json"
#define MANIFEST_MAX (1u << 20)
#define NVS_CONFIG   "nvs-config.csv"
#define NVS_VALUES   "nvs-values.csv"
/* What the firmware reads (sdk/port/esp_idf/esp_port.h), as mfg_gen.py wants it said. */
#define NVS_CONFIG_TEXT "teddy_factory,namespace,\ndevice_id,data,string\noob_secret,data,hex2bin\n"

static int cannot(const char *path, const char *what)
{
    return fail("%s cannot be %s: %s", path, what, strerror(errno));
}

static int set_names(struct package *p, const char *dir)
{
    size_t len = strlen(dir);

    while (len > 1 && dir[len - 1] == '/')
        len--;
    if (len == 0 || len >= sizeof p->path)
        return usage("--out takes a directory");
    (void)snprintf(p->path, sizeof p->path, "%.*s", (int)len, dir);
    (void)snprintf(p->partial, sizeof p->partial, "%s.partial", p->path);
    return CTL_DONE;
}

/* The lock is on the directory itself: who gets it after a rename has another one. */
static int lock(const struct package *p)
{
    struct stat mine, there;

    if (flock(p->dir, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK ? fail("%s: another teddyctl is writing it", p->partial)
                                    : cannot(p->partial, "locked");
    if (fstat(p->dir, &mine) != 0 || lstat(p->partial, &there) != 0 ||
        mine.st_ino != there.st_ino || mine.st_dev != there.st_dev)
        return fail("%s: another teddyctl was writing it; try again", p->partial);
    if (mine.st_uid != geteuid() || (mine.st_mode & 077) != 0)
        return fail("%s: it is not yours alone; remove it", p->partial);
    return CTL_DONE;
}

static void read_left(const json_t *manifest, struct batch_row *left)
{
    const char *id = json_string_value(json_object_get(manifest, "batch"));
    const char *prefix = json_string_value(json_object_get(manifest, "prefix"));

    if (id == NULL || prefix == NULL || strlen(id) != STORE_BATCH_ID_LEN || !id_ok(span_of(prefix)))
        return;
    (void)snprintf(left->prefix, sizeof left->prefix, "%s", prefix);
    left->first = (uint64_t)json_integer_value(json_object_get(manifest, "first"));
    left->count = (uint64_t)json_integer_value(json_object_get(manifest, "count"));
    left->digits = (unsigned)json_integer_value(json_object_get(manifest, "digits"));
    memcpy(left->id, id, strlen(id) + 1);
}

/* A manifest that is not whole was never told to the registry. */
static int find_left(struct package *p, struct batch_row *left)
{
    int fd = openat(p->dir, MANIFEST, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;
    char *text = malloc(MANIFEST_MAX);
    size_t len = f != NULL && text != NULL ? fread(text, 1, MANIFEST_MAX, f) : 0;

    p->manifest = len > 0 && len < MANIFEST_MAX ? json_loadb(text, len, 0, NULL) : NULL;
    memset(left, 0, sizeof *left);
    if (p->manifest != NULL &&
        EVP_Digest(text, len, left->manifest_sha256, NULL, EVP_sha256(), NULL) == 1)
        read_left(p->manifest, left);
    free(text);
    if (f != NULL)
        (void)fclose(f);
    return CTL_DONE;
}

int package_open(struct package *p, const char *dir, struct batch_row *left)
{
    struct stat st;
    int rc = set_names(p, dir);

    p->dir = -1;
    p->manifest = NULL;
    if (rc != CTL_DONE)
        return rc;
    if (lstat(p->path, &st) == 0)
        return fail("%s is there already; say another --out, or move it away", p->path);
    if (mkdir(p->partial, 0700) != 0 && errno != EEXIST)
        return cannot(p->partial, "made");
    p->dir = open(p->partial, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    rc = p->dir >= 0 ? lock(p) : cannot(p->partial, "opened");
    if (rc == CTL_DONE)
        rc = find_left(p, left);
    if (rc != CTL_DONE)
        package_close(p);
    return rc;
}

static bool is_ours(const char *name)
{
    return strcmp(name, NVS_CONFIG) == 0 || strcmp(name, NVS_VALUES) == 0 ||
           strcmp(name, MANIFEST) == 0 ||
           (strncmp(name, "labels-", 7) == 0 && strstr(name, ".svg") != NULL);
}

static int sync_parent(const struct package *p)
{
    char parent[sizeof p->path];
    const char *slash = strrchr(p->path, '/');
    int fd, rc;

    (void)snprintf(parent, sizeof parent, "%.*s",
                   slash == NULL      ? 1
                   : slash == p->path ? 1
                                      : (int)(slash - p->path),
                   slash == NULL ? "." : p->path);
    fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    rc = fd >= 0 && fsync(fd) == 0 ? CTL_DONE : cannot(parent, "synced");
    if (fd >= 0)
        (void)close(fd);
    return rc;
}

/* Thousands of small files: one syncfs takes as long as a few fsync. */
static int sync_all(const struct package *p)
{
    return syncfs(p->dir) == 0 ? sync_parent(p) : cannot(p->partial, "synced");
}

/* A file that the manifest lists, malloc'd; *text NULL: it is not what is listed. */
static int load_file(const struct package *p, const json_t *entry, char **text, size_t *len)
{
    const char *name = json_string_value(json_object_get(entry, "name"));
    const char *listed = json_string_value(json_object_get(entry, "sha256"));
    json_int_t size = json_integer_value(json_object_get(entry, "size"));
    char path[sizeof p->partial + 64], hex[2 * SHA256_LEN + 1];
    struct writer w = writer_on(hex, sizeof hex);
    uint8_t sha256[SHA256_LEN];
    struct stat st;

    *text = NULL;
    if (name == NULL || listed == NULL || strlen(name) > 62 || strchr(name, '/') != NULL ||
        !is_ours(name))
        return CTL_DONE;
    if (fstatat(p->dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? CTL_DONE : cannot(p->partial, "read");
    if (!S_ISREG(st.st_mode) || st.st_size != size || size > (json_int_t)ADMIN_BODY_MAX)
        return CTL_DONE;
    (void)snprintf(path, sizeof path, "%s/%s", p->partial, name);
    if (read_file(path, (size_t)size, text, len) != CTL_DONE)
        return CTL_FAILED;
    if (EVP_Digest(*text, *len, sha256, NULL, EVP_sha256(), NULL) != 1)
        return fail("SHA-256 cannot be had from OpenSSL");
    writer_hex(&w, sha256, sizeof sha256);
    (void)writer_end(&w);
    if (strcmp(hex, listed) != 0) {
        wipe(*text, *len);
        free(*text);
        *text = NULL;
    }
    return CTL_DONE;
}

/* Synced again: its run may have been killed before it had done so. */
int package_load(const struct package *p, struct batch *b, bool *whole)
{
    const json_t *files = json_object_get(p->manifest, "files"), *entry;
    int rc = CTL_DONE;
    size_t i;

    *whole = true;
    json_array_foreach(files, i, entry)
    {
        const char *name = json_string_value(json_object_get(entry, "name"));
        char *text = NULL;
        size_t len = 0;
        rc = load_file(p, entry, &text, &len);
        *whole = text != NULL;
        if (*whole && b->csv == NULL && strcmp(name, NVS_VALUES) == 0) {
            b->csv = text;
            b->csv_len = len;
        } else {
            free(text);
        }
        if (rc != CTL_DONE || !*whole)
            return rc;
    }
    *whole = b->csv != NULL;
    return *whole ? sync_all(p) : CTL_DONE;
}

/* The manifest goes first: what is left without one is nothing that could be taken up. */
int package_clear(struct package *p)
{
    int fd = openat(p->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *entry;
    int rc = CTL_DONE;

    if (dir == NULL)
        return cannot(p->partial, "read");
    if (unlinkat(p->dir, MANIFEST, 0) != 0 && errno != ENOENT)
        rc = cannot(p->partial, "emptied");
    while (rc == CTL_DONE && (entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (!is_ours(entry->d_name))
            rc = fail("%s: %s in it is not of a batch; move it away", p->partial, entry->d_name);
        else if (unlinkat(p->dir, entry->d_name, 0) != 0)
            rc = cannot(p->partial, "emptied");
    }
    (void)closedir(dir);
    return rc;
}

static bool write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno != EINTR)
            return false;
        data += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

int package_put(const struct package *p, const char *name, const void *data, size_t len,
                uint8_t sha256[SHA256_LEN])
{
    int fd = openat(p->dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && write_all(fd, data, len);

    if (fd >= 0 && close(fd) != 0)
        ok = false;
    if (!ok)
        return fail("%s/%s cannot be written: %s", p->partial, name, strerror(errno));
    if (EVP_Digest(data, len, sha256, NULL, EVP_sha256(), NULL) != 1)
        return fail("SHA-256 cannot be had from OpenSSL");
    return CTL_DONE;
}

static int list_file(json_t *files, const char *name, size_t size, const uint8_t sha256[SHA256_LEN])
{
    char hex[2 * SHA256_LEN + 1];
    struct writer w = writer_on(hex, sizeof hex);

    writer_hex(&w, sha256, SHA256_LEN);
    (void)writer_end(&w);
    return json_array_append_new(files, json_pack("{s:s, s:I, s:s}", "name", name, "size",
                                                  (json_int_t)size, "sha256", hex)) == 0
               ? CTL_DONE
               : fail("out of memory");
}

static json_t *manifest_json(const struct batch_row *row, json_t *files)
{
    char first[LIMIT_ID_LEN + 1], last[LIMIT_ID_LEN + 1], created[UTC_TEXT];

    if (!utc_text(row->created_s, created))
        return NULL;
    admin_batch_device(row, 0, first);
    admin_batch_device(row, row->count - 1, last);
    return json_pack("{s:s, s:s, s:I, s:I, s:I, s:i, s:s, s:s, s:s, s:s, s:O}", "batch", row->id,
                     "prefix", row->prefix, "first", (json_int_t)row->first, "last",
                     (json_int_t)(row->first + row->count - 1), "count", (json_int_t)row->count,
                     "digits", (int)row->digits, "first_id", first, "last_id", last, "created",
                     created, "tool", "teddyctl " TEDDY_VERSION, "files", files);
}

static int write_manifest(const struct package *p, struct batch_row *row, json_t *files)
{
    json_t *manifest = manifest_json(row, files);
    char *text = manifest != NULL ? json_dumps(manifest, JSON_INDENT(1)) : NULL;
    int rc = text != NULL ? package_put(p, MANIFEST, text, strlen(text), row->manifest_sha256)
                          : fail("out of memory");

    free(text);
    json_decref(manifest);
    return rc;
}

static int write_labels(const struct package *p, const struct batch_row *row, json_t *files,
                        struct progress *progress)
{
    size_t count = label_page_count(row->count);
    struct label_page *pages = calloc(count, sizeof *pages);
    int rc = pages != NULL ? labels_write(p, row, pages, progress) : fail("out of memory");

    for (size_t n = 0; n < count && rc == CTL_DONE; n++)
        rc = list_file(files, pages[n].name, pages[n].size, pages[n].sha256);
    free(pages);
    return rc;
}

static int write_text(const struct package *p, json_t *files, const char *name, const char *text,
                      size_t len)
{
    uint8_t sha256[SHA256_LEN];
    int rc = package_put(p, name, text, len, sha256);

    return rc == CTL_DONE ? list_file(files, name, len, sha256) : rc;
}

int package_write(const struct package *p, struct batch *b, struct progress *progress)
{
    json_t *files = json_array();
    int rc = files != NULL ? CTL_DONE : fail("out of memory");

    if (rc == CTL_DONE)
        rc = write_text(p, files, NVS_CONFIG, NVS_CONFIG_TEXT, sizeof NVS_CONFIG_TEXT - 1);
    if (rc == CTL_DONE)
        rc = write_text(p, files, NVS_VALUES, b->csv, b->csv_len);
    if (rc == CTL_DONE)
        rc = write_labels(p, &b->row, files, progress);
    if (rc == CTL_DONE)
        rc = write_manifest(p, &b->row, files);
    json_decref(files);
    return rc == CTL_DONE ? sync_all(p) : rc;
}

/* Not every file system can be told to keep what has the name already. */
static bool move(const struct package *p)
{
    return renameat2(AT_FDCWD, p->partial, AT_FDCWD, p->path, RENAME_NOREPLACE) == 0 ||
           ((errno == EINVAL || errno == ENOSYS) && rename(p->partial, p->path) == 0);
}

int package_finish(struct package *p)
{
    if (!move(p))
        return fail("the batch is registered, but %s cannot become %s: %s; then run the same again",
                    p->partial, p->path, strerror(errno));
    return sync_parent(p);
}

void package_discard(struct package *p)
{
    if (package_clear(p) == CTL_DONE)
        (void)rmdir(p->partial);
}

void package_close(struct package *p)
{
    if (p->dir >= 0)
        (void)close(p->dir);
    p->dir = -1;
    json_decref(p->manifest);
    p->manifest = NULL;
}
