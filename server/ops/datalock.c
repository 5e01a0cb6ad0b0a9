#include "ops/datalock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* The pid is for the reader of an error alone: what counts is the flock. */
static void note_pid(int fd)
{
    char text[24];
    int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());

    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n)
        return;
}

static void held_by(int fd, const char *dir, char *err, size_t cap)
{
    char pid[16] = "";
    ssize_t n = pread(fd, pid, sizeof pid - 1, 0);
    size_t len = n > 0 ? strspn(pid, "0123456789") : 0;

    pid[len] = '\0';
    (void)snprintf(err, cap, "data directory %s is in use by process %s", dir,
                   len > 0 ? pid : "unknown");
}

int data_lock(const char *dir, int *fd, char *err, size_t cap)
{
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/lock", dir);
    int f;

    if (n < 0 || (size_t)n >= sizeof path) {
        (void)snprintf(err, cap, "data directory: the path is too long");
        return TEDDY_EIO;
    }
    f = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (f < 0) {
        (void)snprintf(err, cap, "%s: %s", path, strerror(errno));
        return TEDDY_EIO;
    }
    if (flock(f, LOCK_EX | LOCK_NB) != 0) {
        int why = errno;
        if (why == EWOULDBLOCK)
            held_by(f, dir, err, cap);
        else
            (void)snprintf(err, cap, "%s: cannot be locked: %s", path, strerror(why));
        (void)close(f);
        return why == EWOULDBLOCK ? TEDDY_AGAIN : TEDDY_EIO;
    }
    note_pid(f);
    *fd = f;
    return TEDDY_OK;
}

void data_unlock(int fd)
{
    /* The file stays: removing it would let a third process lock a new file of that name beside
     * this one. */
    if (fd >= 0)
        (void)close(fd);
}
