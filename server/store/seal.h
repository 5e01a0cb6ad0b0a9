/* Secrets at rest, as the store's users see them: the master keys that a store is opened with, and
 * their rotation. */
#ifndef STORE_SEAL_H
#define STORE_SEAL_H

#include "store/seal_box.h"
#include "store/store.h"

#define SEAL_MASTERS 2

/* What a store is opened with. The newest key comes first; a database that is sealed under the
 * other is put under the newest. The store reads it during store_open only: then it can be wiped.
 */
struct seal_master {
    uint8_t key[SEAL_MASTERS][SEAL_KEY_LEN];
    unsigned count;
    const char *from; /* where keys were looked for, for errors */
    /* Asked when there is none and the database needs its first: makes one and keeps it durably
     * before it returns TEDDY_OK. NULL, or an error with err: the store does not open. */
    int (*make)(struct seal_master *m, char *err, size_t cap);
};

/* Within a job's run. The name of the master key that the database is sealed under, and since when.
 */
int store_seal_state(struct store_tx *tx, uint8_t id[SEAL_ID_LEN], uint64_t *since_s);
/* TEDDY_OK: one of these is the key; TEDDY_EAUTH: none. */
int store_seal_fits(struct store_tx *tx, const struct seal_master *m);
/* Puts the data key under the first of these; one of them must be the present one (TEDDY_EAUTH).
 * What is open goes on: the data key stays the same. */
int store_seal_rewrap(struct store_tx *tx, const struct seal_master *m, uint64_t now_s);

/* HMAC-SHA256 under a key that only this database's data key gives: names what was erased without
 * saying it. */
int store_seal_erasure(struct store_tx *tx, const void *data, size_t len,
                       uint8_t mac[SEAL_MAC_LEN]);

#endif
