/* Secrets that the operator keeps in files: API keys and the like. */
#ifndef OPS_SECRET_FILE_H
#define OPS_SECRET_FILE_H

#include <stddef.h>

#include "teddy/err.h"

#define SECRET_MAX 4096

/* Reads a secret of printable ASCII; white space around it does not count. From the systemd
 * credential of that name when there is one, else from path (mode 0600, a plain file), which may be
 * NULL: TEDDY_ENOTFOUND. Any other error is said in err, without a byte of what was read. The
 * caller wipes out. Before threads: reads the environment. */
TEDDY_MUST_CHECK int secret_read(const char *credential, const char *path, char out[SECRET_MAX + 1],
                                 char *err, size_t cap);

#endif
