/* One operation on the registry, as a store job: the API's handlers queue it, teddyctl runs it
 * directly when no server holds the data directory. Both give the same answer, an HTTP status with
 * a JSON body. */
#ifndef ADMIN_COMMAND_H
#define ADMIN_COMMAND_H

#include "proto/span.h"
#include "store/store.h"

#define ADMIN_LIST_MAX     1000u /* devices of one page */
#define ADMIN_LIST_DEFAULT 100u
#define ADMIN_EXPIRES_MAX  7776000u /* seconds that a message to a toy may wait */
#define ADMIN_ACTOR_LEN    23u
#define ADMIN_ERRORS_MAX   1000u /* bad lines of an import that are named; the rest is counted */

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
    ADMIN_SEND,
    ADMIN_MESSAGES,
    ADMIN_CLEAR,
};

/* The bounds of messages to toys: the configuration's downlink_… */
struct admin_downlinks {
    uint32_t queue_max, expiry_s, max;
};

struct import;

struct admin_command {
    struct store_job job; /* first: run gets this back */
    enum admin_verb verb;
    char id[LIMIT_ID_LEN +
            1]; /* the device's, the child's for ADMIN_FORGET, where to go on for ADMIN_LIST */
    char actor[ADMIN_ACTOR_LEN + 1]; /* who wants it: "uid:0", "token:1a2b3c4d" */
    uint8_t secret[LIMIT_SECRET_LEN];
    unsigned limit; /* of ADMIN_LIST */
    void *owner;    /* the caller's, untouched */
    struct import *import;
    uint64_t now_s;
    char *body;         /* ADMIN_SEND: the words, or a JSON object */
    unsigned queue_max; /* ADMIN_SEND */
    bool opens_epoch;   /* ADMIN_SEND: of who is no server, which has opened its own */

    /* What run found. */
    struct device_row device;
    struct device_row *devices; /* ADMIN_LIST; their secrets are left out */
    unsigned device_count;
    bool more;
    char (*concerned)[LIMIT_ID_LEN + 1]; /* ADMIN_FORGET: the devices that had the child */
    unsigned concerned_count, concerned_cap;
    const char *code;               /* what was refused; NULL: nothing */
    struct downlink_row downlink;   /* ADMIN_SEND */
    struct downlink_row *downlinks; /* ADMIN_MESSAGES; without bodies */
    unsigned downlink_count, downlink_cap;
    uint64_t gone; /* ADMIN_SEND: expired messages, ADMIN_CLEAR: messages that left the queue */
};

/* A command on id (NULL: none), whose text is copied. ADMIN_ADD and ADMIN_ROTATE draw a secret.
 * ADMIN_IMPORT: text is the CSV, parsed here and not kept. NULL: out of memory, or the CSPRNG
 * failed. Threads: any. Blocks: no. Allocates: yes. */
struct admin_command *admin_command_new(enum admin_verb verb, const char *id, struct span text);
/* ADMIN_SEND: reads {"text": …} or {"data": {…}}, with "expires_in" or without, into c. What is
 * wrong, naming the member, in why: false. *bad_json: it is no JSON object at all. */
bool admin_command_message(struct admin_command *c, struct span json,
                           const struct admin_downlinks *bounds, bool *bad_json, char *why,
                           size_t cap);
void admin_command_free(struct admin_command *c); /* wipes. NULL is fine */
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

/* The word of the close (1008) that an open session of each device concerned gets once the command
 * is done; NULL: none is closed. */
const char *admin_command_closes(const struct admin_command *c);
/* After its job was done: true when the job has to be queued once more before there is an answer.
 */
bool admin_command_more(struct admin_command *c);
/* Runs it to its end. For tools and tests, never on a loop. */
void admin_command_wait(struct admin_command *c, struct store *store);

/* ---- CSV of an import: device_id,oob_secret; a first line of just these names is skipped, and so
 * are blank lines. ---- */

struct import_row {
    unsigned line;
    char device_id[LIMIT_ID_LEN + 1];
    uint8_t secret[LIMIT_SECRET_LEN];
    bool added; /* by this import */
};

struct import_error {
    unsigned line;
    const char *what; /* static text */
};

struct import {
    struct import_row *rows;
    size_t count;
    struct import_error errors[ADMIN_ERRORS_MAX];
    size_t error_count;   /* all, also those there was no room to name */
    size_t errors_before; /* the present piece */
    size_t at;            /* its first row */
    size_t added;         /* rows before this one are in pieces that were committed */
    bool undoing;
};

/* NULL: out of memory. A bad line is an entry of errors. */
struct import *import_parse(struct span csv);
void import_free(struct import *i); /* wipes. NULL is fine */
/* Adds a piece of the rows, so that a large file does not keep the store from claims. TEDDY_EPROTO,
 * with errors, when a line was bad or a row is refused: then nothing of the piece stays. A row that
 * is registered with this very secret is fine: an import that was cut short is repeated whole. */
int import_run(struct store_tx *tx, struct import *i, uint64_t now_s);
/* After a piece, whose result this is: true when there is another to run. Once a row was refused,
 * the others are still looked at, and then what was added leaves again. Otherwise *result is the
 * import's. */
bool import_more(struct import *i, int *result);

#endif
