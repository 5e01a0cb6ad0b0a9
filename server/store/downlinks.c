/* Messages to toys: each device's queue and the ids it has used up. */
#include "store/internal.h"

#define DEVICE_OF_CHILD "(SELECT row FROM device WHERE device_id = ?1 AND child_id = ?2)"

int store_epoch_open(struct store_tx *tx, uint64_t now_s)
{
    sqlite3_stmt *st = tx_stmt(tx, STMT_EPOCH_OPEN, "UPDATE server SET epoch = max(epoch + 1, ?1)");
    bind_u64(st, 1, now_s);
    return tx_change(tx, st);
}

/* A part of an id. One past the most has no spelling: no toy takes it, and it expires. */
static uint32_t part(uint64_t n)
{
    return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

/* The device and the id that its next message gets. child_id NULL: whoever has it. */
static int next_id(struct store_tx *tx, const char *device_id, const char *child_id, int64_t *row,
                   struct downlink_id *id)
{
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_DOWNLINK_NEXT_ID,
                "SELECT d.row, max(s.epoch, d.downlink_epoch),"
                " CASE WHEN d.downlink_epoch >= s.epoch THEN d.downlink_n ELSE 0 END + 1"
                " FROM device d, server s"
                " WHERE d.device_id = ?1 AND (?2 IS NULL OR d.child_id = ?2)");
    bind_text(st, 1, device_id);
    if (child_id != NULL)
        bind_text(st, 2, child_id);
    int err = tx_row(tx, st);
    if (err == TEDDY_OK) {
        *row = sqlite3_column_int64(st, 0);
        *id = (struct downlink_id){part(column_u64(st, 1)), part(column_u64(st, 2))};
    }
    return tx_end(st, err);
}

static int set_issued(struct store_tx *tx, int64_t row, const struct downlink_id *id)
{
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_DOWNLINK_ISSUED,
                "UPDATE device SET downlink_epoch = ?2, downlink_n = ?3 WHERE row = ?1");
    bind_u64(st, 1, (uint64_t)row);
    bind_u64(st, 2, id->epoch);
    bind_u64(st, 3, id->n);
    return tx_change(tx, st);
}

/* TEDDY_EFULL when max wait, after the expired have left. */
static int make_room(struct store_tx *tx, int64_t row, uint64_t now_s, unsigned max,
                     uint64_t *expired)
{
    sqlite3_stmt *st = tx_stmt(tx, STMT_DOWNLINK_EXPIRE,
                               "DELETE FROM downlink WHERE device_row = ?1 AND expires_s <= ?2");
    bind_u64(st, 1, (uint64_t)row);
    bind_u64(st, 2, now_s);
    int err = tx_run(tx, st);
    if (err != TEDDY_OK)
        return err;
    *expired = (uint64_t)sqlite3_changes64(tx->db);
    st = tx_stmt(tx, STMT_DOWNLINK_COUNT, "SELECT count(*) FROM downlink WHERE device_row = ?1");
    bind_u64(st, 1, (uint64_t)row);
    err = tx_row(tx, st);
    if (err == TEDDY_OK && column_u64(st, 0) >= max)
        err = TEDDY_EFULL;
    return tx_end(st, err);
}

int store_downlink_add(struct store_tx *tx, const char *device_id, struct downlink_row *d,
                       unsigned queue_max, uint64_t *expired)
{
    int64_t row = 0;
    *expired = 0;
    int err = next_id(tx, device_id, NULL, &row, &d->id);
    if (err == TEDDY_OK)
        err = make_room(tx, row, d->queued_s, queue_max, expired);
    if (err != TEDDY_OK)
        return err;
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_DOWNLINK_ADD,
                "INSERT INTO downlink (device_row, epoch, n, kind, body, queued_s, expires_s)"
                " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)");
    bind_u64(st, 1, (uint64_t)row);
    bind_u64(st, 2, d->id.epoch);
    bind_u64(st, 3, d->id.n);
    bind_u64(st, 4, d->data ? 1 : 0);
    if (st != NULL)
        sqlite3_bind_text64(st, 5, d->body.p, d->body.len, SQLITE_STATIC, SQLITE_UTF8);
    bind_u64(st, 6, d->queued_s);
    bind_u64(st, 7, d->expires_s);
    err = tx_run(tx, st);
    return err != TEDDY_OK ? err : set_issued(tx, row, &d->id);
}

