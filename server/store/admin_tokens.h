/* Admin tokens as the store keeps them: who they are for, and the SHA-256 of their text. Within a
 * job's run, as store.h says. */
#ifndef STORE_ADMIN_TOKENS_H
#define STORE_ADMIN_TOKENS_H

#include "store/store.h"

#define ADMIN_TOKEN_ID_LEN   8 /* hex digits */
#define ADMIN_TOKEN_ROLE_LEN 16
#define ADMIN_TOKEN_NAME_LEN 64

struct admin_token_row {
    char id[ADMIN_TOKEN_ID_LEN + 1];
    uint8_t sha256[32];
    char role[ADMIN_TOKEN_ROLE_LEN + 1];
    char prefix[LIMIT_ID_LEN + 1]; /* of the device ids it is good for; "" for all */
    char name[ADMIN_TOKEN_NAME_LEN + 1];
    uint64_t created_s, expires_s;
    uint64_t revoked_s, used_s; /* 0: never */
};

/* TEDDY_EDUP: there is one of this id. TEDDY_EFULL: `max` are in force already. Of those that are
 * not any more the `max` newest are kept. */
int store_admin_token_add(struct store_tx *tx, const struct admin_token_row *row, unsigned max);
/* In order of creation; each is called until it returns false. */
int store_admin_token_list(struct store_tx *tx,
                           bool (*each)(void *arg, const struct admin_token_row *row), void *arg);
/* One that was revoked already stays so since then. */
int store_admin_token_revoke(struct store_tx *tx, const char *id, uint64_t now_s);
/* TEDDY_ENOTFOUND: it is gone. */
int store_admin_token_used(struct store_tx *tx, const char *id, uint64_t now_s);

#endif
