#include "proto/json.h"

#include "proto/proto_test.h"

/* Parses from a block of exactly the text's size. The members point into freed memory afterwards.
 */
static int parse(struct span text)
{
    struct span copy = heap_copy(text);
    struct json_object obj;
    int err = json_parse(copy, &obj);

    if (err != TEDDY_OK)
        assert_int_equal(obj.count, 0);
    heap_free(copy);
    return err;
}

static void members_are_listed(void **state)
{
    static const char text[] = " \t\r\n{ \"s\" : \"a\\nb\" ,\"n\":-12.5e+3,\"t\":true,\"f\":false,"
                               "\"z\":null,\"a\":[1,{\"x\":[]}],\"o\":{\"y\":{}}} \n";
    static const enum json_type types[] = {JSON_STRING, JSON_NUMBER, JSON_TRUE,  JSON_FALSE,
                                           JSON_NULL,   JSON_ARRAY,  JSON_OBJECT};
    static const char *const values[] = {"a\\nb", "-12.5e+3",       "true",      "false",
                                         "null",  "[1,{\"x\":[]}]", "{\"y\":{}}"};
    struct json_object obj;

    (void)state;
    assert_int_equal(json_parse(LIT(text), &obj), TEDDY_OK);
    assert_int_equal(obj.count, COUNT_OF(types));
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        assert_int_equal(obj.members[i].type, types[i]);
        assert_span(obj.members[i].value, values[i]);
    }
    assert_span(json_name(&obj.members[0]), "s");
    assert_ptr_equal(json_find(&obj, "z"), &obj.members[4]);
    assert_null(json_find(&obj, "y"));
    assert_null(json_find(&obj, ""));
}

static void good_texts(void **state)
{
    static const char *const good[] = {
        "{}",
        "{ }",
        "{\"\":0}",
        "{\"a\":0}",
        "{\"a\":-0}",
        "{\"a\":0.0}",
        "{\"a\":1E9}",
        "{\"a\":1e-9}",
        "{\"a\":[]}",
        "{\"a\":[ ]}",
        "{\"a\":[[],[[]],{}]}",
        "{\"a\":[1 , 2 ,\"x\"]}",
        "{\"a\":{\"b\":1 , \"c\" : [ { } ] } }",
        "{\"a\":\"\\u00e9\\uD83E\\uddf8\\/\\b\\f\\n\\r\\t\\\\\\\"\"}",
        "{\"a\":\"\x7f é 🧸\"}",
        "{\"a\":\"\\u0000\"}",
        "{\"a\":{\"x\":1,\"x\":2}}",
        "{\"a\":123456789012345678901234567890}"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++)
        assert_int_equal(parse(span_of(good[i])), TEDDY_OK);
}

static void bad_texts(void **state)
{
    static const char *const bad[] = {"",
                                      " ",
                                      "x",
                                      "[]",
                                      "\"a\"",
                                      "1",
                                      "null",
                                      "{",
                                      "}",
                                      "{]",
                                      "{}}",
                                      "{} x",
                                      "{},",
                                      "{a:1}",
                                      "{'a':1}",
                                      "{a\":1}",
                                      "{\"a\":{b\":1}}",
                                      "{\"a\"}",
                                      "{\"a\":}",
                                      "{\"a\" 1}",
                                      "{\"a\":1,}",
                                      "{,\"a\":1}",
                                      "{\"a\":1 \"b\":2}",
                                      "{\"a\":1,,\"b\":2}",
                                      "{1:1}",
                                      "{\"a\":01}",
                                      "{\"a\":+1}",
                                      "{\"a\":-}",
                                      "{\"a\":.5}",
                                      "{\"a\":5.}",
                                      "{\"a\":1e}",
                                      "{\"a\":1e+}",
                                      "{\"a\":0x1}",
                                      "{\"a\":--1}",
                                      "{\"a\":1.2.3}",
                                      "{\"a\":1e+ }",
                                      "{\"a\":2e}",
                                      "{\"a\":NaN}",
                                      "{\"a\":Infinity}",
                                      "{\"a\":True}",
                                      "{\"a\":tru}",
                                      "{\"a\":truex}",
                                      "{\"a\":nul",
                                      "{\"a\":\"}",
                                      "{\"a\":\"\n\"}",
                                      "{\"a\":\"\x1f\"}",
                                      "{\"a\":\"\\x\"}",
                                      "{\"a\":\"\\",
                                      "{\"a\":\"\\\"}",
                                      "{\"a\":\"\\u12\"}",
                                      "{\"a\":\"\\u12G4\"}",
                                      "{\"a\":\"\\u",
                                      "{\"a\":\"\\U0041\"}",
                                      "{\"a\":[}",
                                      "{\"a\":[1}",
                                      "{\"a\":[1,]}",
                                      "{\"a\":[,1]}",
                                      "{\"a\":[1 2]}",
                                      "{\"a\":{]}",
                                      "{\"a\":{\"b\"}}",
                                      "{\"a\":{\"b\":}}",
                                      "{\"a\":{\"b\":1,}}",
                                      "{\"a\":{b:1}}",
                                      "{\"a\":[}]}",
                                      "{\"a\":{\"b\":[1}]}",
                                      "{\"a\":[1:2]}",
                                      "{\"a\":[\"x\":1]}",
                                      "{/**/}",
                                      "{\"a\":1}//",
                                      "\xef\xbb\xbf{}",
                                      "{\"a\":\v1}"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        if (parse(span_of(bad[i])) != TEDDY_EPROTO)
            fail_msg("not refused as malformed: %s", bad[i]);
    }
    assert_int_equal(parse(LIT("{}\0")), TEDDY_EPROTO);
    assert_int_equal(parse(LIT("{\"a\":\"\0\"}")), TEDDY_EPROTO);
    assert_int_equal(parse(LIT("{\0}")), TEDDY_EPROTO);
    assert_int_equal(parse(LIT("{\"a\":[1\0]}")), TEDDY_EPROTO);
    assert_int_equal(parse((struct span){NULL, 0}), TEDDY_EPROTO);
}

