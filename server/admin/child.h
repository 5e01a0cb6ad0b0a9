/* Private to admin: what is done about a child, as commands. */
#ifndef ADMIN_CHILD_H
#define ADMIN_CHILD_H

#include <jansson.h>

#include "admin/command.h"
#include "store/audit.h"
#include "store/children.h"

/* Of ADMIN_FORGET, ADMIN_CHILD_REVOKE and ADMIN_CHILD_EXPORT. */
struct child_work {
    const struct audit_key *key; /* of ADMIN_FORGET: signs the receipt; the caller's */
    char after[LIMIT_ID_LEN +
               1]; /* of ADMIN_CHILD_EXPORT: the page before's "next"; "": the first */

    /* What run found. */
    bool has_child;
    uint8_t child[AUDIT_CHILD_LEN]; /* the pseudonym */
    struct child_erased erased;
    uint64_t at_s;    /* when it was forgotten */
    uint64_t devices; /* whose tokens were revoked */
    json_t *json;     /* the receipt; the page */
};

struct child_work *child_work_new(void);
void child_work_free(struct child_work *w); /* NULL is fine */

int child_run(struct store_tx *tx, struct admin_command *c);
/* Of ADMIN_FORGET, once its event is the last of the audit trail: the receipt. */
int child_receipt(struct store_tx *tx, struct admin_command *c);
/* What its event says. */
void child_detail(const struct admin_command *c, char *out, size_t cap);
/* The reply to a success, new. */
json_t *child_json(const struct admin_command *c);
/* Whether `after` can be a page's "next". */
bool child_after_ok(const char *after);

/* child_export.c: a page. */
int child_run_export(struct store_tx *tx, struct admin_command *c);

#endif
