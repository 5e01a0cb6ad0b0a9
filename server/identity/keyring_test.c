/* Keys that come and go: who signs when, who verifies how long, and what a change leaves alone. */
#include "identity/keyring.h"

#include <jansson.h>
#include <sys/stat.h>

#include "identity/test_tokens.h"

#define WAIT (JWKS_MAX_AGE_S + KEYRING_SLACK_S)

static const struct keyring_policy keyring = {JWT_HS256, REFRESH, &policy};
static struct key_info listed[KEYRING_MAX];

static int run(struct keys **k, struct keyring_op *op, uint64_t now_s)
{
    struct keys *after = NULL;
    char err[512] = "";
    int rc = keyring_run(path, &keyring, *k, op, now_s, &after, err, sizeof err);
    if (rc == TEDDY_OK) {
        keys_free(*k);
        *k = after;
    } else {
        assert_null(after);
        assert_true(err[0] != '\0');
    }
    return rc;
}

static struct keyring_op add(struct keys **k, enum jwt_alg alg, bool now, uint64_t now_s)
{
    struct keyring_op op = {.verb = KEYRING_ADD, .alg_given = true, .alg = alg, .now = now};
    assert_int_equal(run(k, &op, now_s), TEDDY_OK);
    return op;
}

static struct keyring_op retire(struct keys **k, const char *kid, bool now, uint64_t now_s)
{
    struct keyring_op op = {.verb = KEYRING_RETIRE, .now = now};
    snprintf(op.kid, sizeof op.kid, "%s", kid);
    assert_int_equal(run(k, &op, now_s), TEDDY_OK);
    return op;
}

static void tend(struct keys **k, uint64_t now_s)
{
    struct keyring_op op = {.verb = KEYRING_TEND};
    assert_int_equal(run(k, &op, now_s), TEDDY_OK);
}

/* "HS256 verifying, ES256 signing" of the set, which is what a start would make of the file, too.
 */
static const char *states(const struct keys *k)
{
    static const char *const names[] = {"pending", "signing", "verifying", "retired"};
    static char text[KEYRING_MAX * 24];
    size_t count = keyring_list(k, listed), len = 0;
    text[0] = '\0';
    for (size_t i = 0; i < count; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%s %s", i > 0 ? ", " : "",
                                alg_name(listed[i].alg), names[listed[i].state]);
    return text;
}

