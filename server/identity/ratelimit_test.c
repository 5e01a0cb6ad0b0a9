#include "identity/ratelimit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct ratelimit *make(uint32_t limit, size_t slots)
{
    struct ratelimit *r;
    assert_int_equal(ratelimit_new(limit, 60000, slots, &r), TEDDY_OK);
    return r;
}

static void test_limit_and_window(void **state)
{
    (void)state;
    uint32_t retry = 0;
    struct ratelimit *r = make(3, 64);
    const uint64_t start = 5000;
    for (int i = 0; i < 3; i++)
        assert_true(ratelimit_take(r, "a", 1, start + (uint64_t)i, &retry));
    assert_false(ratelimit_take(r, "a", 1, start + 3, &retry));
    assert_int_equal(retry, 60); /* 59.997 s are left, in whole seconds */
    assert_true(ratelimit_take(r, "b", 1, start + 3, &retry));
    assert_false(ratelimit_take(r, "a", 1, start + 59000, &retry));
    assert_int_equal(retry, 1);
    assert_false(ratelimit_take(r, "a", 1, start + 59999, &retry));
    assert_int_equal(retry, 1); /* never 0 */
    assert_true(ratelimit_take(r, "a", 1, start + 60000, &retry));
    assert_true(ratelimit_take(r, "a", 1, start + 60000, NULL));
    assert_true(ratelimit_take(r, "a", 1, start + 60000, NULL));
    assert_false(
        ratelimit_take(r, "a", 1, start + 119999, NULL)); /* refusals did not prolong the window */
    assert_true(ratelimit_take(r, "a", 1, start + 120000, NULL));
    ratelimit_free(r);
    ratelimit_free(NULL);
}

static void test_peek_and_refund(void **state)
{
    (void)state;
    uint32_t retry = 0;
    struct ratelimit *r = make(2, 8);
    for (int i = 0; i < 10; i++)
        assert_true(ratelimit_peek(r, "a", 1, 1000, &retry));
    ratelimit_refund(r, "a", 1, 1000); /* nothing to give back */
    assert_true(ratelimit_take(r, "a", 1, 1000, &retry));
    assert_true(ratelimit_take(r, "a", 1, 1000, &retry));
    assert_false(ratelimit_peek(r, "a", 1, 2000, &retry));
    assert_int_equal(retry, 59);
    ratelimit_refund(r, "a", 1, 2000);
    assert_true(ratelimit_peek(r, "a", 1, 2000, &retry));
    assert_true(ratelimit_take(r, "a", 1, 2000, &retry));
    assert_false(ratelimit_take(r, "a", 1, 2000, &retry));
    ratelimit_refund(r, "a", 1, 61000); /* its window is over */
    assert_true(ratelimit_take(r, "a", 1, 61000, &retry));
    assert_true(ratelimit_take(r, "a", 1, 61000, &retry));
    assert_false(ratelimit_take(r, "a", 1, 61000, &retry));
    ratelimit_free(r);
}

static void test_zero_never_limits(void **state)
{
    (void)state;
    struct ratelimit *r = make(0, 8);
    for (int i = 0; i < 1000; i++)
        assert_true(ratelimit_take(r, "a", 1, 1, NULL) && ratelimit_peek(r, "a", 1, 1, NULL));
    ratelimit_refund(r, "a", 1, 1);
    ratelimit_free(r);
}

static void test_keys_are_bytes(void **state)
{
    (void)state;
    struct ratelimit *r = make(1, 64);
    assert_true(ratelimit_take(r, "a\0b", 3, 1, NULL));
    assert_true(ratelimit_take(r, "a\0c", 3, 1, NULL));
    assert_true(ratelimit_take(r, "a", 1, 1, NULL));
    assert_true(ratelimit_take(r, "", 0, 1, NULL));
    assert_false(ratelimit_take(r, "a\0b", 3, 1, NULL));
    assert_false(ratelimit_take(r, "", 0, 1, NULL));
    ratelimit_free(r);
}

/* With ample room, a hundred thousand other keys do not free the one that is exhausted. Which set a
 * key falls into is random: at this load eight others in one set are a matter of 1 in 10^8. */
static void test_flood_within_the_table(void **state)
{
    (void)state;
    struct ratelimit *r = make(5, 1u << 21);
    for (int i = 0; i < 5; i++)
        assert_true(ratelimit_take(r, "guilty", 6, 1000, NULL));
    for (uint32_t i = 0; i < 100000; i++)
        assert_true(ratelimit_take(r, &i, sizeof i, 1001, NULL));
    assert_false(ratelimit_take(r, "guilty", 6, 30000, NULL));
    ratelimit_free(r);
}

