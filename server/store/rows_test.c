/* Devices, claims, families: each row function by itself, with its edges. */
#include "store/test_store.h"

static struct place place;
static struct store *store;

static int setup(void **state)
{
    (void)state;
    place_make(&place);
    store = must_open(&(struct store_options){.path = place.path, .unsafe_no_sync = true});
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    store_close(store);
    place_remove(&place);
    return 0;
}

static void run(in_tx *body)
{
    assert_int_equal(in_write(store, body, NULL), TEDDY_OK);
}

static void add_device(struct store_tx *tx, const char *id, unsigned n)
{
    uint8_t secret[LIMIT_SECRET_LEN];
    secret_of(n, secret);
    assert_int_equal(store_device_add(tx, id, secret, 100), TEDDY_OK);
}

static void assert_secret(struct store_tx *tx, const struct device_row *row,
                          const uint8_t want[LIMIT_SECRET_LEN])
{
    uint8_t secret[LIMIT_SECRET_LEN], other[LIMIT_SECRET_LEN];
    bool same = false;
    assert_int_equal(store_device_unseal(tx, row, secret), TEDDY_OK);
    assert_memory_equal(secret, want, sizeof secret);
    assert_int_equal(store_device_has_secret(tx, row, want, &same), TEDDY_OK);
    assert_true(same);
    memcpy(other, want, sizeof other);
    other[LIMIT_SECRET_LEN - 1] ^= 1;
    assert_int_equal(store_device_has_secret(tx, row, other, &same), TEDDY_OK);
    assert_false(same);
}

static struct device_row device(struct store_tx *tx, const char *id)
{
    struct device_row row;
    assert_int_equal(store_device_get(tx, id, &row), TEDDY_OK);
    return row;
}

/* The family that bind_child of n made, and whether it is in force. */
static struct family_row family_of(struct store_tx *tx, const char *id, uint8_t n)
{
    uint8_t sid[STORE_JTI_LEN];
    struct family_row f;
    memset(sid, n, sizeof sid);
    assert_int_equal(store_family_get(tx, id, sid, &f), TEDDY_OK);
    return f;
}

static bool in_force(struct store_tx *tx, const char *id, uint8_t n)
{
    return !family_of(tx, id, n).revoked;
}

static int device_body(struct store_tx *tx, void *arg)
{
    (void)arg;
    struct device_row row;
    uint8_t secret[LIMIT_SECRET_LEN];
    char longest[LIMIT_ID_LEN + 1];
    memset(longest, 'z', LIMIT_ID_LEN);
    longest[LIMIT_ID_LEN] = 0;
    add_device(tx, "toy", 1);
    add_device(tx, "Toy", 2); /* byte for byte */
    add_device(tx, longest, 3);
    secret_of(1, secret);
    assert_int_equal(store_device_add(tx, "third", secret, 1), TEDDY_EDUP);
    secret_of(9, secret);
    assert_int_equal(store_device_add(tx, "toy", secret, 1), TEDDY_EDUP);
    assert_int_equal(store_device_get(tx, "nobody", &row), TEDDY_ENOTFOUND);
    row = device(tx, longest);
    assert_string_equal(row.device_id, longest);
    row = device(tx, "toy");
    secret_of(1, secret);
    assert_secret(tx, &row, secret);
    assert_true(row.enabled);
    assert_string_equal(row.child_id, "");
    assert_int_equal(row.created_s, 100);
    assert_int_equal(row.claimed_s, 0);
    assert_int_equal(store_device_enable(tx, "toy", false), TEDDY_OK);
    assert_false(device(tx, "toy").enabled);
    assert_true(device(tx, "Toy").enabled);
    assert_int_equal(store_device_enable(tx, "nobody", true), TEDDY_ENOTFOUND);
    struct family_row f = {.child_id = "child"};
    assert_int_equal(store_device_bind(tx, &row, &f, "1.2", "1763683200", 555), TEDDY_OK);
    row = device(tx, "toy");
    assert_string_equal(row.child_id, "child");
    assert_string_equal(row.firmware_version, "1.2");
    assert_int_equal(row.claimed_s, 555);
    row.row = 987654;
    assert_int_equal(store_device_bind(tx, &row, &f, "", "", 1), TEDDY_ENOTFOUND);
    return TEDDY_OK;
}

