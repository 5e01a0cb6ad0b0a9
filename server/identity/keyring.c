/* Which key signs, which verify and for how long, and how that changes. */
#include "identity/keyring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "identity/key_file.h"
#include "identity/keys.h"

/* The set being made, and the document it is kept in: array[i] is k->key[i]. */
struct ring {
    const char *path;
    const struct keyring_policy *policy;
    struct keyring_op *op;
    struct keys *k;
    json_t *doc, *array;
    uint64_t now_s;
    bool changed;
    char *err;
    size_t cap;
};

static int out_of_memory(const struct ring *r)
{
    snprintf(r->err, r->cap, "keys %s: out of memory", r->path);
    return TEDDY_ENOMEM;
}

static void set_seconds(struct ring *r, size_t at, const char *member, uint64_t seconds)
{
    json_t *json = json_array_get(r->array, at);
    if (seconds != 0)
        json_object_set_new(json, member, json_integer((json_int_t)seconds));
    else
        json_object_del(json, member);
    r->changed = true;
}

static void drop(struct ring *r, size_t at)
{
    struct keys *k = r->k;
    key_fini(&k->key[at]);
    k->count--;
    memmove(&k->key[at], &k->key[at + 1], (k->count - at) * sizeof *k->key);
    k->key[k->count] = (struct key){0};
    json_array_remove(r->array, at);
    r->changed = true;
}

static uint64_t until(const struct ring *r, const struct key *key)
{
    uint32_t ttl_s = key->ttl_s != 0 ? key->ttl_s : r->policy->refresh_s;
    return key->retired_s != 0 && ttl_s != 0 ? key->retired_s + ttl_s + KEYRING_SLACK_S : 0;
}

static void drop_expired(struct ring *r)
{
    for (size_t i = r->k->count; i-- > 0;) {
        struct key *key = &r->k->key[i];
        key->until_s = until(r, key);
        if (key->until_s != 0 && r->now_s >= key->until_s)
            drop(r, i);
    }
}

/* Of two keys of one second the later one in the file is the newer. */
static bool newer(const struct key *a, const struct key *b)
{
    return a->iat_s > b->iat_s || (a->iat_s == b->iat_s && a > b);
}

static bool may_sign(const struct ring *r, const struct key *key)
{
    return key->retired_s == 0 && key->signs_s <= r->now_s;
}

/* The newest that may sign, or, when there is none, the newest that waits. NULL: none at all. */
static struct key *choose(const struct ring *r)
{
    struct key *best = NULL, *waiting = NULL;
    for (size_t i = 0; i < r->k->count; i++) {
        struct key *key = &r->k->key[i];
        if (may_sign(r, key) && (best == NULL || newer(key, best)))
            best = key;
        else if (key->retired_s == 0 && (waiting == NULL || newer(key, waiting)))
            waiting = key;
    }
    return best != NULL ? best : waiting;
}

/* The newest that is not retired: who signs in the end, should nothing be added. */
static struct key *newest(const struct ring *r)
{
    struct key *best = NULL;
    for (size_t i = 0; i < r->k->count; i++) {
        struct key *key = &r->k->key[i];
        if (key->retired_s == 0 && (best == NULL || newer(key, best)))
            best = key;
    }
    return best;
}

static int add(struct ring *r, enum jwt_alg alg, bool at_once)
{
    const struct key *last = newest(r), *signer = choose(r);
    uint64_t iat_s = last != NULL && last->iat_s > r->now_s ? last->iat_s : r->now_s;
    bool waits = alg == JWT_ES256 && !at_once && signer != NULL;
    if (r->k->count == KEYRING_MAX) {
        snprintf(r->err, r->cap,
                 "keys %s: there are %d keys already; retire one with --now, or wait until the "
                 "tokens of the oldest have expired",
                 r->path, KEYRING_MAX);
        return TEDDY_EFULL;
    }
    if (!keys_make(r->k, r->array, alg, iat_s,
                   waits ? r->now_s + JWKS_MAX_AGE_S + KEYRING_SLACK_S : 0)) {
        snprintf(r->err, r->cap, "keys %s: a new key could not be made", r->path);
        return TEDDY_EIO;
    }
    r->changed = true;
    return TEDDY_OK;
}

/* jwt_alg is what it was when the file was last used: whatever signs, signs. Changed, it asks for a
 * key of its own. */
static int start(struct ring *r)
{
    const char *was = json_string_value(json_object_get(r->doc, "jwt_alg"));
    const char *is = alg_name(r->policy->alg);
    const struct key *last = newest(r);
    if (was != NULL && strcmp(was, is) == 0)
        return TEDDY_OK;
    bool another = was != NULL && last != NULL && last->alg != r->policy->alg;
    int rc = another ? add(r, r->policy->alg, false) : TEDDY_OK;
    if (rc == TEDDY_OK && json_object_set_new(r->doc, "jwt_alg", json_string(is)) != 0)
        rc = out_of_memory(r);
    r->changed = true;
    return rc;
}

