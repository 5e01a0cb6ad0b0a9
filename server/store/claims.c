/* Accepted claims: what makes a second one a replay. */
#include <string.h>

#include "store/internal.h"

static void bind_keys(sqlite3_stmt *st, int64_t device_row, const char *nonce,
                      const uint8_t mac[LIMIT_MAC_LEN])
{
    bind_u64(st, 1, (uint64_t)device_row);
    bind_blob(st, 2, nonce, strlen(nonce));
    bind_blob(st, 3, mac, LIMIT_MAC_LEN);
}

int store_claim_seen(struct store_tx *tx, int64_t device_row, const char *nonce,
                     const uint8_t mac[LIMIT_MAC_LEN], bool *seen)
{
    sqlite3_stmt *st = tx_stmt(
        tx, STMT_CLAIM_SEEN,
        "SELECT EXISTS (SELECT 1 FROM claim_key WHERE device_row = ?1 AND kind = 0 AND key = ?2)"
        " OR EXISTS (SELECT 1 FROM claim_key WHERE device_row = ?1 AND kind = 1 AND key = ?3)");
    bind_keys(st, device_row, nonce, mac);
    int err = tx_row(tx, st);
    if (err == TEDDY_OK)
        *seen = sqlite3_column_int(st, 0) != 0;
    return tx_end(st, err);
}

/* A row each: a statement that writes two keeps a copy of what it changes, to undo the first. */
static int add_key(struct store_tx *tx, int64_t device_row, int kind, const void *key, size_t len,
                   uint64_t now_s)
{
    sqlite3_stmt *st = tx_stmt(tx, STMT_CLAIM_ADD,
                               "INSERT INTO claim_key (device_row, kind, key, accepted_s)"
                               " VALUES (?1, ?2, ?3, ?4)");
    bind_u64(st, 1, (uint64_t)device_row);
    bind_u64(st, 2, (uint64_t)kind);
    bind_blob(st, 3, key, len);
    bind_u64(st, 4, now_s);
    return tx_run(tx, st);
}

/* The MAC first: whoever replays what was captured, however its boundaries are shifted, fails
 * before anything is written, so that there is nothing to undo. An old nonce under a new MAC takes
 * the secret. */
int store_claim_add(struct store_tx *tx, int64_t device_row, const char *nonce,
                    const uint8_t mac[LIMIT_MAC_LEN], uint64_t now_s)
{
    int err = add_key(tx, device_row, 1, mac, LIMIT_MAC_LEN, now_s);
    return err != TEDDY_OK ? err : add_key(tx, device_row, 0, nonce, strlen(nonce), now_s);
}

int store_claim_clear(struct store_tx *tx, int64_t device_row)
{
    sqlite3_stmt *st = tx_stmt(tx, STMT_CLAIM_CLEAR, "DELETE FROM claim_key WHERE device_row = ?1");
    bind_u64(st, 1, (uint64_t)device_row);
    return tx_run(tx, st);
}