/* Hands over each row of a statement that begins with epoch, n, kind, queued_s, expires_s, bytes,
 * and ends with the body where there is one. */
static int read_rows(struct store_tx *tx, sqlite3_stmt *st,
                     void (*each)(void *arg, const struct downlink_row *row), void *arg)
{
    int err;
    while ((err = tx_row(tx, st)) == TEDDY_OK) {
        struct downlink_row row = {
            .id = {part(column_u64(st, 0)), part(column_u64(st, 1))},
            .data = sqlite3_column_int(st, 2) != 0,
            .queued_s = column_u64(st, 3),
            .expires_s = column_u64(st, 4),
            .body = {NULL, (size_t)column_u64(st, 5)},
        };
        if (sqlite3_column_count(st) > 6) {
            row.body.p = (const char *)sqlite3_column_text(st, 6);
            if (row.body.p == NULL)
                row.body = (struct span){"", 0};
        }
        each(arg, &row);
    }
    return tx_end(st, err == TEDDY_ENOTFOUND ? TEDDY_OK : err);
}

int store_downlink_list(struct store_tx *tx, const char *device_id, uint64_t now_s,
                        void (*each)(void *arg, const struct downlink_row *row), void *arg)
{
    struct downlink_id id;
    int64_t row = 0;
    int err = next_id(tx, device_id, NULL, &row, &id);
    if (err != TEDDY_OK)
        return err;
    sqlite3_stmt *st = tx_stmt(
        tx, STMT_DOWNLINK_LIST,
        "SELECT epoch, n, kind, queued_s, expires_s, length(CAST(body AS BLOB)) FROM downlink"
        " WHERE device_row = ?1 AND expires_s > ?2 ORDER BY epoch, n");
    bind_u64(st, 1, (uint64_t)row);
    bind_u64(st, 2, now_s);
    return read_rows(tx, st, each, arg);
}

int store_downlink_window(struct store_tx *tx, const char *device_id, const char *child_id,
                          const struct downlink_id *after, uint64_t now_s, unsigned window,
                          void (*each)(void *arg, const struct downlink_row *row), void *arg)
{
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_DOWNLINK_WINDOW,
                "SELECT * FROM (SELECT epoch, n, kind, queued_s, expires_s, length(CAST(body AS "
                "BLOB)), body"
                " FROM downlink WHERE device_row = " DEVICE_OF_CHILD " AND expires_s > ?3"
                " ORDER BY epoch, n LIMIT ?4) WHERE (epoch, n) > (?5, ?6) ORDER BY epoch, n");
    bind_text(st, 1, device_id);
    bind_text(st, 2, child_id);
    bind_u64(st, 3, now_s);
    bind_u64(st, 4, window);
    bind_u64(st, 5, after->epoch);
    bind_u64(st, 6, after->n);
    return read_rows(tx, st, each, arg);
}

int store_downlink_behind(struct store_tx *tx, const char *device_id, const char *child_id,
                          const struct downlink_id *id, bool *behind)
{
    struct downlink_id next;
    int64_t row = 0;
    *behind = false;
    int err = next_id(tx, device_id, child_id, &row, &next);
    if (err != TEDDY_OK)
        return err;
    sqlite3_stmt *st = tx_stmt(tx, STMT_DOWNLINK_BEHIND,
                               "SELECT EXISTS (SELECT 1 FROM downlink"
                               " WHERE device_row = ?1 AND (epoch, n) <= (?2, ?3))");
    bind_u64(st, 1, (uint64_t)row);
    bind_u64(st, 2, id->epoch);
    bind_u64(st, 3, id->n);
    err = tx_row(tx, st);
    if (err == TEDDY_OK)
        *behind = sqlite3_column_int(st, 0) != 0 || downlink_id_compare(&next, id) <= 0;
    return tx_end(st, err);
}

