/* Accepted claims: what makes a second one a replay, the binding and the token family. The newest
 * nonces and MACs stand in the device's own row, which a claim changes anyway; when they fill their
 * place there, they move to claim_key together. So most claims change one page of the database, and
 * of a toy that has claimed a few times in its life nothing is looked for in claim_key. */
#include <string.h>

#include "store/internal.h"

/* Of struct claim_keys, the first byte says whether claim_key has others of the device; where it is
 * missing, it may. Behind it the entries: when it was accepted (4 bytes, big-endian), the nonce's
 * length, nonce, MAC. */
enum { ALL_HERE, OTHERS };
#define TIME_LEN  4
#define ENTRY_MAX (TIME_LEN + 1 + LIMIT_NONCE_MAX + LIMIT_MAC_LEN)

_Static_assert(1 + ENTRY_MAX <= STORE_RECENT_MAX, "a claim fits");

struct entry {
    uint64_t accepted_s;
    const uint8_t *nonce, *mac;
    size_t nonce_len;
};

/* *at is 0 before the first. TEDDY_ENOTFOUND: behind the last; TEDDY_ESTORE: it is damaged. */
static int next_entry(struct store_tx *tx, const struct claim_keys *k, size_t *at,
                      struct entry *out)
{
    if (*at == 0)
        *at = 1;
    if (k->len <= *at)
        return TEDDY_ENOTFOUND;
    const uint8_t *p = k->bytes + *at;
    size_t left = k->len - *at;
    size_t len = left > TIME_LEN ? (size_t)TIME_LEN + 1 + p[TIME_LEN] + LIMIT_MAC_LEN : SIZE_MAX;
    if (len > left)
        return tx_damaged(tx);
    out->accepted_s = (uint64_t)p[0] << 24 | (uint64_t)p[1] << 16 | (uint64_t)p[2] << 8 | p[3];
    out->nonce = p + TIME_LEN + 1;
    out->nonce_len = p[TIME_LEN];
    out->mac = out->nonce + out->nonce_len;
    *at += len;
    return TEDDY_OK;
}

static bool has_room(const struct claim_keys *k, const struct claim_row *c)
{
    return k->len + TIME_LEN + 1 + strlen(c->nonce) + LIMIT_MAC_LEN <= sizeof k->bytes;
}

static void put_entry(struct claim_keys *k, const struct claim_row *c)
{
    uint32_t at_s = c->now_s < UINT32_MAX ? (uint32_t)c->now_s : UINT32_MAX;
    size_t nonce_len = strlen(c->nonce);
    if (k->len == 0)
        k->bytes[k->len++] = OTHERS;
    uint8_t *p = k->bytes + k->len;
    for (int i = 0; i < TIME_LEN; i++)
        p[i] = (uint8_t)(at_s >> 8 * (TIME_LEN - 1 - i));
    p[TIME_LEN] = (uint8_t)nonce_len;
    memcpy(p + TIME_LEN + 1, c->nonce, nonce_len);
    memcpy(p + TIME_LEN + 1 + nonce_len, c->mac, LIMIT_MAC_LEN);
    k->len += TIME_LEN + 1 + nonce_len + LIMIT_MAC_LEN;
}

static int seen_recently(struct store_tx *tx, const struct claim_keys *k, const char *nonce,
                         const uint8_t mac[LIMIT_MAC_LEN], bool *seen)
{
    struct entry e = {0};
    size_t at = 0, nonce_len = strlen(nonce);
    int err = TEDDY_OK;
    *seen = false;
    while (!*seen && (err = next_entry(tx, k, &at, &e)) == TEDDY_OK)
        *seen = memcmp(e.mac, mac, LIMIT_MAC_LEN) == 0 ||
                (e.nonce_len == nonce_len && memcmp(e.nonce, nonce, nonce_len) == 0);
    return err == TEDDY_ENOTFOUND ? TEDDY_OK : err;
}

