/* Reading the audit trail: for upkeep, and for a tool that has the file open beside the server. */
#include <stdio.h>
#include <stdlib.h>

#include "store/audit.h"
#include "store/internal.h"

#define BUSY_MS 5000

static struct span text_at(sqlite3_stmt *st, int at)
{
    const char *text = (const char *)sqlite3_column_text(st, at);
    return (struct span){text, text != NULL ? (size_t)sqlite3_column_bytes(st, at) : 0};
}

static const uint8_t *blob_at(sqlite3_stmt *st, int at, int len)
{
    const void *data = sqlite3_column_blob(st, at);
    return sqlite3_column_bytes(st, at) == len ? data : NULL;
}

static void read_row(sqlite3_stmt *st, struct audit_row *out)
{
    bool has_child = sqlite3_column_type(st, 4) != SQLITE_NULL;
    *out = (struct audit_row){.n = sqlite3_column_int64(st, 0),
                              .at_ms = (uint64_t)sqlite3_column_int64(st, 1),
                              .event = text_at(st, 2),
                              .device_id = text_at(st, 3),
                              .child = has_child ? blob_at(st, 4, AUDIT_CHILD_LEN) : NULL,
                              .actor = text_at(st, 5),
                              .detail = text_at(st, 6),
                              .hash = blob_at(st, 7, AUDIT_HASH_LEN)};
    out->damaged = (has_child && out->child == NULL) || out->hash == NULL;
}

int audit_rows(struct store_tx *tx, int64_t after,
               bool (*each)(void *arg, const struct audit_row *), void *arg)
{
    sqlite3_stmt *st = tx_stmt(tx, STMT_AUDIT_ROWS,
                               "SELECT n, at_ms, event, device_id, child, actor, detail, hash"
                               " FROM audit WHERE n > ?1 ORDER BY n");
    if (st != NULL)
        sqlite3_bind_int64(st, 1, after);
    struct audit_row row;
    int err;
    while ((err = tx_row(tx, st)) == TEDDY_OK) {
        read_row(st, &row);
        if (!each(arg, &row))
            break;
    }
    return tx_end(st, err == TEDDY_ENOTFOUND ? TEDDY_OK : err);
}

/* Where the list goes on: the toy's newest event, or the one before `before`. */
static int list_from(struct store_tx *tx, const char *device_id, int64_t before, bool *listed,
                     int64_t *n)
{
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_AUDIT_TOY, "SELECT row, event FROM device WHERE device_id = ?1");
    bind_text(st, 1, device_id);
    int err = tx_row(tx, st);
    *n = err == TEDDY_OK ? sqlite3_column_int64(st, 1) : 0;
    err = tx_end(st, err);
    *listed = err == TEDDY_OK && *n > 0;
    if (!*listed || before == 0)
        return err;
    st = tx_stmt(tx, STMT_AUDIT_PREV, "SELECT prev FROM audit WHERE n = ?1 AND device_id = ?2");
    bind_u64(st, 1, (uint64_t)before);
    bind_text(st, 2, device_id);
    err = tx_row(tx, st);
    *n = err == TEDDY_OK ? sqlite3_column_int64(st, 0) : 0;
    return tx_end(st, err == TEDDY_ENOTFOUND ? TEDDY_OK : err);
}

int audit_of_device(struct store_tx *tx, const char *device_id, int64_t before,
                    bool (*each)(void *arg, const struct audit_row *), void *arg, bool *listed)
{
    int64_t n = 0;
    int err = list_from(tx, device_id, before, listed, &n);
    bool more = err == TEDDY_OK && *listed;
    while (more && n > 0) {
        sqlite3_stmt *st = tx_stmt(tx, STMT_AUDIT_ROW,
                                   "SELECT n, at_ms, event, device_id, child, actor, detail, hash,"
                                   " prev FROM audit WHERE n = ?1 AND device_id = ?2");
        bind_u64(st, 1, (uint64_t)n);
        bind_text(st, 2, device_id);
        struct audit_row row;
        err = tx_row(tx, st);
        more = err == TEDDY_OK;
        if (more) {
            int64_t prev = sqlite3_column_int64(st, 8);
            read_row(st, &row);
            more =
                each(arg, &row) && prev < n; /* a list that was tampered with ends all the same */
            n = prev;
        }
        err = tx_end(st, err);
    }
    return err == TEDDY_ENOTFOUND ? TEDDY_OK : err; /* what is too old is removed */
}

