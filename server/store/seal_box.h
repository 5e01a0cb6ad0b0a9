/* The cryptography of secrets at rest (docs/decisions/sealed-secrets.md), without a database: a
 * random data key seals the devices' secrets and is itself wrapped under a master key. A struct
 * seal_box belongs to one thread; TEDDY_EIO anywhere: OpenSSL could not. */
#ifndef STORE_SEAL_BOX_H
#define STORE_SEAL_BOX_H

#include <stddef.h>
#include <stdint.h>

#include "proto/limits.h"
#include "teddy/err.h"

#define SEAL_KEY_LEN 32 /* of a master key and of the data key */
#define SEAL_ID_LEN  8  /* of the name of a master key, which tells nothing about it */
#define SEALED_LEN   (12 + LIMIT_SECRET_LEN + 16) /* nonce, ciphertext, tag */
#define SEAL_MAC_LEN 32

struct seal_box;

/* What the data key opens and shuts; it is not kept. NULL: TEDDY_EIO. */
struct seal_box *seal_box_new(const uint8_t data_key[SEAL_KEY_LEN]);
void seal_box_free(struct seal_box *b); /* wipes. NULL is fine */

/* AES-256-GCM under a key derived from the data key, with a random nonce each time; bound to the
 * device, so that no row's secret opens in another's. */
TEDDY_MUST_CHECK int seal_box_shut(struct seal_box *b, const char *device_id,
                                   const uint8_t secret[LIMIT_SECRET_LEN],
                                   uint8_t sealed[SEALED_LEN]);
/* TEDDY_EAUTH: it is not what was sealed for this device; secret is all zero then. */
TEDDY_MUST_CHECK int seal_box_open(struct seal_box *b, const char *device_id,
                                   const uint8_t sealed[SEALED_LEN],
                                   uint8_t secret[LIMIT_SECRET_LEN]);
/* HMAC-SHA256 under keys of their own: equal for equal secrets, and of what was erased. */
TEDDY_MUST_CHECK int seal_box_fingerprint(struct seal_box *b,
                                          const uint8_t secret[LIMIT_SECRET_LEN],
                                          uint8_t out[SEAL_MAC_LEN]);
TEDDY_MUST_CHECK int seal_box_erasure(struct seal_box *b, const void *data, size_t len,
                                      uint8_t out[SEAL_MAC_LEN]);

/* The data key under a master key. */
TEDDY_MUST_CHECK int seal_wrap(const uint8_t master[SEAL_KEY_LEN],
                               const uint8_t data_key[SEAL_KEY_LEN], uint8_t wrapped[SEALED_LEN]);
/* TEDDY_EAUTH: it was not wrapped under this master key, or is damaged. */
TEDDY_MUST_CHECK int seal_unwrap(const uint8_t master[SEAL_KEY_LEN],
                                 const uint8_t wrapped[SEALED_LEN], uint8_t data_key[SEAL_KEY_LEN]);
/* The name of a master key. */
TEDDY_MUST_CHECK int seal_id(const uint8_t master[SEAL_KEY_LEN], uint8_t id[SEAL_ID_LEN]);

#endif
