/* Recomputes the audit trail: each event's hash from the one before, and each signed head at its
 * place. It says where the first thing is that is not as it was written. */
#ifndef IDENTITY_AUDIT_VERIFY_H
#define IDENTITY_AUDIT_VERIFY_H

#include "identity/audit_key.h"

struct audit_head_list {
    struct audit_head *head; /* malloc'd */
    size_t count, cap;
};

/* TEDDY_ENOMEM. */
TEDDY_MUST_CHECK int audit_head_list_add(struct audit_head_list *l, const struct audit_head *head);
/* Adds those that the store keeps, in order of n. TEDDY_ENOMEM, or a failure of the store. */
TEDDY_MUST_CHECK int audit_head_list_take(struct audit_head_list *l, struct store_tx *tx);

struct audit_verifier {
    const struct audit_key *key;
    const struct audit_head *heads; /* in order of n */
    size_t head_count;

    /* private */
    struct audit_hasher *hasher;
    size_t head_at;
    bool begins_elsewhere;
    int64_t n; /* the last event that was good, and its hash */
    uint8_t hash[AUDIT_HASH_LEN];
    uint64_t unsigned_ms, last_ms; /* of the first event behind the last head, and of the last */

    /* What was found. */
    uint64_t events, heads_good;
    uint64_t unsigned_events; /* behind the last head: nothing proves them yet */
    int64_t fault_n;          /* the event at which it is wrong */
    bool fault_content;       /* it is there, but is not what was written there */
    char fault[256];          /* "": nothing */
};

/* after: the anchor, or what an export says was before it; NULL: the very beginning. The anchor's
 * signature is the caller's to check. TEDDY_ENOMEM; TEDDY_EPROTO with v->fault. */
TEDDY_MUST_CHECK int audit_verify_begin(struct audit_verifier *v, const struct audit_head *after);
/* The same with the store's own anchor, if it has one, whose signature is checked. Or a failure of
 * the store. */
TEDDY_MUST_CHECK int audit_verify_store(struct audit_verifier *v, struct store_tx *tx);
/* The next event. TEDDY_EPROTO with v->fault: go no further. */
int audit_verify_row(struct audit_verifier *v, const struct audit_row *row);
/* After the last one: a head behind it shows that the tail was cut off. */
int audit_verify_end(struct audit_verifier *v);
/* The same of a store, which has a head of each end that was there for long: without, somebody took
 * the heads away, and may have written the events anew. */
int audit_verify_store_end(struct audit_verifier *v);
/* The signed heads alone, at the event that was verified last. */
int audit_verify_heads(struct audit_verifier *v);
void audit_verify_fini(struct audit_verifier *v);

/* After a fault of content, of each row: whether this is the event, hash and all or its content
 * alone, that was written where the chain broke. */
bool audit_verify_belongs(struct audit_verifier *v, const struct audit_row *row,
                          const uint8_t expected[AUDIT_HASH_LEN]);

/* Events wait at most so long for a head; they are signed each minute. */
#define AUDIT_UNSIGNED_MS 600000u
/* In a write job: signs the end of the chain when it has grown. A failure: the job has to be
 * undone.
 */
TEDDY_MUST_CHECK int audit_sign_grown(struct store_tx *tx, const struct audit_key *key,
                                      uint64_t now_ms);

#endif
