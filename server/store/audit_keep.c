/* The upkeep of the audit trail: signed heads, and what is too old to be kept. */
#include "store/audit.h"
#include "store/internal.h"

#define HOUR_MS 3600000u

int audit_unsigned(struct store_tx *tx, struct audit_head *last, bool *grown)
{
    int err = audit_last(tx, last);
    if (err != TEDDY_OK)
        return err;
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_AUDIT_SIGNED, "SELECT coalesce((SELECT max(n) FROM audit_head), 0)");
    err = tx_row(tx, st);
    if (err == TEDDY_OK)
        *grown = last->n > sqlite3_column_int64(st, 0);
    return tx_end(st, err);
}

static void bind_head(sqlite3_stmt *st, const struct audit_head *head)
{
    bind_u64(st, 1, (uint64_t)head->n);
    bind_u64(st, 2, head->at_ms);
    bind_blob(st, 3, head->hash, AUDIT_HASH_LEN);
    bind_blob(st, 4, head->signature, AUDIT_SIGNATURE_LEN);
}

int audit_head_add(struct store_tx *tx, const struct audit_head *head)
{
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_AUDIT_HEAD_THIN, "DELETE FROM audit_head WHERE n < ?1 AND at_ms >= ?2");
    bind_u64(st, 1, (uint64_t)head->n);
    bind_u64(st, 2, head->at_ms - head->at_ms % HOUR_MS);
    int err = tx_run(tx, st);
    if (err != TEDDY_OK)
        return err;
    st = tx_stmt(tx, STMT_AUDIT_HEAD_ADD,
                 "INSERT OR REPLACE INTO audit_head (n, at_ms, hash, signature)"
                 " VALUES (?1, ?2, ?3, ?4)");
    bind_head(st, head);
    return tx_run(tx, st);
}

struct search {
    uint64_t before_ms, too_many;
    unsigned piece;
    int64_t newest;
    unsigned found;
    bool more;
    struct audit_head *out;
};

static bool look(void *arg, const struct audit_row *row)
{
    struct search *s = arg;
    bool old = row->at_ms < s->before_ms || s->found < s->too_many;
    s->more = old && row->n < s->newest && !row->damaged;
    if (!s->more || s->found == s->piece)
        return false;
    s->out->n = row->n;
    memcpy(s->out->hash, row->hash, AUDIT_HASH_LEN);
    s->found++;
    return true;
}

int audit_prunable(struct store_tx *tx, uint64_t before_ms, uint64_t keep_max, unsigned piece,
                   struct audit_head *out, bool *more)
{
    struct audit_head last, anchor = {0};
    int err = audit_last(tx, &last);
    if (err == TEDDY_OK)
        err = audit_anchor(tx, &anchor);
    if (err != TEDDY_OK && err != TEDDY_ENOTFOUND)
        return err;
    uint64_t kept = (uint64_t)(last.n - anchor.n);
    struct search s = {.before_ms = before_ms,
                       .too_many = kept > keep_max ? kept - keep_max : 0,
                       .piece = piece,
                       .newest = last.n,
                       .out = out};
    *out = (struct audit_head){0};
    err = audit_rows(tx, anchor.n, look, &s);
    *more = s.more;
    return err == TEDDY_OK && s.found == 0 ? TEDDY_ENOTFOUND : err;
}

static int run_up_to(struct store_tx *tx, enum stmt_id id, const char *sql, int64_t n)
{
    sqlite3_stmt *st = tx_stmt(tx, id, sql);
    bind_u64(st, 1, (uint64_t)n);
    return tx_run(tx, st);
}

int audit_prune(struct store_tx *tx, const struct audit_head *anchor, uint64_t *events)
{
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_AUDIT_ANCHOR_PUT,
                "INSERT OR REPLACE INTO audit_anchor (only, n, at_ms, hash, signature)"
                " VALUES (0, ?1, ?2, ?3, ?4)");
    bind_head(st, anchor);
    int err = tx_run(tx, st);
    if (err == TEDDY_OK)
        err = run_up_to(tx, STMT_AUDIT_PRUNE, "DELETE FROM audit WHERE n <= ?1", anchor->n);
    *events = err == TEDDY_OK ? (uint64_t)sqlite3_changes64(tx->db) : 0;
    if (err == TEDDY_OK)
        err =
            run_up_to(tx, STMT_AUDIT_HEAD_PRUNE, "DELETE FROM audit_head WHERE n <= ?1", anchor->n);
    return err;
}
