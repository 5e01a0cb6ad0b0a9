#include "store/retention.h"

#include <stdio.h>

#include "store/audit.h"
#include "store/children.h"
#include "store/internal.h"

#define PIECE      500 /* rows looked at */
#define PIECE_OWN  50  /* of them, those that cost several statements and an event each */
#define DAY_S      86400u
#define NO_HISTORY "client_timestamp = '', claimed_s = 0, seen_s = 0"
#define NO_FAMILY                                                                                  \
    "sid = NULL, access_jti = NULL, refresh_jti = NULL, iat_s = 0, access_exp_s = 0,"              \
    " refresh_exp_s = 0, presented = 0, spent_jti = NULL, spent_s = 0"

/* Of what is older it is time; 0 of what is kept for ever: nothing is older than that. */
static uint64_t before(uint64_t now_s, uint32_t days)
{
    uint64_t keep_s = (uint64_t)days * DAY_S;
    return days > 0 && now_s > keep_s ? now_s - keep_s : 0;
}

/* Runs a statement whose parameters are bound, and adds what it changed. */
static int count(struct store_tx *tx, sqlite3_stmt *st, uint64_t *pruned)
{
    int err = tx_run(tx, st);
    if (err == TEDDY_OK)
        *pruned += (uint64_t)sqlite3_changes64(tx->db);
    return err;
}

/* ---- Messages, in the order of their key. ---- */

static void bind_message(sqlite3_stmt *st, int at, const struct retention_place *p)
{
    bind_u64(st, at, (uint64_t)p->row);
    bind_u64(st, at + 1, p->message.epoch);
    bind_u64(st, at + 2, p->message.n);
}

/* The last message of the piece, and whether one of them is too old; TEDDY_ENOTFOUND: there is none
 * behind `from`. */
static int look_at_messages(struct store_tx *tx, const struct retention_bounds *b, uint64_t now_s,
                            const struct retention_place *from, struct retention_place *to,
                            bool *due)
{
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_RETAIN_MESSAGES_LOOK,
                "SELECT device_row, epoch, n, expires_s <= ?5 OR (?6 > 0 AND queued_s <= ?6)"
                " FROM downlink WHERE (device_row, epoch, n) > (?1, ?2, ?3)"
                " ORDER BY device_row, epoch, n LIMIT ?4");
    bool any = false;
    int err;
    bind_message(st, 1, from);
    bind_u64(st, 4, PIECE);
    bind_u64(st, 5, now_s);
    bind_u64(st, 6, before(now_s, b->messages_days));
    for (; (err = tx_row(tx, st)) == TEDDY_OK; any = true) {
        to->row = sqlite3_column_int64(st, 0);
        to->message.epoch = (uint32_t)column_u64(st, 1);
        to->message.n = (uint32_t)column_u64(st, 2);
        *due |= sqlite3_column_int(st, 3) != 0;
    }
    return tx_end(st, err == TEDDY_ENOTFOUND && any ? TEDDY_OK : err);
}

#define MESSAGES_BETWEEN                                                                           \
    "DELETE FROM downlink WHERE (device_row, epoch, n) > (?1, ?2, ?3)"                             \
    " AND (device_row, epoch, n) <= (?4, ?5, ?6) AND "

static int retain_messages(struct store_tx *tx, const struct retention_bounds *b, uint64_t now_s,
                           const struct retention_place *from, struct retention_place *to,
                           uint64_t *pruned)
{
    bool due = false;
    int err = look_at_messages(tx, b, now_s, from, to, &due);
    if (err != TEDDY_OK || !due)
        return err;
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_RETAIN_MESSAGES_EXPIRED, MESSAGES_BETWEEN "expires_s <= ?7");
    bind_message(st, 1, from);
    bind_message(st, 4, to);
    bind_u64(st, 7, now_s);
    err = count(tx, st, &pruned[RETENTION_MESSAGES_EXPIRED]);
    if (err != TEDDY_OK || b->messages_days == 0)
        return err;
    st = tx_stmt(tx, STMT_RETAIN_MESSAGES_OLD, MESSAGES_BETWEEN "queued_s <= ?7");
    bind_message(st, 1, from);
    bind_message(st, 4, to);
    bind_u64(st, 7, before(now_s, b->messages_days));
    return count(tx, st, &pruned[RETENTION_MESSAGES]);
}

