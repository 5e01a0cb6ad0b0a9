/* A backup becomes the database: what has been revoked, used up or erased since it was made stays
 * so (docs/operations.md, "Backup and restore"). For who holds the data directory's lock, and has
 * nothing open in it. Blocks: on the disk. */
#ifndef STORE_RESTORE_H
#define STORE_RESTORE_H

#include "store/seal.h"

#define STORE_RESTORE_SUFFIX ".restore" /* of the copy that is being made ready */

struct restore_counts {
    uint64_t devices; /* that the backup has */
    /* Ended in any case. */
    uint64_t families, admin_tokens;
    /* By what the former database knows. */
    uint64_t claims;   /* replay rows kept */
    uint64_t secrets;  /* rotated since */
    uint64_t disabled; /* disabled since */
    uint64_t removed;  /* removed since: they are back, disabled */
    uint64_t unbound;  /* released or bound to another child since */
    uint64_t messages; /* delivered or withdrawn since */
};

struct restore_job {
    struct store_options store; /* of the copy */
    const char *former;         /* the database that it is to follow; NULL: that is lost */
    uint64_t now_s, made_s;     /* when the backup was made */
    const char *actor;          /* as the audit trail has it */
    /* Called with signer once all is written, in its transaction: signs what the trail now ends
     * with. */
    int (*sign)(struct store_tx *tx, void *signer);
    void *signer;
    /* Told after each step of so many; NULL: nobody is. */
    void (*stepped)(void *arg, unsigned done, unsigned all);
    void *arg;
};

/* Makes the copy ready to take the place of the former database, which is read, and at most brought
 * to the present schema. All of it is one transaction, and in the one file, synced, once this
 * returns. TEDDY_EAUTH: the former cannot be used, or is of another registry; TEDDY_ESTORE: the
 * copy cannot. Both with err. */
TEDDY_MUST_CHECK int store_restore(const struct restore_job *job, struct restore_counts *out,
                                   char *err, size_t cap);

/* path + STORE_RESTORE_SUFFIX takes the place of the database at path, which gets the name `kept`
 * (NULL: there is none). A crash at any moment leaves the one or the other at path, whole.
 * TEDDY_EIO with err. */
TEDDY_MUST_CHECK int store_swap(const char *path, const char *kept, char *err, size_t cap);
/* Removes what a restore has left that was killed. */
void store_swap_tidy(const char *path);

#endif
