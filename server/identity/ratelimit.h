/* Token buckets per key in fixed memory: a bucket holds `limit`, and fills again by as much in a
 * window of time, evenly. The table does not grow: when it is full, the key that has taken least
 * makes room, so that a flood of keys cannot free one that is used up. */
#ifndef IDENTITY_RATELIMIT_H
#define IDENTITY_RATELIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "teddy/err.h"

struct ratelimit;

#define RATELIMIT_KEY_MAX 17 /* of an address */

/* A key was refused. */
struct ratelimit_bite {
    const void *key;
    size_t len;
    uint64_t now_ms;
    uint32_t retry_after_s;
    bool first; /* in the last window, of this key */
};

struct ratelimit_options {
    uint32_t limit; /* 0: never limits */
    uint32_t window_ms;
    size_t slots; /* rounded up to a power of two */
    /* A newcomer to a full table begins with what the key that made room had taken: more keys than
     * slots together take no more than the slots may. For limits that refuse nobody who is right;
     * it may refuse a key that has taken nothing. */
    bool inherit;
    /* Called for each refusal, in the thread that asked, without a lock; NULL: nobody is. */
    void (*bites)(void *context, const struct ratelimit_bite *bite);
    void *context;
};

TEDDY_MUST_CHECK int ratelimit_new(const struct ratelimit_options *o, struct ratelimit **out);
void ratelimit_free(struct ratelimit *r);
/* Takes one and returns true, or takes nothing and returns false, with the whole seconds (≥ 1)
 * until one is there again. Threads: any (a lock held for one look-up). */
bool ratelimit_take(struct ratelimit *r, const void *key, size_t len, uint64_t now_ms,
                    uint32_t *retry_after_s);
/* The same answer without taking. */
bool ratelimit_peek(struct ratelimit *r, const void *key, size_t len, uint64_t now_ms,
                    uint32_t *retry_after_s);
/* Puts one back (what it was for did not happen after all). */
void ratelimit_refund(struct ratelimit *r, const void *key, size_t len, uint64_t now_ms);

/* The same for an address: IPv4 whole; IPv6 by its /64 and, sixteen times as much, by its /48, as
 * one customer may hold one. v4-mapped IPv6 counts as IPv4; all Unix sockets are one. */
bool ratelimit_take_address(struct ratelimit *r, const struct sockaddr_storage *a, uint64_t now_ms,
                            uint32_t *retry_after_s);
bool ratelimit_peek_address(struct ratelimit *r, const struct sockaddr_storage *a, uint64_t now_ms,
                            uint32_t *retry_after_s);
/* Takes n of what has been admitted already and turned out dear: as many as there are. */
void ratelimit_charge_address(struct ratelimit *r, const struct sockaddr_storage *a, uint32_t n,
                              uint64_t now_ms);
/* The address in a key, or the first of its block; AF_UNSPEC: a Unix socket's. */
void ratelimit_address_of(const void *key, size_t len, struct sockaddr_storage *out);
/* An address's key as text: "192.0.2.7", "2001:db8:1:2::/64", "2001:db8:1::/48"; "local". */
void ratelimit_address_text(const void *key, size_t len, char *out, size_t cap);

#endif
