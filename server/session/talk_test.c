/* What is said in a session: utterances, their order and their ends, and every kind of message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
/* after those */
#include <cmocka.h>

#include "ops/log.h"
#include "ops/metrics.h"
#include "session/testing.h"

static struct house house;

static void open_house(const struct session_config *c)
{
    memset(&house, 0, sizeof house);
    house_open(&house, c);
}

static int plain_up(void **state)
{
    (void)state;
    struct session_config c = house_config();
    open_house(&c);
    return 0;
}

static int house_down(void **state)
{
    (void)state;
    house_close(&house);
    return 0;
}

static void echo_comes_before_the_reply(void **state)
{
    static struct metrics_totals before, now;
    (void)state;
    struct toy *t = toy_join(&house, "d1");
    toy_say(t, "Hello \"bear\"\n\xC3\xB6");
    toy_hears(t, "{\"type\":\"echo\",\"seq\":1,\"text\":\"Hello \\\"bear\\\"\\u000a\xC3\xB6\"}");
    toy_hears(t, "{\"type\":\"reply\",\"seq\":1,\"text\":\"re: Hello "
                 "\\\"bear\\\"\\u000a\xC3\xB6\",\"done\":true}");
    metrics_totals(&before);
    toy_say(t, "two");
    toy_hears(t, "{\"type\":\"echo\",\"seq\":2,\"text\":\"two\"}");
    toy_hears(t, "{\"type\":\"reply\",\"seq\":2,\"text\":\"one, \",\"done\":false}");
    toy_hears(t, "{\"type\":\"reply\",\"seq\":2,\"text\":\"two\",\"done\":true}");
    metrics_totals(&now); /* an answer of two parts has one first word and one end */
    assert_int_equal(histogram_count(&now, &before, HISTOGRAM_REPLY_FIRST), 1);
    assert_int_equal(histogram_count(&now, &before, HISTOGRAM_REPLY_DONE), 1);
    toy_say(t, " \t{\"type\":\"text\",\"text\":\"a\\u00e4\"}");
    toy_hears(t, "{\"type\":\"echo\",\"seq\":3,\"text\":\"a\xC3\xA4\"}");
    toy_hears_part(t, "re: a\xC3\xA4");
    toy_say(t, "fail");
    toy_hears_part(t, "echo");
    toy_hears(t, "{\"type\":\"error\",\"seq\":4,\"code\":\"internal\",\"detail\":\"It failed.\"}");
    toy_say(t, "[1,2] is speech");
    toy_hears_part(t, "\"seq\":5");
    toy_hears_part(t, "re: [1,2]");
    toy_free(t);
}

static void with_echo_only_the_echo_is_the_end(void **state)
{
    (void)state;
    struct session_config c = house_config();
    struct process echo = {processor_find("echo"), NULL};
    c.minds = testing_minds_with(&echo);
    open_house(&c);
    struct toy *t = toy_join(&house, "d1");
    toy_say(t, "x");
    toy_hears(t, "{\"type\":\"echo\",\"seq\":1,\"text\":\"x\",\"done\":true}");
    toy_say(t, "{\"type\":\"text\",\"id\":\"7\",\"text\":\"y\"}");
    toy_hears(t, "{\"type\":\"echo\",\"seq\":2,\"id\":\"7\",\"text\":\"y\",\"done\":true}");
    toy_say(t, "{\"type\":\"text\",\"id\":\"7\",\"text\":\"y\"}");
    toy_hears(t, "{\"type\":\"echo\",\"seq\":3,\"id\":\"7\",\"text\":\"y\",\"done\":true}");
    toy_settle(t);
    toy_free(t);
    house_close(&house);
}

