#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "ops/refusals.h"

static struct refusals got;

static int empty(void **state)
{
    (void)state;
    struct refusals rest = {0};
    refusals_collect(&rest, UINT64_MAX);
    got = (struct refusals){0};
    return 0;
}

static struct sockaddr_storage address(const char *text)
{
    struct sockaddr_storage a = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&a;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a;
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1)
        a.ss_family = AF_INET;
    else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1)
        a.ss_family = AF_INET6;
    else
        a.ss_family = AF_UNIX;
    return a;
}

static void count(unsigned loop, const char *event, const char *reason, const char *from)
{
    struct sockaddr_storage a = address(from);
    refusal_count(loop, event, reason, &a);
}

static uint64_t total(void)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < got.count; i++)
        n += got.entry[i].count;
    return n;
}

static void assert_block(const char *from, const char *block)
{
    char text[REFUSALS_BLOCK_LEN] = "";
    struct sockaddr_storage a = address(from);
    refusal_block_text(refusal_block(&a), text);
    assert_string_equal(text, block);
}

static void an_address_is_its_block(void **state)
{
    (void)state;
    char text[REFUSALS_BLOCK_LEN];
    assert_block("192.0.2.77", "192.0.2.0/24");
    assert_block("::ffff:192.0.2.77", "192.0.2.0/24");
    assert_block("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48");
    assert_block("socket", "local");
    refusal_block_text(refusal_block(NULL), text);
    assert_string_equal(text, "session");
    refusal_block_text(0, text);
    assert_string_equal(text, "other");
}

static void one_entry_a_reason_and_block(void **state)
{
    (void)state;
    count(0, "claim.refused", "invalid_signature", "192.0.2.1");
    count(0, "claim.refused", "invalid_signature", "192.0.2.2");
    count(1, "claim.refused", "invalid_signature", "192.0.2.3"); /* another loop */
    count(0, "claim.refused", "device_not_found", "192.0.2.1");
    count(0, "token.refused", "invalid_signature", "192.0.2.1");
    count(0, "claim.refused", "invalid_signature", "198.51.100.1");
    refusals_collect(&got, UINT64_MAX);
    /* At the end of a minute each may be two. */
    assert_in_range(got.count, 4, 6);
    assert_int_equal(total(), 6);
    got = (struct refusals){0};
    refusals_collect(&got, UINT64_MAX);
    assert_int_equal(got.count, 0);
}

static void minutes_stay_apart(void **state)
{
    (void)state;
    struct refusals table = {0};
    struct refusal r = {"claim.refused", "invalid_signature", "", 7, 100, 1};
    refusals_add(&table, &r);
    refusals_add(&table, &r);
    r.minute = 101;
    refusals_add(&table, &r);
    assert_int_equal(table.count, 2);
    assert_int_equal(table.entry[0].count, 2);
    /* The present minute is not over. */
    count(0, "claim.refused", "invalid_signature", "192.0.2.1");
    refusals_collect(&got, 1);
    assert_int_equal(got.count, 0);
    refusals_collect(&got, UINT64_MAX);
    assert_int_equal(got.count, 1);
}

static void a_flood_of_addresses_takes_no_more_room(void **state)
{
    (void)state;
    static const char *const reasons[] = {"invalid_signature", "device_not_found"};
    char from[32];
    for (unsigned i = 0; i < 100000; i++) {
        snprintf(from, sizeof from, "10.%u.%u.1", i >> 8 & 255, i & 255);
        count(i % 4, "claim.refused", reasons[i % 2], from);
    }
    refusals_collect(&got, UINT64_MAX);
    assert_true(got.count <= REFUSALS_MAX);
    assert_in_range(got.blocks, 1, REFUSALS_BLOCKS);
    assert_int_equal(total(), 100000);
    got = (struct refusals){0};
    count(0, "claim.refused", "invalid_signature", "192.0.2.1");
    refusals_collect(&got, UINT64_MAX); /* there is room again */
    assert_int_equal(got.blocks, 1);
}

static void actors_stay_apart_in_a_flood_too(void **state)
{
    (void)state;
    char from[32], text[REFUSALS_BLOCK_LEN];
    refusal_block_text(REFUSAL_ALL, text);
    assert_string_equal(text, "all");
    for (unsigned i = 0; i < 200; i++) {
        snprintf(from, sizeof from, "10.1.%u.1", i);
        count(0, "admin.refused", "bad_admin_token", from);
        struct sockaddr_storage a = address(from);
        refusal_count_by(0, "admin.refused", "role_too_low", i % 2 ? "token:1" : "token:2",
                         refusal_block(&a));
    }
    refusals_collect(&got, UINT64_MAX);
    uint64_t first = 0, second = 0;
    for (unsigned i = 0; i < got.count; i++) {
        first += strcmp(got.entry[i].actor, "token:1") == 0 ? got.entry[i].count : 0;
        second += strcmp(got.entry[i].actor, "token:2") == 0 ? got.entry[i].count : 0;
    }
    assert_int_equal(first, 100);
    assert_int_equal(second, 100);
    assert_int_equal(total(), 400);
}

static void a_flood_of_reasons_neither(void **state)
{
    (void)state;
    static char reasons[500][8];
    struct refusals table = {0};
    uint64_t n = 0;
    for (unsigned i = 0; i < 500; i++) {
        snprintf(reasons[i], sizeof reasons[i], "r%u", i);
        refusals_add(&table, &(struct refusal){"claim.refused", reasons[i], "", 7, 100, 1});
    }
    assert_int_equal(table.count, REFUSALS_MAX);
    for (unsigned i = 0; i < table.count; i++)
        n += table.entry[i].count;
    assert_int_equal(n, 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_is_its_block),
        cmocka_unit_test_setup(one_entry_a_reason_and_block, empty),
        cmocka_unit_test_setup(minutes_stay_apart, empty),
        cmocka_unit_test_setup(a_flood_of_addresses_takes_no_more_room, empty),
        cmocka_unit_test_setup(actors_stay_apart_in_a_flood_too, empty),
        cmocka_unit_test_setup(a_flood_of_reasons_neither, empty),
    };
    return cmocka_run_group_tests_name("refusals", tests, NULL, NULL);
}
