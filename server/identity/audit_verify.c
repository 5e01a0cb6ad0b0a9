#include "identity/audit_verify.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/utc.h"

__attribute__((format(printf, 3, 4))) static int fault(struct audit_verifier *v, int64_t n,
                                                       const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(v->fault, sizeof v->fault, format, args);
    va_end(args);
    v->fault_n = n;
    return TEDDY_EPROTO;
}

static int check_signed(struct audit_verifier *v, const struct audit_head *h, const char *when)
{
    if (audit_key_verifies(v->key, AUDIT_SIGNED_HEAD, h))
        return TEDDY_OK;
    return fault(v, h->n, "the head of event %lld (%s) is not signed by this key", (long long)h->n,
                 when);
}

/* The heads of the event that the verifier has come to. */
int audit_verify_heads(struct audit_verifier *v)
{
    for (; v->head_at < v->head_count && v->heads[v->head_at].n <= v->n; v->head_at++) {
        const struct audit_head *h = &v->heads[v->head_at];
        char when[UTC_TEXT];
        (void)utc_text(h->at_ms / 1000, when);
        if (check_signed(v, h, when) != TEDDY_OK)
            return TEDDY_EPROTO;
        if (h->n < v->n)
            return fault(v, h->n,
                         "event %lld, whose head was signed %s, is not there any more: the events "
                         "begin behind it",
                         (long long)h->n, when);
        if (memcmp(h->hash, v->hash, AUDIT_HASH_LEN) != 0)
            return fault(v, h->n,
                         "the head of event %lld does not match: the events up to it are not those "
                         "that were signed %s",
                         (long long)h->n, when);
        v->heads_good++;
        v->unsigned_events = 0;
    }
    return TEDDY_OK;
}

int audit_verify_begin(struct audit_verifier *v, const struct audit_head *after)
{
    v->hasher = audit_hasher_new();
    if (v->hasher == NULL)
        return TEDDY_ENOMEM;
    if (after != NULL) {
        v->begins_elsewhere = true;
        v->n = after->n;
        memcpy(v->hash, after->hash, sizeof v->hash);
    }
    return audit_verify_heads(v);
}

int audit_verify_store(struct audit_verifier *v, struct store_tx *tx)
{
    struct audit_head anchor;
    int rc = audit_anchor(tx, &anchor);
    if (rc != TEDDY_OK && rc != TEDDY_ENOTFOUND)
        return rc;
    if (rc == TEDDY_OK && !audit_key_verifies(v->key, AUDIT_SIGNED_ANCHOR, &anchor)) {
        v->n = anchor.n;
        return fault(v, anchor.n,
                     "the events begin behind event %lld, and that is not signed by this key",
                     (long long)anchor.n);
    }
    return audit_verify_begin(v, rc == TEDDY_OK ? &anchor : NULL);
}

int audit_head_list_add(struct audit_head_list *l, const struct audit_head *head)
{
    if (l->count == l->cap) {
        size_t cap = l->cap > 0 ? 2 * l->cap : 64;
        struct audit_head *more = realloc(l->head, cap * sizeof *more);
        if (more == NULL)
            return TEDDY_ENOMEM;
        l->head = more;
        l->cap = cap;
    }
    l->head[l->count++] = *head;
    return TEDDY_OK;
}

struct taking {
    struct audit_head_list *list;
    int rc;
};

static bool take_head(void *arg, const struct audit_head *head)
{
    struct taking *t = arg;
    t->rc = audit_head_list_add(t->list, head);
    return t->rc == TEDDY_OK;
}

int audit_head_list_take(struct audit_head_list *l, struct store_tx *tx)
{
    struct taking t = {l, TEDDY_OK};
    int rc = audit_heads(tx, take_head, &t);
    return rc != TEDDY_OK ? rc : t.rc;
}

static int missing(struct audit_verifier *v, int64_t up_to)
{
    long long from = (long long)v->n + 1, to = (long long)up_to;
    const char *where = v->events == 0 && !v->begins_elsewhere ? ": the beginning is cut off" : "";
    if (from == to)
        return fault(v, v->n + 1, "event %lld is missing%s", from, where);
    return fault(v, v->n + 1, "events %lld to %lld are missing%s", from, to, where);
}

int audit_verify_row(struct audit_verifier *v, const struct audit_row *row)
{
    uint8_t hash[AUDIT_HASH_LEN];
    if (row->n <= v->n)
        return fault(v, row->n, "event %lld stands behind event %lld", (long long)row->n,
                     (long long)v->n);
    if (row->n != v->n + 1)
        return missing(v, row->n - 1);
    if (row->damaged || !audit_hash(v->hasher, v->hash, row, hash) ||
        memcmp(hash, row->hash, AUDIT_HASH_LEN) != 0) {
        v->fault_content = true;
        return fault(v, row->n, "event %lld is not what was written there: it was edited",
                     (long long)row->n);
    }
    if (v->unsigned_events++ == 0)
        v->unsigned_ms = row->at_ms;
    v->last_ms = row->at_ms;
    v->n = row->n;
    v->events++;
    memcpy(v->hash, hash, sizeof v->hash);
    return v->head_at < v->head_count && v->heads[v->head_at].n <= v->n ? audit_verify_heads(v)
                                                                        : TEDDY_OK;
}

int audit_verify_end(struct audit_verifier *v)
{
    if (v->head_at == v->head_count)
        return TEDDY_OK;
    const struct audit_head *h = &v->heads[v->head_at];
    char when[UTC_TEXT];
    (void)utc_text(h->at_ms / 1000, when);
    if (check_signed(v, h, when) != TEDDY_OK)
        return TEDDY_EPROTO;
    return fault(v, v->n + 1,
                 "the tail is cut off behind event %lld: the head of event %lld was signed %s",
                 (long long)v->n, (long long)h->n, when);
}

int audit_verify_store_end(struct audit_verifier *v)
{
    int rc = audit_verify_end(v);
    bool late = v->last_ms > v->unsigned_ms && v->last_ms - v->unsigned_ms > AUDIT_UNSIGNED_MS;
    if (rc != TEDDY_OK || v->unsigned_events == 0 || (v->heads_good > 0 && !late))
        return rc;
    int64_t first = v->n - (int64_t)v->unsigned_events + 1;
    return fault(v, first,
                 "events %lld to %lld have no signed head behind them, and should have: heads were "
                 "removed, and the events may not be those that were written",
                 (long long)first, (long long)v->n);
}

int audit_sign_grown(struct store_tx *tx, const struct audit_key *key, uint64_t now_ms)
{
    struct audit_head head;
    bool grown = false;
    int rc = audit_unsigned(tx, &head, &grown);
    if (rc != TEDDY_OK || !grown)
        return rc;
    head.at_ms = now_ms;
    rc = audit_key_sign(key, AUDIT_SIGNED_HEAD, &head);
    return rc != TEDDY_OK ? rc : audit_head_add(tx, &head);
}

void audit_verify_fini(struct audit_verifier *v)
{
    audit_hasher_free(v->hasher);
    v->hasher = NULL;
}

bool audit_verify_belongs(struct audit_verifier *v, const struct audit_row *row,
                          const uint8_t expected[AUDIT_HASH_LEN])
{
    struct audit_row there = *row;
    uint8_t hash[AUDIT_HASH_LEN];
    there.n = v->fault_n;
    return !row->damaged && row->n != v->fault_n && audit_hash(v->hasher, v->hash, &there, hash) &&
           (memcmp(hash, row->hash, AUDIT_HASH_LEN) == 0 ||
            memcmp(hash, expected, AUDIT_HASH_LEN) == 0);
}
