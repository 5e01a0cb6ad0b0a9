/* The disk under the data directory: room, kind, and what a commit costs on it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <time.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "cli/link.h"

#define ROOM_WRONG ((uint64_t)100 << 20)
#define ROOM_WARNS ((uint64_t)1 << 30)
#define ROUNDS     9
#define SLOW_MS    100.0
#define LIES_MS    0.01
#define PROBE      "doctor.probe"

static void examine_room(struct doctor *d, const struct statfs *fs)
{
    uint64_t room = (uint64_t)fs->f_bavail * (uint64_t)fs->f_bsize;
    uint64_t all = (uint64_t)fs->f_blocks * (uint64_t)fs->f_bsize;
    enum finding f = room < ROOM_WRONG   ? FINDING_WRONG
                     : room < ROOM_WARNS ? FINDING_WARNS
                                         : FINDING_GOOD;
    char mend[WORD_MAX + 100];

    (void)snprintf(mend, sizeof mend,
                   "du -xh --max-depth=1 %s | sort -h   # and make the file system larger", d->dir);
    if (f == FINDING_GOOD)
        found_good(d, "%.1f of %.1f GB are free", (double)room / 1e9, (double)all / 1e9);
    else
        found(d, f, mend, "%.0f of %.0f MB are free: claims fail (503) once nothing is",
              (double)room / 1e6, (double)all / 1e6);
}

static void examine_kind(struct doctor *d, const struct statfs *fs)
{
    char mend[WORD_MAX + 100];

    if (fs->f_type == TMPFS_MAGIC || fs->f_type == RAMFS_MAGIC) {
        (void)snprintf(mend, sizeof mend,
                       "systemctl stop teddyd; cp -a %s /var/lib/teddy; teddyd --data "
                       "/var/lib/teddy",
                       d->dir);
        found(d, FINDING_WRONG, mend,
              "%s is in memory (tmpfs): every toy is lost when the machine ends", d->ctl->dir);
    } else if (fs->f_type == OVERLAYFS_SUPER_MAGIC) {
        found(d, FINDING_WARNS,
              "podman run -v teddy-data:/data …   # a volume for the data directory",
              "%s is in a container's own layer (overlay): it goes with the container",
              d->ctl->dir);
    } else if (fs->f_type == NFS_SUPER_MAGIC || fs->f_type == SMB_SUPER_MAGIC) {
        found(d, FINDING_WRONG, "teddyd --data /var/lib/teddy   # a disk of this machine",
              "%s is on the network: SQLite's log cannot be shared there", d->ctl->dir);
    }
}

static int by_size(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static double ms_between(const struct timespec *a, const struct timespec *b)
{
    return 1e3 * (double)(b->tv_sec - a->tv_sec) + 1e-6 * (double)(b->tv_nsec - a->tv_nsec);
}

/* The median of writing a page and syncing it; below 0 with errno. */
static double measure(int fd)
{
    double ms[ROUNDS];
    char page[4096];

    memset(page, 'x', sizeof page);
    for (int i = 0; i < ROUNDS; i++) {
        struct timespec from, to;
        (void)clock_gettime(CLOCK_MONOTONIC, &from);
        if (pwrite(fd, page, sizeof page, (off_t)sizeof page * i) != sizeof page || fsync(fd) != 0)
            return -1;
        (void)clock_gettime(CLOCK_MONOTONIC, &to);
        ms[i] = ms_between(&from, &to);
    }
    qsort(ms, ROUNDS, sizeof ms[0], by_size);
    return ms[ROUNDS / 2];
}

static void examine_writing(struct doctor *d)
{
    char path[sizeof d->ctl->dir + 32], mend[2 * WORD_MAX + 64];
    double ms = -1;
    int fd, why;

    (void)snprintf(path, sizeof path, "%s/" PROBE, d->ctl->dir);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0)
        ms = measure(fd);
    why = errno;
    if (fd >= 0) {
        (void)close(fd);
        (void)unlink(path);
    }
    (void)snprintf(mend, sizeof mend,
                   why == EROFS    ? "mount -o remount,rw $(findmnt -no TARGET -T %s)"
                   : why == EACCES ? "sudo teddyctl doctor"
                                   : "findmnt -T %s; df -h %s",
                   d->dir, d->dir);
    if (ms < 0)
        found(d, FINDING_WRONG, mend, "%s cannot be written: %s", d->ctl->dir, strerror(why));
    else if (ms > SLOW_MS)
        found(d, FINDING_WARNS, mend,
              "a page is written and synced in %.0f ms: so long each claim waits", ms);
    else if (ms < LIES_MS)
        found(d, FINDING_WARNS, mend,
              "a page is written and synced in %.3f ms: no disk is so fast, fsync lies here", ms);
    else
        found_good(d, "a page is written and synced in %.2f ms", ms);
}

void examine_disk(struct doctor *d)
{
    struct statfs fs;

    d->area = "disk";
    if (statfs(d->ctl->dir, &fs) != 0) {
        found(d, FINDING_WRONG, "sudo teddyctl doctor", "%s: %s", d->ctl->dir, strerror(errno));
        return;
    }
    examine_room(d, &fs);
    examine_kind(d, &fs);
    if (!link_become_owner(d->ctl->dir)) {
        found(d, FINDING_WARNS, "sudo teddyctl doctor", "its owner's rights cannot be taken");
        return;
    }
    examine_writing(d);
    link_become_self();
}
