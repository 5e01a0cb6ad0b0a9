/* One SQLite connection: how it is opened, and the few calls that every statement goes through. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/internal.h"

#define BUSY_TIMEOUT_MS 5000

/* The first failure is the cause; what it undoes fails after it. */
static void broke(struct store_tx *tx, int rc)
{
    tx->broken = true;
    if (tx->why == SQLITE_OK)
        tx->why = rc;
}

static int result_of(struct store_tx *tx, int rc)
{
    switch (rc) {
    case SQLITE_OK:
    case SQLITE_DONE:
    case SQLITE_ROW:
        return TEDDY_OK;
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
        return TEDDY_EDUP;
    case SQLITE_CONSTRAINT_FOREIGNKEY:
        return TEDDY_ENOTFOUND;
    default:
        broke(tx, rc);
        return TEDDY_ESTORE;
    }
}

int tx_damaged(struct store_tx *tx)
{
    broke(tx, SQLITE_CORRUPT);
    return TEDDY_ESTORE;
}

sqlite3_stmt *tx_stmt(struct store_tx *tx, enum stmt_id id, const char *sql)
{
    if (tx->stmts[id] == NULL && sqlite3_prepare_v3(tx->db, sql, -1, SQLITE_PREPARE_PERSISTENT,
                                                    &tx->stmts[id], NULL) != SQLITE_OK)
        broke(tx, sqlite3_extended_errcode(tx->db));
    return tx->stmts[id];
}

int tx_row(struct store_tx *tx, sqlite3_stmt *st)
{
    int rc = st == NULL ? SQLITE_ERROR : sqlite3_step(st);
    return rc == SQLITE_DONE ? TEDDY_ENOTFOUND : result_of(tx, rc);
}

int tx_end(sqlite3_stmt *st, int result)
{
    if (st != NULL) {
        sqlite3_reset(st);
        sqlite3_clear_bindings(st);
    }
    return result;
}

int tx_run(struct store_tx *tx, sqlite3_stmt *st)
{
    int rc = st == NULL ? SQLITE_ERROR : sqlite3_step(st);
    return tx_end(st, result_of(tx, rc));
}

int tx_change(struct store_tx *tx, sqlite3_stmt *st)
{
    int err = tx_run(tx, st);
    if (err == TEDDY_OK && sqlite3_changes(tx->db) == 0)
        return TEDDY_ENOTFOUND;
    return err;
}

int tx_exec(struct store_tx *tx, enum stmt_id id, const char *sql)
{
    return tx_run(tx, tx_stmt(tx, id, sql));
}

void bind_text(sqlite3_stmt *st, int at, const char *text)
{
    if (st != NULL)
        sqlite3_bind_text(st, at, text, -1, SQLITE_STATIC);
}

void bind_blob(sqlite3_stmt *st, int at, const void *data, size_t len)
{
    if (st != NULL)
        sqlite3_bind_blob64(st, at, data, len, SQLITE_STATIC);
}

void bind_u64(sqlite3_stmt *st, int at, uint64_t n)
{
    if (st != NULL)
        sqlite3_bind_int64(st, at, n > INT64_MAX ? INT64_MAX : (sqlite3_int64)n);
}

int column_text(struct store_tx *tx, sqlite3_stmt *st, int at, char *out, size_t cap)
{
    const unsigned char *text = sqlite3_column_text(st, at);
    size_t len = (size_t)sqlite3_column_bytes(st, at);
    if (text == NULL || len >= cap)
        return tx_damaged(tx);
    memcpy(out, text, len);
    out[len] = 0;
    return TEDDY_OK;
}

int column_blob(struct store_tx *tx, sqlite3_stmt *st, int at, void *out, size_t len)
{
    const void *data = sqlite3_column_blob(st, at);
    if (data == NULL || (size_t)sqlite3_column_bytes(st, at) != len)
        return tx_damaged(tx);
    memcpy(out, data, len);
    return TEDDY_OK;
}

uint64_t column_u64(sqlite3_stmt *st, int at)
{
    sqlite3_int64 n = sqlite3_column_int64(st, at);
    return n < 0 ? 0 : (uint64_t)n;
}

static const char *advice(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_NOTADB:
        return "it is not a SQLite database; move it away or choose another data directory";
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return "another program holds it locked; stop that program first";
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
        return "check that its directory exists and that this user may write there";
    case SQLITE_FULL:
        return "the disk is full; make room";
    case SQLITE_IOERR:
        return "the disk does not read or write; check it and the system's log";
    case SQLITE_CORRUPT:
        return "it is damaged; restore a backup";
    default:
        return "see the message before";
    }
}

void tx_report(struct store_tx *tx)
{
    if (tx->why != SQLITE_OK && tx->failed != NULL)
        tx->failed(sqlite3_errstr(tx->why), advice(tx->why), tx->why);
    tx->why = SQLITE_OK;
}

int tx_explain(struct store_tx *tx, const char *path, char *err, size_t cap)
{
    int rc = tx->db == NULL ? SQLITE_NOMEM : sqlite3_extended_errcode(tx->db);
    if (tx->why == SQLITE_OK)
        tx->why = rc;
    snprintf(err, cap, "store %s: %s: %s", path,
             tx->db == NULL ? "out of memory" : sqlite3_errmsg(tx->db), advice(rc));
    return TEDDY_ESTORE;
}

bool sync_directory_of(const char *path)
{
    char copy[PATH_MAX];
    errno = ENAMETOOLONG;
    if (snprintf(copy, sizeof copy, "%s", path) >= (int)sizeof copy)
        return false;
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    return ok;
}

