#include "store/erasures.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/text.h"
#include "proto/writer.h"
#include "store/audit.h"
#include "store/children.h"
#include "store/internal.h"

#define LINE_MAX_LEN 96
#define FILE_MAX_LEN ((size_t)256 << 20) /* three million children */

static bool place_of(struct store_tx *tx, char dir[PATH_MAX], char path[PATH_MAX + 16])
{
    char copy[PATH_MAX];
    const char *db = sqlite3_db_filename(tx->db, "main");
    if (db == NULL || snprintf(copy, sizeof copy, "%s", db) >= (int)sizeof copy)
        return false;
    snprintf(dir, PATH_MAX, "%s", dirname(copy));
    snprintf(path, PATH_MAX + 16, "%s/" ERASURES_FILE, dir);
    return true;
}

/* How many bytes of the list the database knows of. */
static int known(struct store_tx *tx, uint64_t *bytes)
{
    sqlite3_stmt *st = tx_stmt(tx, STMT_ERASURES_GET, "SELECT erasures FROM server");
    int err = tx_row(tx, st);
    if (err == TEDDY_OK)
        *bytes = column_u64(st, 0);
    return tx_end(st, err == TEDDY_ENOTFOUND ? tx_damaged(tx) : err);
}

static int set_known(struct store_tx *tx, uint64_t bytes)
{
    sqlite3_stmt *st = tx_stmt(tx, STMT_ERASURES_PUT, "UPDATE server SET erasures = ?1");
    bind_u64(st, 1, bytes);
    return tx_change(tx, st);
}

/* What a power cut left of a line is ended, and so is no line. */
static size_t write_line(int fd, off_t size, const uint8_t mac[SEAL_MAC_LEN], uint64_t at_s,
                         char out[LINE_MAX_LEN])
{
    struct writer w = writer_on(out, LINE_MAX_LEN);
    char last = '\n';
    if (size > 0 && pread(fd, &last, 1, size - 1) == 1 && last != '\n')
        writer_text(&w, "\n");
    writer_text(&w, "v1 ");
    writer_hex(&w, mac, SEAL_MAC_LEN);
    writer_text(&w, " ");
    writer_u64(&w, at_s);
    writer_text(&w, "\n");
    size_t len = w.len;
    return writer_end(&w) == TEDDY_OK ? len : 0;
}

static bool append(int fd, const char *path, const uint8_t mac[SEAL_MAC_LEN], uint64_t at_s,
                   uint64_t *end)
{
    struct stat st;
    char line[LINE_MAX_LEN];
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return false;
    size_t len = write_line(fd, st.st_size, mac, at_s, line);
    *end = (uint64_t)st.st_size + len;
    return len > 0 && write(fd, line, len) == (ssize_t)len && fsync(fd) == 0 &&
           sync_directory_of(path);
}

int erasures_append(struct store_tx *tx, const char *child_id, uint64_t at_s)
{
    char dir[PATH_MAX], path[PATH_MAX + 16];
    uint8_t mac[SEAL_MAC_LEN];
    uint64_t end = 0;
    int err = store_seal_erasure(tx, child_id, strlen(child_id), mac);
    if (err != TEDDY_OK)
        return err;
    int fd =
        place_of(tx, dir, path) ? open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
    bool ok = fd >= 0 && append(fd, path, mac, at_s, &end);
    if (fd >= 0)
        close(fd);
    if (ok)
        return set_known(tx, end);
    if (tx->why == SQLITE_OK)
        tx->why = SQLITE_IOERR_WRITE;
    tx->broken = true;
    return TEDDY_ESTORE;
}

/* ---- At the start ---- */

struct listed {
    uint8_t mac[SEAL_MAC_LEN];
    uint64_t at_s;
};

struct list {
    struct listed *of;
    size_t count;
    uint64_t bytes;
    size_t lines; /* up to and with the one that cannot be read; 0: all can */
};

/* By name, and of one name the latest first. */
static int in_order(const void *a, const void *b)
{
    const struct listed *x = a, *y = b;
    int by_mac = memcmp(x->mac, y->mac, sizeof x->mac);
    return by_mac != 0 ? by_mac : x->at_s > y->at_s ? -1 : x->at_s < y->at_s;
}

