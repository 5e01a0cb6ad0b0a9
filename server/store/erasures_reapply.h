/* What was erased stays erased over a restore: DATA/erasures names each forgotten child, one line
 * for each: "v1 ", 64 hex digits (store_seal_erasure of the child's id), a space, seconds since
 * 1970. */
#ifndef STORE_ERASURES_REAPPLY_H
#define STORE_ERASURES_REAPPLY_H

#include "store/seal.h"

/* Within a job's run. Forgets every child in the database that the file at path lists; *listed: its
 * lines, 0 when there is no such file; *forgotten: how many were. A line that a crash has cut short
 * was never answered for and is passed over; anything else that is no such line is refused.
 * TEDDY_ESTORE with err. */
TEDDY_MUST_CHECK int erasures_reapply(struct store_tx *tx, const char *path, uint64_t *listed,
                                      uint64_t *forgotten, char *err, size_t cap);

#endif
