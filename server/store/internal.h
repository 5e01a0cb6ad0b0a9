/* Inside the store's room: one connection with its transaction and its prepared statements. A
 * connection belongs to one thread. */
#ifndef STORE_INTERNAL_H
#define STORE_INTERNAL_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

#include "store/seal.h"
#include "store/store.h"
#include "store/talk.h"

/* One slot per statement; each is prepared at its first use on a connection and kept until the
 * connection closes. */
enum stmt_id {
    STMT_BEGIN,
    STMT_BEGIN_WRITE,
    STMT_COMMIT,
    STMT_ROLLBACK,
    STMT_SAVEPOINT,
    STMT_SAVEPOINT_UNDO,
    STMT_SAVEPOINT_RELEASE,
    STMT_DEVICE_ADD,
    STMT_DEVICE_GET,
    STMT_DEVICE_LIST,
    STMT_DEVICE_ENABLE,
    STMT_DEVICE_REMOVE,
    STMT_DEVICE_SECRET_USED,
    STMT_DEVICE_SECRET,
    STMT_DEVICE_BIND,
    STMT_DEVICE_REBIND,
    STMT_DEVICE_REBIND_IF,
    STMT_DEVICE_UNBIND,
    STMT_CLAIM_SEEN,
    STMT_CLAIM_ADD,
    STMT_CLAIM_CLEAR,
    STMT_FAMILY_GET,
    STMT_FAMILY_ROTATE,
    STMT_FAMILY_END,
    STMT_FAMILY_PRESENTED,
    STMT_FAMILY_REVOKE,
    STMT_EPOCH_OPEN,
    STMT_DOWNLINK_NEXT_ID,
    STMT_DOWNLINK_EXPIRE,
    STMT_DOWNLINK_COUNT,
    STMT_DOWNLINK_ADD,
    STMT_DOWNLINK_ISSUED,
    STMT_DOWNLINK_LIST,
    STMT_DOWNLINK_WINDOW,
    STMT_DOWNLINK_BEHIND,
    STMT_DOWNLINK_ACK,
    STMT_DOWNLINK_RENUMBER,
    STMT_DOWNLINK_DROP,
    STMT_DOWNLINK_CLEAR,
    /* admin_tokens.c */
    STMT_ADMIN_TOKEN_LIST,
    STMT_ADMIN_TOKEN_COUNT,
    STMT_ADMIN_TOKEN_PURGE,
    STMT_ADMIN_TOKEN_ADD,
    STMT_ADMIN_TOKEN_REVOKE,
    STMT_ADMIN_TOKEN_USED,
    /* batches.c */
    STMT_BATCH_ADD,
    STMT_BATCH_GET,
    STMT_BATCH_LIST,
    STMT_BATCH_NEXT,
    /* seal */
    STMT_SEAL_GET,
    STMT_SEAL_PUT,
    /* audit */
    STMT_AUDIT_ADD,
    STMT_AUDIT_ROWS,
    STMT_AUDIT_LAST,
    STMT_AUDIT_HEADS,
    STMT_AUDIT_ANCHOR,
    STMT_AUDIT_SIGNED,
    STMT_AUDIT_HEAD_THIN,
    STMT_AUDIT_HEAD_ADD,
    STMT_AUDIT_ANCHOR_PUT,
    STMT_AUDIT_PRUNE,
    STMT_AUDIT_HEAD_PRUNE,
    STMT_AUDIT_TOY,
    STMT_AUDIT_TOY_SET,
    STMT_AUDIT_ROW,
    STMT_AUDIT_PREV,
    STMT_CHILD_KEY,
    STMT_CHILD_ADD,
    /* talk.c */
    STMT_PROFILE_GET,
    STMT_PROFILE_PUT,
    STMT_ALERT_WORDS_CLEAR,
    STMT_LIMITS_GET,
    STMT_LIMITS_PUT,
    STMT_CHILD_FIRST_DEVICE,
    STMT_BLOCKED_WORDS_ADD,
    STMT_BLOCKED_WORDS_BOUND,
    STMT_BLOCKED_WORDS_REPORT,
    STMT_CHILD_ONLY_DEVICE,
    STMT_DEVICE_PROCESSOR,
    STMT_TURN_LIST,
    STMT_TURN_CLEAR,
    STMT_TURN_BOUND,
    STMT_TURN_ADD,
    STMT_TALK_PAIR,
    STMT_PLAYED_GET,
    STMT_PLAYED_ADD,
    STMT_BLOCKED_ADD,
    STMT_REPORT,
    STMT_ALERT_ALIKE,
    STMT_ALERT_COUNT,
    STMT_ALERT_FULL,
    STMT_ALERT_ADD,
    STMT_ALERT_NEXT,
    STMT_ALERT_PUT_OFF,
    STMT_ALERT_REST,
    STMT_ALERT_DROP,
    STMT_TALK_TOY,
    STMT_TALK_KEPT_PROFILE,
    STMT_TALK_KEPT,
    STMT_TALK_CLEAR_PROFILE,
    STMT_TALK_CLEAR_TURN,
    STMT_TALK_CLEAR_PLAYED,
    STMT_TALK_CLEAR_BLOCKED,
    STMT_TALK_CLEAR_ALERT,
    STMT_TALK_CLEAR_BLOCKED_WORDS,
    /* children.c, erasures.c */
    STMT_CHILD_FORGET_MESSAGES,
    STMT_CHILD_FORGET_BINDINGS,
    STMT_CHILD_FORGET_KEY,
    STMT_CHILD_LATEST,
    STMT_CHILD_FORGET_PROFILE,
    STMT_CHILD_FORGET_TURNS,
    STMT_CHILD_FORGET_PLAYED,
    STMT_CHILD_FORGET_BLOCKED,
    STMT_CHILD_FORGET_ALERTS,
    STMT_CHILD_FORGET_TELEMETRY,
    STMT_CHILD_FORGET_SESSIONS,
    STMT_CHILD_FORGET_LIMITS,
    STMT_CHILD_FORGET_BLOCKED_WORDS,
    STMT_CHILD_REVOKE,
    STMT_CHILD_BINDINGS,
    STMT_CHILD_MESSAGES,
    STMT_CHILD_NEXT,
    STMT_ERASURES_GET,
    STMT_ERASURES_PUT,
    /* retention.c */
    STMT_RETAIN_MESSAGES_LOOK,
    STMT_RETAIN_MESSAGES_EXPIRED,
    STMT_RETAIN_MESSAGES_OLD,
    STMT_RETAIN_DEVICES_LOOK,
    STMT_RETAIN_TOKENS,
    STMT_RETAIN_RELEASED,
    STMT_RETAIN_IDLE,
    STMT_RETAIN_CHILDREN_LOOK,
    STMT_RETAIN_CHILDREN_BACK,
    STMT_RETAIN_CHILDREN_MARK,
    STMT_RETAIN_CHILDREN_OLD,
    STMT_RETAIN_BATCHES,
    STMT_RETAIN_ADMIN_TOKENS,
    STMT_RETAIN_TURNS,
    STMT_RETAIN_PLAYED,
    STMT_RETAIN_BLOCKED,
    STMT_RETAIN_ALERTS,
    STMT_RETAIN_TELEMETRY,
    STMT_RETAIN_TELEMETRY_LAST,
    STMT_RETAIN_SESSIONS,
    /* history.c, fleet.c */
    STMT_HISTORY_OWNER,
    STMT_HISTORY_TOY,
    STMT_TELEMETRY_ADD,
    STMT_TELEMETRY_LAST,
    STMT_TELEMETRY_BOUND,
    STMT_TELEMETRY_LIST,
    STMT_TELEMETRY_CLEAR,
    STMT_SESSION_ADD,
    STMT_SESSION_LAST,
    STMT_SESSION_BOUND,
    STMT_SESSION_LIST,
    STMT_SESSION_CLEAR,
    STMT_FLEET_LIST,
    STMT_FLEET_GET,
    STMT_FLEET_LAST,
    STMT_RETAIN_BLOCKED_WORDS,
    STMT_COUNT
};

