/* One operation on the registry, as a store job: the API's handlers queue it, teddyctl runs it
 * directly when no server holds the data directory. Both give the same answer, an HTTP status with
 * a JSON body. */
#ifndef ADMIN_COMMAND_H
#define ADMIN_COMMAND_H

#include "admin/import.h"
#include "identity/master_key.h"
#include "proto/span.h"
#include "store/batches.h"
#include "store/store.h"

#define ADMIN_LIST_MAX     1000u /* devices of one page */
#define ADMIN_LIST_DEFAULT 100u
#define ADMIN_EXPIRES_MAX  7776000u /* seconds that a message to a toy may wait */
#define ADMIN_ACTOR_LEN    23u
#define ADMIN_BATCHES_MAX  1000u /* batches of one page */

enum admin_verb {
    ADMIN_LIST,
    ADMIN_ADD,
    ADMIN_SHOW,
    ADMIN_REMOVE,
    ADMIN_ENABLE,
    ADMIN_DISABLE,
    ADMIN_ROTATE,
    ADMIN_RELEASE,
    ADMIN_REVOKE,
    ADMIN_IMPORT,
    ADMIN_FORGET,
    ADMIN_CHILD_REVOKE,
    ADMIN_CHILD_EXPORT,
    ADMIN_SEND,
    ADMIN_MESSAGES,
    ADMIN_CLEAR,
    ADMIN_TOKEN_CREATE,
    ADMIN_TOKEN_LIST,
    ADMIN_TOKEN_REVOKE,
    ADMIN_BATCH_ADD,
    ADMIN_BATCH_LIST,
    ADMIN_PROFILE_SET,
    ADMIN_PROFILE_SHOW,
    ADMIN_REPORT,
    ADMIN_PROCESSOR,
    ADMIN_MASTER_STATUS,
    ADMIN_MASTER_ROTATE,
    ADMIN_RELEASE_ROTATE,
    ADMIN_FAMILIES,
    ADMIN_FAMILY_REVOKE,
    ADMIN_TELEMETRY,
    ADMIN_SESSIONS,
};

/* The bounds of messages to toys: the configuration's downlink_… */
struct admin_downlinks {
    uint32_t queue_max, expiry_s, max;
};

struct admin_token_work;
struct child_work;
struct fleet_work;

struct admin_command {
    struct store_job job; /* first: run gets this back */
    enum admin_verb verb;
    /* The device's; the child's for ADMIN_FORGET, ADMIN_CHILD_…, ADMIN_PROFILE_… and ADMIN_REPORT,
     * the batch's for ADMIN_BATCH_…, where to go on for ADMIN_LIST, the prefix of all ids for
     * ADMIN_IMPORT, the token's for ADMIN_TOKEN_REVOKE. */
    char id[LIMIT_ID_LEN + 1];
    char actor[ADMIN_ACTOR_LEN + 1];  /* who wants it: "uid:0", "token:1a2b3c4d" */
    char prefix[LIMIT_ID_LEN + 1];    /* ADMIN_LIST: of the devices that are shown */
    uint8_t secret[LIMIT_SECRET_LEN]; /* of ADMIN_MASTER_ROTATE: the new master key */
    unsigned limit;                   /* of ADMIN_LIST and ADMIN_TELEMETRY */
    void *owner;                      /* the caller's, untouched */
    struct import *import;
    struct admin_token_work *tokens; /* ADMIN_TOKEN_…: token.h */
    struct talk_work *talk;          /* ADMIN_PROFILE_…, ADMIN_REPORT, ADMIN_PROCESSOR: talk.h */
    struct child_work *child;        /* ADMIN_FORGET, ADMIN_CHILD_…: child.h */
    struct fleet_work *fleet;        /* ADMIN_LIST, ADMIN_SHOW, and a toy's history: fleet.h */
    uint64_t now_s;
    char *body;         /* ADMIN_SEND: the words, or a JSON object */
    unsigned queue_max; /* ADMIN_SEND */
    bool opens_epoch;   /* ADMIN_SEND: of who is no server, which has opened its own */
    /* ADMIN_BATCH_ADD: as it will be; ADMIN_BATCH_LIST: of this prefix, behind this row. */
    struct batch_row batch;
    const struct master_key *master; /* ADMIN_MASTER_…: the caller's */
    uint8_t sid[STORE_JTI_LEN];      /* ADMIN_FAMILY_REVOKE: which */

