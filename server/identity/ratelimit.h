/* Counts per key in fixed memory: at most `limit` in a window of a minute that opens with a key's
 * first count. The table does not grow: when it is full, the entry whose window ends first makes
 * room. */
#ifndef IDENTITY_RATELIMIT_H
#define IDENTITY_RATELIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "teddy/err.h"

struct ratelimit;

/* limit 0: never limits. slots is rounded up to a power of two. */
TEDDY_MUST_CHECK int ratelimit_new(uint32_t limit, uint32_t window_ms, size_t slots,
                                   struct ratelimit **out);
void ratelimit_free(struct ratelimit *r);
/* Counts one and returns true, or returns false with the whole seconds (≥ 1) until the window ends
 * when the limit is reached. Threads: any (one lock, held for one look-up). */
bool ratelimit_take(struct ratelimit *r, const void *key, size_t len, uint64_t now_ms,
                    uint32_t *retry_after_s);
/* The same answer without counting. */
bool ratelimit_peek(struct ratelimit *r, const void *key, size_t len, uint64_t now_ms,
                    uint32_t *retry_after_s);
/* Takes back one count (what it was for did not happen after all). */
void ratelimit_refund(struct ratelimit *r, const void *key, size_t len, uint64_t now_ms);
/* An address as a key: IPv4 whole, IPv6 by its /64; returns its length (at most 17). v4-mapped IPv6
 * counts as IPv4. */
size_t ratelimit_address_key(const struct sockaddr_storage *a, uint8_t out[17]);

#endif
