/* Events, heads and verdicts of the audit trail as JSON, the same by the API and by teddyctl. */
#ifndef ADMIN_AUDIT_ANSWER_H
#define ADMIN_AUDIT_ANSWER_H

#include <jansson.h>

#include "identity/audit_verify.h"

/* All new; NULL: out of memory, or of a row: it is damaged, or no text. */
json_t *audit_row_json(const struct audit_row *row);
json_t *audit_head_json(const struct audit_head *head, const struct audit_key *key);
json_t *audit_hex_json(const uint8_t *data, size_t len);
/* {"whole":true,…}, or {"whole":false,"event":…,"fault":…}. */
json_t *audit_verdict_json(const struct audit_verifier *v);

#endif
