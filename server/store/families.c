/* Token families: a device has one in force, or none, and its row holds it: the newest pair and
 * what that spent. */
#include <string.h>

#include "store/internal.h"

static void bind_pair(sqlite3_stmt *st, int at, const struct pair_row *pair)
{
    bind_blob(st, at, pair->access_jti, STORE_JTI_LEN);
    bind_blob(st, at + 1, pair->refresh_jti, STORE_JTI_LEN);
    bind_u64(st, at + 2, pair->iat_s);
    bind_u64(st, at + 3, pair->access_exp_s);
    bind_u64(st, at + 4, pair->refresh_exp_s);
}

#define BOUND                                                                                      \
    " firmware_version = ?3, client_timestamp = ?4, claimed_s = ?5, seen_s = ?5, sid = ?6,"        \
    " access_jti = ?7, refresh_jti = ?8, iat_s = ?9, access_exp_s = ?10, refresh_exp_s = ?11,"     \
    " presented = 0, spent_jti = NULL, spent_s = 0, event = ?12"

static void bind_claim(sqlite3_stmt *st, const struct claim_row *c, uint64_t event)
{
    const struct family_row *f = c->family;
    bind_text(st, 3, c->firmware);
    bind_text(st, 4, c->timestamp);
    bind_u64(st, 5, c->now_s);
    bind_blob(st, 6, f->sid, STORE_JTI_LEN);
    bind_pair(st, 7, &f->pair);
    bind_u64(st, 12, event);
}

/* Naming a column among those to be set costs its indexes a page each, though nothing changes: the
 * child is left alone when it is the same. */
int device_bind(struct store_tx *tx, const struct device_row *device, const struct claim_row *c,
                const struct claim_keys *recent)
{
    const char *child_id = c->family->child_id;
    uint64_t event = 0;
    if (audit_next(tx, &event) != TEDDY_OK)
        return TEDDY_ESTORE;
    bool same = strcmp(device->child_id, child_id) == 0;
    if (!same && device->child_id[0] != 0) {
        int err = downlink_clear_row(tx, device->row);
        if (err == TEDDY_OK)
            err = history_clear_row(tx, device->row);
        if (err != TEDDY_OK)
            return err;
    }
    sqlite3_stmt *st = same ? tx_stmt(tx, STMT_DEVICE_REBIND,
                                      "UPDATE device SET" BOUND ", recent = ?13 WHERE row = ?1"
                                      " AND recent = ?14 AND child_id = ?2")
                            : tx_stmt(tx, STMT_DEVICE_BIND,
                                      "UPDATE device SET" BOUND ", recent = ?13, child_id = ?2"
                                      " WHERE row = ?1 AND recent = ?14");
    bind_u64(st, 1, (uint64_t)device->row);
    bind_text(st, 2, child_id);
    bind_claim(st, c, event);
    bind_blob(st, 13, recent->bytes, recent->len);
    bind_blob(st, 14, device->recent.bytes, device->recent.len);
    return tx_change(tx, st);
}

int device_rebind_if(struct store_tx *tx, const char *device_id, int64_t row,
                     const struct claim_row *c)
{
    uint64_t event = 0;
    if (audit_next(tx, &event) != TEDDY_OK)
        return TEDDY_ESTORE;
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_DEVICE_REBIND_IF,
                "UPDATE device SET" BOUND ", recent = claim_recent() WHERE" DEVICE_AT
                " AND CASE WHEN device_id = ?1" /* in this order: nobody else's row is judged */
                " THEN claim_fits(row, enabled, child_id, sealed, recent, event) END");
    bind_text(st, 1, device_id);
    if (row > 0)
        bind_u64(st, 2, (uint64_t)row);
    bind_claim(st, c, event);
    return tx_change(tx, st);
}

