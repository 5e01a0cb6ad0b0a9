/* The JWT keys of a data directory, which live in a JWKS file there (0600): one signs, those before
 * it verify until their last token has expired, and one that is to sign may wait until every
 * verifier can have read its public half.
 *
 * keyring_run is the only way to change them, for the running server and for who works on the
 * directory without one: it reads the file, does what is asked for and what time has brought,
 * replaces the file as a whole when that was anything, and makes the set that a server works with.
 * A set never changes; the server puts the new one in the place of the old. */
#ifndef IDENTITY_KEYRING_H
#define IDENTITY_KEYRING_H

#include <stdatomic.h>

#include "identity/token.h"

#define KEYRING_FILE   "jwt-keys.json"
#define KEYRING_MAX    64
#define JWKS_MAX_AGE_S 300u /* how long who has read the JWKS may use it without asking again */
/* Between the clock that is read for a change and the moment at which the change is in force there
 * is a write to the disk: a key is published longer before it signs, and verifies longer after, by
 * this. */
#define KEYRING_SLACK_S 60u

enum key_state {
    KEY_PENDING,   /* published, and signs from signs_s on */
    KEY_SIGNING,   /* one at most */
    KEY_VERIFYING, /* signs no more; its tokens are good until until_s */
    KEY_RETIRED,   /* gone, and its tokens with it */
};

struct key_info {
    char kid[JWT_KID_MAX + 1];
    enum jwt_alg alg;
    enum key_state state;
    uint64_t made_s, signs_s, retired_s, until_s; /* seconds since 1970; 0: it has none */
};

enum keyring_verb {
    KEYRING_START,  /* a server starts: a changed jwt_alg is an addition */
    KEYRING_TEND,   /* time alone */
    KEYRING_LIST,   /* the same, and nothing is written */
    KEYRING_ADD,    /* a key that signs: HS256 at once, ES256 once verifiers can know it */
    KEYRING_RETIRE, /* one that signs gets a successor, as by KEYRING_ADD, and retires with it */
    KEYRING_RENEW,  /* all are forgotten at once; one like the signer signs */
};

struct keyring_op {
    enum keyring_verb verb;
    char kid[JWT_KID_MAX + 1]; /* of KEYRING_RETIRE */
    bool alg_given;            /* of KEYRING_ADD; otherwise as the present signer's */
    enum jwt_alg alg;
    bool now; /* KEYRING_ADD: signs at once, whoever knows it. KEYRING_RETIRE: forgotten at once,
                 its tokens are refused from then on, a successor signs at once */

    /* What came of it. */
    struct key_info key;             /* the one added or retired */
    char successor[JWT_KID_MAX + 1]; /* KEYRING_RETIRE: who signs, or will */
    int closes; /* KEYRING_RETIRE: sessions under this slot (keys_slot) are to be closed; -1: none
                 */
};

struct keyring_policy {
    enum jwt_alg alg;   /* jwt_alg: of the first key, and of another when it is changed */
    uint32_t refresh_s; /* the longest life of a token; 0: not known, as no token is signed */
    const struct token_policy *tokens; /* must fit every key that may sign; NULL: not checked */
};

/* Works on the file at path, made when it is missing but for KEYRING_LIST. before: the set in use,
 * from which sessions have their slots; or NULL. *out is the new set, the caller's.
 * TEDDY_ENOTFOUND (no such kid), TEDDY_EFULL (KEYRING_MAX), TEDDY_EINVAL (token_policy_check),
 * TEDDY_EPROTO, TEDDY_EAUTH, TEDDY_EIO, TEDDY_ENOMEM: nothing was changed, and err says why and
 * what to do. Threads: any, one at a time for a file, under the data directory's lock. Blocks: on
 * the file. */
TEDDY_MUST_CHECK int keyring_run(const char *path, const struct keyring_policy *p,
                                 const struct keys *before, struct keyring_op *op, uint64_t now_s,
                                 struct keys **out, char *err, size_t cap);
/* All keys, oldest first. Returns how many. */
size_t keyring_list(const struct keys *k, struct key_info out[KEYRING_MAX]);

/* When KEYRING_TEND has something to do; UINT64_MAX: never. */
uint64_t keys_next_s(const struct keys *k);
/* The small number under which a session remembers the key that signed its token, the same in every
 * set that has the key. kid NULL: the signer. -1: unknown. */
int keys_slot(const struct keys *k, const char *kid);
const char *alg_name(enum jwt_alg alg);

/* Where loops find the set in use. A reader takes it anew for each use and keeps it no longer than
 * one callback of its loop; who replaces it frees the old one once every loop has run a task posted
 * since. */
struct keys_ref {
    _Atomic(struct keys *) keys;
};

static inline const struct keys *keys_now(const struct keys_ref *ref)
{
    return atomic_load_explicit(&((struct keys_ref *)(uintptr_t)ref)->keys, memory_order_acquire);
}

#endif