static int by_name(const void *a, const void *b)
{
    const struct listed *x = a, *y = b;
    return memcmp(x->mac, y->mac, sizeof x->mac);
}

bool erasures_line(struct span line, uint8_t mac[SEAL_MAC_LEN], uint64_t *at_s)
{
    const size_t head = 3 + 2 * SEAL_MAC_LEN;
    return line.len > head + 1 && memcmp(line.p, "v1 ", 3) == 0 && line.p[head] == ' ' &&
           hex_decode((struct span){line.p + 3, 2 * SEAL_MAC_LEN}, mac, SEAL_MAC_LEN) == TEDDY_OK &&
           u64_parse((struct span){line.p + head + 1, line.len - head - 1}, at_s) == TEDDY_OK;
}

/* What a power cut can leave of a line: how it begins, and then nothing or zeros. Nobody was told
 * that its child is forgotten. */
static bool torn(struct span line)
{
    static const char form[] =
        "v1 hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh dddddddddddddddddddd";
    while (line.len > 0 && line.p[line.len - 1] == '\0')
        line.len--;
    for (size_t i = 0; i < line.len; i++) {
        char c = line.p[i];
        bool digit = c >= '0' && c <= '9';
        if (i >= sizeof form - 1 || !(form[i] == 'd'   ? digit
                                      : form[i] == 'h' ? digit || (c >= 'a' && c <= 'f')
                                                       : c == form[i]))
            return false;
    }
    return true;
}

/* A line that is neither whole nor torn is damage, or a later release's: a child could come back by
 * it. */
static bool parse_all(const char *text, size_t len, struct list *list)
{
    for (size_t at = 0; at < len;) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t line = end != NULL ? (size_t)(end - text) - at : len - at;
        struct span all = {text + at, line};
        struct listed *next = &list->of[list->count];
        bool whole = end != NULL && erasures_line(all, next->mac, &next->at_s);
        list->lines++;
        list->count += whole;
        if (!whole && !torn(all))
            return false;
        at += line + 1;
    }
    list->lines = 0;
    qsort(list->of, list->count, sizeof *list->of, in_order);
    return true;
}

static bool read_list(FILE *f, struct list *list)
{
    size_t len = (size_t)list->bytes;
    char *text = malloc(len + 1);
    list->of = calloc(len / (3 + 2 * SEAL_MAC_LEN) + 1, sizeof *list->of);
    bool ok = text != NULL && list->of != NULL && fread(text, 1, len, f) == len;
    ok = ok && parse_all(text, len, list);
    free(text);
    return ok;
}

/* The latest time at which the child was listed; 0: it is not. */
static int listed_at(struct store_tx *tx, const struct list *list, const char *child_id,
                     uint64_t *at_s)
{
    struct listed wanted = {0};
    *at_s = 0;
    int err = store_seal_erasure(tx, child_id, strlen(child_id), wanted.mac);
    if (err != TEDDY_OK)
        return err;
    const struct listed *found = bsearch(&wanted, list->of, list->count, sizeof *list->of, by_name);
    while (found != NULL && found > list->of && by_name(found - 1, found) == 0)
        found--;
    *at_s = found != NULL ? found->at_s : 0;
    return TEDDY_OK;
}

/* The next child behind `after` that the database names. */
static int next_child(struct store_tx *tx, char after[LIMIT_ID_LEN + 1])
{
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_CHILD_NEXT,
                "SELECT min(id) FROM"
                " (SELECT min(child_id) AS id FROM device WHERE child_id > ?1 AND child_id <> ''"
                " UNION ALL SELECT min(child_id) FROM child WHERE child_id > ?1"
                " UNION ALL SELECT min(child_id) FROM profile WHERE child_id > ?1"
                " UNION ALL SELECT min(child_id) FROM turn WHERE child_id > ?1"
                " UNION ALL SELECT min(child_id) FROM played WHERE child_id > ?1"
                " UNION ALL SELECT min(child_id) FROM blocked WHERE child_id > ?1"
                " UNION ALL SELECT min(child_id) FROM alert WHERE child_id > ?1"
                " UNION ALL SELECT min(child_id) FROM limits WHERE child_id > ?1"
                " UNION ALL SELECT min(child_id) FROM blocked_words WHERE child_id > ?1)");
    bind_text(st, 1, after);
    char next[LIMIT_ID_LEN + 1] = "";
    int err = tx_row(tx, st);
    if (err == TEDDY_OK && sqlite3_column_type(st, 0) == SQLITE_NULL)
        err = TEDDY_ENOTFOUND;
    if (err == TEDDY_OK)
        err = column_text(tx, st, 0, next, sizeof next);
    err = tx_end(st, err);
    if (err == TEDDY_OK)
        memcpy(after, next, sizeof next);
    return err;
}

