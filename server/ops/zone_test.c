/* Zones against the C library's own reading of the same files, and what is no zone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "ops/zone.h"

static void as_the_c_library_reads_them(void **state)
{
    static const char *const zones[] = {"UTC",
                                        "Europe/Berlin",
                                        "America/New_York",
                                        "Asia/Shanghai",
                                        "Asia/Kolkata",
                                        "Australia/Sydney",
                                        "America/Sao_Paulo",
                                        "Africa/Casablanca",
                                        "Asia/Tehran",
                                        "Pacific/Apia",
                                        "Europe/Dublin",
                                        "America/Santiago",
                                        "Asia/Kathmandu",
                                        "Africa/Cairo",
                                        "Asia/Gaza",
                                        "Antarctica/Troll"};
    (void)state;
    for (size_t z = 0; z < sizeof zones / sizeof zones[0]; z++) {
        assert_int_equal(setenv("TZ", zones[z], 1), 0);
        tzset();
        /* Odd steps of about twenty days, over years that the tables have and that only rules have.
         */
        for (time_t t = -100000000; t < 4000000000; t += 1712340) {
            struct tm tm;
            int32_t offset;
            assert_non_null(localtime_r(&t, &tm));
            if (zone_offset(zones[z], t, &offset) != TEDDY_OK || offset != tm.tm_gmtoff)
                fail_msg("%s at %lld: %d, not %ld", zones[z], (long long)t, offset, tm.tm_gmtoff);
            t += t % 7;
        }
    }
}

static void the_moment_of_a_change(void **state)
{
    int32_t offset;
    (void)state;
    /* 2037-03-29 01:00 UTC, and 2037-10-25 01:00 UTC: by the rule. */
    static const struct {
        int64_t at;
        int32_t offset;
    } cases[] = {{2121901199, 3600}, {2121901200, 7200}, {2140045199, 7200}, {2140045200, 3600}};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(zone_offset("Europe/Berlin", cases[i].at, &offset), TEDDY_OK);
        assert_int_equal(offset, cases[i].offset);
    }
}

static void what_is_no_zone(void **state)
{
    int32_t offset;
    (void)state;
    assert_int_equal(zone_offset("", 0, &offset), TEDDY_OK);
    assert_int_equal(offset, 0);
    assert_int_equal(zone_offset("Europe/Nowhere", 0, &offset), TEDDY_ENOTFOUND);
    assert_int_equal(zone_offset("Europe", 0, &offset), TEDDY_ENOTFOUND);
    assert_int_equal(zone_offset("zone.tab", 0, &offset), TEDDY_ENOTFOUND);
    assert_false(zone_name_ok("../../etc/passwd"));
    assert_false(zone_name_ok("/etc/passwd"));
    assert_false(zone_name_ok("Europe/Ber lin"));
    assert_true(zone_name_ok("Etc/GMT+3"));
}

static void hostile_bytes(void **state)
{
    uint8_t file[256] = "TZif2";
    int32_t offset;
    (void)state;
    for (size_t len = 0; len < sizeof file; len++)
        assert_int_equal(zone_read(file, len, 0, &offset), TEDDY_EPROTO);
    memset(file + 20, 0xFF, 24);
    assert_int_equal(zone_read(file, sizeof file, 0, &offset), TEDDY_EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_the_c_library_reads_them),
        cmocka_unit_test(the_moment_of_a_change),
        cmocka_unit_test(what_is_no_zone),
        cmocka_unit_test(hostile_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
