/* Hex, base64url (RFC 4648 section 5, no padding), base64, constant-time compare and wiping. No
 * allocation. */
#ifndef PROTO_TEXT_H
#define PROTO_TEXT_H

#include "proto/span.h"
#include "teddy/err.h"

/* The value of one hex digit of either case, or -1. */
int hex_value(char c);
/* Decodes exactly out_len bytes from 2*out_len hex digits of either case; TEDDY_EPROTO otherwise.
 */
TEDDY_MUST_CHECK int hex_decode(struct span hex, uint8_t *out, size_t out_len);

/* Strict base64url without padding: TEDDY_EPROTO on any other character or non-zero trailing bits,
 * TEDDY_ENOSPC when over cap. */
TEDDY_MUST_CHECK int base64url_decode(struct span text, uint8_t *out, size_t cap, size_t *out_len);
/* Standard base64 with padding (RFC 4648 section 4); out gets 4*ceil(len/3) characters and a NUL.
 */
void base64_encode(const uint8_t *data, size_t len, char *out);
/* Unpadded base64url with a NUL: (4*len+2)/3 characters. */
void base64url_encode(const uint8_t *data, size_t len, char *out);

/* Compares in time that depends on len alone. */
bool ct_equal(const void *a, const void *b, size_t len);
/* Overwrites; never optimised away. */
void wipe(void *p, size_t len);

/* Parses a decimal without sign, leading zeros allowed to 20 digits; TEDDY_EPROTO on anything else.
 */
TEDDY_MUST_CHECK int u64_parse(struct span text, uint64_t *out);
/* The same, of 32 bits: what is more counts as UINT32_MAX. Any number of digits. */
TEDDY_MUST_CHECK int u32_parse(struct span text, uint32_t *out);
/* How many bytes of s, from its first on, are A-Z a-z 0-9 or one of others. */
size_t span_run(struct span s, const char *others);
/* True when all of s is; also of nothing. */
static inline bool span_within(struct span s, const char *others)
{
    return span_run(s, others) == s.len;
}
/* ASCII only, case-insensitive equality. */
bool span_ieq(struct span a, const char *text);

#endif
