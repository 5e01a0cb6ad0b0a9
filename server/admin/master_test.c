/* A rotation of the master key, step by step: whatever ends it leaves a file that opens the
 * database. */
#include "store/test_store.h"

#include <sys/stat.h>

#include "admin/command.h"

static struct place place;
static struct store *store;
static struct master_key master;

static const char *key_path(void)
{
    static char path[64];
    snprintf(path, sizeof path, "%s/" MASTER_KEY_FILE, place.dir);
    return path;
}

static void find(void)
{
    char err[512] = "";
    if (master_key_find(&master, "", place.dir, err, sizeof err) != TEDDY_OK)
        fail_msg("%s", err);
}

static int setup(void **state)
{
    (void)state;
    place_make(&place);
    find();
    store = must_open(&(struct store_options){.path = place.path, .master = &master.keys});
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    store_close(store);
    unlink(key_path());
    place_remove(&place);
    return 0;
}

/* As a start after a crash: with what the file holds. */
static void reopens(unsigned keys)
{
    store_close(store);
    find();
    assert_int_equal(master.keys.count, keys);
    store = must_open(&(struct store_options){.path = place.path, .master = &master.keys});
}

static struct admin_command *rotation(void)
{
    struct admin_command *c = admin_command_new(ADMIN_MASTER_ROTATE, NULL, (struct span){"", 0});
    assert_non_null(c);
    c->master = &master;
    return c;
}

static void both_keys_are_there_until_the_commit(void **state)
{
    (void)state;
    struct seal_master keys = {0};
    struct admin_command *c = rotation();
    char err[512];
    assert_int_equal(store_write_wait(store, &c->job), TEDDY_OK);
    assert_int_equal(master_key_read(&master, &keys, err, sizeof err), TEDDY_OK);
    assert_int_equal(keys.count, 2);
    assert_memory_equal(keys.key[0], c->secret, SEAL_KEY_LEN);
    assert_true(admin_command_more(c));
    assert_int_equal(store_write_wait(store, &c->job), TEDDY_OK);
    assert_false(admin_command_more(c));
    assert_int_equal(master_key_read(&master, &keys, err, sizeof err), TEDDY_OK);
    assert_int_equal(keys.count, 1);
    assert_memory_equal(keys.key[0], c->secret, SEAL_KEY_LEN);
    admin_command_free(c);
    reopens(1);
}

static int run_and_fail(struct store_tx *tx, void *arg)
{
    struct admin_command *c = arg;
    assert_int_equal(c->job.run(tx, &c->job), TEDDY_OK);
    return TEDDY_ESTORE;
}

static int run(struct store_tx *tx, void *arg)
{
    struct admin_command *c = arg;
    return c->job.run(tx, &c->job);
}

/* The old key still opens it, and the new one is not lost. */
static void a_lost_commit_leaves_the_old_key(void **state)
{
    (void)state;
    struct admin_command *c = rotation();
    assert_int_equal(in_write(store, run_and_fail, c), TEDDY_ESTORE);
    reopens(2);
    c->job.result = TEDDY_ESTORE;
    assert_false(admin_command_more(c));
    admin_command_free(c);
}

static void two_rotations_at_once_follow_each_other(void **state)
{
    (void)state;
    struct admin_command *c = rotation(), *d = rotation();
    struct seal_master keys = {0};
    char err[512];
    assert_int_equal(in_write(store, run_and_fail, c), TEDDY_ESTORE);
    assert_int_equal(in_write(store, run, c), TEDDY_OK);
    assert_int_equal(in_write(store, run, d), TEDDY_OK); /* before the first has ended */
    assert_int_equal(master_key_read(&master, &keys, err, sizeof err), TEDDY_OK);
    assert_int_equal(keys.count, 2);
    assert_memory_equal(keys.key[0], c->secret, SEAL_KEY_LEN);
    c->job.result = d->job.result = TEDDY_OK;
    assert_true(admin_command_more(c) && admin_command_more(d));
    assert_int_equal(in_write(store, run, c), TEDDY_OK);
    assert_int_equal(in_write(store, run, d), TEDDY_OK);
    assert_false(admin_command_more(c));
    assert_int_equal(master_key_read(&master, &keys, err, sizeof err), TEDDY_OK);
    assert_int_equal(keys.count, 1);
    assert_memory_equal(keys.key[0], c->secret, SEAL_KEY_LEN);
    assert_true(admin_command_more(d)); /* now its own */
    admin_command_wait(d, store);
    reopens(1);
    assert_memory_equal(master.keys.key[0], d->secret, SEAL_KEY_LEN);
    admin_command_free(c);
    admin_command_free(d);
}

/* An old key that could not leave the file once does not pass for the rotation that is asked for.
 */
static void an_old_key_in_the_file_is_not_rotated_back_to(void **state)
{
    (void)state;
    struct seal_master keys = {0};
    struct admin_command *c = rotation();
    char err[512];
    assert_int_equal(master_key_read(&master, &keys, err, sizeof err), TEDDY_OK);
    memset(keys.key[1], 5, SEAL_KEY_LEN);
    keys.count = 2;
    assert_int_equal(master_key_write(&master, &keys, err, sizeof err), TEDDY_OK);
    admin_command_wait(c, store);
    assert_int_equal(c->job.result, TEDDY_OK);
    reopens(1);
    assert_memory_equal(master.keys.key[0], c->secret, SEAL_KEY_LEN);
    admin_command_free(c);
}

/* Between the runs somebody put another key there: the old one is not lost for it. */
static void another_key_is_left_alone(void **state)
{
    (void)state;
    struct admin_command *c = rotation();
    struct seal_master other = {.key = {{1}, {2}}, .count = 2}, found = {0};
    struct admin_answer a;
    char err[512];
    assert_int_equal(store_write_wait(store, &c->job), TEDDY_OK);
    assert_true(admin_command_more(c));
    assert_int_equal(master_key_write(&master, &other, err, sizeof err), TEDDY_OK);
    assert_int_equal(store_write_wait(store, &c->job), TEDDY_EAUTH);
    assert_int_equal(master_key_read(&master, &found, err, sizeof err), TEDDY_OK);
    assert_int_equal(found.count, 2);
    admin_command_answer(c, &a);
    assert_int_equal(a.status, 200); /* it is rotated */
    assert_non_null(strstr(a.body, "\"problem\":\"The key in "));
    admin_answer_fini(&a);
    admin_command_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(both_keys_are_there_until_the_commit, setup, teardown),
        cmocka_unit_test_setup_teardown(a_lost_commit_leaves_the_old_key, setup, teardown),
        cmocka_unit_test_setup_teardown(two_rotations_at_once_follow_each_other, setup, teardown),
        cmocka_unit_test_setup_teardown(an_old_key_in_the_file_is_not_rotated_back_to, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(another_key_is_left_alone, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
