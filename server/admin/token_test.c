/* Admin tokens: their form, the commands about them on a real store, and the table that the gate
 * asks. */
#include "admin/command.h"
#include "admin/token.h"
#include "store/test_opened.h"

static struct admin_command *command(enum admin_verb verb, const char *id)
{
    struct admin_command *c = admin_command_new(verb, id, (struct span){"", 0});
    assert_non_null(c);
    return c;
}

/* Runs it, and the status. */
static int status_of(struct admin_command *c, const char *code)
{
    struct admin_answer a;
    admin_command_wait(c, store);
    admin_command_answer(c, &a);
    int status = a.status;
    if (code != NULL)
        assert_string_equal(a.code, code);
    admin_answer_fini(&a);
    return status;
}

static struct admin_command *create_at(const char *json, uint64_t now_s)
{
    struct admin_command *c = command(ADMIN_TOKEN_CREATE, NULL);
    char why[160];
    bool bad_json;
    c->now_s = now_s;
    if (!admin_token_read(c, span_of(json), &bad_json, why, sizeof why))
        fail_msg("%s", why);
    return c;
}

static struct admin_command *made(const char *json, uint64_t now_s)
{
    struct admin_command *c = create_at(json, now_s);
    assert_int_equal(status_of(c, NULL), 201);
    return c;
}

static void has_a_form(void **state)
{
    static const char good[] = "tdy_0123abcd_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmno-_";
    char id[ADMIN_TOKEN_ID_LEN + 1], text[80];
    uint8_t sha256[32];
    (void)state;
    assert_int_equal(strlen(good), ADMIN_TOKEN_TEXT);
    assert_true(admin_token_parse(span_of(good), id, sha256));
    assert_string_equal(id, "0123abcd");
    static const uint8_t digest_start[] = {0x53, 0x9c, 0xda, 0xad, 0xf6, 0xfc, 0x23, 0xc9};
    assert_memory_equal(sha256, digest_start, sizeof digest_start);
    /* Each byte of it matters. */
    for (size_t i = 0; i < sizeof good - 1; i++) {
        static const char wrong[] = {'\0', ' ', '.', '+', '=', '\n', '\x7f', '\x80'};
        for (size_t k = 0; k < sizeof wrong; k++) {
            memcpy(text, good, sizeof good);
            text[i] = wrong[k];
            assert_false(admin_token_parse((struct span){text, sizeof good - 1}, id, sha256));
        }
    }
    assert_false(admin_token_parse(
        span_of("TDY_0123abcd_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmno-_"), id, sha256));
    assert_false(admin_token_parse(
        span_of("tdy_0123ABCD_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmno-_"), id, sha256));
    for (size_t len = 0; len < sizeof good - 1; len++)
        assert_false(admin_token_parse((struct span){good, len}, id, sha256));
    (void)snprintf(text, sizeof text, "%sA", good);
    assert_false(admin_token_parse(span_of(text), id, sha256));
}