/* ---- Devices, in the order of their rows. ---- */

/* Conditions on a device, by the time before which it is due. A revoked family is of no use any
 * more; an ended one for tokens_days. */
#define BOUND_IDLE(at_s) "child_id <> '' AND max(claimed_s, seen_s, iat_s) <= " at_s
#define TOKENS_OVER(at_s)                                                                          \
    "((sid IS NULL AND access_jti IS NOT NULL) OR (sid IS NOT NULL AND refresh_exp_s <= " at_s ")" \
    ")"
#define RELEASED_WITH_HISTORY                                                                      \
    "child_id = '' AND (claimed_s > 0 OR seen_s > 0 OR client_timestamp <> '')"

static uint64_t tokens_before(const struct retention_bounds *b, uint64_t now_s)
{
    return b->tokens_days > 0 ? before(now_s, b->tokens_days) : now_s;
}

static int look_at_devices(struct store_tx *tx, const struct retention_bounds *b, uint64_t now_s,
                           int64_t from, int64_t *to, bool *due)
{
    sqlite3_stmt *st = tx_stmt(
        tx, STMT_RETAIN_DEVICES_LOOK,
        "SELECT max(row), max(due) FROM (SELECT row, (?3 > 0 AND " BOUND_IDLE(
            "?3") ") OR " TOKENS_OVER("?4") " OR (" RELEASED_WITH_HISTORY ") OR (?5 AND EXISTS"
                                            " (SELECT 1 FROM telemetry WHERE device_row = "
                                            "device.row LIMIT 1 OFFSET 1)) AS due"
                                            " FROM device WHERE row > ?1 ORDER BY row LIMIT ?2)");
    bind_u64(st, 1, (uint64_t)from);
    bind_u64(st, 2, PIECE);
    bind_u64(st, 3, before(now_s, b->bindings_days));
    bind_u64(st, 4, tokens_before(b, now_s));
    bind_u64(st, 5, b->telemetry_days == 0);
    int err = tx_row(tx, st);
    if (err == TEDDY_OK && sqlite3_column_type(st, 0) == SQLITE_NULL)
        err = TEDDY_ENOTFOUND;
    if (err == TEDDY_OK) {
        *to = sqlite3_column_int64(st, 0);
        *due = sqlite3_column_int(st, 1) != 0;
    }
    return tx_end(st, err);
}

static sqlite3_stmt *between(sqlite3_stmt *st, int64_t from, int64_t to)
{
    bind_u64(st, 1, (uint64_t)from);
    bind_u64(st, 2, (uint64_t)to);
    return st;
}

struct idle {
    char device_id[LIMIT_ID_LEN + 1], child_id[LIMIT_ID_LEN + 1];
};

static int find_idle(struct store_tx *tx, int64_t from, int64_t *to, uint64_t before_s,
                     struct idle found[PIECE_OWN], unsigned *count)
{
    sqlite3_stmt *st =
        between(tx_stmt(tx, STMT_RETAIN_IDLE,
                        "SELECT device_id, child_id, row FROM device WHERE row > ?1 AND row <= ?2"
                        " AND " BOUND_IDLE("?3") " ORDER BY row"),
                from, *to);
    int err = TEDDY_OK;
    bind_u64(st, 3, before_s);
    *count = 0;
    while (*count < PIECE_OWN && (err = tx_row(tx, st)) == TEDDY_OK) {
        struct idle *i = &found[*count];
        if (column_text(tx, st, 0, i->device_id, sizeof i->device_id) != TEDDY_OK ||
            column_text(tx, st, 1, i->child_id, sizeof i->child_id) != TEDDY_OK) {
            err = TEDDY_ESTORE;
            break;
        }
        if (++*count == PIECE_OWN)
            *to = sqlite3_column_int64(st, 2); /* the piece ends here */
    }
    return tx_end(st, err == TEDDY_ENOTFOUND ? TEDDY_OK : err);
}

