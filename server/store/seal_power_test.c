/* Power lost at each moment of the start that seals what an older release kept in the clear: the
 * next start has all secrets, and no file has one. */
#include "store/test_unsealed.h"

#include <sqlite3.h>
#include <sys/stat.h>

#include "tests/lib/lossy_vfs.h"

#define TOYS 24

static struct place place;

static void sql(sqlite3 *db, const char *text)
{
    char *why = NULL;
    if (sqlite3_exec(db, text, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s: %s", text, why);
}

static void insert_toy(sqlite3 *db, unsigned n)
{
    uint8_t secret[LIMIT_SECRET_LEN];
    sqlite3_stmt *st = NULL;
    char id[32];
    secret_of(n, secret);
    snprintf(id, sizeof id, "toy-%u", n);
    assert_int_equal(sqlite3_prepare_v2(db,
                                        "INSERT INTO device (device_id, secret, created_s)"
                                        " VALUES (?1, ?2, 5)",
                                        -1, &st, NULL),
                     SQLITE_OK);
    sqlite3_bind_text(st, 1, id, -1, SQLITE_STATIC);
    sqlite3_bind_blob(st, 2, secret, sizeof secret, SQLITE_STATIC);
    assert_int_equal(sqlite3_step(st), SQLITE_DONE);
    sqlite3_finalize(st);
}

/* What schema 3 kept of TOYS toys, and of as many that were removed. */
static void make_plain(void)
{
    sqlite3 *db = NULL;
    place_make(&place);
    store_close(must_open(&(struct store_options){.path = place.path, .unsafe_no_sync = true}));
    assert_int_equal(sqlite3_open(place.path, &db), SQLITE_OK);
    sql(db, "PRAGMA journal_mode = DELETE; PRAGMA synchronous = OFF; PRAGMA secure_delete = OFF;");
    make_unsealed(db, UNSEALED_FIRST);
    for (unsigned n = 0; n < 2 * TOYS; n++)
        insert_toy(db, n);
    sql(db, "DELETE FROM device WHERE CAST(substr(device_id, 5) AS INTEGER) >= 24");
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static int look(struct store_tx *tx, void *arg)
{
    uint8_t secret[LIMIT_SECRET_LEN], want[LIMIT_SECRET_LEN];
    struct device_row row;
    char id[32];
    (void)arg;
    for (unsigned n = 0; n < TOYS; n++) {
        snprintf(id, sizeof id, "toy-%u", n);
        secret_of(n, want);
        if (store_device_get(tx, id, &row) != TEDDY_OK ||
            store_device_unseal(tx, &row, secret) != TEDDY_OK ||
            memcmp(secret, want, sizeof want) != 0)
            return TEDDY_ENOTFOUND;
    }
    return TEDDY_OK;
}

static bool holds_secret(const char *end)
{
    static char all[1 << 20];
    char path[96];
    bool found = false;
    snprintf(path, sizeof path, "%s%s", place.path, end);
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        return false;
    size_t len = fread(all, 1, sizeof all, f);
    assert_true(len < sizeof all);
    fclose(f);
    for (unsigned n = 0; n < 2 * TOYS; n++) {
        uint8_t secret[LIMIT_SECRET_LEN];
        secret_of(n, secret);
        found |= memmem(all, len, secret, sizeof secret) != NULL;
    }
    return found;
}

/* True once the start needs fewer than so many calls. */
static bool cut_at(uint64_t calls, enum lossy_mode mode)
{
    struct store_options o = {.path = place.path, .master = test_master(), .vfs = LOSSY_VFS};
    struct store *s = NULL;
    char err[512];
    make_plain();
    assert_true(holds_secret(""));
    lossy_vfs_cut_after(calls);
    (void)(store_open(&o, &s, err, sizeof err) == TEDDY_OK); /* it may, or not */
    bool whole = !lossy_vfs_is_cut();
    lossy_vfs_cut();
    store_close(s);
    lossy_vfs_restart(mode, calls);
    s = must_open(&o);
    assert_int_equal(in_write(s, look, NULL), TEDDY_OK);
    assert_int_equal(in_read(s, look, NULL), TEDDY_OK);
    lossy_vfs_cut(); /* what is on the disk by now is what counts */
    store_close(s);
    lossy_vfs_restart(LOSSY_DROP, calls);
    assert_false(holds_secret(""));
    assert_false(holds_secret("-wal"));
    place_remove(&place);
    return whole;
}

static void nothing_is_lost_and_nothing_left(void **state)
{
    (void)state;
    uint64_t calls = 1;
    assert_int_equal(lossy_vfs_register(), 0);
    while (!cut_at(calls, calls % 2 == 0 ? LOSSY_TEAR : LOSSY_DROP))
        calls++;
    assert_true(calls > 30); /* the cut fell into the sealing and the sweep */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost_and_nothing_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
