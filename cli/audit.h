/* What the parts of `teddyctl audit` share. They read the database beside the server, or without
 * one. */
#ifndef CLI_AUDIT_H
#define CLI_AUDIT_H

#include "admin/audit_answer.h"
#include "cli/ctl.h"
#include "cli/progress.h"

struct audit_files {
    struct store_tx *tx;
    struct audit_key *key;
};

/* Opens database and key of the data directory, as its owner. Whatever file is to be written
 * elsewhere is opened before. What is printed on failure is the result. */
int audit_files_open(struct ctl *ctl, struct audit_files *f);
void audit_files_close(struct audit_files *f);

/* False: it is not that. The row's texts point into json, child and hash into room. */
bool audit_row_read(const json_t *json, struct audit_row *row,
                    uint8_t room[AUDIT_CHILD_LEN + AUDIT_HASH_LEN]);
bool audit_head_read(const json_t *json, struct audit_head *head);
bool audit_hex_read(const json_t *object, const char *name, uint8_t *out, size_t len);
/* The end of the chain, signed now. */
int audit_sign_end(struct audit_files *f, struct audit_head *head);

/* Events while they pass. all 0: it is not known of how many. */
struct audit_progress {
    struct progress shown;
    const char *what;
    uint64_t done, all;
};
void audit_progress_step(struct audit_progress *p);

#endif