static void replies_come_in_order_and_at_most_four_wait(void **state)
{
    (void)state;
    struct toy *t = toy_join(&house, "d1");
    toy_say(t, "slow");
    toy_hears_part(t, "\"seq\":1,\"text\":\"slow\"");
    toy_hears(t, "{\"type\":\"reply\",\"seq\":1,\"text\":\"thinking\",\"done\":false}");
    for (int i = 2; i <= 5; i++) {
        char want[64];
        toy_say(t, "two");
        snprintf(want, sizeof want, "{\"type\":\"echo\",\"seq\":%d,\"text\":\"two\"}", i);
        toy_hears(t, want);
    }
    toy_say(t, "{\"type\":\"text\",\"id\":\"q\",\"text\":\"no room\"}");
    toy_hears_part(t, "{\"type\":\"error\",\"seq\":6,\"id\":\"q\",\"code\":\"busy\"");
    toy_say(t, "{\"type\":\"cancel\",\"seq\":3}"); /* waits: its end comes in its turn */
    toy_settle(t);
    toy_say(t, "{\"type\":\"cancel\",\"seq\":1}");
    toy_hears(t, "{\"type\":\"reply\",\"seq\":1,\"text\":\"\",\"done\":true}");
    for (int i = 2; i <= 5; i++) {
        char want[80];
        if (i == 3) {
            toy_hears(t, "{\"type\":\"reply\",\"seq\":3,\"text\":\"\",\"done\":true}");
            continue;
        }
        snprintf(want, sizeof want,
                 "{\"type\":\"reply\",\"seq\":%d,\"text\":\"one, \",\"done\":false}", i);
        toy_hears(t, want);
        snprintf(want, sizeof want,
                 "{\"type\":\"reply\",\"seq\":%d,\"text\":\"two\",\"done\":true}", i);
        toy_hears(t, want);
    }
    toy_say(t, "{\"type\":\"text\",\"id\":\"q\",\"text\":\"room now\"}"); /* busy was not taken */
    toy_hears_part(t, "\"seq\":7,\"id\":\"q\"");
    toy_hears_part(t, "re: room now");
    toy_free(t);
}

static void cancel_ends_only_what_is_there(void **state)
{
    (void)state;
    struct toy *t = toy_join(&house, "d1");
    toy_say(t, "{\"type\":\"cancel\",\"seq\":1}");
    toy_hears_part(t, "{\"type\":\"error\",\"code\":\"not_found\"");
    toy_say(t, "{\"type\":\"cancel\",\"seq\":0}");
    toy_hears_part(t, "not_found");
    toy_say(t, "x");
    toy_hears_part(t, "echo");
    toy_hears_part(t, "\"done\":true");
    toy_say(t, "{\"type\":\"cancel\",\"seq\":1}"); /* ended already: nothing more about it */
    toy_settle(t);
    toy_say(t, "{\"type\":\"cancel\",\"seq\":-1}");
    toy_hears_part(t, "bad_message");
    toy_say(t, "{\"type\":\"cancel\"}");
    toy_hears_part(t, "bad_message");
    toy_say(t, "wait 20"); /* a timer that has run out is gone */
    toy_hears_part(t, "echo");
    toy_hears(t, "{\"type\":\"reply\",\"seq\":2,\"text\":\"awake\",\"done\":true}");
    toy_free(t);
}

