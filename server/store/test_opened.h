/* For tests that begin with a new store, open, and end with it closed: their fixture, and what they
 * ask it and the database behind its back. */
#ifndef STORE_TEST_OPENED_H
#define STORE_TEST_OPENED_H

#include <sqlite3.h>

#include "store/test_store.h"

static struct place place;
static struct store *store;

static inline void reopen(void)
{
    if (store != NULL)
        store_close(store);
    store = must_open(&(struct store_options){.path = place.path, .unsafe_no_sync = true});
}

static inline int setup(void **state)
{
    (void)state;
    place_make(&place);
    reopen();
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    store_close(store);
    store = NULL;
    place_remove(&place);
    return 0;
}

static inline void run(in_tx *fn, void *arg)
{
    assert_int_equal(in_write(store, fn, arg), TEDDY_OK);
}

static inline void raw(const char *sql)
{
    sqlite3 *db = NULL;
    char *why = NULL;
    assert_int_equal(sqlite3_open(place.path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s: %s", sql, why);
    sqlite3_close(db);
}

/* The first column of the first row. */
static inline int64_t number(const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    assert_int_equal(sqlite3_open(place.path, &db), SQLITE_OK);
    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    sqlite3_close(db);
    return n;
}

#endif
