/* The outbox of alerts, as store/talk.h says. However long nobody takes them, it is bounded: of
 * those alike the first are kept, as nobody has heard of them for longest and no later one may push
 * them out, and the rest is counted. */
#include "store/internal.h"
#include "store/talk.h"

/* The alerts alike, and the newest of them. */
static int alike(struct store_tx *tx, const struct talk_pair *pair, const char *child_id,
                 const char *category, uint64_t *count, int64_t *newest)
{
    sqlite3_stmt *st = tx_stmt(tx, STMT_ALERT_ALIKE,
                               "SELECT count(*), coalesce(max(n), 0) FROM alert"
                               " WHERE device_row = ?1 AND child_id = ?2 AND category = ?3");
    bind_u64(st, 1, (uint64_t)pair->device_row);
    bind_text(st, 2, child_id);
    bind_text(st, 3, category);
    int err = tx_row(tx, st);
    if (err == TEDDY_OK) {
        *count = column_u64(st, 0);
        *newest = sqlite3_column_int64(st, 1);
    }
    return tx_end(st, err);
}

static int count_in(struct store_tx *tx, int64_t n, const struct alert_new *alert)
{
    sqlite3_stmt *st = tx_stmt(tx, STMT_ALERT_COUNT,
                               "UPDATE alert SET more = more + 1 + ?2, last_s = max(last_s, ?3)"
                               " WHERE n = ?1");
    bind_u64(st, 1, (uint64_t)n);
    bind_u64(st, 2, alert->more);
    bind_u64(st, 3, alert->last_s);
    return tx_change(tx, st);
}

static int is_full(struct store_tx *tx, bool *full)
{
    sqlite3_stmt *st = tx_stmt(tx, STMT_ALERT_FULL, "SELECT count(*) >= ?1 FROM alert");
    bind_u64(st, 1, ALERTS_MAX);
    int err = tx_row(tx, st);
    if (err == TEDDY_OK)
        *full = sqlite3_column_int(st, 0) != 0;
    return tx_end(st, err);
}

static int insert(struct store_tx *tx, const struct talk_pair *pair, const char *child_id,
                  const struct alert_new *alert)
{
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_ALERT_ADD,
                "INSERT INTO alert (device_row, child_id, category, words, at_s, due_s, tries,"
                " more, last_s) VALUES (?1, ?2, ?3, ?4, ?5, ?5, 0, ?6, ?7)");
    bind_u64(st, 1, (uint64_t)pair->device_row);
    bind_text(st, 2, child_id);
    bind_text(st, 3, alert->category);
    if (st != NULL)
        sqlite3_bind_text64(st, 4, alert->words.len ? alert->words.p : "", alert->words.len,
                            SQLITE_STATIC, SQLITE_UTF8);
    bind_u64(st, 5, alert->at_s);
    bind_u64(st, 6, alert->more);
    bind_u64(st, 7, alert->last_s);
    return tx_run(tx, st);
}

int store_alert_add(struct store_tx *tx, const struct talk_pair *pair, const char *child_id,
                    const struct alert_new *alert, enum alert_fate *fate)
{
    uint64_t count = 0;
    int64_t newest = 0;
    bool full = true;
    int err = alike(tx, pair, child_id, alert->category, &count, &newest);
    if (err == TEDDY_OK && count >= ALERTS_ALIKE) {
        *fate = ALERT_COUNTED;
        return count_in(tx, newest, alert);
    }
    if (err == TEDDY_OK)
        err = is_full(tx, &full);
    *fate = full ? ALERT_DROPPED : ALERT_KEPT;
    return err == TEDDY_OK && !full ? insert(tx, pair, child_id, alert) : err;
}

int store_alert_next(struct store_tx *tx, struct alert_row *out)
{
    sqlite3_stmt *st = tx_stmt(tx, STMT_ALERT_NEXT,
                               "SELECT a.n, d.device_id, a.child_id, a.category, a.words, a.at_s,"
                               " a.due_s, a.tries, a.more, a.last_s FROM alert a JOIN device d"
                               " ON d.row = a.device_row ORDER BY a.due_s, a.n LIMIT 1");
    int err = tx_row(tx, st);
    if (err == TEDDY_OK) {
        out->n = sqlite3_column_int64(st, 0);
        out->at_s = column_u64(st, 5);
        out->due_s = column_u64(st, 6);
        out->tries = (unsigned)column_u64(st, 7);
        out->more = column_u64(st, 8);
        out->last_s = column_u64(st, 9);
        if (column_text(tx, st, 1, out->device_id, sizeof out->device_id) != TEDDY_OK ||
            column_text(tx, st, 2, out->child_id, sizeof out->child_id) != TEDDY_OK ||
            column_text(tx, st, 3, out->category, sizeof out->category) != TEDDY_OK ||
            column_text(tx, st, 4, out->words, sizeof out->words) != TEDDY_OK)
            err = TEDDY_ESTORE;
    }
    return tx_end(st, err);
}

int store_alert_put_off(struct store_tx *tx, int64_t n, uint64_t due_s)
{
    sqlite3_stmt *st = tx_stmt(tx, STMT_ALERT_PUT_OFF,
                               "UPDATE alert SET tries = tries + 1, due_s = ?2 WHERE n = ?1");
    bind_u64(st, 1, (uint64_t)n);
    bind_u64(st, 2, due_s);
    return tx_change(tx, st);
}

int store_alert_drop(struct store_tx *tx, int64_t n, uint64_t told)
{
    sqlite3_stmt *st = tx_stmt(tx, STMT_ALERT_REST,
                               "INSERT INTO alert (device_row, child_id, category, words, at_s,"
                               " due_s, tries, more, last_s) SELECT device_row, child_id, category,"
                               " '', last_s, last_s, 0, more - ?2 - 1, last_s FROM alert"
                               " WHERE n = ?1 AND more > ?2");
    bind_u64(st, 1, (uint64_t)n);
    bind_u64(st, 2, told);
    int err = tx_run(tx, st);
    if (err != TEDDY_OK)
        return err;
    st = tx_stmt(tx, STMT_ALERT_DROP, "DELETE FROM alert WHERE n = ?1");
    bind_u64(st, 1, (uint64_t)n);
    return tx_change(tx, st);
}
