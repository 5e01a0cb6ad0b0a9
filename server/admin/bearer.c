/* The admin token: loaded from its file at start, shown by a request over HTTPS. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/internal.h"
#include "proto/text.h"

#define TOKEN_MIN 32
#define TOKEN_MAX 128

static bool token_form_ok(struct span t)
{
    for (size_t i = 0; i < t.len; i++) {
        char c = t.p[i];
        bool alnum = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!alnum && (c == '\0' || strchr("-._~", c) == NULL))
            return false;
    }
    return t.len >= TOKEN_MIN && t.len <= TOKEN_MAX;
}

static int read_file(const char *path, char *buf, size_t cap, size_t *len, char *err,
                     size_t err_cap)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t got = -1;

    if (fd < 0 || fstat(fd, &st) != 0) {
        (void)snprintf(err, err_cap, "admin_token_file %s: %s", path, strerror(errno));
    } else if (!S_ISREG(st.st_mode) || (st.st_mode & 077) != 0) {
        (void)snprintf(err, err_cap,
                       "admin_token_file %s: it must be a file that only its owner may read; chmod "
                       "600 it",
                       path);
    } else if ((got = read(fd, buf, cap)) < 0) {
        (void)snprintf(err, err_cap, "admin_token_file %s: %s", path, strerror(errno));
    }
    if (fd >= 0)
        (void)close(fd);
    *len = got > 0 ? (size_t)got : 0;
    return got < 0 ? TEDDY_EIO : TEDDY_OK;
}

int admin_token_load(const char *path, uint8_t sha256[32], char *err, size_t cap)
{
    char text[TOKEN_MAX + 2];
    size_t len = 0;
    int rc = read_file(path, text, sizeof text, &len, err, cap);

    if (rc != TEDDY_OK)
        return rc;
    if (len > 0 && text[len - 1] == '\n')
        len--;
    if (token_form_ok((struct span){text, len})) {
        (void)SHA256((const uint8_t *)text, len, sha256);
    } else {
        (void)snprintf(err, cap,
                       "admin_token_file %s: it must hold one line of %d to %d characters of A-Z "
                       "a-z 0-9 - . _ ~",
                       path, TOKEN_MIN, TOKEN_MAX);
        rc = TEDDY_EPROTO;
    }
    wipe(text, sizeof text);
    return rc;
}

bool admin_bearer_ok(const struct admin_context *a, const struct http_request *req)
{
    struct span value, token;
    uint8_t digest[32];

    if (http1_field(&req->head, "Authorization", &value) != 1 || value.len < 7 ||
        !span_ieq((struct span){value.p, 7}, "Bearer "))
        return false;
    token = (struct span){value.p + 7, value.len - 7};
    if (!token_form_ok(token))
        return false;
    (void)SHA256((const uint8_t *)token.p, token.len, digest);
    return ct_equal(digest, a->token_sha256, sizeof digest);
}