/* No beginning of a text is a text. */
static void truncated_at_every_byte(void **state)
{
    static const char text[] = "{\"a\":\"x\\ud83e\\uddf8y\",\"b\":[1.5e3,{\"c\":null}],\"d\":-2}";

    (void)state;
    assert_int_equal(parse(LIT(text)), TEDDY_OK);
    for (size_t len = 0; len < sizeof text - 1; len++)
        assert_true(parse((struct span){text, len}) < 0);
}

static void utf8_is_checked(void **state)
{
    static const char *const bad[] = {"{\"a\":\"\xc0\xaf\"}",     "{\"\xff\":1}",
                                      "{\"a\":\"\xed\xa0\x80\"}", "{\"a\":\"\xf4\x90\x80\x80\"}",
                                      "{\"a\":\"\xc3\"}",         "{}\x80"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_int_equal(parse(span_of(bad[i])), TEDDY_EUTF8);
}

static void lone_surrogates_are_refused(void **state)
{
    static const char *const bad[] = {
        "\\ud800",        "\\uD83E",        "\\udc00",        "\\udfff",        "\\ud83ex",
        "\\ud83e\\n",     "\\ud83e\\ud83e", "\\ud83e\\u0041", "\\uddf8\\ud83e", "\\ud83e\\\\uddf8",
        "\\udbff\\udbff", "\\udbff\\ue000", "\\udc00\\udc00"};
    char text[64];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct span s = {text, 0};

        memcpy(text, "{\"a\":\"", 6);
        memcpy(text + 6, bad[i], strlen(bad[i]));
        memcpy(text + 6 + strlen(bad[i]), "\"}", 2);
        s.len = 8 + strlen(bad[i]);
        assert_int_equal(parse(s), TEDDY_EUTF8);
    }
    assert_int_equal(parse(LIT("{\"\\ud800\":1}")), TEDDY_EUTF8);
    assert_int_equal(parse(LIT("{\"a\":[{\"\\ud800\":1}]}")), TEDDY_EUTF8);
}

