#include "store/fleet.h"

#include "store/internal.h"

#define FLEET_COLUMNS                                                                              \
    "row, device_id, enabled, child_id, firmware_version, secret_rev, created_s, claimed_s,"       \
    " seen_s, iif(sid IS NULL, 0, refresh_exp_s), processor"

static int read_row(struct store_tx *tx, sqlite3_stmt *st, struct fleet_row *out)
{
    out->row = sqlite3_column_int64(st, 0);
    out->enabled = sqlite3_column_int(st, 2) != 0;
    out->secret_rev = column_u64(st, 5);
    out->created_s = column_u64(st, 6);
    out->claimed_s = column_u64(st, 7);
    out->seen_s = column_u64(st, 8);
    out->refresh_exp_s = column_u64(st, 9);
    if (column_text(tx, st, 1, out->device_id, sizeof out->device_id) != TEDDY_OK ||
        column_text(tx, st, 3, out->child_id, sizeof out->child_id) != TEDDY_OK ||
        column_text(tx, st, 4, out->firmware_version, sizeof out->firmware_version) != TEDDY_OK)
        return TEDDY_ESTORE;
    return column_text(tx, st, 10, out->processor, sizeof out->processor);
}

int store_fleet_list(struct store_tx *tx, const char *after,
                     bool (*each)(void *arg, const struct fleet_row *row), void *arg)
{
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_FLEET_LIST,
                "SELECT " FLEET_COLUMNS " FROM device WHERE device_id > ?1 ORDER BY device_id");
    struct fleet_row row = {0};
    int err;
    bind_text(st, 1, after);
    while ((err = tx_row(tx, st)) == TEDDY_OK) {
        err = read_row(tx, st, &row);
        if (err != TEDDY_OK || !each(arg, &row))
            break;
    }
    return tx_end(st, err == TEDDY_ENOTFOUND ? TEDDY_OK : err);
}

int store_fleet_get(struct store_tx *tx, const char *device_id, struct fleet_row *out)
{
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_FLEET_GET, "SELECT " FLEET_COLUMNS " FROM device WHERE device_id = ?1");
    bind_text(st, 1, device_id);
    int err = tx_row(tx, st);
    if (err == TEDDY_OK)
        err = read_row(tx, st, out);
    return tx_end(st, err);
}

int store_fleet_last(struct store_tx *tx, int64_t device_row, uint64_t *at_s)
{
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_FLEET_LAST,
                "SELECT max(coalesce((SELECT closed_s FROM past_session WHERE device_row = ?1"
                "  ORDER BY n DESC LIMIT 1), 0),"
                " coalesce((SELECT at_s FROM telemetry WHERE device_row = ?1"
                "  ORDER BY n DESC LIMIT 1), 0))");
    bind_u64(st, 1, (uint64_t)device_row);
    int err = tx_row(tx, st);
    *at_s = err == TEDDY_OK ? column_u64(st, 0) : 0;
    return tx_end(st, err);
}
