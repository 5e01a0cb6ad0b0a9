/* The receipt of a forgotten child: a JSON object that says what was erased, signed with the audit
 * trail's key, without saying whose it was.
 *
 *     {"teddy_receipt":1, "child": pseudonym or null, "erased": {table: rows, …}, "at": time,
 *      "version": of the server, "event": number in the audit trail, "key": the public key in hex,
 *      "signature": hex}
 *
 * Signed (Ed25519) is the text of receipt_text. */
#ifndef ADMIN_RECEIPT_H
#define ADMIN_RECEIPT_H

#include <jansson.h>

#include "identity/audit_key.h"
#include "store/children.h"

#define RECEIPT_TEXT_MAX 1024

/* child NULL: the child had no pseudonym (any more). NULL: out of memory, or it cannot be signed.
 */
json_t *receipt_new(const struct audit_key *key, const uint8_t child[AUDIT_CHILD_LEN],
                    const struct child_erased *erased, uint64_t at_s, int64_t event);
/* What is signed: lines "teddy erasure receipt", "child=…" ("-" without), "at=…", "version=…",
 * "event=…" and, in the order of the tables' names, "erased.TABLE=…". 0: it is no receipt. */
size_t receipt_text(const json_t *receipt, char out[RECEIPT_TEXT_MAX]);
/* NULL: it is as it was signed with that key; otherwise what is wrong. */
const char *receipt_fault(const json_t *receipt, const struct audit_key *key);

#endif
