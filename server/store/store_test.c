/* Opening, refusing, queueing, group commit and closing. */
#include "store/internal.h"
#include "store/test_store.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/stat.h>

static struct place place;
static struct store_options options;

static int setup(void **state)
{
    (void)state;
    place_make(&place);
    options = (struct store_options){.path = place.path, .readers = 2};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    place_remove(&place);
    return 0;
}

static void raw_sql(const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(place.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static int schema_version(void)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    assert_int_equal(sqlite3_open(place.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    int version = sqlite3_column_int(st, 0);
    sqlite3_finalize(st);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return version;
}

static void assert_refused(const char *because)
{
    struct store *s = NULL;
    char err[512] = "";
    assert_int_equal(store_open(&options, &s, err, sizeof err), TEDDY_ESTORE);
    assert_null(s);
    if (strstr(err, because) == NULL || strstr(err, options.path) == NULL)
        fail_msg("\"%s\" does not say \"%s\" and the path", err, because);
}

static int add(struct store_tx *tx, void *arg)
{
    unsigned n = *(unsigned *)arg;
    uint8_t secret[LIMIT_SECRET_LEN];
    char id[32];
    secret_of(n, secret);
    snprintf(id, sizeof id, "toy-%u", n);
    return store_device_add(tx, id, secret, 1000);
}

static int get(struct store_tx *tx, void *arg)
{
    struct device_row row;
    char id[32];
    snprintf(id, sizeof id, "toy-%u", *(unsigned *)arg);
    return store_device_get(tx, id, &row);
}

static void assert_mode(const char *end)
{
    char path[80];
    struct stat st;
    snprintf(path, sizeof path, "%s%s", place.path, end);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void test_makes_private_files(void **state)
{
    (void)state;
    unsigned n = 1;
    mode_t before = umask(0);
    struct store *s = must_open(&options);
    assert_int_equal(in_write(s, add, &n), TEDDY_OK);
    umask(before);
    assert_mode("");
    assert_mode("-wal");
    assert_mode("-shm");
    store_close(s);
}

static void test_tightens_an_open_file(void **state)
{
    (void)state;
    store_close(must_open(&options));
    assert_int_equal(chmod(place.path, 0644), 0);
    store_close(must_open(&options));
    assert_mode("");
}

static void test_keeps_what_was_written(void **state)
{
    (void)state;
    unsigned n = 7, other = 8;
    struct store *s = must_open(&options);
    assert_int_equal(in_write(s, add, &n), TEDDY_OK);
    store_close(s);
    s = must_open(&options);
    assert_int_equal(in_read(s, get, &n), TEDDY_OK);
    assert_int_equal(in_read(s, get, &other), TEDDY_ENOTFOUND);
    store_close(s);
}

static void test_close_leaves_one_file(void **state)
{
    (void)state;
    char wal[80];
    unsigned n = 1;
    struct store *s = must_open(&options);
    assert_int_equal(in_write(s, add, &n), TEDDY_OK);
    store_close(s);
    snprintf(wal, sizeof wal, "%s-wal", place.path);
    assert_int_not_equal(access(wal, F_OK), 0);
    store_close(NULL);
}

static void test_refuses_a_newer_schema(void **state)
{
    (void)state;
    char back[64];
    store_close(must_open(&options));
    snprintf(back, sizeof back, "PRAGMA user_version = %d", schema_version());
    raw_sql("PRAGMA user_version = 99");
    assert_refused("version 99");
    raw_sql(back);
    store_close(must_open(&options));
}

static void test_refuses_another_programs_database(void **state)
{
    (void)state;
    raw_sql("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)");
    assert_refused("another program's");
    raw_sql("INSERT INTO theirs VALUES (2)");
}

static void test_refuses_what_is_no_database(void **state)
{
    (void)state;
    FILE *f = fopen(place.path, "w");
    assert_non_null(f);
    for (int i = 0; i < 2000; i++)
        fputs("a teddy bear ", f);
    fclose(f);
    assert_refused("not a SQLite database");
}

static void test_refuses_a_damaged_database(void **state)
{
    (void)state;
    store_close(must_open(&options));
    assert_int_equal(truncate(place.path, 4096 + 100), 0);
    assert_refused("damaged");
}

static void test_refuses_a_missing_directory(void **state)
{
    (void)state;
    options.path = "/tmp/no-such-directory-of-teddy/teddy.db";
    assert_refused("its directory exists");
}

static void test_refuses_a_directory(void **state)
{
    (void)state;
    options.path = place.dir;
    assert_refused("not a file");
}

static void test_refuses_a_locked_database(void **state)
{
    (void)state;
    store_close(must_open(&options));
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(place.path, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(db, "PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE; CREATE TABLE t (x)", NULL,
                     NULL, NULL),
        SQLITE_OK);
    assert_refused("locked");
    sqlite3_close(db);
}

/* ---- Jobs ---- */

static int write_in_read(struct store_tx *tx, void *arg)
{
    (void)add(tx, arg);
    return 5; /* pretends that nothing happened */
}

static void test_a_read_job_cannot_write(void **state)
{
    (void)state;
    unsigned n = 3;
    struct store *s = must_open(&options);
    assert_int_equal(in_read(s, write_in_read, &n), TEDDY_ESTORE);
    assert_int_equal(in_read(s, get, &n), TEDDY_ENOTFOUND);
    store_close(s);
}

static int add_then_fail(struct store_tx *tx, void *arg)
{
    assert_int_equal(add(tx, arg), TEDDY_OK);
    return TEDDY_EDUP;
}

static int add_twice(struct store_tx *tx, void *arg)
{
    assert_int_equal(add(tx, arg), TEDDY_OK);
    return add(tx, arg);
}

static int add_positive(struct store_tx *tx, void *arg)
{
    int err = add(tx, arg);
    return err == TEDDY_OK ? 42 : err;
}

/* A job, counted when it is done. */
struct counted {
    struct store_job job;
    in_tx *fn;
    unsigned n;
    bool finished;
};

struct tally {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned finished;
};
static struct tally tally = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};

static int counted_run(struct store_tx *tx, struct store_job *job)
{
    struct counted *c = (struct counted *)job;
    return c->fn(tx, &c->n);
}

static void counted_done(struct store_job *job)
{
    pthread_mutex_lock(&tally.lock);
    ((struct counted *)job)->finished = true;
    tally.finished++;
    pthread_cond_broadcast(&tally.changed);
    pthread_mutex_unlock(&tally.lock);
}

static void wait_finished(unsigned n)
{
    pthread_mutex_lock(&tally.lock);
    while (tally.finished < n)
        pthread_cond_wait(&tally.changed, &tally.lock);
    pthread_mutex_unlock(&tally.lock);
}

/* Holds its thread until released, so that what is queued behind it gathers. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool entered, open;
};
static struct gate gate = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, false};

static int gate_run(struct store_tx *tx, void *arg)
{
    (void)tx;
    (void)arg;
    pthread_mutex_lock(&gate.lock);
    gate.entered = true;
    pthread_cond_broadcast(&gate.changed);
    while (!gate.open)
        pthread_cond_wait(&gate.changed, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
    return TEDDY_OK;
}

static struct counted gatekeeper;

static void gate_shut(struct store *s, int (*queue)(struct store *, struct store_job *))
{
    gate.entered = gate.open = false;
    tally.finished = 0;
    gatekeeper =
        (struct counted){.job = {.run = counted_run, .done = counted_done}, .fn = gate_run};
    assert_int_equal(queue(s, &gatekeeper.job), TEDDY_OK);
    pthread_mutex_lock(&gate.lock);
    while (!gate.entered)
        pthread_cond_wait(&gate.changed, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
}

static void gate_open(void)
{
    pthread_mutex_lock(&gate.lock);
    gate.open = true;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

static void test_one_commit_for_what_gathered_and_each_job_its_own_fate(void **state)
{
    (void)state;
    static in_tx *const fns[] = {add,          add_then_fail, add, add_twice,
                                 add_positive, write_in_read, add};
    static const int results[] = {TEDDY_OK, TEDDY_EDUP, TEDDY_OK, TEDDY_EDUP, 42, 5, TEDDY_OK};
    enum { N = sizeof fns / sizeof fns[0] };
    struct counted jobs[N];
    uint64_t commits, written, commits_before, written_before;
    unsigned waiting;
    struct store *s = must_open(&options);
    store_stats(s, &commits_before, &written_before, &waiting);
    gate_shut(s, store_write);
    for (unsigned i = 0; i < N; i++) {
        jobs[i] = (struct counted){
            .job = {.run = counted_run, .done = counted_done}, .fn = fns[i], .n = i};
        assert_int_equal(store_write(s, &jobs[i].job), TEDDY_OK);
    }
    store_stats(s, &commits, &written, &waiting);
    assert_int_equal(waiting, N);
    gate_open();
    wait_finished(N + 1);
    store_stats(s, &commits, &written, &waiting);
    assert_int_equal(commits - commits_before, 2); /* the gate's own, and all the others' */
    assert_int_equal(written - written_before, N + 1);
    for (unsigned i = 0; i < N; i++) {
        assert_int_equal(jobs[i].job.result, results[i]);
        assert_int_equal(in_read(s, get, &i), results[i] < 0 ? TEDDY_ENOTFOUND : TEDDY_OK);
    }
    store_close(s);
}

/* What a full disk does to SQLite in the middle of a group: the transaction is gone, not the one
 * job alone. */
static int lose_transaction(struct store_tx *tx, void *arg)
{
    (void)arg;
    assert_int_equal(sqlite3_exec(tx->db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    return TEDDY_OK;
}

static void run_five(struct store *s, in_tx *const fns[5], unsigned first, const int results[5])
{
    struct counted jobs[5];
    gate_shut(s, store_write);
    for (unsigned i = 0; i < 5; i++) {
        jobs[i] = (struct counted){
            .job = {.run = counted_run, .done = counted_done}, .fn = fns[i], .n = first + i};
        assert_int_equal(store_write(s, &jobs[i].job), TEDDY_OK);
    }
    gate_open();
    wait_finished(6);
    for (unsigned i = 0; i < 5; i++) {
        unsigned n = first + i;
        assert_int_equal(jobs[i].job.result, results[i]);
        assert_int_equal(in_read(s, get, &n), results[i] == TEDDY_OK ? TEDDY_OK : TEDDY_ENOTFOUND);
    }
}

static void test_a_lost_transaction_costs_the_culprit_alone(void **state)
{
    (void)state;
    in_tx *const one[5] = {add, add, lose_transaction, add, add_twice};
    in_tx *const two[5] = {add, lose_transaction, add, lose_transaction, add};
    in_tx *const none[5] = {add, add, add, add, add};
    const int one_results[5] = {TEDDY_OK, TEDDY_OK, TEDDY_ESTORE, TEDDY_OK, TEDDY_EDUP};
    const int two_results[5] = {TEDDY_ESTORE, TEDDY_ESTORE, TEDDY_ESTORE, TEDDY_ESTORE,
                                TEDDY_ESTORE};
    const int none_results[5] = {TEDDY_OK, TEDDY_OK, TEDDY_OK, TEDDY_OK, TEDDY_OK};
    struct store *s = must_open(&options);
    run_five(s, one, 10, one_results);
    run_five(s, two, 20, two_results); /* that is no accident any more: nobody is told a success */
    run_five(s, none, 30, none_results);
    store_close(s);
}

static void test_group_max_bounds_a_commit(void **state)
{
    (void)state;
    enum { N = 25 };
    struct counted jobs[N];
    uint64_t before, after, n;
    unsigned waiting;
    options.group_max = 10;
    struct store *s = must_open(&options);
    gate_shut(s, store_write);
    store_stats(s, &before, &n, &waiting);
    for (unsigned i = 0; i < N; i++) {
        jobs[i] =
            (struct counted){.job = {.run = counted_run, .done = counted_done}, .fn = add, .n = i};
        assert_int_equal(store_write(s, &jobs[i].job), TEDDY_OK);
    }
    gate_open();
    wait_finished(N + 1);
    store_stats(s, &after, &n, &waiting);
    assert_int_equal(after - before, 1 + 3);
    store_close(s);
}

static void test_a_full_queue_says_so(void **state)
{
    (void)state;
    struct counted jobs[4],
        extra = {.job = {.run = counted_run, .done = counted_done}, .fn = add, .n = 99};
    unsigned n = 99;
    options.queue_max = 4;
    options.readers = 1;
    struct store *s = must_open(&options);
    gate_shut(s, store_write);
    for (unsigned i = 0; i < 4; i++) {
        jobs[i] =
            (struct counted){.job = {.run = counted_run, .done = counted_done}, .fn = add, .n = i};
        assert_int_equal(store_write(s, &jobs[i].job), TEDDY_OK);
    }
    assert_int_equal(store_write(s, &extra.job), TEDDY_EFULL);
    gate_open();
    wait_finished(5);
    assert_false(extra.finished);
    assert_int_equal(in_read(s, get, &n), TEDDY_ENOTFOUND);

    gate_shut(s, store_read);
    for (unsigned i = 0; i < 4; i++) {
        jobs[i] =
            (struct counted){.job = {.run = counted_run, .done = counted_done}, .fn = get, .n = i};
        assert_int_equal(store_read(s, &jobs[i].job), TEDDY_OK);
    }
    assert_int_equal(store_read(s, &extra.job), TEDDY_EFULL);
    gate_open();
    wait_finished(5);
    store_close(s);
}

static void test_close_runs_what_is_queued(void **state)
{
    (void)state;
    enum { N = 600 };
    static struct counted jobs[N];
    struct store *s = must_open(&options);
    tally.finished = 0;
    for (unsigned i = 0; i < N; i++) {
        jobs[i] =
            (struct counted){.job = {.run = counted_run, .done = counted_done}, .fn = add, .n = i};
        assert_int_equal(store_write(s, &jobs[i].job), TEDDY_OK);
    }
    store_close(s);
    assert_int_equal(tally.finished, N);
    s = must_open(&options);
    for (unsigned i = 0; i < N; i++) {
        assert_int_equal(jobs[i].job.result, TEDDY_OK);
        assert_int_equal(in_read(s, get, &i), TEDDY_OK);
    }
    store_close(s);
}

/* ---- Several threads ---- */

static int get_added_before(struct store_tx *tx, void *arg)
{
    return get(tx, arg);
}

static void *hammer(void *arg)
{
    struct store *s = ((void **)arg)[0];
    unsigned first = *(unsigned *)((void **)arg)[1];
    for (unsigned i = 0; i < 200; i++) {
        unsigned n = first + i;
        if (in_write(s, add, &n) != TEDDY_OK || in_write(s, add, &n) != TEDDY_EDUP)
            return "write";
        if (in_read(s, get_added_before, &n) != TEDDY_OK) /* a read queued after a commit sees it */
            return "read";
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    unsigned first[THREADS];
    void *args[THREADS][2], *wrong;
    struct store *s = must_open(&options);
    for (unsigned i = 0; i < THREADS; i++) {
        first[i] = i * 1000;
        args[i][0] = s;
        args[i][1] = &first[i];
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, args[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], &wrong);
        if (wrong != NULL)
            fail_msg("%s", (char *)wrong);
    }
    store_close(s);
}

/* Scattered rows, so that each commit writes many pages: without checkpoints the log would pass 100
 * MB. */
static void *read_on(void *arg)
{
    void **args = arg;
    unsigned n = 0;
    while (!atomic_load((atomic_bool *)args[1]))
        (void)in_read(args[0], get_added_before, &n);
    return NULL;
}

static void test_the_log_stays_bounded(void **state)
{
    (void)state;
    char wal[80];
    struct stat st;
    unsigned n = 0;
    options.unsafe_no_sync = true; /* the bound is the matter here, not the disk */
    struct store *s = must_open(&options);
    snprintf(wal, sizeof wal, "%s-wal", place.path);
    off_t most = 0;
    atomic_bool enough = false;
    void *args[2] = {s, &enough};
    pthread_t reader; /* a snapshot is always open, or nearly */
    assert_int_equal(pthread_create(&reader, NULL, read_on, args), 0);
    for (unsigned i = 0; i < 200; i++) {
        enum { N = 100 };
        struct counted jobs[N];
        tally.finished = 0;
        for (unsigned j = 0; j < N; j++) {
            jobs[j] = (struct counted){.job = {.run = counted_run, .done = counted_done},
                                       .fn = add,
                                       .n = n++ * 2654435761u};
            assert_int_equal(store_write(s, &jobs[j].job), TEDDY_OK);
        }
        wait_finished(N);
        assert_int_equal(stat(wal, &st), 0);
        if (st.st_size > most)
            most = st.st_size;
    }
    atomic_store(&enough, true);
    pthread_join(reader, NULL);
    assert_in_range(most, 1, 17000 * 4120);
    store_close(s);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_makes_private_files),
        T(test_tightens_an_open_file),
        T(test_keeps_what_was_written),
        T(test_close_leaves_one_file),
        T(test_refuses_a_newer_schema),
        T(test_refuses_another_programs_database),
        T(test_refuses_what_is_no_database),
        T(test_refuses_a_damaged_database),
        T(test_refuses_a_missing_directory),
        T(test_refuses_a_directory),
        T(test_refuses_a_locked_database),
        T(test_a_read_job_cannot_write),
        T(test_one_commit_for_what_gathered_and_each_job_its_own_fate),
        T(test_a_lost_transaction_costs_the_culprit_alone),
        T(test_group_max_bounds_a_commit),
        T(test_a_full_queue_says_so),
        T(test_close_runs_what_is_queued),
        T(test_threads),
        T(test_the_log_stays_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
