/* Inside the identity room: the keys that sign and verify, as keys_load left them. */
#ifndef IDENTITY_KEYS_H
#define IDENTITY_KEYS_H

#include <cjose/cjose.h>
#include <jansson.h>

#include "identity/token.h"

/* {"alg":"HS256","kid":"...","typ":"JWT"}, encoded */
#define KEY_HEAD_MAX (4 * (JWT_KID_MAX + 40) / 3 + 4)

struct key {
    char kid[JWT_KID_MAX + 1];
    enum jwt_alg alg;
    uint64_t iat_s;
    uint64_t retired_s; /* since when it signs no more; 0: it is not retired */
    uint32_t ttl_s;     /* the longest life of a token it signed; 0: unknown, as configured */
    cjose_jwk_t *jwk;
    cjose_header_t *header;  /* of the tokens it signs */
    char head[KEY_HEAD_MAX]; /* the same as text: base64url, with the dot behind it */
};

struct keys {
    struct key *key;
    size_t count;
    const struct key *signer;
    char *jwks;
};

/* NULL: unknown. */
const struct key *keys_find(const struct keys *k, const char *kid);
const char *alg_name(enum jwt_alg alg);
/* The key of an HS256 key; key's. */
struct span keys_secret(const struct key *key);

/* The file (keys_file.c). Reads path's JSON: TEDDY_ENOTFOUND when there is none; TEDDY_EAUTH,
 * TEDDY_EPROTO, TEDDY_EIO with err. */
TEDDY_MUST_CHECK int keys_file_read(const char *path, json_t **doc, char *err, size_t cap);
/* Replaces it as a whole: power loss leaves the old or the new. TEDDY_EIO with err. */
TEDDY_MUST_CHECK int keys_file_write(const char *path, const json_t *doc, char *err, size_t cap);

#endif
