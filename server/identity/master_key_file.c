#include "identity/master_key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "identity/key_file.h"

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

int master_file_write(const char *path, const char *text, size_t len, char *err, size_t cap)
{
    return key_file_replace(path, text, len) == TEDDY_OK
               ? TEDDY_OK
               : fail(path, "cannot be written", err, cap);
}
