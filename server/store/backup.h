/* A copy of the database as it is at one moment, made while others go on writing to it; and whether
 * such a copy is whole. What it is sealed under is not needed for either. Threads: any. Blocks: on
 * the disk. */
#ifndef STORE_BACKUP_H
#define STORE_BACKUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/seal_box.h"
#include "teddy/err.h"

struct backup_facts {
    int schema;
    uint64_t devices;
    uint8_t master_id[SEAL_ID_LEN]; /* of the key that it is sealed under */
};

/* Any of them may be NULL. */
struct backup_watch {
    bool (*opening)(void *arg); /* the database is opened next; false with errno: it may not be */
    void (*opened)(void *arg);  /* it is open and its moment chosen; nothing is copied */
    /* all 0: it is not known how far that is. */
    void (*progress)(void *arg, const char *what, uint64_t done, uint64_t all);
    void *arg;
};

struct store_schema {
    int version; /* of the database; 0: there is none, or nothing is in it */
    int known;   /* that this program brings it to */
    bool sealed; /* its secrets are, and stand nowhere in the clear: it may be copied */
};

/* TEDDY_ESTORE with err: it cannot be read, or is newer, or another program's. */
TEDDY_MUST_CHECK int store_schema_of(const char *path, struct store_schema *out, char *err,
                                     size_t cap);

/* Copies the database `from`, which a server may have open, over the file `to`, which exists. The
 * writer does not wait for it; its log grows meanwhile. `to` is one file then, without a log, and
 * not synced. TEDDY_ESTORE with err. */
TEDDY_MUST_CHECK int store_backup_copy(const char *from, const char *to,
                                       const struct backup_watch *w, struct backup_facts *facts,
                                       char *err, size_t cap);
/* Reads all of the copy at path, which nobody writes to: whole, ours, not newer than this program,
 * sealed. deep: the indexes against the tables too. name: what errors call it. TEDDY_ESTORE with
 * err. */
TEDDY_MUST_CHECK int store_backup_check(const char *path, const char *name, bool deep,
                                        struct backup_facts *facts, char *err, size_t cap);
/* The same of the database at path, which a server may have open: what is in it now, and by
 * SQLite's quick check whether it is whole. TEDDY_ESTORE with err. */
TEDDY_MUST_CHECK int store_backup_look(const char *path, struct backup_facts *facts, char *err,
                                       size_t cap);

#endif
