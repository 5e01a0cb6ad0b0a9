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

#define MINUTE_MS 60000

static struct ratelimit *make_of(const struct ratelimit_options *o)
{
    struct ratelimit *r;
    assert_int_equal(ratelimit_new(o, &r), TEDDY_OK);
    return r;
}

static struct ratelimit *make(uint32_t limit, size_t slots)
{
    return make_of(&(struct ratelimit_options){limit, MINUTE_MS, slots, false, NULL, NULL});
}

static struct ratelimit *make_inheriting(uint32_t limit, size_t slots)
{
    return make_of(&(struct ratelimit_options){limit, MINUTE_MS, slots, true, NULL, NULL});
}

static unsigned take_all(struct ratelimit *r, const void *key, size_t len, uint64_t now_ms)
{
    unsigned granted = 0;
    while (granted < 1000 && ratelimit_take(r, key, len, now_ms, NULL))
        granted++;
    return granted;
}

/* All at once, then one as often as its share of the minute passes. */
static void test_a_bucket(void **state)
{
    (void)state;
    uint32_t retry = 0;
    struct ratelimit *r = make(3, 64);
    const uint64_t start = 5000;
    for (unsigned i = 0; i < 3; i++)
        assert_true(ratelimit_take(r, "a", 1, start + i, &retry));
    assert_false(ratelimit_take(r, "a", 1, start + 3, &retry));
    assert_int_equal(retry, 20); /* 19.997 s, in whole seconds */
    assert_true(ratelimit_take(r, "b", 1, start + 3, &retry));
    assert_false(ratelimit_take(r, "a", 1, start + 19000, &retry));
    assert_int_equal(retry, 1);
    assert_false(ratelimit_take(r, "a", 1, start + 19999, &retry));
    assert_int_equal(retry, 1);                                    /* never 0 */
    assert_true(ratelimit_take(r, "a", 1, start + 20000, &retry)); /* refusals took nothing */
    assert_false(ratelimit_take(r, "a", 1, start + 20000, NULL));
    assert_int_equal(take_all(r, "a", 1, start + 80000), 3); /* full again, and no fuller */
    assert_int_equal(take_all(r, "a", 1, start + 80000 + 86400000), 3);
    ratelimit_free(r);
    ratelimit_free(NULL);
}

/* Whatever was asked before: who waits as told gets it, and not because it is told to wait long. */
static void test_the_wait_is_honest(void **state)
{
    (void)state;
    static const uint32_t limits[] = {1, 7, 20, 6000, 100000000};
    for (size_t l = 0; l < sizeof limits / sizeof limits[0]; l++) {
        struct ratelimit *r = make_inheriting(limits[l], 8);
        uint64_t now_ms = 1000;
        uint32_t retry, one_s = 60 / limits[l] + 1;
        for (unsigned i = 0; i < 20000; i++, now_ms += i % 37) {
            unsigned key = i * 2654435761u >> 28;
            if (ratelimit_take(r, &key, sizeof key, now_ms, &retry))
                continue;
            assert_in_range(retry, 1, one_s);
            now_ms += retry * 1000u;
            assert_true(ratelimit_take(r, &key, sizeof key, now_ms, NULL));
        }
        ratelimit_free(r);
    }
}

static void test_peek_and_refund(void **state)
{
    (void)state;
    uint32_t retry = 0;
    struct ratelimit *r = make(2, 8);
    for (int i = 0; i < 10; i++)
        assert_true(ratelimit_peek(r, "a", 1, 1000, &retry));
    ratelimit_refund(r, "a", 1, 1000); /* nothing to give back */
    assert_int_equal(take_all(r, "a", 1, 1000), 2);
    assert_false(ratelimit_peek(r, "a", 1, 2000, &retry));
    assert_int_equal(retry, 29);
    ratelimit_refund(r, "a", 1, 2000);
    assert_true(ratelimit_peek(r, "a", 1, 2000, &retry));
    assert_int_equal(take_all(r, "a", 1, 2000), 1);
    ratelimit_refund(r, "a", 1, 60999); /* it lacks a millisecond: there is no more to put back */
    assert_int_equal(take_all(r, "a", 1, 60999), 2);
    ratelimit_free(r);
}

