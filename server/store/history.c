/* Telemetry and past sessions, as store/history.h says. */
#include "store/history.h"

#include "store/internal.h"

#define COLUMN(id, name) ", " name
#define COLUMNS          TELEMETRY_MAP(COLUMN)
#define DAY_S            86400u

#define TELEMETRY_NAME(id, name) name,
const char *const telemetry_names[TELEMETRY_FIELDS] = {TELEMETRY_MAP(TELEMETRY_NAME)};

unsigned telemetry_rows(uint32_t days, uint32_t interval_s)
{
    uint64_t rows = interval_s > 0 ? (uint64_t)days * DAY_S / interval_s : 1;
    return days == 0                   ? 1
           : rows > TELEMETRY_ROWS_MAX ? TELEMETRY_ROWS_MAX
           : rows > 0                  ? (unsigned)rows
                                       : 1;
}

/* The toy's row. `revoked`: what is written is of a session that was ended because its tokens were,
 * perhaps as the toy was released or the child forgotten: then it is nobody's once another family
 * is in force, though that be the same child's. */
static int owned_row(struct store_tx *tx, const struct history_owner *o, bool revoked, int64_t *row)
{
    sqlite3_stmt *st = tx_stmt(tx, STMT_HISTORY_OWNER,
                               "SELECT row FROM device WHERE" DEVICE_AT " AND child_id = ?3"
                               " AND child_id <> '' AND (?5 = 0 OR sid IS NULL OR sid = ?4)");
    bind_text(st, 3, o->child_id);
    bind_blob(st, 4, o->sid, STORE_JTI_LEN);
    bind_u64(st, 5, revoked);
    int err = tx_device(tx, st, o->device_id);
    if (err == TEDDY_OK)
        *row = sqlite3_column_int64(st, 0);
    return tx_end(st, err);
}

/* The newest of the toy's ring, of a statement that selects n and a time. */
static int newest(struct store_tx *tx, sqlite3_stmt *st, int64_t row, int64_t *n, uint64_t *at_s)
{
    *n = 0;
    *at_s = 0;
    bind_u64(st, 1, (uint64_t)row);
    int err = tx_row(tx, st);
    if (err == TEDDY_OK) {
        *n = sqlite3_column_int64(st, 0);
        *at_s = column_u64(st, 1);
        if (*n < 0 || *n == INT64_MAX)
            err = tx_damaged(tx);
    }
    return tx_end(st, err == TEDDY_ENOTFOUND ? TEDDY_OK : err);
}

static int remove_old(struct store_tx *tx, sqlite3_stmt *st, int64_t row, int64_t n)
{
    bind_u64(st, 1, (uint64_t)row);
    bind_u64(st, 2, (uint64_t)n);
    return tx_run(tx, st);
}

static int telemetry_insert(struct store_tx *tx, int64_t row, int64_t n,
                            const struct telemetry_row *t)
{
    sqlite3_stmt *st = tx_stmt(tx, STMT_TELEMETRY_ADD,
                               "INSERT INTO telemetry (device_row, n, at_s" COLUMNS ")"
                               " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)");
    _Static_assert(TELEMETRY_FIELDS == 6, "as many parameters");
    bind_u64(st, 1, (uint64_t)row);
    bind_u64(st, 2, (uint64_t)n);
    bind_u64(st, 3, t->at_s);
    for (int i = 0; st != NULL && i < TELEMETRY_FIELDS; i++)
        if (t->has & 1u << i)
            sqlite3_bind_double(st, 4 + i, t->value[i]);
    return tx_run(tx, st);
}

int store_telemetry_add(struct store_tx *tx, const struct history_owner *owner,
                        const struct telemetry_row *t, const struct telemetry_bounds *bounds)
{
    int64_t row, n = 0;
    uint64_t last_s = 0;
    int err = owned_row(tx, owner, true, &row);
    if (err != TEDDY_OK)
        return err == TEDDY_ENOTFOUND ? TEDDY_OK : err;
    err = newest(tx,
                 tx_stmt(tx, STMT_TELEMETRY_LAST,
                         "SELECT n, at_s FROM telemetry WHERE device_row = ?1"
                         " ORDER BY n DESC LIMIT 1"),
                 row, &n, &last_s);
    bool soon = n > 0 && last_s <= t->at_s && t->at_s - last_s < bounds->interval_s;
    if (err != TEDDY_OK || soon)
        return err;
    err = telemetry_insert(tx, row, n + 1, t);
    if (err != TEDDY_OK || n < (int64_t)bounds->rows)
        return err;
    return remove_old(tx,
                      tx_stmt(tx, STMT_TELEMETRY_BOUND,
                              "DELETE FROM telemetry WHERE device_row = ?1 AND n <= ?2"),
                      row, n + 1 - (int64_t)bounds->rows);
}

static int session_insert(struct store_tx *tx, int64_t row, int64_t n, const struct past_session *p)
{
    sqlite3_stmt *st = tx_stmt(tx, STMT_SESSION_ADD,
                               "INSERT INTO past_session (device_row, n, opened_s, closed_s, close,"
                               " reason, received, sent) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)");
    bind_u64(st, 1, (uint64_t)row);
    bind_u64(st, 2, (uint64_t)n);
    bind_u64(st, 3, p->opened_s);
    bind_u64(st, 4, p->closed_s);
    bind_u64(st, 5, p->close);
    bind_text(st, 6, p->reason);
    bind_u64(st, 7, p->received);
    bind_u64(st, 8, p->sent);
    return tx_run(tx, st);
}

