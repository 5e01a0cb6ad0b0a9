/* The store: devices, accepted claims and token families, durable in SQLite (WAL,
 * synchronous=FULL). Loops never touch it: they queue jobs. Read jobs run on reader threads, each
 * in a snapshot; write jobs run on the one writer thread, which commits all that has gathered as
 * one transaction and then, never before, calls each job's done. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/downlink.h"
#include "proto/limits.h"
#include "store/seal_box.h"
#include "teddy/err.h"

struct store;
struct seal_master;
struct store_tx; /* a snapshot or the group's transaction; only within a job's run */

struct store_options {
    const char *path;           /* the database file, made (0600) when missing */
    const char *vfs;            /* SQLite VFS, NULL for the default */
    struct seal_master *master; /* what secrets are sealed under (store/seal.h); needed */
    /* Told how many devices' secrets have been sealed, of a database that an older release made.
     * NULL: nobody is. */
    void (*sealing)(uint64_t done, uint64_t all);
    unsigned readers;   /* threads, default 1 */
    unsigned queue_max; /* jobs waiting per queue, default 4096 */
    unsigned group_max; /* write jobs per commit, default 512 */
    /* Told, on the store's threads, what SQLite would not do, what to do about it and SQLite's
     * code: the jobs concerned end as TEDDY_ESTORE. NULL: nobody is. */
    void (*failed)(const char *what, const char *advice, int code);
    /* Told on the writer's thread how long each committed transaction took. NULL: nobody is. */
    void (*committed)(uint64_t us);
    bool unsafe_no_sync; /* synchronous=OFF, so that a test can show what power loss then costs;
                            never in a server */
};

struct store_job {
    struct store_job *next; /* private */
    /* On the store's thread. What it returns is the job's result; a negative one undoes what this
     * job alone wrote. May run again when the group's transaction has to be repeated: it must not
     * have side effects but through tx and its own out-members. */
    int (*run)(struct store_tx *tx, struct store_job *job);
    /* After commit, on the store's thread: hand the job back to its loop. result: what run
     * returned, or TEDDY_ESTORE when the store could not: then nothing was written, unless the disk
     * failed in the very commit; what it holds is then known only after a restart. */
    void (*done)(struct store_job *job);
    int result;
};

/* Opens or makes the database and starts the threads. TEDDY_ESTORE with err: what is wrong and what
 * to do (newer schema, not a database, locked, no permission, disk). */
TEDDY_MUST_CHECK int store_open(const struct store_options *options, struct store **out, char *err,
                                size_t cap);
/* Runs what is queued, checkpoints, closes. No other thread is within a call of the store, or comes
 * with one. NULL is fine. */
void store_close(struct store *s);
/* Queue a job. TEDDY_EFULL: the queue is at its bound, done will not be called. Threads: any.
 * Blocks: no. */
TEDDY_MUST_CHECK int store_read(struct store *s, struct store_job *job);
TEDDY_MUST_CHECK int store_write(struct store *s, struct store_job *job);
/* A read that wakes nobody: who asks for several wakes the readers once, by store_read_go, which
 * has to follow soon. A reader that is awake may take it before. */
TEDDY_MUST_CHECK int store_read_later(struct store *s, struct store_job *job);
void store_read_go(struct store *s);
/* Runs a write job and waits for its commit; done is not called. For tools and tests, never on a
 * loop. */
int store_write_wait(struct store *s, struct store_job *job);
int store_read_wait(struct store *s, struct store_job *job);
/* Counters for metrics: commits, jobs written, waiting jobs. Threads: any. */
void store_stats(const struct store *s, uint64_t *commits, uint64_t *jobs, unsigned *waiting);

/* ---- Within a job's run. All return TEDDY_OK, TEDDY_ENOTFOUND, TEDDY_EDUP (a uniqueness
 * constraint) or TEDDY_ESTORE. ---- */

#define STORE_RECENT_MAX 512

/* The newest nonces and MACs that were accepted of a device, as claims.c packs them. */
struct claim_keys {
    size_t len;
    uint8_t bytes[STORE_RECENT_MAX];
};