static int retain_bindings(struct store_tx *tx, uint64_t before_s, int64_t from, int64_t *to,
                           uint64_t *pruned)
{
    struct idle idle[PIECE_OWN];
    unsigned found;
    int err = find_idle(tx, from, to, before_s, idle, &found);
    for (unsigned i = 0; err == TEDDY_OK && i < found; i++) {
        err = store_device_release(tx, idle[i].device_id);
        if (err == TEDDY_OK)
            err = audit_add(tx, &(struct audit_event){.event = "device.released",
                                                      .device_id = idle[i].device_id,
                                                      .child_id = idle[i].child_id,
                                                      .actor = "server",
                                                      .detail = "{\"reason\":\"retention\"}"});
    }
    *pruned += err == TEDDY_OK ? found : 0;
    return err;
}

/* When only the last is to be kept. A piece with more than that is looked at again. */
static int retain_last_telemetry(struct store_tx *tx, int64_t from, int64_t *to, uint64_t *pruned)
{
    uint64_t gone = 0;
    sqlite3_stmt *st =
        between(tx_stmt(tx, STMT_RETAIN_TELEMETRY_LAST,
                        "DELETE FROM telemetry WHERE (device_row, n) IN"
                        " (SELECT device_row, n FROM telemetry t WHERE device_row > ?1"
                        " AND device_row <= ?2 AND n < (SELECT max(n) FROM telemetry"
                        "  WHERE device_row = t.device_row) LIMIT ?3)"),
                from, *to);
    bind_u64(st, 3, PIECE);
    int err = count(tx, st, &gone);
    *pruned += gone;
    if (gone == PIECE)
        *to = from;
    return err;
}

static int retain_devices(struct store_tx *tx, const struct retention_bounds *b, uint64_t now_s,
                          const struct retention_place *from, struct retention_place *to,
                          uint64_t *pruned)
{
    bool due = false;
    int err = look_at_devices(tx, b, now_s, from->row, &to->row, &due);
    if (err != TEDDY_OK || !due)
        return err;
    if (b->bindings_days > 0)
        err = retain_bindings(tx, before(now_s, b->bindings_days), from->row, &to->row,
                              &pruned[RETENTION_BINDINGS]);
    if (err != TEDDY_OK)
        return err;
    sqlite3_stmt *st = tx_stmt(tx, STMT_RETAIN_TOKENS,
                               "UPDATE device SET " NO_FAMILY " WHERE row > ?1 AND row <= ?2"
                               " AND " TOKENS_OVER("?3"));
    bind_u64(st, 3, tokens_before(b, now_s));
    err = count(tx, between(st, from->row, to->row), &pruned[RETENTION_TOKENS]);
    if (err != TEDDY_OK)
        return err;
    st = tx_stmt(tx, STMT_RETAIN_RELEASED,
                 "UPDATE device SET " NO_HISTORY " WHERE row > ?1 AND row <= ?2"
                 " AND " RELEASED_WITH_HISTORY);
    err = count(tx, between(st, from->row, to->row), &pruned[RETENTION_RELEASED]);
    if (err != TEDDY_OK || b->telemetry_days > 0)
        return err;
    return retain_last_telemetry(tx, from->row, &to->row, &pruned[RETENTION_TELEMETRY]);
}

/* ---- Children without a toy, in the order of their ids. ---- */

