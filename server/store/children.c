/* What is kept of a child. Whoever gives a table something of a child adds it here:
 * children_test.c fails until then. */
#include "store/children.h"

#include "store/internal.h"

/* The partial index is found only with the second term. */
#define OF_CHILD "child_id = ?1 AND child_id <> ''"

#define NO_FAMILY                                                                                  \
    "sid = NULL, access_jti = NULL, refresh_jti = NULL, iat_s = 0, access_exp_s = 0,"              \
    " refresh_exp_s = 0, presented = 0, spent_jti = NULL, spent_s = 0"

/* In this order: what leads to messages and history goes behind them. */
static const struct {
    const char *table;
    enum stmt_id id;
    const char *sql;
} erasers[CHILD_TABLES] = {
    {"downlink", STMT_CHILD_FORGET_MESSAGES,
     "DELETE FROM downlink WHERE device_row IN"
     " (SELECT row FROM device WHERE " OF_CHILD " AND claimed_s <= ?2)"},
    {"telemetry", STMT_CHILD_FORGET_TELEMETRY,
     "DELETE FROM telemetry WHERE device_row IN"
     " (SELECT row FROM device WHERE " OF_CHILD " AND claimed_s <= ?2)"},
    {"past_session", STMT_CHILD_FORGET_SESSIONS,
     "DELETE FROM past_session WHERE device_row IN"
     " (SELECT row FROM device WHERE " OF_CHILD " AND claimed_s <= ?2)"},
    {"device", STMT_CHILD_FORGET_BINDINGS,
     "UPDATE device SET child_id = '', client_timestamp = '', claimed_s = 0, seen_s = 0, " NO_FAMILY
     " WHERE " OF_CHILD " AND claimed_s <= ?2"},
    {"child", STMT_CHILD_FORGET_KEY, "DELETE FROM child WHERE child_id = ?1 AND made_s <= ?2"},
    {"profile", STMT_CHILD_FORGET_PROFILE,
     "DELETE FROM profile WHERE child_id = ?1 AND set_s <= ?2"},
    {"turn", STMT_CHILD_FORGET_TURNS, "DELETE FROM turn WHERE child_id = ?1 AND at_s <= ?2"},
    /* Days are local: one that may have begun by then counts. */
    {"played", STMT_CHILD_FORGET_PLAYED,
     "DELETE FROM played WHERE child_id = ?1 AND day - 1 <= ?2 / 86400"},
    {"blocked", STMT_CHILD_FORGET_BLOCKED,
     "DELETE FROM blocked WHERE child_id = ?1 AND day - 1 <= ?2 / 86400"},
    {"alert", STMT_CHILD_FORGET_ALERTS, "DELETE FROM alert WHERE child_id = ?1 AND at_s <= ?2"},
    {"limits", STMT_CHILD_FORGET_LIMITS, "DELETE FROM limits WHERE child_id = ?1 AND set_s <= ?2"},
    {"blocked_words", STMT_CHILD_FORGET_BLOCKED_WORDS,
     "DELETE FROM blocked_words WHERE child_id = ?1 AND at_s <= ?2"},
};

int store_child_forget(struct store_tx *tx, const char *child_id, uint64_t up_to_s,
                       struct child_erased *out)
{
    *out = (struct child_erased){0};
    for (unsigned i = 0; i < CHILD_TABLES; i++) {
        sqlite3_stmt *st = tx_stmt(tx, erasers[i].id, erasers[i].sql);
        bind_text(st, 1, child_id);
        bind_u64(st, 2, up_to_s);
        int err = tx_run(tx, st);
        if (err != TEDDY_OK)
            return err;
        out->table[i] = erasers[i].table;
        out->rows[i] = (uint64_t)sqlite3_changes64(tx->db);
    }
    audit_child_gone(tx, child_id);
    return TEDDY_OK;
}

int store_child_latest(struct store_tx *tx, const char *child_id, uint64_t *at_s)
{
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_CHILD_LATEST,
                "SELECT coalesce(max(at), 0) FROM"
                " (SELECT max(claimed_s) AS at FROM device WHERE " OF_CHILD
                "  UNION ALL SELECT made_s FROM child WHERE child_id = ?1"
                "  UNION ALL SELECT max(set_s) FROM profile WHERE child_id = ?1"
                "  UNION ALL SELECT set_s FROM limits WHERE child_id = ?1"
                "  UNION ALL SELECT max(at_s) FROM turn WHERE child_id = ?1"
                "  UNION ALL SELECT max(max(at_s, last_s)) FROM alert WHERE child_id = ?1"
                "  UNION ALL SELECT max(at_s) FROM blocked_words WHERE child_id = ?1"
                "  UNION ALL SELECT (max(day) - 1) * 86400 FROM played WHERE child_id = ?1"
                "  UNION ALL SELECT (max(day) - 1) * 86400 FROM blocked WHERE child_id = ?1)");
    bind_text(st, 1, child_id);
    int err = tx_row(tx, st);
    if (err == TEDDY_OK)
        *at_s = column_u64(st, 0);
    return tx_end(st, err);
}

