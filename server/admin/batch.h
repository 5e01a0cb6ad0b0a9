/* Private to admin: batches, as commands on the registry. */
#ifndef ADMIN_BATCH_H
#define ADMIN_BATCH_H

#include <jansson.h>

#include "admin/command.h"

/* Of ADMIN_BATCH_ADD: the devices and their batch, or neither. */
int batch_run_add(struct store_tx *tx, struct admin_command *c);
/* Of ADMIN_BATCH_LIST: a page of those of c->id and c->batch.prefix ("": of all). */
int batch_run_list(struct store_tx *tx, struct admin_command *c);
json_t *batch_json(const struct batch_row *b);
json_t *batch_list_json(const struct admin_command *c);

#endif
