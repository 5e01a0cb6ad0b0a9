/* Devices, claims, families: each row function by itself, with its edges. */
#include "store/internal.h"
#include "store/test_opened.h"

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
    struct claim_row claim = {"nonce-one", secret, &f, "1.2", "1763683200", 555};
    assert_int_equal(store_claim_add(tx, &row, &claim), TEDDY_OK);
    row = device(tx, "toy");
    assert_string_equal(row.child_id, "child");
    assert_string_equal(row.firmware_version, "1.2");
    assert_int_equal(row.claimed_s, 555);
    row.row = 987654;
    claim.nonce = "nonce-two";
    claim.mac = f.sid;
    assert_int_equal(store_claim_add(tx, &row, &claim), TEDDY_ENOTFOUND);
    return TEDDY_OK;
}

static void test_devices(void **state)
{
    (void)state;
    run(device_body, NULL);
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
    run(list_body, NULL);
}

static const struct family_row kid = {.child_id = "kid"};

static bool seen(struct store_tx *tx, const char *id, const char *nonce, uint32_t mac)
{
    bool it_is = false;
    assert_int_equal(claim_seen(tx, id, nonce, mac, &it_is), TEDDY_OK);
    return it_is;
}

static int claim_body(struct store_tx *tx, void *arg)
{
    (void)arg;
    add_device(tx, "a", 1);
    add_device(tx, "b", 2);
    assert_false(seen(tx, "a", "nonce-one", 1));
    assert_int_equal(claim_by(tx, "a", "nonce-one", 1, &kid, 1), TEDDY_OK);
    assert_true(seen(tx, "a", "nonce-one", 2));
    assert_true(seen(tx, "a", "nonce-two", 1));
    assert_false(seen(tx, "a", "nonce-ONE", 2));
    assert_false(seen(tx, "a", "nonce-on", 2));
    assert_false(seen(tx, "b", "nonce-one", 1));
    assert_int_equal(claim_by(tx, "b", "nonce-one", 1, &kid, 1), TEDDY_OK);
    return TEDDY_OK;
}

static int same_nonce_body(struct store_tx *tx, void *arg)
{
    (void)arg;
    return claim_by(tx, "a", "nonce-one", 2, &kid, 1);
}

static int same_mac_body(struct store_tx *tx, void *arg)
{
    (void)arg;
    return claim_by(tx, "a", "nonce-two", 1, &kid, 1);
}

static int neither_body(struct store_tx *tx, void *arg)
{
    (void)arg;
    return claim_by(tx, "a", "nonce-two", 2, &kid, 1);
}

static void test_claims(void **state)
{
    (void)state;
    run(claim_body, NULL);
    assert_int_equal(in_write(store, same_nonce_body, NULL), TEDDY_EDUP);
    assert_int_equal(in_write(store, same_mac_body, NULL), TEDDY_EDUP);
    run(neither_body, NULL); /* what a refused one brought is not kept by halves */
}

/* Of every length, so that they fill their place in the row in many ways. */
static const char *nonce_of(unsigned n)
{
    static char nonce[LIMIT_NONCE_MAX + 1];
    snprintf(nonce, sizeof nonce, "%0*u", (int)(LIMIT_NONCE_MIN + n * 7 % 121), n);
    return nonce;
}

enum { CLAIMS = 300 };

static void assert_all_seen(struct store_tx *tx, const char *id, unsigned until, bool want)
{
    for (unsigned n = 0; n < until; n++) {
        assert_true(seen(tx, id, nonce_of(n), 1u << 31) == want);
        assert_true(seen(tx, id, "nobodys-nonce", n) == want);
    }
}

