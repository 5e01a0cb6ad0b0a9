/* What SQLite itself can do with a claim's rows: in groups, a synced commit each, prepared
 * statements, nothing else in the process; any device may come next, as in the load generator.
 * sqlite_limit DB GROUP SECONDS [EVERY] prints one JSON line. DB is a copy of teddyd's own
 * database, so that tables, indexes, pages and devices are its own; EVERY: of the devices, each
 * so-manieth alone claims (1: all). What is written is what server/store writes for a claim: the
 * device's row with its new family and its newest nonces and MACs, for every eighth claim of a
 * device a row of each of those, and an event of the audit trail. Each device has claimed once.
 * Settings are those of the store's writer. */
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { NONCE = 24, MAC = 32, ID = 16, TTL_S = 86400 };
enum { ENTRY = 5 + NONCE + MAC, RECENT = 511 / ENTRY }; /* as server/store/claims.c packs them */

static const char settings[] = "PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF;"
                               "PRAGMA temp_store=MEMORY; PRAGMA journal_mode=WAL;"
                               "PRAGMA synchronous=FULL; PRAGMA cache_size=-32768;"
                               "PRAGMA secure_delete=ON;";
#define CHECKPOINT_BYTES (64000 * 1024)

static sqlite3 *db;

struct statements {
    sqlite3_stmt *begin, *key, *bind, *audit, *commit;
};

