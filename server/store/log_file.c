/* The write-ahead log as the writer's connection sees it. SQLite writes each frame in two calls,
 * the 24 bytes of its head and the page; a group's frames are one run of bytes, and nobody reads
 * them before they are synced. So they are gathered here and go to the file in pieces of GATHER.
 * What waits goes before anything else is done with the file, and first of all with its sync; a
 * failure is then that call's. Where a torn write may spoil what stands beside it, SQLite writes
 * some of a commit behind its sync, and nothing is gathered. Everything but the log, and
 * the database file (database_file.c), is the real VFS's own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/internal.h"

/* SQLite's own VFS writes at most 128 KiB less a byte at once; of 128 KiB it would write nothing.
 */
#define GATHER ((size_t)120 * 1024)

/* Followed in memory by the real VFS's file. */
struct log_file {
    sqlite3_file base;
    sqlite3_int64 at; /* where the first byte of held goes */
    size_t len, cap;
    uint8_t *held; /* GATHER bytes */
    int lost;      /* why what was held did not reach the file, or SQLITE_OK */
};

static struct log_file *log_of(sqlite3_file *f)
{
    return (struct log_file *)(void *)f;
}

static sqlite3_file *real_of(sqlite3_file *f)
{
    return (sqlite3_file *)(void *)(log_of(f) + 1);
}

/* What could not be written is given up, and the transaction is lost with it. SQLite does not know
 * that: it was told that these bytes are written, and might take the failure for the statement's
 * alone. So everything fails from here on, and the commit at last, until log_forget. */
static int put(sqlite3_file *f)
{
    struct log_file *log = log_of(f);
    size_t len = log->len;
    log->len = 0;
    if (log->lost == SQLITE_OK && len > 0)
        log->lost = real_of(f)->pMethods->xWrite(real_of(f), log->held, (int)len, log->at);
    return log->lost;
}

static int log_close(sqlite3_file *f)
{
    int rc = put(f), closed = real_of(f)->pMethods->xClose(real_of(f));
    free(log_of(f)->held);
    return rc != SQLITE_OK ? rc : closed;
}

static int log_read(sqlite3_file *f, void *out, int len, sqlite3_int64 at)
{
    int rc = put(f);
    return rc != SQLITE_OK ? rc : real_of(f)->pMethods->xRead(real_of(f), out, len, at);
}

static int log_write(sqlite3_file *f, const void *data, int len, sqlite3_int64 at)
{
    struct log_file *log = log_of(f);
    bool fits = at == log->at + (sqlite3_int64)log->len && (size_t)len <= log->cap - log->len;
    int rc = fits ? log->lost : put(f);
    if (rc != SQLITE_OK)
        return rc;
    if ((size_t)len > log->cap)
        return real_of(f)->pMethods->xWrite(real_of(f), data, len, at);
    if (log->len == 0)
        log->at = at;
    memcpy(log->held + log->len, data, (size_t)len);
    log->len += (size_t)len;
    return SQLITE_OK;
}

static int log_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    int rc = put(f);
    return rc != SQLITE_OK ? rc : real_of(f)->pMethods->xTruncate(real_of(f), size);
}

static int log_sync(sqlite3_file *f, int flags)
{
    int rc = put(f);
    return rc != SQLITE_OK ? rc : real_of(f)->pMethods->xSync(real_of(f), flags);
}

static int log_size(sqlite3_file *f, sqlite3_int64 *size)
{
    int rc = put(f);
    return rc != SQLITE_OK ? rc : real_of(f)->pMethods->xFileSize(real_of(f), size);
}

static int log_lock(sqlite3_file *f, int how)
{
    return real_of(f)->pMethods->xLock(real_of(f), how);
}

static int log_unlock(sqlite3_file *f, int how)
{
    return real_of(f)->pMethods->xUnlock(real_of(f), how);
}

static int log_reserved(sqlite3_file *f, int *out)
{
    return real_of(f)->pMethods->xCheckReservedLock(real_of(f), out);
}

static int log_control(sqlite3_file *f, int op, void *arg)
{
    return real_of(f)->pMethods->xFileControl(real_of(f), op, arg);
}

static int log_sector(sqlite3_file *f)
{
    return real_of(f)->pMethods->xSectorSize(real_of(f));
}

static int log_device(sqlite3_file *f)
{
    return real_of(f)->pMethods->xDeviceCharacteristics(real_of(f));
}

static const sqlite3_io_methods methods = {.iVersion = 1,
                                           .xClose = log_close,
                                           .xRead = log_read,
                                           .xWrite = log_write,
                                           .xTruncate = log_truncate,
                                           .xSync = log_sync,
                                           .xFileSize = log_size,
                                           .xLock = log_lock,
                                           .xUnlock = log_unlock,
                                           .xCheckReservedLock = log_reserved,
                                           .xFileControl = log_control,
                                           .xSectorSize = log_sector,
                                           .xDeviceCharacteristics = log_device};

static int log_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *f, int flags, int *out_flags)
{
    sqlite3_vfs *real = ((struct log_vfs *)(void *)vfs)->real;
    if (!(flags & SQLITE_OPEN_WAL)) {
        int opened = real->xOpen(real, path, f, flags, out_flags);
        if (opened == SQLITE_OK && (flags & SQLITE_OPEN_MAIN_DB))
            database_file_watch((struct log_vfs *)(void *)vfs, f);
        return opened;
    }
    struct log_file *log = log_of(f);
    *log = (struct log_file){.held = malloc(GATHER)};
    if (log->held == NULL)
        return SQLITE_NOMEM;
    int rc = real->xOpen(real, path, real_of(f), flags, out_flags);
    if (rc == SQLITE_OK)
        log->base.pMethods = &methods;
    else
        free(log->held);
    if (rc == SQLITE_OK && (log_device(f) & SQLITE_IOCAP_POWERSAFE_OVERWRITE))
        log->cap = GATHER;
    return rc;
}

int log_vfs_add(struct log_vfs *v, const char *real)
{
    sqlite_set_up(); /* the next call is SQLite's first in a process that looks at a database before
                        it opens its store */
    v->real = sqlite3_vfs_find(real);
    v->database_real = NULL;
    if (v->real == NULL)
        return TEDDY_ESTORE;
    v->vfs = *v->real;
    v->vfs.pNext = NULL;
    v->vfs.zName = v->name;
    v->vfs.szOsFile = (int)sizeof(struct log_file) + v->real->szOsFile;
    v->vfs.xOpen = log_open;
    snprintf(v->name, sizeof v->name, "log-%p", (void *)v);
    return sqlite3_vfs_register(&v->vfs, 0) == SQLITE_OK ? TEDDY_OK : TEDDY_ESTORE;
}

void log_vfs_remove(struct log_vfs *v)
{
    if (v->real != NULL)
        sqlite3_vfs_unregister(&v->vfs);
    v->real = NULL;
}

void log_forget(sqlite3 *db)
{
    sqlite3_file *f = NULL;
    if (sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &f) == SQLITE_OK &&
        f != NULL && f->pMethods == &methods) {
        log_of(f)->len = 0;
        log_of(f)->lost = SQLITE_OK;
    }
}