/* Bytes of a page of the database. A claim changes one, which is copied, checksummed and written:
 * less of it in a small page, while few rows fill one. What an earlier release made keeps its own.
 */
#define PAGE_LEN        2048
#define PAGE_LEN_FORMER 4096

struct store_tx {
    sqlite3 *db;
    unsigned page_len; /* of the writer's connection: one of the two */
    int why;           /* SQLite's code for the first call that failed, until it is reported */
    void (*failed)(const char *what, const char *advice, int code);
    bool broken; /* a call in the present job failed with TEDDY_ESTORE: the job is undone whatever
                    its run returns */
    bool scrub;  /* what a job deleted is to leave the log, too, once it is committed */
    struct seal_box *box;        /* shuts and opens secrets */
    struct audit_chain *audit;   /* the end of the audit trail; NULL until an event is added */
    struct claim_judged *judged; /* while a claim's statement runs: claims.c */
    struct device_place *places; /* NULL until there is one: places.c */
    sqlite3_stmt *stmts[STMT_COUNT];
};

/* The audit trail (audit.c): the child's key was erased, and its pseudonym is not kept, either. */
void audit_child_gone(struct store_tx *tx, const char *child_id);
/* The number that the next event gets. */
int audit_next(struct store_tx *tx, uint64_t *n);
/* Something written in the present transaction was undone; or all of it
 * is kept. */
