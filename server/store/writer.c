/* The writer thread: whatever has gathered becomes one transaction, in which each job has its
 * own fate, and is answered after its commit. */
#include <time.h>

#include "store/internal.h"

/* The log is copied back into the database each time it has grown by CHECKPOINT_KIB, without
 * waiting for readers; past WAL_KIB_MAX it waits for them and cuts the log off. Our own hold a
 * snapshot for one batch; for another program's, that lasts for longer than all the tries, the log
 * grows on, at first by RETRY_KIB until it is tried again and each time by twice as many, so that
 * claims are not kept waiting for nothing. */
#define CHECKPOINT_KIB 64000
#define WAL_KIB_MAX    96000
#define RETRY_KIB      1000
#define CUT_TRIES      4
#define CUT_BUSY_MS    50
#define NORMAL_BUSY_MS 5000

static int count_pages(void *arg, sqlite3 *db, const char *name, int pages)
{
    struct store *s = arg;
    struct wal *wal = &s->wal;
    unsigned kib = (unsigned)pages * (s->writer.page_len / 1024);
    (void)db;
    (void)name;
    if (kib < wal->kib) /* the log began anew */
        *wal = (struct wal){0, CHECKPOINT_KIB, RETRY_KIB};
    wal->kib = kib;
    return SQLITE_OK;
}

void writer_watch_wal(struct store *s)
{
    s->wal = (struct wal){0, CHECKPOINT_KIB, RETRY_KIB};
    sqlite3_wal_hook(s->writer.db, count_pages, s);
}

/* Several short tries do what a long one cannot. Who reads without a pause keeps its place in the
 * list of readers, and to one try it is the reader that it was at first. But nothing is committed
 * between them: to the next try, its present snapshot is one of the whole log, which can then be
 * copied; and once it is, snapshots need no log, and it can be cut. */
static bool cut_log(sqlite3 *db, int tries, int busy_ms)
{
    int rc = SQLITE_BUSY;
    sqlite3_busy_timeout(db, busy_ms);
    for (int i = 0; i < tries && (rc & 0xff) == SQLITE_BUSY; i++)
        rc = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    sqlite3_busy_timeout(db, NORMAL_BUSY_MS);
    return rc == SQLITE_OK;
}