static void test_zero_never_limits(void **state)
{
    (void)state;
    struct ratelimit *r = make(0, 8);
    for (int i = 0; i < 1000; i++)
        assert_true(ratelimit_take(r, "a", 1, 1, NULL) && ratelimit_peek(r, "a", 1, 1, NULL));
    ratelimit_refund(r, "a", 1, 1);
    struct sockaddr_storage a = {.ss_family = AF_UNIX};
    ratelimit_charge_address(r, &a, 1000, 1);
    assert_true(ratelimit_take_address(r, &a, 1, NULL) && ratelimit_peek_address(r, &a, 1, NULL));
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

/* Keys that have taken less make room before one that is used up, however many they are. */
static void test_a_flood_frees_nobody(void **state)
{
    (void)state;
    struct ratelimit *r = make(5, 8); /* one set: all meet */
    assert_int_equal(take_all(r, "guilty", 6, 1000), 5);
    for (uint32_t i = 0; i < 1000000; i++) {
        if (i % 10 != 0) {
            assert_true(ratelimit_take(r, &i, sizeof i, 1001, NULL));
            continue;
        }
        assert_false(ratelimit_take(r, "guilty", 6, 1001, NULL));
    }
    ratelimit_free(r);
}

/* Nine who each use up what they may push each other out of a set of eight; together they get no
 * more than eight may, and the wait is as honest. */
static void test_nor_do_they_free_each_other(void **state)
{
    (void)state;
    uint32_t retry;
    struct ratelimit *r = make_inheriting(5, 8);
    unsigned granted = 0;
    for (unsigned i = 0; i < 1000; i++)
        for (uint32_t key = 0; key < 9; key++)
            granted += ratelimit_take(r, &key, sizeof key, 1000, NULL);
    assert_in_range(granted, 5, 8 * 5);
    uint32_t newcomer = 100;
    assert_false(ratelimit_take(r, &newcomer, sizeof newcomer, 1000, &retry));
    assert_int_equal(retry, 12);
    assert_true(ratelimit_take(r, &newcomer, sizeof newcomer, 13000, NULL));
    assert_false(ratelimit_take(r, &newcomer, sizeof newcomer, 13000, NULL));
    ratelimit_free(r);
}

/* Where it would refuse who is right, a newcomer begins with nothing taken. */
static void test_without_inheriting_newcomers_are_free(void **state)
{
    (void)state;
    struct ratelimit *r = make(5, 8);
    for (uint32_t key = 0; key < 100; key++)
        assert_int_equal(take_all(r, &key, sizeof key, 1000), 5);
    ratelimit_free(r);
}

/* A full bucket is no entry: it makes room, and is not inherited. */
static void test_what_is_full_again_is_forgotten(void **state)
{
    (void)state;
    struct ratelimit *r = make_inheriting(5, 8);
    for (uint32_t key = 0; key < 8; key++)
        (void)take_all(r, &key, sizeof key, 1000);
    for (uint32_t key = 100; key < 108; key++)
        assert_int_equal(take_all(r, &key, sizeof key, 61000), 5);
    ratelimit_free(r);
}

struct told {
    unsigned all, first;
    uint32_t retry_after_s;
};

static void tell(void *context, const struct ratelimit_bite *b)
{
    struct told *t = context;
    assert_memory_equal(b->key, "key", b->len);
    t->all++;
    t->first += b->first;
    t->retry_after_s = b->retry_after_s;
}

/* Each refusal counts, one in a window is the first; a look is none. */
static void test_bites(void **state)
{
    (void)state;
    struct told told = {0};
    struct ratelimit *r = make_of(&(struct ratelimit_options){2, MINUTE_MS, 8, true, tell, &told});
    for (unsigned s = 0; s < 180; s++) { /* two at once, then one in 30 s */
        (void)ratelimit_take(r, "key", 3, 1000 + s * 1000, NULL);
        (void)ratelimit_peek(r, "key", 3, 1000 + s * 1000, NULL);
    }
    assert_int_equal(told.all, 180 - 2 - 5);
    assert_int_equal(told.first, 3);
    assert_in_range(told.retry_after_s, 1, 30);
    ratelimit_free(r);
}

static struct sockaddr_storage address_of(const char *text)
{
    struct sockaddr_storage a = {.ss_family = AF_UNIX};
    if (strchr(text, ':') != NULL) {
        a.ss_family = AF_INET6;
        assert_int_equal(inet_pton(AF_INET6, text, &((struct sockaddr_in6 *)&a)->sin6_addr), 1);
    } else if (text[0] != '\0') {
        a.ss_family = AF_INET;
        assert_int_equal(inet_pton(AF_INET, text, &((struct sockaddr_in *)&a)->sin_addr), 1);
    }
    return a;
}

/* Does what one takes leave the other without? */
static bool same(const char *one, const char *other)
{
    struct sockaddr_storage a = address_of(one), b = address_of(other);
    struct ratelimit *r = make(1, 8);
    assert_true(ratelimit_peek_address(r, &a, 1000, NULL));
    assert_true(ratelimit_take_address(r, &a, 1000, NULL));
    bool left = ratelimit_peek_address(r, &b, 1000, NULL);
    assert_int_equal(ratelimit_take_address(r, &b, 1000, NULL), left);
    ratelimit_free(r);
    return !left;
}

static void test_addresses(void **state)
{
    (void)state;
    assert_true(same("127.0.0.1", "127.0.0.1"));
    assert_false(same("127.0.0.1", "127.0.0.2"));
    assert_true(same("::ffff:10.1.2.3", "10.1.2.3"));
    assert_true(same("2001:db8:1:2::1", "2001:db8:1:2:ffff::"));
    assert_false(same("2001:db8:1:2::1", "2001:db8:1:3::1"));
    assert_false(same("::1", "0.0.0.1"));
    assert_true(same("", ""));
}

static void tell_address(void *context, const struct ratelimit_bite *b)
{
    ratelimit_address_text(b->key, b->len, context, 64);
}

/* A /48 is 65,536 /64s; all of them get what sixteen do. */
static void test_a_block_of_addresses(void **state)
{
    (void)state;
    char said[64] = "";
    uint32_t retry = 0;
    struct ratelimit *r =
        make_of(&(struct ratelimit_options){5, MINUTE_MS, 16384, true, tell_address, said});
    unsigned granted = 0;
    for (unsigned i = 0; i < 65536; i++) {
        char text[64];
        (void)snprintf(text, sizeof text, "2001:db8:1:%x::1", i);
        struct sockaddr_storage a = address_of(text);
        granted += ratelimit_take_address(r, &a, 1000, &retry);
    }
    assert_int_equal(granted, 16 * 5);
    assert_int_equal(retry, 1);
    assert_string_equal(said, "2001:db8:1::/48");
    struct sockaddr_storage beside = address_of("2001:db8:2:1::1"), v4 = address_of("192.0.2.7");
    for (unsigned i = 0; i < 5; i++)
        assert_true(ratelimit_take_address(r, &beside, 1000, NULL));
    for (unsigned i = 0; i < 10000; i++) /* refused: takes nothing of its block */
        assert_false(ratelimit_take_address(r, &beside, 1000, NULL));
    assert_string_equal(said, "2001:db8:2:1::/64");
    beside = address_of("2001:db8:2:2::1");
    assert_true(ratelimit_take_address(r, &beside, 1000, NULL));
    ratelimit_charge_address(r, &v4, 5, 1000);
    assert_false(ratelimit_take_address(r, &v4, 1000, NULL));
    assert_string_equal(said, "192.0.2.7");
    ratelimit_free(r);
}

static void test_what_is_dear(void **state)
{
    (void)state;
    uint32_t retry = 0;
    struct sockaddr_storage a = address_of("192.0.2.7");
    struct ratelimit *r = make(60, 8);
    for (unsigned i = 0; i < 6; i++) {
        assert_true(ratelimit_take_address(r, &a, 1000, NULL));
        ratelimit_charge_address(r, &a, 9, 1000);
    }
    assert_false(ratelimit_take_address(r, &a, 1000, &retry));
    assert_int_equal(retry, 1);
    ratelimit_charge_address(r, &a, 1000000, 1000); /* no debt: the wait stays what was said */
    assert_true(ratelimit_take_address(r, &a, 2000, NULL));
    ratelimit_free(r);
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
        cmocka_unit_test(test_a_bucket),
        cmocka_unit_test(test_the_wait_is_honest),
        cmocka_unit_test(test_peek_and_refund),
        cmocka_unit_test(test_zero_never_limits),
        cmocka_unit_test(test_keys_are_bytes),
        cmocka_unit_test(test_a_flood_frees_nobody),
        cmocka_unit_test(test_nor_do_they_free_each_other),
        cmocka_unit_test(test_without_inheriting_newcomers_are_free),
        cmocka_unit_test(test_what_is_full_again_is_forgotten),
        cmocka_unit_test(test_bites),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_a_block_of_addresses),
        cmocka_unit_test(test_what_is_dear),
        cmocka_unit_test(test_threads_share_one_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
