/* Who may write to a data directory: the server while it runs, or a tool that works on the store
 * directly. An exclusive flock on DIR/lock; the kernel drops it when its holder dies, however it
 * dies. */
#ifndef OPS_DATALOCK_H
#define OPS_DATALOCK_H

#include <stddef.h>

#include "teddy/err.h"

/* Takes the lock without waiting; *fd holds it until data_unlock. TEDDY_AGAIN: another process has
 * it, err names its pid; TEDDY_EIO: the file cannot be made or locked, err says why. Threads: any.
 * Blocks: no. Allocates: no. */
TEDDY_MUST_CHECK int data_lock(const char *dir, int *fd, char *err, size_t cap);
void data_unlock(int fd);

#endif
