/* The list of children that were forgotten: DATA/erasures, beside the database and no part of its
 * backups, so that a restored backup can be told what has been erased since. A line each,
 *
 *     v1 <64 hex digits> <seconds since 1970>
 *
 * whose digits are store_seal_erasure of the child's id: who has no data key cannot tell, or guess,
 * whose it is. The file only grows. The row `server` holds how many of its bytes the database knows
 * of: a database that knows of fewer (it was restored, or a forgetting was cut short between list
 * and commit) is brought up to the list when it is opened. */
#ifndef STORE_ERASURES_H
#define STORE_ERASURES_H

#include "store/store.h"

#define ERASURES_FILE "erasures"

/* Lists the child, durably, before its rows are erased in the same job: whatever happens then, it
 * is erased at the next start if not now. at_s: only what was kept up to then is meant; a child
 * that comes back later under the same id is another. */
int erasures_append(struct store_tx *tx, const char *child_id, uint64_t at_s);
/* Reads a line, without its end; false: it is none. */
bool erasures_line(struct span line, uint8_t mac[SEAL_MAC_LEN], uint64_t *at_s);

#endif
