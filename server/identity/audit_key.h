/* The key that signs the audit trail's heads: Ed25519, in a file of its own (PKCS #8 PEM, 0600)
 * that is made when missing. Threads: any, after loading. */
#ifndef IDENTITY_AUDIT_KEY_H
#define IDENTITY_AUDIT_KEY_H

#include "store/audit.h"

#define AUDIT_KEY_FILE   "audit-key.pem"
#define AUDIT_PUBLIC_LEN 32

struct audit_key;

/* What a signature says: "this was the end of the chain", or "here it begins, what was before was
 * removed". One does not pass for the other. */
enum audit_signed { AUDIT_SIGNED_HEAD, AUDIT_SIGNED_ANCHOR };

/* TEDDY_EAUTH (others may read it), TEDDY_EPROTO, TEDDY_EIO with err. Blocks: on the file. */
TEDDY_MUST_CHECK int audit_key_load(const char *path, struct audit_key **out, char *err,
                                    size_t cap);
/* The public half alone, from its PEM file: it verifies. */
TEDDY_MUST_CHECK int audit_key_load_public(const char *path, struct audit_key **out, char *err,
                                           size_t cap);
/* The same from its 32 bytes. NULL: out of memory, or no key. */
struct audit_key *audit_key_of(const uint8_t raw[AUDIT_PUBLIC_LEN]);
void audit_key_free(struct audit_key *k); /* NULL is fine */

/* Signs n, at_ms and hash of the head into its signature. TEDDY_EIO when OpenSSL fails. */
TEDDY_MUST_CHECK int audit_key_sign(const struct audit_key *k, enum audit_signed what,
                                    struct audit_head *head);
bool audit_key_verifies(const struct audit_key *k, enum audit_signed what,
                        const struct audit_head *head);
/* The same of any other text; its first line says what it is, and no other text begins with it. */
TEDDY_MUST_CHECK int audit_key_sign_text(const struct audit_key *k, const void *text, size_t len,
                                         uint8_t signature[AUDIT_SIGNATURE_LEN]);
bool audit_key_verifies_text(const struct audit_key *k, const void *text, size_t len,
                             const uint8_t signature[AUDIT_SIGNATURE_LEN]);
TEDDY_MUST_CHECK int audit_key_public(const struct audit_key *k, uint8_t raw[AUDIT_PUBLIC_LEN]);
/* The public half as PEM, NUL-terminated. */
TEDDY_MUST_CHECK int audit_key_pem(const struct audit_key *k, char *out, size_t cap);

#endif