#define CHILDREN_BETWEEN " WHERE child_id > ?1 AND child_id <= ?2"
#define HAS_TOY                                                                                    \
    "EXISTS (SELECT 1 FROM device d WHERE d.child_id = child.child_id AND d.child_id <> '')"

/* Too old, or to be marked as without a toy, or as with one again. */
static int look_at_children(struct store_tx *tx, const struct retention_bounds *b, uint64_t now_s,
                            const char *from, char to[LIMIT_ID_LEN + 1], bool *due)
{
    sqlite3_stmt *st = tx_stmt(tx, STMT_RETAIN_CHILDREN_LOOK,
                               "SELECT max(child_id), max(due) FROM (SELECT child_id,"
                               " iif(" HAS_TOY ", idle_s > 0, idle_s <= ?3) AS due FROM child"
                               " WHERE child_id > ?1 ORDER BY child_id LIMIT ?2)");
    bind_text(st, 1, from);
    bind_u64(st, 2, PIECE);
    bind_u64(st, 3, before(now_s, b->children_days));
    int err = tx_row(tx, st);
    if (err == TEDDY_OK && sqlite3_column_type(st, 0) == SQLITE_NULL)
        err = TEDDY_ENOTFOUND;
    if (err == TEDDY_OK)
        err = column_text(tx, st, 0, to, LIMIT_ID_LEN + 1);
    if (err == TEDDY_OK)
        *due = sqlite3_column_int(st, 1) != 0;
    return tx_end(st, err);
}

static sqlite3_stmt *children(sqlite3_stmt *st, const char *from, const char *to)
{
    bind_text(st, 1, from);
    bind_text(st, 2, to);
    return st;
}

static int forget_old(struct store_tx *tx, const char *child_id)
{
    uint8_t child[AUDIT_CHILD_LEN];
    struct child_erased erased;
    int err = audit_child(tx, child_id, false, child);
    if (err == TEDDY_OK)
        err = store_child_forget(tx, child_id, UINT64_MAX, &erased);
    return err != TEDDY_OK
               ? err
               : audit_add(tx, &(struct audit_event){.event = "child.forgotten",
                                                     .child = child,
                                                     .actor = "server",
                                                     .detail = "{\"reason\":\"retention\"}"});
}

static int find_old(struct store_tx *tx, const char *from, char to[LIMIT_ID_LEN + 1],
                    uint64_t before_s, char found[PIECE_OWN][LIMIT_ID_LEN + 1], unsigned *count)
{
    sqlite3_stmt *st =
        children(tx_stmt(tx, STMT_RETAIN_CHILDREN_OLD,
                         "SELECT child_id FROM child" CHILDREN_BETWEEN
                         " AND idle_s > 0 AND idle_s <= ?3 AND NOT " HAS_TOY " ORDER BY child_id"),
                 from, to);
    int err = TEDDY_OK;
    bind_u64(st, 3, before_s);
    *count = 0;
    while (*count < PIECE_OWN && (err = tx_row(tx, st)) == TEDDY_OK) {
        err = column_text(tx, st, 0, found[*count], LIMIT_ID_LEN + 1);
        if (err != TEDDY_OK)
            break;
        ++*count;
    }
    err = tx_end(st, err == TEDDY_ENOTFOUND ? TEDDY_OK : err);
    if (err == TEDDY_OK && *count == PIECE_OWN)
        (void)snprintf(to, LIMIT_ID_LEN + 1, "%s", found[PIECE_OWN - 1]); /* the piece ends here */
    return err;
}

