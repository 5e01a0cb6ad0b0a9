/* What a row had is nowhere in the database file once the row has it no more, wherever SQLite moved
 * it before. */
#include "store/test_store.h"

#include <sqlite3.h>

#define DEVICES 1500
#define MARK    "the-child-"

static struct place place;

static int setup(void **state)
{
    (void)state;
    place_make(&place);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    place_remove(&place);
    return 0;
}

/* In no order, so that pages are split in their middle. */
static void name_of(unsigned n, char out[LIMIT_ID_LEN + 1])
{
    snprintf(out, LIMIT_ID_LEN + 1, "toy-%04u", n * 7919 % 10007);
}

static int add_all(struct store_tx *tx, void *arg)
{
    char id[LIMIT_ID_LEN + 1];
    uint8_t secret[LIMIT_SECRET_LEN];
    (void)arg;
    for (unsigned n = 0; n < DEVICES; n++) {
        name_of(n, id);
        secret_of(n, secret);
        assert_int_equal(store_device_add(tx, id, secret, 1), TEDDY_OK);
    }
    return TEDDY_OK;
}

/* Rows grow, and move to other pages. */
static int bind_all(struct store_tx *tx, void *arg)
{
    char id[LIMIT_ID_LEN + 1], child[LIMIT_ID_LEN + 1];
    (void)arg;
    for (unsigned i = 0; i < DEVICES; i++) {
        unsigned n = i * 7 % DEVICES; /* 7 and 1500 have no common divisor: each once */
        name_of(n, id);
        snprintf(child, sizeof child, MARK "%04u%0*u", n, 1 + (int)(n % 40), 0u);
        assert_int_equal(bind_child(tx, id, child, 1, 2), TEDDY_OK);
    }
    return TEDDY_OK;
}

static int release_all(struct store_tx *tx, void *arg)
{
    char id[LIMIT_ID_LEN + 1];
    (void)arg;
    for (unsigned n = 0; n < DEVICES; n++) {
        name_of(n, id);
        assert_int_equal(store_device_release(tx, id), TEDDY_OK);
    }
    return TEDDY_OK;
}

static size_t marks_in_file(void)
{
    FILE *f = fopen(place.path, "rb");
    static char text[8u << 20];
    size_t found = 0;
    assert_non_null(f);
    size_t len = fread(text, 1, sizeof text, f);
    fclose(f);
    assert_in_range(len, 1, sizeof text - 1);
    for (size_t i = 0; i + sizeof MARK - 1 <= len; i++)
        found += memcmp(text + i, MARK, sizeof MARK - 1) == 0;
    return found;
}

static void run(struct store_options o, in_tx *fn)
{
    o.path = place.path;
    struct store *s = must_open(&o);
    assert_int_equal(in_write(s, fn, NULL), TEDDY_OK);
    store_close(s);
}

static void assert_intact(void)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    assert_int_equal(sqlite3_open(place.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(st, 0), "ok");
    sqlite3_finalize(st);
    sqlite3_close(db);
}

static void released_toys_leave_nothing(void **state)
{
    struct store_options o = {.readers = 1};
    (void)state;
    run(o, add_all);
    run(o, bind_all);
    assert_in_range(marks_in_file(), DEVICES, 10 * DEVICES);
    run(o, release_all);
    assert_int_equal(marks_in_file(), 0);
    assert_intact();
}

/* The same by SQLite alone, with its secure_delete: should it leave nothing one day, the filter may
 * go. */
static void without_the_filter_they_do(void **state)
{
    struct store_options o = {.readers = 1, .unsafe_no_sync = true};
    (void)state;
    run(o, add_all);
    run(o, bind_all);
    run(o, release_all);
    assert_in_range(marks_in_file(), 1, DEVICES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(released_toys_leave_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(without_the_filter_they_do, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
