/* Batches, as store/batches.h says. */
#include <stdio.h>
#include <string.h>

#include "store/batches.h"
#include "store/internal.h"

#define BATCH_COLUMNS "n, id, prefix, first, count, digits, created_s, manifest_sha256"

static int read_batch(struct store_tx *tx, sqlite3_stmt *st, struct batch_row *out)
{
    *out = (struct batch_row){0};
    out->row = sqlite3_column_int64(st, 0);
    out->first = column_u64(st, 3);
    out->count = column_u64(st, 4);
    out->digits = (unsigned)column_u64(st, 5);
    out->created_s = column_u64(st, 6);
    if (column_text(tx, st, 1, out->id, sizeof out->id) != TEDDY_OK ||
        column_text(tx, st, 2, out->prefix, sizeof out->prefix) != TEDDY_OK)
        return TEDDY_ESTORE;
    return column_blob(tx, st, 7, out->manifest_sha256, sizeof out->manifest_sha256);
}

int store_batch_add(struct store_tx *tx, const struct batch_row *b)
{
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_BATCH_ADD,
                "INSERT INTO batch (id, prefix, first, count, digits, created_s, manifest_sha256)"
                " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)");
    bind_text(st, 1, b->id);
    bind_text(st, 2, b->prefix);
    bind_u64(st, 3, b->first);
    bind_u64(st, 4, b->count);
    bind_u64(st, 5, b->digits);
    bind_u64(st, 6, b->created_s);
    bind_blob(st, 7, b->manifest_sha256, sizeof b->manifest_sha256);
    return tx_run(tx, st);
}

int store_batch_get(struct store_tx *tx, const char *id, struct batch_row *out)
{
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_BATCH_GET, "SELECT " BATCH_COLUMNS " FROM batch WHERE id = ?1");
    bind_text(st, 1, id);
    int err = tx_row(tx, st);
    if (err == TEDDY_OK)
        err = read_batch(tx, st, out);
    return tx_end(st, err);
}

int store_batch_list(struct store_tx *tx, int64_t after, const char *prefix,
                     bool (*each)(void *arg, const struct batch_row *row), void *arg)
{
    sqlite3_stmt *st = tx_stmt(tx, STMT_BATCH_LIST,
                               "SELECT " BATCH_COLUMNS " FROM batch"
                               " WHERE n > ?1 AND (?2 = '' OR prefix = ?2) ORDER BY n");
    bind_u64(st, 1, (uint64_t)after);
    bind_text(st, 2, prefix);
    struct batch_row row;
    int err;
    while ((err = tx_row(tx, st)) == TEDDY_OK) {
        err = read_batch(tx, st, &row);
        if (err != TEDDY_OK || !each(arg, &row))
            break;
    }
    return tx_end(st, err == TEDDY_ENOTFOUND ? TEDDY_OK : err);
}

/* ':' is the character behind '9': between the two bounds are the ids that go on with a digit. */
int store_batch_next(struct store_tx *tx, const char *prefix, uint64_t *next)
{
    char low[LIMIT_ID_LEN + 2], high[LIMIT_ID_LEN + 2];
    snprintf(low, sizeof low, "%s0", prefix);
    snprintf(high, sizeof high, "%s:", prefix);
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_BATCH_NEXT,
                "SELECT 1 + max("
                " (SELECT coalesce(max(CAST(substr(device_id, ?4) AS INTEGER)), 0) FROM device"
                "   WHERE device_id >= ?1 AND device_id < ?2 AND length(device_id) < ?4 + 18"
                "   AND substr(device_id, ?4) NOT GLOB '*[^0-9]*'),"
                " (SELECT coalesce(max(first + count - 1), 0) FROM batch WHERE prefix = ?3))");
    bind_text(st, 1, low);
    bind_text(st, 2, high);
    bind_text(st, 3, prefix);
    bind_u64(st, 4, strlen(prefix) + 1);
    int err = tx_row(tx, st);
    if (err == TEDDY_OK)
        *next = column_u64(st, 0);
    return tx_end(st, err);
}
