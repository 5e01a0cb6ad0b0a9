#include "store/backup.h"

#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "store/internal.h"

#define PAGES_A_STEP    256
#define BUSY_TIMEOUT_MS 5000

/* Behind the text and the versions of its form: 1 for both is a file without a write-ahead log. */
#define WRITE_VERSION_AT 18

static int refuse(const char *name, const char *what, char *err, size_t cap)
{
    snprintf(err, cap, "%s: %s", name, what);
    return TEDDY_ESTORE;
}

static int explain(const struct store_tx *tx, const char *name, char *err, size_t cap)
{
    snprintf(err, cap, "%s: %s", name, tx->db == NULL ? "out of memory" : sqlite3_errmsg(tx->db));
    return TEDDY_ESTORE;
}

/* The one row of a query. NULL: there is none, or it failed. */
static sqlite3_stmt *row_of(struct store_tx *tx, const char *sql)
{
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(tx->db, sql, -1, &st, NULL) == SQLITE_OK &&
        sqlite3_step(st) == SQLITE_ROW)
        return st;
    sqlite3_finalize(st);
    return NULL;
}

/* Of an older release the secrets stand there in the clear, or did, and may still stand in what is
 * free: no copy is made of those. */
static int read_facts(struct store_tx *tx, const char *name, struct backup_facts *f, char *err,
                      size_t cap)
{
    int rc = schema_check(tx, name, &f->schema, err, cap);
    if (rc == TEDDY_OK)
        rc = schema_compare(tx, name, f->schema, err, cap); /* before anything of it is run */
    if (rc != TEDDY_OK)
        return rc;
    sqlite3_stmt *st = row_of(tx, "SELECT master_id, (SELECT count(*) FROM device) FROM seal_key"
                                  " WHERE swept = 1");
    if (st == NULL)
        return refuse(name, "it has no sealed secrets: start this release's teddyd on it once", err,
                      cap);
    rc = column_blob(tx, st, 0, f->master_id, sizeof f->master_id);
    f->devices = column_u64(st, 1);
    sqlite3_finalize(st);
    return rc == TEDDY_OK ? rc : refuse(name, "its data key is damaged", err, cap);
}

/* ---- The copy ---- */

/* By the filter as well: of a server that was killed the log is copied back when this is closed. */
static int open_source(struct store_tx *tx, const char *from, const char *vfs, char *err,
                       size_t cap)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    if (sqlite3_open_v2(from, &tx->db, flags, vfs) != SQLITE_OK)
        return tx_explain(tx, from, err, cap);
    sqlite3_busy_timeout(tx->db, BUSY_TIMEOUT_MS);
    sqlite3_db_config(tx->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    if (sqlite3_exec(tx->db, "PRAGMA trusted_schema=OFF; PRAGMA query_only=ON; BEGIN", NULL, NULL,
                     NULL) != SQLITE_OK)
        return tx_explain(tx, from, err, cap);
    return TEDDY_OK;
}

/* The file is worth nothing before it is whole: it needs no journal, and is synced later. */
static int open_target(struct store_tx *tx, const char *to, const char *vfs, char *err, size_t cap)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    if (sqlite3_open_v2(to, &tx->db, flags, vfs) != SQLITE_OK ||
        sqlite3_exec(tx->db, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF", NULL, NULL, NULL) !=
            SQLITE_OK)
        return explain(tx, to, err, cap);
    return TEDDY_OK;
}

/* The source is in the middle of a transaction that reads, so that what is committed meanwhile is
 * not in the copy, and does not make it begin anew. */
static int copy_pages(struct store_tx *from, struct store_tx *to, const char *name,
                      const struct backup_watch *w, char *err, size_t cap)
{
    sqlite3_backup *b = sqlite3_backup_init(to->db, "main", from->db, "main");
    int rc = b == NULL ? SQLITE_ERROR : SQLITE_OK;
    while (rc == SQLITE_OK || rc == SQLITE_BUSY || rc == SQLITE_LOCKED) {
        rc = sqlite3_backup_step(b, PAGES_A_STEP);
        int all = sqlite3_backup_pagecount(b);
        if (w->progress != NULL && all > 0)
            w->progress(w->arg, "copying", (uint64_t)(all - sqlite3_backup_remaining(b)),
                        (uint64_t)all);
    }
    if (b != NULL)
        (void)sqlite3_backup_finish(b);
    return rc == SQLITE_DONE ? TEDDY_OK : explain(to, name, err, cap);
}

