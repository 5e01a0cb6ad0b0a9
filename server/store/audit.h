/* The audit trail: events in one chain of hashes, each written in the transaction of what it tells.
 * docs/operations.md, "The audit trail", says which events there are and how the chain is computed.
 */
#ifndef STORE_AUDIT_H
#define STORE_AUDIT_H

#include "proto/span.h"
#include "store/store.h"

#define AUDIT_HASH_LEN      32
#define AUDIT_CHILD_LEN     16   /* bytes of a pseudonym */
#define AUDIT_SIGNATURE_LEN 64   /* Ed25519 */
#define AUDIT_FIELDS_MAX    2048 /* bytes of an event's fields together */

/* What happened. NULL is "nothing to say". detail is a JSON object as text. The child's own id is
 * never written: its pseudonym is, made when it is first needed. */
struct audit_event {
    const char *event; /* "claim.accepted" */
    const char *device_id;
    /* The device as it was before store_claim_add, which has put this event on its list. NULL:
     * audit_add does, at the price of another write of its row. */
    const struct device_row *listed;
    const char *child_id;
    const uint8_t *child; /* or its pseudonym, when that is known already */
    const char *actor;    /* "toy", "uid:0", "token:1a2b3c4d", "server" */
    const char *detail;
    uint64_t at_ms; /* since 1970; 0: now */
};

/* Appends the event, in a write job. TEDDY_ESTORE: the job has to be undone. */
int audit_add(struct store_tx *tx, const struct audit_event *e);

/* The child's pseudonym: the first 16 bytes of HMAC-SHA256 of its id under a key of its own, which
 * is made (in a write job only) when there is none and `make`; otherwise TEDDY_ENOTFOUND.
 * store_child_forget (children.h) destroys the key: then nothing leads from the events to the child
 * any more. */
int audit_child(struct store_tx *tx, const char *child_id, bool make, uint8_t out[AUDIT_CHILD_LEN]);

/* ---- Reading ---- */

/* An event as it is kept; everything points into memory of who hands it out. */
struct audit_row {
    int64_t n; /* 1, 2, 3, … */
    uint64_t at_ms;
    struct span event, device_id, actor, detail;
    const uint8_t *child; /* AUDIT_CHILD_LEN bytes; NULL: none */
    const uint8_t *hash;  /* AUDIT_HASH_LEN bytes */
    bool damaged;         /* what stands there no event has: child or hash of another length */
};

/* A place in the chain, perhaps signed: the hash of event n. n 0: before the first, all zero. */
struct audit_head {
    int64_t n;
    uint64_t at_ms; /* when it was signed */
    uint8_t hash[AUDIT_HASH_LEN];
    uint8_t signature[AUDIT_SIGNATURE_LEN];
};

/* Each event behind n = `after`, in their order, until it returns false. The row is valid during
 * the call. */
int audit_rows(struct store_tx *tx, int64_t after,
               bool (*each)(void *arg, const struct audit_row *), void *arg);
/* The events of a toy that is registered, from the newest on back, or behind that of the number
 * `before` (0: from the newest), until each returns false. A list beside the chain, which proves
 * nothing, and begins with the release that keeps it: *listed: there is one of this toy. */
int audit_of_device(struct store_tx *tx, const char *device_id, int64_t before,
                    bool (*each)(void *arg, const struct audit_row *), void *arg, bool *listed);
/* Where the chain ends now; at_ms and signature are not set. */
int audit_last(struct store_tx *tx, struct audit_head *out);
/* The signed heads that are kept, in order of n. */
int audit_heads(struct store_tx *tx, bool (*each)(void *arg, const struct audit_head *), void *arg);
/* Behind which event the chain begins, after older ones were removed. TEDDY_ENOTFOUND: with the
 * first. */
int audit_anchor(struct store_tx *tx, struct audit_head *out);

/* Opens the file only to read it, for a tool beside the server. TEDDY_ESTORE with err. */
TEDDY_MUST_CHECK int audit_open(const char *path, struct store_tx **out, char *err, size_t cap);
/* One snapshot from here on, until it is ended. */
int audit_snapshot(struct store_tx *tx, bool begin);
void audit_close(struct store_tx *tx); /* NULL is fine */

/* ---- Upkeep, in a write job ---- */

/* Whether the chain has grown since the last head was signed; *last is its end. */
int audit_unsigned(struct store_tx *tx, struct audit_head *last, bool *grown);
/* Keeps a signed head; of each hour the newest stays. */
int audit_head_add(struct store_tx *tx, const struct audit_head *head);
/* The last of the oldest events that may go: older than before_ms, or beyond the newest keep_max;
 * at most `piece` of them, and never the newest event. TEDDY_ENOTFOUND: none. *more: there are
 * others behind it. */
int audit_prunable(struct store_tx *tx, uint64_t before_ms, uint64_t keep_max, unsigned piece,
                   struct audit_head *out, bool *more);
/* Removes what stands up to the anchor, which is signed and from now on the beginning: *events. */
int audit_prune(struct store_tx *tx, const struct audit_head *anchor, uint64_t *events);

/* ---- The chain ---- */

struct audit_hasher;                         /* one thread's */
struct audit_hasher *audit_hasher_new(void); /* NULL: out of memory */
void audit_hasher_free(struct audit_hasher *h);
/* SHA-256(prev ‖ n ‖ at_ms ‖ each of event, device_id, child, actor, detail behind its length),
 * n and at_ms as 8 bytes and lengths as 2, big-endian. row->hash is not looked at. False: the
 * fields are longer than any event's. */
bool audit_hash(struct audit_hasher *h, const uint8_t prev[AUDIT_HASH_LEN],
                const struct audit_row *row, uint8_t out[AUDIT_HASH_LEN]);
/* SHA-256(key ‖ text). */
bool audit_keyed_hash(struct audit_hasher *h, const uint8_t key[AUDIT_CHILD_LEN], struct span text,
                      uint8_t out[AUDIT_HASH_LEN]);
bool audit_hmac(struct audit_hasher *h, const uint8_t key[AUDIT_CHILD_LEN], struct span text,
                uint8_t out[AUDIT_HASH_LEN]);

#endif