void store_scrub(struct store_tx *tx)
{
    tx->scrub = true;
}

int store_child_revoke(struct store_tx *tx, const char *child_id, uint64_t *devices)
{
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_CHILD_REVOKE,
                "UPDATE device SET " NO_FAMILY " WHERE " OF_CHILD " AND sid IS NOT NULL");
    bind_text(st, 1, child_id);
    int err = tx_run(tx, st);
    *devices = err == TEDDY_OK ? (uint64_t)sqlite3_changes64(tx->db) : 0;
    return err;
}

static int read_binding(struct store_tx *tx, sqlite3_stmt *st, struct child_binding *out)
{
    *out = (struct child_binding){0};
    out->row = sqlite3_column_int64(st, 0);
    out->enabled = sqlite3_column_int(st, 2) != 0;
    out->client_timestamp.p = (const char *)sqlite3_column_text(st, 4);
    out->client_timestamp.len = (size_t)sqlite3_column_bytes(st, 4);
    out->claimed_s = column_u64(st, 5);
    out->seen_s = column_u64(st, 6);
    out->has_family = sqlite3_column_int(st, 7) != 0;
    out->iat_s = column_u64(st, 8);
    out->access_exp_s = column_u64(st, 9);
    out->refresh_exp_s = column_u64(st, 10);
    out->spent_s = column_u64(st, 11);
    int err = column_text(tx, st, 1, out->device_id, sizeof out->device_id);
    return err != TEDDY_OK
               ? err
               : column_text(tx, st, 3, out->firmware_version, sizeof out->firmware_version);
}

int store_child_bindings(struct store_tx *tx, const char *child_id, int64_t after_row,
                         unsigned limit,
                         bool (*each)(void *arg, const struct child_binding *binding), void *arg)
{
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_CHILD_BINDINGS,
                "SELECT row, device_id, enabled, firmware_version, client_timestamp, claimed_s,"
                " seen_s, sid IS NOT NULL, iat_s, access_exp_s, refresh_exp_s, spent_s FROM device"
                " WHERE " OF_CHILD " AND row > ?2 ORDER BY row LIMIT ?3");
    bind_text(st, 1, child_id);
    bind_u64(st, 2, (uint64_t)after_row);
    bind_u64(st, 3, limit);
    struct child_binding binding;
    int err;
    while ((err = tx_row(tx, st)) == TEDDY_OK) {
        err = read_binding(tx, st, &binding);
        if (err != TEDDY_OK || !each(arg, &binding))
            break;
    }
    return tx_end(st, err == TEDDY_ENOTFOUND ? TEDDY_OK : err);
}

static void read_message(sqlite3_stmt *st, struct child_message *out)
{
    *out = (struct child_message){
        .row = sqlite3_column_int64(st, 0),
        .device_id = (const char *)sqlite3_column_text(st, 1),
        .message = {.id = {(uint32_t)column_u64(st, 2), (uint32_t)column_u64(st, 3)},
                    .data = sqlite3_column_int(st, 4) != 0,
                    .queued_s = column_u64(st, 5),
                    .expires_s = column_u64(st, 6)}};
    out->message.body.p = (const char *)sqlite3_column_text(st, 7);
    out->message.body.len = (size_t)sqlite3_column_bytes(st, 7);
    if (out->message.body.p == NULL)
        out->message.body = (struct span){"", 0};
    if (out->device_id == NULL)
        out->device_id = "";
}

int store_child_messages(struct store_tx *tx, const char *child_id, int64_t after_row,
                         const struct downlink_id *after, unsigned limit,
                         bool (*each)(void *arg, const struct child_message *message), void *arg)
{
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_CHILD_MESSAGES,
                "SELECT d.row, d.device_id, m.epoch, m.n, m.kind, m.queued_s, m.expires_s, m.body"
                " FROM device d JOIN downlink m ON m.device_row = d.row"
                " WHERE d.child_id = ?1 AND d.child_id <> ''"
                " AND (d.row, m.epoch, m.n) > (?2, ?3, ?4)"
                " ORDER BY d.row, m.epoch, m.n LIMIT ?5");
    bind_text(st, 1, child_id);
    bind_u64(st, 2, (uint64_t)after_row);
    bind_u64(st, 3, after->epoch);
    bind_u64(st, 4, after->n);
    bind_u64(st, 5, limit);
    struct child_message message;
    int err;
    while ((err = tx_row(tx, st)) == TEDDY_OK) {
        read_message(st, &message);
        if (!each(arg, &message))
            break;
    }
    return tx_end(st, err == TEDDY_ENOTFOUND ? TEDDY_OK : err);
}