static char *file_text(void)
{
    static char text[65536];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

static bool published(const struct keys *k, const char *kid)
{
    return strstr(keys_jwks(k), kid) != NULL;
}

static void test_a_new_secret_key_signs_at_once(void **state)
{
    (void)state;
    struct family_row f = family("toy", "kid");
    char old[LIMIT_TOKEN_LEN + 1], new[LIMIT_TOKEN_LEN + 1];
    uint64_t until = NOW + 100 + REFRESH + KEYRING_SLACK_S;
    struct jwt t;
    struct keys *k = load_at(JWT_HS256, NOW);
    assert_int_equal(keys_next_s(k), UINT64_MAX);
    sign(k, &f, JWT_REFRESH, old);
    struct keyring_op op = add(&k, JWT_HS256, false, NOW + 100);
    assert_int_equal(op.key.state, KEY_SIGNING);
    assert_string_equal(states(k), "HS256 verifying, HS256 signing");
    assert_int_equal(listed[0].retired_s, NOW + 100);
    assert_int_equal(listed[0].until_s, until);
    assert_string_equal(listed[1].kid, op.key.kid);
    assert_int_equal(keys_next_s(k), until);
    sign(k, &f, JWT_REFRESH, new);
    assert_int_equal(token_check(k, &policy, span_of(new), JWT_REFRESH, NOW, &t), TEDDY_OK);
    assert_string_equal(t.kid, op.key.kid);
    assert_int_equal(check(k, old, JWT_REFRESH, NOW + 100), TEDDY_OK);
    tend(&k, until - 1);
    assert_int_equal(check(k, old, JWT_REFRESH, NOW), TEDDY_OK);
    tend(&k, until);
    assert_int_equal(check(k, old, JWT_REFRESH, NOW), TEDDY_EAUTH);
    assert_int_equal(check(k, new, JWT_REFRESH, NOW), TEDDY_OK);
    keys_free(k);
}

/* Who has read the JWKS a moment before may use it for JWKS_MAX_AGE_S. */
static void test_a_public_key_is_published_before_it_signs(void **state)
{
    (void)state;
    struct family_row f = family("toy", "kid");
    char old[LIMIT_TOKEN_LEN + 1], still[LIMIT_TOKEN_LEN + 1], new[LIMIT_TOKEN_LEN + 1];
    struct keys *k = load_at(JWT_HS256, NOW);
    sign(k, &f, JWT_REFRESH, old);
    struct keyring_op op = add(&k, JWT_ES256, false, NOW + 10);
    assert_int_equal(op.key.state, KEY_PENDING);
    assert_int_equal(op.key.signs_s, NOW + 10 + WAIT);
    assert_string_equal(states(k), "HS256 signing, ES256 pending");
    assert_true(published(k, op.key.kid));
    assert_int_equal(keys_next_s(k), NOW + 10 + WAIT);
    tend(&k, NOW + 10 + WAIT - 1);
    sign(k, &f, JWT_REFRESH, still);
    assert_string_equal(old, still);
    tend(&k, NOW + 10 + WAIT);
    assert_string_equal(states(k), "HS256 verifying, ES256 signing");
    assert_int_equal(listed[0].retired_s, NOW + 10 + WAIT);
    assert_int_equal(listed[1].signs_s, 0);
    sign(k, &f, JWT_REFRESH, new);
    assert_string_not_equal(old, new);
    assert_int_equal(check(k, new, JWT_REFRESH, NOW), TEDDY_OK);
    assert_int_equal(check(k, old, JWT_REFRESH, NOW), TEDDY_OK);
    /* and published for as long as it verifies */
    uint64_t retired = NOW + 1000, until = retired + REFRESH + KEYRING_SLACK_S;
    add(&k, JWT_HS256, false, retired);
    tend(&k, until - 1);
    assert_true(published(k, op.key.kid));
    tend(&k, until);
    assert_false(published(k, op.key.kid));
    keys_free(k);
}

static void test_a_public_key_that_signs_now(void **state)
{
    (void)state;
    struct keys *k = load_at(JWT_HS256, NOW);
    add(&k, JWT_ES256, true, NOW + 10);
    assert_string_equal(states(k), "HS256 verifying, ES256 signing");
    struct keyring_op op = {.verb = KEYRING_ADD}; /* as the signer's */
    assert_int_equal(run(&k, &op, NOW + 20), TEDDY_OK);
    assert_string_equal(states(k), "HS256 verifying, ES256 signing, ES256 pending");
    keys_free(k);
}

static void test_the_last_one_added_signs(void **state)
{
    (void)state;
    struct keys *k = load_at(JWT_HS256, NOW);
    struct keyring_op overtaken = add(&k, JWT_ES256, false, NOW + 10);
    struct keyring_op last = add(&k, JWT_HS256, false, NOW + 10);
    assert_string_equal(states(k), "HS256 verifying, HS256 signing");
    assert_string_equal(listed[1].kid, last.key.kid);
    assert_false(published(k, overtaken.key.kid));
    /* Two that wait come in their order. */
    add(&k, JWT_ES256, false, NOW + 20);
    add(&k, JWT_ES256, false, NOW + 30);
    tend(&k, NOW + 20 + WAIT);
    assert_string_equal(states(k),
                        "HS256 verifying, HS256 verifying, ES256 signing, ES256 pending");
    tend(&k, NOW + 30 + WAIT);
    assert_string_equal(states(k),
                        "HS256 verifying, HS256 verifying, ES256 verifying, ES256 signing");
    keys_free(k);
}

static void test_a_clock_that_was_set_back(void **state)
{
    (void)state;
    struct keys *k = load_at(JWT_HS256, NOW);
    struct keyring_op op = add(&k, JWT_HS256, false, NOW - 1000);
    assert_string_equal(states(k), "HS256 verifying, HS256 signing");
    assert_string_equal(listed[1].kid, op.key.kid);
    keys_free(k);
}

static void test_retiring_the_signer_makes_a_successor(void **state)
{
    (void)state;
    struct keys *k = load_at(JWT_HS256, NOW);
    keyring_list(k, listed);
    struct keyring_op op = retire(&k, listed[0].kid, false, NOW + 10);
    assert_string_equal(states(k), "HS256 verifying, HS256 signing");
    assert_int_equal(op.key.state, KEY_VERIFYING);
    assert_int_equal(op.key.until_s, NOW + 10 + REFRESH + KEYRING_SLACK_S);
    assert_string_equal(op.successor, listed[1].kid);
    assert_int_equal(op.closes, -1);
    op = retire(&k, op.kid, false, NOW + 500); /* once more: as it was */
    assert_int_equal(op.key.retired_s, NOW + 10);
    assert_string_equal(states(k), "HS256 verifying, HS256 signing");
    keys_free(k);
}

static void test_retiring_a_public_signer_waits_for_its_successor(void **state)
{
    (void)state;
    struct keys *k = load_at(JWT_ES256, NOW);
    keyring_list(k, listed);
    struct keyring_op op = retire(&k, listed[0].kid, false, NOW + 10);
    assert_int_equal(op.key.state, KEY_SIGNING);
    assert_string_equal(states(k), "ES256 signing, ES256 pending");
    assert_string_equal(op.successor, listed[1].kid);
    op = retire(&k, op.kid, false, NOW + 20); /* its successor is there already */
    assert_string_equal(states(k), "ES256 signing, ES256 pending");
    op = retire(&k, op.successor, false, NOW + 30); /* one that never signed just goes */
    assert_int_equal(op.key.state, KEY_RETIRED);
    assert_string_equal(states(k), "ES256 signing");
    keys_free(k);
}

static void test_a_key_that_somebody_has_is_forgotten(void **state)
{
    (void)state;
    struct family_row f = family("toy", "kid");
    char first[LIMIT_TOKEN_LEN + 1], second[LIMIT_TOKEN_LEN + 1];
    char kids[2][JWT_KID_MAX + 1];
    struct keys *k = load_at(JWT_HS256, NOW);
    keyring_list(k, listed);
    snprintf(kids[0], sizeof kids[0], "%s", listed[0].kid);
    int slot = keys_slot(k, kids[0]);
    sign(k, &f, JWT_REFRESH, first);
    struct keyring_op op = retire(&k, kids[0], true, NOW + 10); /* the signer, and the only one */
    assert_int_equal(op.key.state, KEY_RETIRED);
    assert_int_equal(op.key.alg, JWT_HS256);
    assert_int_equal(op.closes, slot);
    assert_string_equal(states(k), "HS256 signing");
    assert_string_equal(op.successor, listed[0].kid);
    assert_string_not_equal(op.successor, kids[0]);
    assert_int_equal(check(k, first, JWT_REFRESH, NOW), TEDDY_EAUTH);
    assert_null(strstr(file_text(), kids[0]));

    snprintf(kids[1], sizeof kids[1], "%s", listed[0].kid);
    sign(k, &f, JWT_REFRESH, second);
    add(&k, JWT_HS256, false, NOW + 20);
    op = retire(&k, kids[1], true, NOW + 30); /* one that verifies */
    assert_int_equal(check(k, second, JWT_REFRESH, NOW), TEDDY_EAUTH);
    assert_string_equal(states(k), "HS256 signing");

    op = add(&k, JWT_ES256, false, NOW + 40); /* one that waits takes over, published or not */
    retire(&k, listed[0].kid, true, NOW + 50);
    assert_string_equal(states(k), "ES256 signing");
    assert_string_equal(listed[0].kid, op.key.kid);
    keys_free(k);
}

static void test_all_are_forgotten_for_one_new(void **state)
{
    (void)state;
    struct keyring_op op = {.verb = KEYRING_RENEW};
    struct keys *k = load_at(JWT_HS256, NOW);
    add(&k, JWT_ES256, true, NOW + 10);
    add(&k, JWT_ES256, false, NOW + 20); /* one that waits */
    struct key_info before[KEYRING_MAX];
    size_t count = keyring_list(k, before);
    assert_int_equal(run(&k, &op, NOW + 30), TEDDY_OK);
    assert_string_equal(states(k), "ES256 signing"); /* as the signer was */
    for (size_t i = 0; i < count; i++)
        assert_null(strstr(file_text(), before[i].kid));
    keys_free(k);
}

static void test_an_unknown_key(void **state)
{
    (void)state;
    struct keyring_op op = {.verb = KEYRING_RETIRE, .kid = "nobody", .now = true};
    struct keys *k = load_at(JWT_HS256, NOW);
    char *before = strdup(file_text());
    assert_int_equal(run(&k, &op, NOW + 10), TEDDY_ENOTFOUND);
    assert_string_equal(before, file_text());
    free(before);
    keys_free(k);
}

static void test_jwt_alg_counts_when_it_changes(void **state)
{
    (void)state;
    struct keys *k = load_at(JWT_HS256, NOW);
    add(&k, JWT_ES256, true, NOW + 10);
    keys_free(k);
    k = load_at(JWT_HS256, NOW + 20); /* as it was: what was added goes on signing */
    assert_string_equal(states(k), "HS256 verifying, ES256 signing");
    keys_free(k);
    k = load_at(JWT_ES256, NOW + 30); /* changed to what signs anyhow */
    assert_string_equal(states(k), "HS256 verifying, ES256 signing");
    keys_free(k);
    k = load_at(JWT_HS256, NOW + 40);
    assert_string_equal(states(k), "HS256 verifying, ES256 verifying, HS256 signing");
    keys_free(k);
    k = load_at(JWT_ES256, NOW + 50); /* published first, here too */
    assert_string_equal(states(k),
                        "HS256 verifying, ES256 verifying, HS256 signing, ES256 pending");
    keys_free(k);
}

static void test_there_is_a_bound(void **state)
{
    (void)state;
    struct keyring_op op = {.verb = KEYRING_ADD};
    struct keys *k = load_at(JWT_HS256, NOW);
    uint64_t slots = 0;
    for (unsigned i = 1; i < KEYRING_MAX; i++)
        add(&k, JWT_HS256, false, NOW + i);
    assert_int_equal(run(&k, &op, NOW + 100), TEDDY_EFULL);
    assert_int_equal(keyring_list(k, listed), KEYRING_MAX);
    for (size_t i = 0; i < KEYRING_MAX; i++)
        slots |= UINT64_C(1) << keys_slot(k, listed[i].kid);
    assert_true(slots == UINT64_MAX);
    struct keyring_op gone = retire(&k, listed[7].kid, true, NOW + 200);
    op = add(&k, JWT_HS256, false, NOW + 300);
    assert_int_equal(keys_slot(k, op.key.kid), gone.closes); /* the only one there is */
    keys_free(k);
    k = load_at(JWT_HS256, NOW + 400);
    assert_int_equal(keyring_list(k, listed), KEYRING_MAX);
    keys_free(k);
}

/* Sessions carry a slot from one set to the next. */
static void test_slots_stay_and_are_not_reused_soon(void **state)
{
    (void)state;
    struct keys *k = load_at(JWT_HS256, NOW);
    keyring_list(k, listed);
    char kid[JWT_KID_MAX + 1];
    snprintf(kid, sizeof kid, "%s", listed[0].kid);
    int slot = keys_slot(k, kid), first = -1;
    for (int i = 1; i < KEYRING_MAX; i++) {
        struct keyring_op op = add(&k, JWT_HS256, false, NOW + 10);
        int got = keys_slot(k, op.key.kid);
        assert_int_equal(keys_slot(k, NULL), got); /* the signer */
        assert_int_equal(keys_slot(k, kid), slot);
        assert_true(got >= 0 && got < KEYRING_MAX && got != slot && got != first);
        first = i == 1 ? got : first;
        retire(&k, op.key.kid, true, NOW + 10); /* its own successor takes one, too */
        keyring_list(k, listed);
        if (i > 30)
            break;
    }
    assert_int_equal(keys_slot(k, "nobody"), -1);
    keys_free(k);
}

static void test_a_key_under_which_tokens_do_not_fit(void **state)
{
    (void)state;
    char iss[240], err[512] = "";
    memset(iss, 'i', sizeof iss - 1);
    iss[sizeof iss - 1] = '\0';
    struct token_policy tokens = policy;
    struct keyring_policy p = {JWT_HS256, REFRESH, &tokens};
    struct keyring_op op = {.verb = KEYRING_ADD, .alg_given = true, .alg = JWT_ES256};
    struct keys *k = load_at(JWT_HS256, NOW), *after = NULL;
    char *before = strdup(file_text());
    size_t fits = 0; /* the longest issuer that fits HS256 */
    for (size_t len = 1; len < sizeof iss; len++) {
        tokens.iss = iss + sizeof iss - 1 - len;
        if (token_policy_check(k, &tokens, err, sizeof err) == TEDDY_OK)
            fits = len;
    }
    assert_in_range(fits, 2, sizeof iss - 2);
    tokens.iss = iss + sizeof iss - 1 - fits;
    assert_int_equal(keyring_run(path, &p, k, &op, NOW + 1, &after, err, sizeof err), TEDDY_EINVAL);
    assert_non_null(strstr(err, "jwt_issuer"));
    assert_string_equal(before, file_text());
    free(before);
    keys_free(k);
}

static void test_a_file_that_cannot_be_written(void **state)
{
    (void)state;
    struct keyring_op op = {.verb = KEYRING_ADD};
    char beside[sizeof path + 8];
    struct keys *k = load_at(JWT_HS256, NOW);
    char *before = strdup(file_text());
    snprintf(beside, sizeof beside, "%s.new", path);
    assert_int_equal(mkdir(beside, 0700), 0);
    assert_int_equal(run(&k, &op, NOW + 10), TEDDY_EIO);
    assert_string_equal(before, file_text());
    assert_int_equal(rmdir(beside), 0);
    /* What somebody who was killed left there is in nobody's way. */
    FILE *file = fopen(beside, "w");
    assert_non_null(file);
    fputs("{\"keys\":", file);
    fclose(file);
    assert_int_equal(run(&k, &op, NOW + 10), TEDDY_OK);
    assert_int_equal(access(beside, F_OK), -1);
    free(before);
    keys_free(k);
}

static void test_listing_writes_nothing(void **state)
{
    (void)state;
    struct keyring_op op = {.verb = KEYRING_LIST};
    struct keys *k = NULL;
    assert_int_equal(run(&k, &op, NOW), TEDDY_OK);
    assert_int_equal(keyring_list(k, listed), 0);
    assert_int_equal(access(path, F_OK), -1);
    keys_free(k);
    k = load_at(JWT_HS256, NOW);
    add(&k, JWT_ES256, false, NOW + 10);
    char *before = strdup(file_text());
    assert_int_equal(run(&k, &op, NOW + 10 + WAIT), TEDDY_OK); /* due, and shown so */
    assert_string_equal(states(k), "HS256 verifying, ES256 signing");
    assert_string_equal(before, file_text());
    free(before);
    keys_free(k);
}

/* Without the configuration nobody knows how long tokens live, but a key that signed does. */
static void test_without_a_server(void **state)
{
    (void)state;
    static const struct keyring_policy alone = {.alg = JWT_HS256};
    struct keyring_op op = {.verb = KEYRING_ADD};
    struct keys *k = load_at(JWT_HS256, NOW), *after = NULL;
    char err[512] = "";
    keys_free(k);
    assert_int_equal(keyring_run(path, &alone, NULL, &op, NOW + 10, &after, err, sizeof err),
                     TEDDY_OK);
    assert_string_equal(states(after), "HS256 verifying, HS256 signing");
    assert_int_equal(listed[0].until_s, NOW + 10 + REFRESH + KEYRING_SLACK_S);
    keys_free(after);
    op = (struct keyring_op){.verb = KEYRING_ADD};
    assert_int_equal(keyring_run(path, &alone, NULL, &op, NOW + 20, &after, err, sizeof err),
                     TEDDY_OK);
    keyring_list(after, listed);
    assert_int_equal(listed[1].until_s, 0); /* it never signed under a server */
    keys_free(after);
    k = load_at(JWT_HS256, NOW + 30);
    keyring_list(k, listed);
    assert_int_equal(listed[1].until_s, NOW + 20 + REFRESH + KEYRING_SLACK_S);
    keys_free(k);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_a_new_secret_key_signs_at_once),
        T(test_a_public_key_is_published_before_it_signs),
        T(test_a_public_key_that_signs_now),
        T(test_the_last_one_added_signs),
        T(test_a_clock_that_was_set_back),
        T(test_retiring_the_signer_makes_a_successor),
        T(test_retiring_a_public_signer_waits_for_its_successor),
        T(test_a_key_that_somebody_has_is_forgotten),
        T(test_all_are_forgotten_for_one_new),
        T(test_an_unknown_key),
        T(test_jwt_alg_counts_when_it_changes),
        T(test_there_is_a_bound),
        T(test_slots_stay_and_are_not_reused_soon),
        T(test_a_key_under_which_tokens_do_not_fit),
        T(test_a_file_that_cannot_be_written),
        T(test_listing_writes_nothing),
        T(test_without_a_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
