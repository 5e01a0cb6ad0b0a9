/* A backup's file is made beside, under another name, which it changes once it is whole and on the
 * disk. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/backup_file.h"
#include "store/internal.h"

struct target {
    const char *file;
    bool replace;
    char partial[PATH_MAX];
    int fd;
};

static int refuse(const char *name, const char *what, char *err, size_t cap)
{
    snprintf(err, cap, "%s: %s", name, what);
    return TEDDY_EIO;
}

static int io_failed(const char *name, const char *what, char *err, size_t cap)
{
    snprintf(err, cap, "%s: cannot be %s: %s", name, what, strerror(errno));
    return TEDDY_EIO;
}

/* Only a backup is replaced: the file may be the very database. */
static int may_take_name(const struct target *t, char *err, size_t cap)
{
    struct backup_manifest m;
    int rc = TEDDY_OK, fd = open(t->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT ? TEDDY_OK : io_failed(t->file, "opened", err, cap);
    if (!t->replace)
        rc = refuse(t->file, "it is there already; say --force to replace it", err, cap);
    else if (!backup_manifest_read(fd, &m))
        rc = refuse(t->file, "it is no backup by teddyctl, and --force replaces only those", err,
                    cap);
    (void)close(fd);
    return rc;
}

/* Nobody else's, or who has it can read the backup; no second name of another file; and not the
 * file of a backup that has just got its name. */
static bool is_own(const struct target *t)
{
    struct stat open, named;
    return fstat(t->fd, &open) == 0 && lstat(t->partial, &named) == 0 &&
           open.st_ino == named.st_ino && open.st_dev == named.st_dev && S_ISREG(open.st_mode) &&
           open.st_uid == geteuid() && open.st_nlink == 1;
}

static int lock_target(const struct target *t, char *err, size_t cap)
{
    if (flock(t->fd, LOCK_EX | LOCK_NB) != 0)
        return refuse(t->partial, "another backup is writing it", err, cap);
    if (!is_own(t))
        return refuse(t->partial, "is not a file of yours alone; remove it", err, cap);
    if (fchmod(t->fd, 0600) != 0 || ftruncate(t->fd, 0) != 0)
        return io_failed(t->partial, "written", err, cap);
    return TEDDY_OK;
}

/* What a run that was killed has left is written over; two do not write one file. */
static int open_target(struct target *t, char *err, size_t cap)
{
    if (snprintf(t->partial, sizeof t->partial, "%s.partial", t->file) >= (int)sizeof t->partial) {
        (void)refuse(t->file, "its name is too long", err, cap);
        return TEDDY_EINVAL;
    }
    int rc = may_take_name(t, err, cap);
    if (rc != TEDDY_OK)
        return rc;
    t->fd = open(t->partial, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    return t->fd < 0 ? io_failed(t->partial, "made", err, cap) : lock_target(t, err, cap);
}

static int finish_target(const struct target *t, char *err, size_t cap)
{
    int rc = fsync(t->fd);
    if (rc == 0)
        rc = renameat2(AT_FDCWD, t->partial, AT_FDCWD, t->file, t->replace ? 0 : RENAME_NOREPLACE);
    if (rc != 0 && errno == EINVAL && access(t->file, F_OK) != 0)
        rc = rename(t->partial, t->file); /* a file system that knows no such flag */
    if (rc != 0 || !sync_directory_of(t->file))
        return io_failed(t->file, "written", err, cap);
    return TEDDY_OK;
}

/* Where a restore takes the database's place meanwhile, there are two logs of one name: what was
 * read is then worth nothing. (The former keeps its inode: it is kept beside.) */
static int copy_database(const char *from, const struct target *t, const struct backup_watch *w,
                         struct backup_manifest *m, char *err, size_t cap)
{
    struct stat before, after, copy;
    if (stat(from, &before) != 0)
        return io_failed(from, "opened", err, cap);
    if (w->opening != NULL && !w->opening(w->arg))
        return io_failed(from, "opened as its owner", err, cap);
    m->made_s = (uint64_t)time(NULL);
    int rc = store_backup_copy(from, t->partial, w, &m->facts, err, cap);
    if (rc == TEDDY_OK && w->progress != NULL)
        w->progress(w->arg, "checking the copy", 0, 0);
    if (rc == TEDDY_OK)
        rc = store_backup_check(t->partial, t->partial, false, &m->facts, err, cap);
    if (rc != TEDDY_OK)
        return rc;
    if (stat(from, &after) != 0 || after.st_ino != before.st_ino)
        return refuse(from, "a restore has replaced it meanwhile; try again", err, cap);
    if (fstat(t->fd, &copy) != 0)
        return io_failed(t->partial, "read", err, cap);
    m->bytes = (uint64_t)copy.st_size;
    (void)snprintf(m->version, sizeof m->version, "%s", TEDDY_VERSION);
    return TEDDY_OK;
}

static int fill_target(const char *from, const struct target *t, const struct backup_watch *w,
                       struct backup_manifest *m, char *err, size_t cap)
{
    int rc = copy_database(from, t, w, m, err, cap);
    if (rc == TEDDY_OK)
        rc = backup_digest(t->fd, t->partial, m->bytes, -1, NULL, w, m->sha256, err, cap);
    if (rc == TEDDY_OK)
        rc = backup_manifest_write(t->fd, t->partial, m, err, cap);
    if (rc == TEDDY_OK)
        rc = finish_target(t, err, cap);
    if (rc != TEDDY_OK)
        (void)unlink(t->partial);
    return rc;
}

int store_backup_make(const char *from, const char *file, bool replace,
                      const struct backup_watch *w, struct backup_manifest *out, char *err,
                      size_t cap)
{
    struct target t = {.file = file, .replace = replace, .fd = -1};
    *out = (struct backup_manifest){0};
    int rc = open_target(&t, err, cap);
    if (rc == TEDDY_OK)
        rc = fill_target(from, &t, w, out, err, cap);
    if (t.fd >= 0)
        (void)close(t.fd);
    return rc;
}