struct device_row {
    int64_t row;
    char device_id[LIMIT_ID_LEN + 1];
    uint8_t sealed[SEALED_LEN]; /* the secret: store_device_unseal */
    uint64_t secret_rev;        /* counts rotations */
    bool enabled;
    char child_id[LIMIT_ID_LEN + 1]; /* "" when not bound */
    char firmware_version[LIMIT_FIRMWARE_LEN + 1];
    uint64_t created_s, claimed_s, seen_s; /* seconds since 1970; 0: never */
    struct claim_keys recent;
    uint64_t event; /* the number of its last event in the audit trail; 0: none is listed */
};

int store_device_add(struct store_tx *tx, const char *device_id,
                     const uint8_t secret[LIMIT_SECRET_LEN], uint64_t now_s);
int store_device_get(struct store_tx *tx, const char *device_id, struct device_row *out);
/* The secret of a device that was just read; the caller wipes it. TEDDY_ESTORE: it is damaged, or
 * another device's. */
int store_device_unseal(struct store_tx *tx, const struct device_row *device,
                        uint8_t secret[LIMIT_SECRET_LEN]);
/* Whether that is its secret. */
int store_device_has_secret(struct store_tx *tx, const struct device_row *device,
                            const uint8_t secret[LIMIT_SECRET_LEN], bool *same);
/* In order of device_id, starting behind `after` ("" for the first); each is called until it
 * returns false. */
int store_device_list(struct store_tx *tx, const char *after,
                      bool (*each)(void *arg, const struct device_row *row), void *arg);
int store_device_enable(struct store_tx *tx, const char *device_id, bool enabled);
int store_device_remove(struct store_tx *tx,
                        const char *device_id); /* with its claims, family and messages */
/* A new secret clears the replay rows and revokes the family. */
int store_device_secret(struct store_tx *tx, const char *device_id,
                        const uint8_t secret[LIMIT_SECRET_LEN]);
/* The returned toy is as it was when it was registered: binding, family, queue of messages, and
 * what its claims said and when, are gone. What stays: its secret and the replay rows under it,
 * whether it is enabled, and the last message id that was issued to it, below which the toy would
 * take no other. */
int store_device_release(struct store_tx *tx, const char *device_id);

#define STORE_JTI_LEN 16 /* bytes; 32 hex digits in a token */

/* One issued pair; the tokens themselves are never kept. */
struct pair_row {
    uint8_t access_jti[STORE_JTI_LEN], refresh_jti[STORE_JTI_LEN];
    uint64_t iat_s, access_exp_s, refresh_exp_s;
};

struct family_row {
    uint8_t sid[STORE_JTI_LEN];
    int64_t device_row;
    char device_id[LIMIT_ID_LEN + 1], child_id[LIMIT_ID_LEN + 1];
    bool device_enabled;
    bool own_processor;               /* the toy has one */
    struct pair_row pair;             /* the newest */
    bool presented;                   /* the newest pair was presented once */
    bool has_spent;                   /* there was a rotation */
    uint8_t spent_jti[STORE_JTI_LEN]; /* the refresh token it spent */
    uint64_t spent_s;                 /* when */
    bool revoked;
};

/* An accepted claim. */
struct claim_row {
    const char *nonce;
    const uint8_t *mac; /* LIMIT_MAC_LEN bytes */
    const struct family_row *family;
    const char *firmware, *timestamp;
    uint64_t now_s;
};

/* Whether its nonce or its MAC was accepted before, under the device's present secret. device, here
 * and below: as read in this transaction, before anything was written for it. */
int store_claim_seen(struct store_tx *tx, const struct device_row *device, const char *nonce,
                     const uint8_t mac[LIMIT_MAC_LEN], bool *seen);
/* Records it: nonce and MAC, binding, firmware, time, and its family with the first pair, which
 * supersedes the one before; another child than before empties the device's queue of messages.
 * TEDDY_EDUP: store_claim_seen; nothing is written. TEDDY_ENOTFOUND: the device is not as it was
 * read, and the job has to be undone. */
