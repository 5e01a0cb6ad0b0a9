/* Secrets at rest: what is sealed opens only as it was sealed, a database only under its master
 * key, and no file holds a secret in the clear. */
#include "store/test_unsealed.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "proto/text.h"
#include "store/seal_box.h"

static struct place place;
static struct store *store;

static const uint8_t data_key[SEAL_KEY_LEN] = {9, 8, 7};

static int setup(void **state)
{
    (void)state;
    place_make(&place);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    store_close(store);
    store = NULL;
    place_remove(&place);
    return 0;
}

static struct seal_master master_of(uint8_t a, uint8_t b)
{
    struct seal_master m = {.count = b != 0 ? 2 : a != 0 ? 1 : 0, .from = "here"};
    memset(m.key[0], a, SEAL_KEY_LEN);
    memset(m.key[1], b, SEAL_KEY_LEN);
    return m;
}

static void open_with(struct seal_master m)
{
    store_close(store);
    store = must_open(&(struct store_options){.path = place.path, .master = &m});
}

static void refused_with(struct seal_master m, const char *because)
{
    struct store_options o = {.path = place.path, .master = &m};
    char err[512] = "";
    store_close(store);
    store = NULL;
    assert_int_equal(store_open(&o, &store, err, sizeof err), TEDDY_ESTORE);
    if (strstr(err, because) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err, because);
}

