/* Inside the identity room: a file of keys is replaced as a whole; power loss leaves the old or the
 * new. Threads: any, one at a time for a path. Blocks: on the disk. */
#ifndef IDENTITY_KEY_FILE_H
#define IDENTITY_KEY_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "teddy/err.h"

/* Writes PATH.new (0600), syncs it, gives it path's name and syncs the directory. TEDDY_EIO with
 * errno. */
TEDDY_MUST_CHECK int key_file_replace(const char *path, const char *text, size_t len);
/* Removes the PATH.new that who was killed has left. */
void key_file_tidy(const char *path);
/* Syncs the directory in which path is: a name that was given there outlives power loss. False with
 * errno. */
TEDDY_MUST_CHECK bool key_file_settle(const char *path);

#endif
