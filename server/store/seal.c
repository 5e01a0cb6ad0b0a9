/* The data key of a database: made, unwrapped at each start, put under another master key. And the
 * step that seals what an older release kept in the clear. */
#include <malloc.h>
#include <openssl/rand.h>
#include <stdio.h>

#include "proto/text.h"
#include "proto/writer.h"
#include "store/internal.h"

#define NOTE_EVERY 65536 /* devices */

/* What the functions of the upgrade work with. */
struct upgrade {
    struct store_tx *tx;
    const struct seal_master *master;
    void (*sealing)(uint64_t done, uint64_t all);
    uint64_t done, all;
};

static int refuse(const struct store_options *o, char *err, size_t cap, const char *what)
{
    snprintf(err, cap, "store %s: %s", o->path, what);
    return TEDDY_ESTORE;
}

static bool number_of(sqlite3 *db, const char *sql, int64_t *out)
{
    sqlite3_stmt *st = NULL;
    bool ok =
        sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW;
    if (ok)
        *out = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return ok;
}

/* ---- What the upgrade's SQL calls. ---- */

static void sql_data_key(sqlite3_context *c, int argc, sqlite3_value **argv)
{
    struct upgrade *u = sqlite3_user_data(c);
    uint8_t key[SEAL_KEY_LEN], wrapped[SEALED_LEN];
    (void)argc;
    (void)argv;
    seal_box_free(u->tx->box);
    u->tx->box = NULL;
    if (RAND_bytes(key, sizeof key) == 1 && seal_wrap(u->master->key[0], key, wrapped) == TEDDY_OK)
        u->tx->box = seal_box_new(key);
    wipe(key, sizeof key);
    if (u->tx->box != NULL)
        sqlite3_result_blob(c, wrapped, sizeof wrapped, SQLITE_TRANSIENT);
    else
        sqlite3_result_error(c, "no data key could be made", -1);
}

static void sql_master_id(sqlite3_context *c, int argc, sqlite3_value **argv)
{
    const struct upgrade *u = sqlite3_user_data(c);
    uint8_t id[SEAL_ID_LEN];
    (void)argc;
    (void)argv;
    if (seal_id(u->master->key[0], id) == TEDDY_OK)
        sqlite3_result_blob(c, id, sizeof id, SQLITE_TRANSIENT);
    else
        sqlite3_result_error(c, "the master key has no name", -1);
}

static const uint8_t *secret_in(sqlite3_value *v)
{
    return sqlite3_value_bytes(v) == LIMIT_SECRET_LEN ? sqlite3_value_blob(v) : NULL;
}

static void sql_seal(sqlite3_context *c, int argc, sqlite3_value **argv)
{
    struct upgrade *u = sqlite3_user_data(c);
    const char *id = (const char *)sqlite3_value_text(argv[0]);
    const uint8_t *secret = secret_in(argv[1]);
    uint8_t sealed[SEALED_LEN];
    (void)argc;
    if (u->tx->box == NULL || id == NULL || secret == NULL ||
        seal_box_shut(u->tx->box, id, secret, sealed) != TEDDY_OK) {
        sqlite3_result_error(c, "a secret could not be sealed", -1);
        return;
    }
    if (++u->done % NOTE_EVERY == 0 && u->sealing != NULL)
        u->sealing(u->done, u->all);
    sqlite3_result_blob(c, sealed, sizeof sealed, SQLITE_TRANSIENT);
}

static void sql_fingerprint(sqlite3_context *c, int argc, sqlite3_value **argv)
{
    struct upgrade *u = sqlite3_user_data(c);
    const uint8_t *secret = secret_in(argv[0]);
    uint8_t mac[SEAL_MAC_LEN];
    (void)argc;
    if (u->tx->box != NULL && secret != NULL &&
        seal_box_fingerprint(u->tx->box, secret, mac) == TEDDY_OK)
        sqlite3_result_blob(c, mac, sizeof mac, SQLITE_TRANSIENT);
    else
        sqlite3_result_error(c, "a secret has no fingerprint", -1);
}

static const struct {
    const char *name;
    int argc;
    void (*call)(sqlite3_context *c, int argc, sqlite3_value **argv);
} functions[] = {
    {"seal_data_key", 0, sql_data_key},
    {"seal_master_id", 0, sql_master_id},
    {"seal_secret", 2, sql_seal},
    {"seal_fingerprint", 1, sql_fingerprint},
};

/* They are there for the upgrade alone. */
static bool lend(sqlite3 *db, struct upgrade *u)
{
    bool ok = true;
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++)
        ok &= sqlite3_create_function_v2(
                  db, functions[i].name, functions[i].argc, SQLITE_UTF8 | SQLITE_DIRECTONLY, u,
                  u != NULL ? functions[i].call : NULL, NULL, NULL, NULL) == SQLITE_OK;
    return ok;
}

