#include "identity/master_key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(const char *path, const char *what, char *err, size_t cap)
{
    snprintf(err, cap, "master key %s: %s: %s", path, what, strerror(errno));
    return TEDDY_EIO;
}

static int check(int fd, const char *path, bool granted, char *err, size_t cap)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return fail(path, "cannot be examined", err, cap);
    if (!S_ISREG(st.st_mode)) {
        snprintf(err, cap, "master key %s: it is not a plain file", path);
        return TEDDY_EPROTO;
    }
    if ((st.st_mode & (granted ? 007u : 077u)) == 0)
        return TEDDY_OK;
    snprintf(err, cap,
             "master key %s: others may read or write it (mode %03o): chmod 600 it, and rotate it "
             "if somebody did",
             path, (unsigned)st.st_mode & 0777u);
    return TEDDY_EAUTH;
}

static int read_whole(int fd, const char *path, char text[MASTER_FILE_MAX + 1], size_t *len,
                      char *err, size_t cap)
{
    *len = 0;
    while (*len <= MASTER_FILE_MAX) {
        ssize_t n = read(fd, text + *len, MASTER_FILE_MAX + 1 - *len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(path, "cannot be read", err, cap);
        if (n == 0)
            return TEDDY_OK;
        *len += (size_t)n;
    }
    snprintf(err, cap, "master key %s: it is longer than %d bytes, so it is no key", path,
             MASTER_FILE_MAX);
    return TEDDY_EPROTO;
}

int master_file_read(const char *path, bool granted, char text[MASTER_FILE_MAX + 1], size_t *len,
                     char *err, size_t cap)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return TEDDY_ENOTFOUND;
    if (fd < 0 && errno == ELOOP) {
        snprintf(err, cap, "master key %s: it is a symbolic link; name the file itself", path);
        return TEDDY_EPROTO;
    }
    if (fd < 0)
        return fail(path, "cannot be opened", err, cap);
    int rc = check(fd, path, granted, err, cap);
    if (rc == TEDDY_OK)
        rc = read_whole(fd, path, text, len, err, cap);
    close(fd);
    return rc;
}

static bool write_synced(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, text, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        text += n;
        len -= (size_t)n;
    }
    return fsync(fd) == 0;
}

static bool sync_directory_of(char *path)
{
    int fd = open(dirname(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool ok = fsync(fd) == 0;
    close(fd);
    return ok;
}

static bool name_new(const char *path, char out[PATH_MAX])
{
    return snprintf(out, PATH_MAX, "%s.new", path) < PATH_MAX;
}

void master_file_tidy(const char *path)
{
    char temporary[PATH_MAX];
    if (name_new(path, temporary))
        (void)unlink(temporary);
}

int master_file_write(const char *path, const char *text, size_t len, char *err, size_t cap)
{
    char temporary[PATH_MAX];
    if (!name_new(path, temporary)) {
        errno = ENAMETOOLONG;
        return fail(path, "cannot be written", err, cap);
    }
    /* One name: who was killed here leaves no second copy of a key lying about. */
    (void)unlink(temporary);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail(path, "cannot be written", err, cap);
    bool ok = write_synced(fd, text, len);
    ok = close(fd) == 0 && ok;
    ok = ok && rename(temporary, path) == 0;
    if (!ok) {
        int rc = fail(path, "cannot be written", err, cap);
        unlink(temporary);
        return rc;
    }
    return sync_directory_of(temporary) ? TEDDY_OK
                                        : fail(path, "its directory cannot be synced", err, cap);
}
