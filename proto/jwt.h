/* A view of a JWS compact JWT (RFC 7515, 7519) by the project's own rules (RFC 8725): what the
 * token says, before anything is believed. The signature is checked elsewhere. No allocation. */
#ifndef PROTO_JWT_H
#define PROTO_JWT_H

#include "proto/limits.h"
#include "proto/span.h"
#include "teddy/err.h"

#define JWT_KID_MAX 32
#define JWT_ID_MAX  40 /* jti, sid */
#define JWT_ISS_MAX 128
#define JWT_SUB_MAX (2 * LIMIT_ID_LEN + 1)

enum jwt_alg { JWT_HS256 = 1, JWT_ES256 = 2 };
enum jwt_use { JWT_ACCESS = 1, JWT_REFRESH = 2 };

struct jwt {
    enum jwt_alg alg;
    enum jwt_use use;
    char kid[JWT_KID_MAX + 1];
    char iss[JWT_ISS_MAX + 1];
    char aud[JWT_ISS_MAX + 1];
    char device_id[LIMIT_ID_LEN + 1]; /* sub is "device_id:child_id" */
    char child_id[LIMIT_ID_LEN + 1];
    char jti[JWT_ID_MAX + 1];
    char sid[JWT_ID_MAX + 1];
    uint64_t iat, exp;         /* seconds since 1970 */
    struct span signing_input; /* header "." payload, inside the token */
    uint8_t signature[64];
    size_t signature_len;
};

/* TEDDY_EPROTO: not three base64url parts, a header with anything but alg, kid and typ "JWT" (jku,
 * jwk, x5u, x5c, crit … are refused), a missing or malformed claim; TEDDY_EUNSUPPORTED: another
 * alg, `none` above all; TEDDY_ETOOBIG: over LIMIT_TOKEN_LEN. Threads: any. Blocks: no. Allocates:
 * no. */
TEDDY_MUST_CHECK int jwt_parse(struct span token, struct jwt *out);

#endif