    /* What run found. */
    struct device_row device;
    bool more;                      /* batches */
    const char *code;               /* what was refused; NULL: nothing */
    struct downlink_row downlink;   /* ADMIN_SEND */
    struct downlink_row *downlinks; /* ADMIN_MESSAGES; without bodies */
    unsigned downlink_count, downlink_cap;
    struct master_found *found; /* ADMIN_MASTER_… */
    uint64_t gone; /* ADMIN_SEND: expired messages, ADMIN_CLEAR: messages that left the queue */
    struct batch_row *batches; /* ADMIN_BATCH_LIST */
    unsigned batch_count;
    uint64_t batch_next;      /* with a prefix: the next free number */
    struct family_row family; /* ADMIN_FAMILIES */
};

/* A command on id (NULL: none), whose text is copied. ADMIN_ADD, ADMIN_ROTATE and
 * ADMIN_RELEASE_ROTATE draw a secret, ADMIN_MASTER_ROTATE a key. ADMIN_IMPORT, ADMIN_BATCH_ADD:
 * text is the CSV, parsed here and not kept. NULL: out of memory, or the CSPRNG failed. Threads:
 * any. Blocks: no. Allocates: yes. */
struct admin_command *admin_command_new(enum admin_verb verb, const char *id, struct span text);
/* ADMIN_SEND: reads {"text": …} or {"data": {…}}, with "expires_in" or without, into c. What is
 * wrong, naming the member, in why: false. *bad_json: it is no JSON object at all. */
bool admin_command_message(struct admin_command *c, struct span json,
                           const struct admin_downlinks *bounds, bool *bad_json, char *why,
                           size_t cap);
/* ADMIN_BATCH_ADD: the batch whose devices the CSV holds, whole and in order; its id is c's. What
 * is wrong, or NULL. */
const char *admin_command_batch(struct admin_command *c, const struct batch_row *batch);
/* The id of a batch's n-th device, from 0; "" when it has none: it is too long. */
void admin_batch_device(const struct batch_row *batch, uint64_t n, char out[LIMIT_ID_LEN + 1]);
void admin_command_free(struct admin_command *c); /* wipes. NULL is fine */
/* Whether it draws a toy's secret, which its answer shows. */
static inline bool admin_shows_secret(enum admin_verb verb)
{
    return verb == ADMIN_ADD || verb == ADMIN_ROTATE || verb == ADMIN_RELEASE_ROTATE;
}
/* Whether it goes to store_write or to store_read. */
bool admin_command_writes(const struct admin_command *c);

/* The reply once the job is done. */
struct admin_answer {
    int status;
    const char *code; /* of a problem; NULL for a success */
    char detail[192];
    char *body; /* JSON, NUL-terminated: a success, or the `errors` of an import; may be NULL */
    size_t len;
};

/* status 500 when there is no memory for more. */
void admin_command_answer(const struct admin_command *c, struct admin_answer *out);
void admin_answer_fini(struct admin_answer *a); /* wipes */
/* The body as it goes out: the success itself, or problem+json (RFC 9457) with request_id (NULL:
 * none). malloc'd, NULL without memory. */
char *admin_answer_text(const struct admin_answer *a, const char *request_id);

/* The word of the close (1008) that an open session of the device, or the child, gets once the
 * command is done; NULL: none is closed. */
const char *admin_command_closes(const struct admin_command *c);
/* Whether its id is a child's, which no log says. */
bool admin_command_of_child(const struct admin_command *c);
/* After a run, with its result: true when it is to be run once more. On the store's thread. */
bool admin_command_more(struct admin_command *c);
/* Runs it to its end. For tools and tests, never on a loop. */
void admin_command_wait(struct admin_command *c, struct store *store);

/* ---- The master key (docs/operations.md). Rotating it runs twice: the file gets the new key
 * beside the old one and the data key is put under the new one; once that is committed, the old one
 * leaves the file. Whatever ends it between leaves a file that opens the database, and the next
 * start, or the next rotation, finishes it. ---- */

struct master_found {
    uint8_t sealed_id[SEAL_ID_LEN]; /* what the database is sealed under */
    uint64_t since_s;
    uint8_t id[SEAL_MASTERS][SEAL_ID_LEN]; /* what the source holds */
    unsigned count;
    bool rewrapped; /* the first run is committed */
    bool moved;     /* it put the data key under another key */
    char why[256];  /* of a failure */
};

int master_status_run(struct store_tx *tx, struct admin_command *c);
int master_rotate_run(struct store_tx *tx, struct admin_command *c);
/* After a run: true when another is due: the second; or both once more, as the first found a file
 * with two keys whose newest was in force, and so the second has only taken the old one out. */
bool master_rotate_more(struct admin_command *c);
/* The reply; *out is zero. */
void master_answer(const struct admin_command *c, struct admin_answer *out);

#endif
