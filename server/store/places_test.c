/* Where devices stand is a hint: right, wrong or missing, the same device is found. */
#include "store/history.h"
#include "store/internal.h"
#include "store/test_opened.h"

enum { MANY = 40000 };

static void each_has_its_own_place_or_none(void **state)
{
    struct store_tx tx = {0};
    unsigned found = 0;
    char id[32];
    (void)state;
    assert_int_equal(device_place(&tx, "toy"), 0);
    for (int i = 1; i <= MANY; i++) {
        snprintf(id, sizeof id, "toy-%07d", i);
        device_place_keep(&tx, id, i);
        assert_int_equal(device_place(&tx, id), i);
    }
    for (int i = 1; i <= MANY; i++) {
        snprintf(id, sizeof id, "toy-%07d", i);
        int64_t row = device_place(&tx, id);
        assert_true(row == 0 || row == i);
        found += row == i;
    }
    assert_true(found > 10000 && found <= 16384);
    static const int64_t none[] = {0, -1, (int64_t)UINT32_MAX + 1};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        device_place_keep(&tx, "other", none[i]);
        assert_int_equal(device_place(&tx, "other"), 0);
    }
    device_places_free(&tx);
    assert_int_equal(device_place(&tx, id), 0);
}

static void add(struct store_tx *tx, const char *id, unsigned n)
{
    uint8_t secret[LIMIT_SECRET_LEN];
    secret_of(n, secret);
    assert_int_equal(store_device_add(tx, id, secret, 100), TEDDY_OK);
}

static int64_t row_of(struct store_tx *tx, const char *id)
{
    struct device_row d;
    assert_int_equal(store_device_get(tx, id, &d), TEDDY_OK);
    return d.row;
}

static int64_t family_row_of(struct store_tx *tx, const char *id)
{
    struct family_row f;
    return store_family_get(tx, id, NULL, &f) == TEDDY_OK ? f.device_row : 0;
}

static int two(struct store_tx *tx, void *arg)
{
    (void)arg;
    add(tx, "a", 1);
    add(tx, "b", 2);
    assert_int_equal(bind_child(tx, "a", "child", 1, 200), TEDDY_OK);
    return bind_child(tx, "b", "child", 2, 200);
}

static int wrong_hints(struct store_tx *tx, void *arg)
{
    int64_t a = row_of(tx, "a"), hints[] = {0, a, row_of(tx, "b"), 987654};
    static const uint8_t sid[STORE_JTI_LEN];
    struct history_owner owner = {"a", "child", sid};
    struct past_session past = {.opened_s = 1, .closed_s = 2, .reason = "peer"};
    (void)arg;
    for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++) {
        device_place_keep(tx, "a", hints[i]);
        assert_int_equal(family_row_of(tx, "a"), a);
        assert_int_equal(device_place(tx, "a"), a);
        device_place_keep(tx, "a", hints[i]);
        assert_int_equal(store_session_add(tx, &owner, &past), TEDDY_OK);
        device_place_keep(tx, "nobody", hints[i]);
        assert_int_equal(family_row_of(tx, "nobody"), 0);
    }
    return TEDDY_OK;
}

static void a_wrong_place_misleads_nobody(void **state)
{
    (void)state;
    run(two, NULL);
    run(wrong_hints, NULL);
    assert_int_equal(number("SELECT count(*) FROM past_session"), 4);
    assert_int_equal(number("SELECT count(*) FROM past_session p JOIN device d"
                            " ON d.row = p.device_row WHERE d.device_id = 'a'"),
                     4);
}

struct asked {
    bool refuse;
    unsigned count;
    int64_t row;
};

static bool may(void *arg, const struct device_row *device)
{
    struct asked *asked = arg;
    asked->count++;
    asked->row = device->row;
    return !asked->refuse;
}

static int claims(struct store_tx *tx, void *arg)
{
    int64_t a = row_of(tx, "a"), hints[] = {0, a, row_of(tx, "b"), 987654};
    uint8_t mac[LIMIT_MAC_LEN] = {0};
    struct family_row f = {.child_id = "child"};
    struct device_row device;
    (void)arg;
    for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++) {
        const char *nonces[] = {"first", "second", "third", "fourth"};
        struct claim_row c = {nonces[i], mac, &f, "", "", 300};
        struct asked asked = {false, 0, 0};
        bool written = false;
        mac[0]++;
        device_place_keep(tx, "a", hints[i]);
        assert_int_equal(store_claim_take(tx, "a", &c, may, &asked, &device, &written), TEDDY_OK);
        assert_true(written);
        assert_int_equal(asked.count, 1);
        assert_int_equal(asked.row, a);
        device_place_keep(tx, "nobody", hints[i]);
        assert_int_equal(store_claim_take(tx, "nobody", &c, may, &asked, &device, &written),
                         TEDDY_ENOTFOUND);
        assert_int_equal(asked.count, 1);
    }
    struct claim_row c = {"fifth", mac, &f, "", "", 300};
    struct asked asked = {true, 0, 0};
    bool written = true;
    assert_int_equal(device_place(tx, "a"), a);
    assert_int_equal(store_claim_take(tx, "a", &c, may, &asked, &device, &written), TEDDY_OK);
    assert_false(written);
    assert_int_equal(asked.count, 1);
    return TEDDY_OK;
}

static void a_claim_is_judged_once_and_by_its_own_row(void **state)
{
    (void)state;
    run(two, NULL);
    run(claims, NULL);
}

static int look(struct store_tx *tx, void *arg)
{
    *(int64_t *)arg = family_row_of(tx, "a");
    return TEDDY_OK;
}

static int away(struct store_tx *tx, void *arg)
{
    (void)arg;
    return store_device_remove(tx, "a");
}

static int again(struct store_tx *tx, void *arg)
{
    (void)arg;
    add(tx, "a", 3);
    return TEDDY_OK;
}

static void a_reader_learns_of_a_removal(void **state)
{
    int64_t first = 0, gone = 0, second = 0;
    (void)state;
    run(two, NULL);
    assert_int_equal(in_read(store, look, &first), TEDDY_OK);
    assert_int_equal(in_read(store, look, &second), TEDDY_OK);
    assert_true(first > 0);
    assert_int_equal(second, first);
    run(away, NULL);
    assert_int_equal(in_read(store, look, &gone), TEDDY_OK);
    assert_int_equal(gone, 0);
    run(again, NULL);
    assert_int_equal(in_read(store, look, &second), TEDDY_OK);
    assert_true(second > first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_has_its_own_place_or_none),
        cmocka_unit_test_setup_teardown(a_wrong_place_misleads_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(a_claim_is_judged_once_and_by_its_own_row, setup, teardown),
        cmocka_unit_test_setup_teardown(a_reader_learns_of_a_removal, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
