#include "ops/secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/text.h"

static int fail(const char *path, const char *what, char *err, size_t cap)
{
    (void)snprintf(err, cap, "%s: %s", path, what);
    return TEDDY_EINVAL;
}

/* A credential is systemd's, which lets the service's group read it. */
static const char *wrong_file(int fd, bool granted)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return strerror(errno);
    if (!S_ISREG(st.st_mode))
        return "it is not a plain file";
    if ((st.st_mode & (granted ? 007u : 077u)) != 0)
        return "others may read or write it: chmod 600 it, and change the secret if somebody did";
    return NULL;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* To its bare text, terminated. */
static const char *trim(char *text, size_t len)
{
    size_t start = 0;

    while (len > 0 && is_space(text[len - 1]))
        len--;
    while (start < len && is_space(text[start]))
        start++;
    for (size_t i = start; i < len; i++)
        if (text[i] < 0x21 || text[i] > 0x7E)
            return "it must hold one word of printable ASCII";
    if (start == len)
        return "it is empty";
    memmove(text, text + start, len - start);
    text[len - start] = '\0';
    return NULL;
}

static const char *read_whole(int fd, char out[SECRET_MAX + 1])
{
    size_t len = 0;

    for (ssize_t n; len <= SECRET_MAX; len += (size_t)n) {
        n = read(fd, out + len, SECRET_MAX + 1 - len);
        if (n < 0)
            return strerror(errno);
        if (n == 0)
            return trim(out, len);
    }
    return "it is too long for a secret";
}

static int read_file(const char *path, bool granted, char out[SECRET_MAX + 1], char *err,
                     size_t cap)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    const char *wrong = fd < 0 ? strerror(errno) : wrong_file(fd, granted);

    if (fd >= 0 && wrong == NULL)
        wrong = read_whole(fd, out);
    if (fd >= 0)
        close(fd);
    if (wrong == NULL)
        return TEDDY_OK;
    wipe(out, SECRET_MAX + 1);
    return fail(path, wrong, err, cap);
}

int secret_read(const char *credential, const char *path, char out[SECRET_MAX + 1], char *err,
                size_t cap)
{
    const char *dir = getenv("CREDENTIALS_DIRECTORY");
    char file[PATH_MAX];

    if (dir != NULL && dir[0] == '/') {
        int n = snprintf(file, sizeof file, "%s/%s", dir, credential);
        if (n > 0 && n < (int)sizeof file && access(file, F_OK) == 0)
            return read_file(file, true, out, err, cap);
    }
    return path != NULL ? read_file(path, false, out, err, cap) : TEDDY_ENOTFOUND;
}
