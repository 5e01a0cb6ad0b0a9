/* What the tests of a restore share: the former database, and the copy that is to follow it. */
#ifndef STORE_TEST_RESTORE_H
#define STORE_TEST_RESTORE_H

#include <sqlite3.h>

#include "store/erasures.h"
#include "store/restore.h"
#include "store/test_store.h"

static struct place place;
static char copy[80];
static bool lost; /* the former one */

static inline int setup(void **state)
{
    (void)state;
    lost = false;
    place_make(&place);
    snprintf(copy, sizeof copy, "%s" STORE_RESTORE_SUFFIX, place.path);
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    char list[96];
    snprintf(list, sizeof list, "%s/" ERASURES_FILE, place.dir);
    unlink(list);
    unlink(copy);
    place_remove(&place);
    return 0;
}

static inline void in_store(const char *path, in_tx *fn, void *arg)
{
    struct store *s = must_open(&(struct store_options){.path = path, .unsafe_no_sync = true});
    assert_int_equal(in_write(s, fn, arg), TEDDY_OK);
    store_close(s);
}

static inline void in_sql(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    char *why = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s: %s", sql, why);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* The backup is the database as it is now. */
static inline void back_up(void)
{
    char sql[128];
    snprintf(sql, sizeof sql, "VACUUM INTO '%s'", copy);
    in_sql(place.path, sql);
}

static inline int sign_nothing(struct store_tx *tx, void *signer)
{
    (void)tx;
    (void)signer;
    return TEDDY_OK;
}

static inline int restored(struct restore_counts *counts, char *err, size_t cap)
{
    struct restore_job job = {.store = {.path = copy, .master = test_master()},
                              .former = lost ? NULL : place.path,
                              .now_s = 1000,
                              .made_s = 500,
                              .actor = "uid:0",
                              .sign = sign_nothing};
    return store_restore(&job, counts, err, cap);
}

static inline struct restore_counts must_restore(void)
{
    struct restore_counts counts;
    char err[512] = "";
    if (restored(&counts, err, sizeof err) != TEDDY_OK)
        fail_msg("%s", err);
    return counts;
}

struct device {
    const char *id;
    unsigned secret;
    uint64_t made_s;
};

static inline int add_body(struct store_tx *tx, void *arg)
{
    const struct device *d = arg;
    uint8_t secret[LIMIT_SECRET_LEN];
    secret_of(d->secret, secret);
    return store_device_add(tx, d->id, secret, d->made_s);
}

static inline void add(const char *path, const char *id, unsigned secret, uint64_t made_s)
{
    in_store(path, add_body, &(struct device){id, secret, made_s});
}

#endif