int store_session_add(struct store_tx *tx, const struct history_owner *owner,
                      const struct past_session *p)
{
    int64_t row, n = 0;
    uint64_t last_s = 0;
    int err = owned_row(tx, owner, strcmp(p->reason, "token_revoked") == 0, &row);
    if (err != TEDDY_OK)
        return err == TEDDY_ENOTFOUND ? TEDDY_OK : err;
    err = newest(tx,
                 tx_stmt(tx, STMT_SESSION_LAST,
                         "SELECT n, closed_s FROM past_session WHERE device_row = ?1"
                         " ORDER BY n DESC LIMIT 1"),
                 row, &n, &last_s);
    if (err == TEDDY_OK)
        err = session_insert(tx, row, n + 1, p);
    if (err != TEDDY_OK || n < SESSIONS_KEPT)
        return err;
    /* Never more than one is too many. For `n <= ?2` SQLite makes a table of what is to go, be it
     * nothing: more than all of the rest costs. */
    return remove_old(tx,
                      tx_stmt(tx, STMT_SESSION_BOUND,
                              "DELETE FROM past_session WHERE device_row = ?1 AND n = ?2"),
                      row, n + 1 - SESSIONS_KEPT);
}

#define OF_DEVICE " WHERE device_row = (SELECT row FROM device WHERE device_id = ?1)"

int store_telemetry_list(struct store_tx *tx, const char *device_id, uint64_t from_s, uint64_t to_s,
                         bool (*each)(void *arg, const struct telemetry_row *row), void *arg)
{
    sqlite3_stmt *st = tx_stmt(tx, STMT_TELEMETRY_LIST,
                               "SELECT at_s" COLUMNS " FROM telemetry" OF_DEVICE
                               " AND at_s BETWEEN ?2 AND ?3 ORDER BY n DESC");
    bind_text(st, 1, device_id);
    bind_u64(st, 2, from_s);
    bind_u64(st, 3, to_s);
    int err;
    while ((err = tx_row(tx, st)) == TEDDY_OK) {
        struct telemetry_row row = {.at_s = column_u64(st, 0)};
        for (int i = 0; i < TELEMETRY_FIELDS; i++) {
            if (sqlite3_column_type(st, 1 + i) == SQLITE_NULL)
                continue;
            row.has |= 1u << i;
            row.value[i] = sqlite3_column_double(st, 1 + i);
        }
        if (!each(arg, &row))
            break;
    }
    return tx_end(st, err == TEDDY_ENOTFOUND ? TEDDY_OK : err);
}

int store_session_list(struct store_tx *tx, const char *device_id,
                       bool (*each)(void *arg, const struct past_session *session), void *arg)
{
    sqlite3_stmt *st = tx_stmt(
        tx, STMT_SESSION_LIST,
        "SELECT opened_s, closed_s, close, reason, received, sent FROM past_session" OF_DEVICE
        " ORDER BY n DESC");
    bind_text(st, 1, device_id);
    int err;
    while ((err = tx_row(tx, st)) == TEDDY_OK) {
        struct past_session p = {.opened_s = column_u64(st, 0),
                                 .closed_s = column_u64(st, 1),
                                 .close = (uint16_t)column_u64(st, 2),
                                 .received = column_u64(st, 4),
                                 .sent = column_u64(st, 5)};
        err = column_text(tx, st, 3, p.reason, sizeof p.reason);
        if (err != TEDDY_OK || !each(arg, &p))
            break;
    }
    return tx_end(st, err == TEDDY_ENOTFOUND ? TEDDY_OK : err);
}

int store_history_toy(struct store_tx *tx, const char *child_id, int64_t after_row, int64_t *row,
                      char device_id[LIMIT_ID_LEN + 1])
{
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_HISTORY_TOY,
                "SELECT row, device_id FROM device d WHERE child_id = ?1 AND child_id <> ''"
                " AND row > ?2 AND (EXISTS (SELECT 1 FROM telemetry WHERE device_row = d.row)"
                " OR EXISTS (SELECT 1 FROM past_session WHERE device_row = d.row))"
                " ORDER BY row LIMIT 1");
    bind_text(st, 1, child_id);
    bind_u64(st, 2, (uint64_t)after_row);
    int err = tx_row(tx, st);
    if (err == TEDDY_OK) {
        *row = sqlite3_column_int64(st, 0);
        err = column_text(tx, st, 1, device_id, LIMIT_ID_LEN + 1);
    }
    return tx_end(st, err);
}

int history_clear_row(struct store_tx *tx, int64_t device_row)
{
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_TELEMETRY_CLEAR, "DELETE FROM telemetry WHERE device_row = ?1");
    bind_u64(st, 1, (uint64_t)device_row);
    int err = tx_run(tx, st);
    if (err != TEDDY_OK)
        return err;
    st = tx_stmt(tx, STMT_SESSION_CLEAR, "DELETE FROM past_session WHERE device_row = ?1");
    bind_u64(st, 1, (uint64_t)device_row);
    return tx_run(tx, st);
}
