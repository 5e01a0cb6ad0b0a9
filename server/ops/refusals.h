/* Refusals, and what else is too frequent for an event each, counted for the audit trail: per
 * event, reason, actor, block of addresses and minute. Each loop counts in a table of its own, of
 * constant size: what does not fit is counted under the block "other", so that however many
 * addresses refuse nothing grows. */
#ifndef OPS_REFUSALS_H
#define OPS_REFUSALS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define REFUSALS_BLOCKS    64                     /* entries with a block of their own */
#define REFUSALS_MAX       (REFUSALS_BLOCKS + 64) /* and those of "other", one a reason and actor */
#define REFUSALS_BLOCK_LEN 64                     /* of a block's text */

struct refusal {
    const char *event, *reason; /* static text */
    char actor[24];             /* "": nobody who is known */
    uint64_t block;             /* the family and the first bytes of its addresses */
    uint64_t minute;            /* since 1970 */
    uint64_t count;
};

struct refusals {
    unsigned count, blocks;
    struct refusal entry[REFUSALS_MAX];
};

/* Counts one. event and reason live for ever. client NULL: of a session. On any thread; a lock is
 * only shared with refusals_collect. */
void refusal_count(unsigned loop, const char *event, const char *reason,
                   const struct sockaddr_storage *client);
/* The same of an actor, as far as it is known. Threads: any. */
void refusal_count_by(unsigned loop, const char *event, const char *reason, const char *actor,
                      uint64_t block);
/* Moves what was counted in minutes before `minute` (UINT64_MAX: all) to what `into` has. Threads:
 * any. */
void refusals_collect(struct refusals *into, uint64_t minute);
/* Adds to the table as refusal_count does. */
void refusals_add(struct refusals *to, const struct refusal *r);
#define REFUSAL_ALL (UINT64_C(5) << 56) /* of no address */
/* "192.0.2.0/24", "2001:db8:1::/48", "local" (the admin socket), "session", "all", "other". */
void refusal_block_text(uint64_t block, char out[REFUSALS_BLOCK_LEN]);
uint64_t refusal_block(const struct sockaddr_storage *client);

#endif
