/* Admin tokens' rows. */
#include "store/admin_tokens.h"
#include "store/test_opened.h"

static int add(struct store_tx *tx, unsigned n, uint64_t created_s, uint64_t expires_s,
               unsigned max)
{
    struct admin_token_row row = {.role = "viewer", .prefix = "Teddy-", .name = "a name"};
    snprintf(row.id, sizeof row.id, "%08x", n);
    memset(row.sha256, (int)n, sizeof row.sha256);
    row.created_s = created_s;
    row.expires_s = expires_s;
    return store_admin_token_add(tx, &row, max);
}

struct seen {
    struct admin_token_row rows[16];
    unsigned count;
};

static bool each(void *arg, const struct admin_token_row *row)
{
    struct seen *s = arg;
    assert_true(s->count < 16);
    s->rows[s->count++] = *row;
    return true;
}

static struct seen list(struct store_tx *tx)
{
    struct seen s = {.count = 0};
    assert_int_equal(store_admin_token_list(tx, each, &s), TEDDY_OK);
    return s;
}

static int life_body(struct store_tx *tx, void *arg)
{
    (void)arg;
    assert_int_equal(add(tx, 2, 100, 200, 8), TEDDY_OK);
    assert_int_equal(add(tx, 1, 110, 300, 8), TEDDY_OK);
    struct seen s = list(tx);
    assert_int_equal(s.count, 2);
    assert_string_equal(s.rows[0].id, "00000002"); /* in order of creation */
    assert_string_equal(s.rows[0].role, "viewer");
    assert_string_equal(s.rows[0].prefix, "Teddy-");
    assert_string_equal(s.rows[0].name, "a name");
    assert_int_equal(s.rows[0].sha256[31], 2);
    assert_int_equal(s.rows[1].created_s, 110);
    assert_int_equal(s.rows[1].expires_s, 300);
    assert_int_equal(s.rows[1].revoked_s + s.rows[1].used_s, 0);

    assert_int_equal(store_admin_token_revoke(tx, "00000001", 150), TEDDY_OK);
    assert_int_equal(store_admin_token_revoke(tx, "00000001", 160), TEDDY_OK);
    assert_int_equal(store_admin_token_revoke(tx, "00000003", 150), TEDDY_ENOTFOUND);
    assert_int_equal(store_admin_token_used(tx, "00000002", 170), TEDDY_OK);
    assert_int_equal(store_admin_token_used(tx, "00000002", 165), TEDDY_OK);
    assert_int_equal(store_admin_token_used(tx, "00000003", 165), TEDDY_ENOTFOUND);
    s = list(tx);
    assert_int_equal(s.rows[1].revoked_s, 150);
    assert_int_equal(s.rows[0].revoked_s, 0);
    assert_int_equal(s.rows[0].used_s, 170);
    return TEDDY_OK;
}

static void lives(void **state)
{
    (void)state;
    run(life_body, NULL);
}

static int twice_body(struct store_tx *tx, void *arg)
{
    (void)arg;
    assert_int_equal(add(tx, 1, 100, 200, 8), TEDDY_OK);
    assert_int_equal(add(tx, 1, 100, 200, 8), TEDDY_EDUP);
    return TEDDY_OK;
}

static void is_there_once(void **state)
{
    (void)state;
    run(twice_body, NULL);
}

static int bound_body(struct store_tx *tx, void *arg)
{
    (void)arg;
    for (unsigned n = 1; n <= 3; n++)
        assert_int_equal(add(tx, n, 100 + n, 200 + n, 3), TEDDY_OK);
    assert_int_equal(add(tx, 4, 110, 300, 3), TEDDY_EFULL);
    assert_int_equal(store_admin_token_revoke(tx, "00000002", 110), TEDDY_OK);
    assert_int_equal(add(tx, 4, 110, 300, 3), TEDDY_OK); /* what is revoked does not count */
    assert_int_equal(add(tx, 5, 111, 300, 3), TEDDY_EFULL);
    assert_int_equal(add(tx, 5, 201, 300, 3), TEDDY_OK); /* nor what has expired, in its second */
    assert_int_equal(list(tx).count, 5);
    /* Of those not in force, 1 to 5 by then, three stay. */
    assert_int_equal(add(tx, 6, 300, 400, 3), TEDDY_OK);
    struct seen s = list(tx);
    assert_int_equal(s.count, 4);
    assert_string_equal(s.rows[0].id, "00000003");
    assert_string_equal(s.rows[3].id, "00000006");
    return TEDDY_OK;
}

static void is_bounded(void **state)
{
    (void)state;
    run(bound_body, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lives, setup, teardown),
        cmocka_unit_test_setup_teardown(is_there_once, setup, teardown),
        cmocka_unit_test_setup_teardown(is_bounded, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
