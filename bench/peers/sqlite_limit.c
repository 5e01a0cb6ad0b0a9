/* What SQLite itself can do: the rows of a claim in groups, a synced commit each, prepared
 * statements, nothing else in the process. sqlite_limit DB DEVICES GROUP SECONDS prints one JSON
 * line. The tables are those of a claim: a device to bind, two keys that are never accepted again,
 * a token family. */
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>

static const char tables[] =
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-32768;"
    "PRAGMA wal_autocheckpoint=2000; PRAGMA foreign_keys=ON;"
    "CREATE TABLE device (row INTEGER PRIMARY KEY, device_id TEXT NOT NULL UNIQUE, secret BLOB NOT "
    "NULL UNIQUE, child_id TEXT NOT NULL DEFAULT '', claimed_s INTEGER NOT NULL DEFAULT 0) STRICT;"
    "CREATE TABLE claim_key (device_row INTEGER NOT NULL REFERENCES device (row), kind INTEGER NOT "
    "NULL, key BLOB NOT NULL, accepted_s INTEGER NOT NULL, PRIMARY KEY (device_row, kind, key)) "
    "STRICT, WITHOUT ROWID;"
    "CREATE TABLE family (sid BLOB NOT NULL PRIMARY KEY, device_row INTEGER NOT NULL REFERENCES "
    "device (row), child_id TEXT NOT NULL, access_jti BLOB NOT NULL, refresh_jti BLOB NOT NULL, "
    "iat_s INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE INDEX family_device ON family (device_row);"
    "BEGIN;";

static sqlite3 *db;

static void check(bool ok)
{
    if (ok)
        return;
    (void)fprintf(stderr, "sqlite_limit: %s\n", sqlite3_errmsg(db));
    exit(1);
}

static sqlite3_stmt *prepare(const char *sql)
{
    sqlite3_stmt *st = NULL;
    check(sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &st, NULL) == SQLITE_OK);
    return st;
}

static void run(sqlite3_stmt *st)
{
    check(sqlite3_step(st) == SQLITE_DONE);
    sqlite3_reset(st);
}

static void begin_with(const char *path, int64_t devices)
{
    check(sqlite3_open(path, &db) == SQLITE_OK);
    check(sqlite3_exec(db, tables, NULL, NULL, NULL) == SQLITE_OK);
    sqlite3_stmt *st = prepare("INSERT INTO device (row, device_id, secret) VALUES (?1, ?2, ?3)");
    for (int64_t i = 1; i <= devices; i++) {
        char name[32];
        uint8_t secret[32];
        (void)snprintf(name, sizeof name, "toy-%06lld", (long long)i);
        check(getrandom(secret, sizeof secret, 0) == sizeof secret);
        sqlite3_bind_int64(st, 1, i);
        sqlite3_bind_text(st, 2, name, -1, SQLITE_STATIC);
        sqlite3_bind_blob(st, 3, secret, sizeof secret, SQLITE_STATIC);
        run(st);
    }
    sqlite3_finalize(st);
    check(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK);
}

struct statements {
    sqlite3_stmt *begin, *device, *keys, *family, *commit;
};

static void claim(const struct statements *s, int64_t device, int64_t n)
{
    uint8_t fresh[24 + 32 + 16 * 3]; /* nonce, MAC, sid and two jtis */
    check(getrandom(fresh, sizeof fresh, 0) == sizeof fresh);
    for (int i = 0; i < 5; i++) /* a sid begins with its time */
        fresh[56 + i] = (uint8_t)(n >> (8 * (4 - i)));
    sqlite3_bind_int64(s->device, 1, device);
    sqlite3_bind_int64(s->device, 2, n);
    run(s->device);
    sqlite3_bind_int64(s->keys, 1, device);
    sqlite3_bind_blob(s->keys, 2, fresh, 24, SQLITE_STATIC);
    sqlite3_bind_blob(s->keys, 3, fresh + 24, 32, SQLITE_STATIC);
    sqlite3_bind_int64(s->keys, 4, n);
    run(s->keys);
    sqlite3_bind_blob(s->family, 1, fresh + 56, 16, SQLITE_STATIC);
    sqlite3_bind_int64(s->family, 2, device);
    sqlite3_bind_blob(s->family, 3, fresh + 72, 16, SQLITE_STATIC);
    sqlite3_bind_blob(s->family, 4, fresh + 88, 16, SQLITE_STATIC);
    sqlite3_bind_int64(s->family, 5, n);
    run(s->family);
}

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int64_t cpu_us(void)
{
    struct rusage u;
    (void)getrusage(RUSAGE_SELF, &u);
    return ((int64_t)u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 + u.ru_utime.tv_usec +
           u.ru_stime.tv_usec;
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    int64_t devices = strtol(argv[2], NULL, 10), group = strtol(argv[3], NULL, 10);
    int64_t seconds = strtol(argv[4], NULL, 10), done = 0;
    if (devices < 1 || group < 1 || seconds < 1)
        return 2;
    begin_with(argv[1], devices);
    const struct statements s = {
        prepare("BEGIN IMMEDIATE"),
        prepare("UPDATE device SET child_id = 'child-1', claimed_s = ?2 WHERE row = ?1"),
        prepare("INSERT INTO claim_key VALUES (?1, 0, ?2, ?4), (?1, 1, ?3, ?4)"),
        prepare("INSERT INTO family VALUES (?1, ?2, 'child-1', ?3, ?4, ?5)"), prepare("COMMIT")};
    int64_t begun = now_us(), cpu = cpu_us();
    for (; now_us() - begun < seconds * 1000000; done += group) {
        run(s.begin);
        for (int64_t i = 0; i < group; i++)
            claim(&s, (done + i) % devices + 1, done + i);
        run(s.commit);
    }
    printf("{\"group\":%lld,\"operations\":%lld,\"seconds\":%.3f,\"server_cpu_s\":%.3f}\n",
           (long long)group, (long long)done, (double)(now_us() - begun) / 1e6,
           (double)(cpu_us() - cpu) / 1e6);
    return 0;
}
