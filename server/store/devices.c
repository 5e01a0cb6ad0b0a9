/* Devices: the registry's rows. */
#include "proto/text.h"
#include "store/batches.h"
#include "store/internal.h"

#define DEVICE_COLUMNS                                                                             \
    "row, device_id, sealed, secret_rev, enabled, child_id, firmware_version, created_s, "         \
    "claimed_s, seen_s, recent, event"

static int read_row(struct store_tx *tx, sqlite3_stmt *st, struct device_row *out)
{
    out->row = sqlite3_column_int64(st, 0);
    out->secret_rev = column_u64(st, 3);
    out->enabled = sqlite3_column_int(st, 4) != 0;
    out->created_s = column_u64(st, 7);
    out->claimed_s = column_u64(st, 8);
    out->seen_s = column_u64(st, 9);
    out->event = column_u64(st, 11);
    if (column_text(tx, st, 1, out->device_id, sizeof out->device_id) != TEDDY_OK ||
        column_blob(tx, st, 2, out->sealed, sizeof out->sealed) != TEDDY_OK ||
        column_text(tx, st, 5, out->child_id, sizeof out->child_id) != TEDDY_OK ||
        column_claim_keys(tx, st, 10, &out->recent) != TEDDY_OK)
        return TEDDY_ESTORE;
    return column_text(tx, st, 6, out->firmware_version, sizeof out->firmware_version);
}

/* A secret as it is kept: never in the clear, and still no two devices can have the same. */
struct sealed_secret {
    uint8_t fingerprint[SEAL_MAC_LEN], sealed[SEALED_LEN];
};

static int seal_for(struct store_tx *tx, const char *device_id,
                    const uint8_t secret[LIMIT_SECRET_LEN], struct sealed_secret *out)
{
    if (seal_box_fingerprint(tx->box, secret, out->fingerprint) != TEDDY_OK ||
        seal_box_shut(tx->box, device_id, secret, out->sealed) != TEDDY_OK)
        return tx_damaged(tx);
    return TEDDY_OK;
}

int store_device_unseal(struct store_tx *tx, const struct device_row *device,
                        uint8_t secret[LIMIT_SECRET_LEN])
{
    int err = seal_box_open(tx->box, device->device_id, device->sealed, secret);
    return err == TEDDY_OK ? TEDDY_OK : tx_damaged(tx);
}

int store_device_has_secret(struct store_tx *tx, const struct device_row *device,
                            const uint8_t secret[LIMIT_SECRET_LEN], bool *same)
{
    uint8_t own[LIMIT_SECRET_LEN];
    int err = store_device_unseal(tx, device, own);
    *same = err == TEDDY_OK && ct_equal(own, secret, sizeof own);
    wipe(own, sizeof own);
    return err;
}

int store_device_add(struct store_tx *tx, const char *device_id,
                     const uint8_t secret[LIMIT_SECRET_LEN], uint64_t now_s)
{
    struct sealed_secret s;
    int err = seal_for(tx, device_id, secret, &s);
    if (err != TEDDY_OK)
        return err;
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_DEVICE_ADD,
                "INSERT INTO device (device_id, fingerprint, sealed, created_s, recent)"
                " VALUES (?1, ?2, ?3, ?4, x'00')");
    bind_text(st, 1, device_id);
    bind_blob(st, 2, s.fingerprint, sizeof s.fingerprint);
    bind_blob(st, 3, s.sealed, sizeof s.sealed);
    bind_u64(st, 4, now_s);
    return tx_run(tx, st);
}

int store_device_get(struct store_tx *tx, const char *device_id, struct device_row *out)
{
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_DEVICE_GET, "SELECT " DEVICE_COLUMNS " FROM device WHERE device_id = ?1");
    bind_text(st, 1, device_id);
    int err = tx_row(tx, st);
    if (err == TEDDY_OK)
        err = read_row(tx, st, out);
    return tx_end(st, err);
}

static int device_row_of(struct store_tx *tx, const char *device_id, int64_t *row)
{
    struct device_row device;
    int err = store_device_get(tx, device_id, &device);
    if (err != TEDDY_OK)
        return err;
    *row = device.row;
    return TEDDY_OK;
}

