/* The log's writes, gathered on their way to the file. */
#include <sqlite3.h>

#include "store/internal.h"
#include "store/test_store.h"
#include "tests/lib/lossy_vfs.h"

#define WEAK_VFS "weak" /* the default VFS, with what a test takes from it */

static struct place place;

static struct {
    sqlite3_vfs vfs;
    const sqlite3_io_methods *real;
    sqlite3_io_methods methods; /* of the log; the database's are the real ones */
    sqlite3_io_methods database;
    bool full;     /* the next write to the log fails */
    bool promises; /* a write leaves the bytes beside it alone, whatever happens */
} weak;

static int weak_write(sqlite3_file *f, const void *data, int len, sqlite3_int64 at)
{
    if (weak.full) {
        weak.full = false;
        return SQLITE_FULL;
    }
    return weak.real->xWrite(f, data, len, at);
}

static int weak_device(sqlite3_file *f)
{
    int all = weak.real->xDeviceCharacteristics(f);
    return weak.promises ? all : all & ~SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static int weak_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *f, int flags, int *out)
{
    sqlite3_vfs *real = sqlite3_vfs_find(NULL);
    int rc = real->xOpen(real, path, f, flags, out);
    (void)vfs;
    if (rc != SQLITE_OK || !(flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL)))
        return rc;
    weak.real = f->pMethods;
    sqlite3_io_methods *m = flags & SQLITE_OPEN_WAL ? &weak.methods : &weak.database;
    *m = *f->pMethods;
    m->xDeviceCharacteristics = weak_device;
    if (flags & SQLITE_OPEN_WAL)
        m->xWrite = weak_write;
    f->pMethods = m;
    return rc;
}

static struct store *open_weak(bool promises)
{
    sqlite3_vfs *known = sqlite3_vfs_find(WEAK_VFS);
    weak.full = false;
    weak.promises = promises;
    if (known == NULL) {
        weak.vfs = *sqlite3_vfs_find(NULL);
        weak.vfs.zName = WEAK_VFS;
        weak.vfs.xOpen = weak_open;
        assert_int_equal(sqlite3_vfs_register(&weak.vfs, 0), SQLITE_OK);
    }
    return must_open(&(struct store_options){.path = place.path, .vfs = WEAK_VFS, .readers = 1});
}

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
 * log before the end. */
static int spill(struct store_tx *tx)
{
    int spilled = 0, most = 0;
    sqlite3_db_status(tx->db, SQLITE_DBSTATUS_CACHE_SPILL, &spilled, &most, 1);
    while (sqlite3_db_status(tx->db, SQLITE_DBSTATUS_CACHE_SPILL, &spilled, &most, 0) ==
               SQLITE_OK &&
           spilled == 0)
        if (sql(tx, "INSERT INTO note VALUES (zeroblob(40000))") != TEDDY_OK)
            return TEDDY_ESTORE;
    return TEDDY_OK;
}

/* And then it gives the transaction up, as on a full disk. */
static int add_too_much(struct store_tx *tx, void *arg)
{
    (void)arg;
    return spill(tx) == TEDDY_OK ? sql(tx, "ROLLBACK") : TEDDY_ESTORE;
}

/* The disk has no room at the moment when a gathered page is to be read again: the failure is the
 * reading's, and SQLite may undo that statement alone and go on. */
static int lose_some_pages(struct store_tx *tx, void *arg)
{
    bool *lost = arg;
    char header[32];
    sqlite3_file *log = NULL;
    if (spill(tx) != TEDDY_OK ||
        sqlite3_file_control(tx->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log) != SQLITE_OK)
        return TEDDY_ESTORE;
    weak.full = true;
    *lost = log->pMethods->xRead(log, header, sizeof header, 0) == SQLITE_FULL && !weak.full;
    return TEDDY_OK;
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

/* Whatever a job makes of it, a transaction of which the disk did not take all is not committed. */
static void what_was_lost_is_never_committed(void **state)
{
    (void)state;
    struct store *s = open_weak(true);
    assert_int_equal(in_write(s, make_table, NULL), TEDDY_OK);
    bool lost = false;
    assert_int_equal(in_write(s, lose_some_pages, &lost), TEDDY_ESTORE);
    assert_true(lost);
    assert_int_equal(in_write(s, add_pages, NULL), TEDDY_OK);
    sqlite3 *other = NULL;
    assert_int_equal(sqlite3_open(place.path, &other), SQLITE_OK);
    assert_answer(other, "PRAGMA integrity_check", "ok");
    assert_answer(other, "SELECT count(*) FROM note", "1");
    sqlite3_close(other);
    store_close(s);
}

/* Where it must, SQLite fills the sector behind its sync: that is not held back either. */
static void what_follows_the_sync_is_there_for_readers(void **state)
{
    (void)state;
    struct store *s = open_weak(false);
    assert_int_equal(in_write(s, make_table, NULL), TEDDY_OK);
    assert_int_equal(in_write(s, add_pages, NULL), TEDDY_OK);
    sqlite3 *other = NULL;
    assert_int_equal(sqlite3_open(place.path, &other), SQLITE_OK);
    assert_answer(other, "PRAGMA integrity_check", "ok");
    assert_answer(other, "SELECT count(*) FROM note", "1");
    sqlite3_close(other);
    store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_group_reaches_the_file_in_few_pieces, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_rolled_back_never_follows, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_lost_is_never_committed, setup, teardown),
        cmocka_unit_test_setup_teardown(what_follows_the_sync_is_there_for_readers, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
