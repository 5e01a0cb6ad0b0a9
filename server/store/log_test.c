/* The write-ahead log, when a reader keeps its snapshot for long. */
#include "store/internal.h"
#include "store/test_store.h"

#include <semaphore.h>
#include <sys/stat.h>

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

/* Past its bound the snapshot makes it grow; the next time that it is copied back, within 32 MiB,
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
    while (grow_log(s) < 72 * MIB)
        continue;
    sem_post(&sem[1]);
    pthread_join(reader, &wrong);
    assert_null(wrong);
    off_t length = 72 * MIB;
    for (int i = 0; i < 9 && length >= 72 * MIB; i++)
        length = grow_log(s);
    assert_in_range(length, 0, 8 * MIB);
    store_close(s);
    sem_destroy(&sem[0]);
    sem_destroy(&sem[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_log_that_a_reader_held_is_cut_off, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
