/* The OOB secret's file. */
#include "posix_port.h"

#include <stdio.h>
#include <string.h>

#include "proto/limits.h"
#include "proto/text.h"

static size_t trimmed(const uint8_t *buf, size_t len)
{
    while (len > 0 && (buf[len - 1] == '\n' || buf[len - 1] == '\r' || buf[len - 1] == ' '))
        len--;
    return len;
}

int secret_read(const char *path, uint8_t out[32], char *why, size_t why_len)
{
    uint8_t buf[2 * LIMIT_SECRET_LEN + 8];
    size_t len = 0;
    int err = file_read(path, true, buf, sizeof buf, &len);

    if (err == TEDDY_EAUTH)
        snprintf(why, why_len, "others may read the secret in %s: chmod 600 it", path);
    else if (err == TEDDY_ENOTFOUND)
        snprintf(why, why_len, "there is no secret file %s: put the toy's oob_secret there", path);
    else if (err == TEDDY_EIO)
        snprintf(why, why_len, "cannot read the secret file %s: it must be a file of yours", path);
    else if (err || hex_decode((struct span){(const char *)buf, trimmed(buf, len)}, out,
                               LIMIT_SECRET_LEN)) {
        snprintf(why, why_len, "the secret file %s must hold 64 hex digits and nothing else", path);
        err = TEDDY_EPROTO;
    }
    wipe(buf, sizeof buf);
    return err;
}
