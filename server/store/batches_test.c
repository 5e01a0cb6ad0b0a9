/* Batches: what is kept of them, and which number is free. */
#include "store/test_store.h"

#include "store/batches.h"

static struct place place;
static struct store *store;

static int open_store(void **state)
{
    (void)state;
    place_make(&place);
    store = must_open(&(struct store_options){.path = place.path});
    return 0;
}

static int close_store(void **state)
{
    (void)state;
    store_close(store);
    place_remove(&place);
    return 0;
}

static struct batch_row row_of(unsigned n, const char *prefix, uint64_t first, uint64_t count)
{
    struct batch_row b = {.first = first, .count = count, .digits = 6, .created_s = 1000 + n};
    snprintf(b.id, sizeof b.id, "%016x", n);
    snprintf(b.prefix, sizeof b.prefix, "%s", prefix);
    memset(b.manifest_sha256, (int)n, sizeof b.manifest_sha256);
    return b;
}

static int do_add(struct store_tx *tx, void *arg)
{
    return store_batch_add(tx, arg);
}

static int add_batch(unsigned n, const char *prefix, uint64_t first, uint64_t count)
{
    struct batch_row b = row_of(n, prefix, first, count);
    return in_write(store, do_add, &b);
}

struct looked {
    const char *id;
    struct batch_row row;
};

static int do_get(struct store_tx *tx, void *arg)
{
    struct looked *l = arg;
    return store_batch_get(tx, l->id, &l->row);
}

static void test_a_batch_is_kept(void **state)
{
    (void)state;
    struct batch_row want = row_of(0xabc, "Toy-", 17, 100000);
    assert_int_equal(add_batch(0xabc, "Toy-", 17, 100000), TEDDY_OK);
    struct looked l = {.id = want.id};
    assert_int_equal(in_read(store, do_get, &l), TEDDY_OK);
    assert_string_equal(l.row.id, want.id);
    assert_string_equal(l.row.prefix, "Toy-");
    assert_int_equal(l.row.first, 17);
    assert_int_equal(l.row.count, 100000);
    assert_int_equal(l.row.digits, 6);
    assert_int_equal(l.row.created_s, want.created_s);
    assert_memory_equal(l.row.manifest_sha256, want.manifest_sha256, 32);
    assert_int_equal(add_batch(0xabc, "Other-", 1, 1), TEDDY_EDUP);
    l.id = "00000000deadbeef";
    assert_int_equal(in_read(store, do_get, &l), TEDDY_ENOTFOUND);
}

struct listing {
    int64_t after;
    const char *prefix;
    unsigned stop, count;
    struct batch_row rows[8];
};

static bool each(void *arg, const struct batch_row *row)
{
    struct listing *l = arg;
    l->rows[l->count++] = *row;
    return l->count < l->stop;
}

static int do_list(struct store_tx *tx, void *arg)
{
    struct listing *l = arg;
    return store_batch_list(tx, l->after, l->prefix, each, l);
}

static void test_a_list_goes_on_where_it_stopped(void **state)
{
    (void)state;
    for (unsigned n = 9; n > 4; n--) /* their ids are not their order */
        assert_int_equal(add_batch(n, n % 2 ? "odd-" : "even-", n, 1), TEDDY_OK);
    struct listing l = {.prefix = "", .stop = 2};
    assert_int_equal(in_read(store, do_list, &l), TEDDY_OK);
    assert_int_equal(l.count, 2);
    assert_int_equal(l.rows[0].first, 9);
    struct listing rest = {.prefix = "", .after = l.rows[1].row, .stop = 8};
    assert_int_equal(in_read(store, do_list, &rest), TEDDY_OK);
    assert_int_equal(rest.count, 3);
    assert_int_equal(rest.rows[0].first, 7);
    struct listing odd = {.prefix = "odd-", .stop = 8};
    assert_int_equal(in_read(store, do_list, &odd), TEDDY_OK);
    assert_int_equal(odd.count, 3);
    assert_string_equal(odd.rows[2].prefix, "odd-");
}

struct free_number {
    const char *prefix;
    uint64_t next;
};

static int do_next(struct store_tx *tx, void *arg)
{
    struct free_number *f = arg;
    return store_batch_next(tx, f->prefix, &f->next);
}

static uint64_t next_of(const char *prefix)
{
    struct free_number f = {.prefix = prefix};
    assert_int_equal(in_read(store, do_next, &f), TEDDY_OK);
    return f.next;
}

static unsigned secrets;

static int do_device(struct store_tx *tx, void *arg)
{
    uint8_t secret[LIMIT_SECRET_LEN];
    secret_of(++secrets, secret);
    return store_device_add(tx, arg, secret, 1);
}

static void add_device(const char *id)
{
    char copy[LIMIT_ID_LEN + 1];
    snprintf(copy, sizeof copy, "%s", id);
    assert_int_equal(in_write(store, do_device, copy), TEDDY_OK);
}

static int do_remove(struct store_tx *tx, void *arg)
{
    return store_device_remove(tx, arg);
}

static void test_the_next_number_follows_the_highest(void **state)
{
    (void)state;
    assert_int_equal(next_of("T-"), 1);
    add_device("T-0007");
    add_device("T-12"); /* another width, and the higher number */
    add_device("T-99x");
    add_device("T-");
    add_device("T-1-500");
    add_device("S-9000");
    add_device("U-9000");
    add_device("T-9999999999999999999"); /* no number of ours: 19 digits */
    assert_int_equal(next_of("T-"), 13);
    assert_int_equal(next_of("T"), 1);
    assert_int_equal(next_of("S-"), 9001);
    add_device("T-999999999999999999");
    assert_int_equal(next_of("T-"), STORE_NUMBER_MAX + 1);
}

/* A number that was printed on a label once is not given again. */
static void test_the_next_number_remembers_batches(void **state)
{
    (void)state;
    assert_int_equal(add_batch(1, "T-", 101, 50), TEDDY_OK);
    add_device("T-000150");
    assert_int_equal(next_of("T-"), 151);
    char id[] = "T-000150";
    assert_int_equal(in_write(store, do_remove, id), TEDDY_OK);
    assert_int_equal(next_of("T-"), 151);
    assert_int_equal(next_of("T"), 1);
    add_device("T-000200");
    assert_int_equal(next_of("T-"), 201);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, open_store, close_store)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(test_a_batch_is_kept),
        WITH_STORE(test_a_list_goes_on_where_it_stopped),
        WITH_STORE(test_the_next_number_follows_the_highest),
        WITH_STORE(test_the_next_number_remembers_batches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