static void is_read_strictly(void **state)
{
    static const struct {
        const char *json, *why;
    } bad[] = {
        {"", NULL},
        {"[]", NULL},
        {"{\"role\":\"owner\",\"role\":\"owner\"}", NULL},
        {"{}", "role"},
        {"{\"role\":\"Owner\"}", "role"},
        {"{\"role\":\"-\"}", "role"},
        {"{\"role\":3}", "role"},
        {"{\"role\":\"a role that is far too long to be one\"}", "role"},
        {"{\"role\":\"owner\",\"ttl\":1}", "Members"},
        {"{\"role\":\"owner\",\"expires_in\":0}", "expires_in"},
        {"{\"role\":\"owner\",\"expires_in\":31536001}", "expires_in"},
        {"{\"role\":\"owner\",\"expires_in\":1.5}", "expires_in"},
        {"{\"role\":\"owner\",\"expires_in\":\"1\"}", "expires_in"},
        {"{\"role\":\"owner\",\"expires_in\":null}", "expires_in"},
        {"{\"role\":\"owner\",\"prefix\":\"\"}", "prefix"},
        {"{\"role\":\"owner\",\"prefix\":\"a b\"}", "prefix"},
        {"{\"role\":\"owner\",\"prefix\":null}", "prefix"},
        {"{\"role\":\"owner\",\"name\":\"\"}", "name"},
        {"{\"role\":\"owner\",\"name\":\"a\\nb\"}", "name"},
        {"{\"role\":\"owner\",\"name\":\"\xc3\xa9\"}", "name"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct admin_command *c = command(ADMIN_TOKEN_CREATE, NULL);
        char why[160] = "";
        bool bad_json;
        assert_false(admin_token_read(c, span_of(bad[i].json), &bad_json, why, sizeof why));
        assert_int_equal(bad_json, bad[i].why == NULL);
        if (bad[i].why != NULL && strncmp(why, bad[i].why, strlen(bad[i].why)) != 0)
            fail_msg("%s: %s", bad[i].json, why);
        admin_command_free(c);
    }
    struct admin_command *c = create_at("{\"role\":\"owner\"}", 1000);
    assert_int_equal(c->tokens->made.expires_s, 1000 + 30 * 86400); /* none without an end */
    admin_command_free(c);
    c = create_at("{\"role\":\"viewer\",\"expires_in\":31536000}", 1000);
    assert_int_equal(c->tokens->made.expires_s, 1000 + 365 * 86400);
    admin_command_free(c);
}

static enum admin_token_verdict check(struct admin_tokens *t, const char *text, uint64_t now_s,
                                      bool *record)
{
    struct admin_token_row row;
    return admin_tokens_check(t, span_of(text), now_s, &row, record);
}

static void is_good_until_it_ends(void **state)
{
    struct admin_command *c = made("{\"role\":\"viewer\",\"expires_in\":100}", 1000);
    struct admin_tokens *t;
    bool record;
    (void)state;
    assert_int_equal(admin_tokens_load(store, &t), TEDDY_OK);
    assert_int_equal(check(t, c->tokens->text, 1000, &record), ADMIN_TOKEN_GOOD);
    assert_int_equal(check(t, c->tokens->text, 1099, &record), ADMIN_TOKEN_GOOD);
    assert_int_equal(check(t, c->tokens->text, 1100, &record), ADMIN_TOKEN_EXPIRED);
    assert_false(record);
    /* Right id, wrong rest: bad, and never told that it has expired. */
    char *last = &c->tokens->text[ADMIN_TOKEN_TEXT - 1];
    *last = *last == 'A' ? 'B' : 'A';
    assert_int_equal(check(t, c->tokens->text, 1000, &record), ADMIN_TOKEN_BAD);
    assert_int_equal(check(t, c->tokens->text, 1100, &record), ADMIN_TOKEN_BAD);
    assert_false(record);
    admin_tokens_free(t);
    admin_command_free(c);
}

static void is_revoked(void **state)
{
    struct admin_command *a = made("{\"role\":\"viewer\"}", 1000);
    struct admin_command *b = made("{\"role\":\"owner\",\"prefix\":\"T\"}", 1001);
    struct admin_command *r = command(ADMIN_TOKEN_REVOKE, a->tokens->made.id);
    struct admin_tokens *t;
    bool record;
    (void)state;
    assert_int_equal(admin_tokens_load(store, &t), TEDDY_OK);
    assert_int_equal(check(t, a->tokens->text, 1002, &record), ADMIN_TOKEN_GOOD);
    assert_int_equal(check(t, b->tokens->text, 1002, &record), ADMIN_TOKEN_GOOD);
    assert_int_equal(status_of(r, NULL), 200);
    admin_tokens_take(t, r->tokens);
    assert_int_equal(check(t, a->tokens->text, 1002, &record), ADMIN_TOKEN_BAD);
    assert_int_equal(check(t, b->tokens->text, 1002, &record), ADMIN_TOKEN_GOOD);
    assert_false(record); /* what was in memory alone is not forgotten */
    admin_tokens_free(t);
    assert_int_equal(admin_tokens_load(store, &t), TEDDY_OK); /* a restart */
    assert_int_equal(check(t, a->tokens->text, 1002, &record), ADMIN_TOKEN_BAD);
    assert_int_equal(check(t, b->tokens->text, 1002, &record), ADMIN_TOKEN_GOOD);
    admin_tokens_free(t);
    admin_command_free(r);
    r = command(ADMIN_TOKEN_REVOKE, "ffffffff");
    assert_int_equal(status_of(r, "admin_token_not_found"), 404);
    admin_command_free(r);
    admin_command_free(a);
    admin_command_free(b);
}

static void is_recorded_once_a_minute(void **state)
{
    struct admin_command *c = made("{\"role\":\"viewer\"}", 1000);
    struct admin_tokens *t;
    bool record;
    (void)state;
    assert_int_equal(admin_tokens_load(store, &t), TEDDY_OK);
    static const struct {
        uint64_t now_s;
        bool record;
    } uses[] = {{1000, true}, {1000, false}, {1059, false},
                {1060, true}, {1061, false}, {2000, true}};
    for (size_t i = 0; i < sizeof uses / sizeof uses[0]; i++) {
        assert_int_equal(check(t, c->tokens->text, uses[i].now_s, &record), ADMIN_TOKEN_GOOD);
        assert_int_equal(record, uses[i].record);
    }
    admin_tokens_free(t);
    admin_command_free(c);
}

static void is_bounded(void **state)
{
    struct admin_command *c;
    (void)state;
    for (unsigned i = 0; i < ADMIN_TOKENS_MAX; i++)
        admin_command_free(made("{\"role\":\"viewer\",\"expires_in\":100}", 1000));
    c = create_at("{\"role\":\"viewer\"}", 1099);
    assert_int_equal(status_of(c, "too_many_admin_tokens"), 409);
    admin_command_free(c);
    admin_command_free(made("{\"role\":\"viewer\"}", 1100));
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_a_form),          cmocka_unit_test(is_read_strictly),
        WITH_STORE(is_good_until_it_ends),     WITH_STORE(is_revoked),
        WITH_STORE(is_recorded_once_a_minute), WITH_STORE(is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
