/* The master key's file on disk: for its owner alone, read whole, replaced whole. */
#ifndef IDENTITY_MASTER_KEY_FILE_H
#define IDENTITY_MASTER_KEY_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "teddy/err.h"

#define MASTER_FILE_MAX 256 /* bytes */

/* TEDDY_ENOTFOUND (err untouched): there is none. TEDDY_EAUTH: others could read it. TEDDY_EPROTO:
 * it is no plain file, or too long. TEDDY_EIO. granted: its permissions were given by systemd,
 * whose way to let a service read is the group's bits. */
TEDDY_MUST_CHECK int master_file_read(const char *path, bool granted,
                                      char text[MASTER_FILE_MAX + 1], size_t *len, char *err,
                                      size_t cap);
/* Replaces it; one writer at a time. TEDDY_EIO. */
TEDDY_MUST_CHECK int master_file_write(const char *path, const char *text, size_t len, char *err,
                                       size_t cap);

#endif