void audit_undone(struct store_tx *tx);
void audit_kept(struct store_tx *tx);
void audit_chain_free(struct audit_chain *c); /* NULL is fine */

/* The writer's pseudonyms (audit_names.c): of the children that it had lately, at most 393,216 or
 * so. A tag stands for a child's id. */
struct audit_names;
struct audit_hasher;
struct audit_names *audit_names_new(void); /* NULL: out of memory */
void audit_names_free(struct audit_names *n);
void audit_names_clear(struct audit_names *n);
bool audit_names_tag(const struct audit_names *n, struct audit_hasher *h, const char *child_id,
                     uint8_t tag[16]);
const uint8_t *audit_names_find(const struct audit_names *n, const uint8_t tag[16]);
void audit_names_put(struct audit_names *n, const uint8_t tag[16], const uint8_t child[16]);
void audit_names_forget(struct audit_names *n, const uint8_t tag[16]);

/* The VFS of the writer's connection: the real one, with the log's writes gathered (log_file.c).
 * real is the name of another, or NULL. It must stay where it is until it is removed, and that is
 * after the connection is closed. */
struct log_vfs {
    sqlite3_vfs vfs; /* first */
    sqlite3_vfs *real;
    char name[32];
    sqlite3_io_methods database; /* of the database file; the real ones but for one */
    const sqlite3_io_methods *database_real;
};

TEDDY_MUST_CHECK int log_vfs_add(struct log_vfs *v, const char *real);
void log_vfs_remove(struct log_vfs *v);
/* The database file, just opened by the real VFS: what is free in its pages is zero
 * (database_file.c).
 */
void database_file_watch(struct log_vfs *v, sqlite3_file *f);
/* After a transaction: what it gathered and did not commit may no longer reach the file. Once the
 * lock is given up the log's end may be another process's. */
void log_forget(sqlite3 *db);

/* Before SQLite is first used (page_cache.c); afterwards nothing is changed. log_vfs_add does it,
 * and store_open. */
void sqlite_set_up(void);

/* Opens a connection with the project's pragmas; the writer's makes the file and its schema.
 * vfs: the name of the one it uses. TEDDY_ESTORE with err. */
TEDDY_MUST_CHECK int tx_open(struct store_tx *tx, const struct store_options *options,
                             const char *vfs, bool writer, char *err, size_t cap);
void tx_close(struct store_tx *tx);