static int seen_before(struct store_tx *tx, int64_t device_row, const char *nonce,
                       const uint8_t mac[LIMIT_MAC_LEN], bool *seen)
{
    sqlite3_stmt *st = tx_stmt(
        tx, STMT_CLAIM_SEEN,
        "SELECT EXISTS (SELECT 1 FROM claim_key WHERE device_row = ?1 AND kind = 0 AND key = ?2)"
        " OR EXISTS (SELECT 1 FROM claim_key WHERE device_row = ?1 AND kind = 1 AND key = ?3)");
    bind_u64(st, 1, (uint64_t)device_row);
    bind_blob(st, 2, nonce, strlen(nonce));
    bind_blob(st, 3, mac, LIMIT_MAC_LEN);
    int err = tx_row(tx, st);
    if (err == TEDDY_OK)
        *seen = sqlite3_column_int(st, 0) != 0;
    return tx_end(st, err);
}

int store_claim_seen(struct store_tx *tx, const struct device_row *device, const char *nonce,
                     const uint8_t mac[LIMIT_MAC_LEN], bool *seen)
{
    int err = seen_recently(tx, &device->recent, nonce, mac, seen);
    if (err != TEDDY_OK || *seen || (device->recent.len > 0 && device->recent.bytes[0] == ALL_HERE))
        return err;
    return seen_before(tx, device->row, nonce, mac, seen);
}

static int keep_key(struct store_tx *tx, int64_t device_row, int kind, const void *key, size_t len,
                    uint64_t accepted_s)
{
    sqlite3_stmt *st = tx_stmt(tx, STMT_CLAIM_ADD,
                               "INSERT OR IGNORE INTO claim_key (device_row, kind, key, accepted_s)"
                               " VALUES (?1, ?2, ?3, ?4)");
    bind_u64(st, 1, (uint64_t)device_row);
    bind_u64(st, 2, (uint64_t)kind);
    bind_blob(st, 3, key, len);
    bind_u64(st, 4, accepted_s);
    return tx_run(tx, st);
}

/* Each was looked for in claim_key before it was accepted, where there could be any. */
static int move_recent(struct store_tx *tx, int64_t device_row, struct claim_keys *k)
{
    struct entry e = {0};
    size_t at = 0;
    int err;
    while ((err = next_entry(tx, k, &at, &e)) == TEDDY_OK) {
        err = keep_key(tx, device_row, 0, e.nonce, e.nonce_len, e.accepted_s);
        if (err == TEDDY_OK)
            err = keep_key(tx, device_row, 1, e.mac, LIMIT_MAC_LEN, e.accepted_s);
        if (err != TEDDY_OK)
            return err == TEDDY_ESTORE ? err : tx_damaged(tx);
    }
    k->bytes[0] = OTHERS;
    k->len = 1;
    return err == TEDDY_ENOTFOUND ? TEDDY_OK : err;
}

int store_claim_add(struct store_tx *tx, const struct device_row *device, const struct claim_row *c)
{
    struct claim_keys recent = device->recent;
    bool seen = false;
    int err = store_claim_seen(tx, device, c->nonce, c->mac, &seen);
    if (err != TEDDY_OK || seen)
        return err != TEDDY_OK ? err : TEDDY_EDUP;
    if (!has_room(&recent, c))
        err = move_recent(tx, device->row, &recent);
    if (err != TEDDY_OK)
        return err;
    put_entry(&recent, c);
    return device_bind(tx, device, c, &recent);
}

/* ---- Judged and recorded by one statement. Its functions have the row before it is written. ----
 */

struct claim_judged {
    const struct claim_row *claim;
    bool (*may)(void *arg, const struct device_row *device);
    void *arg;
    struct device_row *device;
    struct claim_keys recent; /* with the claim's */
    bool found;
    int err;
};

static int value_copy(struct store_tx *tx, sqlite3_value *v, void *out, size_t least, size_t most,
                      size_t *len)
{
    *len = (size_t)sqlite3_value_bytes(v);
    if (*len < least || *len > most)
        return tx_damaged(tx);
    if (*len > 0)
        memcpy(out, sqlite3_value_blob(v), *len);
    return TEDDY_OK;
}

