/* Sets of WAYS entries, found by a keyed hash: a flood of keys can neither grow the table nor aim
 * at one set. */
#include "identity/ratelimit.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "identity/rules.h"

#define WAYS 8

struct entry {
    uint64_t tag[2]; /* of the key; 128 bits of a keyed hash are the key for all we care */
    uint64_t end_ms; /* the window's; 0: never used */
    uint32_t count;
};

struct ratelimit {
    uint32_t limit, window_ms;
    size_t sets; /* a power of two */
    uint8_t seed[32];
    pthread_mutex_t lock; /* guards the entries */
    struct entry entries[];
};

int ratelimit_new(uint32_t limit, uint32_t window_ms, size_t slots, struct ratelimit **out)
{
    size_t sets = 1;
    while (sets * WAYS < slots && sets < SIZE_MAX / 4 / WAYS / sizeof(struct entry))
        sets *= 2;
    *out = NULL;
    struct ratelimit *r = calloc(1, sizeof *r + sets * WAYS * sizeof r->entries[0]);
    if (r == NULL)
        return TEDDY_ENOMEM;
    r->limit = limit;
    r->window_ms = window_ms;
    r->sets = sets;
    if (identity_random(r->seed, sizeof r->seed) != TEDDY_OK) {
        free(r);
        return TEDDY_EIO;
    }
    pthread_mutex_init(&r->lock, NULL);
    *out = r;
    return TEDDY_OK;
}

void ratelimit_free(struct ratelimit *r)
{
    if (r == NULL)
        return;
    pthread_mutex_destroy(&r->lock);
    free(r);
}

static void tag_of(const struct ratelimit *r, const void *key, size_t len, uint64_t tag[2])
{
    /* Longer keys do not exist (an id has at most 64 bytes, an address 17); what is longer counts
     * by its beginning. */
    uint8_t message[sizeof r->seed + 128], digest[32];
    if (len > 128)
        len = 128;
    memcpy(message, r->seed, sizeof r->seed);
    memcpy(message + sizeof r->seed, key, len);
    /* Without memory all share one count, which refuses too much rather than too little. */
    if (identity_sha256(message, sizeof r->seed + len, digest) != TEDDY_OK)
        memset(digest, 0, sizeof digest);
    memcpy(tag, digest, 2 * sizeof tag[0]);
}

/* The key's entry while its window is open; otherwise NULL, and *victim is where a new one goes. */
static struct entry *find(struct ratelimit *r, const uint64_t tag[2], uint64_t now_ms,
                          struct entry **victim)
{
    struct entry *set = &r->entries[(tag[0] & (r->sets - 1)) * WAYS];
    *victim = set;
    for (struct entry *e = set; e < set + WAYS; e++) {
        if (e->end_ms > now_ms && e->tag[0] == tag[0] && e->tag[1] == tag[1])
            return e;
        if (e->end_ms < (*victim)->end_ms) /* one whose window is over ends before any open one */
            *victim = e;
    }
    return NULL;
}

static bool exhausted(const struct ratelimit *r, const struct entry *e, uint64_t now_ms,
                      uint32_t *retry_after_s)
{
    if (e == NULL || e->count < r->limit)
        return false;
    if (retry_after_s != NULL)
        *retry_after_s = (uint32_t)((e->end_ms - now_ms + 999) / 1000);
    return true;
}

bool ratelimit_take(struct ratelimit *r, const void *key, size_t len, uint64_t now_ms,
                    uint32_t *retry_after_s)
{
    if (r->limit == 0)
        return true;
    uint64_t tag[2];
    tag_of(r, key, len, tag);
    pthread_mutex_lock(&r->lock);
    struct entry *victim, *e = find(r, tag, now_ms, &victim);
    bool refused = exhausted(r, e, now_ms, retry_after_s);
    if (e != NULL && !refused)
        e->count++;
    else if (e == NULL)
        *victim = (struct entry){{tag[0], tag[1]}, now_ms + r->window_ms, 1};
    pthread_mutex_unlock(&r->lock);
    return !refused;
}

bool ratelimit_peek(struct ratelimit *r, const void *key, size_t len, uint64_t now_ms,
                    uint32_t *retry_after_s)
{
    if (r->limit == 0)
        return true;
    uint64_t tag[2];
    tag_of(r, key, len, tag);
    pthread_mutex_lock(&r->lock);
    struct entry *victim;
    bool refused = exhausted(r, find(r, tag, now_ms, &victim), now_ms, retry_after_s);
    pthread_mutex_unlock(&r->lock);
    return !refused;
}

void ratelimit_refund(struct ratelimit *r, const void *key, size_t len, uint64_t now_ms)
{
    if (r->limit == 0)
        return;
    uint64_t tag[2];
    tag_of(r, key, len, tag);
    pthread_mutex_lock(&r->lock);
    struct entry *victim, *e = find(r, tag, now_ms, &victim);
    if (e != NULL && e->count > 0)
        e->count--;
    pthread_mutex_unlock(&r->lock);
}

size_t ratelimit_address_key(const struct sockaddr_storage *a, uint8_t out[17])
{
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)a;
    if (a->ss_family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
        out[0] = 6;
        memcpy(out + 1, &in6->sin6_addr, 8);
        return 9;
    }
    out[0] = 4;
    if (a->ss_family == AF_INET6)
        memcpy(out + 1, (const uint8_t *)&in6->sin6_addr + 12, 4);
    else if (a->ss_family == AF_INET)
        memcpy(out + 1, &((const struct sockaddr_in *)a)->sin_addr, 4);
    else
        return 1; /* a Unix socket: one key for all */
    return 5;
}
