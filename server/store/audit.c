/* Appending to the audit trail, and the children's pseudonyms. */
#include <openssl/rand.h>
#include <stdlib.h>
#include <time.h>

#include "proto/text.h"
#include "store/audit.h"
#include "store/internal.h"

/* The end of the chain as the writer has it. Not known after anything was undone: then it is read
 * again. */
struct audit_chain {
    struct audit_hasher *hasher;
    struct audit_names *names;
    bool made; /* a child's key, since something was last kept */
    bool known;
    int64_t n;
    uint8_t hash[AUDIT_HASH_LEN];
};

static int broken(struct store_tx *tx)
{
    tx->broken = true;
    return TEDDY_ESTORE;
}

static struct audit_chain *chain_of(struct store_tx *tx)
{
    if (tx->audit != NULL)
        return tx->audit;
    struct audit_chain *c = calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    c->hasher = audit_hasher_new();
    c->names = audit_names_new();
    if (c->hasher == NULL || c->names == NULL) {
        audit_chain_free(c);
        return NULL;
    }
    return tx->audit = c;
}

void audit_chain_free(struct audit_chain *c)
{
    if (c == NULL)
        return;
    audit_hasher_free(c->hasher);
    audit_names_free(c->names);
    free(c);
}

/* A pseudonym whose key was undone is nobody's. Where only one job of several was, the key may be
 * another's, and undone later: until all is kept, each time. */
void audit_undone(struct store_tx *tx)
{
    if (tx->audit == NULL)
        return;
    tx->audit->known = false;
    if (tx->audit->made)
        audit_names_clear(tx->audit->names);
}

void audit_kept(struct store_tx *tx)
{
    if (tx->audit != NULL)
        tx->audit->made = false;
}

static int find_end(struct store_tx *tx, struct audit_chain *c)
{
    struct audit_head last;
    if (c->known)
        return TEDDY_OK;
    int err = audit_last(tx, &last);
    if (err != TEDDY_OK)
        return err;
    c->n = last.n;
    memcpy(c->hash, last.hash, sizeof c->hash);
    c->known = true;
    return TEDDY_OK;
}

/* The toy's list of events (schema.c) gets this one. A toy that is not registered has none. */
static int enlist(struct store_tx *tx, const struct audit_row *row, uint64_t *prev)
{
    *prev = 0;
    if (row->device_id.len == 0)
        return TEDDY_OK;
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_AUDIT_TOY, "SELECT row, event FROM device WHERE device_id = ?1");
    bind_text(st, 1, row->device_id.p);
    int64_t device = 0;
    int err = tx_row(tx, st);
    if (err == TEDDY_OK) {
        device = sqlite3_column_int64(st, 0);
        *prev = column_u64(st, 1);
    }
    (void)tx_end(st, err);
    if (err != TEDDY_OK)
        return err == TEDDY_ENOTFOUND ? TEDDY_OK : err;
    st = tx_stmt(tx, STMT_AUDIT_TOY_SET, "UPDATE device SET event = ?2 WHERE row = ?1");
    bind_u64(st, 1, (uint64_t)device);
    bind_u64(st, 2, (uint64_t)row->n);
    return tx_run(tx, st);
}

static int insert(struct store_tx *tx, const struct audit_row *row, const struct device_row *listed)
{
    uint64_t prev = listed != NULL ? listed->event : 0;
    int err = listed != NULL ? TEDDY_OK : enlist(tx, row, &prev);
    if (err != TEDDY_OK)
        return err;
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_AUDIT_ADD,
                "INSERT INTO audit (n, at_ms, event, device_id, child, actor, detail, hash, prev)"
                " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)");
    const struct span texts[] = {row->event, row->device_id, {0}, row->actor, row->detail};
    bind_u64(st, 1, (uint64_t)row->n);
    bind_u64(st, 2, row->at_ms);
    for (int i = 0; st != NULL && i < 5; i++)
        if (i != 2)
            sqlite3_bind_text(st, 3 + i, texts[i].p, (int)texts[i].len, SQLITE_STATIC);
    if (row->child != NULL)
        bind_blob(st, 5, row->child, AUDIT_CHILD_LEN);
    bind_blob(st, 8, row->hash, AUDIT_HASH_LEN);
    bind_u64(st, 9, prev);
    return tx_run(tx, st);
}

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static struct span text_of(const char *text)
{
    return span_of(text != NULL ? text : "");
}

