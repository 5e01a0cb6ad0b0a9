/* Batches: which devices were made together at the factory. A batch's row is written by the
 * transaction that adds its devices, so that one is never there without the other. Within a job's
 * run, with the results of store.h. */
#ifndef STORE_BATCHES_H
#define STORE_BATCHES_H

#include "store/store.h"

#define STORE_BATCH_ID_LEN 16                    /* lower-case hex digits */
#define STORE_NUMBER_MAX   999999999999999999ull /* of a device's number */

struct batch_row {
    int64_t row; /* in the order in which they were added */
    char id[STORE_BATCH_ID_LEN + 1];
    /* The devices are prefix and a number of `digits` digits, from first to first + count - 1. */
    char prefix[LIMIT_ID_LEN + 1];
    uint64_t first, count;
    unsigned digits;
    uint64_t created_s;
    uint8_t manifest_sha256[32]; /* of the manifest.json that was written with it */
};

/* b->row is not looked at. TEDDY_EDUP: there is one of this id. */
int store_batch_add(struct store_tx *tx, const struct batch_row *b);
int store_batch_get(struct store_tx *tx, const char *id, struct batch_row *out);
/* From the first behind row `after`, of this prefix ("": all); each is called until it returns
 * false. */
int store_batch_list(struct store_tx *tx, int64_t after, const char *prefix,
                     bool (*each)(void *arg, const struct batch_row *row), void *arg);
/* The number behind all that ever followed this prefix: in a device's id, or in a batch whose
 * devices may have been removed since. 1 when there are none. Reads the ids of all devices of the
 * prefix. */
int store_batch_next(struct store_tx *tx, const char *prefix, uint64_t *next);

/* What store_device_add would say, without adding: TEDDY_EDUP when a device has this secret. */
int store_secret_unused(struct store_tx *tx, const uint8_t secret[LIMIT_SECRET_LEN]);

#endif