int store_device_list(struct store_tx *tx, const char *after,
                      bool (*each)(void *arg, const struct device_row *row), void *arg)
{
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_DEVICE_LIST,
                "SELECT " DEVICE_COLUMNS " FROM device WHERE device_id > ?1 ORDER BY device_id");
    bind_text(st, 1, after);
    struct device_row row = {0};
    int err;
    while ((err = tx_row(tx, st)) == TEDDY_OK) {
        err = read_row(tx, st, &row);
        if (err != TEDDY_OK || !each(arg, &row))
            break;
    }
    return tx_end(st, err == TEDDY_ENOTFOUND ? TEDDY_OK : err);
}

int store_device_enable(struct store_tx *tx, const char *device_id, bool enabled)
{
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_DEVICE_ENABLE, "UPDATE device SET enabled = ?2 WHERE device_id = ?1");
    bind_text(st, 1, device_id);
    bind_u64(st, 2, enabled ? 1 : 0);
    return tx_change(tx, st);
}

int store_device_remove(struct store_tx *tx, const char *device_id)
{
    sqlite3_stmt *st = tx_stmt(tx, STMT_DEVICE_REMOVE, "DELETE FROM device WHERE device_id = ?1");
    bind_text(st, 1, device_id);
    return tx_change(tx, st);
}

/* The device's own present secret counts too: under it the replay rows must stay. */
static int secret_unused(struct store_tx *tx, const uint8_t fingerprint[SEAL_MAC_LEN])
{
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_DEVICE_SECRET_USED, "SELECT 1 FROM device WHERE fingerprint = ?1");
    bind_blob(st, 1, fingerprint, SEAL_MAC_LEN);
    int err = tx_end(st, tx_row(tx, st));
    return err == TEDDY_OK ? TEDDY_EDUP : err == TEDDY_ENOTFOUND ? TEDDY_OK : err;
}

int store_secret_unused(struct store_tx *tx, const uint8_t secret[LIMIT_SECRET_LEN])
{
    uint8_t fingerprint[SEAL_MAC_LEN];
    if (seal_box_fingerprint(tx->box, secret, fingerprint) != TEDDY_OK)
        return tx_damaged(tx);
    return secret_unused(tx, fingerprint);
}

int store_device_secret(struct store_tx *tx, const char *device_id,
                        const uint8_t secret[LIMIT_SECRET_LEN])
{
    struct sealed_secret s;
    int64_t row = 0;
    int err = device_row_of(tx, device_id, &row);
    if (err == TEDDY_OK)
        err = seal_for(tx, device_id, secret, &s);
    if (err == TEDDY_OK)
        err = secret_unused(tx, s.fingerprint);
    if (err != TEDDY_OK)
        return err;
    sqlite3_stmt *st = tx_stmt(tx, STMT_DEVICE_SECRET,
                               "UPDATE device SET fingerprint = ?2, sealed = ?3,"
                               " secret_rev = secret_rev + 1, recent = x'00' WHERE row = ?1");
    bind_u64(st, 1, (uint64_t)row);
    bind_blob(st, 2, s.fingerprint, sizeof s.fingerprint);
    bind_blob(st, 3, s.sealed, sizeof s.sealed);
    err = tx_change(tx, st);
    if (err == TEDDY_OK)
        err = claim_keys_forget(tx, row);
    return err != TEDDY_OK ? err : store_family_revoke(tx, row);
}

int store_device_release(struct store_tx *tx, const char *device_id)
{
    int64_t row = 0;
    int err = device_row_of(tx, device_id, &row);
    if (err != TEDDY_OK)
        return err;
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_DEVICE_UNBIND,
                "UPDATE device SET child_id = '', firmware_version = '', client_timestamp = '',"
                " claimed_s = 0, seen_s = 0, sid = NULL, access_jti = NULL, refresh_jti = NULL,"
                " iat_s = 0, access_exp_s = 0, refresh_exp_s = 0, presented = 0, spent_jti = NULL,"
                " spent_s = 0 WHERE row = ?1");
    bind_u64(st, 1, (uint64_t)row);
    err = tx_change(tx, st);
    if (err == TEDDY_OK)
        err = talk_clear_row(tx, row);
    if (err == TEDDY_OK)
        err = history_clear_row(tx, row);
    return err != TEDDY_OK ? err : downlink_clear_row(tx, row);
}