static int child_key(struct store_tx *tx, const char *child_id, uint8_t key[AUDIT_CHILD_LEN])
{
    sqlite3_stmt *st = tx_stmt(tx, STMT_CHILD_KEY, "SELECT key FROM child WHERE child_id = ?1");
    bind_text(st, 1, child_id);
    int err = tx_row(tx, st);
    if (err == TEDDY_OK)
        err = column_blob(tx, st, 0, key, AUDIT_CHILD_LEN);
    return tx_end(st, err);
}

static int child_add(struct store_tx *tx, const char *child_id, uint8_t key[AUDIT_CHILD_LEN])
{
    if (RAND_bytes(key, AUDIT_CHILD_LEN) != 1)
        return broken(tx);
    sqlite3_stmt *st = tx_stmt(tx, STMT_CHILD_ADD,
                               "INSERT INTO child (child_id, key, made_s) VALUES (?1, ?2, ?3)");
    bind_text(st, 1, child_id);
    bind_blob(st, 2, key, AUDIT_CHILD_LEN);
    bind_u64(st, 3, now_ms() / 1000);
    return tx_run(tx, st);
}

int audit_child(struct store_tx *tx, const char *child_id, bool make, uint8_t out[AUDIT_CHILD_LEN])
{
    uint8_t key[AUDIT_CHILD_LEN], mac[AUDIT_HASH_LEN];
    struct audit_chain *c = chain_of(tx);
    if (c == NULL)
        return broken(tx);
    int err = child_key(tx, child_id, key);
    if (err == TEDDY_ENOTFOUND && make) {
        c->made = true;
        err = child_add(tx, child_id, key);
    }
    if (err == TEDDY_OK && !audit_hmac(c->hasher, key, span_of(child_id), mac))
        err = broken(tx);
    if (err == TEDDY_OK)
        memcpy(out, mac, AUDIT_CHILD_LEN);
    wipe(key, sizeof key);
    return err;
}

/* Of the writer alone: what another forgets, a reader would still know. */
static int name_of(struct store_tx *tx, struct audit_chain *c, const char *child_id,
                   uint8_t out[AUDIT_CHILD_LEN])
{
    uint8_t tag[AUDIT_CHILD_LEN];
    if (!audit_names_tag(c->names, c->hasher, child_id, tag))
        return TEDDY_ESTORE;
    const uint8_t *known = audit_names_find(c->names, tag);
    if (known != NULL) {
        memcpy(out, known, AUDIT_CHILD_LEN);
        return TEDDY_OK;
    }
    int err = audit_child(tx, child_id, true, out);
    if (err == TEDDY_OK)
        audit_names_put(c->names, tag, out);
    return err;
}

int audit_next(struct store_tx *tx, uint64_t *n)
{
    struct audit_chain *c = chain_of(tx);
    if (c == NULL || find_end(tx, c) != TEDDY_OK)
        return broken(tx);
    *n = (uint64_t)c->n + 1;
    return TEDDY_OK;
}

int audit_add(struct store_tx *tx, const struct audit_event *e)
{
    uint8_t child[AUDIT_CHILD_LEN], hash[AUDIT_HASH_LEN];
    struct audit_chain *c = chain_of(tx);
    if (c == NULL || find_end(tx, c) != TEDDY_OK)
        return broken(tx);
    struct audit_row row = {.n = c->n + 1,
                            .at_ms = e->at_ms != 0 ? e->at_ms : now_ms(),
                            .event = text_of(e->event),
                            .device_id = text_of(e->device_id),
                            .actor = text_of(e->actor),
                            .detail = text_of(e->detail),
                            .child = e->child,
                            .hash = hash};
    if (e->child_id != NULL && e->child_id[0] != '\0') {
        if (name_of(tx, c, e->child_id, child) != TEDDY_OK)
            return broken(tx);
        row.child = child;
    }
    /* A row that is there already is somebody else's: the chain is read again by who comes next. */
    if (!audit_hash(c->hasher, c->hash, &row, hash) || insert(tx, &row, e->listed) != TEDDY_OK) {
        c->known = false;
        return broken(tx);
    }
    c->n = row.n;
    memcpy(c->hash, hash, sizeof c->hash);
    return TEDDY_OK;
}

void audit_child_gone(struct store_tx *tx, const char *child_id)
{
    uint8_t tag[AUDIT_CHILD_LEN];
    struct audit_chain *c = tx->audit;
    if (c != NULL && audit_names_tag(c->names, c->hasher, child_id, tag))
        audit_names_forget(c->names, tag);
    else if (c != NULL)
        audit_names_clear(c->names);
}
