/* The key file on disk: for its owner alone, read whole, replaced whole. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "identity/key_file.h"
#include "identity/keys.h"
#include "proto/text.h"

#define FILE_MAX 65536

static int fail(const char *path, const char *what, char *err, size_t cap)
{
    snprintf(err, cap, "keys %s: %s: %s", path, what, strerror(errno));
    return TEDDY_EIO;
}

static int read_all(int fd, char *buf, size_t cap, size_t *len)
{
    *len = 0;
    while (*len < cap) {
        ssize_t n = read(fd, buf + *len, cap - *len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return TEDDY_EIO;
        if (n == 0)
            return TEDDY_OK;
        *len += (size_t)n;
    }
    return TEDDY_ETOOBIG;
}

static int parse(const char *path, const char *text, size_t len, json_t **doc, char *err,
                 size_t cap)
{
    json_error_t where;
    *doc = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where);
    if (*doc != NULL && json_is_array(json_object_get(*doc, "keys")))
        return TEDDY_OK;
    if (*doc == NULL)
        snprintf(err, cap,
                 "keys %s: line %d: %s; restore a backup, or move the file away for new keys", path,
                 where.line, where.text);
    else
        snprintf(err, cap,
                 "keys %s: it is not a JWKS (an object with an array \"keys\"); restore a backup",
                 path);
    json_decref(*doc);
    *doc = NULL;
    return TEDDY_EPROTO;
}

static int check_file(int fd, const char *path, char *err, size_t cap)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return fail(path, "cannot be examined", err, cap);
    if (!S_ISREG(st.st_mode)) {
        snprintf(err, cap, "keys %s: it is not a file", path);
        return TEDDY_EPROTO;
    }
    if ((st.st_mode & 077) != 0) {
        snprintf(err, cap,
                 "keys %s: others may read or write it (mode %03o): chmod 600 it, and replace the "
                 "keys if somebody did",
                 path, (unsigned)st.st_mode & 0777u);
        return TEDDY_EAUTH;
    }
    return TEDDY_OK;
}

int keys_file_read(const char *path, json_t **doc, char *err, size_t cap)
{
    *doc = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT)
        return TEDDY_ENOTFOUND;
    if (fd < 0)
        return fail(path, "cannot be opened", err, cap);
    int r = check_file(fd, path, err, cap);
    char *text = r == TEDDY_OK ? malloc(FILE_MAX) : NULL;
    if (text != NULL) {
        size_t len = 0;
        r = read_all(fd, text, FILE_MAX, &len);
        if (r == TEDDY_OK)
            r = parse(path, text, len, doc, err, cap);
        else if (r == TEDDY_ETOOBIG)
            snprintf(err, cap, "keys %s: it is larger than %d bytes", path, FILE_MAX);
        else
            (void)fail(path, "cannot be read", err, cap);
        wipe(text, FILE_MAX);
        free(text);
    } else if (r == TEDDY_OK) {
        snprintf(err, cap, "keys %s: out of memory", path);
        r = TEDDY_ENOMEM;
    }
    close(fd);
    return r;
}

int keys_file_write(const char *path, const json_t *doc, char *err, size_t cap)
{
    char *text = json_dumps(doc, JSON_INDENT(2));
    if (text == NULL) {
        snprintf(err, cap, "keys %s: out of memory", path);
        return TEDDY_ENOMEM;
    }
    int r = key_file_replace(path, text, strlen(text)) == TEDDY_OK
                ? TEDDY_OK
                : fail(path, "cannot be written", err, cap);
    wipe(text, strlen(text));
    free(text);
    return r;
}