/* The number of an event that others may follow. What a file may hold is not counted on from. */
static int read_n(struct store_tx *tx, sqlite3_stmt *st, int64_t *out)
{
    *out = sqlite3_column_int64(st, 0);
    return *out >= 0 && *out < INT64_MAX ? TEDDY_OK : tx_damaged(tx);
}

int audit_last(struct store_tx *tx, struct audit_head *out)
{
    *out = (struct audit_head){0};
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_AUDIT_LAST, "SELECT n, hash FROM audit ORDER BY n DESC LIMIT 1");
    int err = tx_row(tx, st);
    if (err == TEDDY_OK) {
        err = read_n(tx, st, &out->n);
        if (err == TEDDY_OK)
            err = column_blob(tx, st, 1, out->hash, AUDIT_HASH_LEN);
    }
    err = tx_end(st, err);
    if (err == TEDDY_ENOTFOUND)
        err = audit_anchor(tx, out);
    return err == TEDDY_ENOTFOUND ? TEDDY_OK : err;
}

/* n, at_ms, hash, signature */
static int read_head(struct store_tx *tx, sqlite3_stmt *st, struct audit_head *out)
{
    out->at_ms = (uint64_t)sqlite3_column_int64(st, 1);
    int err = read_n(tx, st, &out->n);
    if (err == TEDDY_OK)
        err = column_blob(tx, st, 2, out->hash, AUDIT_HASH_LEN);
    return err != TEDDY_OK ? err : column_blob(tx, st, 3, out->signature, AUDIT_SIGNATURE_LEN);
}

int audit_heads(struct store_tx *tx, bool (*each)(void *arg, const struct audit_head *), void *arg)
{
    sqlite3_stmt *st = tx_stmt(tx, STMT_AUDIT_HEADS,
                               "SELECT n, at_ms, hash, signature FROM audit_head ORDER BY n");
    struct audit_head head;
    int err;
    while ((err = tx_row(tx, st)) == TEDDY_OK) {
        err = read_head(tx, st, &head);
        if (err != TEDDY_OK || !each(arg, &head))
            break;
    }
    return tx_end(st, err == TEDDY_ENOTFOUND ? TEDDY_OK : err);
}

int audit_anchor(struct store_tx *tx, struct audit_head *out)
{
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_AUDIT_ANCHOR, "SELECT n, at_ms, hash, signature FROM audit_anchor");
    int err = tx_row(tx, st);
    if (err == TEDDY_OK)
        err = read_head(tx, st, out);
    return tx_end(st, err);
}

/* A reader that may be the last to close the database, and then copies its log back. */
struct audit_file {
    struct store_tx tx; /* first */
    struct log_vfs pages;
};

static int open_file(struct store_tx *tx, const char *path, const char *vfs, char *err, size_t cap)
{
    int version = 0;
    if (sqlite3_open_v2(path, &tx->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                        vfs) != SQLITE_OK)
        return tx_explain(tx, path, err, cap);
    sqlite3_busy_timeout(tx->db, BUSY_MS);
    int r = schema_check(tx, path, &version, err, cap);
    if (r != TEDDY_OK)
        return r;
    if (sqlite3_exec(tx->db, "PRAGMA query_only=ON; PRAGMA trusted_schema=OFF", NULL, NULL, NULL) !=
        SQLITE_OK)
        return tx_explain(tx, path, err, cap);
    if (tx_stmt(tx, STMT_AUDIT_ANCHOR, "SELECT n, at_ms, hash, signature FROM audit_anchor") !=
        NULL)
        return TEDDY_OK;
    snprintf(err, cap, "store %s: there is no audit trail in it yet; start teddyd once", path);
    return TEDDY_ESTORE;
}

int audit_open(const char *path, struct store_tx **out, char *err, size_t cap)
{
    struct audit_file *f = calloc(1, sizeof *f);
    *out = NULL;
    if (f == NULL || log_vfs_add(&f->pages, NULL) != TEDDY_OK) {
        snprintf(err, cap, "store %s: out of memory", path);
        free(f);
        return TEDDY_ESTORE;
    }
    int r = open_file(&f->tx, path, f->pages.name, err, cap);
    if (r == TEDDY_OK)
        *out = &f->tx;
    else
        audit_close(&f->tx);
    return r;
}

int audit_snapshot(struct store_tx *tx, bool begin)
{
    return begin ? tx_exec(tx, STMT_BEGIN, "BEGIN") : tx_exec(tx, STMT_COMMIT, "COMMIT");
}

void audit_close(struct store_tx *tx)
{
    struct audit_file *f = (struct audit_file *)(void *)tx;
    if (f == NULL)
        return;
    tx_close(&f->tx);
    log_vfs_remove(&f->pages);
    free(f);
}