static int many_claims_body(struct store_tx *tx, void *arg)
{
    (void)arg;
    uint8_t secret[LIMIT_SECRET_LEN];
    add_device(tx, "a", 1);
    add_device(tx, "b", 2);
    for (unsigned n = 0; n < CLAIMS; n++) {
        assert_false(seen(tx, "a", nonce_of(n), n));
        assert_int_equal(claim_by(tx, "a", nonce_of(n), n, &kid, n), TEDDY_OK);
        assert_int_equal(claim_by(tx, "a", nonce_of(n / 2), 1u << 31, &kid, n), TEDDY_EDUP);
        assert_int_equal(claim_by(tx, "a", "nobodys-nonce", n / 3, &kid, n), TEDDY_EDUP);
    }
    assert_all_seen(tx, "a", CLAIMS, true);
    assert_all_seen(tx, "b", CLAIMS, false);
    /* A row of an older release says nothing of its keys: they are in claim_key, those that moved.
     */
    assert_int_equal(sqlite3_exec(tx->db, "UPDATE device SET recent = x''", NULL, NULL, NULL),
                     SQLITE_OK);
    assert_all_seen(tx, "a", CLAIMS - 16, true);
    assert_int_equal(claim_by(tx, "a", "nonce-new", CLAIMS, &kid, 1), TEDDY_OK);
    assert_all_seen(tx, "a", CLAIMS - 16, true);
    secret_of(9, secret);
    assert_int_equal(store_device_secret(tx, "a", secret), TEDDY_OK);
    assert_all_seen(tx, "a", CLAIMS, false);
    for (unsigned n = 0; n < CLAIMS; n++)
        assert_int_equal(claim_by(tx, "a", nonce_of(n), n, &kid, n), TEDDY_OK);
    return TEDDY_OK;
}

static void test_many_claims(void **state)
{
    (void)state;
    run(many_claims_body, NULL);
}

static int stale_body(struct store_tx *tx, void *arg)
{
    static const uint8_t mac[LIMIT_MAC_LEN] = {9};
    (void)arg;
    add_device(tx, "a", 1);
    assert_int_equal(claim_by(tx, "a", "nonce-one", 1, &kid, 1), TEDDY_OK);
    struct device_row stale = device(tx, "a");
    assert_int_equal(claim_by(tx, "a", "nonce-two", 2, &kid, 1), TEDDY_OK);
    assert_int_equal(
        store_claim_add(tx, &stale, &(struct claim_row){"nonce-new", mac, &kid, "", "", 1}),
        TEDDY_ENOTFOUND);
    assert_true(seen(tx, "a", "nonce-two", 3));
    assert_false(seen(tx, "a", "nonce-new", 3));
    return TEDDY_OK;
}

/* A row that was read before another claim of the device would take that one's keys away. */
static void test_stale_row(void **state)
{
    (void)state;
    run(stale_body, NULL);
}

static int damaged_body(struct store_tx *tx, void *arg)
{
    (void)arg;
    bool it_is;
    struct device_row row = device(tx, "a");
    static const uint8_t bad[][7] = {{0, 0, 0, 0, 1}, {0, 0, 0, 0, 1, 0}, {1, 0, 0, 0, 1, 255, 1}};
    static const uint8_t mac[LIMIT_MAC_LEN] = {7};
    for (size_t i = 0; i < 3; i++) {
        memcpy(row.recent.bytes, bad[i], sizeof bad[i]);
        row.recent.len = 5 + i;
        assert_int_equal(store_claim_seen(tx, &row, "nonce-new", mac, &it_is), TEDDY_ESTORE);
    }
    return TEDDY_OK;
}

static int one_device_body(struct store_tx *tx, void *arg)
{
    (void)arg;
    add_device(tx, "a", 1);
    return TEDDY_OK;
}

/* Keys that cannot be read are not "never seen". */
static void test_damaged_keys(void **state)
{
    (void)state;
    run(one_device_body, NULL);
    assert_int_equal(in_write(store, damaged_body, NULL), TEDDY_ESTORE);
}

static int secret_body(struct store_tx *tx, void *arg)
{
    (void)arg;
    uint8_t secret[LIMIT_SECRET_LEN];
    add_device(tx, "a", 1);
    add_device(tx, "b", 2);
    struct device_row a = device(tx, "a");
    assert_int_equal(claim_by(tx, "a", "nonce-one", 1, &kid, 1), TEDDY_OK);
    assert_int_equal(claim_by(tx, "b", "nonce-one", 1, &kid, 1), TEDDY_OK);
    assert_int_equal(bind_child(tx, "a", "kid", 10, 5), TEDDY_OK);
    assert_int_equal(bind_child(tx, "b", "kid", 20, 5), TEDDY_OK);

    secret_of(2, secret);
    assert_int_equal(store_device_secret(tx, "a", secret), TEDDY_EDUP);
    secret_of(1, secret); /* its own: the replay rows would go, the secret stay */
    assert_int_equal(store_device_secret(tx, "a", secret), TEDDY_EDUP);
    assert_true(seen(tx, "a", "nonce-one", 1));
    secret_of(3, secret);
    assert_int_equal(store_device_secret(tx, "nobody", secret), TEDDY_ENOTFOUND);
    assert_int_equal(store_device_secret(tx, "a", secret), TEDDY_OK);
    assert_int_equal(device(tx, "a").secret_rev, a.secret_rev + 1);
    a = device(tx, "a");
    assert_secret(tx, &a, secret);
    assert_string_equal(device(tx, "a").child_id, "kid");
    assert_false(seen(tx, "a", "nonce-one", 1));
    assert_true(seen(tx, "b", "nonce-one", 1));
    assert_true(!in_force(tx, "a", 10) && in_force(tx, "b", 20));
    return TEDDY_OK;
}

