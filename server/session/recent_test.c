#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
/* after those */
#include <cmocka.h>

#include "session/recent.h"

static void the_last_32_are_known(void **state)
{
    (void)state;
    struct recent r;
    recent_init(&r, 7, RECENT_BYTES_MAX);
    assert_false(recent_seen(&r, "d", "c", 1));
    assert_null(r.buckets); /* nothing is allocated for asking */
    for (uint64_t id = 1; id <= 33; id++)
        recent_add(&r, "d", "c", id);
    assert_false(recent_seen(&r, "d", "c", 1));
    for (uint64_t id = 2; id <= 33; id++)
        assert_true(recent_seen(&r, "d", "c", id));
    recent_forget(&r, "d", "c", 20);
    assert_false(recent_seen(&r, "d", "c", 20));
    assert_false(recent_seen(&r, "e", "c", 2));
    recent_drop(&r, "d");
    assert_false(recent_seen(&r, "d", "c", 2));
    assert_int_equal(r.bytes, 0);
    recent_fini(&r);
}

static void another_child_knows_nothing(void **state)
{
    (void)state;
    struct recent r;
    recent_init(&r, 7, RECENT_BYTES_MAX);
    recent_add(&r, "d", "anna", 5);
    recent_answer_begin(&r, "d", "anna", 5);
    recent_answer_add(&r, "d", "anna", span_of("hello anna"));
    assert_int_equal(recent_answer(&r, "d", "ben", 5).len, 0);
    assert_false(recent_seen(&r, "d", "ben", 5));
    assert_false(recent_seen(&r, "d", "anna", 5)); /* the toy is ben's now */
    recent_fini(&r);
    assert_int_equal(r.bytes, 0);
}

static void a_child_is_dropped_from_all_its_toys(void **state)
{
    (void)state;
    struct recent r;
    recent_init(&r, 7, RECENT_BYTES_MAX);
    recent_drop_child(&r, "anna"); /* before anything was used */
    recent_add(&r, "d", "anna", 5);
    recent_add(&r, "e", "ben", 5);
    recent_add(&r, "f", "anna", 5);
    recent_answer_begin(&r, "f", "anna", 5);
    recent_answer_add(&r, "f", "anna", span_of("hello anna"));
    recent_drop_child(&r, "anna");
    assert_false(recent_known(&r, "d", "anna"));
    assert_int_equal(recent_answer(&r, "f", "anna", 5).len, 0);
    assert_true(recent_seen(&r, "e", "ben", 5));
    recent_drop(&r, "e");
    assert_int_equal(r.bytes, 0);
    recent_fini(&r);
}

static void a_pair_is_known_by_its_ids(void **state)
{
    (void)state;
    struct recent r;
    recent_init(&r, 7, RECENT_BYTES_MAX);
    assert_false(recent_known(&r, "d", "c"));
    recent_add(&r, "d", "c", 1);
    assert_true(recent_known(&r, "d", "c"));
    recent_forget(&r, "d", "c", 1);
    assert_false(recent_known(&r, "d", "c"));
    recent_add(&r, "d", "c", 2);
    assert_false(recent_known(&r, "d", "another"));
    recent_fini(&r);
}

static void the_latest_answer_is_kept_when_it_fits(void **state)
{
    (void)state;
    static char big[RECENT_ANSWER_MAX];
    struct recent r;
    recent_init(&r, 7, RECENT_BYTES_MAX);
    recent_add(&r, "d", "c", 1);
    recent_answer_begin(&r, "d", "c", 1);
    recent_answer_add(&r, "d", "c", span_of("one "));
    recent_answer_add(&r, "d", "c", span_of("two"));
    assert_true(span_is(recent_answer(&r, "d", "c", 1), "one two"));
    recent_answer_drop(&r, "d", "c");
    assert_int_equal(recent_answer(&r, "d", "c", 1).len, 0);
    recent_answer_add(&r, "d", "c", span_of("late"));
    assert_int_equal(recent_answer(&r, "d", "c", 1).len, 0);
    recent_answer_begin(&r, "d", "c", 1);
    recent_answer_add(&r, "d", "c", span_of("one two"));
    assert_true(span_is(recent_answer(&r, "d", "c", 1), "one two"));
    assert_int_equal(recent_answer(&r, "d", "c", 2).len, 0);
    recent_answer_add(&r, "d", "c", (struct span){big, sizeof big - 6});
    assert_int_equal(recent_answer(&r, "d", "c", 1).len, 0);
    recent_answer_add(&r, "d", "c", span_of("x"));
    assert_int_equal(recent_answer(&r, "d", "c", 1).len, 0); /* no half answers */
    recent_answer_begin(&r, "d", "c", 0);                    /* one without an id is the latest */
    recent_answer_add(&r, "d", "c", span_of("x"));
    assert_int_equal(recent_answer(&r, "d", "c", 1).len, 0);
    recent_fini(&r);
}

static void memory_is_bounded_and_the_oldest_makes_room(void **state)
{
    (void)state;
    struct recent r;
    char device[16];
    recent_init(&r, 7, 40000);
    for (int i = 0; i < 1000; i++) {
        snprintf(device, sizeof device, "d%d", i);
        recent_add(&r, device, "c", 1);
        recent_answer_begin(&r, device, "c", 1);
        recent_answer_add(&r, device, "c", span_of("answer"));
        assert_true(r.bytes <= 40000);
        recent_add(&r, "d0", "c", 2); /* d0 is used all the time */
    }
    assert_true(recent_seen(&r, "d999", "c", 1));
    assert_true(span_is(recent_answer(&r, "d999", "c", 1), "answer"));
    assert_true(recent_seen(&r, "d0", "c", 2));
    assert_false(recent_seen(&r, "d1", "c", 1));
    recent_fini(&r);
    assert_int_equal(r.bytes, 0);
    recent_init(&r, 7, 10); /* room for nobody */
    recent_add(&r, "d", "c", 1);
    assert_false(recent_seen(&r, "d", "c", 1));
    recent_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_32_are_known),
        cmocka_unit_test(another_child_knows_nothing),
        cmocka_unit_test(a_child_is_dropped_from_all_its_toys),
        cmocka_unit_test(a_pair_is_known_by_its_ids),
        cmocka_unit_test(the_latest_answer_is_kept_when_it_fits),
        cmocka_unit_test(memory_is_bounded_and_the_oldest_makes_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