static void an_id_is_processed_once(void **state)
{
    (void)state;
    struct toy *t = toy_join(&house, "d1");
    toy_say(t, "{\"type\":\"text\",\"text\":\"two\",\"id\":\"a\"}");
    toy_hears(t, "{\"type\":\"echo\",\"seq\":1,\"id\":\"a\",\"text\":\"two\"}");
    toy_hears(t, "{\"type\":\"reply\",\"seq\":1,\"id\":\"a\",\"text\":\"one, \",\"done\":false}");
    toy_hears(t, "{\"type\":\"reply\",\"seq\":1,\"id\":\"a\",\"text\":\"two\",\"done\":true}");
    toy_free(t);
    t = toy_join(&house, "d1"); /* across sessions, and the answer again */
    toy_say(t, "{\"type\":\"text\",\"text\":\"two\",\"id\":\"a\"}");
    toy_hears(t, "{\"type\":\"echo\",\"seq\":1,\"id\":\"a\",\"text\":\"two\"}");
    toy_hears(t, "{\"type\":\"reply\",\"seq\":1,\"id\":\"a\",\"text\":\"one, two\",\"done\":true}");
    toy_say(t, "{\"type\":\"text\",\"text\":\"b\",\"id\":\"b\"}");
    toy_hears_part(t, "echo");
    toy_hears_part(t, "re: b");
    toy_say(t, "{\"type\":\"text\",\"text\":\"two\",\"id\":\"a\"}"); /* no longer the latest */
    toy_hears_part(t, "echo");
    toy_hears(t, "{\"type\":\"reply\",\"seq\":3,\"id\":\"a\",\"text\":\"\",\"done\":true}");
    struct toy *other = toy_open(&house, "session d1 another-child 1");
    toy_closed(t, 4001, "replaced");
    toy_say(other, "{\"type\":\"text\",\"text\":\"b\",\"id\":\"b\"}");
    toy_hears_part(other, "echo");
    toy_hears_part(other, "re: b");
    toy_free(other);
    toy_free(t);
}

static void what_was_never_answered_may_be_said_again(void **state)
{
    (void)state;
    struct toy *t = toy_join(&house, "d1");
    toy_say(t, "slow");
    toy_hears_part(t, "echo");
    toy_hears_part(t, "thinking");
    toy_say(t, "{\"type\":\"text\",\"text\":\"x\",\"id\":\"a\"}");
    toy_hears_part(t, "echo");
    struct toy *next = toy_join(&house, "d1");
    toy_closed(t, 4001, "replaced");
    toy_say(next, "{\"type\":\"text\",\"text\":\"x\",\"id\":\"a\"}");
    toy_hears_part(next, "echo");
    toy_hears_part(next, "re: x");
    toy_free(next);
    toy_free(t);
}

static void what_is_wrong_gets_an_error_and_no_seq(void **state)
{
    (void)state;
    static const char *const BAD[] = {
        "{",
        "{}",
        "{\"type\":1}",
        "{\"type\":null}",
        "{\"type\":\"text\"}",
        " {\"type\":\"text\"} x",
        "{\"type\":\"text\",\"text\":\"\"}",
        "{\"type\":\"text\",\"text\":3}",
        "{type:text}",
        "{\"type\":\"text\",\"text\":\"a\",\"text\":\"b\"}",
        "{\"type\":\"text\",\"text\":\"a\",\"t\\u0065xt\":\"b\"}",
        "{\"type\":\"text\",\"text\":\"a\\u0000\"}",
        "{\"type\":\"text\",\"text\":\"a\",\"id\":\"\"}",
        "{\"type\":\"text\",\"text\":\"a\",\"id\":7}",
        "{\"type\":\"text\",\"text\":\"a\",\"id\":\"\\n\"}",
        "{\"type\":\"text\",\"text\":\"a\",\"id\":\"\xC3\xB6\"}",
        "{\"type\":\"text\",\"text\":\"a\",\"id\":"
        "\"12345678901234567890123456789012345678901234567890123456789012345\"}",
        "{\"type\":\"ping\",\"t\":[1]}",
        "{\"type\":\"hello\",\"max\":100}",
        "{\"type\":\"hello\",\"max\":\"big\"}",
        "{\"type\":\"refresh\"}",
        "{\"type\":\"refresh\",\"refresh\":\"\"}",
        "{\"type\":\"refresh\",\"refresh\":5}",
        "",
    };
    struct toy *t = toy_join(&house, "d1");
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        toy_say(t, BAD[i]);
        toy_hears_part(t, "{\"type\":\"error\",\"code\":\"bad_message\"");
    }
    toy_say(t, "{\"type\":\"sing\"}");
    toy_hears_part(t, "{\"type\":\"error\",\"code\":\"unknown_type\"");
    toy_say(t, "{\"type\":\"a very long type of a message that nobody knows\"}");
    toy_hears_part(t, "unknown_type");
    toy_say(t, "x");
    toy_hears_part(t, "\"seq\":1,");
    toy_hears_part(t, "re: x");
    toy_free(t);
}

