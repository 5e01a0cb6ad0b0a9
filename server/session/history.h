/* What a hub's sessions leave of themselves: gathered here and written in batches, one at a time
 * and only while the store has little to do, so that neither an utterance nor a claim ever waits
 * for it. Beyond HISTORY_WAITING_MAX entries, or when the store cannot, what comes is dropped and
 * counted. All on the hub's loop unless it says otherwise. */
#ifndef SESSION_HISTORY_H
#define SESSION_HISTORY_H

#include "net/loop.h"
#include "store/history.h"

#define HISTORY_BATCH       256u /* entries of one write job; a few milliseconds of the writer */
#define HISTORY_WAITING_MAX 8192u

struct history;
struct session_owner;

/* NULL: out of memory. */
struct history *history_new(struct loop *loop, struct store *store,
                            const struct telemetry_bounds *bounds);
/* What waits is given up. The loop does not run any more; NULL is fine. */
void history_free(struct history *h);
void history_telemetry(struct history *h, const struct history_owner *owner,
                       const struct telemetry_row *row);
void history_session(struct history *h, const struct history_owner *owner,
                     const struct past_session *session);
/* What waits of the device, or of the child (the other is NULL), is not written. */
void history_forget(struct history *h, const char *device_id, const char *child_id);
/* Writes what waits, and waits for it. The loop stands still, the store is still open; from here on
 * nothing is taken any more. NULL is fine. */
void history_flush(struct history *h);

#endif
