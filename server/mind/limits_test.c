/* A child's day: quiet hours over midnight, in zones and where their clocks change, and minutes
 * that are used up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "mind/internal.h"

#define H(hours)   ((hours)*3600)
#define HM(hh, mm) ((unsigned)((hh)*60 + (mm)))
#define DAY        UINT64_C(86400)
#define MIDNIGHT   (20000 * DAY) /* UTC, 2024-10-04 */

static struct person person_in(const char *zone, unsigned from, unsigned to, unsigned minutes)
{
    struct person p = {.known = true};
    snprintf(p.profile.zone, sizeof p.profile.zone, "%s", zone);
    p.profile.quiet_from = from;
    p.profile.quiet_to = to;
    p.profile.minutes = minutes;
    return p;
}

/* As a session would: the clock is read, then judged by. */
static enum limits_end at(struct person *p, uint64_t now_s)
{
    limits_read_clock(p, now_s);
    return limits_judge(p, now_s, 0);
}

static void within_a_day(void **state)
{
    struct person p = person_in("", HM(12, 30), HM(14, 0), 0);
    (void)state;
    assert_int_equal(at(&p, MIDNIGHT + H(12) + 29 * 60 + 59), LIMITS_NONE);
    assert_int_equal(at(&p, MIDNIGHT + H(12) + 30 * 60), LIMITS_QUIET);
    assert_int_equal(at(&p, MIDNIGHT + H(14) - 1), LIMITS_QUIET);
    assert_int_equal(at(&p, MIDNIGHT + H(14)), LIMITS_NONE);
    p = person_in("", 0, 0, 0);
    assert_int_equal(at(&p, MIDNIGHT), LIMITS_NONE); /* the same: none */
}

static void over_midnight(void **state)
{
    struct person p = person_in("", HM(21, 0), HM(7, 0), 0);
    (void)state;
    assert_int_equal(at(&p, MIDNIGHT + H(21) - 1), LIMITS_NONE);
    assert_int_equal(at(&p, MIDNIGHT + H(21)), LIMITS_QUIET);
    assert_int_equal(at(&p, MIDNIGHT + DAY - 1), LIMITS_QUIET);
    assert_int_equal(at(&p, MIDNIGHT + DAY), LIMITS_QUIET);
    assert_int_equal(at(&p, MIDNIGHT + DAY + H(7) - 1), LIMITS_QUIET);
    assert_int_equal(at(&p, MIDNIGHT + DAY + H(7)), LIMITS_NONE);
}

static void in_zones(void **state)
{
    static const struct {
        const char *zone;
        int minutes; /* east of Greenwich, at MIDNIGHT */
    } zones[] = {{"Asia/Tokyo", 540},      {"America/New_York", -240}, {"Asia/Kathmandu", 345},
                 {"Pacific/Apia", 780},    {"Pacific/Niue", -660},     {"Asia/Kolkata", 330},
                 {"Europe/Berlin", 120},   {"Etc/GMT+12", -720},       {"Pacific/Kiritimati", 840},
                 {"America/Caracas", -240}};
    (void)state;
    for (size_t i = 0; i < sizeof zones / sizeof zones[0]; i++) {
        struct person p = person_in(zones[i].zone, HM(21, 0), HM(7, 0), 0);
        uint64_t nine = MIDNIGHT + H(21) - (uint64_t)(int64_t)zones[i].minutes * 60;
        if (at(&p, nine - 1) != LIMITS_NONE || at(&p, nine) != LIMITS_QUIET ||
            at(&p, nine + H(10) - 1) != LIMITS_QUIET || at(&p, nine + H(10)) != LIMITS_NONE)
            fail_msg("%s", zones[i].zone);
    }
}

