/* Whether a database that comes from outside has this program's tables and nothing else: a trigger
 * or a view in it would be run by whoever works on it, today or after the restore. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "store/internal.h"

/* Statistics, by SQLite itself, are no harm. */
static const char objects[] =
    "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE coalesce(sql, '') NOT IN"
    " ('CREATE TABLE sqlite_stat1(tbl,idx,stat)',"
    " 'CREATE TABLE sqlite_stat4(tbl,idx,neq,nlt,ndlt,sample)') ORDER BY type, name";
#define COLUMNS 4

/* Releases of SQLite put a statement that was altered together with other blanks and quotes. */
static char next_of(const unsigned char **p)
{
    while (**p != '\0' && (isspace(**p) || **p == '"'))
        ++*p;
    return **p == '\0' ? '\0' : (char)*(*p)++;
}

static bool same_text(const unsigned char *a, const unsigned char *b)
{
    char c;
    if (a == NULL || b == NULL)
        return a == b;
    do {
        c = next_of(&a);
        if (c != next_of(&b))
            return false;
    } while (c != '\0');
    return true;
}

static bool same_row(sqlite3_stmt *a, sqlite3_stmt *b)
{
    bool same = true;
    for (int i = 0; i < COLUMNS; i++)
        same = same && same_text(sqlite3_column_text(a, i), sqlite3_column_text(b, i));
    return same;
}

/* The first object in which they differ, or that only one has. */
static int explain(sqlite3_stmt *own, sqlite3_stmt *its, const char *name, char *err, size_t cap)
{
    const char *a = (const char *)sqlite3_column_text(own, 1);
    const char *b = (const char *)sqlite3_column_text(its, 1);
    bool missing = a != NULL && (b == NULL || strcmp(a, b) < 0);
    char what[64];
    snprintf(what, sizeof what, "%s", missing ? a : b != NULL ? b : "");
    for (char *p = what; *p != '\0'; p++)
        if (!isalnum((unsigned char)*p) && *p != '_')
            *p = '?';
    snprintf(err, cap, "%s: its tables are not those of teddyd: %s %s", name, what,
             missing ? "is missing" : "is another's; drop it, or take another backup");
    return TEDDY_ESTORE;
}

static int compare(sqlite3_stmt *own, sqlite3_stmt *its, const char *name, char *err, size_t cap)
{
    int a, b;
    do {
        a = sqlite3_step(own);
        b = sqlite3_step(its);
        if ((a != SQLITE_ROW && a != SQLITE_DONE) || (b != SQLITE_ROW && b != SQLITE_DONE)) {
            snprintf(err, cap, "%s: its tables cannot be read: %s", name, sqlite3_errstr(b));
            return TEDDY_ESTORE;
        }
        if (a != b || (a == SQLITE_ROW && !same_row(own, its)))
            return explain(own, its, name, err, cap);
    } while (a == SQLITE_ROW);
    return TEDDY_OK;
}

int schema_compare(struct store_tx *tx, const char *name, int version, char *err, size_t cap)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *own = NULL, *its = NULL;
    int rc = TEDDY_ESTORE;
    if (sqlite3_open_v2(":memory:", &db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_MEMORY | SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK ||
        !schema_build(db, version) || sqlite3_prepare_v2(db, objects, -1, &own, NULL) != SQLITE_OK)
        snprintf(err, cap, "%s: its tables cannot be compared: %s", name, sqlite3_errmsg(db));
    else if (sqlite3_prepare_v2(tx->db, objects, -1, &its, NULL) != SQLITE_OK)
        snprintf(err, cap, "%s: %s", name, sqlite3_errmsg(tx->db));
    else
        rc = compare(own, its, name, err, cap);
    sqlite3_finalize(its);
    sqlite3_finalize(own);
    sqlite3_close_v2(db);
    return rc;
}
