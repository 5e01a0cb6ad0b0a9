/* What administration writes into the audit trail. */
#ifndef ADMIN_TRAIL_H
#define ADMIN_TRAIL_H

#include "admin/command.h"
#include "store/audit.h"

/* The child that a command concerns, looked up before it is gone. */
struct admin_trail {
    bool has_child;
    uint8_t child[AUDIT_CHILD_LEN];
};

/* In the command's job: before it is run, and after it was. A command that only reads leaves no
 * event. */
int admin_trail_before(struct store_tx *tx, const struct admin_command *c, struct admin_trail *t);
int admin_trail_after(struct store_tx *tx, const struct admin_command *c,
                      const struct admin_trail *t);
/* The event of a call that is no store job. Queued; event is static text. */
void admin_trail_post(struct store *store, const char *event, const char *actor);

#endif
