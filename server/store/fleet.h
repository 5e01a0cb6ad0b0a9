/* The registry as somebody looks at it: a toy's row with what its state is told from, in the order
 * of ids. Within a job's run. */
#ifndef STORE_FLEET_H
#define STORE_FLEET_H

#include "store/store.h"

struct fleet_row {
    int64_t row;
    char device_id[LIMIT_ID_LEN + 1];
    bool enabled;
    char child_id[LIMIT_ID_LEN + 1]; /* "" when not bound */
    char firmware_version[LIMIT_FIRMWARE_LEN + 1];
    uint64_t secret_rev;
    uint64_t created_s, claimed_s, seen_s; /* 0: never */
    uint64_t refresh_exp_s;                /* of its token family; 0: none is in force */
    char processor[24];                    /* its own; "": the configuration's */
};

/* In order of device_id, behind `after`, while each returns true: a walk along the index of ids. */
int store_fleet_list(struct store_tx *tx, const char *after,
                     bool (*each)(void *arg, const struct fleet_row *row), void *arg);
int store_fleet_get(struct store_tx *tx, const char *device_id, struct fleet_row *out);
/* When it was last here, as far as its history tells; 0: it does not. */
int store_fleet_last(struct store_tx *tx, int64_t device_row, uint64_t *at_s);

#endif
