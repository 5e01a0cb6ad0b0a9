/* What a row had is nowhere in the database file once the row has it no more, wherever SQLite moved
 * it before. */
#include "store/test_store.h"

#include <dirent.h>
#include <sqlite3.h>

#include "store/audit.h"
#include "store/backup.h"
#include "store/restore.h"

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
    char path[512];
    const struct dirent *e;
    (void)state;
    DIR *d = opendir(place.dir);
    assert_non_null(d);
    while ((e = readdir(d)) != NULL) {
        snprintf(path, sizeof path, "%s/%s", place.dir, e->d_name);
        (void)unlink(path);
    }
    closedir(d);
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

static size_t marks_in(const char *path)
{
    FILE *f = fopen(path, "rb");
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

static size_t marks_in_file(void)
{
    return marks_in(place.path);
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

static void raw(const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(place.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static int page_len(void)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    assert_int_equal(sqlite3_open(place.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA page_size", -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    int len = sqlite3_column_int(st, 0);
    sqlite3_finalize(st);
    sqlite3_close(db);
    return len;
}

static void released_toys_leave_nothing(void **state)
{
    struct store_options o = {.readers = 1};
    (void)state;
    run(o, add_all);
    assert_int_equal(page_len(), 2048);
    run(o, bind_all);
    assert_in_range(marks_in_file(), DEVICES, 10 * DEVICES);
    run(o, release_all);
    assert_int_equal(marks_in_file(), 0);
    assert_intact();
}

/* In a database of an earlier release, which keeps its pages' size. */
static void nor_do_they_in_larger_pages(void **state)
{
    struct store_options o = {.readers = 1};
    (void)state;
    run(o, add_all);
    raw("PRAGMA journal_mode=DELETE; PRAGMA page_size=4096; VACUUM");
    run(o, bind_all);
    assert_in_range(marks_in_file(), DEVICES, 10 * DEVICES);
    run(o, release_all);
    assert_int_equal(marks_in_file(), 0);
    assert_int_equal(page_len(), 4096);
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

/* ---- Others who copy the log of a server that was killed back into the file, as the last to close
 * it does ---- */

static void copy_file(const char *from, const char *to)
{
    char byte[65536];
    size_t len;
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    assert_non_null(in);
    assert_non_null(out);
    while ((len = fread(byte, 1, sizeof byte, in)) > 0)
        assert_int_equal(fwrite(byte, 1, len, out), len);
    fclose(in);
    assert_int_equal(fclose(out), 0);
}

static void name_in_place(char out[96], const char *name)
{
    snprintf(out, 96, "%s/%s", place.dir, name);
}

/* The database and its log, in which all toys are bound and released, as killed.db. */
static void kill_with_a_log(char killed[96])
{
    char log[128], killed_log[128];
    struct store *s = must_open(&(struct store_options){.path = place.path});
    assert_int_equal(in_write(s, add_all, NULL), TEDDY_OK);
    assert_int_equal(in_write(s, bind_all, NULL), TEDDY_OK);
    assert_int_equal(in_write(s, release_all, NULL), TEDDY_OK);
    name_in_place(killed, "killed.db");
    snprintf(log, sizeof log, "%s-wal", place.path);
    snprintf(killed_log, sizeof killed_log, "%s-wal", killed);
    copy_file(place.path, killed);
    copy_file(log, killed_log);
    store_close(s);
    assert_in_range(marks_in(killed_log), 1, SIZE_MAX);
}

static void who_reads_the_trail_leaves_nothing(void **state)
{
    char killed[96], log[128], err[256] = "";
    struct store_tx *tx = NULL;
    (void)state;
    kill_with_a_log(killed);
    assert_int_equal(audit_open(killed, &tx, err, sizeof err), TEDDY_OK);
    audit_close(tx);
    snprintf(log, sizeof log, "%s-wal", killed);
    assert_int_equal(access(log, F_OK), -1);
    assert_int_equal(marks_in(killed), 0);
}

static void who_makes_a_backup_leaves_nothing(void **state)
{
    char killed[96], to[96], err[256] = "";
    struct backup_facts facts;
    (void)state;
    kill_with_a_log(killed);
    name_in_place(to, "backup.db");
    copy_file("/dev/null", to);
    assert_int_equal(
        store_backup_copy(killed, to, &(struct backup_watch){0}, &facts, err, sizeof err),
        TEDDY_OK);
    assert_int_equal(marks_in(killed), 0);
    assert_int_equal(marks_in(to), 0);
}

static int sign_nothing(struct store_tx *tx, void *signer)
{
    (void)tx;
    (void)signer;
    return TEDDY_OK;
}

/* Both the copy and the former database, whose server was killed. */
static void a_restore_leaves_nothing(void **state)
{
    char killed[96], copy[96], err[256] = "";
    struct restore_counts counts;
    (void)state;
    kill_with_a_log(killed);
    name_in_place(copy, "copy.db");
    copy_file(place.path, copy);
    struct restore_job job = {.store = {.path = copy, .master = test_master()},
                              .former = killed,
                              .now_s = 5,
                              .made_s = 4,
                              .actor = "test",
                              .sign = sign_nothing};
    assert_int_equal(store_restore(&job, &counts, err, sizeof err), TEDDY_OK);
    assert_int_equal(counts.devices, DEVICES);
    assert_int_equal(marks_in(copy), 0);
    assert_int_equal(marks_in(killed), 0);
}

static void a_former_database_keeps_nothing(void **state)
{
    char killed[96], kept[96], copy[128], err[256] = "";
    (void)state;
    kill_with_a_log(killed);
    name_in_place(kept, "kept.db");
    snprintf(copy, sizeof copy, "%s" STORE_RESTORE_SUFFIX, killed);
    copy_file("/dev/null", copy);
    if (store_swap(killed, kept, err, sizeof err) != TEDDY_OK)
        fail_msg("%s", err);
    assert_int_equal(marks_in(kept), 0);
}

/* The pages by which auto_vacuum finds others begin as those of a tree do. */
static void other_pages_are_refused(void **state)
{
    static const char *const made[] = {"PRAGMA auto_vacuum=FULL; VACUUM",
                                       "PRAGMA auto_vacuum=INCREMENTAL; VACUUM",
                                       "PRAGMA journal_mode=DELETE; PRAGMA page_size=8192; VACUUM",
                                       "PRAGMA journal_mode=DELETE; PRAGMA page_size=1024; VACUUM"};
    struct store_options o = {.path = place.path, .master = test_master()};
    (void)state;
    for (size_t i = 0; i < sizeof made / sizeof made[0]; i++) {
        struct store *s = must_open(&o);
        char err[512] = "";
        store_close(s);
        raw(made[i]);
        s = NULL;
        assert_int_equal(store_open(&o, &s, err, sizeof err), TEDDY_ESTORE);
        assert_non_null(strstr(err, "its pages are not as teddyd makes them"));
        raw("PRAGMA journal_mode=DELETE; PRAGMA auto_vacuum=NONE; PRAGMA page_size=2048; VACUUM");
    }
    store_close(must_open(&o));
    assert_intact();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(other_pages_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(who_reads_the_trail_leaves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(who_makes_a_backup_leaves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_restore_leaves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_former_database_keeps_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(released_toys_leave_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(nor_do_they_in_larger_pages, setup, teardown),
        cmocka_unit_test_setup_teardown(without_the_filter_they_do, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
