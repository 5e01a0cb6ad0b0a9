/* Small files, replaced as a whole: written beside, synced, renamed, and the directory synced, so
 * that a crash or a power cut at any moment leaves the old or the new one. */
#include "posix_port.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int read_all(int fd, uint8_t *buf, size_t cap, size_t *len)
{
    uint8_t more;

    *len = 0;
    for (;;) {
        uint8_t *to = *len < cap ? buf + *len : &more;
        ssize_t n = read(fd, to, *len < cap ? cap - *len : 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return TEDDY_EIO;
        if (n == 0)
            return TEDDY_OK;
        if (*len == cap)
            return TEDDY_ETOOBIG;
        *len += (size_t)n;
    }
}

int file_read(const char *path, bool private_only, uint8_t *buf, size_t cap, size_t *len)
{
    struct stat st;
    /* Non-blocking, so that a FIFO put there cannot hang us. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    int err;

    if (fd < 0)
        return errno == ENOENT ? TEDDY_ENOTFOUND : TEDDY_EIO;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        err = TEDDY_EIO;
    else if (private_only && (st.st_mode & 077) != 0)
        err = TEDDY_EAUTH;
    else
        err = read_all(fd, buf, cap, len);
    close(fd);
    return err;
}

static int write_all(int fd, const uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return TEDDY_EIO;
        data += n;
        len -= (size_t)n;
    }
    return TEDDY_OK;
}

static int write_synced(const char *tmp, const uint8_t *data, size_t len)
{
    int fd, err;

    /* What a crash left there may be a second name of the key: removed, never written to. */
    unlink(tmp);
    fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return TEDDY_EIO;
    err = fchmod(fd, 0600) == 0 ? write_all(fd, data, len) : TEDDY_EIO;
    if (err == TEDDY_OK && fsync(fd) != 0)
        err = TEDDY_EIO;
    if (close(fd) != 0 && err == TEDDY_OK)
        err = TEDDY_EIO;
    if (err)
        unlink(tmp);
    return err;
}

static int sync_directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *dir = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
    int fd, err = TEDDY_OK;

    if (!dir)
        return TEDDY_EIO;
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(dir);
    if (fd < 0)
        return TEDDY_EIO;
    if (fsync(fd) != 0)
        err = TEDDY_EIO;
    close(fd);
    return err;
}

int file_replace(const char *path, const char *tmp, const uint8_t *data, size_t len)
{
    int err = write_synced(tmp, data, len);

    if (err)
        return err;
    if (rename(tmp, path) != 0) {
        unlink(tmp);
        return TEDDY_EIO;
    }
    return sync_directory_of(path);
}

int file_create(const char *path, const char *tmp, const uint8_t *data, size_t len)
{
    int err = write_synced(tmp, data, len);

    if (err)
        return err;
    /* link, unlike rename, refuses what is there: O_EXCL for a file that appears whole. */
    if (link(tmp, path) != 0)
        err = errno == EEXIST ? TEDDY_EDUP : TEDDY_EIO;
    unlink(tmp);
    return err ? err : sync_directory_of(path);
}

int file_remove(const char *path)
{
    if (unlink(path) != 0)
        return errno == ENOENT ? TEDDY_OK : TEDDY_EIO;
    return sync_directory_of(path);
}
