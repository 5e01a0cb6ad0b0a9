#include "proto/text.h"

#include "proto/proto_test.h"

static void hex_of_either_case(void **state)
{
    static const uint8_t want[] = {0x00, 0x1a, 0xb2, 0xff, 0x90};
    uint8_t out[5];

    (void)state;
    assert_int_equal(hex_decode(LIT("001aB2fF90"), out, 5), TEDDY_OK);
    assert_memory_equal(out, want, 5);
    assert_int_equal(hex_decode(LIT(""), out, 0), TEDDY_OK);
}

static void hex_that_is_none(void **state)
{
    static const char *const bad[] = {"0",    "000",  "00000", "0g00",       "000G",
                                      " 000", "0x00", "00 0",  "-100",       "00:0",
                                      "@000", "`000", "/000",  "\xc3\xa9 00"};
    uint8_t out[2];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_int_equal(hex_decode(span_of(bad[i]), out, 2), TEDDY_EPROTO);
    assert_int_equal(hex_decode(LIT("0000"), out, 1), TEDDY_EPROTO);
    /* A length whose double wraps to that of the text. */
    assert_int_equal(hex_decode(LIT("00"), out, SIZE_MAX / 2 + 2), TEDDY_EPROTO);
}

/* RFC 4648 section 10. */
static void base64_of_the_rfc(void **state)
{
    static const char *const want[][2] = {{"", ""},
                                          {"f", "Zg=="},
                                          {"fo", "Zm8="},
                                          {"foo", "Zm9v"},
                                          {"foob", "Zm9vYg=="},
                                          {"fooba", "Zm9vYmE="},
                                          {"foobar", "Zm9vYmFy"}};
    char out[16];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        base64_encode((const uint8_t *)want[i][0], strlen(want[i][0]), out);
        assert_string_equal(out, want[i][1]);
    }
    base64_encode((const uint8_t *)"\xfb\xff\xbf", 3, out);
    assert_string_equal(out, "+/+/");
    base64url_encode((const uint8_t *)"\xfb\xff\xbf", 3, out);
    assert_string_equal(out, "-_-_");
}

static void base64url_reads_what_it_writes(void **state)
{
    uint8_t data[70], back[70];
    char text[96];
    size_t len;

    (void)state;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 151 + 7);
    for (size_t n = 0; n <= sizeof data; n++) {
        struct span s;

        base64url_encode(data, n, text);
        assert_int_equal(strlen(text), (4 * n + 2) / 3);
        s = heap_copy(span_of(text));
        assert_int_equal(base64url_decode(s, back, n, &len), TEDDY_OK);
        assert_int_equal(len, n);
        assert_memory_equal(back, data, n);
        if (n > 0)
            assert_int_equal(base64url_decode(s, back, n - 1, &len), TEDDY_ENOSPC);
        heap_free(s);
    }
}

static void base64url_is_strict(void **state)
{
    static const char *const bad[] = {"A",    "AAAAA",      "Zg==", "Zm8=", "A+AA", "A/AA",
                                      "A AA", "AA\n",       "Zh",   "Z1",   "Zm9",  "Zm-",
                                      "AA.A", "AA\xc3\xa9", "=",    "AA=A"};
    uint8_t out[8];
    size_t len;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        len = 99;
        assert_int_equal(base64url_decode(span_of(bad[i]), out, sizeof out, &len), TEDDY_EPROTO);
        assert_int_equal(len, 0);
    }
    assert_int_equal(base64url_decode(LIT("AAA\0"), out, sizeof out, &len), TEDDY_EPROTO);
}

static void compare_sees_every_bit(void **state)
{
    uint8_t a[32] = {0}, b[32] = {0};

    (void)state;
    assert_true(ct_equal(a, b, sizeof a));
    assert_true(ct_equal(a, b, 0));
    for (size_t i = 0; i < 8 * sizeof a; i++) {
        b[i / 8] ^= (uint8_t)(1u << i % 8);
        assert_false(ct_equal(a, b, sizeof a));
        assert_true(ct_equal(a, b, i / 8));
        b[i / 8] = 0;
    }
}

static void wipe_leaves_zeros(void **state)
{
    uint8_t a[40], zero[40] = {0};

    (void)state;
    memset(a, 0x55, sizeof a);
    wipe(a + 1, 38);
    assert_memory_equal(a + 1, zero, 38);
    assert_int_equal(a[0], 0x55);
    assert_int_equal(a[39], 0x55);
    wipe(NULL, 0);
}

static void whole_numbers(void **state)
{
    static const char *const bad[] = {"",
                                      "+5",
                                      "-1",
                                      " 1",
                                      "1 ",
                                      "0x1",
                                      "1.0",
                                      "1e3",
                                      "18446744073709551616",
                                      "99999999999999999999",
                                      "000000000000000000001",
                                      "a",
                                      "1\n",
                                      "5,5"};
    uint64_t n = 77;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_int_equal(u64_parse(span_of(bad[i]), &n), TEDDY_EPROTO);
    assert_int_equal(n, 77);
    assert_int_equal(u64_parse(LIT("18446744073709551615"), &n), TEDDY_OK);
    assert_true(n == UINT64_MAX);
    assert_int_equal(u64_parse(LIT("00000000000000000042"), &n), TEDDY_OK);
    assert_int_equal(n, 42);
}

static void case_of_ascii_alone(void **state)
{
    (void)state;
    assert_true(span_ieq(LIT("Content-Length"), "content-LENGTH"));
    assert_false(span_ieq(LIT("Content-Length"), "content-lengt"));
    assert_false(span_ieq(LIT("Content-Lengt"), "content-length"));
    assert_false(span_ieq(LIT("@[`{"), "`{@["));
    assert_false(span_ieq(LIT("\xc3\x89"), "\xc3\xa9"));
    assert_true(span_ieq(LIT(""), ""));
}

static void only_these_characters(void **state)
{
    (void)state;
    assert_true(span_within(LIT(""), ""));
    assert_true(span_within(LIT("azAZ09"), ""));
    assert_true(span_within(LIT("-_.a"), "._-"));
    for (unsigned c = 0; c < 256; c++) {
        char one[2] = {'x', (char)c};
        bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

        assert_int_equal(span_within((struct span){one, 2}, ""), alnum);
        assert_int_equal(span_within((struct span){one, 2}, "\xe9~"),
                         alnum || c == 0xE9 || c == '~');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hex_of_either_case),
        cmocka_unit_test(only_these_characters),
        cmocka_unit_test(hex_that_is_none),
        cmocka_unit_test(base64_of_the_rfc),
        cmocka_unit_test(base64url_reads_what_it_writes),
        cmocka_unit_test(base64url_is_strict),
        cmocka_unit_test(compare_sees_every_bit),
        cmocka_unit_test(wipe_leaves_zeros),
        cmocka_unit_test(whole_numbers),
        cmocka_unit_test(case_of_ascii_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