/* The first master key is kept before the first row that needs it. */
static int first_master(const struct store_options *o, char *err, size_t cap)
{
    struct seal_master *m = o->master;
    if (m->count > 0)
        return TEDDY_OK;
    if (m->make != NULL)
        return m->make(m, err, cap);
    snprintf(err, cap, "store %s: there is no master key to seal secrets under; looked in %s",
             o->path, m->from);
    return TEDDY_ESTORE;
}

/* Millions of rows change places in the index of secrets: with the usual cache each would be
 * written many times over. */
#define UPGRADE_CACHE "PRAGMA cache_size=-98304"
#define USUAL_CACHE   "PRAGMA cache_size=-32768"

int seal_upgrade(struct store_tx *tx, const struct store_options *o, int version, char *err,
                 size_t cap)
{
    struct upgrade u = {.tx = tx, .master = o->master, .sealing = o->sealing};
    int64_t sealed = 0, all = 0;
    if (o->master == NULL)
        return refuse(o, err, cap, "it was opened without a master key");
    if (!number_of(tx->db, "SELECT count(*) FROM sqlite_schema WHERE name = 'seal_key'", &sealed))
        return tx_explain(tx, o->path, err, cap);
    if (sealed == 0) {
        int rc = first_master(o, err, cap);
        if (rc != TEDDY_OK)
            return TEDDY_ESTORE;
        if (version > 0 && number_of(tx->db, "SELECT count(*) FROM device", &all))
            u.all = (uint64_t)all;
    }
    if (!lend(tx->db, &u) || sqlite3_exec(tx->db, UPGRADE_CACHE, NULL, NULL, NULL) != SQLITE_OK)
        return tx_explain(tx, o->path, err, cap);
    int rc = schema_upgrade(tx, o->path, version, err, cap);
    if (!lend(tx->db, NULL) || sqlite3_exec(tx->db, USUAL_CACHE, NULL, NULL, NULL) != SQLITE_OK)
        return rc != TEDDY_OK ? rc : tx_explain(tx, o->path, err, cap);
    if (rc == TEDDY_OK && u.all > 0 && u.sealing != NULL)
        u.sealing(u.all, u.all);
    return rc;
}

/* ---- The row of the data key. ---- */

struct seal_row {
    uint8_t wrapped[SEALED_LEN], id[SEAL_ID_LEN];
    uint64_t since_s;
    bool swept;
};

static int read_row(struct store_tx *tx, struct seal_row *row)
{
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_SEAL_GET, "SELECT wrapped, master_id, since_s, swept FROM seal_key");
    int err = tx_row(tx, st);
    if (err == TEDDY_OK) {
        row->since_s = column_u64(st, 2);
        row->swept = sqlite3_column_int(st, 3) != 0;
        err = column_blob(tx, st, 0, row->wrapped, sizeof row->wrapped);
    }
    if (err == TEDDY_OK)
        err = column_blob(tx, st, 1, row->id, sizeof row->id);
    return tx_end(st, err == TEDDY_ENOTFOUND ? tx_damaged(tx) : err);
}

/* *which: the key that it was. */
static int unwrap(const struct seal_row *row, const struct seal_master *m,
                  uint8_t data_key[SEAL_KEY_LEN], unsigned *which)
{
    int rc = TEDDY_EAUTH;
    for (*which = 0; *which < m->count; ++*which) {
        rc = seal_unwrap(m->key[*which], row->wrapped, data_key);
        if (rc != TEDDY_EAUTH)
            return rc;
    }
    return rc;
}

static void hex_of(const uint8_t id[SEAL_ID_LEN], char out[2 * SEAL_ID_LEN + 1])
{
    struct writer w = writer_on(out, 2 * SEAL_ID_LEN + 1);
    writer_hex(&w, id, SEAL_ID_LEN);
    (void)writer_end(&w);
}

static int wrong_master(const struct store_options *o, const struct seal_row *row, char *err,
                        size_t cap)
{
    const struct seal_master *m = o->master;
    uint8_t id[SEAL_ID_LEN];
    char wanted[2 * SEAL_ID_LEN + 1], given[2 * SEAL_ID_LEN + 1];
    hex_of(row->id, wanted);
    if (m->count == 0) {
        snprintf(err, cap,
                 "store %s: it is sealed under master key %s, which is missing: looked in %s; put "
                 "it back there from its backup",
                 o->path, wanted, m->from);
        return TEDDY_ESTORE;
    }
    if (seal_id(m->key[0], id) != TEDDY_OK)
        return refuse(o, err, cap, "the master key cannot be used");
    hex_of(id, given);
    if (memcmp(id, row->id, sizeof id) == 0)
        snprintf(err, cap, "store %s: its data key is damaged; restore a backup", o->path);
    else
        snprintf(err, cap,
                 "store %s: it is sealed under master key %s, but %s has %s; put the right one "
                 "there, from its backup",
                 o->path, wanted, m->from, given);
    return TEDDY_ESTORE;
}

