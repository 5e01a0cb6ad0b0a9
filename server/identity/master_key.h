/* The master key, under which the store's data key is sealed: where it comes from, and the file
 * that it stands in (docs/operations.md, "The master key"). */
#ifndef IDENTITY_MASTER_KEY_H
#define IDENTITY_MASTER_KEY_H

#include <limits.h>
#include <stdbool.h>

#include "proto/span.h"
#include "store/seal.h"

#define MASTER_KEY_ENV        "TEDDY_MASTER_KEY"
#define MASTER_KEY_CREDENTIAL "teddy-master-key"
#define MASTER_KEY_FILE       "master.key"

/* In the order of precedence: the first that is there is the only one that is read. */
enum master_source { MASTER_CREDENTIAL, MASTER_ENVIRONMENT, MASTER_CONFIGURED, MASTER_OWN };

struct master_key {
    struct seal_master keys; /* first: what the store is opened with */
    enum master_source source;
    char path[PATH_MAX]; /* of all but MASTER_ENVIRONMENT */
    bool made;           /* by this start */
    uint8_t id[SEAL_MASTERS][SEAL_ID_LEN];
    char from[PATH_MAX + 64]; /* the source in words */
};

/* Finds the keys in $CREDENTIALS_DIRECTORY/teddy-master-key, the environment variable
 * TEDDY_MASTER_KEY (wiped there), the file `configured` ("": none is configured), or the file
 * master.key in dir. Only the last may be missing: it is made when the database asks for it. m must
 * stay where it is. TEDDY_EIO, TEDDY_EAUTH, TEDDY_EPROTO with err: what is wrong and what to do.
 * Threads: none beside, as it changes the environment. */
TEDDY_MUST_CHECK int master_key_find(struct master_key *m, const char *configured, const char *dir,
                                     char *err, size_t cap);
/* Once the store has been opened: of a rotation that was cut short the old key leaves the file.
 * Errors as above; the keys are good all the same. */
TEDDY_MUST_CHECK int master_key_settle(struct master_key *m, char *err, size_t cap);
/* Wipes the keys; what they are called stays. */
void master_key_forget(struct master_key *m);
/* "credential", "environment", "file". */
const char *master_key_source(const struct master_key *m);
/* Whether it stands in a file that a rotation writes. */
bool master_key_in_file(const struct master_key *m);

/* The file of master_key_in_file. Reads it anew into keys, which the caller wipes. Errors as
 * above. */
TEDDY_MUST_CHECK int master_key_read(const struct master_key *m, struct seal_master *keys,
                                     char *err, size_t cap);
/* Replaces it as a whole, synced: power loss leaves the old or the new. */
TEDDY_MUST_CHECK int master_key_write(const struct master_key *m, const struct seal_master *keys,
                                      char *err, size_t cap);

/* One key or two, newest first, each 64 hex digits, parted by white space or a colon. NULL, or what
 * is wrong. */
const char *master_key_parse(struct span text, struct seal_master *keys);

#endif
