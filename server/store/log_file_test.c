/* The log's writes, gathered on their way to the file. */
#include <sqlite3.h>

#include "store/internal.h"
#include "store/test_store.h"
#include "tests/lib/lossy_vfs.h"

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

static int sql(struct store_tx *tx, const char *text)
{
    return sqlite3_exec(tx->db, text, NULL, NULL, NULL) == SQLITE_OK ? TEDDY_OK : TEDDY_ESTORE;
}

static int make_table(struct store_tx *tx, void *arg)
{
    (void)arg;
    return sql(tx, "CREATE TABLE note (bytes BLOB)");
}

static int add_pages(struct store_tx *tx, void *arg)
{
    (void)arg;
    return sql(tx, "INSERT INTO note VALUES (zeroblob(800000))");
}

/* As much as the writer's cache holds and a little more, so that SQLite writes some pages to the
 * log before the end; and then it gives the transaction up, as on a full disk. */
static int add_too_much(struct store_tx *tx, void *arg)
{
    int spilled = 0, most = 0;
    (void)arg;
    sqlite3_db_status(tx->db, SQLITE_DBSTATUS_CACHE_SPILL, &spilled, &most, 1);
    while (sqlite3_db_status(tx->db, SQLITE_DBSTATUS_CACHE_SPILL, &spilled, &most, 0) ==
               SQLITE_OK &&
           spilled == 0)
        if (sql(tx, "INSERT INTO note VALUES (zeroblob(40000))") != TEDDY_OK)
            return TEDDY_ESTORE;
    return sql(tx, "ROLLBACK");
}

static void a_group_reaches_the_file_in_few_pieces(void **state)
{
    (void)state;
    assert_int_equal(lossy_vfs_register(), SQLITE_OK);
    struct store *s =
        must_open(&(struct store_options){.path = place.path, .vfs = LOSSY_VFS, .readers = 1});
    assert_int_equal(in_write(s, make_table, NULL), TEDDY_OK);
    uint64_t before = lossy_vfs_calls();
    assert_int_equal(in_write(s, add_pages, NULL), TEDDY_OK);
    assert_in_range(lossy_vfs_calls() - before, 2, 20); /* of some 195 pages, two writes each */
    store_close(s);
    lossy_vfs_restart(LOSSY_DROP, 1); /* so that the files can be removed */
}

static void assert_answer(sqlite3 *db, const char *query, const char *want)
{
    sqlite3_stmt *st = NULL;
    assert_int_equal(sqlite3_prepare_v2(db, query, -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(st, 0), want);
    sqlite3_finalize(st);
}

/* A transaction that was given up leaves gathered bytes; the log's end is then another program's,
 * and they must not come to lie over what that commits. */
static void what_was_rolled_back_never_follows(void **state)
{
    (void)state;
    struct store *s = must_open(&(struct store_options){.path = place.path, .readers = 1});
    assert_int_equal(in_write(s, make_table, NULL), TEDDY_OK);
    store_close(s); /* an empty log, so that the rollback reads nothing of it */
    s = must_open(&(struct store_options){.path = place.path, .readers = 1});
    assert_int_equal(in_write(s, add_too_much, NULL), TEDDY_ESTORE);
    sqlite3 *other = NULL, *third = NULL;
    assert_int_equal(sqlite3_open(place.path, &other), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(other, "INSERT INTO note VALUES (zeroblob(800000))", NULL, NULL, NULL),
        SQLITE_OK);
    assert_int_equal(in_write(s, add_pages, NULL), TEDDY_OK);
    assert_int_equal(sqlite3_open(place.path, &third), SQLITE_OK);
    assert_answer(third, "PRAGMA integrity_check", "ok");
    assert_answer(third, "SELECT count(*) FROM note", "2");
    sqlite3_close(third);
    sqlite3_close(other);
    store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_group_reaches_the_file_in_few_pieces, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_rolled_back_never_follows, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
