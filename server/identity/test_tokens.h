/* What the tests of tokens and of the key file share: a key file in a directory of its own, and
 * tokens of one policy. */
#ifndef IDENTITY_TEST_TOKENS_H
#define IDENTITY_TEST_TOKENS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "identity/keyring.h"

#define NOW     1763683200u
#define REFRESH 5184000u

static const struct token_policy policy = {"teddy", "teddy-devices", 3600, REFRESH};
static char dir[32], path[64];

static inline int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/token-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/keys.json", dir);
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(dir); /* fails when a temporary file was left */
}

static inline struct keys *load_at(enum jwt_alg alg, uint64_t now_s)
{
    struct keys *k = NULL;
    char err[512] = "";
    if (keys_load(path, alg, REFRESH, now_s, &k, err, sizeof err) != TEDDY_OK)
        fail_msg("%s", err);
    return k;
}

/* The same, and a key of alg signs: where another one did, it is published already. */
static inline struct keys *load_signing(enum jwt_alg alg, uint64_t now_s)
{
    struct keyring_policy p = {.alg = alg, .refresh_s = REFRESH};
    struct keyring_op op = {.verb = KEYRING_ADD, .alg_given = true, .alg = alg, .now = true};
    struct keys *k = load_at(alg, now_s), *after = NULL;
    struct key_info all[KEYRING_MAX];
    char err[512] = "";
    for (size_t i = 0, count = keyring_list(k, all); i < count; i++)
        if (all[i].state == KEY_SIGNING && all[i].alg == alg)
            return k;
    keys_free(k);
    if (keyring_run(path, &p, NULL, &op, now_s, &after, err, sizeof err) != TEDDY_OK)
        fail_msg("%s", err);
    return after;
}

static inline struct family_row family(const char *device, const char *child)
{
    struct family_row f;
    assert_int_equal(family_new(&policy, device, child, NOW, &f), TEDDY_OK);
    return f;
}

static inline void sign(const struct keys *k, const struct family_row *f, enum jwt_use use,
                        char *out)
{
    assert_int_equal(token_sign(k, &policy, f, &f->pair, use, out), TEDDY_OK);
}

static inline int check(const struct keys *k, const char *token, enum jwt_use use, uint64_t now_s)
{
    struct jwt t;
    return token_check(k, &policy, span_of(token), use, now_s, &t);
}

#endif