/* Tells whoever asked to be told what failed since the last time, if anything did. */
void tx_report(struct store_tx *tx);
/* Says in err what is wrong with the database at path and what to do about it; returns
 * TEDDY_ESTORE. */
int tx_explain(struct store_tx *tx, const char *path, char *err, size_t cap);
/* So that the name of a file that was made or renamed is on the disk. False with errno. */
bool sync_directory_of(const char *path);

/* Refuses a database that is not ours or is newer than this program, without changing it. */
TEDDY_MUST_CHECK int schema_check(struct store_tx *tx, const char *path, int *version, char *err,
                                  size_t cap);
int schema_known(void); /* the version that this program makes */
/* Makes the tables of that version in an empty database, which is for comparison alone. */
TEDDY_MUST_CHECK bool schema_build(sqlite3 *db, int version);
/* Refuses a database that has other tables, indexes, triggers or views than this program made for
 * that version: nothing of it has been run. name: what err calls it. */
TEDDY_MUST_CHECK int schema_compare(struct store_tx *tx, const char *name, int version, char *err,
                                    size_t cap);
/* Brings the schema from version to the present one. Its steps call what seal_upgrade lends. */
TEDDY_MUST_CHECK int schema_upgrade(struct store_tx *tx, const char *path, int version, char *err,
                                    size_t cap);

/* The same, sealing what an older release kept in the clear; makes the first master key. */
TEDDY_MUST_CHECK int seal_upgrade(struct store_tx *tx, const struct store_options *o, int version,
                                  char *err, size_t cap);
/* Unwraps the data key; the writer also finishes what a rotation or an upgrade left. */
TEDDY_MUST_CHECK int seal_start(struct store_tx *tx, const struct store_options *o, bool writer,
                                char *err, size_t cap);

/* The statement of that slot, ready to be bound; NULL (which the calls below take as a failure)
 * when it cannot be prepared. */
sqlite3_stmt *tx_stmt(struct store_tx *tx, enum stmt_id id, const char *sql);
/* Fetches a row: TEDDY_OK, TEDDY_ENOTFOUND at the end, or what tx_end says. The statement stays
 * open until tx_end. */
int tx_row(struct store_tx *tx, sqlite3_stmt *st);
/* Ends the statement (its bindings point into the caller's memory and are dropped); passes result
 * on. */
int tx_end(sqlite3_stmt *st, int result);
/* Runs a statement without rows: TEDDY_OK, TEDDY_EDUP, TEDDY_ENOTFOUND (the device it refers to is
 * gone), TEDDY_ESTORE. */
int tx_run(struct store_tx *tx, sqlite3_stmt *st);
/* The same, and TEDDY_ENOTFOUND when no row was changed. */
int tx_change(struct store_tx *tx, sqlite3_stmt *st);
/* A statement without parameters. */
int tx_exec(struct store_tx *tx, enum stmt_id id, const char *sql);

/* The bindings borrow the memory until tx_end. */
void bind_text(sqlite3_stmt *st, int at, const char *text);
void bind_blob(sqlite3_stmt *st, int at, const void *data, size_t len);
void bind_u64(sqlite3_stmt *st, int at, uint64_t n);
/* TEDDY_ESTORE when the column does not hold what the schema promises. */
int column_text(struct store_tx *tx, sqlite3_stmt *st, int at, char *out, size_t cap);
int column_blob(struct store_tx *tx, sqlite3_stmt *st, int at, void *out, size_t len);
uint64_t column_u64(sqlite3_stmt *st, int at);
int column_claim_keys(struct store_tx *tx, sqlite3_stmt *st, int at, struct claim_keys *out);
/* What a column holds is not what this program wrote: TEDDY_ESTORE. */
int tx_damaged(struct store_tx *tx);

/* Forgets what a device's former secret signed, but for what stands in its row. */
int claim_keys_forget(struct store_tx *tx, int64_t device_row);
/* Of each device whose row in the database attached as `former` has others: both have their place
 * in claim_key, so that none is taken twice. *kept: how many keys only `former` had. TEDDY_EAUTH:
 * those of `former` are damaged. */
