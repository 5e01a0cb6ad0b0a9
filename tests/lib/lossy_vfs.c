#include "tests/lib/lossy_vfs.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/lossy_disk.h"

/* A file as SQLite holds it; the real one, which carries the locks and the -shm, follows it in
 * memory. */
struct lossy_file {
    sqlite3_file base;
    struct disk_file *disk;
    bool syncs_directory; /* a journal or -wal made now: its first sync makes its name last */
};

static sqlite3_vfs *real; /* the default VFS */
static sqlite3_vfs lossy;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows, and the disk */
static uint64_t calls, cut_at;
static bool cut;
static unsigned open_files;

static sqlite3_file *real_of(sqlite3_file *file)
{
    return (sqlite3_file *)((struct lossy_file *)file + 1);
}

/* Under the lock: counts a changing call; false when there is no power (any more). */
static bool powered(void)
{
    calls++;
    if (cut_at != 0 && calls >= cut_at)
        cut = true;
    return !cut;
}

static int file_close(sqlite3_file *file)
{
    pthread_mutex_lock(&lock);
    open_files--;
    pthread_mutex_unlock(&lock);
    return real_of(file)->pMethods->xClose(real_of(file));
}

static int file_read(sqlite3_file *file, void *out, int len, sqlite3_int64 offset)
{
    struct disk_file *d = ((struct lossy_file *)file)->disk;
    int rc = SQLITE_OK;
    pthread_mutex_lock(&lock);
    if (cut) {
        rc = SQLITE_IOERR_READ;
    } else {
        size_t want = (size_t)len, at = (size_t)offset;
        size_t have = at >= d->size ? 0 : d->size - at < want ? d->size - at : want;
        if (have > 0)
            memcpy(out, d->image + at, have);
        if (have < want) {
            memset((uint8_t *)out + have, 0, want - have);
            rc = SQLITE_IOERR_SHORT_READ;
        }
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

static int file_write(sqlite3_file *file, const void *data, int len, sqlite3_int64 offset)
{
    pthread_mutex_lock(&lock);
    bool ok = powered();
    if (ok)
        disk_write(((struct lossy_file *)file)->disk, (uint64_t)offset, data, (size_t)len);
    pthread_mutex_unlock(&lock);
    return ok ? SQLITE_OK : SQLITE_IOERR_WRITE;
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    pthread_mutex_lock(&lock);
    bool ok = powered();
    if (ok)
        disk_truncate(((struct lossy_file *)file)->disk, (uint64_t)size);
    pthread_mutex_unlock(&lock);
    return ok ? SQLITE_OK : SQLITE_IOERR_TRUNCATE;
}

static int file_sync(sqlite3_file *file, int flags)
{
    (void)flags;
    struct lossy_file *f = (struct lossy_file *)file;
    pthread_mutex_lock(&lock);
    bool ok = powered() && disk_sync(f->disk);
    if (ok && f->syncs_directory) {
        disk_sync_directory(f->disk->path);
        f->syncs_directory = false;
    }
    pthread_mutex_unlock(&lock);
    return ok ? SQLITE_OK : SQLITE_IOERR_FSYNC;
}

static int file_size(sqlite3_file *file, sqlite3_int64 *size)
{
    pthread_mutex_lock(&lock);
    bool ok = !cut;
    if (ok)
        *size = (sqlite3_int64)((struct lossy_file *)file)->disk->size;
    pthread_mutex_unlock(&lock);
    return ok ? SQLITE_OK : SQLITE_IOERR_FSTAT;
}

static int file_lock(sqlite3_file *file, int level)
{
    return lossy_vfs_is_cut() ? SQLITE_IOERR_LOCK
                              : real_of(file)->pMethods->xLock(real_of(file), level);
}

static int file_unlock(sqlite3_file *file, int level)
{
    return real_of(file)->pMethods->xUnlock(real_of(file), level);
}

static int file_check_reserved(sqlite3_file *file, int *out)
{
    return real_of(file)->pMethods->xCheckReservedLock(real_of(file), out);
}

static int file_control(sqlite3_file *file, int op, void *arg)
{
    switch (op) {
    case SQLITE_FCNTL_SIZE_HINT: /* these would change the real file behind our back */
    case SQLITE_FCNTL_CHUNK_SIZE:
        return SQLITE_OK;
    case SQLITE_FCNTL_MMAP_SIZE:
        return SQLITE_NOTFOUND;
    default:
        return real_of(file)->pMethods->xFileControl(real_of(file), op, arg);
    }
}

static int file_sector_size(sqlite3_file *file)
{
    return real_of(file)->pMethods->xSectorSize(real_of(file));
}

/* What every disk promises, and no more: a write leaves the bytes beside it alone. */
static int file_characteristics(sqlite3_file *file)
{
    (void)file;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static int shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **out)
{
    if (lossy_vfs_is_cut())
        return SQLITE_IOERR_SHMMAP;
    return real_of(file)->pMethods->xShmMap(real_of(file), page, size, extend, out);
}

static int shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
    return real_of(file)->pMethods->xShmLock(real_of(file), offset, n, flags);
}

static void shm_barrier(sqlite3_file *file)
{
    real_of(file)->pMethods->xShmBarrier(real_of(file));
}

static int shm_unmap(sqlite3_file *file, int remove)
{
    return real_of(file)->pMethods->xShmUnmap(real_of(file), remove);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2, /* no memory-mapped reading: it would see the real file */
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_reserved,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_characteristics,
    .xShmMap = shm_map,
    .xShmLock = shm_lock,
    .xShmBarrier = shm_barrier,
    .xShmUnmap = shm_unmap,
};

static int vfs_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags,
                    int *out_flags)
{
    (void)vfs;
    const int journals = SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL;
    if (path == NULL || (flags & (SQLITE_OPEN_MAIN_DB | journals)) == 0)
        return real->xOpen(real, path, file, flags, out_flags); /* temporary: nobody misses it */
    struct lossy_file *f = (struct lossy_file *)file;
    *f = (struct lossy_file){0};
    int exists = 0;
    pthread_mutex_lock(&lock);
    int rc = cut ? SQLITE_CANTOPEN : SQLITE_OK;
    if (rc == SQLITE_OK)
        rc = real->xAccess(real, path, SQLITE_ACCESS_READWRITE, &exists);
    if (rc == SQLITE_OK)
        rc = real->xOpen(real, path, real_of(file), flags, out_flags);
    if (rc == SQLITE_OK) {
        f->disk = disk_open(path, exists != 0);
        f->syncs_directory = exists == 0 && (flags & journals) != 0;
        f->base.pMethods = &methods;
        open_files++;
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *path, int sync_directory)
{
    (void)vfs;
    int exists = 0, rc = SQLITE_OK;
    pthread_mutex_lock(&lock);
    if (!powered())
        rc = SQLITE_IOERR_DELETE;
    else if (real->xAccess(real, path, SQLITE_ACCESS_READWRITE, &exists) != SQLITE_OK || !exists)
        rc = SQLITE_IOERR_DELETE_NOENT;
    else if (!disk_delete(path))
        rc = SQLITE_IOERR_DELETE;
    else if (sync_directory)
        disk_sync_directory(path);
    pthread_mutex_unlock(&lock);
    return rc;
}

/* To SQLite an empty journal does not exist; whether it is empty, only we know. */
static int vfs_access(sqlite3_vfs *vfs, const char *path, int flags, int *out)
{
    (void)vfs;
    pthread_mutex_lock(&lock);
    const struct disk_file *d = disk_find(path);
    int rc = SQLITE_OK;
    if (cut)
        rc = SQLITE_IOERR_ACCESS;
    else if (d != NULL && flags == SQLITE_ACCESS_EXISTS)
        *out = d->size > 0;
    else
        rc = real->xAccess(real, path, flags, out);
    pthread_mutex_unlock(&lock);
    return rc;
}

int lossy_vfs_register(void)
{
    if (real != NULL)
        return SQLITE_OK;
    real = sqlite3_vfs_find(NULL);
    if (real == NULL)
        return SQLITE_ERROR;
    lossy = *real; /* what is not about files is the real one's */
    lossy.zName = LOSSY_VFS;
    lossy.szOsFile = (int)sizeof(struct lossy_file) + real->szOsFile;
    lossy.pNext = NULL;
    lossy.xOpen = vfs_open;
    lossy.xDelete = vfs_delete;
    lossy.xAccess = vfs_access;
    return sqlite3_vfs_register(&lossy, 0);
}

void lossy_vfs_cut_after(uint64_t n)
{
    pthread_mutex_lock(&lock);
    cut_at = n == 0 ? 0 : calls + n;
    pthread_mutex_unlock(&lock);
}

void lossy_vfs_cut(void)
{
    pthread_mutex_lock(&lock);
    cut = true;
    pthread_mutex_unlock(&lock);
}

bool lossy_vfs_is_cut(void)
{
    pthread_mutex_lock(&lock);
    bool is = cut;
    pthread_mutex_unlock(&lock);
    return is;
}

uint64_t lossy_vfs_calls(void)
{
    pthread_mutex_lock(&lock);
    uint64_t n = calls;
    pthread_mutex_unlock(&lock);
    return n;
}

void lossy_vfs_restart(enum lossy_mode mode, uint64_t seed)
{
    pthread_mutex_lock(&lock);
    if (open_files != 0)
        abort();
    disk_power_cut(mode, seed);
    cut = false;
    cut_at = 0;
    pthread_mutex_unlock(&lock);
}
