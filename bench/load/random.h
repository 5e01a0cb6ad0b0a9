/* Numbers that need no secrecy (masks, keys of an upgrade, nonces, jitter): xorshift, seeded by the
 * system. One thread. */
#ifndef LOAD_RANDOM_H
#define LOAD_RANDOM_H

#include <stddef.h>
#include <stdint.h>

uint64_t random_next(void);
void random_bytes(void *out, size_t len);
/* Less than bound, which is not 0. */
uint32_t random_below(uint32_t bound);

#endif