static void too_long_an_utterance_ends_in_an_error(void **state)
{
    (void)state;
    struct toy *t = toy_join(&house, "d1");
    char *text = malloc(9000);
    memset(text, 'a', 9000);
    toy_send(t, WS_TEXT, true, text, 4097);
    toy_hears_part(t, "{\"type\":\"error\",\"seq\":1,\"code\":\"too_big\"");
    toy_send(t, WS_TEXT, true, text, 4096);
    toy_hears_part(t, "echo");
    toy_hears_part(t, "\"done\":true");
    memcpy(text, "{\"type\":\"text\",\"id\":\"i\",\"text\":\"", 32);
    memcpy(text + 32 + 4097, "\"}", 3);
    toy_say(t, text);
    toy_hears_part(t, "{\"type\":\"error\",\"seq\":3,\"id\":\"i\",\"code\":\"too_big\"");
    memcpy(text + 32 + 4096, "\"}", 3);
    toy_say(t, text);
    toy_hears_part(t, "{\"type\":\"echo\",\"seq\":4,\"id\":\"i\"");
    toy_hears_part(t, "\"done\":true");
    memset(text, '\x01', 4096); /* six bytes each when echoed: the worst */
    toy_send(t, WS_TEXT, true, text, 4096);
    toy_hears_part(t, "\"echo\",\"seq\":5");
    assert_true(t->text_len > 6 * 4096);
    toy_hears_part(t, "\"done\":true");
    free(text);
    toy_free(t);
}

static void hello_ping_and_the_rest(void **state)
{
    (void)state;
    char want[128];
    struct toy *t = toy_join(&house, "d1");
    toy_say(t, "{\"type\":\"hello\",\"sdk\":\"0.1\",\"firmware\":\"1\",\"last\":\"1.2\"}");
    snprintf(want, sizeof want,
             "{\"type\":\"welcome\",\"session\":\"%014llx\",\"heartbeat_s\":30,\"time\":1",
             (unsigned long long)house.last_session);
    toy_hears_part(t, want);
    assert_non_null(strstr(t->text, ",\"resumed\":false}"));
    toy_say(t, "{\"type\":\"ping\",\"t\":12345}");
    toy_hears_part(t, "{\"type\":\"pong\",\"t\":12345,\"time\":1");
    toy_say(t, "{\"type\":\"ping\",\"t\":\"a\\\"b\"}");
    toy_hears_part(t, "{\"type\":\"pong\",\"t\":\"a\\\"b\",\"time\":1");
    toy_say(t, "{\"type\":\"ping\"}");
    toy_hears_part(t, "{\"type\":\"pong\",\"time\":1");
    toy_say(t, "{\"type\":\"ack\",\"id\":\"1.2\"}"); /* as hello said already */
    toy_say(t, "{\"type\":\"telemetry\",\"battery\":80,\"rssi\":-60,\"heap\":{\"free\":1}}");
    toy_settle(t); /* neither is answered */
    toy_free(t);
}

/* A repeated id gets a whole answer or none: what was cut, by the session's end or by a failure, is
 * given anew, and what the toy cancelled stays ended. */
