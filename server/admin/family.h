/* A toy's token family, listed and revoked: a device has one in force, or none. */
#ifndef ADMIN_FAMILY_H
#define ADMIN_FAMILY_H

#include <jansson.h>

#include "admin/command.h"

int family_run_list(struct store_tx *tx, struct admin_command *c);
/* TEDDY_ENOTFOUND with c->code: the device has none of this sid in force. */
int family_run_revoke(struct store_tx *tx, struct admin_command *c);
/* The answer of either; NULL: out of memory. */
json_t *family_json(const struct admin_command *c);

#endif
