/* One database in the place of another. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/internal.h"
#include "store/restore.h"

#define BUSY_TIMEOUT_MS 1000

static const char *const ends[] = {"", "-wal", "-shm", "-journal"};

static int failed(const char *path, const char *what, char *err, size_t cap)
{
    snprintf(err, cap, "%s: %s: %s", path, what, strerror(errno));
    return TEDDY_EIO;
}

static bool sync_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    return ok;
}

static bool join(char out[PATH_MAX], const char *path, const char *end)
{
    errno = ENAMETOOLONG;
    return snprintf(out, PATH_MAX, "%s%s", path, end) < PATH_MAX;
}

/* Its log would be taken for that of the next file of this name: it goes into the database, for
 * which nothing has to be unsealed, and the last who has it open removes it. */
static int empty_log(const char *path, char *err, size_t cap)
{
    char log[PATH_MAX];
    sqlite3 *db = NULL;
    struct log_vfs pages; /* the former database is kept, or stays: nothing in its free room */
    errno = ENOMEM;
    if (log_vfs_add(&pages, NULL) != TEDDY_OK)
        return failed(path, "it cannot be opened", err, cap);
    int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, pages.name);
    sqlite3_busy_timeout(db, BUSY_TIMEOUT_MS);
    if (rc == SQLITE_OK) /* before something is read, SQLite looks for no log */
        (void)sqlite3_exec(db, "SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    sqlite3_close_v2(db);
    log_vfs_remove(&pages);
    if (!join(log, path, "-wal"))
        return failed(path, "its log has no name", err, cap);
    if (rc != SQLITE_BUSY && access(log, F_OK) != 0)
        return TEDDY_OK;
    errno = EBUSY;
    return failed(path, "somebody reads it, perhaps a backup; wait for that", err, cap);
}

static int keep_former(const char *path, const char *kept, char *err, size_t cap)
{
    int rc = empty_log(path, err, cap);
    if (rc != TEDDY_OK)
        return rc;
    if (link(path, kept) != 0)
        return failed(kept, "cannot be made", err, cap);
    return sync_directory_of(path) ? TEDDY_OK
                                   : failed(path, "its directory cannot be synced", err, cap);
}

int store_swap(const char *path, const char *kept, char *err, size_t cap)
{
    char copy[PATH_MAX], log[PATH_MAX];
    int rc = TEDDY_OK;
    if (!join(copy, path, STORE_RESTORE_SUFFIX) || !join(log, copy, "-wal"))
        return failed(path, "its copy has no name", err, cap);
    errno = EBUSY;
    if (access(log, F_OK) == 0)
        return failed(log, "is there, and should not be", err, cap);
    if (!sync_file(copy))
        return failed(copy, "cannot be synced", err, cap);
    if (kept != NULL)
        rc = keep_former(path, kept, err, cap);
    if (rc != TEDDY_OK)
        return rc;
    if (rename(copy, path) != 0)
        return failed(copy, "cannot take the database's place", err, cap);
    return sync_directory_of(path) ? TEDDY_OK
                                   : failed(path, "its directory cannot be synced", err, cap);
}

/* A second name of the database itself is what a swap that was cut short had begun with. */
static void remove_names(const char *path, const struct stat *database)
{
    char copy[PATH_MAX], other[PATH_MAX];
    const struct dirent *e;
    struct stat st;
    if (!join(copy, path, ""))
        return;
    const char *folder = dirname(copy), *name = strrchr(path, '/');
    DIR *d = opendir(folder);
    while (name != NULL && d != NULL && (e = readdir(d)) != NULL) {
        size_t len = strlen(name + 1);
        if (strncmp(e->d_name, name + 1, len) != 0 || e->d_name[len] == '\0' ||
            snprintf(other, sizeof other, "%s/%s", folder, e->d_name) >= (int)sizeof other)
            continue;
        if (lstat(other, &st) == 0 && st.st_ino == database->st_ino &&
            st.st_dev == database->st_dev)
            (void)unlink(other);
    }
    if (d != NULL)
        (void)closedir(d);
}

void store_swap_tidy(const char *path)
{
    char copy[PATH_MAX], name[PATH_MAX];
    struct stat st;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (join(copy, path, STORE_RESTORE_SUFFIX) && join(name, copy, ends[i]))
            (void)unlink(name);
    if (stat(path, &st) == 0 && st.st_nlink > 1)
        remove_names(path, &st);
}