static void a_part_of_an_answer_is_never_the_whole(void **state)
{
    (void)state;
    struct toy *t = toy_join(&house, "cut"), *again;
    toy_say(t, "{\"type\":\"text\",\"text\":\"slow\",\"id\":\"x\"}");
    toy_hears_part(t, "\"echo\"");
    toy_hears(t,
              "{\"type\":\"reply\",\"seq\":1,\"id\":\"x\",\"text\":\"thinking\",\"done\":false}");
    again = toy_join(&house, "cut");
    toy_closed(t, 4001, "replaced");
    toy_free(t);
    toy_say(again, "{\"type\":\"text\",\"text\":\"slow\",\"id\":\"x\"}");
    toy_hears_part(again, "\"echo\"");
    toy_hears(again,
              "{\"type\":\"reply\",\"seq\":1,\"id\":\"x\",\"text\":\"thinking\",\"done\":false}");
    toy_say(again, "{\"type\":\"cancel\",\"seq\":1}");
    toy_hears(again, "{\"type\":\"reply\",\"seq\":1,\"id\":\"x\",\"text\":\"\",\"done\":true}");
    toy_say(again, "{\"type\":\"text\",\"text\":\"slow\",\"id\":\"x\"}");
    toy_hears_part(again, "\"echo\"");
    toy_hears(again, "{\"type\":\"reply\",\"seq\":2,\"id\":\"x\",\"text\":\"\",\"done\":true}");
    toy_say(again, "{\"type\":\"text\",\"text\":\"fail\",\"id\":\"y\"}");
    toy_hears_part(again, "\"echo\"");
    toy_hears_part(again, "\"error\",\"seq\":3");
    toy_say(again, "{\"type\":\"text\",\"text\":\"two\",\"id\":\"y\"}");
    toy_hears_part(again, "\"echo\"");
    toy_hears_part(again, "\"text\":\"one, \",\"done\":false");
    toy_hears_part(again, "\"text\":\"two\",\"done\":true");
    toy_say(again, "{\"type\":\"text\",\"text\":\"two\",\"id\":\"y\"}");
    toy_hears_part(again, "\"echo\"");
    toy_hears_part(again, "\"text\":\"one, two\",\"done\":true");
    toy_free(again);
}

static void a_toy_may_bound_its_frames(void **state)
{
    (void)state;
    struct toy *t = toy_join(&house, "d1");
    char text[2001];
    memset(text, 'x', 2000);
    text[2000] = '\0';
    toy_say(t, "{\"type\":\"hello\",\"max\":300}");
    toy_hears_part(t, "welcome");
    toy_say(t, text);
    toy_hears_part(t, "\"echo\"");
    assert_int_equal(t->frames, (t->text_len + 299) / 300);
    size_t got = 0;
    do { /* replies come in more parts instead */
        toy_hears_part(t, "\"reply\",\"seq\":1");
        assert_int_equal(t->frames, 1);
        assert_true(t->text_len <= 300);
        const char *p = strstr(t->text, "\"text\":\"") + 8;
        got += (size_t)(strstr(p, "\",\"done\"") - p);
    } while (!strstr(t->text, "\"done\":true"));
    assert_int_equal(got, 2004);
    toy_say(t, "big"); /* never in the middle of a character: toy_next checks the UTF-8 */
    toy_hears_part(t, "\"echo\"");
    do {
        toy_hears_part(t, "\"reply\",\"seq\":2");
        assert_true(t->text_len <= 300);
    } while (!strstr(t->text, "\"done\":true"));
    toy_free(t);
}