/* Nothing in the queue tells what the toy has of it: rather twice than never, all of it comes
 * behind `last`. */
static int overtake(struct store_tx *tx, int64_t row, const struct downlink_id *last)
{
    bool room = last->epoch < DOWNLINK_PART_MAX; /* otherwise the toy has had its own last epoch */
    struct downlink_id base = {room ? last->epoch + 1 : last->epoch, room ? 0 : last->n};
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_DOWNLINK_RENUMBER,
                "UPDATE downlink SET epoch = ?2, n = ?3 + o.place FROM"
                " (SELECT epoch AS e, n AS m, row_number() OVER (ORDER BY epoch, n) AS place"
                "  FROM downlink WHERE device_row = ?1) AS o"
                " WHERE device_row = ?1 AND epoch = o.e AND n = o.m");
    bind_u64(st, 1, (uint64_t)row);
    bind_u64(st, 2, base.epoch);
    bind_u64(st, 3, base.n);
    int err = tx_run(tx, st);
    if (err != TEDDY_OK)
        return err;
    base.n = part(base.n + (uint64_t)sqlite3_changes64(tx->db));
    return set_issued(tx, row, &base);
}

int store_downlink_ack(struct store_tx *tx, const char *device_id, const char *child_id,
                       const struct downlink_id *id, uint64_t *count, bool *overtaken)
{
    struct downlink_id next;
    int64_t row = 0;
    *count = 0;
    *overtaken = false;
    int err = next_id(tx, device_id, child_id, &row, &next);
    if (err != TEDDY_OK)
        return err;
    if (downlink_id_compare(&next, id) <= 0) {
        *overtaken = true;
        return overtake(tx, row, id);
    }
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_DOWNLINK_ACK,
                "DELETE FROM downlink WHERE device_row = ?1 AND (epoch, n) <= (?2, ?3)");
    bind_u64(st, 1, (uint64_t)row);
    bind_u64(st, 2, id->epoch);
    bind_u64(st, 3, id->n);
    err = tx_run(tx, st);
    if (err == TEDDY_OK)
        *count = (uint64_t)sqlite3_changes64(tx->db);
    return err;
}

int store_downlink_drop(struct store_tx *tx, const char *device_id, const char *child_id,
                        const struct downlink_id *id)
{
    sqlite3_stmt *st = tx_stmt(tx, STMT_DOWNLINK_DROP,
                               "DELETE FROM downlink WHERE device_row = " DEVICE_OF_CHILD
                               " AND epoch = ?3 AND n = ?4");
    bind_text(st, 1, device_id);
    bind_text(st, 2, child_id);
    bind_u64(st, 3, id->epoch);
    bind_u64(st, 4, id->n);
    return tx_change(tx, st);
}

int downlink_clear_row(struct store_tx *tx, int64_t device_row)
{
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_DOWNLINK_CLEAR, "DELETE FROM downlink WHERE device_row = ?1");
    bind_u64(st, 1, (uint64_t)device_row);
    return tx_run(tx, st);
}

int store_downlink_clear(struct store_tx *tx, const char *device_id, uint64_t *count)
{
    struct downlink_id id;
    int64_t row = 0;
    *count = 0;
    int err = next_id(tx, device_id, NULL, &row, &id);
    if (err == TEDDY_OK)
        err = downlink_clear_row(tx, row);
    if (err == TEDDY_OK)
        *count = (uint64_t)sqlite3_changes64(tx->db);
    return err;
}