/* The database holds secrets: it is made for its owner alone, and an older one is made so. SQLite
 * gives its -wal and -shm the database's mode. An existing file is never opened here: closing it
 * would drop SQLite's locks of this process. */
static int make_private(const char *path, char *err, size_t cap)
{
    struct stat st;
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0) {
        close(fd);
        if (sync_directory_of(path))
            return TEDDY_OK;
    } else if (errno == EEXIST && stat(path, &st) == 0) {
        if (!S_ISREG(st.st_mode)) {
            snprintf(err, cap, "store %s: it is not a file; choose another data directory", path);
            return TEDDY_ESTORE;
        }
        if ((st.st_mode & 077) == 0 || chmod(path, 0600) == 0)
            return TEDDY_OK;
    }
    snprintf(err, cap, "store %s: %s: %s", path, strerror(errno), advice(SQLITE_CANTOPEN));
    return TEDDY_ESTORE;
}

/* The writer's cache (32 MiB) holds all that a full group changes; with less, SQLite writes pages
 * to the log in the middle of it. A reader's (256 KiB) holds what lies above the rows, and the rest
 * the system's own cache has: with more, memory would grow by 250 bytes with each toy that is read.
 */
static bool pragmas(struct store_tx *tx, const struct store_options *o, bool writer)
{
    char page_size[40]; /* of a database that is still empty; of another it changes nothing */
    snprintf(page_size, sizeof page_size, "PRAGMA page_size=%d", PAGE_LEN);
    static const char common[] = "PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF; PRAGMA "
                                 "temp_store=MEMORY;";
    const char *own =
        !writer ? "PRAGMA query_only=ON; PRAGMA cache_size=-256;"
        : o->unsafe_no_sync
            ? "PRAGMA synchronous=OFF; PRAGMA cache_size=-32768; PRAGMA secure_delete=ON;"
            : "PRAGMA synchronous=FULL; PRAGMA cache_size=-32768; PRAGMA secure_delete=ON;";
    return (!writer || sqlite3_exec(tx->db, page_size, NULL, NULL, NULL) == SQLITE_OK) &&
           sqlite3_exec(tx->db, common, NULL, NULL, NULL) == SQLITE_OK &&
           sqlite3_exec(tx->db, own, NULL, NULL, NULL) == SQLITE_OK;
}

/* database_file.c knows pages of these sizes, and no others than a database without auto_vacuum
 * has: it would leave what was erased, or zero what is in use. */
static int check_pages(struct store_tx *tx, const char *path, char *err, size_t cap)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(tx->db,
                                "SELECT s.page_size, v.auto_vacuum"
                                " FROM pragma_page_size s, pragma_auto_vacuum v",
                                -1, &st, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    tx->page_len = rc == SQLITE_ROW ? (unsigned)sqlite3_column_int(st, 0) : 0;
    bool fit = (tx->page_len == PAGE_LEN || tx->page_len == PAGE_LEN_FORMER) &&
               sqlite3_column_int(st, 1) == 0;
    if (rc != SQLITE_ROW)
        tx_explain(tx, path, err, cap);
    else if (!fit)
        snprintf(err, cap,
                 "store %s: its pages are not as teddyd makes them; sqlite3 %s 'PRAGMA "
                 "journal_mode=DELETE; PRAGMA auto_vacuum=NONE; PRAGMA page_size=%d; VACUUM'",
                 path, path, PAGE_LEN);
    sqlite3_finalize(st);
    return fit ? TEDDY_OK : TEDDY_ESTORE;
}

static int enter_wal(struct store_tx *tx, const char *path, char *err, size_t cap)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(tx->db, "PRAGMA journal_mode=WAL", -1, &st, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    bool wal =
        rc == SQLITE_ROW && sqlite3_stricmp((const char *)sqlite3_column_text(st, 0), "wal") == 0;
    if (rc != SQLITE_ROW)
        tx_explain(tx, path, err, cap);
    else if (!wal)
        snprintf(err, cap,
                 "store %s: its file system cannot keep a write-ahead log; use a local disk", path);
    sqlite3_finalize(st);
    return wal ? TEDDY_OK : TEDDY_ESTORE;
}

int tx_open(struct store_tx *tx, const struct store_options *o, const char *vfs, bool writer,
            char *err, size_t cap)
{
    *tx = (struct store_tx){.failed = o->failed};
    int version = 0;
    if (writer && make_private(o->path, err, cap) != TEDDY_OK)
        return TEDDY_ESTORE;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
                (writer ? SQLITE_OPEN_CREATE : 0);
    if (sqlite3_open_v2(o->path, &tx->db, flags, vfs) != SQLITE_OK)
        return tx_explain(tx, o->path, err, cap);
    sqlite3_busy_timeout(tx->db, BUSY_TIMEOUT_MS);
    sqlite3_db_config(tx->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    int r = schema_check(tx, o->path, &version, err, cap);
    if (r != TEDDY_OK)
        return r;
    if (!pragmas(tx, o, writer))
        return tx_explain(tx, o->path, err, cap);
    if (writer)
        r = check_pages(tx, o->path, err, cap);
    if (writer && r == TEDDY_OK)
        r = enter_wal(tx, o->path, err, cap);
    if (writer && r == TEDDY_OK)
        r = seal_upgrade(tx, o, version, err, cap);
    return r != TEDDY_OK ? r : seal_start(tx, o, writer, err, cap);
}

void tx_close(struct store_tx *tx)
{
    for (size_t i = 0; i < STMT_COUNT; i++)
        sqlite3_finalize(tx->stmts[i]);
    sqlite3_close_v2(tx->db);
    seal_box_free(tx->box);
    audit_chain_free(tx->audit);
    device_places_free(tx);
    *tx = (struct store_tx){0};
}