static void duplicates_are_refused(void **state)
{
    static const char *const bad[] = {"{\"a\":1,\"a\":1}", "{\"a\":1,\"b\":2,\"a\":null}",
                                      "{\"\":1,\"\":2}", "{\"é\":1,\"é\":2}"};
    static const char *const good[] = {"{\"a\":1,\"A\":2}", "{\"a\":1,\"aa\":2}",
                                       "{\"aa\":1,\"a\":2}", "{\"é\":1,\"e\":2}"};
    /* No name has a second spelling. */
    static const char *const escaped[] = {"{\"type\":1,\"t\\u0079pe\":2}",
                                          "{\"t\\u0079pe\":2}",
                                          "{\"a\\/\":2}",
                                          "{\"\\n\":1}",
                                          "{\"\\u0000\":1}",
                                          "{\"a\":{\"\\u0061\":1}}"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_int_equal(parse(span_of(bad[i])), TEDDY_EDUP);
    for (size_t i = 0; i < COUNT_OF(good); i++)
        assert_int_equal(parse(span_of(good[i])), TEDDY_OK);
    for (size_t i = 0; i < COUNT_OF(escaped); i++)
        assert_int_equal(parse(span_of(escaped[i])), TEDDY_EPROTO);
}

static struct span nested(char *buf, size_t levels, char open, char close)
{
    size_t n = 0;

    memcpy(buf, "{\"a\":", 5);
    n = 5;
    for (size_t i = 1; i < levels; i++) {
        buf[n++] = open;
        if (open == '{' && i + 1 < levels) {
            memcpy(buf + n, "\"a\":", 4);
            n += 4;
        }
    }
    for (size_t i = 1; i < levels; i++)
        buf[n++] = close;
    buf[n++] = '}';
    return (struct span){buf, n};
}

static void depth_is_bounded(void **state)
{
    static char buf[1 << 19];

    (void)state;
    for (size_t levels = 2; levels <= JSON_DEPTH_MAX; levels++) {
        assert_int_equal(parse(nested(buf, levels, '[', ']')), TEDDY_OK);
        assert_int_equal(parse(nested(buf, levels, '{', '}')), TEDDY_OK);
    }
    assert_int_equal(parse(nested(buf, JSON_DEPTH_MAX + 1, '[', ']')), TEDDY_ETOOBIG);
    assert_int_equal(parse(nested(buf, JSON_DEPTH_MAX + 1, '{', '}')), TEDDY_ETOOBIG);
    assert_int_equal(parse(nested(buf, 33, '[', ']')), TEDDY_ETOOBIG);
    assert_int_equal(parse(nested(buf, 50000, '[', ']')), TEDDY_ETOOBIG);
    assert_int_equal(parse(nested(buf, 50000, '{', '}')), TEDDY_ETOOBIG);
}

/* Many arrays beside each other are not many inside each other. */
static void width_is_free(void **state)
{
    static char buf[20000];
    size_t n = 5;

    (void)state;
    memcpy(buf, "{\"a\":", 5);
    buf[n++] = '[';
    while (n < sizeof buf - 10) {
        memcpy(buf + n, "[{}],", 5);
        n += 5;
    }
    memcpy(buf + n, "0]}", 3);
    assert_int_equal(parse((struct span){buf, n + 3}), TEDDY_OK);
}

static void members_are_bounded(void **state)
{
    char buf[8 * (JSON_MEMBERS_MAX + 1) + 2];

    (void)state;
    for (size_t count = 1; count <= JSON_MEMBERS_MAX + 1; count++) {
        size_t n = 0;

        for (size_t i = 0; i < count; i++) {
            buf[n++] = i == 0 ? '{' : ',';
            buf[n++] = '"';
            buf[n++] = (char)('a' + i);
            memcpy(buf + n, "\":1", 3);
            n += 3;
        }
        buf[n++] = '}';
        assert_int_equal(parse((struct span){buf, n}),
                         count <= JSON_MEMBERS_MAX ? TEDDY_OK : TEDDY_ETOOBIG);
    }
}

static void names_are_bounded(void **state)
{
    static char text[UINT16_MAX + 10] = "{\"";
    struct json_object obj;

    (void)state;
    memset(text + 2, 'n', UINT16_MAX + 1);
    memcpy(text + 2 + UINT16_MAX, "\":1}", 4);
    assert_int_equal(json_parse((struct span){text, UINT16_MAX + 6}, &obj), TEDDY_OK);
    assert_int_equal(json_name(&obj.members[0]).len, UINT16_MAX);
    memcpy(text + 2 + UINT16_MAX, "n\":1}", 5);
    assert_int_equal(parse((struct span){text, UINT16_MAX + 7}), TEDDY_ETOOBIG);
}

static void strings_are_unescaped(void **state)
{
    static const char text[] = "{\"s\":\"a\\u00e9\\u20ac\\ud83e\\uDDF8\\\"\\\\\\/"
                               "\\b\\f\\n\\r\\té\",\"text\":\"\",\"n\":1,"
                               "\"z\":\"a\\u0000b\",\"l\":null}";
    static const char want[] = "aé€🧸\"\\/\b\f\n\r\té";
    struct json_object obj;
    char out[64];
    size_t len;

    (void)state;
    assert_int_equal(json_parse(LIT(text), &obj), TEDDY_OK);
    assert_int_equal(json_string(&obj, "s", out, sizeof out, &len), TEDDY_OK);
    assert_int_equal(len, sizeof want - 1);
    assert_string_equal(out, want);
    assert_int_equal(json_string(&obj, "text", out, sizeof out, &len), TEDDY_OK);
    assert_int_equal(len, 0);
    assert_string_equal(out, "");
    out[0] = 'x';
    assert_int_equal(json_string(&obj, "n", out, sizeof out, &len), TEDDY_EINVAL);
    assert_string_equal(out, "");
    assert_int_equal(json_string(&obj, "l", out, sizeof out, &len), TEDDY_EINVAL);
    assert_int_equal(json_string(&obj, "z", out, sizeof out, &len), TEDDY_EINVAL);
    assert_string_equal(out, "");
    assert_int_equal(json_string(&obj, "q", out, sizeof out, &len), TEDDY_ENOTFOUND);
    assert_int_equal(json_string(&obj, "text", out, 1, &len), TEDDY_OK);
    assert_int_equal(json_string(&obj, "text", out, 0, &len), TEDDY_ENOSPC);
}

/* The first and the last code point of each length. */
static void escapes_of_every_length(void **state)
{
    static const char text[] = "{\"s\":\"\\u0001\\u007f\\u0080\\u07ff\\u0800\\ud7ff\\ue000\\uffff"
                               "\\ud800\\udc00\\udbff\\udfff\"}";
    static const char want[] = "\x01\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80"
                               "\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf";
    struct json_object obj;
    char out[64];
    size_t len;

    (void)state;
    assert_int_equal(json_parse(LIT(text), &obj), TEDDY_OK);
    assert_int_equal(json_string(&obj, "s", out, sizeof out, &len), TEDDY_OK);
    assert_int_equal(len, sizeof want - 1);
    assert_memory_equal(out, want, len);
}

/* Every capacity up to the one that fits, in a block of that size. */
static void strings_keep_to_their_room(void **state)
{
    struct json_object obj;
    size_t len;

    (void)state;
    assert_int_equal(json_parse(LIT("{\"s\":\"ab\\ud83e\\uddf8c\"}"), &obj), TEDDY_OK);
    for (size_t cap = 1; cap <= 9; cap++) {
        char *out = malloc(cap);

        assert_non_null(out);
        assert_int_equal(json_string(&obj, "s", out, cap, &len), cap > 7 ? TEDDY_OK : TEDDY_ENOSPC);
        assert_string_equal(out, cap > 7 ? "ab🧸c" : "");
        assert_int_equal(len, strlen(out));
        free(out);
    }
}

static void whole_numbers(void **state)
{
    static const char *const bad[] = {
        "-1",    "-0",   "1.0", "1e3", "9007199254740993", "18446744073709551617",
        "\"1\"", "null", "[1]", "true"};
    struct json_object obj;
    char text[64];
    uint64_t n = 5;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        memcpy(text, "{\"n\":", 5);
        memcpy(text + 5, bad[i], strlen(bad[i]));
        text[5 + strlen(bad[i])] = '}';
        assert_int_equal(json_parse((struct span){text, strlen(bad[i]) + 6}, &obj), TEDDY_OK);
        assert_int_equal(json_u64(&obj, "n", &n), TEDDY_EINVAL);
    }
    assert_int_equal(n, 5);
    assert_int_equal(json_u64(&obj, "m", &n), TEDDY_ENOTFOUND);
    assert_int_equal(json_parse(LIT("{\"a\":0,\"b\":9007199254740992}"), &obj), TEDDY_OK);
    assert_int_equal(json_u64(&obj, "a", &n), TEDDY_OK);
    assert_int_equal(n, 0);
    assert_int_equal(json_u64(&obj, "b", &n), TEDDY_OK);
    assert_true(n == 9007199254740992u);
}

static void speech_is_told_from_messages(void **state)
{
    (void)state;
    assert_true(json_looks_like_object(LIT("{")));
    assert_true(json_looks_like_object(LIT(" \t\r\n{broken")));
    assert_false(json_looks_like_object(LIT("hello {}")));
    assert_false(json_looks_like_object(LIT("[{}]")));
    assert_false(json_looks_like_object(LIT("   ")));
    assert_false(json_looks_like_object((struct span){NULL, 0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_listed),
        cmocka_unit_test(good_texts),
        cmocka_unit_test(bad_texts),
        cmocka_unit_test(truncated_at_every_byte),
        cmocka_unit_test(utf8_is_checked),
        cmocka_unit_test(lone_surrogates_are_refused),
        cmocka_unit_test(duplicates_are_refused),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(width_is_free),
        cmocka_unit_test(members_are_bounded),
        cmocka_unit_test(names_are_bounded),
        cmocka_unit_test(strings_are_unescaped),
        cmocka_unit_test(escapes_of_every_length),
        cmocka_unit_test(strings_keep_to_their_room),
        cmocka_unit_test(whole_numbers),
        cmocka_unit_test(speech_is_told_from_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
