/* A restore: what either of the two databases knows of used claims and of secrets holds afterwards,
 * whichever is the older; and a former one that is damaged is told from one that cannot be used
 * just now. */
#include <sys/stat.h>

#include "store/fleet.h"
#include "store/history.h"
#include "store/internal.h"
#include "store/older_schema.h"
#include "store/test_restore.h"

/* ---- Claims ---- */

static const struct family_row kid = {.child_id = "kid"};

struct claims {
    const char *device;
    unsigned from, to; /* numbers of claims */
};

static const char *nonce_of(unsigned n)
{
    static char nonce[48];
    snprintf(nonce, sizeof nonce, "%032x", n + 1);
    return nonce;
}

static int claims_body(struct store_tx *tx, void *arg)
{
    const struct claims *c = arg;
    for (unsigned n = c->from; n < c->to; n++)
        assert_int_equal(claim_by(tx, c->device, nonce_of(n), n + 1, &kid, 200), TEDDY_OK);
    return TEDDY_OK;
}

static int used_body(struct store_tx *tx, void *arg)
{
    const struct claims *c = arg;
    for (unsigned n = c->from; n < c->to; n++) {
        bool nonce = false, mac = false;
        assert_int_equal(claim_seen(tx, c->device, nonce_of(n), UINT32_MAX, &nonce), TEDDY_OK);
        assert_int_equal(claim_seen(tx, c->device, "of-no-claim", n + 1, &mac), TEDDY_OK);
        if (!nonce || !mac)
            fail_msg("claim %u of %s: nonce %d, MAC %d", n, c->device, nonce, mac);
    }
    return TEDDY_OK;
}

static int unused_body(struct store_tx *tx, void *arg)
{
    const struct claims *c = arg;
    for (unsigned n = c->from; n < c->to; n++) {
        bool seen = true;
        assert_int_equal(claim_seen(tx, c->device, nonce_of(n), n + 1, &seen), TEDDY_OK);
        assert_false(seen);
    }
    return claims_body(tx, arg);
}

static int remove_body(struct store_tx *tx, void *arg)
{
    return store_device_remove(tx, arg);
}

static int rotate_body(struct store_tx *tx, void *arg)
{
    const struct device *d = arg;
    uint8_t secret[LIMIT_SECRET_LEN];
    secret_of(d->secret, secret);
    return store_device_secret(tx, d->id, secret);
}

static int has_secret_body(struct store_tx *tx, void *arg)
{
    const struct device *d = arg;
    struct device_row row;
    uint8_t secret[LIMIT_SECRET_LEN];
    bool same = false;
    secret_of(d->secret, secret);
    assert_int_equal(store_device_get(tx, d->id, &row), TEDDY_OK);
    assert_int_equal(store_device_has_secret(tx, &row, secret, &same), TEDDY_OK);
    assert_true(same);
    return TEDDY_OK;
}

#define TOYS 27

static const unsigned many[] = {0, 2, 20};

/* A body for each of the toys, whose number says how many claims it has of which kind. */
struct each {
    in_tx *fn;
    unsigned from, over; /* the first claim; which digit of the number, to base 3, says how many */
    unsigned fixed;      /* how many, where that is 0 */
};

static int each_body(struct store_tx *tx, void *arg)
{
    const struct each *e = arg;
    for (unsigned n = 0; n < TOYS; n++) {
        char id[8];
        unsigned count = e->over > 0 ? many[n / e->over % 3] : e->fixed;
        snprintf(id, sizeof id, "t%u", n);
        struct claims c = {id, e->from, e->from + count};
        if (e->fn(tx, &c) != TEDDY_OK)
            return TEDDY_ESTORE;
    }
    return TEDDY_OK;
}

static int add_all_body(struct store_tx *tx, void *arg)
{
    (void)arg;
    for (unsigned n = 0; n < TOYS; n++) {
        char id[8];
        snprintf(id, sizeof id, "t%u", n);
        (void)add_body(tx, &(struct device){id, n, 100});
    }
    return TEDDY_OK;
}

/* Seven keys stand in a row, more in claim_key: each side has none, some, or so many that they have
 * moved. */
