#include "proto/utf8.h"

#include "proto/proto_test.h"

/* The one encoding RFC 3629 gives a code point; 0 for those that have none. */
static size_t encode(uint32_t c, uint8_t out[4])
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (uint8_t)(0xC0 | c >> 6);
        out[1] = (uint8_t)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (uint8_t)(0xE0 | c >> 12);
        out[1] = (uint8_t)(0x80 | (c >> 6 & 63));
        out[2] = (uint8_t)(0x80 | (c & 63));
        return c >= 0xD800 && c <= 0xDFFF ? 0 : 3;
    }
    out[0] = (uint8_t)(0xF0 | c >> 18);
    out[1] = (uint8_t)(0x80 | (c >> 12 & 63));
    out[2] = (uint8_t)(0x80 | (c >> 6 & 63));
    out[3] = (uint8_t)(0x80 | (c & 63));
    return c > 0x10FFFF ? 0 : 4;
}

static void every_code_point(void **state)
{
    uint8_t bytes[4];

    (void)state;
    for (uint32_t c = 0; c <= 0x13FFFF; c++) {
        size_t len = encode(c, bytes);

        if (len == 0) {
            assert_false(utf8_ok(bytes, c < 0x10000 ? 3 : 4));
            continue;
        }
        assert_true(utf8_ok(bytes, len));
        for (size_t cut = 1; cut < len; cut++)
            assert_false(utf8_ok(bytes, cut));
    }
}

/* Every pair of bytes is valid exactly when it is two ASCII characters or the encoding of one. */
static void every_pair_is_right(void **state)
{
    static bool two[256][256];
    uint8_t bytes[4];

    (void)state;
    for (uint32_t c = 0x80; c < 0x800; c++) {
        encode(c, bytes);
        two[bytes[0]][bytes[1]] = true;
    }
    for (unsigned a = 0; a < 256; a++) {
        for (unsigned b = 0; b < 256; b++) {
            uint8_t pair[2] = {(uint8_t)a, (uint8_t)b};

            assert_int_equal(utf8_ok(pair, 2), (a < 0x80 && b < 0x80) || two[a][b]);
        }
    }
}

/* True when a character may go on so: its bytes so far were right. */
static bool goes_on(const uint8_t *bytes, size_t len, uint8_t next)
{
    struct utf8 u = {0};

    assert_true(utf8_feed(&u, bytes, len));
    return utf8_feed(&u, &next, 1);
}

/* Behind each beginning of a character every byte: only the second one depends on the first. */
static void every_byte_that_follows(void **state)
{
    static bool two[256][256];
    uint8_t bytes[4];

    (void)state;
    for (uint32_t c = 0x80; c <= 0x10FFFF; c++) {
        if (encode(c, bytes) != 0)
            two[bytes[0]][bytes[1]] = true;
    }
    for (unsigned a = 0xC2; a <= 0xF4; a++) {
        for (unsigned b = 0; b < 256; b++) {
            uint8_t start[3] = {(uint8_t)a, (uint8_t)b, 0x80};

            assert_int_equal(goes_on(start, 1, (uint8_t)b), two[a][b]);
            for (unsigned c = 0; c < 256 && a >= 0xE0 && two[a][b]; c++) {
                assert_int_equal(goes_on(start, 2, (uint8_t)c), c >> 6 == 2);
                if (a >= 0xF0)
                    assert_int_equal(goes_on(start, 3, (uint8_t)c), c >> 6 == 2);
            }
        }
    }
}

static void overlongs_are_refused(void **state)
{
    static const char *const bad[] = {"\xc0\x80",
                                      "\xc0\xaf",
                                      "\xc1\xbf",
                                      "\xe0\x80\xaf",
                                      "\xe0\x9f\xbf",
                                      "\xf0\x80\x80\xaf",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf8\x88\x80\x80",
                                      "\xfc\x84\x80\x80",
                                      "\xed\xa0\x80",
                                      "\xed\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\x80",
                                      "\xbf",
                                      "\xfe",
                                      "\xff",
                                      "a\xc3z"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(utf8_ok(bad[i], strlen(bad[i])));
}

/* The first byte that cannot be right is the one that is refused. */
static void it_fails_at_once(void **state)
{
    static const char *const starts[] = {"\xed\xa0", "\xf4\x90",     "\xe0\x9f",        "\xf0\x8f",
                                         "\xc3\xc3", "\xe2\x82\x41", "\xf0\x9f\x98\xf0"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(starts); i++) {
        size_t len = strlen(starts[i]);
        struct utf8 u = {0};

        for (size_t k = 0; k + 1 < len; k++)
            assert_true(utf8_feed(&u, starts[i] + k, 1));
        assert_false(utf8_feed(&u, starts[i] + len - 1, 1));
    }
}

static void pieces_say_what_the_whole_says(void **state)
{
    static const char text[] =
        "Grüße, \xf0\x9f\xa7\xb8! \xe2\x82\xac \xed\x9f\xbf \xee\x80\x80 \xf4\x8f\xbf\xbf";
    size_t len = sizeof text - 1;

    (void)state;
    for (size_t a = 0; a <= len; a++) {
        for (size_t b = a; b <= len; b++) {
            struct utf8 u = {0};

            assert_true(utf8_feed(&u, text, a));
            assert_int_equal(utf8_done(&u), utf8_ok(text, a));
            assert_true(utf8_feed(&u, text + a, b - a));
            assert_true(utf8_feed(&u, text + b, len - b));
            assert_true(utf8_done(&u));
        }
    }
}

/* Long ASCII goes by words: one byte that is none is seen in every place, and so is what follows.
 */
static void no_place_is_special(void **state)
{
    char text[26];

    (void)state;
    for (unsigned byte = 0x80; byte < 256; byte++) {
        for (size_t at = 0; at < sizeof text; at++) {
            memset(text, ' ', sizeof text);
            text[at] = (char)byte;
            assert_false(utf8_ok(text, sizeof text));
        }
    }
    for (size_t at = 0; at + 4 <= sizeof text; at++) {
        struct span bear = LIT("\xf0\x9f\xa7\xb8");

        memset(text, ' ', sizeof text);
        memcpy(text + at, bear.p, bear.len);
        assert_true(utf8_ok(text, sizeof text));
        text[at + 3] = 'x';
        assert_false(utf8_ok(text, sizeof text));
    }
}

static void nothing_is_valid(void **state)
{
    (void)state;
    assert_true(utf8_ok(NULL, 0));
    assert_true(utf8_ok("\0", 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_point),        cmocka_unit_test(every_pair_is_right),
        cmocka_unit_test(every_byte_that_follows), cmocka_unit_test(overlongs_are_refused),
        cmocka_unit_test(it_fails_at_once),        cmocka_unit_test(pieces_say_what_the_whole_says),
        cmocka_unit_test(nothing_is_valid),        cmocka_unit_test(no_place_is_special),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
