/* Reads that wait together are one batch: one snapshot, and handed back behind it together. */
#include "store/internal.h"
#include "store/test_store.h"

#include <semaphore.h>

enum { READS = 3 };

struct read {
    struct store_job job;
    sqlite3 *db;
    char name;
};

static struct place place;
static char order[4 * READS];
static bool in_snapshot;
static sem_t begun, go, done;

static int setup(void **state)
{
    (void)state;
    place_make(&place);
    memset(order, 0, sizeof order);
    assert_true(sem_init(&begun, 0, 0) == 0 && sem_init(&go, 0, 0) == 0 &&
                sem_init(&done, 0, 0) == 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    place_remove(&place);
    return 0;
}

static void note(char what)
{
    order[strlen(order)] = what;
}

static int run_one(struct store_tx *tx, struct store_job *job)
{
    struct read *r = (struct read *)(void *)job;
    r->db = tx->db;
    note(r->name);
    return TEDDY_OK;
}

static void done_one(struct store_job *job)
{
    struct read *r = (struct read *)(void *)job;
    in_snapshot |= sqlite3_get_autocommit(r->db) == 0;
    note('.');
    sem_post(&done);
}

/* Keeps the one reader busy while others come. */
static int run_first(struct store_tx *tx, struct store_job *job)
{
    int err = run_one(tx, job);
    sem_post(&begun);
    while (sem_wait(&go) != 0)
        continue;
    return err;
}

static void a_batch_is_handed_back_together(void **state)
{
    (void)state;
    struct store *s = must_open(
        &(struct store_options){.path = place.path, .readers = 1, .unsafe_no_sync = true});
    struct read first = {.job = {.run = run_first, .done = done_one}, .name = 'f'}, r[READS];
    assert_int_equal(store_read(s, &first.job), TEDDY_OK);
    while (sem_wait(&begun) != 0)
        continue;
    for (int i = 0; i < READS; i++) {
        r[i] = (struct read){.job = {.run = run_one, .done = done_one}, .name = (char)('a' + i)};
        assert_int_equal(store_read(s, &r[i].job), TEDDY_OK);
    }
    sem_post(&go);
    for (int i = 0; i < 1 + READS; i++)
        while (sem_wait(&done) != 0)
            continue;
    store_close(s);
    assert_string_equal(order, "f.abc...");
    assert_false(in_snapshot);
}

/* By a reader that has had nothing to do for a moment. */
static void several_reads_are_begun_at_once(void **state)
{
    (void)state;
    struct store *s = must_open(
        &(struct store_options){.path = place.path, .readers = 1, .unsafe_no_sync = true});
    struct read first = {.job = {.run = run_one, .done = done_one}, .name = 'f'}, r[READS];
    assert_int_equal(store_read(s, &first.job), TEDDY_OK);
    while (sem_wait(&done) != 0)
        continue;
    for (int i = 0; i < READS; i++) {
        r[i] = (struct read){.job = {.run = run_one, .done = done_one}, .name = (char)('a' + i)};
        assert_int_equal(store_read_later(s, &r[i].job), TEDDY_OK);
    }
    store_read_go(s);
    for (int i = 0; i < READS; i++)
        while (sem_wait(&done) != 0)
            continue;
    store_close(s);
    assert_int_equal(strlen(order), 2 + 2 * READS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_batch_is_handed_back_together, setup, teardown),
        cmocka_unit_test_setup_teardown(several_reads_are_begun_at_once, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
