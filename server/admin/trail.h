/* What administration writes into the audit trail. */
#ifndef ADMIN_TRAIL_H
#define ADMIN_TRAIL_H

#include "admin/command.h"
#include "identity/keyring.h"
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
/* The JWT keys at one moment. */
struct admin_key_list {
    size_t count;
    struct key_info key[KEYRING_MAX];
};

void admin_key_list_take(struct admin_key_list *l, const struct keys *keys); /* NULL: none */
/* A change of the JWT keys, asked for or brought by time: one event of what op asked for, and one
 * of each other key that came, signs, retired or left with it. */
int admin_trail_keys(struct store_tx *tx, const struct keyring_op *op, const char *actor,
                     const struct admin_key_list *before, const struct admin_key_list *after);

/* The event of a call that is no store job. Queued; event is static text. */
void admin_trail_post(struct store *store, const char *event, const char *actor);

#endif
