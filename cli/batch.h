/* teddyctl batch: what its parts share. A batch is made in memory, written as a package of files
 * into a directory beside its own, and becomes real with one transaction of the registry. */
#ifndef CLI_BATCH_H
#define CLI_BATCH_H

#include <stdio.h>

#include "cli/ctl.h"
#include "cli/progress.h"

#define BATCH_COUNT_MAX 100000u
#define SHA256_LEN      32

struct batch {
    struct batch_row row;
    uint8_t (*secrets)[LIMIT_SECRET_LEN]; /* row.count of them */
    char *csv;                            /* nvs-values.csv: a header, and a line for each device */
    size_t csv_len;
};

/* package.c: the directory of a batch. */
struct package {
    char path[4000], partial[4008]; /* DIR, and DIR.partial while it is being written */
    int dir;                        /* DIR.partial, locked */
    json_t *manifest;               /* of what another run left; NULL: none */
};

/* Begins to write, or takes up what another left. *left: the batch of its manifest, whose id is ""
 * when it has none. CTL_FAILED: DIR exists, or may not be made, or somebody is at it. */
int package_open(struct package *p, const char *dir, struct batch_row *left);
/* Whether all files are there as the manifest of what was left lists them; then they are on the
 * disk, and nvs-values.csv is in b. */
int package_load(const struct package *p, struct batch *b, bool *whole);
/* Removes the files of a batch, and nothing else. */
int package_clear(struct package *p);
/* A file with its digest. Threads: any, with names of their own. */
int package_put(const struct package *p, const char *name, const void *data, size_t len,
                uint8_t sha256[SHA256_LEN]);
/* Writes the files of the batch but for the labels' and then the manifest, whose digest goes into
 * the row; all of it is on the disk then. */
int package_write(const struct package *p, struct batch *b, struct progress *progress);
/* DIR.partial becomes DIR. */
int package_finish(struct package *p);
/* Removes DIR.partial and its files. */
void package_discard(struct package *p);
void package_close(struct package *p);

/* labels.c: pages of labels with QR codes. */
struct label_page {
    char name[32];
    size_t size;
    uint8_t sha256[SHA256_LEN];
};

size_t label_page_count(uint64_t devices);
/* Writes label_page_count pages, with as many threads as there are processors. */
int labels_write(const struct package *p, const struct batch_row *row, struct label_page *pages,
                 struct progress *progress);

#endif
