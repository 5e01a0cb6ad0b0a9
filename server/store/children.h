/* What the store holds on a child, across its tables. Within a job's run. */
#ifndef STORE_CHILDREN_H
#define STORE_CHILDREN_H

#include "store/store.h"

/* Every table with something of a child in it, and how much of it was erased there. */
#define CHILD_TABLES 10

struct child_erased {
    const char *table[CHILD_TABLES];
    uint64_t rows[CHILD_TABLES];
};

/* Erases what was kept on the child up to up_to_s, from every table: its bindings with their times
 * and token families, the messages to its toys, the key of its pseudonym, what its conversations
 * left (talk.h). UINT64_MAX: all. A child that nothing is known of is fine. */
int store_child_forget(struct store_tx *tx, const char *child_id, uint64_t up_to_s,
                       struct child_erased *out);
/* When something was last kept on it; 0: nothing is. Later than now, if the clock has been set
 * back.
 */
int store_child_latest(struct store_tx *tx, const char *child_id, uint64_t *at_s);
/* In a write job: what it deleted is to be gone from the database file and its log, too, before the
 * job is done (as far as no reader is in the way; then soon after). */
void store_scrub(struct store_tx *tx);
/* Revokes the families of all its toys, *devices of them; the bindings stay. */
int store_child_revoke(struct store_tx *tx, const char *child_id, uint64_t *devices);

/* ---- What there is of it, to be shown. Each behind a row that was shown before, `limit` of them
 * at most, in order. ---- */

struct child_binding {
    int64_t row; /* of the device */
    char device_id[LIMIT_ID_LEN + 1];
    bool enabled;
    char firmware_version[LIMIT_FIRMWARE_LEN + 1];
    struct span client_timestamp; /* during the call */
    uint64_t claimed_s, seen_s;
    bool has_family; /* one is in force */
    uint64_t iat_s, access_exp_s, refresh_exp_s, spent_s;
};

struct child_message {
    int64_t row;
    const char *device_id; /* during the call, as is message.body */
    struct downlink_row message;
};

/* False from each: no more. */
int store_child_bindings(struct store_tx *tx, const char *child_id, int64_t after_row,
                         unsigned limit,
                         bool (*each)(void *arg, const struct child_binding *binding), void *arg);
int store_child_messages(struct store_tx *tx, const char *child_id, int64_t after_row,
                         const struct downlink_id *after, unsigned limit,
                         bool (*each)(void *arg, const struct child_message *message), void *arg);

#endif
