/* Tokens: JWTs by cjose, checked by our own rules first (RFC 8725). Keys live in a JWKS file (0600)
 * that is made on first start. Threads: any, after keys_load (immutable). Blocks: no but keys_load.
 */
#ifndef IDENTITY_TOKEN_H
#define IDENTITY_TOKEN_H

#include <stddef.h>

#include "proto/jwt.h"
#include "store/store.h"

struct keys;

struct token_policy {
    const char *iss, *aud;
    uint32_t access_s, refresh_s; /* lifetimes */
};

/* Loads path (a JWKS with private keys, each with kid, alg and `iat`) as a server does at its start
 * (keyring.h), making it when missing. TEDDY_EPROTO, TEDDY_EAUTH (readable by others), TEDDY_EIO,
 * TEDDY_ENOMEM: err says what is wrong with the file and what to do. */
TEDDY_MUST_CHECK int keys_load(const char *path, enum jwt_alg alg, uint32_t refresh_s,
                               uint64_t now_s, struct keys **out, char *err, size_t cap);
void keys_free(struct keys *k);
/* The public JWKS (ES256 keys alone), NUL-terminated, owned by keys. */
const char *keys_jwks(const struct keys *k);

/* Makes sure that every token of this policy fits LIMIT_TOKEN_LEN and is read back, whatever the
 * ids. TEDDY_EINVAL: err says which setting is too long. For the start. */
TEDDY_MUST_CHECK int token_policy_check(const struct keys *k, const struct token_policy *p,
                                        char *err, size_t cap);

/* Signs one token of the pair: the same (row, use) gives the same jti, iat and exp. out takes
 * LIMIT_TOKEN_LEN + 1. TEDDY_ETOOBIG (see token_policy_check); TEDDY_EIO. */
TEDDY_MUST_CHECK int token_sign(const struct keys *k, const struct token_policy *p,
                                const struct family_row *f, const struct pair_row *pair,
                                enum jwt_use use, char *out);

/* Checks form, algorithm, kid, signature, iss, aud, use and exp. TEDDY_EPROTO or TEDDY_EUNSUPPORTED
 * or TEDDY_EAUTH: not ours (bad_token); TEDDY_EEXPIRED: ours, but past exp (out is filled). */
TEDDY_MUST_CHECK int token_check(const struct keys *k, const struct token_policy *p,
                                 struct span token, enum jwt_use use, uint64_t now_s,
                                 struct jwt *out);

/* The binary form of the token's sid and jti. TEDDY_EPROTO when they are not 32 hex digits. */
TEDDY_MUST_CHECK int token_ids(const struct jwt *t, uint8_t sid[STORE_JTI_LEN],
                               uint8_t jti[STORE_JTI_LEN]);
/* A family and its first pair, or a successor pair, with fresh random ids. TEDDY_EIO when the
 * CSPRNG fails. */
TEDDY_MUST_CHECK int family_new(const struct token_policy *p, const char *device_id,
                                const char *child_id, uint64_t now_s, struct family_row *out);
TEDDY_MUST_CHECK int pair_new(const struct token_policy *p, uint64_t now_s, struct pair_row *out);

#endif