static void test_secret_rotation(void **state)
{
    (void)state;
    run(secret_body, NULL);
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
    run(family_body, NULL);
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
    run(in_force_body, NULL);
}

static int remove_body(struct store_tx *tx, void *arg)
{
    (void)arg;
    struct device_row row, former;
    bool it_is = true;
    add_device(tx, "a", 1);
    for (unsigned n = 0; n < CLAIMS; n++)
        assert_int_equal(claim_by(tx, "a", nonce_of(n), n, &kid, n), TEDDY_OK);
    assert_int_equal(bind_child(tx, "a", "kid", 1, 5), TEDDY_OK);
    assert_int_equal(store_device_release(tx, "a"), TEDDY_OK);
    assert_string_equal(device(tx, "a").child_id, "");
    assert_false(in_force(tx, "a", 1));
    assert_all_seen(tx, "a", CLAIMS, true);
    former = device(tx, "a");
    former.recent.len = 0; /* others may be in claim_key */
    assert_int_equal(store_device_release(tx, "nobody"), TEDDY_ENOTFOUND);

    assert_int_equal(store_device_remove(tx, "a"), TEDDY_OK);
    assert_int_equal(store_device_remove(tx, "a"), TEDDY_ENOTFOUND);
    assert_int_equal(store_device_get(tx, "a", &row), TEDDY_ENOTFOUND);
    add_device(tx, "a", 1); /* its id and secret are free again, its row number is not */
    assert_true(device(tx, "a").row != former.row);
    assert_false(in_force(tx, "a", 1));
    assert_all_seen(tx, "a", CLAIMS, false);
    const uint8_t first[LIMIT_MAC_LEN] = {0};
    assert_int_equal(store_claim_seen(tx, &former, nonce_of(0), first, &it_is), TEDDY_OK);
    assert_false(it_is);
    return TEDDY_OK;
}

static int end_body(struct store_tx *tx, void *arg)
{
    (void)arg;
    uint8_t sid[STORE_JTI_LEN];
    struct family_row f;
    add_device(tx, "a", 1);
    int64_t row = device(tx, "a").row;
    assert_int_equal(store_family_get(tx, "a", NULL, &f), TEDDY_OK);
    assert_true(f.revoked);
    assert_int_equal(bind_child(tx, "a", "kid", 1, 5), TEDDY_OK);
    assert_int_equal(bind_child(tx, "a", "kid", 2, 6), TEDDY_OK);
    assert_int_equal(store_family_get(tx, "a", NULL, &f), TEDDY_OK);
    assert_false(f.revoked);
    memset(sid, 2, sizeof sid);
    assert_memory_equal(f.sid, sid, sizeof sid);
    memset(sid, 1, sizeof sid); /* superseded */
    assert_int_equal(store_family_end(tx, row, sid), TEDDY_ENOTFOUND);
    assert_true(in_force(tx, "a", 2));
    memset(sid, 2, sizeof sid);
    assert_int_equal(store_family_end(tx, row, sid), TEDDY_OK);
    assert_false(in_force(tx, "a", 2));
    assert_string_equal(device(tx, "a").child_id, "kid");
    assert_int_equal(store_family_end(tx, row, sid), TEDDY_ENOTFOUND);
    return TEDDY_OK;
}

static void test_one_family_is_ended(void **state)
{
    (void)state;
    run(end_body, NULL);
}

static void test_release_and_remove(void **state)
{
    (void)state;
    run(remove_body, NULL);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_devices),
        T(test_list),
        T(test_claims),
        T(test_many_claims),
        T(test_stale_row),
        T(test_damaged_keys),
        T(test_secret_rotation),
        T(test_families),
        T(test_one_family_in_force),
        T(test_one_family_is_ended),
        T(test_release_and_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