static int read_values(struct store_tx *tx, sqlite3_value **v, struct device_row *d)
{
    size_t len = 0;
    d->row = sqlite3_value_int64(v[0]);
    d->enabled = sqlite3_value_int(v[1]) != 0;
    int64_t event = sqlite3_value_int64(v[5]);
    d->event = event < 0 ? 0 : (uint64_t)event;
    int err = value_copy(tx, v[2], d->child_id, 0, LIMIT_ID_LEN, &len);
    if (err != TEDDY_OK)
        return err;
    d->child_id[len] = 0;
    err = value_copy(tx, v[3], d->sealed, SEALED_LEN, SEALED_LEN, &len);
    if (err != TEDDY_OK)
        return err;
    return value_copy(tx, v[4], d->recent.bytes, 0, STORE_RECENT_MAX, &d->recent.len);
}

static bool fits(struct store_tx *tx, struct claim_judged *j, sqlite3_value **row)
{
    const struct claim_row *c = j->claim;
    bool seen = false;
    j->found = true;
    j->err = read_values(tx, row, j->device);
    if (j->err != TEDDY_OK || !j->may(j->arg, j->device) || !has_room(&j->device->recent, c) ||
        strcmp(j->device->child_id, c->family->child_id) != 0)
        return false;
    j->err = store_claim_seen(tx, j->device, c->nonce, c->mac, &seen);
    if (j->err != TEDDY_OK || seen)
        return false;
    j->recent = j->device->recent;
    put_entry(&j->recent, c);
    return true;
}

static void sql_fits(sqlite3_context *c, int argc, sqlite3_value **argv)
{
    struct store_tx *tx = sqlite3_user_data(c);
    (void)argc;
    sqlite3_result_int(c, tx->judged != NULL && fits(tx, tx->judged, argv) ? 1 : 0);
}

static void sql_recent(sqlite3_context *c, int argc, sqlite3_value **argv)
{
    struct store_tx *tx = sqlite3_user_data(c);
    const struct claim_keys *recent = &tx->judged->recent;
    (void)argc;
    (void)argv;
    sqlite3_result_blob(c, recent->bytes, (int)recent->len, SQLITE_STATIC);
}

static int lend_functions(struct store_tx *tx)
{
    const int flags = SQLITE_UTF8 | SQLITE_DIRECTONLY;
    if (tx->stmts[STMT_DEVICE_REBIND_IF] != NULL ||
        (sqlite3_create_function_v2(tx->db, "claim_fits", 6, flags, tx, sql_fits, NULL, NULL,
                                    NULL) == SQLITE_OK &&
         sqlite3_create_function_v2(tx->db, "claim_recent", 0, flags, tx, sql_recent, NULL, NULL,
                                    NULL) == SQLITE_OK))
        return TEDDY_OK;
    return tx_damaged(tx);
}

int store_claim_take(struct store_tx *tx, const char *device_id, const struct claim_row *c,
                     bool (*may)(void *arg, const struct device_row *device), void *arg,
                     struct device_row *device, bool *written)
{
    struct claim_judged j = {.claim = c, .may = may, .arg = arg, .device = device};
    *written = false;
    if (lend_functions(tx) != TEDDY_OK)
        return TEDDY_ESTORE;
    memcpy(device->device_id, device_id, strnlen(device_id, LIMIT_ID_LEN) + 1);
    tx->judged = &j;
    int64_t row = device_place(tx, device_id);
    int err = device_rebind_if(tx, device_id, row, c);
    if (err == TEDDY_ENOTFOUND && !j.found && row > 0)
        err = device_rebind_if(tx, device_id, 0, c);
    tx->judged = NULL;
    if (j.found)
        device_place_keep(tx, device_id, device->row);
    *written = err == TEDDY_OK;
    if (err == TEDDY_ENOTFOUND && j.found)
        return j.err;
    return err;
}

