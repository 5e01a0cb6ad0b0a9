/* Sets of WAYS entries, found by a keyed hash: a flood of keys can neither grow the table nor aim
 * at one set. A bucket is the time at which it will be full again (GCRA: one number, no timer). */
#include "identity/ratelimit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "identity/rules.h"
#include "identity/siphash.h"

#define WAYS        8
#define LOCKS       16 /* a power of two */
#define NS_PER_MS   1000000u
#define BLOCK_SHARE 16 /* what a /48 may take is that of so many /64s */

struct entry {
    uint64_t tag;     /* the key's hash: it is the key for all we care */
    uint64_t full_ns; /* when the bucket is full again; what lies behind us: it is */
    uint64_t told_ns; /* until then, a refusal is not the first */
};

struct ratelimit {
    struct ratelimit_options o;
    uint64_t window_ns, one_ns; /* in which the bucket fills, and in which one does */
    size_t sets;                /* a power of two */
    uint64_t seed[2];
    union {
        pthread_mutex_t mutex;
        char line[64];
    } locks[LOCKS]; /* each guards the sets of its remainder */
    struct entry entries[];
};

/* What one key asks of the table. */
struct ask {
    const void *key;
    size_t len;
    uint64_t now_ms, cost_ns;
};

int ratelimit_new(const struct ratelimit_options *o, struct ratelimit **out)
{
    size_t sets = 1;
    while (sets * WAYS < o->slots && sets < SIZE_MAX / 4 / WAYS / sizeof(struct entry))
        sets *= 2;
    *out = NULL;
    struct ratelimit *r = calloc(1, sizeof *r + sets * WAYS * sizeof r->entries[0]);
    if (r == NULL)
        return TEDDY_ENOMEM;
    r->o = *o;
    r->window_ns = (uint64_t)o->window_ms * NS_PER_MS;
    r->one_ns = o->limit > 0 ? r->window_ns / o->limit : 0;
    r->sets = sets;
    if (identity_random((uint8_t *)r->seed, sizeof r->seed) != TEDDY_OK) {
        free(r);
        return TEDDY_EIO;
    }
    for (size_t i = 0; i < LOCKS; i++)
        pthread_mutex_init(&r->locks[i].mutex, NULL);
    *out = r;
    return TEDDY_OK;
}

void ratelimit_free(struct ratelimit *r)
{
    if (r == NULL)
        return;
    for (size_t i = 0; i < LOCKS; i++)
        pthread_mutex_destroy(&r->locks[i].mutex);
    free(r);
}

/* The key's entry while it lacks anything; otherwise NULL, and *victim is where a new one goes. */
static struct entry *find(struct ratelimit *r, uint64_t tag, uint64_t now_ns, struct entry **victim)
{
    struct entry *set = &r->entries[(tag & (r->sets - 1)) * WAYS];
    *victim = set;
    for (struct entry *e = set; e < set + WAYS; e++) {
        if (e->tag == tag && e->full_ns > now_ns)
            return e;
        if (e->full_ns < (*victim)->full_ns)
            *victim = e;
    }
    return NULL;
}

/* When the bucket of e, or of the newcomer in the victim's place, is full again. */
static uint64_t full_at(const struct ratelimit *r, const struct entry *e,
                        const struct entry *victim, uint64_t now_ns)
{
    if (e != NULL)
        return e->full_ns;
    return r->o.inherit && victim->full_ns > now_ns ? victim->full_ns : now_ns;
}

/* True: granted, and taken if `take`. False: *bite says for how long. */
static bool ask(struct ratelimit *r, const struct ask *a, bool take, struct ratelimit_bite *bite)
{
    uint64_t now_ns = a->now_ms * NS_PER_MS, tag = siphash(r->seed, a->key, a->len);
    pthread_mutex_t *lock = &r->locks[tag & (r->sets - 1) & (LOCKS - 1)].mutex;
    pthread_mutex_lock(lock);
    struct entry *victim, *e = find(r, tag, now_ns, &victim);
    uint64_t full_ns = full_at(r, e, victim, now_ns) + a->cost_ns;
    bool granted = full_ns - now_ns <= r->window_ns, first = false;
    if (!granted && take && e != NULL) {
        first = now_ns >= e->told_ns;
        e->told_ns = first ? now_ns + r->window_ns : e->told_ns;
    } else if (granted && take && e != NULL) {
        e->full_ns = full_ns;
    } else if (granted && take) {
        *victim = (struct entry){tag, full_ns, 0};
    }
    pthread_mutex_unlock(lock);
    if (!granted) {
        uint64_t wait_ns = full_ns - now_ns - r->window_ns;
        uint32_t wait_s = (uint32_t)((wait_ns + 999999999) / 1000000000);
        *bite = (struct ratelimit_bite){a->key, a->len, a->now_ms, wait_s, first};
    }
    return granted;
}

static bool refused(struct ratelimit *r, bool take, const struct ratelimit_bite *bite,
                    uint32_t *retry_after_s)
{
    if (retry_after_s != NULL)
        *retry_after_s = bite->retry_after_s;
    if (take && r->o.bites != NULL)
        r->o.bites(r->o.context, bite);
    return false;
}

bool ratelimit_take(struct ratelimit *r, const void *key, size_t len, uint64_t now_ms,
                    uint32_t *retry_after_s)
{
    struct ratelimit_bite bite;
    return r->o.limit == 0 || ask(r, &(struct ask){key, len, now_ms, r->one_ns}, true, &bite) ||
           refused(r, true, &bite, retry_after_s);
}

