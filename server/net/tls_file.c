#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/tls_internal.h"

static bool write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        data += n;
        len -= (size_t)n;
    }
    return true;
}

static bool sync_dir_of(char *path)
{
    char *slash = strrchr(path, '/');
    if (slash)
        slash[slash == path] = 0;
    int fd = open(slash ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool ok = fsync(fd) == 0;
    close(fd);
    return ok;
}

bool tls_file_replace(const char *path, const void *data, size_t len, bool synced)
{
    char temp[PATH_MAX + 8];
    if (snprintf(temp, sizeof temp, "%s.new", path) >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return false;
    }
    (void)unlink(temp); /* of a start that was interrupted */
    int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return false;
    bool ok = fchmod(fd, 0600) == 0 && write_all(fd, data, len) && (!synced || fsync(fd) == 0);
    ok = close(fd) == 0 && ok;
    if (ok && rename(temp, path) == 0)
        return !synced || sync_dir_of(temp);
    int why = errno;
    (void)unlink(temp);
    errno = why;
    return false;
}
