#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "process/answer.h"
#include "process/delta.h"
#include "process/mend.h"

static char got[8192];

/* The events of text, fed in pieces of that size: "type|data;". */
static const char *events(const char *text, size_t piece)
{
    struct sse s;
    size_t len = strlen(text);
    sse_init(&s, 64);
    got[0] = '\0';
    for (size_t at = 0; at < len; at += piece) {
        struct span data, bytes = {text + at, len - at < piece ? len - at : piece};
        int rc;
        while ((rc = sse_next(&s, &bytes, &data)) == TEDDY_OK)
            snprintf(got + strlen(got), sizeof got - strlen(got), "%s|%.*s;", s.type, (int)data.len,
                     data.p);
        if (rc == TEDDY_ETOOBIG) {
            strncat(got, "too big", sizeof got - strlen(got) - 1);
            break;
        }
        assert_int_equal(rc, TEDDY_AGAIN);
        assert_int_equal(bytes.len, 0);
    }
    sse_fini(&s);
    return got;
}

static void events_are_read_as_the_standard_says(void **state)
{
    static const struct {
        const char *text, *want;
    } CASES[] = {
        {"data: a\n\n", "|a;"},
        {"data: a\r\n\r\n", "|a;"},
        {"data: a\r\r", "|a;"},
        {"data: a\r\rdata: b\n\ndata: c\r\n\r\n", "|a;|b;|c;"},
        {"data: a\ndata: b\n\n", "|a\nb;"},
        {"data: a\r\ndata: b\r\n\r\n", "|a\nb;"},
        {"data: unfinished\r\n", ""},
        {"data:a\n\n", "|a;"},
        {"data:  a\n\n", "| a;"},
        {"data\n\n", "|;"},
        {"data\ndata\n\n", "|\n;"},
        {"data:\n\n", "|;"},
        {"\n\n\n", ""},
        {": comment\n\n:\n\n", ""},
        {"event: error\ndata: x\n\ndata: y\n\n", "error|x;|y;"},
        {"event: lonely\n\ndata: y\n\n", "|y;"},
        {"event: a\nevent: b\ndata: y\n\n", "b|y;"},
        {"event: 0123456789abcdefgh\ndata: y\n\n", "0123456789abcde|y;"},
        {"id: 1\nretry: 7\nfoo: bar\nfoo\ndata: y\n\n", "|y;"},
        {"Data: y\n\n data: z\n\n", ""},
        {"\xEF\xBB\xBF"
         "data: y\n\n",
         "|y;"},
        {"data: x\n\n\xEF\xBB\xBF"
         "data: y\n\n",
         "|x;"},
        {"data: unfinished", ""},
        {"data: unfinished\n", ""},
        {"data: a:b: c\n\n", "|a:b: c;"},
        {"data: 0123456789012345678901234567890123456789012345678901234567\n\n",
         "|0123456789012345678901234567890123456789012345678901234567;"},
        {"data: 01234567890123456789012345678901234567890123456789012345678\n\n", "too big"},
        {"data: 012345678901234567890123456789\ndata: 012345678901234567890123456789\n"
         "data: 0123\n\n",
         "too big"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++)
        for (size_t piece = 1; piece < 80; piece++)
            assert_string_equal(events(CASES[i].text, piece), CASES[i].want);
}

static const char *mended(const char *json)
{
    struct buffer room = {NULL, 0, 0};
    struct span out;
    assert_int_equal(json_mend(span_of(json), &room, &out), TEDDY_OK);
    snprintf(got, sizeof got, "%.*s", (int)out.len, out.p);
    buffer_fini(&room);
    return got;
}

static void what_is_no_character_is_replaced(void **state)
{
    (void)state;
    assert_string_equal(mended("plain \xC3\xA4"), "plain \xC3\xA4");
    assert_string_equal(mended("\\u00e4 \\n \\ud83d\\ude00"), "\\u00e4 \\n \\ud83d\\ude00");
    assert_string_equal(mended("a\\ud83d\"b"), "a\\ufffd\"b");
    assert_string_equal(mended("a\\ude00b"), "a\\ufffdb");
    assert_string_equal(mended("a\\ud83d\\ud83d\\ude00b"), "a\\ufffd\\ud83d\\ude00b");
    assert_string_equal(mended("\\\\ud83d \\u0000"), "\\\\ud83d \\ufffd");
    assert_string_equal(mended("\\u12"), "\\u12");
    assert_string_equal(mended("\\\xD1z"), "\\\xEF\xBF\xBDz");
    assert_string_equal(mended("a\xF0\x9F\x98"), "a\xEF\xBF\xBD");
    assert_string_equal(mended("\xF0\x9F\x98\"\xFFz\xC3"),
                        "\xEF\xBF\xBD\"\xEF\xBF\xBDz\xEF\xBF\xBD");
    assert_string_equal(mended("\xED\xA0\x80|"), "\xEF\xBF\xBD|");
}

static const char *thought(const char *const *pieces)
{
    struct think t = {0};
    struct buffer out = {NULL, 0, 0};
    for (; *pieces; pieces++)
        assert_int_equal(think_feed(&t, span_of(*pieces), &out, 1000), TEDDY_OK);
    assert_int_equal(think_end(&t, &out, 1000), TEDDY_OK);
    snprintf(got, sizeof got, "%.*s", (int)out.len, out.p ? out.p : "");
    buffer_fini(&out);
    return got;
}

#define THOUGHT(...) thought((const char *const[]){__VA_ARGS__, NULL})

static void thoughts_are_left_out(void **state)
{
    (void)state;
    assert_string_equal(THOUGHT("hello"), "hello");
    assert_string_equal(THOUGHT(" \n he", "llo \n"), "hello \n");
    assert_string_equal(THOUGHT("<think>a</think>b"), "b");
    assert_string_equal(THOUGHT("<t", "hink>a</thi", "nk", ">", "\n\n b"), "b");
    assert_string_equal(THOUGHT("<think></think><think>c</think>b <think>d</think>"),
                        "b <think>d</think>");
    assert_string_equal(THOUGHT("<think>a<</think</think>b"), "b");
    assert_string_equal(THOUGHT("<think>for ever"), "");
    assert_string_equal(THOUGHT("<th", "anks>"), "<thanks>");
    assert_string_equal(THOUGHT("<thi"), "<thi");
    assert_string_equal(THOUGHT("1 < 2"), "1 < 2");
}

/* "state:text" or "state:what". */
static const char *answer(enum answer_kind kind, const char *type, const char *bytes, size_t piece)
{
    static const char *const STATES[] = {"open", "done", "failed"};
    struct answer a;
    size_t len = strlen(bytes);
    answer_init(&a, kind, 200, type);
    for (size_t at = 0; at < len; at += piece)
        answer_feed(&a, (struct span){bytes + at, len - at < piece ? len - at : piece});
    answer_end(&a);
    if (a.state == ANSWER_FAILED)
        snprintf(got, sizeof got, "failed %d: %s", a.result == BACKEND_FAILED, a.what);
    else
        snprintf(got, sizeof got, "%s: %.*s", STATES[a.state], (int)a.text.len,
                 a.text.p ? a.text.p : "");
    answer_fini(&a);
    return got;
}

static void replies_are_read(void **state)
{
    static const struct {
        const char *type, *bytes, *want;
    } CASES[] = {
        {"application/json", "{\"text\":\"hi\"}", "done: hi"},
        {"application/json", "{\"text\":\"\"}", "failed 0: its answer was empty"},
        {"application/json", "{\"text\":7}",
         "failed 1: it answered with something else than our JSON"},
        {"application/json", "\"hi\"", "failed 1: it answered with something else than our JSON"},
        {"application/json", "{\"error\":\"no\",\"text\":\"x\"}",
         "failed 1: it answered with an error"},
        {"application/json", "{\"text\":\"hi\"} x",
         "failed 1: it answered with something else than our JSON"},
        {"application/x-ndjson", "{\"text\":\"a \"}\n\r\n{\"text\":\"b\"}\r\n{\"done\":true}\n",
         "done: a b"},
        {"application/x-ndjson", "{\"text\":\"a\",\"done\":true}\n{oops", "done: a"},
        {"application/x-ndjson", "{\"text\":\"a\"}\n{\"done\":true}",
         "failed 1: its answer ended too early"},
        {"application/x-ndjson", "{\"text\":\"a\"}\n{oops\n",
         "failed 1: it answered with something else than our JSON"},
        {"application/x-ndjson", "{\"text\":\"a\",\"done\":1}\n",
         "failed 1: it answered with something else than our JSON"},
        {"text/event-stream", "", "failed 1: its content type is none that is understood"},
        {"", "", "failed 1: its content type is none that is understood"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++)
        for (size_t piece = 1; piece < 60; piece += 4)
            assert_string_equal(answer(ANSWER_REPLY, CASES[i].type, CASES[i].bytes, piece),
                                CASES[i].want);
}

static void completions_are_read(void **state)
{
    static const char STREAM[] =
        "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\n: ping\n\n"
        "data: {\"choices\":[{\"delta\":{\"content\":\"Hallo \"}}]}\r\n\r\n"
        "data: "
        "{\"choices\":[{\"delta\":{\"content\":\"B\xC3\xA4r\"},\"finish_reason\":\"stop\"}]}\n\n"
        "data: {\"choices\":[],\"usage\":{}}\n\ndata: [DONE]\n\n";
    (void)state;
    for (size_t piece = 1; piece < sizeof STREAM; piece++)
        assert_string_equal(answer(ANSWER_CHAT, "text/event-stream", STREAM, piece),
                            "done: Hallo B\xC3\xA4r");
    assert_string_equal(answer(ANSWER_CHAT, "application/json",
                               "{\"choices\":[{\"message\":{\"content\":\"hi\"}}]}", 7),
                        "done: hi");
    assert_string_equal(answer(ANSWER_CHAT, "text/event-stream", "data: {\n\n", 3),
                        "failed 1: it answered with malformed JSON");
    assert_string_equal(answer(ANSWER_CHAT, "text/event-stream",
                               "data: {\"choices\":[{\"finish_reason\":\"content_filter\"}]}\n\n",
                               9),
                        "failed 0: its content filter stopped it");
}

/* Deeper than proto/json reads: this event is read as a tree. */
#define DEEP ",\"x\":[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]"

static void the_usual_event_is_read_as_any(void **state)
{
    static const struct {
        bool usual;
        const char *members, *want;
    } CASES[] = {
        {true, "\"choices\":[{\"index\":0,\"delta\":{\"content\":\" a\"}}]", "done: a"},
        {true,
         "\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"created\":1.5e3,\"error\":null,"
         "\"choices\": [ {\"delta\":{\"role\":\"assistant\",\"content\":\"a\"},\"logprobs\":null,"
         "\"finish_reason\":null,\"index\":0} ],\"usage\":null",
         "done: a"},
        {true, "\"choices\":[{\"delta\":{\"content\":\"\\\"\\u00e4\\ud83d\\ude00\\n\"}}]",
         "done: \"\xC3\xA4\xF0\x9F\x98\x80\n"},
        {true, "\"choices\":[{\"delta\":{\"content\":null}}]", "failed 0: its answer was empty"},
        {true, "\"choices\":[{\"delta\":{}}]", "failed 0: its answer was empty"},
        {true, "\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"length\"}]",
         "done: a"},
        {false, "\"choices\":[{\"delta\":{\"content\":\"a\\u0000\\ud83d\"}}]",
         "done: a\xEF\xBF\xBD\xEF\xBF\xBD"},
        {false, "\"choices\":[{\"delta\":{\"content\":\"a\xFF\"}}]", "done: a\xEF\xBF\xBD"},
        {false, "\"choices\":[{\"delta\":{\"content\":7}}]", "failed 0: its answer was empty"},
        {false, "\"choices\":[{\"delta\":7}]", "failed 0: its answer was empty"},
        {false, "\"choices\":[{\"index\":1,\"delta\":{\"content\":\"a\"}}]",
         "failed 0: its answer was empty"},
        {false,
         "\"choices\":[{\"index\":1,\"delta\":{\"content\":\"b\"}},"
         "{\"index\":0,\"delta\":{\"content\":\"a\"}}]",
         "done: a"},
        {false, "\"choices\":[]", "failed 0: its answer was empty"},
        {false, "\"choices\":{\"delta\":{\"content\":\"a\"}}", "failed 0: its answer was empty"},
        {false, "\"choices\":[{\"delta\":{\"content\":\"b\",\"content\":\"a\"}}]", "done: a"},
        {false, "\"choices\":[{\"delta\":{\"c\\u006fntent\":\"a\"}}]", "done: a"},
        {false,
         "\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"content_filter\"}]",
         "failed 0: its content filter stopped it"},
        {false, "\"error\":{},\"choices\":[{\"delta\":{\"content\":\"a\"}}]",
         "failed 1: it answered with an error"},
        {false, "\"object\":\"error\",\"choices\":[{\"delta\":{\"content\":\"a\"}}]",
         "failed 1: it answered with an error"},
        {false, "\"object\":\"e\\u0072ror\",\"choices\":[{\"delta\":{\"content\":\"a\"}}]",
         "failed 1: it answered with an error"},
    };
    char json[512], stream[1024], room[DELTA_ROOM];
    struct span text;
    bool last;
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        for (int deep = 0; deep < 2; deep++) {
            snprintf(json, sizeof json, "{%s%s}", CASES[i].members, deep ? DEEP : "");
            struct delta_form form = {0};
            assert_int_equal(delta_read(&form, span_of(json), room, &text, &last),
                             CASES[i].usual && !deep);
            snprintf(stream, sizeof stream, "data: %s\n\ndata: [DONE]\n\n", json);
            assert_string_equal(answer(ANSWER_CHAT, "text/event-stream", stream, 100),
                                CASES[i].want);
        }
    }
}

/* What another event has before and behind its words says what they are only while they are words.
 */
static void an_event_of_the_last_ones_form_is_read_as_any(void **state)
{
    static const struct {
        const char *json, *want; /* NULL: it is none of the usual */
        bool last;
    } CASES[] = {
        {"{\"choices\":[{\"delta\":{\"content\":\" bc\"},\"n\":{}}]}", " bc", false},
        {"{\"choices\":[{\"delta\":{\"content\":\"\"},\"n\":{}}]}", "", false},
        {"{\"choices\":[{\"delta\":{\"content\":\"\xC3\xA4\"},\"n\":{}}]}", "\xC3\xA4", false},
        {"{\"choices\":[{\"delta\":{\"content\":\"\xC3\"},\"n\":{}}]}", NULL, false},
        {"{\"choices\":[{\"delta\":{\"content\":\"\n\"},\"n\":{}}]}", NULL, false},
        {"{\"choices\":[{\"delta\":{\"content\":\"b\\n\"},\"n\":{}}]}", "b\n", false},
        {"{\"choices\":[{\"delta\":{\"content\":\"b\\\"},\"n\":{}}]}", NULL, false},
        {"{\"choices\":[{\"delta\":{\"content\":\"b\",\"x\":\"c\"},\"n\":{}}]}", "b", false},
        {"{\"choices\":[{\"delta\":{\"content\":\"b\",\"content\":\"c\"},\"n\":{}}]}", NULL, false},
        {"{\"choices\":[{\"delta\":{\"content\":\"},\"n\":{}}]}", NULL, false},
        {"{\"choices\":[{\"delta\":{\"content\":\"b\"},\"m\":{}}]}", "b", false},
        {"{\"choices\":[{\"delta\":{\"content\":\"b\"},\"finish_reason\":\"stop\"}]}", "b", true},
        {"{\"choices\":[{\"delta\":{\"content\":\"b\"},\"finish_reason\":\"error\"}]}", NULL,
         false},
    };
    static const char FIRST[] = "{\"choices\":[{\"delta\":{\"content\":\"a\"},\"n\":{}}]}";
    char room[DELTA_ROOM];
    struct span text;
    bool last;
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct delta_form form = {0};
        assert_true(delta_read(&form, span_of(FIRST), room, &text, &last));
        bool usual = delta_read(&form, span_of(CASES[i].json), room, &text, &last);
        assert_int_equal(usual, CASES[i].want != NULL);
        if (usual) {
            assert_true(span_is(text, CASES[i].want));
            assert_int_equal(last, CASES[i].last);
        }
    }
}

static void a_status_says_whose_fault_it_is(void **state)
{
    static const struct {
        long status;
        bool of_backend;
    } CASES[] = {{500, true},  {429, true},  {401, true}, {302, true},
                 {400, false}, {413, false}, {422, false}};
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct answer a;
        answer_init(&a, ANSWER_CHAT, CASES[i].status, "text/event-stream");
        assert_int_equal(a.state, ANSWER_FAILED);
        assert_int_equal(a.result == BACKEND_FAILED, CASES[i].of_backend);
        answer_fini(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_read_as_the_standard_says),
        cmocka_unit_test(what_is_no_character_is_replaced),
        cmocka_unit_test(thoughts_are_left_out),
        cmocka_unit_test(replies_are_read),
        cmocka_unit_test(completions_are_read),
        cmocka_unit_test(the_usual_event_is_read_as_any),
        cmocka_unit_test(an_event_of_the_last_ones_form_is_read_as_any),
        cmocka_unit_test(a_status_says_whose_fault_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