/* 2026-03-29 in Berlin, 02:00 becomes 03:00 (01:00 UTC); on 2026-10-25, 03:00 becomes 02:00. */
static void where_clocks_change(void **state)
{
    const uint64_t spring = UINT64_C(1774746000), autumn = UINT64_C(1792890000);
    struct person p = person_in("Europe/Berlin", HM(2, 0), HM(3, 0), 0);
    (void)state;
    assert_int_equal(at(&p, spring - 1), LIMITS_NONE); /* 01:59:59 */
    assert_int_equal(at(&p, spring), LIMITS_NONE);     /* 03:00:00: the hour was left out */
    assert_int_equal(at(&p, autumn - H(1)), LIMITS_QUIET);
    assert_int_equal(at(&p, autumn - 1), LIMITS_QUIET);
    assert_int_equal(at(&p, autumn), LIMITS_QUIET); /* 02:00:00 again */
    assert_int_equal(at(&p, autumn + H(1)), LIMITS_NONE);
    p = person_in("Europe/Berlin", HM(21, 0), HM(7, 0), 0);
    assert_int_equal(at(&p, spring + H(4) - 1), LIMITS_QUIET); /* 06:59:59, an hour early */
    assert_int_equal(at(&p, spring + H(4)), LIMITS_NONE);
    assert_int_equal(at(&p, autumn + H(5) - 1), LIMITS_QUIET);
    assert_int_equal(at(&p, autumn + H(5)), LIMITS_NONE);
}

/* A session that is open over the change reads its clock again in time. */
static void a_clock_is_read_again_when_it_may_change(void **state)
{
    const uint64_t spring = UINT64_C(1774746000);
    struct person p = person_in("Europe/Berlin", HM(21, 0), HM(7, 0), 0);
    (void)state;
    limits_read_clock(&p, spring - 1);
    assert_int_equal(p.offset_s, H(1));
    assert_true(p.until_s <= spring);
    limits_read_clock(&p, spring);
    assert_int_equal(p.offset_s, H(2));
    assert_true(p.until_s > spring && p.until_s <= spring + PERSON_OLD_S);
    p.profile.minutes = 30; /* another toy may use them up: it is read each time */
    limits_read_clock(&p, spring);
    assert_true(p.until_s <= spring);
}

/* Nobody knows when it is quiet there: always. */
static void a_zone_that_is_gone(void **state)
{
    struct person p = person_in("Gone/Away", HM(2, 0), HM(2, 1), 30);
    (void)state;
    assert_int_equal(at(&p, MIDNIGHT + H(12)), LIMITS_QUIET);
    p.profile.quiet_to = p.profile.quiet_from;
    assert_int_equal(at(&p, MIDNIGHT + H(12)), LIMITS_NONE);
    assert_int_equal(p.day, 20000);
}

static void minutes_of_a_day(void **state)
{
    struct person p = person_in("Asia/Tokyo", 0, 0, 10);
    const uint64_t midnight = MIDNIGHT - H(9); /* there */
    (void)state;
    limits_read_clock(&p, midnight + 5);
    assert_int_equal(p.day, 20000);
    p.played_s = 599;
    assert_int_equal(limits_judge(&p, midnight + 5, 0), LIMITS_NONE);
    assert_int_equal(limits_judge(&p, midnight + 5, 1), LIMITS_ENOUGH); /* not written yet */
    p.played_s = 600;
    assert_int_equal(limits_judge(&p, midnight + DAY - 1, 0), LIMITS_ENOUGH);
    assert_int_equal(limits_judge(&p, midnight + DAY, 0), LIMITS_NONE);
    assert_int_equal(p.played_s, 0);
    assert_int_equal(p.day, 20001);
    p.profile.minutes = 0;
    p.played_s = DAY;
    assert_int_equal(limits_judge(&p, midnight + DAY, 0), LIMITS_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(within_a_day),
        cmocka_unit_test(over_midnight),
        cmocka_unit_test(in_zones),
        cmocka_unit_test(where_clocks_change),
        cmocka_unit_test(a_clock_is_read_again_when_it_may_change),
        cmocka_unit_test(a_zone_that_is_gone),
        cmocka_unit_test(minutes_of_a_day),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
