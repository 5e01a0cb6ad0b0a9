/* What the administration of the JWT keys answers, the same by the running server and by teddyctl
 * when none holds the data directory. */
#ifndef ADMIN_KEYS_H
#define ADMIN_KEYS_H

#include "admin/command.h"
#include "identity/keyring.h"

/* {"keys": […], "jwks_max_age": …} */
void admin_keys_list(const struct keys *k, struct admin_answer *out);
/* A KEYRING_ADD or KEYRING_RETIRE of which keyring_run said rc and err. */
void admin_keys_changed(const struct keyring_op *op, int rc, const char *err,
                        struct admin_answer *out);

#endif
