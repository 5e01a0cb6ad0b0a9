/* The claim's request and answer, and the refresh's: read and written in one place for both ends.
 */
#ifndef PROTO_CLAIM_H
#define PROTO_CLAIM_H

#include "proto/limits.h"
#include "proto/span.h"
#include "proto/writer.h"
#include "teddy/err.h"

enum claim_member {
    CLAIM_DEVICE_ID = 1u << 0,
    CLAIM_CHILD_ID = 1u << 1,
    CLAIM_NONCE = 1u << 2,
    CLAIM_HMAC_HEX = 1u << 3,
    CLAIM_FIRMWARE_VERSION = 1u << 4,
};

struct claim {
    char device_id[LIMIT_ID_LEN + 1];
    char child_id[LIMIT_ID_LEN + 1];
    char nonce[LIMIT_NONCE_MAX + 1];
    uint8_t mac[LIMIT_MAC_LEN];
    bool mac_well_formed; /* hmac_hex was 64 hex digits; otherwise it is simply an invalid signature
                           */
    char firmware_version[LIMIT_FIRMWARE_LEN + 1]; /* empty when not sent */
    char timestamp[LIMIT_FIRMWARE_LEN +
                   1]; /* as sent (string or number), empty when not or too long */
};

/* TEDDY_EPROTO, TEDDY_EUTF8, TEDDY_EDUP, TEDDY_ETOOBIG: not acceptable JSON (400). TEDDY_EINVAL:
 * *bad has the claim_member bits that are missing or malformed (422). */
TEDDY_MUST_CHECK int claim_read(struct span body, struct claim *out, unsigned *bad);
/* The name of one claim_member bit. */
const char *claim_member_name(enum claim_member bit);

/* The signed bytes: device_id ‖ child_id ‖ nonce, the nonce as sent or, with decoded, as its 16
 * bytes. Returns the length; 0 when decoded was asked of a nonce that is not 32 hex digits. (Two
 * functions: a toy links one.) */
#define CLAIM_SIGNED_MAX (2 * LIMIT_ID_LEN + LIMIT_NONCE_MAX)
size_t claim_signed_as_sent(const char *device_id, const char *child_id, const char *nonce,
                            uint8_t out[CLAIM_SIGNED_MAX]);
size_t claim_signed_decoded(const char *device_id, const char *child_id, const char *nonce,
                            uint8_t out[CLAIM_SIGNED_MAX]);
static inline size_t claim_signed_bytes(const char *device_id, const char *child_id,
                                        const char *nonce, bool decoded,
                                        uint8_t out[CLAIM_SIGNED_MAX])
{
    return decoded ? claim_signed_decoded(device_id, child_id, nonce, out)
                   : claim_signed_as_sent(device_id, child_id, nonce, out);
}

/* Writes the request body. firmware may be NULL; it holds no `"`, no backslash and no control
 * character, as the rest cannot. */
void claim_write(struct writer *w, const char *device_id, const char *child_id, const char *nonce,
                 const uint8_t mac[LIMIT_MAC_LEN], const char *firmware);

/* The token pair, as claim and refresh answer it. */
struct token_pair {
    char access[LIMIT_TOKEN_LEN + 1];
    char refresh[LIMIT_TOKEN_LEN + 1];
    uint32_t expires_in; /* seconds, of access */
};
/* With type NULL: the HTTP answer (token_type Bearer). With type "tokens": the session's message.
 */
void token_pair_write(struct writer *w, const char *type, const char *access, const char *refresh,
                      uint32_t expires_in);
TEDDY_MUST_CHECK int token_pair_read(struct span body, struct token_pair *out);

/* The refresh request: the token of member `refresh` or `refresh_token` (exactly one of them).
 * Errors as claim_read; TEDDY_EINVAL when neither or both are there, or it is no string of 1 to
 * 700. */
TEDDY_MUST_CHECK int refresh_read(struct span body, char out[LIMIT_TOKEN_LEN + 1]);
void refresh_write(struct writer *w, const char *refresh);

#endif