static void fragments_are_put_together(void **state)
{
    (void)state;
    struct toy *t = toy_join(&house, "d1");
    toy_send(t, WS_TEXT, false, "he\xC3", 3);
    toy_send(t, WS_PING, true, "p", 1);
    toy_send(t, WS_CONTINUATION, false, "", 0);
    toy_send(t, WS_CONTINUATION, false, "\xB6ll", 3);
    toy_send(t, WS_CONTINUATION, true, "o", 1);
    assert_true(toy_next(t));
    assert_int_equal(t->opcode, WS_PONG);
    assert_string_equal(t->text, "p");
    toy_hears(t, "{\"type\":\"echo\",\"seq\":1,\"text\":\"he\xC3\xB6llo\"}");
    toy_hears_part(t, "re: he\xC3\xB6llo");
    toy_send(t, WS_TEXT, false, "", 0);
    toy_send(t, WS_CONTINUATION, true, "", 0);
    toy_hears_part(t, "bad_message");
    const char *json = "{\"type\":\"text\",\"text\":\"byte by byte\"}";
    for (size_t i = 0; json[i]; i++)
        toy_send(t, i ? WS_CONTINUATION : WS_TEXT, !json[i + 1], json + i, 1);
    toy_hears_part(t, "\"echo\",\"seq\":2,\"text\":\"byte by byte\"");
    toy_hears_part(t, "re:");
    char *big = malloc(60000);
    memset(big, ' ', 60000);
    memcpy(big + 50000, "{\"type\":\"ping\",\"t\":1}", 21);
    for (size_t at = 0; at < 60000; at += 6000)
        toy_send(t, at ? WS_CONTINUATION : WS_TEXT, at == 54000, big + at, 6000);
    toy_hears_part(t, "pong");
    free(big);
    toy_free(t);
}

static size_t put_frame(uint8_t *at, uint8_t opcode, bool fin, const char *text)
{
    static const uint8_t mask[4] = {1, 2, 3, 4};
    size_t len = strlen(text), n = ws_header(at, opcode, len, mask);
    if (!fin)
        at[0] &= 0x7F;
    memcpy(at + n, text, len);
    ws_mask(at + n, len, mask);
    return n + len;
}

/* What stands behind a message in pieces may come in the same segment. */
static void messages_follow_fragments_at_once(void **state)
{
    (void)state;
    uint8_t all[200];
    size_t n = put_frame(all, WS_TEXT, false, "he");
    n += put_frame(all + n, WS_PING, true, "p");
    n += put_frame(all + n, WS_CONTINUATION, true, "llo");
    n += put_frame(all + n, WS_TEXT, true, "again");
    n += put_frame(all + n, WS_TEXT, false, "and");
    n += put_frame(all + n, WS_CONTINUATION, true, " on");
    n += put_frame(all + n, WS_TEXT, true, "end");
    struct toy *t = toy_join(&house, "d1");
    testing_send(&t->net, all, n);
    assert_true(toy_next(t));
    assert_int_equal(t->opcode, WS_PONG);
    static const char *const said[] = {"hello", "again", "and on", "end"};
    for (size_t i = 0; i < sizeof said / sizeof said[0]; i++) {
        toy_hears_part(t, "\"echo\"");
        assert_non_null(strstr(t->text, said[i]));
        toy_hears_part(t, "re: ");
        assert_non_null(strstr(t->text, said[i]));
    }
    toy_free(t);
}

int main(void)
{
#define IN_HOUSE(test) cmocka_unit_test_setup_teardown(test, plain_up, house_down)
    const struct CMUnitTest tests[] = {
        IN_HOUSE(echo_comes_before_the_reply),
        cmocka_unit_test(with_echo_only_the_echo_is_the_end),
        IN_HOUSE(replies_come_in_order_and_at_most_four_wait),
        IN_HOUSE(cancel_ends_only_what_is_there),
        IN_HOUSE(an_id_is_processed_once),
        IN_HOUSE(what_was_never_answered_may_be_said_again),
        IN_HOUSE(what_is_wrong_gets_an_error_and_no_seq),
        IN_HOUSE(too_long_an_utterance_ends_in_an_error),
        IN_HOUSE(hello_ping_and_the_rest),
        IN_HOUSE(a_part_of_an_answer_is_never_the_whole),
        IN_HOUSE(a_toy_may_bound_its_frames),
        IN_HOUSE(fragments_are_put_together),
        IN_HOUSE(messages_follow_fragments_at_once),
    };
    log_setup(LOG_ERROR, LOG_LOGFMT);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    testing_fini();
    return failed;
}