static void test_claims_of_both(void **state)
{
    (void)state;
    unsigned only_former = 0;
    for (unsigned n = 0; n < TOYS; n++)
        only_former += 2 * many[n / 3 % 3];
    in_store(place.path, add_all_body, NULL);
    in_store(place.path, each_body, &(struct each){claims_body, 0, 1, 0});
    back_up();
    in_store(place.path, each_body, &(struct each){claims_body, 100, 3, 0});
    in_store(copy, each_body, &(struct each){claims_body, 200, 9, 0});
    assert_int_equal(must_restore().claims, only_former);
    in_store(copy, each_body, &(struct each){used_body, 0, 1, 0});
    in_store(copy, each_body, &(struct each){used_body, 100, 3, 0});
    in_store(copy, each_body, &(struct each){used_body, 200, 9, 0});
    in_store(copy, each_body, &(struct each){unused_body, 300, 0, 20});
    in_store(copy, each_body, &(struct each){used_body, 0, 1, 0});
}

/* As the database of an older release is, in which all keys are in claim_key. */
static void make_older(const char *path)
{
    char err[512];
    in_sql(
        path,
        "INSERT INTO claim_key SELECT row, 0, CAST(printf('%032x', 101) AS BLOB), 1 FROM device;"
        "INSERT INTO claim_key SELECT row, 1, CAST(x'65' || zeroblob(31) AS BLOB), 1 FROM device;");
    if (!older_schema(path, 8, err, sizeof err))
        fail_msg("%s", err);
}

static void test_of_an_older_release(void **state)
{
    (void)state;
    for (int which = 0; which < 2; which++) {
        const char *older = which == 0 ? place.path : copy, *other = which == 0 ? copy : place.path;
        add(place.path, "toy", 1, 100);
        back_up();
        in_store(other, claims_body, &(struct claims){"toy", 0, 3});
        make_older(older);
        assert_int_equal(must_restore().claims, which == 0 ? 2 : 6);
        in_store(copy, used_body, &(struct claims){"toy", 0, 3});
        in_store(copy, used_body, &(struct claims){"toy", 100, 101}); /* its nonce, and its MAC */
        (void)teardown(NULL);
        (void)setup(NULL);
    }
}

/* Of the secret that is younger, and so are the claims under it. */
static void test_rotated(void **state)
{
    (void)state;
    add(place.path, "former", 1, 100);
    add(place.path, "backup", 2, 100);
    in_store(place.path, claims_body, &(struct claims){"former", 0, 3});
    in_store(place.path, claims_body, &(struct claims){"backup", 0, 3});
    back_up();
    in_store(place.path, rotate_body, &(struct device){"former", 11, 0});
    in_store(place.path, claims_body, &(struct claims){"former", 100, 110});
    in_store(copy, rotate_body, &(struct device){"backup", 12, 0});
    in_store(copy, claims_body, &(struct claims){"backup", 200, 210});
    assert_int_equal(must_restore().secrets, 1);
    in_store(copy, has_secret_body, &(struct device){"former", 11, 0});
    in_store(copy, has_secret_body, &(struct device){"backup", 12, 0});
    in_store(copy, used_body, &(struct claims){"former", 100, 110});
    in_store(copy, used_body, &(struct claims){"backup", 200, 210});
}

static void pages_of_4_kib(const char *path)
{
    in_sql(path, "PRAGMA journal_mode=DELETE; PRAGMA page_size=4096; VACUUM");
}