static int forget_listed(struct store_tx *tx, const char *child_id, uint64_t at_s)
{
    uint8_t child[AUDIT_CHILD_LEN];
    struct child_erased erased;
    uint64_t rows = 0;
    int has = audit_child(tx, child_id, false, child);
    int err = has == TEDDY_OK || has == TEDDY_ENOTFOUND
                  ? store_child_forget(tx, child_id, at_s, &erased)
                  : has;
    for (unsigned i = 0; err == TEDDY_OK && i < CHILD_TABLES; i++)
        rows += erased.rows[i];
    store_scrub(tx);
    if (err != TEDDY_OK || rows == 0) /* nothing, or a newer child of the same id */
        return err;
    return audit_add(tx, &(struct audit_event){.event = "child.forgotten",
                                               .child = has == TEDDY_OK ? child : NULL,
                                               .actor = "server",
                                               .detail = "{\"reason\":\"listed\"}"});
}

static int reapply(struct store_tx *tx, const struct list *list)
{
    char child_id[LIMIT_ID_LEN + 1] = "";
    uint64_t at_s;
    int err;
    while ((err = next_child(tx, child_id)) == TEDDY_OK) {
        err = listed_at(tx, list, child_id, &at_s);
        if (err == TEDDY_OK && at_s > 0)
            err = forget_listed(tx, child_id, at_s);
        if (err != TEDDY_OK)
            return err;
    }
    return err == TEDDY_ENOTFOUND ? set_known(tx, list->bytes) : err;
}

static bool commit_reapplied(struct store_tx *tx, const struct list *list)
{
    bool ok = tx_exec(tx, STMT_BEGIN_WRITE, "BEGIN IMMEDIATE") == TEDDY_OK &&
              reapply(tx, list) == TEDDY_OK && tx_exec(tx, STMT_COMMIT, "COMMIT") == TEDDY_OK;
    if (!ok && !sqlite3_get_autocommit(tx->db))
        (void)tx_exec(tx, STMT_ROLLBACK, "ROLLBACK");
    audit_undone(tx); /* the writer reads the chain's end anew */
    log_forget(tx->db);
    return ok;
}

int erasures_start(struct store_tx *tx, char *err, size_t cap)
{
    char dir[PATH_MAX], path[PATH_MAX + 16];
    struct list list = {0};
    struct stat st;
    uint64_t bytes = 0;
    if (!place_of(tx, dir, path) || known(tx, &bytes) != TEDDY_OK)
        return tx_explain(tx, "erasures", err, cap);
    FILE *f = fopen(path, "re");
    if (f == NULL && errno == ENOENT)
        return TEDDY_OK;
    bool ok = f != NULL && fstat(fileno(f), &st) == 0 && S_ISREG(st.st_mode) &&
              (uint64_t)st.st_size <= FILE_MAX_LEN;
    list.bytes = ok ? (uint64_t)st.st_size : 0;
    bool due = ok && list.bytes != bytes;
    if (due)
        ok = read_list(f, &list) && commit_reapplied(tx, &list);
    if (f != NULL)
        fclose(f);
    free(list.of);
    if (ok)
        return TEDDY_OK;
    if (list.lines > 0)
        snprintf(err, cap,
                 "%s: line %zu of the list of forgotten children is damaged, or of a later "
                 "release: restore it from its backup",
                 path, list.lines);
    else
        snprintf(err, cap,
                 "%s: the list of forgotten children cannot be read, or not be applied; without "
                 "it the server does not start: check the disk, or restore it from its backup",
                 path);
    return TEDDY_ESTORE;
}
