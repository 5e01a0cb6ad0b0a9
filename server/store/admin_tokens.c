/* Admin tokens: a handful of rows, read as a whole by who keeps them in memory. */
#include "store/admin_tokens.h"

#include "store/internal.h"

static int read_row(struct store_tx *tx, sqlite3_stmt *st, struct admin_token_row *out)
{
    *out = (struct admin_token_row){0};
    out->created_s = column_u64(st, 5);
    out->expires_s = column_u64(st, 6);
    out->revoked_s = column_u64(st, 7);
    out->used_s = column_u64(st, 8);
    if (column_text(tx, st, 0, out->id, sizeof out->id) != TEDDY_OK ||
        column_blob(tx, st, 1, out->sha256, sizeof out->sha256) != TEDDY_OK ||
        column_text(tx, st, 2, out->role, sizeof out->role) != TEDDY_OK ||
        column_text(tx, st, 3, out->prefix, sizeof out->prefix) != TEDDY_OK)
        return TEDDY_ESTORE;
    return column_text(tx, st, 4, out->name, sizeof out->name);
}

int store_admin_token_list(struct store_tx *tx,
                           bool (*each)(void *arg, const struct admin_token_row *row), void *arg)
{
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_ADMIN_TOKEN_LIST,
                "SELECT id, sha256, role, prefix, name, created_s, expires_s, revoked_s, used_s"
                " FROM admin_token ORDER BY row");
    struct admin_token_row row;
    int err;
    while ((err = tx_row(tx, st)) == TEDDY_OK) {
        err = read_row(tx, st, &row);
        if (err != TEDDY_OK || !each(arg, &row))
            break;
    }
    return tx_end(st, err == TEDDY_ENOTFOUND ? TEDDY_OK : err);
}

static int in_force(struct store_tx *tx, uint64_t now_s, uint64_t *count)
{
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_ADMIN_TOKEN_COUNT,
                "SELECT count(*) FROM admin_token WHERE revoked_s = 0 AND expires_s > ?1");
    bind_u64(st, 1, now_s);
    int err = tx_row(tx, st);
    if (err == TEDDY_OK)
        *count = column_u64(st, 0);
    return tx_end(st, err);
}

static int forget_old(struct store_tx *tx, uint64_t now_s, unsigned keep)
{
    sqlite3_stmt *st = tx_stmt(tx, STMT_ADMIN_TOKEN_PURGE,
                               "DELETE FROM admin_token WHERE row IN (SELECT row FROM admin_token"
                               " WHERE revoked_s > 0 OR expires_s <= ?1"
                               " ORDER BY row DESC LIMIT -1 OFFSET ?2)");
    bind_u64(st, 1, now_s);
    bind_u64(st, 2, keep);
    return tx_run(tx, st);
}

int store_admin_token_add(struct store_tx *tx, const struct admin_token_row *row, unsigned max)
{
    uint64_t count = 0;
    int err = in_force(tx, row->created_s, &count);
    if (err == TEDDY_OK)
        err = count < max ? forget_old(tx, row->created_s, max) : TEDDY_EFULL;
    if (err != TEDDY_OK)
        return err;
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_ADMIN_TOKEN_ADD,
                "INSERT INTO admin_token (id, sha256, role, prefix, name, created_s, expires_s)"
                " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)");
    bind_text(st, 1, row->id);
    bind_blob(st, 2, row->sha256, sizeof row->sha256);
    bind_text(st, 3, row->role);
    bind_text(st, 4, row->prefix);
    bind_text(st, 5, row->name);
    bind_u64(st, 6, row->created_s);
    bind_u64(st, 7, row->expires_s);
    return tx_run(tx, st);
}

int store_admin_token_revoke(struct store_tx *tx, const char *id, uint64_t now_s)
{
    sqlite3_stmt *st = tx_stmt(
        tx, STMT_ADMIN_TOKEN_REVOKE,
        "UPDATE admin_token SET revoked_s = iif(revoked_s > 0, revoked_s, ?2) WHERE id = ?1");
    bind_text(st, 1, id);
    bind_u64(st, 2, now_s);
    return tx_change(tx, st);
}

int store_admin_token_used(struct store_tx *tx, const char *id, uint64_t now_s)
{
    sqlite3_stmt *st = tx_stmt(tx, STMT_ADMIN_TOKEN_USED,
                               "UPDATE admin_token SET used_s = max(used_s, ?2) WHERE id = ?1");
    bind_text(st, 1, id);
    bind_u64(st, 2, now_s);
    return tx_change(tx, st);
}