static void test_devices(void **state)
{
    (void)state;
    run(device_body);
}

struct seen {
    char ids[64];
    unsigned count, stop_at;
};

static bool collect(void *arg, const struct device_row *row)
{
    struct seen *seen = arg;
    size_t len = strlen(seen->ids);
    snprintf(seen->ids + len, sizeof seen->ids - len, "%s", row->device_id);
    return ++seen->count != seen->stop_at;
}

static int list_body(struct store_tx *tx, void *arg)
{
    (void)arg;
    struct seen all = {0}, some = {.stop_at = 2}, none = {0};
    const char *ids[] = {"c", "a", "B", "d"};
    for (unsigned i = 0; i < 4; i++)
        add_device(tx, ids[i], i);
    assert_int_equal(store_device_list(tx, "", collect, &all), TEDDY_OK);
    assert_string_equal(all.ids, "Bacd");
    assert_int_equal(store_device_list(tx, "B", collect, &some), TEDDY_OK);
    assert_string_equal(some.ids, "ac");
    assert_int_equal(store_device_list(tx, "d", collect, &none), TEDDY_OK);
    assert_int_equal(none.count, 0);
    return TEDDY_OK;
}

static void test_list(void **state)
{
    (void)state;
    run(list_body);
}

static int claim_body(struct store_tx *tx, void *arg)
{
    (void)arg;
    uint8_t mac1[LIMIT_MAC_LEN] = {1}, mac2[LIMIT_MAC_LEN] = {2}, mac3[LIMIT_MAC_LEN] = {3};
    bool seen = true;
    add_device(tx, "a", 1);
    add_device(tx, "b", 2);
    int64_t a = device(tx, "a").row, b = device(tx, "b").row;
    assert_int_equal(store_claim_seen(tx, a, "nonce-one", mac1, &seen), TEDDY_OK);
    assert_false(seen);
    assert_int_equal(store_claim_add(tx, a, "nonce-one", mac1, 1), TEDDY_OK);
    assert_int_equal(store_claim_seen(tx, a, "nonce-one", mac2, &seen), TEDDY_OK);
    assert_true(seen);
    assert_int_equal(store_claim_seen(tx, a, "nonce-two", mac1, &seen), TEDDY_OK);
    assert_true(seen);
    assert_int_equal(store_claim_seen(tx, a, "nonce-ONE", mac2, &seen), TEDDY_OK);
    assert_false(seen);
    assert_int_equal(store_claim_seen(tx, b, "nonce-one", mac1, &seen), TEDDY_OK);
    assert_false(seen);
    assert_int_equal(store_claim_add(tx, b, "nonce-one", mac1, 1), TEDDY_OK);
    assert_int_equal(store_claim_add(tx, 424242, "nonce-one", mac3, 1), TEDDY_ENOTFOUND);
    return TEDDY_OK;
}

static int same_nonce_body(struct store_tx *tx, void *arg)
{
    uint8_t mac2[LIMIT_MAC_LEN] = {2};
    (void)arg;
    return store_claim_add(tx, device(tx, "a").row, "nonce-one", mac2, 1);
}

static int same_mac_body(struct store_tx *tx, void *arg)
{
    uint8_t mac1[LIMIT_MAC_LEN] = {1};
    (void)arg;
    return store_claim_add(tx, device(tx, "a").row, "nonce-two", mac1, 1);
}

static int neither_body(struct store_tx *tx, void *arg)
{
    uint8_t mac2[LIMIT_MAC_LEN] = {2};
    (void)arg;
    return store_claim_add(tx, device(tx, "a").row, "nonce-two", mac2, 1);
}

static void test_claims(void **state)
{
    (void)state;
    run(claim_body);
    assert_int_equal(in_write(store, same_nonce_body, NULL), TEDDY_EDUP);
    assert_int_equal(in_write(store, same_mac_body, NULL), TEDDY_EDUP);
    run(neither_body); /* what a refused one brought is not kept by halves */
}