int store_claim_add(struct store_tx *tx, const struct device_row *device,
                    const struct claim_row *c);

/* Reads the device's row and, where nothing but the row has to change for the claim and may() says
 * so, records it at once: one statement finds and reads the row once. *device: as it was read, but
 * for its firmware and times. Where it is not *written, and should be, store_claim_add goes on.
 * may() is called within the statement, once at most, and must not write. TEDDY_ENOTFOUND: there is
 * no such device. */
int store_claim_take(struct store_tx *tx, const char *device_id, const struct claim_row *c,
                     bool (*may)(void *arg, const struct device_row *device), void *arg,
                     struct device_row *device, bool *written);

/* The device's family. out->revoked: the one of this sid (NULL: any) is not in force (any more). */
int store_family_get(struct store_tx *tx, const char *device_id, const uint8_t *sid,
                     struct family_row *out);
/* Rotation: pair becomes the newest (not presented), the former refresh jti the spent one.
 * TEDDY_ENOTFOUND, here and below: the family is not in force. */
int store_family_rotate(struct store_tx *tx, int64_t device_row, const uint8_t sid[STORE_JTI_LEN],
                        const struct pair_row *pair, uint64_t now_s);
int store_family_presented(struct store_tx *tx, int64_t device_row,
                           const uint8_t sid[STORE_JTI_LEN]);
/* Whichever the device has. */
int store_family_revoke(struct store_tx *tx, int64_t device_row);
/* The one of this sid. */
int store_family_end(struct store_tx *tx, int64_t device_row, const uint8_t sid[STORE_JTI_LEN]);

/* ---- Messages to toys (docs/protocol.md, "Messages"): each device's queue, in the order of ids.
 * Where a child_id stands, the device must be bound to that child: otherwise there is nothing, so
 * that no session is given what is meant for another child. ---- */

struct downlink_row {
    struct downlink_id id;
    bool data; /* body is a JSON object; otherwise words */
    uint64_t queued_s, expires_s;
    struct span body; /* of a row that is read: during the call */
};

/* Opens the epoch of ids issued from now on; it is greater than every one before. Once per start of
 * whoever adds messages, before the first. */
int store_epoch_open(struct store_tx *tx, uint64_t now_s);
/* Queues d behind what waits and fills in its id. What has expired by d->queued_s leaves first:
 * *expired of them. TEDDY_EFULL: queue_max wait already. */
int store_downlink_add(struct store_tx *tx, const char *device_id, struct downlink_row *d,
                       unsigned queue_max, uint64_t *expired);
/* All that wait, without bodies: body.p is NULL. */
int store_downlink_list(struct store_tx *tx, const char *device_id, uint64_t now_s,
                        void (*each)(void *arg, const struct downlink_row *row), void *arg);
/* Of the first `window` that wait, those behind `after`. */
int store_downlink_window(struct store_tx *tx, const char *device_id, const char *child_id,
                          const struct downlink_id *after, uint64_t now_s, unsigned window,
                          void (*each)(void *arg, const struct downlink_row *row), void *arg);
/* Whether store_downlink_ack of that id would change anything. */
int store_downlink_behind(struct store_tx *tx, const char *device_id, const char *child_id,
                          const struct downlink_id *id, bool *behind);
/* The toy has all up to id: they leave, *count of them. When the next id would not come behind it,
 * the toy has heard from this server in a state that is lost (a backup was restored, and the clock
 * is back): then *overtaken, nothing leaves, and the device gets an epoch behind id, into which
 * what waits is renumbered. */
int store_downlink_ack(struct store_tx *tx, const char *device_id, const char *child_id,
                       const struct downlink_id *id, uint64_t *count, bool *overtaken);
/* That one leaves. TEDDY_ENOTFOUND: it has already. */
int store_downlink_drop(struct store_tx *tx, const char *device_id, const char *child_id,
                        const struct downlink_id *id);
/* All of the device leave. */
int store_downlink_clear(struct store_tx *tx, const char *device_id, uint64_t *count);

#endif
