#include "proto/writer.h"

#include <inttypes.h>
#include <stdio.h>

#include "proto/json.h"
#include "proto/proto_test.h"
#include "teddy/err.h"

static void text_and_numbers_are_joined(void **state)
{
    char buf[64];
    struct writer w = writer_on(buf, sizeof buf);

    (void)state;
    writer_text(&w, "n=");
    writer_u64(&w, 0);
    writer_bytes(&w, " ", 1);
    writer_u64(&w, UINT64_MAX);
    writer_span(&w, (struct span){NULL, 0});
    writer_text(&w, " ");
    writer_hex(&w, (const uint8_t *)"\x00\x9f\xff", 3);
    assert_int_equal(writer_end(&w), TEDDY_OK);
    assert_string_equal(buf, "n=0 18446744073709551615 009fff");
    assert_int_equal(w.len, strlen(buf));
}

static void strings_are_escaped(void **state)
{
    char buf[128];
    struct writer w = writer_on(buf, sizeof buf);

    (void)state;
    writer_json_string(&w, LIT("a\"b\\c/\b\f\n\r\t\x01\x1f\x7f\0é😀"));
    assert_int_equal(writer_end(&w), TEDDY_OK);
    assert_string_equal(
        buf, "\"a\\\"b\\\\c/\\u0008\\u000c\\u000a\\u000d\\u0009\\u0001\\u001f\\u007f\\u0000é😀\"");
}

static void an_empty_string_is_two_quotes(void **state)
{
    char buf[3];
    struct writer w = writer_on(buf, sizeof buf);

    (void)state;
    writer_json_string(&w, (struct span){NULL, 0});
    assert_int_equal(writer_end(&w), TEDDY_OK);
    assert_string_equal(buf, "\"\"");
}

/* Every capacity: what fits is whole, what does not sets the flag and touches nothing outside. */
static void nothing_is_written_past_the_end(void **state)
{
    static const char whole[] = "\"x\\u000ay\"7ab";

    (void)state;
    for (size_t cap = 0; cap <= sizeof whole; cap++) {
        char *buf = malloc(cap > 0 ? cap : 1);
        struct writer w;

        assert_non_null(buf);
        w = writer_on(buf, cap);
        writer_json_string(&w, LIT("x\ny"));
        writer_u64(&w, 7);
        writer_hex(&w, (const uint8_t *)"\xab", 1);
        assert_true(w.len <= cap);
        assert_int_equal(writer_end(&w), cap >= sizeof whole ? TEDDY_OK : TEDDY_ENOSPC);
        assert_int_equal(w.overflow, cap < sizeof whole);
        if (cap >= sizeof whole)
            assert_string_equal(buf, whole);
        free(buf);
    }
}

static void overflow_stays(void **state)
{
    char buf[4];
    struct writer w = writer_on(buf, sizeof buf);

    (void)state;
    writer_text(&w, "abcde");
    assert_true(w.overflow);
    writer_text(&w, "a");
    writer_hex(&w, (const uint8_t *)"\x01", 1);
    assert_int_equal(w.len, 0);
    assert_int_equal(writer_end(&w), TEDDY_ENOSPC);
}

static void an_absurd_length_does_not_wrap(void **state)
{
    char buf[4];
    struct writer w = writer_on(buf, sizeof buf);

    (void)state;
    writer_text(&w, "a");
    writer_bytes(&w, buf, SIZE_MAX);
    assert_true(w.overflow);
    w = writer_on(buf, sizeof buf);
    writer_hex(&w, (const uint8_t *)buf, SIZE_MAX / 2 + 2);
    assert_true(w.overflow);
}

/* Every character of one byte, written and read back. */
static void what_is_written_reads_back(void **state)
{
    (void)state;
    for (int c = 1; c < 0x80; c++) {
        char text[4] = {'<', (char)c, '>', '\0'};
        char buf[64], back[16];
        struct json_object obj;
        struct writer w = writer_on(buf, sizeof buf);
        size_t len;

        writer_text(&w, "{\"s\":");
        writer_json_string(&w, span_of(text));
        writer_text(&w, "}");
        assert_int_equal(writer_end(&w), TEDDY_OK);
        assert_int_equal(json_parse((struct span){buf, w.len}, &obj), TEDDY_OK);
        assert_int_equal(json_string(&obj, "s", back, sizeof back, &len), TEDDY_OK);
        assert_int_equal(len, 3);
        assert_string_equal(back, text);
    }
}

/* Long texts go by words: every byte in every place is written as it is on its own. */
static void no_place_is_special(void **state)
{
    char text[20], buf[64], alone[8];

    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        struct writer one = writer_on(alone, sizeof alone);

        writer_json_byte(&one, (uint8_t)byte);
        for (size_t at = 0; at < sizeof text; at++) {
            struct writer w = writer_on(buf, sizeof buf);

            memset(text, 'x', sizeof text);
            text[at] = (char)byte;
            writer_json_string(&w, (struct span){text, sizeof text});
            assert_false(w.overflow);
            assert_int_equal(w.len, sizeof text + 1 + one.len);
            assert_memory_equal(buf, "\"xxxxxxxxxxxxxxxxxxxx", 1 + at);
            assert_memory_equal(buf + 1 + at, alone, one.len);
            assert_memory_equal(buf + 1 + at + one.len, "xxxxxxxxxxxxxxxxxxxx",
                                sizeof text - 1 - at);
            assert_int_equal(buf[w.len - 1], '"');
        }
    }
}

/* The digits of numbers around each power of ten. */
static void every_length_of_a_number(void **state)
{
    char buf[32], expected[32];

    (void)state;
    for (uint64_t power = 1;; power *= 10) {
        for (unsigned i = 0; i < 3; i++) {
            struct writer w = writer_on(buf, sizeof buf);

            writer_u64(&w, power - 1 + i);
            assert_int_equal(writer_end(&w), TEDDY_OK);
            snprintf(expected, sizeof expected, "%" PRIu64, power - 1 + i);
            assert_string_equal(buf, expected);
        }
        if (power > UINT64_MAX / 10)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_and_numbers_are_joined),
        cmocka_unit_test(strings_are_escaped),
        cmocka_unit_test(an_empty_string_is_two_quotes),
        cmocka_unit_test(nothing_is_written_past_the_end),
        cmocka_unit_test(overflow_stays),
        cmocka_unit_test(an_absurd_length_does_not_wrap),
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(no_place_is_special),
        cmocka_unit_test(every_length_of_a_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
