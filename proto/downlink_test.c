#include "proto/downlink.h"

#include "proto/proto_test.h"

static void ids_are_read(void **state)
{
    struct downlink_id id;

    (void)state;
    assert_int_equal(downlink_id_parse(LIT("0.0"), &id), TEDDY_OK);
    assert_true(id.epoch == 0 && id.n == 0);
    assert_int_equal(downlink_id_parse(LIT("1763683200.12"), &id), TEDDY_OK);
    assert_true(id.epoch == 1763683200 && id.n == 12);
    assert_int_equal(downlink_id_parse(LIT("4294967294.4294967294"), &id), TEDDY_OK);
    assert_true(id.epoch == DOWNLINK_PART_MAX && id.n == DOWNLINK_PART_MAX);
}

static void what_is_no_id_is_refused(void **state)
{
    static const struct span bad[] = {
        {"", 0},
        LIT("."),
        LIT("1"),
        LIT("1."),
        LIT(".1"),
        LIT("1.2.3"),
        LIT("1..2"),
        LIT("-1.2"),
        LIT("1.-2"),
        LIT("+1.2"),
        LIT(" 1.2"),
        LIT("1.2 "),
        LIT("1.2\0"),
        LIT("1,2"),
        LIT("0x1.2"),
        LIT("1e3.2"),
        LIT("01.2"),
        LIT("1.02"),
        LIT("00.0"),
        LIT("4294967295.1"),
        LIT("1.4294967295"),
        LIT("18446744073709551617.1"),
        LIT("10000000000000.1"),
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct downlink_id id = {7, 7};
        struct span text = heap_copy(bad[i]);

        assert_int_equal(downlink_id_parse(text, &id), TEDDY_EPROTO);
        assert_true(id.epoch == 0 && id.n == 0);
        heap_free(text);
    }
}

static void ids_are_written_as_they_are_read(void **state)
{
    static const struct span texts[] = {LIT("0.0"), LIT("1763683200.12"),
                                        LIT("4294967294.4294967294")};
    char text[DOWNLINK_ID_TEXT];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct downlink_id id;
        struct writer w = writer_on(text, sizeof text);

        assert_int_equal(downlink_id_parse(texts[i], &id), TEDDY_OK);
        downlink_id_write(&w, &id);
        assert_int_equal(writer_end(&w), TEDDY_OK);
        assert_string_equal(text, texts[i].p);
    }
}

static void ids_are_in_order(void **state)
{
    static const struct downlink_id order[] = {{0, 0},  {0, 1}, {1, 0},  {1, 9},
                                               {1, 10}, {9, 1}, {10, 1}, {UINT32_MAX - 1, 0}};

    (void)state;
    for (size_t a = 0; a < COUNT_OF(order); a++)
        for (size_t b = 0; b < COUNT_OF(order); b++) {
            int is = downlink_id_compare(&order[a], &order[b]);

            assert_true(a < b ? is < 0 : a == b ? is == 0 : is > 0);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_read),
        cmocka_unit_test(what_is_no_id_is_refused),
        cmocka_unit_test(ids_are_written_as_they_are_read),
        cmocka_unit_test(ids_are_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