/* The columns of a device that has a family. */
static int read_family(struct store_tx *tx, sqlite3_stmt *st, struct family_row *out)
{
    out->pair.iat_s = column_u64(st, 6);
    out->pair.access_exp_s = column_u64(st, 7);
    out->pair.refresh_exp_s = column_u64(st, 8);
    out->presented = sqlite3_column_int(st, 9) != 0;
    out->has_spent = sqlite3_column_type(st, 10) != SQLITE_NULL;
    out->spent_s = column_u64(st, 11);
    if (column_blob(tx, st, 3, out->sid, STORE_JTI_LEN) != TEDDY_OK ||
        column_blob(tx, st, 4, out->pair.access_jti, STORE_JTI_LEN) != TEDDY_OK ||
        column_blob(tx, st, 5, out->pair.refresh_jti, STORE_JTI_LEN) != TEDDY_OK)
        return TEDDY_ESTORE;
    return out->has_spent ? column_blob(tx, st, 10, out->spent_jti, STORE_JTI_LEN) : TEDDY_OK;
}

static int read_row(struct store_tx *tx, sqlite3_stmt *st, const uint8_t *sid,
                    struct family_row *out)
{
    out->device_row = sqlite3_column_int64(st, 0);
    out->device_enabled = sqlite3_column_int(st, 1) != 0;
    out->own_processor = sqlite3_column_int(st, 12) != 0;
    out->revoked = true;
    if (column_text(tx, st, 2, out->child_id, sizeof out->child_id) != TEDDY_OK)
        return TEDDY_ESTORE;
    if (sqlite3_column_type(st, 3) == SQLITE_NULL)
        return TEDDY_OK;
    int err = read_family(tx, st, out);
    out->revoked = sid != NULL && memcmp(out->sid, sid, STORE_JTI_LEN) != 0;
    return err;
}

int store_family_get(struct store_tx *tx, const char *device_id, const uint8_t *sid,
                     struct family_row *out)
{
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_FAMILY_GET,
                "SELECT row, enabled, child_id, sid, access_jti, refresh_jti, iat_s, access_exp_s,"
                " refresh_exp_s, presented, spent_jti, spent_s, processor <> '' FROM device"
                " WHERE" DEVICE_AT);
    int err = tx_device(tx, st, device_id);
    if (err == TEDDY_OK) {
        *out = (struct family_row){0};
        (void)memccpy(out->device_id, device_id, 0, sizeof out->device_id - 1);
        err = read_row(tx, st, sid, out);
    }
    return tx_end(st, err);
}

int store_family_rotate(struct store_tx *tx, int64_t device_row, const uint8_t sid[STORE_JTI_LEN],
                        const struct pair_row *pair, uint64_t now_s)
{
    sqlite3_stmt *st = tx_stmt(
        tx, STMT_FAMILY_ROTATE,
        "UPDATE device SET spent_jti = refresh_jti, spent_s = ?8, presented = 0, access_jti = ?3,"
        " refresh_jti = ?4, iat_s = ?5, access_exp_s = ?6, refresh_exp_s = ?7"
        " WHERE row = ?1 AND sid = ?2");
    bind_u64(st, 1, (uint64_t)device_row);
    bind_blob(st, 2, sid, STORE_JTI_LEN);
    bind_pair(st, 3, pair);
    bind_u64(st, 8, now_s);
    return tx_change(tx, st);
}

int store_family_presented(struct store_tx *tx, int64_t device_row,
                           const uint8_t sid[STORE_JTI_LEN])
{
    sqlite3_stmt *st = tx_stmt(tx, STMT_FAMILY_PRESENTED,
                               "UPDATE device SET presented = 1 WHERE row = ?1 AND sid = ?2");
    bind_u64(st, 1, (uint64_t)device_row);
    bind_blob(st, 2, sid, STORE_JTI_LEN);
    return tx_change(tx, st);
}

int store_family_revoke(struct store_tx *tx, int64_t device_row)
{
    sqlite3_stmt *st = tx_stmt(tx, STMT_FAMILY_REVOKE,
                               "UPDATE device SET sid = NULL WHERE row = ?1 AND sid IS NOT NULL");
    bind_u64(st, 1, (uint64_t)device_row);
    return tx_run(tx, st);
}

int store_family_end(struct store_tx *tx, int64_t device_row, const uint8_t sid[STORE_JTI_LEN])
{
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_FAMILY_END, "UPDATE device SET sid = NULL WHERE row = ?1 AND sid = ?2");
    bind_u64(st, 1, (uint64_t)device_row);
    bind_blob(st, 2, sid, STORE_JTI_LEN);
    return tx_change(tx, st);
}