static int add_asked(struct ring *r)
{
    struct keyring_op *op = r->op;
    const struct key *signer = choose(r);
    enum jwt_alg as_before = signer != NULL ? signer->alg : r->policy->alg;
    int rc = add(r, op->alg_given ? op->alg : as_before, op->now);
    if (rc == TEDDY_OK)
        snprintf(op->kid, sizeof op->kid, "%s", r->k->key[r->k->count - 1].kid);
    return rc;
}

static int retire_asked(struct ring *r, const struct keys *before)
{
    struct keyring_op *op = r->op;
    struct key *key = (struct key *)(uintptr_t)keys_find(r->k, op->kid), *signer = choose(r);
    if (key == NULL) {
        snprintf(r->err, r->cap, "There is no key %s.", op->kid);
        return TEDDY_ENOTFOUND;
    }
    enum jwt_alg alg = key->alg;
    bool signs = key == signer, waits = !signs && key->signs_s != 0 && key->retired_s == 0;
    op->key = (struct key_info){.alg = alg, .made_s = key->iat_s, .state = KEY_RETIRED};
    if (waits || op->now) {
        op->closes = before != NULL ? keys_slot(before, op->kid) : -1;
        drop(r, (size_t)(key - r->k->key));
    }
    /* Its successor: a key that waits already, or another like it. */
    if (signs && newest(r) == (op->now ? NULL : key))
        return add(r, alg, op->now);
    return TEDDY_OK;
}

static int renew(struct ring *r)
{
    const struct key *signer = choose(r);
    enum jwt_alg alg = signer != NULL ? signer->alg : r->policy->alg;
    while (r->k->count > 0)
        drop(r, r->k->count - 1);
    return add(r, alg, true);
}

static void begin_signing(struct ring *r, struct key *key)
{
    size_t at = (size_t)(key - r->k->key);
    if (key->signs_s != 0) {
        key->signs_s = 0;
        set_seconds(r, at, "signs_at", 0);
    }
    if (key->ttl_s < r->policy->refresh_s) {
        key->ttl_s = r->policy->refresh_s;
        set_seconds(r, at, "ttl", key->ttl_s);
    }
}

/* Who is older than the signer retires, or goes when it has never signed. */
static void retire_older(struct ring *r, const char *signer_kid)
{
    for (size_t i = r->k->count; i-- > 0;) {
        struct key *key = &r->k->key[i];
        const struct key *signer = keys_find(r->k, signer_kid);
        if (key->retired_s != 0 || !newer(signer, key))
            continue;
        if (key->signs_s != 0) {
            drop(r, i);
            continue;
        }
        key->retired_s = r->now_s == 0 ? 1 : r->now_s;
        key->until_s = until(r, key);
        set_seconds(r, i, "retired_at", key->retired_s);
    }
}

/* Chooses the signer, made when there is none. */
static int settle(struct ring *r)
{
    char kid[JWT_KID_MAX + 1];
    struct key *signer = choose(r);
    if (signer == NULL && r->op->verb != KEYRING_LIST) {
        int rc = add(r, r->policy->alg, true);
        if (rc != TEDDY_OK)
            return rc;
        signer = choose(r);
    }
    if (signer == NULL)
        return TEDDY_OK;
    begin_signing(r, signer);
    snprintf(kid, sizeof kid, "%s", signer->kid);
    retire_older(r, kid);
    r->k->signer = keys_find(r->k, kid);
    return TEDDY_OK;
}

/* Every key that signs or will must fit the tokens. */
static int check_policy(const struct ring *r)
{
    struct keys probe = *r->k;
    int rc = TEDDY_OK;
    for (size_t i = 0; rc == TEDDY_OK && r->policy->tokens != NULL && i < probe.count; i++) {
        probe.signer = &probe.key[i];
        if (probe.signer->retired_s == 0)
            rc = token_policy_check(&probe, r->policy->tokens, r->err, r->cap);
    }
    return rc;
}

static uint8_t slot_behind(uint8_t slot)
{
    return (uint8_t)((slot + 1u) % KEYRING_MAX);
}

/* A key keeps the slot it had. A new one gets that which was given up longest ago, because sessions
 * may still carry it. */
