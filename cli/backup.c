/* teddyctl backup: the database as it is at one moment, while whoever works on it goes on. The copy
 * is made beside FILE, as FILE.partial, and gets its name once it is whole and on the disk. */
#include "cli/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct target {
    const char *file;
    char partial[PATH_MAX];
    int fd;
};

/* With --force, too, only a backup is replaced: FILE may be the very database. */
static int may_take_name(const char *file, bool force)
{
    struct backup_manifest m;
    int rc, fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0 && errno == ENOENT)
        return CTL_DONE;
    if (fd < 0)
        return fail("%s: cannot be opened: %s", file, strerror(errno));
    if (!force)
        rc = fail("%s is there already; say --force to replace it", file);
    else if (!backup_is_one(fd, &m))
        rc = fail("%s: is no backup by teddyctl: --force replaces only those", file);
    else
        rc = CTL_DONE;
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

static int lock_target(const struct target *t)
{
    if (flock(t->fd, LOCK_EX | LOCK_NB) != 0)
        return fail("%s: another backup is writing it", t->partial);
    if (!is_own(t))
        return fail("%s: is not a file of yours alone; remove it", t->partial);
    if (fchmod(t->fd, 0600) != 0 || ftruncate(t->fd, 0) != 0)
        return fail("%s: cannot be written: %s", t->partial, strerror(errno));
    return CTL_DONE;
}

/* What a run that was killed has left is written over; two do not write one file. */
static int open_target(struct target *t, const char *file, bool force)
{
    int rc;

    t->file = file;
    if ((size_t)snprintf(t->partial, sizeof t->partial, "%s.partial", file) >= sizeof t->partial)
        return usage("FILE is too long");
    rc = may_take_name(file, force);
    if (rc != CTL_DONE)
        return rc;
    t->fd = open(t->partial, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (t->fd < 0)
        return fail("%s: cannot be made: %s", t->partial, strerror(errno));
    return lock_target(t);
}

static bool sync_directory_of(const char *file)
{
    char copy[PATH_MAX];
    int fd;
    bool ok;

    (void)snprintf(copy, sizeof copy, "%s", file);
    fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ok = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        (void)close(fd);
    return ok;
}

static int finish_target(const struct target *t, bool force)
{
    int rc = fsync(t->fd);

    if (rc == 0)
        rc = renameat2(AT_FDCWD, t->partial, AT_FDCWD, t->file, force ? 0 : RENAME_NOREPLACE);
    if (rc != 0 && errno == EINVAL && access(t->file, F_OK) != 0)
        rc = rename(t->partial, t->file); /* a file system that knows no such flag */
    if (rc != 0 || !sync_directory_of(t->file))
        return fail("%s: cannot be written: %s", t->file, strerror(errno));
    return CTL_DONE;
}

static void opened(void *arg)
{
    (void)arg;
    link_become_self(); /* the copy is of who makes it */
}

static void copied(void *arg, uint64_t pages, uint64_t all)
{
    struct progress *progress = arg;

    progress->unit = "pages";
    progress_show(progress, "copying", pages, all);
}

static int read_database(const struct ctl *ctl, const char *path, const struct target *t,
                         struct progress *progress, struct backup_manifest *m)
{
    struct backup_watch watch = {opened, copied, progress};
    char err[512];
    int rc;

    if (!link_become_owner(ctl->dir))
        return fail("%s: its owner's rights cannot be taken: %s", ctl->dir, strerror(errno));
    m->made_s = (uint64_t)time(NULL);
    rc = store_backup_copy(path, t->partial, &watch, &m->facts, err, sizeof err);
    progress_end(progress);
    progress_busy(progress, "checking the copy");
    if (rc == TEDDY_OK)
        rc = store_backup_check(t->partial, t->partial, false, &m->facts, err, sizeof err);
    progress_end(progress);
    return rc == TEDDY_OK ? CTL_DONE : fail("%s", err);
}

/* Where a restore takes the database's place meanwhile, there are two logs of one name: what was
 * read is then worth nothing. (The former keeps its inode: it is kept beside.) */
static int copy_database(const struct ctl *ctl, const struct target *t, struct progress *progress,
                         struct backup_manifest *m)
{
    struct stat before, after, copy;
    char path[sizeof ctl->dir + 32];
    int rc;

    (void)snprintf(path, sizeof path, "%s/teddy.db", ctl->dir);
    if (link_may(ctl) != CTL_DONE)
        return CTL_FAILED;
    if (stat(path, &before) != 0)
        return fail("%s: cannot be opened: %s", path, strerror(errno));
    rc = read_database(ctl, path, t, progress, m);
    if (rc != CTL_DONE)
        return rc;
    if (stat(path, &after) != 0 || after.st_ino != before.st_ino)
        return fail("%s: a restore has replaced it meanwhile; try again", path);
    if (fstat(t->fd, &copy) != 0)
        return fail("%s: cannot be read: %s", t->partial, strerror(errno));
    m->bytes = (uint64_t)copy.st_size;
    (void)snprintf(m->version, sizeof m->version, "%s", TEDDY_VERSION);
    return CTL_DONE;
}

static int print_backup(const struct ctl *ctl, const struct backup_manifest *m, const char *file)
{
    json_t *json = backup_manifest_json(m, file);
    int rc = json == NULL ? fail("out of memory")
             : ctl->json  ? print_json(json)
                          : print_object(json);

    json_decref(json);
    if (rc == CTL_DONE && !ctl->json)
        (void)fputs("It needs the master key to be restored, which is not in it: keep that in "
                    "another place.\n",
                    stderr);
    return rc;
}

int run_backup(struct ctl *ctl, const char *file)
{
    struct progress progress = progress_begin(ctl, "bytes");
    struct target t = {.fd = -1};
    struct backup_manifest m = {0};
    int rc = link_dir(ctl, false, false);

    if (rc == CTL_DONE)
        rc = open_target(&t, file, ctl->backup.force);
    if (rc == CTL_DONE) {
        rc = copy_database(ctl, &t, &progress, &m);
        if (rc == CTL_DONE)
            rc = backup_digest(t.fd, t.partial, m.bytes, -1, NULL, &progress, m.sha256);
        if (rc == CTL_DONE)
            rc = backup_manifest_write(t.fd, t.partial, &m);
        if (rc == CTL_DONE)
            rc = finish_target(&t, ctl->backup.force);
        if (rc != CTL_DONE)
            (void)unlink(t.partial);
    }
    if (t.fd >= 0)
        (void)close(t.fd);
    if (rc == CTL_DONE)
        backup_note(ctl, &m, file);
    return rc == CTL_DONE ? print_backup(ctl, &m, file) : rc;
}