int claim_keys_adopt(struct store_tx *tx, uint64_t *kept);
/* places.c: the row of a device that this connection had lately, or 0; which is a hint. The device
 * may have been removed, the number be another's: whoever asks by it asks for the id, too, and by
 * the id alone when that finds nothing. */
int64_t device_place(const struct store_tx *tx, const char *device_id);
void device_place_keep(struct store_tx *tx, const char *device_id, int64_t row);
void device_places_free(struct store_tx *tx);
/* The device of ?1, its id, and ?2, its row or NULL. */
#define DEVICE_AT                                                                                  \
    " row = coalesce(?2, (SELECT row FROM device WHERE device_id = ?1)) AND device_id = ?1"
/* tx_row of a statement with DEVICE_AT whose first column is the row; binds both. */
int tx_device(struct store_tx *tx, sqlite3_stmt *st, const char *device_id);
/* Writes the device's row for an accepted claim: `recent` are its newest keys, with the claim's. */
int device_bind(struct store_tx *tx, const struct device_row *device, const struct claim_row *c,
                const struct claim_keys *recent);
/* The same by one statement, for the child that it is bound to, as claims.c's functions claim_fits
 * and claim_recent say. row: device_place. TEDDY_ENOTFOUND: nothing was written. */
int device_rebind_if(struct store_tx *tx, const char *device_id, int64_t row,
                     const struct claim_row *c);
/* Empties the device's queue. */
int downlink_clear_row(struct store_tx *tx, int64_t device_row);
/* All that conversations left with a device. */
/* Its columns from `first` on: name, language, zone, age, quiet_from, quiet_to, minutes, memory,
 * alert_words. */
int talk_read_profile(struct store_tx *tx, sqlite3_stmt *st, int first, struct profile_row *out);
int talk_clear_row(struct store_tx *tx, int64_t device_row);
/* Both rings of a device (history.h). */
int history_clear_row(struct store_tx *tx, int64_t device_row);
/* Brings the database up to the list of forgotten children (erasures.h). Before the writer thread
 * starts. TEDDY_ESTORE with err. */
TEDDY_MUST_CHECK int erasures_start(struct store_tx *tx, char *err, size_t cap);

/* Jobs on their way to a thread. */
struct queue {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    struct store_job *head, **tail;
    unsigned waiting, max;
    bool closed;
};

void queue_init(struct queue *q, unsigned max);
void queue_fini(struct queue *q);
/* TEDDY_EFULL; TEDDY_ECLOSED. Wakes nobody. */
int queue_put(struct queue *q, struct store_job *job);
/* Not under the queue's lock: who wakes up takes it at once. */
void queue_wake(struct queue *q);
/* Waits for jobs and takes up to max of them, as a list; NULL once the queue is closed and empty.
 */
struct store_job *queue_take(struct queue *q, unsigned max);
/* No more jobs are let in. */
void queue_close(struct queue *q);

struct reader {
    struct store *store;
    struct store_tx tx;
    pthread_t thread;
};

/* How far the write-ahead log has grown, in KiB of pages, where it is next copied back, and how
 * much further it grows when it then cannot be cut off. */
struct wal {
    unsigned kib, checkpoint_at, retry;
};

struct store {
    struct queue reads, writes;
    unsigned group_max;
    struct store_tx writer; /* the writer thread's, as are wal and log */
    struct wal wal;
    bool scrub_due; /* the log could not be cut after a scrub was asked for */
    struct log_vfs log;
    pthread_t writer_thread;
    unsigned readers; /* started */
    struct reader *reader;
    atomic_ullong commits, jobs;
    void (*committed)(uint64_t us);
};

/* The bodies of the threads (struct store, struct reader). */
void *writer_main(void *arg);
void *reader_main(void *arg);
/* Counts the log's pages from now on. */
void writer_watch_wal(struct store *s);

#endif