/* Without it, memory stays what it was, every newcomer is counted, and who ends first goes first.
 */
static void test_flood_beyond_the_table(void **state)
{
    (void)state;
    struct ratelimit *r = make(1, 8); /* one set: the order is plain to see */
    for (uint32_t i = 0; i < 8; i++)
        assert_true(ratelimit_take(r, &i, sizeof i, 1000 + i, NULL));
    uint32_t nine = 9, zero = 0, one = 1;
    assert_true(ratelimit_take(r, &nine, sizeof nine, 2000, NULL));
    assert_false(ratelimit_take(r, &nine, sizeof nine, 2000, NULL));
    assert_false(ratelimit_take(r, &one, sizeof one, 2000, NULL));
    assert_true(
        ratelimit_take(r, &zero, sizeof zero, 2000, NULL)); /* made room, and takes it from one */
    assert_true(ratelimit_peek(r, &one, sizeof one, 2000, NULL));
    for (uint32_t i = 100; i < 1000100; i++) {
        assert_true(ratelimit_take(r, &i, sizeof i, 3000, NULL));
        assert_false(ratelimit_take(r, &i, sizeof i, 3000, NULL));
    }
    ratelimit_free(r);
}

/* A window that is over makes room before an open one. */
static void test_ended_windows_go_first(void **state)
{
    (void)state;
    struct ratelimit *r = make(1, 8);
    for (uint32_t i = 0; i < 7; i++)
        assert_true(ratelimit_take(r, &i, sizeof i, 100000, NULL));
    uint32_t late = 70, newcomer;
    assert_true(ratelimit_take(r, &late, sizeof late, 150000, NULL));
    for (newcomer = 80; newcomer < 87; newcomer++) /* the seven are over by now */
        assert_true(ratelimit_take(r, &newcomer, sizeof newcomer, 160001, NULL));
    assert_false(ratelimit_take(r, &late, sizeof late, 160002, NULL));
    ratelimit_free(r);
}

static size_t key_of(const char *text, uint8_t out[17])
{
    struct sockaddr_storage a = {0};
    memset(out, 0xee, 17);
    if (strchr(text, ':') != NULL) {
        a.ss_family = AF_INET6;
        assert_int_equal(inet_pton(AF_INET6, text, &((struct sockaddr_in6 *)&a)->sin6_addr), 1);
    } else {
        a.ss_family = AF_INET;
        assert_int_equal(inet_pton(AF_INET, text, &((struct sockaddr_in *)&a)->sin_addr), 1);
    }
    return ratelimit_address_key(&a, out);
}

static int same_key(const char *a, const char *b)
{
    uint8_t key_a[17], key_b[17];
    size_t len_a = key_of(a, key_a), len_b = key_of(b, key_b);
    return len_a == len_b && memcmp(key_a, key_b, len_a) == 0;
}

static void test_addresses(void **state)
{
    (void)state;
    uint8_t key[17];
    struct sockaddr_storage local = {.ss_family = AF_UNIX};
    assert_true(same_key("127.0.0.1", "127.0.0.1"));
    assert_false(same_key("127.0.0.1", "127.0.0.2"));
    assert_true(same_key("::ffff:10.1.2.3", "10.1.2.3"));
    assert_true(same_key("2001:db8:1:2::1", "2001:db8:1:2:ffff::"));
    assert_false(same_key("2001:db8:1:2::1", "2001:db8:1:3::1"));
    assert_false(same_key("::1", "0.0.0.1"));
    assert_in_range(ratelimit_address_key(&local, key), 1, 17);
}

static void *take_many(void *arg)
{
    atomic_uint *granted = ((void **)arg)[1];
    for (unsigned i = 0; i < 20000; i++)
        if (ratelimit_take(((void **)arg)[0], "k", 1, 1000, NULL))
            atomic_fetch_add(granted, 1);
    return NULL;
}

static void test_threads_share_one_count(void **state)
{
    (void)state;
    struct ratelimit *r = make(5000, 64);
    atomic_uint granted = 0;
    void *args[] = {r, &granted};
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_many, args), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(granted, 5000);
    ratelimit_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limit_and_window),
        cmocka_unit_test(test_peek_and_refund),
        cmocka_unit_test(test_zero_never_limits),
        cmocka_unit_test(test_keys_are_bytes),
        cmocka_unit_test(test_flood_within_the_table),
        cmocka_unit_test(test_flood_beyond_the_table),
        cmocka_unit_test(test_ended_windows_go_first),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_threads_share_one_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
