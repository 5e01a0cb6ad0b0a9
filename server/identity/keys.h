/* Inside the identity room: the keys that sign and verify, as keys_load left them. */
#ifndef IDENTITY_KEYS_H
#define IDENTITY_KEYS_H

#include <cjose/cjose.h>
#include <jansson.h>

#include "identity/keyring.h"

/* {"alg":"HS256","kid":"...","typ":"JWT"}, encoded */
#define KEY_HEAD_MAX (4 * (JWT_KID_MAX + 40) / 3 + 4)

struct key {
    char kid[JWT_KID_MAX + 1];
    enum jwt_alg alg;
    uint64_t iat_s;
    uint64_t signs_s;   /* it has never signed, and does from then on; 0: it signs or has signed */
    uint64_t retired_s; /* since when it signs no more; 0: it is not retired */
    uint64_t until_s;   /* of a retired one, when its last token has expired; 0: unknown */
    uint32_t ttl_s;     /* the longest life of a token it signed; 0: unknown, as configured */
    uint8_t slot;       /* keys_slot */
    cjose_jwk_t *jwk;
    cjose_header_t *header;  /* of the tokens it signs */
    char head[KEY_HEAD_MAX]; /* the same as text: base64url, with the dot behind it */
};

struct keys {
    struct key *key;
    size_t count;
    const struct key *signer;
    char *jwks;
    uint64_t next_s;   /* when time alone changes something; UINT64_MAX: never */
    uint8_t next_slot; /* the first that a new key is given */
};

/* NULL: unknown. */
const struct key *keys_find(const struct keys *k, const char *kid);
/* Reads the members of array, KEYRING_MAX at most, into the empty k, which has room for one more.
 * TEDDY_EPROTO, TEDDY_ENOMEM with err; what was read stays k's. */
TEDDY_MUST_CHECK int keys_read(struct keys *k, const char *path, const json_t *array, char *err,
                               size_t cap);
/* Makes a key and appends it to array and to k, which has room for it. False: no entropy or memory,
 * and nothing was appended. signs_s as in struct key. */
TEDDY_MUST_CHECK bool keys_make(struct keys *k, json_t *array, enum jwt_alg alg, uint64_t iat_s,
                                uint64_t signs_s);
void key_fini(struct key *key);
/* Writes k->jwks. False: out of memory. */
TEDDY_MUST_CHECK bool keys_publish(struct keys *k);
/* The key of an HS256 key; key's. */
struct span keys_secret(const struct key *key);

/* The file (keys_file.c). Reads path's JSON: TEDDY_ENOTFOUND when there is none; TEDDY_EAUTH,
 * TEDDY_EPROTO, TEDDY_EIO with err. */
TEDDY_MUST_CHECK int keys_file_read(const char *path, json_t **doc, char *err, size_t cap);
/* Replaces it as a whole: power loss leaves the old or the new. Who was killed at it leaves a file
 * beside it, which the next one removes. TEDDY_EIO with err. */
TEDDY_MUST_CHECK int keys_file_write(const char *path, const json_t *doc, char *err, size_t cap);

#endif