static int put_row(struct store_tx *tx, const uint8_t data_key[SEAL_KEY_LEN],
                   const uint8_t master[SEAL_KEY_LEN], uint64_t now_s)
{
    uint8_t wrapped[SEALED_LEN], id[SEAL_ID_LEN];
    if (seal_wrap(master, data_key, wrapped) != TEDDY_OK || seal_id(master, id) != TEDDY_OK)
        return tx_damaged(tx);
    sqlite3_stmt *st = tx_stmt(tx, STMT_SEAL_PUT,
                               "UPDATE seal_key SET wrapped = ?1, master_id = ?2, since_s = ?3");
    bind_blob(st, 1, wrapped, sizeof wrapped);
    bind_blob(st, 2, id, sizeof id);
    bind_u64(st, 3, now_s);
    return tx_change(tx, st);
}

static bool cut_log(struct store_tx *tx)
{
    return sqlite3_wal_checkpoint_v2(tx->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) ==
           SQLITE_OK;
}

/* What stood in the clear may still stand in the free room of pages, and in the log: every page is
 * written anew. Once; a start that was cut short is repeated by the next. */
static int sweep(struct store_tx *tx, const struct store_options *o, char *err, size_t cap)
{
    bool ok = cut_log(tx) && sqlite3_exec(tx->db, "VACUUM", NULL, NULL, NULL) == SQLITE_OK &&
              cut_log(tx) &&
              sqlite3_exec(tx->db, "UPDATE seal_key SET swept = 1", NULL, NULL, NULL) == SQLITE_OK;
    if (!ok)
        return tx_explain(tx, o->path, err, cap);
    (void)sqlite3_db_release_memory(tx->db);
    (void)malloc_trim(0); /* it was written by way of the memory, as large as the database */
    return TEDDY_OK;
}

int seal_start(struct store_tx *tx, const struct store_options *o, bool writer, char *err,
               size_t cap)
{
    struct seal_row row = {0};
    uint8_t data_key[SEAL_KEY_LEN];
    unsigned which = 0;
    if (o->master == NULL)
        return refuse(o, err, cap, "it was opened without a master key");
    int rc = read_row(tx, &row);
    if (rc != TEDDY_OK)
        return refuse(o, err, cap, "its data key is not there; restore a backup");
    rc = unwrap(&row, o->master, data_key, &which);
    if (rc != TEDDY_OK)
        return wrong_master(o, &row, err, cap);
    if (writer && which > 0)
        rc = put_row(tx, data_key, o->master->key[0], (uint64_t)time(NULL));
    seal_box_free(tx->box);
    tx->box = seal_box_new(data_key);
    wipe(data_key, sizeof data_key);
    if (rc != TEDDY_OK)
        return tx_explain(tx, o->path, err, cap);
    if (tx->box == NULL)
        return refuse(o, err, cap, "its secrets cannot be unsealed: OpenSSL has no AES-256-GCM");
    return writer && !row.swept ? sweep(tx, o, err, cap) : TEDDY_OK;
}

int store_seal_state(struct store_tx *tx, uint8_t id[SEAL_ID_LEN], uint64_t *since_s)
{
    struct seal_row row;
    int err = read_row(tx, &row);
    if (err != TEDDY_OK)
        return err;
    memcpy(id, row.id, SEAL_ID_LEN);
    *since_s = row.since_s;
    return TEDDY_OK;
}

int store_seal_fits(struct store_tx *tx, const struct seal_master *m)
{
    uint8_t data_key[SEAL_KEY_LEN];
    struct seal_row row;
    unsigned which;
    int err = read_row(tx, &row);
    if (err != TEDDY_OK)
        return err;
    err = unwrap(&row, m, data_key, &which);
    wipe(data_key, sizeof data_key);
    return err;
}

int store_seal_rewrap(struct store_tx *tx, const struct seal_master *m, uint64_t now_s)
{
    uint8_t data_key[SEAL_KEY_LEN];
    struct seal_row row;
    unsigned which;
    int err = read_row(tx, &row);
    if (err != TEDDY_OK)
        return err;
    err = unwrap(&row, m, data_key, &which);
    if (err == TEDDY_OK && which > 0)
        err = put_row(tx, data_key, m->key[0], now_s);
    wipe(data_key, sizeof data_key);
    return err;
}

int store_seal_erasure(struct store_tx *tx, const void *data, size_t len, uint8_t mac[SEAL_MAC_LEN])
{
    return seal_box_erasure(tx->box, data, len, mac) == TEDDY_OK ? TEDDY_OK : tx_damaged(tx);
}
