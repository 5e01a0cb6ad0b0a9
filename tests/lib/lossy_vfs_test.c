/* The lossy disk itself: what was synced is there after a cut, what was not is gone or torn, names
 * included. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "tests/lib/lossy_vfs.h"

static char dir[] = "/tmp/lossy-XXXXXX";
static char path[64], wal_path[64];

static sqlite3 *open_db(const char *setup)
{
    sqlite3 *db = NULL;
    assert_int_equal(
        sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, LOSSY_VFS),
        SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, setup, NULL, NULL, NULL), SQLITE_OK);
    return db;
}

static int count(sqlite3 *db)
{
    sqlite3_stmt *st = NULL;
    int n = -1;
    if (sqlite3_prepare_v2(db, "SELECT count(*) FROM t", -1, &st, NULL) == SQLITE_OK &&
        sqlite3_step(st) == SQLITE_ROW)
        n = sqlite3_column_int(st, 0);
    sqlite3_finalize(st);
    return n;
}

static int insert_rows(sqlite3 *db, int n)
{
    for (int i = 0; i < n; i++)
        if (sqlite3_exec(db, "INSERT INTO t VALUES (randomblob(300))", NULL, NULL, NULL) !=
            SQLITE_OK)
            return i;
    return n;
}

static void close_db(sqlite3 *db)
{
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static int fresh(void **state)
{
    (void)state;
    lossy_vfs_restart(LOSSY_DROP, 1); /* forget the test before */
    unlink(path);
    unlink(wal_path);
    sqlite3 *db = open_db("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t (x)");
    close_db(db);
    lossy_vfs_restart(LOSSY_DROP, 1);
    return 0;
}

static void test_synced_rows_survive(void **state)
{
    (void)state;
    sqlite3 *db = open_db("PRAGMA synchronous=FULL");
    assert_int_equal(insert_rows(db, 20), 20);
    lossy_vfs_cut();
    assert_int_equal(insert_rows(db, 1), 0);
    close_db(db);
    lossy_vfs_restart(LOSSY_DROP, 1);
    db = open_db("");
    assert_int_equal(count(db), 20);
    close_db(db);
}

static void test_unsynced_rows_are_lost(void **state)
{
    (void)state;
    sqlite3 *db = open_db("PRAGMA synchronous=OFF");
    assert_int_equal(insert_rows(db, 20), 20);
    assert_int_equal(count(db), 20);
    lossy_vfs_cut();
    close_db(db);
    lossy_vfs_restart(LOSSY_DROP, 1);
    db = open_db("");
    assert_int_equal(count(db), 0);
    close_db(db);
}

/* synchronous=NORMAL syncs the log only at checkpoints: consistent after a cut, but not durable. */
static void test_normal_is_consistent_but_not_durable(void **state)
{
    (void)state;
    bool lost = false;
    for (uint64_t seed = 1; seed < 30; seed++) {
        sqlite3 *db = open_db("PRAGMA synchronous=NORMAL; DELETE FROM t; PRAGMA wal_checkpoint");
        int wrote = insert_rows(db, 30);
        lossy_vfs_cut();
        close_db(db);
        lossy_vfs_restart(LOSSY_TEAR, seed);
        db = open_db("PRAGMA integrity_check");
        lost |= count(db) < wrote;
        close_db(db);
    }
    assert_true(lost);
}

static void test_cut_after_counts_calls(void **state)
{
    (void)state;
    sqlite3 *db = open_db("PRAGMA synchronous=FULL");
    lossy_vfs_cut_after(40);
    int wrote = insert_rows(db, 1000);
    assert_in_range(wrote, 1, 40);
    assert_true(lossy_vfs_is_cut());
    close_db(db);
    lossy_vfs_restart(LOSSY_DROP, 1);
    db = open_db("");
    assert_int_equal(count(db), wrote);
    close_db(db);
}

/* Without synchronous, not even the name of a new journal or database lasts. */
static void test_new_name_is_lost_until_its_directory_is_synced(void **state)
{
    (void)state;
    char other[64], journal[80];
    struct stat st;
    sqlite3 *db = NULL;
    snprintf(other, sizeof other, "%s/other.db", dir);
    for (int synced = 0; synced < 2; synced++) {
        assert_int_equal(
            sqlite3_open_v2(other, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, LOSSY_VFS),
            SQLITE_OK);
        const char *sql = synced ? "PRAGMA synchronous=FULL; CREATE TABLE t (x)"
                                 : "PRAGMA synchronous=OFF; CREATE TABLE t (x)";
        assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
        close_db(db);
        lossy_vfs_restart(LOSSY_DROP, 1);
        assert_int_equal(stat(other, &st), synced ? 0 : -1);
    }
    snprintf(journal, sizeof journal, "%s-journal", other);
    unlink(journal); /* SQLite deletes it without syncing the directory: it came back */
    unlink(other);
}

/* A log deleted at close comes back when the directory was not synced, and SQLite must cope with
 * it. */
static void test_deleted_name_comes_back(void **state)
{
    (void)state;
    struct stat st;
    sqlite3 *db = open_db("PRAGMA synchronous=FULL");
    assert_int_equal(insert_rows(db, 5), 5);
    close_db(db);
    assert_int_equal(stat(wal_path, &st), -1);
    lossy_vfs_restart(LOSSY_DROP, 1);
    assert_int_equal(stat(wal_path, &st), 0);
    assert_true(st.st_size > 0);
    db = open_db("");
    assert_int_equal(count(db), 5);
    close_db(db);
}

static void test_torn_disks_stay_consistent(void **state)
{
    (void)state;
    uint64_t random = 7;
    int expected = 0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        sqlite3 *db = open_db("PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=20");
        random = random * 6364136223846793005u + 1442695040888963407u;
        lossy_vfs_cut_after(1 + (random >> 33) % 120);
        expected += insert_rows(db, 60);
        lossy_vfs_cut();
        close_db(db);
        lossy_vfs_restart(LOSSY_TEAR, seed);
        db = open_db("PRAGMA integrity_check");
        int found = count(db);
        /* The row that the cut interrupted may have made it; none that was answered may be missing.
         */
        assert_in_range(found, expected, expected + 1);
        expected = found;
        close_db(db);
    }
    assert_true(expected > 100);
}

static int make_dir(void **state)
{
    (void)state;
    if (mkdtemp(dir) == NULL || lossy_vfs_register() != 0)
        return -1;
    snprintf(path, sizeof path, "%s/t.db", dir);
    snprintf(wal_path, sizeof wal_path, "%s/t.db-wal", dir);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    lossy_vfs_restart(LOSSY_DROP, 1);
    unlink(path);
    unlink(wal_path);
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_synced_rows_survive, fresh),
        cmocka_unit_test_setup(test_unsynced_rows_are_lost, fresh),
        cmocka_unit_test_setup(test_normal_is_consistent_but_not_durable, fresh),
        cmocka_unit_test_setup(test_cut_after_counts_calls, fresh),
        cmocka_unit_test_setup(test_new_name_is_lost_until_its_directory_is_synced, fresh),
        cmocka_unit_test_setup(test_deleted_name_comes_back, fresh),
        cmocka_unit_test_setup(test_torn_disks_stay_consistent, fresh),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
