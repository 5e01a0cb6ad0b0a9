/* What the tests of sealing share: a database as releases kept it that did not seal. */
#ifndef STORE_TEST_UNSEALED_H
#define STORE_TEST_UNSEALED_H

#include <sqlite3.h>

#include "store/test_store.h"

enum { UNSEALED_FIRST = 3, UNSEALED_LAST = 5 }; /* the schemas that are tried */

/* Takes away a table that came after this schema; false: there is none. */
static inline bool drop_one_later(sqlite3 *db, int version)
{
    static const char later[] =
        "SELECT 'DROP TABLE ' || name FROM sqlite_schema WHERE type = 'table'"
        " AND name NOT LIKE 'sqlite_%' AND name NOT IN ('device', 'claim_key', 'downlink', "
        "'server')"
        " AND NOT (name = 'admin_token' AND ?1 >= 4) AND NOT (name = 'batch' AND ?1 >= 5)";
    sqlite3_stmt *st = NULL;
    char drop[80] = "";
    assert_int_equal(sqlite3_prepare_v2(db, later, -1, &st, NULL), SQLITE_OK);
    sqlite3_bind_int(st, 1, version);
    if (sqlite3_step(st) == SQLITE_ROW)
        snprintf(drop, sizeof drop, "%s", (const char *)sqlite3_column_text(st, 0));
    sqlite3_finalize(st);
    assert_int_equal(sqlite3_exec(db, drop, NULL, NULL, NULL), SQLITE_OK);
    return drop[0] != '\0';
}

/* Back to that schema. There is no device yet. */
static inline void make_unsealed(sqlite3 *db, int version)
{
    char sql[400];
    while (drop_one_later(db, version))
        continue;
    snprintf(sql, sizeof sql,
             "DROP INDEX IF EXISTS device_child; ALTER TABLE server DROP COLUMN erasures;"
             "ALTER TABLE device DROP COLUMN recent; ALTER TABLE device DROP COLUMN event;"
             "ALTER TABLE device DROP COLUMN processor; ALTER TABLE device DROP COLUMN sealed;"
             "ALTER TABLE device RENAME COLUMN fingerprint TO secret; PRAGMA user_version = %d;",
             version);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
}

#endif
