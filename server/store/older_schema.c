#include "store/older_schema.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/internal.h"

/* In an order in which it can go. */
static const char takes_back[] =
    "WITH more AS (SELECT type, name, tbl_name FROM main.sqlite_schema WHERE sql IS NOT NULL"
    "  AND name NOT LIKE 'sqlite_%' AND name NOT IN (SELECT name FROM older.sqlite_schema))"
    "SELECT 1, 'DROP ' || type || ' ' || name FROM more WHERE type <> 'table'"
    " UNION ALL SELECT 2, 'ALTER TABLE ' || t.name || ' DROP COLUMN ' || c.name"
    "  FROM older.sqlite_schema t, pragma_table_info(t.name, 'main') c WHERE t.type = 'table'"
    "  AND c.name NOT IN (SELECT name FROM pragma_table_info(t.name, 'older'))"
    " UNION ALL SELECT 3, 'DROP TABLE ' || name FROM more WHERE type = 'table' ORDER BY 1";

static int collect(void *into, int columns, char **value, char **name)
{
    FILE *out = into;
    (void)columns;
    (void)name;
    return fprintf(out, "%s;", value[1]) < 0;
}

static bool run(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;
}

/* An empty one of that version, which is gone once db is closed. */
static bool attach(sqlite3 *db, const char *path, int version)
{
    char file[PATH_MAX], sql[PATH_MAX + 32];
    sqlite3 *older = NULL;
    snprintf(file, sizeof file, "%s.older", path);
    snprintf(sql, sizeof sql, "ATTACH '%s' AS older", file);
    (void)unlink(file);
    bool ok = sqlite3_open(file, &older) == SQLITE_OK && schema_build(older, version);
    ok = sqlite3_close(older) == SQLITE_OK && ok && run(db, sql);
    (void)unlink(file);
    return ok;
}

static bool take_back(sqlite3 *db, const char *path, int version)
{
    char *sql = NULL;
    size_t len;
    FILE *out = open_memstream(&sql, &len);
    bool ok = out != NULL && attach(db, path, version) &&
              sqlite3_exec(db, takes_back, collect, out, NULL) == SQLITE_OK;
    if (out != NULL)
        ok = fprintf(out, "PRAGMA main.user_version = %d", version) > 0 && fclose(out) == 0 && ok;
    ok = ok && len > 40 && run(db, "DETACH older") && run(db, sql);
    free(sql);
    return ok;
}

bool older_schema(const char *path, int version, char *err, size_t cap)
{
    sqlite3 *db = NULL;
    bool ok = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
              take_back(db, path, version);
    if (!ok)
        snprintf(err, cap, "%s: cannot be made a schema %d: %s", path, version, sqlite3_errmsg(db));
    sqlite3_close(db);
    return ok;
}
