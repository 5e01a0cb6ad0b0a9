#include "proto/proto_test.h"
#include "proto/ws.h"

static void payload_and_back(void **state)
{
    uint8_t out[WS_CONTROL_MAX];
    struct span reason;
    uint16_t code;
    size_t len = ws_close_payload(out, 4001, LIT("replaced retry_ms=500"));

    (void)state;
    assert_int_equal(len, 23);
    assert_memory_equal(out, "\x0f\xa1replaced", 10);
    ws_close_read(out, len, &code, &reason);
    assert_int_equal(code, 4001);
    assert_span(reason, "replaced retry_ms=500");
    len = ws_close_payload(out, 1000, (struct span){NULL, 0});
    assert_int_equal(len, 2);
    ws_close_read(out, len, &code, &reason);
    assert_int_equal(code, 1000);
    assert_int_equal(reason.len, 0);
}

static void an_empty_payload_has_no_status(void **state)
{
    uint8_t out[WS_CONTROL_MAX];
    struct span reason;
    uint16_t code;

    (void)state;
    assert_int_equal(ws_close_payload(out, WS_CLOSE_NO_STATUS, LIT("x")), 0);
    ws_close_read(NULL, 0, &code, &reason);
    assert_int_equal(code, WS_CLOSE_NO_STATUS);
    assert_int_equal(reason.len, 0);
    ws_close_read((const uint8_t *)"\x03", 1, &code, &reason);
    assert_int_equal(code, WS_CLOSE_NO_STATUS);
}

/* A reason that is too long loses whole characters. */
static void reasons_are_cut_between_characters(void **state)
{
    static const char *const marks[] = {"x", "é", "€", "🧸"};
    uint8_t out[WS_CONTROL_MAX];
    char text[200];

    (void)state;
    for (size_t m = 0; m < COUNT_OF(marks); m++) {
        for (size_t before = 110; before <= 124; before++) {
            size_t mark_len = strlen(marks[m]);
            size_t want = before + mark_len <= 123 ? before + mark_len : before;
            size_t len;

            memset(text, 'a', sizeof text);
            memcpy(text + before, marks[m], mark_len);
            len = ws_close_payload(out, 1000, (struct span){text, before + mark_len});
            assert_true(len <= WS_CONTROL_MAX);
            assert_int_equal(len, 2 + (want > 123 ? 123 : want));
            assert_true(utf8_ok(out + 2, len - 2));
        }
    }
}

static void reasons_are_read(void **state)
{
    static const struct {
        const char *text;
        const char *word;
        uint32_t retry_ms;
    } cases[] = {
        {"", "", 0},
        {"restart", "restart", 0},
        {"restart retry_ms=1500", "restart", 1500},
        {"restart  retry_ms=7", "restart", 0},
        {"restart retry_ms=7 y", "restart", 7},
        {"restart x=1 retry_ms=7", "restart", 0},
        {"restart retry_ms=", "restart", 0},
        {"restart retry_ms=-5", "restart", 0},
        {"restart retry_ms=+5", "restart", 0},
        {"restart retry_ms=5.5", "restart", 5},
        {"restart retry_ms=4294967295", "restart", UINT32_MAX},
        {"restart retry_ms=4294967296", "restart", UINT32_MAX},
        {"restart retry_ms=99999999999999999999999", "restart", UINT32_MAX},
        {"restart xretry_ms=5", "restart", 0},
        {"retry_ms=5", "retry_ms", 0},
        {" retry_ms=5", "", 5},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct span copy = heap_copy(span_of(cases[i].text));
        struct span word;
        uint32_t retry_ms = 99;

        ws_reason_read(copy, &word, &retry_ms);
        assert_span(word, cases[i].word);
        assert_int_equal(retry_ms, cases[i].retry_ms);
        heap_free(copy);
    }
}

static void errors_have_their_codes(void **state)
{
    (void)state;
    assert_int_equal(ws_close_code_of(TEDDY_EPROTO), 1002);
    assert_int_equal(ws_close_code_of(TEDDY_EUNSUPPORTED), 1003);
    assert_int_equal(ws_close_code_of(TEDDY_EUTF8), 1007);
    assert_int_equal(ws_close_code_of(TEDDY_ETOOBIG), 1009);
    assert_int_equal(ws_close_code_of(TEDDY_EIO), 1011);
    assert_string_equal(ws_close_word_of(TEDDY_EPROTO), "protocol");
    assert_string_equal(ws_close_word_of(TEDDY_EUNSUPPORTED), "unsupported");
    assert_string_equal(ws_close_word_of(TEDDY_EUTF8), "invalid_utf8");
    assert_string_equal(ws_close_word_of(TEDDY_ETOOBIG), "too_big");
    assert_string_equal(ws_close_word_of(TEDDY_EIO), "internal");
}

static void keys_are_16_bytes(void **state)
{
    static const char *const bad[] = {
        "",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZQ===",
        "dGhlIHNhbXBsZSBub25jZR==", /* bits behind the last byte */
        "dGhlIHNhbXBsZSBub25jZQ=A",
        "dGhlIHNhbXBsZSBub25jZQA=", /* 17 bytes */
        "dGhlIHNhbXBsZSBub25jZQAA", /* 18 bytes */
        "dGhl-HNhbXBsZSBub25jZQ==",
        "dGhl_HNhbXBsZSBub25jZQ==",
        "dGhl HNhbXBsZSBub25jZQ==",
        "dGhl=HNhbXBsZSBub25jZQ==",
    };

    (void)state;
    assert_true(ws_key_ok(LIT("dGhlIHNhbXBsZSBub25jZQ==")));
    assert_true(ws_key_ok(LIT("++++////AAAAzzzz9999/w==")));
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct span copy = heap_copy(span_of(bad[i]));

        assert_false(ws_key_ok(copy));
        heap_free(copy);
    }
}

/* RFC 6455 section 1.3. */
static void accept_of_the_rfc(void **state)
{
    static const uint8_t sha1[20] = {0xb3, 0x7a, 0x4f, 0x2c, 0xc0, 0x62, 0x4f, 0x16, 0x90, 0xf6,
                                     0x46, 0x06, 0xcf, 0x38, 0x59, 0x45, 0xb2, 0xbe, 0xc4, 0xea};
    char out[WS_ACCEPT_LEN + 1];

    (void)state;
    ws_accept(sha1, out);
    assert_string_equal(out, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_int_equal(strlen(WS_GUID), 36);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(payload_and_back),
        cmocka_unit_test(an_empty_payload_has_no_status),
        cmocka_unit_test(reasons_are_cut_between_characters),
        cmocka_unit_test(reasons_are_read),
        cmocka_unit_test(errors_have_their_codes),
        cmocka_unit_test(keys_are_16_bytes),
        cmocka_unit_test(accept_of_the_rfc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