static int retain_children(struct store_tx *tx, const struct retention_bounds *b, uint64_t now_s,
                           const struct retention_place *from, struct retention_place *to,
                           uint64_t *pruned)
{
    char old[PIECE_OWN][LIMIT_ID_LEN + 1];
    unsigned found = 0;
    bool due = false;
    if (b->children_days == 0)
        return TEDDY_ENOTFOUND;
    int err = look_at_children(tx, b, now_s, from->child_id, to->child_id, &due);
    if (err != TEDDY_OK || !due)
        return err;
    err = find_old(tx, from->child_id, to->child_id, before(now_s, b->children_days), old, &found);
    for (unsigned i = 0; err == TEDDY_OK && i < found; i++)
        err = forget_old(tx, old[i]);
    if (err != TEDDY_OK)
        return err;
    pruned[RETENTION_CHILDREN] += found;
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_RETAIN_CHILDREN_BACK,
                "UPDATE child SET idle_s = 0" CHILDREN_BETWEEN " AND idle_s > 0 AND " HAS_TOY);
    err = tx_run(tx, children(st, from->child_id, to->child_id));
    if (err != TEDDY_OK)
        return err;
    st =
        tx_stmt(tx, STMT_RETAIN_CHILDREN_MARK,
                "UPDATE child SET idle_s = ?3" CHILDREN_BETWEEN " AND idle_s = 0 AND NOT " HAS_TOY);
    bind_u64(st, 3, now_s);
    return tx_run(tx, children(st, from->child_id, to->child_id));
}

/* ---- What conversations left, and a toy's past, by age. ---- */

static int retain_talk(struct store_tx *tx, const struct retention_bounds *b, uint64_t now_s,
                       uint64_t *pruned)
{
    const uint64_t turns = before(now_s, b->memory_days), reports = before(now_s, b->reports_days);
    const uint64_t words = b->blocked_words_days > 0 ? before(now_s, b->blocked_words_days) : now_s;
    const struct {
        enum stmt_id id;
        const char *sql;
        uint64_t bound; /* 0: none goes */
        enum retention_kind kind;
    } tables[] = {
        {STMT_RETAIN_TURNS,
         "DELETE FROM turn WHERE (device_row, child_id, n) IN (SELECT device_row, child_id, n"
         " FROM turn WHERE at_s <= ?1 ORDER BY at_s LIMIT ?2)",
         turns, RETENTION_TURNS},
        {STMT_RETAIN_PLAYED,
         "DELETE FROM played WHERE (device_row, child_id, day) IN (SELECT device_row, child_id, day"
         " FROM played WHERE day < ?1 ORDER BY day LIMIT ?2)",
         reports / DAY_S, RETENTION_REPORTS},
        {STMT_RETAIN_BLOCKED,
         "DELETE FROM blocked WHERE (device_row, child_id, day, category) IN (SELECT device_row,"
         " child_id, day, category FROM blocked WHERE day < ?1 ORDER BY day LIMIT ?2)",
         reports / DAY_S, RETENTION_REPORTS},
        {STMT_RETAIN_ALERTS,
         "DELETE FROM alert WHERE n IN (SELECT n FROM alert WHERE at_s <= ?1 ORDER BY n LIMIT ?2)",
         reports, RETENTION_ALERTS},
        {STMT_RETAIN_BLOCKED_WORDS,
         "DELETE FROM blocked_words WHERE (device_row, child_id, n) IN (SELECT device_row,"
         " child_id, n FROM blocked_words WHERE at_s <= ?1 ORDER BY at_s LIMIT ?2)",
         words, RETENTION_BLOCKED_WORDS},
        {STMT_RETAIN_TELEMETRY,
         "DELETE FROM telemetry WHERE (device_row, n) IN (SELECT device_row, n FROM telemetry"
         " WHERE at_s <= ?1 ORDER BY at_s LIMIT ?2)",
         before(now_s, b->telemetry_days), RETENTION_TELEMETRY},
        {STMT_RETAIN_SESSIONS,
         "DELETE FROM past_session WHERE (device_row, n) IN (SELECT device_row, n"
         " FROM past_session WHERE closed_s <= ?1 ORDER BY closed_s LIMIT ?2)",
         before(now_s, b->sessions_days), RETENTION_SESSIONS},
    };
    bool more = false;
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        uint64_t gone = 0;
        if (tables[i].bound == 0)
            continue;
        sqlite3_stmt *st = tx_stmt(tx, tables[i].id, tables[i].sql);
        bind_u64(st, 1, tables[i].bound);
        bind_u64(st, 2, PIECE);
        int err = count(tx, st, &gone);
        if (err != TEDDY_OK)
            return err;
        pruned[tables[i].kind] += gone;
        more |= gone == PIECE;
    }
    return more ? TEDDY_OK : TEDDY_ENOTFOUND;
}