static int secret_body(struct store_tx *tx, void *arg)
{
    (void)arg;
    uint8_t mac[LIMIT_MAC_LEN] = {1}, secret[LIMIT_SECRET_LEN];
    bool seen = true;
    add_device(tx, "a", 1);
    add_device(tx, "b", 2);
    struct device_row a = device(tx, "a"), b = device(tx, "b");
    assert_int_equal(bind_child(tx, "a", "kid", 10, 5), TEDDY_OK);
    assert_int_equal(bind_child(tx, "b", "kid", 20, 5), TEDDY_OK);
    assert_int_equal(store_claim_add(tx, a.row, "nonce-one", mac, 1), TEDDY_OK);
    assert_int_equal(store_claim_add(tx, b.row, "nonce-one", mac, 1), TEDDY_OK);

    secret_of(2, secret);
    assert_int_equal(store_device_secret(tx, "a", secret), TEDDY_EDUP);
    secret_of(1, secret); /* its own: the replay rows would go, the secret stay */
    assert_int_equal(store_device_secret(tx, "a", secret), TEDDY_EDUP);
    assert_int_equal(store_claim_seen(tx, a.row, "nonce-one", mac, &seen), TEDDY_OK);
    assert_true(seen);
    secret_of(3, secret);
    assert_int_equal(store_device_secret(tx, "nobody", secret), TEDDY_ENOTFOUND);
    assert_int_equal(store_device_secret(tx, "a", secret), TEDDY_OK);
    assert_int_equal(device(tx, "a").secret_rev, a.secret_rev + 1);
    a = device(tx, "a");
    assert_secret(tx, &a, secret);
    assert_string_equal(device(tx, "a").child_id, "kid");
    assert_int_equal(store_claim_seen(tx, a.row, "nonce-one", mac, &seen), TEDDY_OK);
    assert_false(seen);
    assert_int_equal(store_claim_seen(tx, b.row, "nonce-one", mac, &seen), TEDDY_OK);
    assert_true(seen);
    assert_true(!in_force(tx, "a", 10) && in_force(tx, "b", 20));
    return TEDDY_OK;
}

static void test_secret_rotation(void **state)
{
    (void)state;
    run(secret_body);
}

static int family_body(struct store_tx *tx, void *arg)
{
    (void)arg;
    struct family_row got;
    struct pair_row next = {.iat_s = 50, .access_exp_s = 60, .refresh_exp_s = 70};
    uint8_t sid[STORE_JTI_LEN], first[STORE_JTI_LEN];
    memset(sid, 1, sizeof sid);
    memset(first, 3, sizeof first);
    memset(next.access_jti, 0xaa, STORE_JTI_LEN);
    memset(next.refresh_jti, 0xbb, STORE_JTI_LEN);
    assert_int_equal(store_family_get(tx, "a", sid, &got), TEDDY_ENOTFOUND);
    add_device(tx, "a", 1);
    int64_t row = device(tx, "a").row;
    assert_false(in_force(tx, "a", 1));
    assert_int_equal(store_family_presented(tx, row, sid), TEDDY_ENOTFOUND);
    assert_int_equal(bind_child(tx, "a", "kid", 1, 5), TEDDY_OK);
    got = family_of(tx, "a", 1);
    assert_string_equal(got.device_id, "a");
    assert_string_equal(got.child_id, "kid");
    assert_int_equal(got.device_row, row);
    assert_true(got.device_enabled);
    assert_memory_equal(got.sid, sid, sizeof sid);
    assert_memory_equal(got.pair.refresh_jti, first, sizeof first);
    assert_int_equal(got.pair.iat_s, 10);
    assert_int_equal(got.pair.access_exp_s, 20);
    assert_int_equal(got.pair.refresh_exp_s, 31);
    assert_false(got.has_spent || got.presented || got.revoked);

    assert_int_equal(store_family_presented(tx, row, sid), TEDDY_OK);
    assert_true(family_of(tx, "a", 1).presented);
    assert_int_equal(store_family_rotate(tx, row, sid, &next, 49), TEDDY_OK);
    got = family_of(tx, "a", 1);
    assert_memory_equal(&got.pair, &next, sizeof next);
    assert_true(got.has_spent);
    assert_false(got.presented);
    assert_memory_equal(got.spent_jti, first, STORE_JTI_LEN);
    assert_int_equal(got.spent_s, 49);
    return TEDDY_OK;
}

