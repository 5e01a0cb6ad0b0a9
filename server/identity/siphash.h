/* SipHash-2-4 (Aumasson and Bernstein, 2012): a short keyed hash, for tables whose keys strangers
 * choose. Who does not know the key cannot find two keys that meet. */
#ifndef IDENTITY_SIPHASH_H
#define IDENTITY_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t siphash(const uint64_t key[2], const void *message, size_t len);

#endif
