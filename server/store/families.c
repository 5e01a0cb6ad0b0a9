/* Token families: the newest pair of each, what it spent, and whether it still counts. */
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

int store_family_add(struct store_tx *tx, const struct family_row *f)
{
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_FAMILY_ADD,
                "INSERT INTO family (sid, device_row, child_id, access_jti, refresh_jti, iat_s,"
                " access_exp_s, refresh_exp_s) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)");
    bind_blob(st, 1, f->sid, STORE_JTI_LEN);
    bind_u64(st, 2, (uint64_t)f->device_row);
    bind_text(st, 3, f->child_id);
    bind_pair(st, 4, &f->pair);
    return tx_run(tx, st);
}

static int read_row(struct store_tx *tx, sqlite3_stmt *st, struct family_row *out)
{
    out->device_row = sqlite3_column_int64(st, 0);
    out->device_enabled = sqlite3_column_int(st, 2) != 0;
    out->pair.iat_s = column_u64(st, 6);
    out->pair.access_exp_s = column_u64(st, 7);
    out->pair.refresh_exp_s = column_u64(st, 8);
    out->presented = sqlite3_column_int(st, 9) != 0;
    out->has_spent = sqlite3_column_type(st, 10) != SQLITE_NULL;
    out->spent_s = column_u64(st, 11);
    out->revoked = sqlite3_column_int(st, 12) != 0;
    if (column_text(tx, st, 1, out->device_id, sizeof out->device_id) != TEDDY_OK ||
        column_text(tx, st, 3, out->child_id, sizeof out->child_id) != TEDDY_OK ||
        column_blob(tx, st, 4, out->pair.access_jti, STORE_JTI_LEN) != TEDDY_OK ||
        column_blob(tx, st, 5, out->pair.refresh_jti, STORE_JTI_LEN) != TEDDY_OK)
        return TEDDY_ESTORE;
    return out->has_spent ? column_blob(tx, st, 10, out->spent_jti, STORE_JTI_LEN) : TEDDY_OK;
}

int store_family_get(struct store_tx *tx, const uint8_t sid[STORE_JTI_LEN], struct family_row *out)
{
    sqlite3_stmt *st = tx_stmt(
        tx, STMT_FAMILY_GET,
        "SELECT d.row, d.device_id, d.enabled, f.child_id, f.access_jti, f.refresh_jti, f.iat_s,"
        " f.access_exp_s, f.refresh_exp_s, f.presented, f.spent_jti, f.spent_s, f.revoked"
        " FROM family f JOIN device d ON d.row = f.device_row WHERE f.sid = ?1");
    bind_blob(st, 1, sid, STORE_JTI_LEN);
    int err = tx_row(tx, st);
    if (err == TEDDY_OK) {
        *out = (struct family_row){0};
        memcpy(out->sid, sid, STORE_JTI_LEN);
        err = read_row(tx, st, out);
    }
    return tx_end(st, err);
}

int store_family_rotate(struct store_tx *tx, const uint8_t sid[STORE_JTI_LEN],
                        const struct pair_row *pair, uint64_t now_s)
{
    sqlite3_stmt *st = tx_stmt(
        tx, STMT_FAMILY_ROTATE,
        "UPDATE family SET spent_jti = refresh_jti, spent_s = ?7, presented = 0, access_jti = ?2,"
        " refresh_jti = ?3, iat_s = ?4, access_exp_s = ?5, refresh_exp_s = ?6 WHERE sid = ?1");
    bind_blob(st, 1, sid, STORE_JTI_LEN);
    bind_pair(st, 2, pair);
    bind_u64(st, 7, now_s);
    return tx_change(tx, st);
}

int store_family_presented(struct store_tx *tx, const uint8_t sid[STORE_JTI_LEN])
{
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_FAMILY_PRESENTED, "UPDATE family SET presented = 1 WHERE sid = ?1");
    bind_blob(st, 1, sid, STORE_JTI_LEN);
    return tx_change(tx, st);
}

int store_family_revoke(struct store_tx *tx, const uint8_t sid[STORE_JTI_LEN])
{
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_FAMILY_REVOKE, "UPDATE family SET revoked = 1 WHERE sid = ?1");
    bind_blob(st, 1, sid, STORE_JTI_LEN);
    return tx_change(tx, st);
}

int store_family_revoke_others(struct store_tx *tx, int64_t device_row, const uint8_t *keep_sid)
{
    sqlite3_stmt *st = tx_stmt(
        tx, STMT_FAMILY_REVOKE_OTHERS,
        "UPDATE family SET revoked = 1 WHERE device_row = ?1 AND revoked = 0 AND sid IS NOT ?2");
    bind_u64(st, 1, (uint64_t)device_row);
    if (keep_sid != NULL)
        bind_blob(st, 2, keep_sid, STORE_JTI_LEN);
    return tx_run(tx, st);
}

int store_family_purge(struct store_tx *tx, uint64_t expired_before_s, uint64_t *count)
{
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_FAMILY_PURGE, "DELETE FROM family WHERE refresh_exp_s < ?1");
    bind_u64(st, 1, expired_before_s);
    int err = tx_change(tx, st);
    *count = err == TEDDY_OK ? (uint64_t)sqlite3_changes64(tx->db) : 0;
    return err == TEDDY_ENOTFOUND ? TEDDY_OK : err;
}

static int tell_devices(struct store_tx *tx, const char *child_id,
                        void (*each)(void *arg, const char *device_id), void *arg,
                        uint64_t *devices)
{
    sqlite3_stmt *st = tx_stmt(
        tx, STMT_CHILD_DEVICES,
        "SELECT device_id FROM device WHERE child_id = ?1"
        " OR row IN (SELECT device_row FROM family WHERE child_id = ?1) ORDER BY device_id");
    bind_text(st, 1, child_id);
    char device_id[LIMIT_ID_LEN + 1];
    int err;
    *devices = 0;
    while ((err = tx_row(tx, st)) == TEDDY_OK) {
        err = column_text(tx, st, 0, device_id, sizeof device_id);
        if (err != TEDDY_OK)
            break;
        ++*devices;
        if (each != NULL)
            each(arg, device_id);
    }
    return tx_end(st, err == TEDDY_ENOTFOUND ? TEDDY_OK : err);
}

int store_child_forget(struct store_tx *tx, const char *child_id,
                       void (*each)(void *arg, const char *device_id), void *arg, uint64_t *devices)
{
    int err = tell_devices(tx, child_id, each, arg, devices);
    if (err == TEDDY_OK)
        err = downlink_clear_child(tx, child_id);
    if (err != TEDDY_OK)
        return err;
    sqlite3_stmt *st = tx_stmt(tx, STMT_DEVICE_UNBIND_CHILD,
                               "UPDATE device SET child_id = '' WHERE child_id = ?1");
    bind_text(st, 1, child_id);
    err = tx_run(tx, st);
    if (err != TEDDY_OK)
        return err;
    st = tx_stmt(tx, STMT_FAMILY_FORGET_CHILD, "DELETE FROM family WHERE child_id = ?1");
    bind_text(st, 1, child_id);
    return tx_run(tx, st);
}