/* The copy says that it has a log, as its source does. */
static int leave_log(const char *to, char *err, size_t cap)
{
    static const char without[2] = {1, 1};
    int fd = open(to, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && pwrite(fd, without, sizeof without, WRITE_VERSION_AT) == sizeof without;
    if (fd >= 0)
        ok = close(fd) == 0 && ok;
    return ok ? TEDDY_OK : refuse(to, "it cannot be written", err, cap);
}

int store_backup_copy(const char *from, const char *to, const struct backup_watch *w,
                      struct backup_facts *facts, char *err, size_t cap)
{
    struct store_tx source = {0}, target = {0};
    struct log_vfs pages; /* so that the copy has nothing in its pages' free room, either */
    if (log_vfs_add(&pages, NULL) != TEDDY_OK)
        return refuse(to, "there is no memory", err, cap);
    int rc = open_source(&source, from, pages.name, err, cap);
    if (rc == TEDDY_OK)
        rc = read_facts(&source, from, facts, err, cap);
    if (w->opened != NULL)
        w->opened(w->arg);
    if (rc == TEDDY_OK)
        rc = open_target(&target, to, pages.name, err, cap);
    if (rc == TEDDY_OK)
        rc = copy_pages(&source, &target, to, w, err, cap);
    tx_close(&target);
    tx_close(&source);
    log_vfs_remove(&pages);
    return rc == TEDDY_OK ? leave_log(to, err, cap) : rc;
}

static int number_of(struct store_tx *tx, const char *name, const char *sql, int *out, char *err,
                     size_t cap)
{
    sqlite3_stmt *st = row_of(tx, sql);
    if (st == NULL)
        return tx_explain(tx, name, err, cap);
    *out = sqlite3_column_int(st, 0);
    sqlite3_finalize(st);
    return TEDDY_OK;
}

static int read_schema(struct store_tx *tx, const char *path, struct store_schema *out, char *err,
                       size_t cap)
{
    int there = 0, swept = 0;
    int rc = schema_check(tx, path, &out->version, err, cap);
    if (rc == TEDDY_OK)
        rc = number_of(tx, path, "SELECT count(*) FROM sqlite_schema WHERE name = 'seal_key'",
                       &there, err, cap);
    if (rc == TEDDY_OK && there > 0)
        rc = number_of(tx, path, "SELECT coalesce((SELECT swept FROM seal_key), 0)", &swept, err,
                       cap);
    out->sealed = rc == TEDDY_OK && swept == 1;
    return rc;
}

int store_schema_of(const char *path, struct store_schema *out, char *err, size_t cap)
{
    struct store_tx tx = {0};
    struct log_vfs pages;
    *out = (struct store_schema){.known = schema_known()};
    if (access(path, F_OK) != 0)
        return TEDDY_OK;
    if (log_vfs_add(&pages, NULL) != TEDDY_OK)
        return refuse(path, "there is no memory", err, cap);
    int rc = open_source(&tx, path, pages.name, err, cap);
    if (rc == TEDDY_OK)
        rc = read_schema(&tx, path, out, err, cap);
    tx_close(&tx);
    log_vfs_remove(&pages);
    return rc;
}

/* ---- Whether it is whole ---- */

/* file:PATH?immutable=1: SQLite takes no lock, and believes no journal that lies beside it. */
static bool uri_of(const char *path, char out[], size_t cap)
{
    size_t len = (size_t)snprintf(out, cap, "file:");
    for (; *path != '\0' && len + 4 < cap; path++) {
        bool plain = isalnum((unsigned char)*path) || strchr("/-_.", *path) != NULL;
        len += (size_t)snprintf(out + len, cap - len, plain ? "%c" : "%%%02X",
                                plain ? *path : (unsigned char)*path);
    }
    return *path == '\0' && (size_t)snprintf(out + len, cap - len, "?immutable=1") < cap - len;
}

/* The pragma says "ok" in one row, or the first things that it found. */
static int run_check(struct store_tx *tx, const char *name, bool deep, char *err, size_t cap)
{
    sqlite3_stmt *st = row_of(tx, deep ? "PRAGMA integrity_check(1)" : "PRAGMA quick_check(1)");
    const char *says = st != NULL ? (const char *)sqlite3_column_text(st, 0) : NULL;
    int rc = TEDDY_OK;
    if (says == NULL || strcmp(says, "ok") != 0) {
        snprintf(err, cap, "%s: it is damaged (%s); take another backup", name,
                 says != NULL ? says : sqlite3_errmsg(tx->db));
        rc = TEDDY_ESTORE;
    }
    sqlite3_finalize(st);
    st = rc == TEDDY_OK && deep ? row_of(tx, "PRAGMA foreign_key_check") : NULL;
    if (st != NULL)
        rc = refuse(name, "it is damaged (a row belongs to none); take another backup", err, cap);
    sqlite3_finalize(st);
    return rc;
}

int store_backup_check(const char *path, const char *name, bool deep, struct backup_facts *facts,
                       char *err, size_t cap)
{
    struct store_tx tx = {0};
    char uri[3 * PATH_MAX];
    int flags =
        SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    if (!uri_of(path, uri, sizeof uri))
        return refuse(name, "its path is too long", err, cap);
    int rc = sqlite3_open_v2(uri, &tx.db, flags, NULL) == SQLITE_OK ? TEDDY_OK
                                                                    : explain(&tx, name, err, cap);
    if (rc == TEDDY_OK) {
        sqlite3_db_config(tx.db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        if (sqlite3_exec(tx.db, "PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON", NULL, NULL,
                         NULL) != SQLITE_OK)
            rc = explain(&tx, name, err, cap);
    }
    if (rc == TEDDY_OK)
        rc = read_facts(&tx, name, facts, err, cap);
    if (rc == TEDDY_OK)
        rc = run_check(&tx, name, deep, err, cap);
    tx_close(&tx);
    return rc;
}

int store_backup_look(const char *path, struct backup_facts *facts, char *err, size_t cap)
{
    struct store_tx tx = {0};
    struct log_vfs pages;
    if (log_vfs_add(&pages, NULL) != TEDDY_OK)
        return refuse(path, "there is no memory", err, cap);
    int rc = open_source(&tx, path, pages.name, err, cap);
    if (rc == TEDDY_OK)
        rc = read_facts(&tx, path, facts, err, cap);
    if (rc == TEDDY_OK)
        rc = run_check(&tx, path, false, err, cap);
    tx_close(&tx);
    log_vfs_remove(&pages);
    return rc;
}
