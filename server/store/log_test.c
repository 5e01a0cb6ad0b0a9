/* The write-ahead log, when a reader keeps its snapshot for long. */
#include "store/internal.h"
#include "store/test_store.h"

#include <semaphore.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

static struct place place;

static int setup(void **state)
{
    (void)state;
    place_make(&place);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    place_remove(&place);
    return 0;
}

static int look(struct store_tx *tx, void *arg)
{
    struct device_row row;
    (void)arg;
    return store_device_get(tx, "nobody", &row);
}

/* A job that keeps its snapshot until it is let go. */
static int hold_snapshot(struct store_tx *tx, void *arg)
{
    sem_t *sem = arg;
    (void)look(tx, NULL);
    sem_post(&sem[0]);
    while (sem_wait(&sem[1]) != 0)
        continue;
    return TEDDY_OK;
}

static void *hold_on(void *arg)
{
    void **args = arg;
    return in_read(args[0], hold_snapshot, args[1]) == TEDDY_OK ? NULL : "read";
}

static int add_mebibytes(struct store_tx *tx, void *arg)
{
    (void)arg;
    return sqlite3_exec(tx->db,
                        "CREATE TABLE IF NOT EXISTS big (bytes BLOB);"
                        "INSERT INTO big VALUES (zeroblob(4194304))",
                        NULL, NULL, NULL) == SQLITE_OK
               ? TEDDY_OK
               : TEDDY_ESTORE;
}

/* Writes 4 MiB; how long the log is then, behind the checkpoint if there was one. */
static off_t grow_log(struct store *s)
{
    char wal[80];
    struct stat st;
    snprintf(wal, sizeof wal, "%s-wal", place.path);
    assert_int_equal(in_write(s, add_mebibytes, NULL), TEDDY_OK);
    assert_int_equal(in_write(s, look, NULL), TEDDY_ENOTFOUND);
    assert_int_equal(stat(wal, &st), 0);
    return st.st_size;
}

/* Past its bound the snapshot makes it grow; the next time that it is copied back, within 64 MiB,
 * it is cut. */
static void a_log_that_a_reader_held_is_cut_off(void **state)
{
    (void)state;
    enum { MIB = 1 << 20 };
    struct store *s = must_open(
        &(struct store_options){.path = place.path, .readers = 1, .unsafe_no_sync = true});
    sem_t sem[2];
    assert_true(sem_init(&sem[0], 0, 0) == 0 && sem_init(&sem[1], 0, 0) == 0);
    void *args[2] = {s, sem}, *wrong;
    pthread_t reader;
    assert_int_equal(pthread_create(&reader, NULL, hold_on, args), 0);
    while (sem_wait(&sem[0]) != 0)
        continue;
    while (grow_log(s) < 104 * MIB)
        continue;
    sem_post(&sem[1]);
    pthread_join(reader, &wrong);
    assert_null(wrong);
    off_t length = 104 * MIB;
    for (int i = 0; i < 17 && length >= 104 * MIB; i++)
        length = grow_log(s);
    assert_in_range(length, 0, 8 * MIB);
    store_close(s);
    sem_destroy(&sem[0]);
    sem_destroy(&sem[1]);
}

/* Another program: one snapshot after the other, each held for a while. It says on `told` that the
 * first one has begun, and ends with us. */
static void read_on_and_on(int told)
{
    sqlite3 *db = NULL;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    bool ok = sqlite3_open_v2(place.path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
              sqlite3_busy_timeout(db, 60000) == SQLITE_OK;
    while (ok) {
        ok = sqlite3_exec(db, "BEGIN; SELECT count(*) FROM big", NULL, NULL, NULL) == SQLITE_OK &&
             write(told, "x", 1) == 1;
        usleep(50000);
        ok = ok && sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK;
    }
    _exit(1);
}

static void a_log_beside_a_busy_reader_keeps_its_bound(void **state)
{
    (void)state;
    enum { MIB = 1 << 20 };
    const struct store_options options = {.path = place.path, .readers = 1, .unsafe_no_sync = true};
    int told[2];
    char byte;
    struct store *s = must_open(&options);
    (void)grow_log(s); /* the table */
    store_close(s);
    assert_int_equal(pipe(told), 0);
    pid_t reader = fork(); /* while there is no thread */
    if (reader == 0)
        read_on_and_on(told[1]);
    assert_true(reader > 0);
    assert_int_equal(read(told[0], &byte, 1), 1);
    s = must_open(&options);
    for (int i = 0; i < 60; i++)
        assert_in_range(grow_log(s), 0, 128 * MIB);
    assert_int_equal(waitpid(reader, NULL, WNOHANG), 0); /* it read to the end */
    kill(reader, SIGKILL);
    waitpid(reader, NULL, 0);
    close(told[0]);
    close(told[1]);
    store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_log_that_a_reader_held_is_cut_off, setup, teardown),
        cmocka_unit_test_setup_teardown(a_log_beside_a_busy_reader_keeps_its_bound, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