/* ---- Small tables. ---- */

static int retain_rest(struct store_tx *tx, const struct retention_bounds *b, uint64_t now_s,
                       uint64_t *pruned)
{
    sqlite3_stmt *st = tx_stmt(tx, STMT_RETAIN_BATCHES,
                               "DELETE FROM batch WHERE n IN (SELECT n FROM batch WHERE"
                               " created_s <= ?1 ORDER BY n LIMIT ?2)");
    bind_u64(st, 1, before(now_s, b->batches_days));
    bind_u64(st, 2, PIECE);
    int err =
        b->batches_days > 0 ? count(tx, st, &pruned[RETENTION_BATCHES]) : tx_end(st, TEDDY_OK);
    if (err != TEDDY_OK || b->admin_tokens_days == 0)
        return err;
    st = tx_stmt(tx, STMT_RETAIN_ADMIN_TOKENS,
                 "DELETE FROM admin_token WHERE expires_s <= ?1"
                 " OR (revoked_s > 0 AND revoked_s <= ?1)");
    bind_u64(st, 1, before(now_s, b->admin_tokens_days));
    return count(tx, st, &pruned[RETENTION_ADMIN_TOKENS]);
}

/* The table has no more, or there was an error. */
static int behind(int err, const struct retention_place *from, struct retention_place *to)
{
    if (err != TEDDY_ENOTFOUND)
        return err;
    *to = (struct retention_place){.step = from->step + 1};
    return TEDDY_OK;
}

int store_retain_look(struct store_tx *tx, const struct retention_bounds *b, uint64_t now_s,
                      const struct retention_place *from, struct retention_place *to, bool *due)
{
    int err = TEDDY_ENOTFOUND;
    *to = *from;
    *due = from->step == RETAIN_TALK || from->step == RETAIN_REST;
    if (*due)
        return TEDDY_OK;
    if (from->step == RETAIN_MESSAGES)
        err = look_at_messages(tx, b, now_s, from, to, due);
    else if (from->step == RETAIN_DEVICES)
        err = look_at_devices(tx, b, now_s, from->row, &to->row, due);
    else if (b->children_days > 0)
        err = look_at_children(tx, b, now_s, from->child_id, to->child_id, due);
    return behind(err, from, to);
}

int store_retain(struct store_tx *tx, const struct retention_bounds *b, uint64_t now_s,
                 const struct retention_place *from, struct retention_place *to,
                 uint64_t pruned[RETENTION_KINDS])
{
    int err;
    *to = *from;
    memset(pruned, 0, RETENTION_KINDS * sizeof *pruned);
    switch (from->step) {
    case RETAIN_MESSAGES:
        err = retain_messages(tx, b, now_s, from, to, pruned);
        break;
    case RETAIN_DEVICES:
        err = retain_devices(tx, b, now_s, from, to, pruned);
        break;
    case RETAIN_CHILDREN:
        err = retain_children(tx, b, now_s, from, to, pruned);
        break;
    case RETAIN_TALK:
        err = retain_talk(tx, b, now_s, pruned);
        break;
    case RETAIN_REST:
        err = retain_rest(tx, b, now_s, pruned);
        err = err == TEDDY_OK ? TEDDY_ENOTFOUND : err;
        break;
    default:
        return TEDDY_OK;
    }
    return behind(err, from, to);
}
