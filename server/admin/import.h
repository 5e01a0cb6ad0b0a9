/* CSV of devices: how it is read, and how its rows are added. Without a first line that names its
 * columns a line is device_id,oob_secret; with one that names at least these two, in any order, the
 * others are passed over. Blank lines are skipped. */
#ifndef ADMIN_IMPORT_H
#define ADMIN_IMPORT_H

#include "proto/span.h"
#include "store/store.h"

#define IMPORT_ERRORS_MAX 1000u /* bad lines that are named; the rest is counted */

struct import_row {
    unsigned line;
    char device_id[LIMIT_ID_LEN + 1];
    uint8_t secret[LIMIT_SECRET_LEN];
};

struct import_error {
    unsigned line;
    const char *what; /* static text */
    unsigned other;   /* the line that `what` ends with, or 0 */
};

struct import {
    struct import_row *rows;
    size_t count;
    size_t already; /* rows that were registered before, with the same secret */
    struct import_error errors[IMPORT_ERRORS_MAX];
    size_t error_count;  /* all, also those there was no room to name */
    size_t parse_errors; /* of the text alone: what two rows say is in here too */
    bool refused;        /* the registry has refused a row before */
    /* Told on the store's thread how many rows are done; NULL: nobody is. */
    void (*watch)(void *arg, uint64_t done, uint64_t all);
    void *arg;
};

/* Every id has to begin with prefix ("": any will do). NULL: out of memory. A bad line is an entry
 * of errors. */
struct import *import_parse(struct span csv, const char *prefix);
void import_free(struct import *i); /* wipes. NULL is fine */
/* Adds the rows, all of them or, with TEDDY_EPROTO and errors, none. A row
 * that is registered with this very secret is fine: who never got the answer may ask again. */
int import_run(struct store_tx *tx, struct import *i, uint64_t now_s);

#endif