static void test_families(void **state)
{
    (void)state;
    run(family_body);
}

/* A device has one family: what the next claim, or a revocation, leaves of it. */
static int in_force_body(struct store_tx *tx, void *arg)
{
    (void)arg;
    struct pair_row next = {.iat_s = 50};
    uint8_t old[STORE_JTI_LEN], sid[STORE_JTI_LEN];
    memset(old, 1, sizeof old);
    memset(sid, 2, sizeof sid);
    add_device(tx, "a", 1);
    add_device(tx, "b", 2);
    int64_t row = device(tx, "a").row;
    assert_int_equal(bind_child(tx, "a", "kid", 1, 5), TEDDY_OK);
    assert_int_equal(bind_child(tx, "b", "kid", 4, 5), TEDDY_OK);
    assert_int_equal(store_family_rotate(tx, row, old, &next, 6), TEDDY_OK);
    assert_int_equal(bind_child(tx, "a", "kid", 2, 7), TEDDY_OK);
    assert_true(!in_force(tx, "a", 1) && in_force(tx, "a", 2));
    assert_true(!in_force(tx, "b", 1) && in_force(tx, "b", 4));
    struct family_row f = family_of(tx, "a", 2); /* nothing of the former is left */
    assert_false(f.has_spent || f.presented);
    assert_int_equal(f.spent_s, 0);
    assert_int_equal(store_family_presented(tx, row, old), TEDDY_ENOTFOUND);
    assert_int_equal(store_family_rotate(tx, row, old, &next, 8), TEDDY_ENOTFOUND);

    assert_int_equal(store_family_revoke(tx, row), TEDDY_OK);
    assert_true(!in_force(tx, "a", 2) && in_force(tx, "b", 4));
    assert_int_equal(store_family_presented(tx, row, sid), TEDDY_ENOTFOUND);
    assert_int_equal(store_family_rotate(tx, row, sid, &next, 8), TEDDY_ENOTFOUND);
    assert_int_equal(store_family_revoke(tx, row), TEDDY_OK); /* it has none now */
    assert_int_equal(store_family_revoke(tx, 4711), TEDDY_OK);
    assert_string_equal(device(tx, "a").child_id, "kid");
    return TEDDY_OK;
}

static void test_one_family_in_force(void **state)
{
    (void)state;
    run(in_force_body);
}

static int remove_body(struct store_tx *tx, void *arg)
{
    (void)arg;
    uint8_t mac[LIMIT_MAC_LEN] = {1};
    struct device_row row;
    bool seen = true;
    add_device(tx, "a", 1);
    int64_t former = device(tx, "a").row;
    assert_int_equal(store_claim_add(tx, former, "nonce-one", mac, 1), TEDDY_OK);
    assert_int_equal(bind_child(tx, "a", "kid", 1, 5), TEDDY_OK);
    assert_int_equal(store_device_release(tx, "a"), TEDDY_OK);
    assert_string_equal(device(tx, "a").child_id, "");
    assert_false(in_force(tx, "a", 1));
    assert_int_equal(store_claim_seen(tx, former, "nonce-one", mac, &seen), TEDDY_OK);
    assert_true(seen);
    assert_int_equal(store_device_release(tx, "nobody"), TEDDY_ENOTFOUND);

    assert_int_equal(store_device_remove(tx, "a"), TEDDY_OK);
    assert_int_equal(store_device_remove(tx, "a"), TEDDY_ENOTFOUND);
    assert_int_equal(store_device_get(tx, "a", &row), TEDDY_ENOTFOUND);
    add_device(tx, "a", 1); /* its id and secret are free again, its row number is not */
    assert_true(device(tx, "a").row != former);
    assert_false(in_force(tx, "a", 1));
    assert_int_equal(store_claim_seen(tx, former, "nonce-one", mac, &seen), TEDDY_OK);
    assert_false(seen);
    return TEDDY_OK;
}

static void test_release_and_remove(void **state)
{
    (void)state;
    run(remove_body);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_devices),
        T(test_list),
        T(test_claims),
        T(test_secret_rotation),
        T(test_families),
        T(test_one_family_in_force),
        T(test_release_and_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
