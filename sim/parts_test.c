/* The simulator's own counting: it must find what is lost, doubled or out of order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "sim/tally.h"
#include "sim/timers.h"

static void a_tally_tells_first_late_doubled_and_unknown(void **state)
{
    struct tally t;

    (void)state;
    assert_true(tally_init(&t, 10));
    assert_int_equal(tally_take(&t, 0), TALLY_FIRST);
    assert_int_equal(tally_take(&t, 2), TALLY_FIRST);
    assert_int_equal(tally_take(&t, 1), TALLY_LATE);
    assert_int_equal(tally_take(&t, 1), TALLY_DOUBLED);
    assert_int_equal(tally_take(&t, 2), TALLY_DOUBLED);
    assert_int_equal(tally_take(&t, 9), TALLY_FIRST);
    assert_int_equal(tally_take(&t, 10), TALLY_UNKNOWN);
    assert_int_equal(tally_take(&t, UINT32_MAX), TALLY_UNKNOWN);
    assert_int_equal(t.count, 4);
    assert_int_equal(t.next, 10);
    assert_true(tally_has(&t, 9));
    assert_false(tally_has(&t, 8));
    assert_false(tally_has(&t, 80));
    tally_fini(&t);
}

static void percentiles_are_of_the_nearest_rank(void **state)
{
    struct samples s = {0};

    (void)state;
    assert_int_equal(samples_percentile(&s, 50), 0);
    for (unsigned i = 1000; i > 0; i--)
        samples_add(&s, i);
    samples_add(&s, UINT64_MAX);
    samples_sort(&s);
    assert_int_equal(samples_percentile(&s, 50), 501);
    assert_int_equal(samples_percentile(&s, 99), 991);
    assert_int_equal(samples_percentile(&s, 100), UINT32_MAX);
    samples_fini(&s);
}

static void timers_come_in_order_however_they_are_moved(void **state)
{
    enum { COUNT = 500 };
    struct timer timers[COUNT] = {0};
    struct timers h;
    uint64_t last = 0, draw = 7;

    (void)state;
    assert_true(timers_init(&h, COUNT));
    assert_null(timers_first(&h));
    for (int i = 0; i < COUNT; i++)
        timers_add(&h, &timers[i], (uint64_t)i * 7919 % 1000);
    for (int i = 0; i < 5000; i++) {
        draw = draw * UINT64_C(6364136223846793005) + 1442695040888963407u;
        timers_move(&h, &timers[(draw >> 33) % COUNT], (draw >> 13) % 1000);
    }
    for (int i = 0; i < COUNT; i++) {
        struct timer *t = timers_first(&h);
        assert_true(t->due_ms >= last && t->due_ms < 1000);
        last = t->due_ms;
        timers_move(&h, t, TIMER_NEVER);
    }
    assert_true(timers_first(&h)->due_ms == TIMER_NEVER);
    timers_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tally_tells_first_late_doubled_and_unknown),
        cmocka_unit_test(percentiles_are_of_the_nearest_rank),
        cmocka_unit_test(timers_come_in_order_however_they_are_moved),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
