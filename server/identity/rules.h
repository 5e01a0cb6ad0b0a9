/* The rules of claim, refresh and presenting a token (docs/protocol.md, "Claim" and "Tokens"), as
 * store jobs run them. No sockets. */
#ifndef IDENTITY_RULES_H
#define IDENTITY_RULES_H

#include "identity/token.h"
#include "proto/claim.h"

enum verdict {
    VERDICT_OK,
    VERDICT_DEVICE_NOT_FOUND,  /* 404 */
    VERDICT_INVALID_SIGNATURE, /* 401 */
    VERDICT_DEVICE_DISABLED,   /* 403, 1008 */
    VERDICT_RELEASE_REQUIRED,  /* 403 */
    VERDICT_NONCE_REPLAYED,    /* 409 */
    VERDICT_TOKEN_REVOKED,     /* signed by us, but its family is not in force (any more): 401
                                  token_revoked, 1008 token_revoked */
    VERDICT_TOKEN_REUSED,      /* 401; the family is revoked now */
    VERDICT_WRONG_DEVICE,      /* sub does not fit the family */
    VERDICT_MUST_RECORD, /* token_present in a read job: not wrong, but run it again in a write job
                          */
};

enum claim_policy { CLAIM_REQUIRE_RELEASE, CLAIM_ALLOW };

/* Checks 3 to 6, reading only. Returns TEDDY_OK with *verdict, or TEDDY_ESTORE. */
int claim_check(struct store_tx *tx, const struct claim *claim, enum claim_policy policy,
                enum verdict *verdict);
/* Checks 3 to 6 and 8, in a write job: writes nonce, MAC, binding and family, which supersedes the
 * older one. family comes from family_new. admit() is asked once, for a claim that passed 3 to 5;
 * when it says no, nothing is written, and *verdict is that of 6. TEDDY_EDUP with a verdict: the
 * job has to be undone. */
int claim_commit(struct store_tx *tx, const struct claim *claim, enum claim_policy policy,
                 const struct family_row *family, uint64_t now_s, bool (*admit)(void *arg),
                 void *arg, enum verdict *verdict);

/* How long a spent refresh token may get its successor again. */
#define REFRESH_GRACE_S 600

/* The refresh, in a write job. `fresh` is the successor pair to use if a new one is due; *out is
 * the pair to answer with (fresh, or the successor handed out before) and *family its family. With
 * VERDICT_TOKEN_REUSED the revocation is written: returns TEDDY_OK. */
int token_rotate(struct store_tx *tx, const uint8_t sid[STORE_JTI_LEN],
                 const uint8_t jti[STORE_JTI_LEN], const struct jwt *token,
                 const struct pair_row *fresh, uint64_t now_s, struct family_row *family,
                 struct pair_row *out, enum verdict *verdict);

/* An access token presented at an upgrade. In a read job: VERDICT_MUST_RECORD when the first
 * presentation of a successor pair has to be written before it is honoured; then the same call in a
 * write job, with may_write. */
int token_present(struct store_tx *tx, bool may_write, const uint8_t sid[STORE_JTI_LEN],
                  const uint8_t jti[STORE_JTI_LEN], const struct jwt *token,
                  struct family_row *family, enum verdict *verdict);

/* HMAC-SHA256 by OpenSSL. TEDDY_EIO when it fails. */
TEDDY_MUST_CHECK int identity_hmac_sha256(const uint8_t *key, size_t key_len, const uint8_t *msg,
                                          size_t len, uint8_t mac[32]);
TEDDY_MUST_CHECK int identity_sha256(const uint8_t *msg, size_t len, uint8_t digest[32]);
TEDDY_MUST_CHECK int identity_random(uint8_t *out, size_t len);

#endif