static void checkpoint(struct store *s)
{
    struct wal *wal = &s->wal;
    unsigned step = CHECKPOINT_KIB;
    if (wal->kib < wal->checkpoint_at)
        return;
    if (wal->kib < WAL_KIB_MAX) {
        (void)sqlite3_wal_checkpoint_v2(s->writer.db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    } else if (!cut_log(s->writer.db, CUT_TRIES, CUT_BUSY_MS)) {
        step = wal->retry;
        wal->retry = step < CHECKPOINT_KIB / 2 ? 2 * step : CHECKPOINT_KIB;
    }
    wal->checkpoint_at = wal->kib + step;
}

/* After a job whose deletions have to be true of the files before it is answered: the log is copied
 * back and cut off, which zeroes what is free in the pages (database_file.c), and the pages in
 * memory, in which it is not, are given up. When a reader is in the way, it is tried again after
 * each group. */
static void scrub(struct store *s)
{
    bool asked = s->writer.scrub;
    s->writer.scrub = false;
    if (!asked && !s->scrub_due)
        return;
    s->scrub_due =
        asked ? !cut_log(s->writer.db, CUT_TRIES, CUT_BUSY_MS) : !cut_log(s->writer.db, 1, 0);
    if (!s->scrub_due)
        (void)sqlite3_db_release_memory(s->writer.db);
}

static void rollback(struct store_tx *tx)
{
    audit_undone(tx);
    if (!sqlite3_get_autocommit(tx->db))
        (void)tx_exec(tx, STMT_ROLLBACK, "ROLLBACK");
}

/* TEDDY_ESTORE: the whole transaction is lost, not this job alone. */
static int run_job(struct store_tx *tx, struct store_job *job)
{
    tx->broken = false;
    job->result = job->run(tx, job);
    if (tx->broken && job->result >= 0)
        job->result = TEDDY_ESTORE;
    return sqlite3_get_autocommit(tx->db) ? TEDDY_ESTORE : TEDDY_OK;
}

/* So that the job can be undone alone. A savepoint copies every page that the job changes. */
static int run_guarded(struct store_tx *tx, struct store_job *job)
{
    if (tx_exec(tx, STMT_SAVEPOINT, "SAVEPOINT job") != TEDDY_OK || run_job(tx, job) != TEDDY_OK)
        return TEDDY_ESTORE;
    if (job->result < 0) {
        audit_undone(tx);
        if (tx_exec(tx, STMT_SAVEPOINT_UNDO, "ROLLBACK TO job") != TEDDY_OK)
            return TEDDY_ESTORE;
    }
    return tx_exec(tx, STMT_SAVEPOINT_RELEASE, "RELEASE job");
}

/* TEDDY_EDUP: the job has to be undone, and cannot be. */
static int run_bare(struct store_tx *tx, struct store_job *job)
{
    sqlite3_int64 before = sqlite3_total_changes64(tx->db);
    if (run_job(tx, job) != TEDDY_OK)
        return TEDDY_ESTORE;
    bool undo = job->result < 0 && sqlite3_total_changes64(tx->db) != before;
    return undo ? TEDDY_EDUP : TEDDY_OK;
}

/* One try at the group. A job that costs the whole transaction is left in *culprit. */
struct attempt {
    bool guarded;
    const struct store_job *skip;
    struct store_job *culprit;
};

static int run_group(struct store_tx *tx, struct store_job *group, struct attempt *a)
{
    a->culprit = NULL;
    if (tx_exec(tx, STMT_BEGIN_WRITE, "BEGIN IMMEDIATE") != TEDDY_OK)
        return TEDDY_ESTORE;
    for (struct store_job *job = group; job != NULL; job = job->next) {
        int err = job == a->skip ? TEDDY_OK : a->guarded ? run_guarded(tx, job) : run_bare(tx, job);
        if (err == TEDDY_OK)
            continue;
        a->culprit = job;
        rollback(tx);
        return err;
    }
    if (tx_exec(tx, STMT_COMMIT, "COMMIT") == TEDDY_OK) {
        audit_kept(tx);
        return TEDDY_OK;
    }
    rollback(tx);
    return TEDDY_ESTORE;
}

static int commit_group(struct store_tx *tx, struct store_job *group, struct attempt *a)
{
    int err = run_group(tx, group, a);
    log_forget(tx->db);
    return err;
}

/* Jobs seldom fail once they have written, so the group first runs without savepoints; and when one
 * costs the whole transaction, perhaps only that one is too much. *skipped: it was left out. */
static int commit_all(struct store_tx *tx, struct store_job *group, struct store_job **skipped)
{
    struct attempt a = {0};
    int err = commit_group(tx, group, &a);
    if (err == TEDDY_EDUP) {
        a.guarded = true;
        err = commit_group(tx, group, &a);
    }
    *skipped = err != TEDDY_OK ? a.culprit : NULL;
    if (*skipped == NULL)
        return err;
    a.guarded = true;
    a.skip = *skipped;
    return commit_group(tx, group, &a);
}

static uint64_t clock_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void write_group(struct store *s, struct store_job *group)
{
    struct store_job *culprit = NULL;
    uint64_t began_us = clock_us();
    int err = commit_all(&s->writer, group, &culprit);
    if (err == TEDDY_OK && s->committed)
        s->committed(clock_us() - began_us);
    tx_report(&s->writer);
    unsigned long long jobs = 0;
    for (struct store_job *job = group; job != NULL; job = job->next) {
        if (err != TEDDY_OK || job == culprit)
            job->result = TEDDY_ESTORE;
        else
            jobs++;
    }
    if (err == TEDDY_OK) {
        atomic_fetch_add_explicit(&s->commits, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&s->jobs, jobs, memory_order_relaxed);
    }
    scrub(s);
    for (struct store_job *job = group, *next; job != NULL; job = next) {
        next = job->next; /* done may free the job */
        job->done(job);
    }
    checkpoint(s);
}

void *writer_main(void *arg)
{
    struct store *s = arg;
    struct store_job *group;
    while ((group = queue_take(&s->writes, s->group_max)) != NULL)
        write_group(s, group);
    return NULL;
}