static int whole_body(struct store_tx *tx, void *arg)
{
    sqlite3_stmt *st = NULL;
    assert_int_equal(tx->page_len, *(unsigned *)arg);
    assert_int_equal(sqlite3_prepare_v2(tx->db, "PRAGMA integrity_check", -1, &st, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(st, 0), "ok");
    sqlite3_finalize(st);
    return TEDDY_OK;
}

/* One of them is of an earlier release, whose pages are larger. */
static void test_pages_of_two_sizes(void **state)
{
    (void)state;
    for (int which = 0; which < 2; which++) {
        in_store(place.path, add_all_body, NULL);
        in_store(place.path, each_body, &(struct each){claims_body, 0, 1, 0});
        back_up();
        pages_of_4_kib(which == 0 ? copy : place.path);
        in_store(place.path, each_body, &(struct each){claims_body, 100, 3, 0});
        must_restore();
        in_store(copy, whole_body, &(unsigned){which == 0 ? PAGE_LEN_FORMER : PAGE_LEN});
        in_store(copy, each_body, &(struct each){used_body, 0, 1, 0});
        in_store(copy, each_body, &(struct each){used_body, 100, 3, 0});
        in_store(copy, each_body, &(struct each){unused_body, 300, 0, 20});
        (void)teardown(NULL);
        (void)setup(NULL);
    }
}

/* A list whose ids were off by one line was removed and imported anew: each secret is another's. */
static void test_secrets_that_changed_hands(void **state)
{
    (void)state;
    static char ids[][8] = {"a", "b", "c", "gone"};
    for (unsigned n = 0; n < 4; n++)
        add(place.path, ids[n], n, 100);
    back_up();
    for (unsigned n = 0; n < 4; n++)
        in_store(place.path, remove_body, ids[n]);
    add(place.path, "a", 1, 200);
    add(place.path, "b", 0, 200);
    add(place.path, "c", 3, 200);
    struct restore_counts counts = must_restore();
    assert_int_equal(counts.secrets, 3);
    assert_int_equal(counts.devices, 3); /* whose secret another has now does not come back */
    in_store(copy, has_secret_body, &(struct device){"a", 1, 0});
    in_store(copy, has_secret_body, &(struct device){"b", 0, 0});
    in_store(copy, has_secret_body, &(struct device){"c", 3, 0});
}

/* ---- A toy's past ---- */

static int past_body(struct store_tx *tx, void *arg)
{
    const uint8_t sid[STORE_JTI_LEN] = {0};
    struct history_owner owner = {arg, "kid", sid};
    struct telemetry_row row = {.at_s = 300, .has = 1};
    int err = store_telemetry_add(tx, &owner, &row, &(struct telemetry_bounds){1, 9});
    return err != TEDDY_OK ? err : store_session_add(tx, &owner, &(struct past_session){0});
}

static int release_body(struct store_tx *tx, void *arg)
{
    return store_device_release(tx, arg);
}

static int past_left_body(struct store_tx *tx, void *arg)
{
    const struct device *d = arg;
    uint64_t last_s = 0;
    struct device_row device;
    assert_int_equal(store_device_get(tx, d->id, &device), TEDDY_OK);
    assert_int_equal(store_fleet_last(tx, device.row, &last_s), TEDDY_OK);
    assert_int_equal(last_s, d->made_s);
    return TEDDY_OK;
}

/* It does not come back to a toy that has left its child. */
static void test_of_a_toys_past(void **state)
{
    static char *const ids[] = {"stays", "leaves"};
    (void)state;
    for (unsigned n = 0; n < 2; n++) {
        add(place.path, ids[n], n, 100);
        in_store(place.path, claims_body, &(struct claims){ids[n], 0, 1});
        in_store(place.path, past_body, ids[n]);
    }
    back_up();
    in_store(place.path, release_body, "leaves");
    must_restore();
    in_store(copy, past_left_body, &(struct device){"stays", 0, 300});
    in_store(copy, past_left_body, &(struct device){"leaves", 0, 0});
}

/* ---- A former database that is no help ---- */

static void refused(int rc, const char *says)
{
    struct restore_counts counts;
    char err[512] = "";
    assert_int_equal(restored(&counts, err, sizeof err), rc);
    if (strstr(err, says) == NULL)
        fail_msg("\"%s\" is not in: %s", says, err);
}

static void test_damaged_keys(void **state)
{
    (void)state;
    add(place.path, "toy", 1, 100);
    back_up();
    in_sql(place.path, "UPDATE device SET recent = x'000000000105'");
    refused(TEDDY_EAUTH, "it is damaged");
    in_sql(place.path, "UPDATE device SET recent = zeroblob(513)");
    refused(TEDDY_EAUTH, "it is damaged");
    in_sql(place.path, "UPDATE device SET recent = x'00'");
    in_sql(copy, "UPDATE device SET recent = x'000000000105'");
    refused(TEDDY_ESTORE, "it is damaged");
}

/* Not lost, only in the way just now: it is not to be passed over. */
static void test_not_at_hand(void **state)
{
    (void)state;
    char log[80];
    add(place.path, "toy", 1, 100);
    back_up();
    snprintf(log, sizeof log, "%s-wal", place.path);
    assert_int_equal(mkdir(log, 0700), 0);
    refused(TEDDY_ESTORE, "unable to open");
    assert_int_equal(rmdir(log), 0);
    must_restore();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_claims_of_both, setup, teardown),
        cmocka_unit_test_setup_teardown(test_of_an_older_release, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rotated, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pages_of_two_sizes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_secrets_that_changed_hands, setup, teardown),
        cmocka_unit_test_setup_teardown(test_of_a_toys_past, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_at_hand, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