static void give_slots(struct keys *k, const struct keys *before)
{
    uint64_t kept = 0, avoid = 0;
    bool has[KEYRING_MAX] = {0};
    _Static_assert(KEYRING_MAX == 64, "a bit each");
    for (size_t i = 0; before != NULL && i < before->count; i++)
        avoid |= UINT64_C(1) << before->key[i].slot;
    for (size_t i = 0; before != NULL && i < k->count; i++) {
        const struct key *old = keys_find(before, k->key[i].kid);
        has[i] = old != NULL;
        if (has[i])
            kept |= UINT64_C(1) << (k->key[i].slot = old->slot);
    }
    k->next_slot = before != NULL ? before->next_slot : 0;
    for (size_t i = 0; i < k->count; i++) {
        if (has[i])
            continue;
        if (avoid == UINT64_MAX)
            avoid = kept;
        while ((avoid >> k->next_slot & 1) != 0)
            k->next_slot = slot_behind(k->next_slot);
        k->key[i].slot = k->next_slot;
        kept |= UINT64_C(1) << k->next_slot;
        avoid |= UINT64_C(1) << k->next_slot;
        k->next_slot = slot_behind(k->next_slot);
    }
}

static uint64_t next_of(const struct keys *k)
{
    uint64_t next_s = UINT64_MAX;
    for (size_t i = 0; i < k->count; i++) {
        uint64_t at = k->key[i].retired_s != 0 ? k->key[i].until_s : k->key[i].signs_s;
        if (at != 0 && at < next_s)
            next_s = at;
    }
    return next_s;
}

static struct key_info info_of(const struct keys *k, const struct key *key)
{
    struct key_info info = {
        .alg = key->alg,
        .state = key == k->signer      ? KEY_SIGNING
                 : key->retired_s != 0 ? KEY_VERIFYING
                                       : KEY_PENDING,
        .made_s = key->iat_s,
        .signs_s = key->signs_s,
        .retired_s = key->retired_s,
        .until_s = key->until_s,
    };
    snprintf(info.kid, sizeof info.kid, "%s", key->kid);
    return info;
}

size_t keyring_list(const struct keys *k, struct key_info out[KEYRING_MAX])
{
    for (size_t i = 0; i < k->count; i++)
        out[i] = info_of(k, &k->key[i]);
    return k->count;
}

static void tell(const struct ring *r)
{
    struct keyring_op *op = r->op;
    const struct key *key = keys_find(r->k, op->kid), *successor = newest(r);
    if (key != NULL)
        op->key = info_of(r->k, key);
    snprintf(op->key.kid, sizeof op->key.kid, "%s", op->kid);
    if (successor != NULL && successor != key)
        snprintf(op->successor, sizeof op->successor, "%s", successor->kid);
}

static int change(struct ring *r, const struct keys *before)
{
    int rc = TEDDY_OK;
    r->op->closes = -1;
    r->op->successor[0] = '\0';
    drop_expired(r);
    if (r->op->verb == KEYRING_START)
        rc = start(r);
    else if (r->op->verb == KEYRING_ADD)
        rc = add_asked(r);
    else if (r->op->verb == KEYRING_RETIRE)
        rc = retire_asked(r, before);
    else if (r->op->verb == KEYRING_RENEW)
        rc = renew(r);
    if (rc == TEDDY_OK)
        rc = settle(r);
    if (rc == TEDDY_OK)
        rc = check_policy(r);
    if (rc != TEDDY_OK)
        return rc;
    give_slots(r->k, before);
    r->k->next_s = next_of(r->k);
    if (!keys_publish(r->k))
        return out_of_memory(r);
    tell(r);
    if (!r->changed || r->op->verb == KEYRING_LIST)
        return TEDDY_OK;
    return keys_file_write(r->path, r->doc, r->err, r->cap);
}

int keyring_run(const char *path, const struct keyring_policy *p, const struct keys *before,
                struct keyring_op *op, uint64_t now_s, struct keys **out, char *err, size_t cap)
{
    struct ring r = {.path = path, .policy = p, .op = op, .now_s = now_s, .err = err, .cap = cap};
    *out = NULL;
    if (op->verb == KEYRING_START)
        key_file_tidy(path);
    int rc = keys_file_read(path, &r.doc, err, cap);
    if (rc == TEDDY_ENOTFOUND) {
        r.doc = json_pack("{s:[]}", "keys");
        rc = TEDDY_OK;
    }
    if (rc != TEDDY_OK)
        return rc;
    r.array = json_object_get(r.doc, "keys");
    r.k = calloc(1, sizeof *r.k);
    rc = r.k != NULL && r.array != NULL ? keys_read(r.k, path, r.array, err, cap)
                                        : out_of_memory(&r);
    if (rc == TEDDY_OK)
        rc = change(&r, before);
    json_decref(r.doc);
    if (rc == TEDDY_OK)
        *out = r.k;
    else
        keys_free(r.k);
    return rc;
}

int keys_load(const char *path, enum jwt_alg alg, uint32_t refresh_s, uint64_t now_s,
              struct keys **out, char *err, size_t cap)
{
    struct keyring_policy p = {.alg = alg, .refresh_s = refresh_s};
    struct keyring_op op = {.verb = KEYRING_START};
    return keyring_run(path, &p, NULL, &op, now_s, out, err, cap);
}