bool ratelimit_peek(struct ratelimit *r, const void *key, size_t len, uint64_t now_ms,
                    uint32_t *retry_after_s)
{
    struct ratelimit_bite bite;
    return r->o.limit == 0 || ask(r, &(struct ask){key, len, now_ms, r->one_ns}, false, &bite) ||
           refused(r, false, &bite, retry_after_s);
}

/* Moves a bucket without asking: `back`, at most to full; otherwise at most to empty. */
static void move(struct ratelimit *r, const struct ask *a, bool back)
{
    uint64_t now_ns = a->now_ms * NS_PER_MS, tag = siphash(r->seed, a->key, a->len);
    pthread_mutex_t *lock = &r->locks[tag & (r->sets - 1) & (LOCKS - 1)].mutex;
    pthread_mutex_lock(lock);
    struct entry *victim, *e = find(r, tag, now_ns, &victim);
    uint64_t lacks_ns = full_at(r, e, victim, now_ns) - now_ns;
    if (e == NULL && !back)
        *(e = victim) = (struct entry){tag, 0, 0};
    if (e != NULL && back)
        e->full_ns -= a->cost_ns < lacks_ns ? a->cost_ns : lacks_ns;
    else if (e != NULL)
        e->full_ns =
            now_ns + (lacks_ns + a->cost_ns < r->window_ns ? lacks_ns + a->cost_ns : r->window_ns);
    pthread_mutex_unlock(lock);
}

void ratelimit_refund(struct ratelimit *r, const void *key, size_t len, uint64_t now_ms)
{
    if (r->o.limit > 0)
        move(r, &(struct ask){key, len, now_ms, r->one_ns}, true);
}

/* The key of an address, whole or of its block; its length, 0: it is not counted by block. */
static size_t address_key(const struct sockaddr_storage *a, bool block,
                          uint8_t out[RATELIMIT_KEY_MAX])
{
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)a;
    if (a->ss_family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
        out[0] = 6;
        memcpy(out + 1, &in6->sin6_addr, 8);
        return block ? 7 : 9;
    }
    if (block)
        return 0;
    out[0] = 4;
    if (a->ss_family == AF_INET6)
        memcpy(out + 1, (const uint8_t *)&in6->sin6_addr + 12, 4);
    else if (a->ss_family == AF_INET)
        memcpy(out + 1, &((const struct sockaddr_in *)a)->sin_addr, 4);
    else
        return 1;
    return 5;
}

/* An address that is refused takes nothing of its block. */
static bool ask_address(struct ratelimit *r, const struct sockaddr_storage *a, uint64_t now_ms,
                        bool take, uint32_t *retry_after_s)
{
    uint8_t key[RATELIMIT_KEY_MAX], block[RATELIMIT_KEY_MAX];
    struct ask whole = {key, address_key(a, false, key), now_ms, r->one_ns};
    struct ask part = {block, address_key(a, true, block), now_ms, r->one_ns / BLOCK_SHARE};
    struct ratelimit_bite bite;
    if (part.len > 0 && !ask(r, &part, take, &bite))
        return refused(r, take, &bite, retry_after_s);
    if (ask(r, &whole, take, &bite))
        return true;
    if (part.len > 0 && take)
        move(r, &part, true);
    return refused(r, take, &bite, retry_after_s);
}

bool ratelimit_take_address(struct ratelimit *r, const struct sockaddr_storage *a, uint64_t now_ms,
                            uint32_t *retry_after_s)
{
    return r->o.limit == 0 || ask_address(r, a, now_ms, true, retry_after_s);
}

bool ratelimit_peek_address(struct ratelimit *r, const struct sockaddr_storage *a, uint64_t now_ms,
                            uint32_t *retry_after_s)
{
    return r->o.limit == 0 || ask_address(r, a, now_ms, false, retry_after_s);
}

void ratelimit_charge_address(struct ratelimit *r, const struct sockaddr_storage *a, uint32_t n,
                              uint64_t now_ms)
{
    uint8_t key[RATELIMIT_KEY_MAX];
    if (r->o.limit == 0)
        return;
    size_t len = address_key(a, false, key);
    move(r, &(struct ask){key, len, now_ms, n * r->one_ns}, false);
    len = address_key(a, true, key);
    if (len > 0)
        move(r, &(struct ask){key, len, now_ms, n * (r->one_ns / BLOCK_SHARE)}, false);
}

void ratelimit_address_of(const void *key, size_t len, struct sockaddr_storage *out)
{
    const uint8_t *k = key;
    *out = (struct sockaddr_storage){.ss_family = AF_UNSPEC};
    if (len == 5) {
        out->ss_family = AF_INET;
        memcpy(&((struct sockaddr_in *)out)->sin_addr, k + 1, 4);
    } else if (len == 7 || len == 9) {
        out->ss_family = AF_INET6;
        memcpy(&((struct sockaddr_in6 *)out)->sin6_addr, k + 1, len - 1);
    }
}

void ratelimit_address_text(const void *key, size_t len, char *out, size_t cap)
{
    const uint8_t *bytes = key;
    uint8_t whole[16] = {0};
    char text[INET6_ADDRSTRLEN] = "local";
    bool v6 = len > 1 && bytes[0] == 6;
    if (len > 1 && len <= sizeof whole + 1) {
        memcpy(whole, bytes + 1, len - 1);
        (void)inet_ntop(v6 ? AF_INET6 : AF_INET, whole, text, sizeof text);
    }
    (void)snprintf(out, cap, "%s%s", text, !v6 ? "" : len == 7 ? "/48" : "/64");
}