static void raw_sql(const char *sql)
{
    sqlite3 *db = NULL;
    char *why = NULL;
    assert_int_equal(sqlite3_open(place.path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s: %s", sql, why);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static int add(struct store_tx *tx, void *arg)
{
    unsigned n = *(unsigned *)arg;
    uint8_t secret[LIMIT_SECRET_LEN];
    char id[32];
    secret_of(n, secret);
    snprintf(id, sizeof id, "toy-%u", n);
    return store_device_add(tx, id, secret, 1000);
}

static void add_toy(unsigned n)
{
    assert_int_equal(in_write(store, add, &n), TEDDY_OK);
}

/* TEDDY_EAUTH: it opens, but is not n's secret. */
static int unsealed(struct store_tx *tx, void *arg)
{
    unsigned n = *(unsigned *)arg;
    uint8_t secret[LIMIT_SECRET_LEN], want[LIMIT_SECRET_LEN];
    struct device_row row;
    char id[32];
    snprintf(id, sizeof id, "toy-%u", n);
    int rc = store_device_get(tx, id, &row);
    if (rc == TEDDY_OK)
        rc = store_device_unseal(tx, &row, secret);
    secret_of(n, want);
    return rc != TEDDY_OK ? rc : memcmp(secret, want, sizeof want) == 0 ? TEDDY_OK : TEDDY_EAUTH;
}

static int toy_in_write(unsigned n)
{
    return in_write(store, unsealed, &n);
}

static int toy_in_read(unsigned n)
{
    return in_read(store, unsealed, &n);
}

/* How often bytes stand in a file; 0 when there is none. */
static unsigned count_in(const char *end, const void *bytes, size_t len)
{
    char path[96];
    unsigned n = 0;
    snprintf(path, sizeof path, "%s%s", place.path, end);
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        return 0;
    struct stat st;
    assert_int_equal(fstat(fileno(f), &st), 0);
    char *all = malloc((size_t)st.st_size + 1);
    assert_non_null(all);
    size_t size = fread(all, 1, (size_t)st.st_size, f);
    for (char *p = all; (p = memmem(p, size - (size_t)(p - all), bytes, len)) != NULL; p++)
        n++;
    free(all);
    fclose(f);
    return n;
}

static unsigned in_files(const void *bytes, size_t len)
{
    return count_in("", bytes, len) + count_in("-wal", bytes, len) + count_in("-shm", bytes, len) +
           count_in("-journal", bytes, len);
}

static unsigned secret_in_files(unsigned n)
{
    uint8_t secret[LIMIT_SECRET_LEN];
    secret_of(n, secret);
    return in_files(secret, sizeof secret);
}

/* ---- The box. ---- */

static void a_secret_opens_only_as_it_was_sealed(void **state)
{
    (void)state;
    struct seal_box *b = seal_box_new(data_key);
    uint8_t secret[LIMIT_SECRET_LEN], out[LIMIT_SECRET_LEN], none[LIMIT_SECRET_LEN] = {0};
    uint8_t sealed[SEALED_LEN], again[SEALED_LEN];
    assert_non_null(b);
    secret_of(1, secret);
    assert_int_equal(seal_box_shut(b, "toy", secret, sealed), TEDDY_OK);
    assert_int_equal(seal_box_shut(b, "toy", secret, again), TEDDY_OK);
    assert_memory_not_equal(sealed, again, sizeof sealed);
    assert_int_equal(seal_box_open(b, "toy", sealed, out), TEDDY_OK);
    assert_memory_equal(out, secret, sizeof out);
    assert_int_equal(seal_box_open(b, "Toy", sealed, out), TEDDY_EAUTH);
    assert_memory_equal(out, none, sizeof out);
    assert_int_equal(seal_box_open(b, "", sealed, out), TEDDY_EAUTH);
    for (unsigned bit = 0; bit < 8 * SEALED_LEN; bit++) {
        sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(seal_box_open(b, "toy", sealed, out), TEDDY_EAUTH);
        assert_memory_equal(out, none, sizeof out);
        sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(seal_box_open(b, "toy", sealed, out), TEDDY_OK); /* a refusal leaves nothing */
    seal_box_free(b);
}

static void keys_are_apart(void **state)
{
    (void)state;
    static const uint8_t other_key[SEAL_KEY_LEN] = {9, 8, 6};
    struct seal_box *b = seal_box_new(data_key), *other = seal_box_new(other_key);
    uint8_t secret[LIMIT_SECRET_LEN], sealed[SEALED_LEN], out[LIMIT_SECRET_LEN];
    uint8_t mac[4][SEAL_MAC_LEN];
    secret_of(1, secret);
    assert_int_equal(seal_box_shut(b, "toy", secret, sealed), TEDDY_OK);
    assert_int_equal(seal_box_open(other, "toy", sealed, out), TEDDY_EAUTH);
    assert_int_equal(seal_box_fingerprint(b, secret, mac[0]), TEDDY_OK);
    assert_int_equal(seal_box_fingerprint(b, secret, mac[1]), TEDDY_OK);
    assert_memory_equal(mac[0], mac[1], SEAL_MAC_LEN);
    assert_int_equal(seal_box_fingerprint(other, secret, mac[1]), TEDDY_OK);
    assert_int_equal(seal_box_erasure(b, secret, sizeof secret, mac[2]), TEDDY_OK);
    secret_of(2, secret);
    assert_int_equal(seal_box_fingerprint(b, secret, mac[3]), TEDDY_OK);
    for (int i = 1; i < 4; i++)
        assert_memory_not_equal(mac[0], mac[i], SEAL_MAC_LEN);
    seal_box_free(b);
    seal_box_free(other);
    seal_box_free(NULL);
}

static void a_data_key_opens_under_its_master_key(void **state)
{
    (void)state;
    struct seal_master m = master_of(1, 2);
    uint8_t wrapped[SEALED_LEN], out[SEAL_KEY_LEN], id[2][SEAL_ID_LEN];
    assert_int_equal(seal_wrap(m.key[0], data_key, wrapped), TEDDY_OK);
    assert_int_equal(seal_unwrap(m.key[0], wrapped, out), TEDDY_OK);
    assert_memory_equal(out, data_key, sizeof out);
    assert_int_equal(seal_unwrap(m.key[1], wrapped, out), TEDDY_EAUTH);
    wrapped[SEALED_LEN - 1] ^= 1;
    assert_int_equal(seal_unwrap(m.key[0], wrapped, out), TEDDY_EAUTH);
    assert_int_equal(seal_id(m.key[0], id[0]), TEDDY_OK);
    assert_int_equal(seal_id(m.key[1], id[1]), TEDDY_OK);
    assert_memory_not_equal(id[0], id[1], SEAL_ID_LEN);
    assert_null(memmem(m.key[0], SEAL_KEY_LEN, id[0], SEAL_ID_LEN));
}

/* ---- The store. ---- */

static void no_file_holds_a_secret(void **state)
{
    (void)state;
    struct seal_master m = master_of(0x31, 0);
    open_with(m);
    for (unsigned n = 0; n < 50; n++)
        add_toy(n);
    assert_true(count_in("-wal", "toy-49", 6) > 0); /* it is the files that are looked at */
    for (unsigned n = 0; n < 50; n++)
        assert_int_equal(secret_in_files(n), 0);
    assert_int_equal(in_files(m.key[0], SEAL_KEY_LEN), 0);
    store_close(store);
    store = NULL;
    assert_true(count_in("", "toy-49", 6) > 0);
    for (unsigned n = 0; n < 50; n++)
        assert_int_equal(secret_in_files(n), 0);
}

static void another_master_key_is_refused(void **state)
{
    (void)state;
    open_with(master_of(1, 0));
    add_toy(1);
    refused_with(master_of(2, 0), "but here has");
    refused_with(master_of(2, 3), "put the right one there");
    refused_with(master_of(0, 0), "which is missing: looked in here");
    struct store_options o = {.path = place.path};
    char err[512];
    assert_int_equal(store_open(&o, &store, err, sizeof err), TEDDY_ESTORE);
    open_with(master_of(1, 0)); /* nothing was changed meanwhile */
    assert_int_equal(toy_in_write(1), TEDDY_OK);
    assert_int_equal(toy_in_read(1), TEDDY_OK);
}

static void the_newer_of_two_keys_takes_over(void **state)
{
    (void)state;
    open_with(master_of(1, 0));
    add_toy(1);
    open_with(master_of(2, 1));
    assert_int_equal(toy_in_read(1), TEDDY_OK);
    refused_with(master_of(1, 0), "but here has");
    open_with(master_of(2, 3)); /* one that never came into force hurts nobody */
    open_with(master_of(2, 0));
    assert_int_equal(toy_in_write(1), TEDDY_OK);
}

static int rewrap(struct store_tx *tx, void *arg)
{
    int rc = store_seal_fits(tx, arg);
    return rc == TEDDY_OK ? store_seal_rewrap(tx, arg, 2000) : rc;
}

struct state {
    uint8_t id[SEAL_ID_LEN];
    uint64_t since_s;
};

static int look(struct store_tx *tx, void *arg)
{
    struct state *s = arg;
    return store_seal_state(tx, s->id, &s->since_s);
}

static void it_is_rotated_while_open(void **state)
{
    (void)state;
    struct seal_master new_old = master_of(2, 1), strangers = master_of(4, 5);
    uint8_t id[SEAL_ID_LEN];
    struct state found;
    open_with(master_of(1, 0));
    add_toy(1);
    assert_int_equal(in_write(store, rewrap, &strangers), TEDDY_EAUTH);
    assert_int_equal(in_write(store, rewrap, &new_old), TEDDY_OK);
    assert_int_equal(in_write(store, rewrap, &new_old), TEDDY_OK); /* again: it is done already */
    assert_int_equal(in_read(store, look, &found), TEDDY_OK);
    assert_int_equal(seal_id(new_old.key[0], id), TEDDY_OK);
    assert_memory_equal(found.id, id, sizeof id);
    assert_int_equal(found.since_s, 2000);
    add_toy(2);
    assert_int_equal(toy_in_read(1), TEDDY_OK);
    assert_int_equal(toy_in_write(2), TEDDY_OK);
    refused_with(master_of(1, 0), "but here has");
    open_with(master_of(2, 0));
    assert_int_equal(toy_in_write(1), TEDDY_OK);
    assert_int_equal(toy_in_read(2), TEDDY_OK);
}

static int made; /* calls of make */

static int make(struct seal_master *m, char *err, size_t cap)
{
    (void)err;
    (void)cap;
    assert_int_equal(in_files("seal_key", 8), 0); /* before any row needs it */
    memset(m->key[0], 7, SEAL_KEY_LEN);
    m->count = 1;
    made++;
    return TEDDY_OK;
}

static int make_fails(struct seal_master *m, char *err, size_t cap)
{
    (void)m;
    snprintf(err, cap, "the disk is full");
    return TEDDY_EIO;
}

static void the_first_key_is_made_when_it_is_needed(void **state)
{
    (void)state;
    struct seal_master m = master_of(0, 0);
    refused_with(m, "no master key to seal secrets under; looked in here");
    m.make = make_fails;
    refused_with(m, "the disk is full");
    m.make = make;
    made = 0;
    open_with(m);
    add_toy(1);
    assert_int_equal(made, 1);
    m = master_of(0, 0);
    m.make = make;
    refused_with(m, "which is missing"); /* a second one would open nothing */
    assert_int_equal(made, 1);
    open_with(master_of(7, 0));
    assert_int_equal(toy_in_read(1), TEDDY_OK);
}

static void rows_cannot_be_swapped(void **state)
{
    (void)state;
    open_with(master_of(1, 0));
    for (unsigned n = 1; n <= 4; n++)
        add_toy(n);
    store_close(store);
    store = NULL;
    raw_sql("UPDATE device SET sealed = (SELECT sealed FROM device WHERE device_id = 'toy-2')"
            " WHERE device_id = 'toy-1';"
            "UPDATE device SET sealed = NULL WHERE device_id = 'toy-3';");
    open_with(master_of(1, 0));
    assert_int_equal(toy_in_write(1), TEDDY_ESTORE);
    assert_int_equal(toy_in_read(1), TEDDY_ESTORE);
    assert_int_equal(toy_in_write(3), TEDDY_ESTORE);
    assert_int_equal(toy_in_write(2), TEDDY_OK); /* the others go on */
    assert_int_equal(toy_in_read(4), TEDDY_OK);
}

static void a_damaged_data_key_is_told(void **state)
{
    (void)state;
    open_with(master_of(1, 0));
    store_close(store);
    store = NULL;
    raw_sql("UPDATE seal_key SET wrapped = zeroblob(60)");
    refused_with(master_of(1, 0), "its data key is damaged");
    raw_sql("DELETE FROM seal_key");
    refused_with(master_of(1, 0), "its data key is not there");
}

/* What an older release kept: secrets in the clear, in rows, in the free room of pages where
 * removed devices were, and in a log that was never copied back. */
static void make_plain(unsigned toys, int version)
{
    char sql[400];
    sqlite3 *db = NULL;
    raw_sql("PRAGMA journal_mode = WAL");
    assert_int_equal(sqlite3_open(place.path, &db), SQLITE_OK);
    make_unsealed(db, version);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    for (unsigned n = 0; n < toys; n++) {
        uint8_t secret[LIMIT_SECRET_LEN];
        char hex[2 * LIMIT_SECRET_LEN + 1] = "";
        secret_of(n, secret);
        for (size_t i = 0; i < sizeof secret; i++)
            snprintf(hex + 2 * i, 3, "%02x", secret[i]);
        snprintf(sql, sizeof sql,
                 "PRAGMA secure_delete = OFF;"
                 "INSERT INTO device (device_id, secret, created_s) VALUES ('toy-%u', x'%s', 5);",
                 n, hex);
        raw_sql(sql);
    }
    raw_sql("PRAGMA secure_delete = OFF;"
            "DELETE FROM device WHERE CAST(substr(device_id, 5) AS INTEGER) % 3 = 0;");
}

static uint64_t told, told_all;

static void sealing(uint64_t done, uint64_t all)
{
    told = done;
    told_all = all;
}

static void seals(int version)
{
    enum { TOYS = 120 };
    struct seal_master m = master_of(1, 0);
    open_with(m);
    store_close(store);
    make_plain(TOYS, version);
    assert_true(secret_in_files(1) > 0);
    assert_true(secret_in_files(3) > 0); /* a removed one */
    told = 0;
    store =
        must_open(&(struct store_options){.path = place.path, .master = &m, .sealing = sealing});
    assert_int_equal(told, TOYS - TOYS / 3);
    assert_int_equal(told_all, told);
    for (unsigned n = 0; n < TOYS; n++) {
        assert_int_equal(toy_in_read(n), n % 3 == 0 ? TEDDY_ENOTFOUND : TEDDY_OK);
        assert_int_equal(secret_in_files(n), 0);
    }
    unsigned same = 1;
    assert_int_equal(in_write(store, add, &same), TEDDY_EDUP);
}

static void what_was_in_the_clear_is_sealed(void **state)
{
    for (int version = UNSEALED_FIRST; version <= UNSEALED_LAST; version++) {
        if (version > UNSEALED_FIRST)
            assert_true(teardown(state) == 0 && setup(state) == 0);
        seals(version);
    }
}

/* Killed between the sealing and the sweep: the next start sweeps. */
static void a_sweep_is_repeated_until_it_is_done(void **state)
{
    (void)state;
    open_with(master_of(1, 0));
    add_toy(1);
    store_close(store);
    store = NULL;
    raw_sql("PRAGMA secure_delete = OFF; CREATE TABLE junk (b BLOB);"
            "INSERT INTO junk SELECT 'left in the clear' || randomblob(3000) FROM seal_key;"
            "DROP TABLE junk; UPDATE seal_key SET swept = 0");
    assert_true(in_files("left in the clear", 17) > 0);
    open_with(master_of(1, 0));
    assert_int_equal(in_files("left in the clear", 17), 0);
    assert_int_equal(toy_in_read(1), TEDDY_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_secret_opens_only_as_it_was_sealed),
        cmocka_unit_test(keys_are_apart),
        cmocka_unit_test(a_data_key_opens_under_its_master_key),
        cmocka_unit_test_setup_teardown(no_file_holds_a_secret, setup, teardown),
        cmocka_unit_test_setup_teardown(another_master_key_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(the_newer_of_two_keys_takes_over, setup, teardown),
        cmocka_unit_test_setup_teardown(it_is_rotated_while_open, setup, teardown),
        cmocka_unit_test_setup_teardown(the_first_key_is_made_when_it_is_needed, setup, teardown),
        cmocka_unit_test_setup_teardown(rows_cannot_be_swapped, setup, teardown),
        cmocka_unit_test_setup_teardown(a_damaged_data_key_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_in_the_clear_is_sealed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_sweep_is_repeated_until_it_is_done, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