static void check(bool ok)
{
    if (ok)
        return;
    (void)fprintf(stderr, "sqlite_limit: %s\n", db == NULL ? "cannot open" : sqlite3_errmsg(db));
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

static int64_t number(const char *sql)
{
    sqlite3_stmt *st = prepare(sql);
    check(sqlite3_step(st) == SQLITE_ROW);
    int64_t n = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return n;
}

/* Numbers that do not repeat, at no cost that would count (xorshift64*). */
static uint64_t draw(void)
{
    static uint64_t x;
    if (x == 0)
        x = (uint64_t)time(NULL) | 1;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    return x * 0x2545f4914f6cdd1d;
}

static void fill(uint8_t *out, size_t len)
{
    for (size_t i = 0; i < len; i += 8) {
        uint64_t word = draw();
        memcpy(out + i, &word, 8);
    }
}

static void add_key(sqlite3_stmt *st, int64_t device, int kind, const void *key, int len,
                    int64_t now)
{
    sqlite3_bind_int64(st, 1, device);
    sqlite3_bind_int(st, 2, kind);
    sqlite3_bind_blob(st, 3, key, len, SQLITE_STATIC);
    sqlite3_bind_int64(st, 4, now);
    run(st);
}

/* What a device's row holds: how many entries, whichever they are. */
static uint8_t *recent;
static int64_t events;

static void move_keys(const struct statements *s, int64_t device, int64_t now)
{
    uint8_t fresh[NONCE + MAC];
    for (int i = 0; i < RECENT; i++) {
        fill(fresh, sizeof fresh);
        add_key(s->key, device, 0, fresh, NONCE, now);
        add_key(s->key, device, 1, fresh + NONCE, MAC, now);
    }
    recent[device] = 0;
}

static void tell(const struct statements *s, int64_t device, int64_t now)
{
    uint8_t fresh[ID + MAC];
    char id[24];
    fill(fresh, sizeof fresh);
    int len = snprintf(id, sizeof id, "toy-%07lld", (long long)device);
    sqlite3_bind_int64(s->audit, 1, ++events);
    sqlite3_bind_int64(s->audit, 2, now * 1000);
    sqlite3_bind_text(s->audit, 3, id, len, SQLITE_STATIC);
    sqlite3_bind_blob(s->audit, 4, fresh, ID, SQLITE_STATIC);
    sqlite3_bind_blob(s->audit, 5, fresh + ID, MAC, SQLITE_STATIC);
    sqlite3_bind_int64(s->audit, 6, (int64_t)(draw() % (uint64_t)events)); /* the one before */
    run(s->audit);
}

static void claim(const struct statements *s, int64_t device, int64_t now)
{
    static uint8_t entries[(1 + RECENT * ENTRY + 7) / 8 * 8];
    uint8_t fresh[3 * ID];
    if (recent[device] == RECENT)
        move_keys(s, device, now);
    recent[device]++;
    fill(fresh, sizeof fresh);
    fill(entries, sizeof entries);
    sqlite3_bind_int64(s->bind, 1, device);
    sqlite3_bind_int64(s->bind, 2, now);
    for (int i = 0; i < 3; i++)
        sqlite3_bind_blob(s->bind, 3 + i, fresh + (size_t)i * ID, ID, SQLITE_STATIC);
    sqlite3_bind_int64(s->bind, 6, now + TTL_S);
    sqlite3_bind_blob(s->bind, 7, entries, 1 + recent[device] * ENTRY, SQLITE_STATIC);
    sqlite3_bind_int64(s->bind, 8, events + 1);
    run(s->bind);
    tell(s, device, now);
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

static struct statements begin_with(const char *path)
{
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    check(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) ==
          SQLITE_OK);
    check(sqlite3_exec(db, settings, NULL, NULL, NULL) == SQLITE_OK);
    /* With no reader, checkpointing at each commit from there on is what the writer does. */
    sqlite3_wal_autocheckpoint(db, (int)(CHECKPOINT_BYTES / number("PRAGMA page_size")));
    return (struct statements){
        prepare("BEGIN IMMEDIATE"),
        prepare("INSERT INTO claim_key (device_row, kind, key, accepted_s)"
                " VALUES (?1, ?2, ?3, ?4)"),
        prepare("UPDATE device SET firmware_version = '',"
                " client_timestamp = '', claimed_s = ?2, seen_s = ?2, sid = ?3, access_jti = ?4,"
                " refresh_jti = ?5, iat_s = ?2, access_exp_s = ?6, refresh_exp_s = ?6,"
                " presented = 0, spent_jti = NULL, spent_s = 0, recent = ?7, event = ?8"
                " WHERE row = ?1"),
        prepare("INSERT INTO audit (n, at_ms, event, device_id, child, actor, detail, hash,"
                " prev) VALUES (?1, ?2, 'claim.accepted', ?3, ?4, 'toy', '', ?5, ?6)"),
        prepare("COMMIT")};
}

int main(int argc, char **argv)
{
    if (argc != 4 && argc != 5)
        return 2;
    int64_t group = strtol(argv[2], NULL, 10), done = 0;
    int64_t every = argc == 5 ? strtol(argv[4], NULL, 10) : 1;
    int64_t lasts_us = (int64_t)(strtod(argv[3], NULL) * 1e6);
    if (group < 1 || every < 1 || lasts_us < 1)
        return 2;
    const struct statements s = begin_with(argv[1]);
    int64_t devices = number("SELECT max(row) FROM device"), now = (int64_t)time(NULL);
    uint64_t claimers = (uint64_t)(devices / every);
    check(claimers > 0);
    events = number("SELECT coalesce(max(n), 0) FROM audit");
    recent = malloc((size_t)devices + 1);
    check(recent != NULL);
    memset(recent, 1, (size_t)devices + 1);
    int64_t begun = now_us(), cpu = cpu_us();
    for (; now_us() - begun < lasts_us; done += group) {
        run(s.begin);
        for (int64_t i = 0; i < group; i++)
            claim(&s, (int64_t)(draw() % claimers) * every + 1, now);
        run(s.commit);
    }
    printf("{\"group\":%lld,\"operations\":%lld,\"seconds\":%.3f,\"server_cpu_s\":%.3f}\n",
           (long long)group, (long long)done, (double)(now_us() - begun) / 1e6,
           (double)(cpu_us() - cpu) / 1e6);
    return 0;
}