int claim_keys_forget(struct store_tx *tx, int64_t device_row)
{
    sqlite3_stmt *st = tx_stmt(tx, STMT_CLAIM_CLEAR, "DELETE FROM claim_key WHERE device_row = ?1");
    bind_u64(st, 1, (uint64_t)device_row);
    return tx_run(tx, st);
}

int column_claim_keys(struct store_tx *tx, sqlite3_stmt *st, int at, struct claim_keys *out)
{
    out->len = (size_t)sqlite3_column_bytes(st, at);
    if (out->len > sizeof out->bytes)
        return tx_damaged(tx);
    if (out->len > 0)
        memcpy(out->bytes, sqlite3_column_blob(st, at), out->len);
    return TEDDY_OK;
}

static bool begins_with(const struct claim_keys *k, const struct claim_keys *with)
{
    return with->len > 0 && k->len >= with->len && memcmp(k->bytes, with->bytes, with->len) == 0;
}

/* How many keys stand behind the first `from` bytes. */
static int count_keys(struct store_tx *tx, const struct claim_keys *k, size_t from, uint64_t *keys)
{
    struct entry e;
    size_t at = 0;
    int err;
    while ((err = next_entry(tx, k, &at, &e)) == TEDDY_OK)
        *keys += at > from ? 2 : 0;
    return err == TEDDY_ENOTFOUND ? TEDDY_OK : err;
}

/* Where the one goes on from where the other ends, it has all, and is what the row gets; else both
 * move. */
static int adopt(struct store_tx *tx, int64_t device_row, struct claim_keys *own,
                 struct claim_keys *its, uint64_t *kept)
{
    if (begins_with(its, own))
        return count_keys(tx, its, own->len, kept);
    if (begins_with(own, its))
        return TEDDY_OK;
    int err = move_recent(tx, device_row, own);
    int64_t before = sqlite3_total_changes64(tx->db);
    if (err == TEDDY_OK)
        err = move_recent(tx, device_row, its);
    *kept += (uint64_t)(sqlite3_total_changes64(tx->db) - before);
    return err;
}

static const char adopted[] =
    "UPDATE device SET recent = CASE WHEN length(device.recent) > 0"
    " AND substr(f.recent, 1, length(device.recent)) = device.recent THEN f.recent ELSE x'01' END"
    " FROM former.device f WHERE f.device_id = device.device_id AND f.recent != device.recent"
    " AND NOT (length(f.recent) > 0 AND substr(device.recent, 1, length(f.recent)) = f.recent)";

int claim_keys_adopt(struct store_tx *tx, uint64_t *kept)
{
    struct claim_keys own, its;
    sqlite3_stmt *st = NULL;
    int err = TEDDY_OK, step;
    *kept = 0;
    if (sqlite3_prepare_v2(tx->db,
                           "SELECT d.row, d.recent, f.recent FROM former.device f JOIN device d"
                           " ON d.device_id = f.device_id WHERE f.recent != d.recent",
                           -1, &st, NULL) != SQLITE_OK)
        return TEDDY_ESTORE;
    while (err == TEDDY_OK && (step = sqlite3_step(st)) != SQLITE_DONE) {
        uint64_t keys = 0;
        err = step == SQLITE_ROW ? column_claim_keys(tx, st, 1, &own) : TEDDY_ESTORE;
        if (err == TEDDY_OK)
            err = count_keys(tx, &own, 0, &keys);
        if (err != TEDDY_OK)
            break;
        err = column_claim_keys(tx, st, 2, &its);
        if (err == TEDDY_OK)
            err = adopt(tx, sqlite3_column_int64(st, 0), &own, &its, kept);
        if (err != TEDDY_OK && tx->why == SQLITE_CORRUPT) /* its own were read to the end */
            err = TEDDY_EAUTH;
    }
    sqlite3_finalize(st);
    if (err != TEDDY_OK)
        return err;
    return sqlite3_exec(tx->db, adopted, NULL, NULL, NULL) == SQLITE_OK ? TEDDY_OK : TEDDY_ESTORE;
}
