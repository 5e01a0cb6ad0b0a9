#include "identity/key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

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

bool key_file_settle(const char *path)
{
    char copy[PATH_MAX];
    errno = ENAMETOOLONG;
    if (snprintf(copy, sizeof copy, "%s", path) >= (int)sizeof copy)
        return false;
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool ok = fsync(fd) == 0;
    close(fd);
    return ok;
}

/* One name: who was killed here leaves no second copy of a key lying about. */
static bool name_new(const char *path, char out[PATH_MAX])
{
    errno = ENAMETOOLONG;
    return snprintf(out, PATH_MAX, "%s.new", path) < PATH_MAX;
}

void key_file_tidy(const char *path)
{
    char temporary[PATH_MAX];
    if (name_new(path, temporary))
        (void)unlink(temporary);
}

int key_file_replace(const char *path, const char *text, size_t len)
{
    char temporary[PATH_MAX];
    if (!name_new(path, temporary))
        return TEDDY_EIO;
    (void)unlink(temporary);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return TEDDY_EIO;
    bool ok = write_synced(fd, text, len);
    ok = close(fd) == 0 && ok;
    ok = ok && rename(temporary, path) == 0;
    if (!ok) {
        int why = errno;
        (void)unlink(temporary);
        errno = why;
        return TEDDY_EIO;
    }
    return key_file_settle(path) ? TEDDY_OK : TEDDY_EIO;
}
