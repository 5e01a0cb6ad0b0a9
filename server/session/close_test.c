/* How sessions end: every close code, the times, takeover, revocation, drain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
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

static void refused(const char *line, uint16_t code, const char *reason)
{
    struct toy *t = toy_open(&house, line);
    toy_closed(t, code, reason);
    toy_free(t);
}

static void broken(uint8_t opcode, bool fin, const void *data, size_t len, uint16_t code,
                   const char *reason)
{
    struct toy *t = toy_join(&house, "d1");
    toy_send(t, opcode, fin, data, len);
    toy_closed(t, code, reason);
    toy_free(t);
}

static void what_breaks_the_protocol_is_closed(void **state)
{
    (void)state;
    char *big = calloc(1, 70000);
    memset(big, 'a', 70000);
    broken(WS_BINARY, true, "x", 1, 1003, "unsupported");
    broken(WS_BINARY, false, "x", 1, 1003, "unsupported");
    broken(WS_CONTINUATION, true, "x", 1, 1002, "protocol");
    broken(0x3, true, "x", 1, 1002, "protocol");
    broken(WS_PING, false, "x", 1, 1002, "protocol");
    broken(WS_PING, true, big, 126, 1002, "protocol");
    broken(WS_CLOSE, true, "x", 1, 1002, "protocol");
    broken(WS_CLOSE, true, "\x03\xED", 2, 1002, "protocol"); /* 1005 */
    broken(WS_TEXT, true, "\xC3(", 2, 1007, "invalid_utf8");
    broken(WS_TEXT, true, "\xED\xA0\x80", 3, 1007, "invalid_utf8");
    broken(WS_TEXT, true, "cut \xC3", 5, 1007, "invalid_utf8");
    broken(WS_CLOSE, true, "\x03\xE8\xFF", 3, 1007, "invalid_utf8");
    broken(WS_TEXT, true, big, 65537, 1009, "too_big");
    struct toy *t = toy_join(&house, "d1");
    toy_send(t, WS_TEXT, false, big, 40000);
    toy_send(t, WS_CONTINUATION, true, big, 40000);
    toy_closed(t, 1009, "too_big");
    toy_free(t);
    t = toy_join(&house, "d1");
    testing_send(&t->net, "\x81\x01x", 3); /* not masked */
    toy_closed(t, 1002, "protocol");
    toy_free(t);
    t = toy_join(&house, "d1");
    toy_send(t, WS_TEXT, false, "a", 1);
    toy_send(t, WS_TEXT, true, "b", 1);
    toy_closed(t, 1002, "protocol");
    toy_free(t);
    free(big);
}

static void the_toys_own_close_is_answered_alike(void **state)
{
    (void)state;
    struct toy *t = toy_join(&house, "d1");
    toy_send(t, WS_CLOSE, true,
             "\x03\xE8"
             "bye",
             5);
    assert_true(toy_next(t));
    assert_int_equal(t->opcode, WS_CLOSE);
    assert_int_equal(t->close_code, 1000);
    assert_false(toy_next(t));
    toy_free(t);
    t = toy_join(&house, "d1");
    toy_send(t, WS_CLOSE, true, "", 0);
    assert_true(toy_next(t));
    assert_int_equal(t->opcode, WS_CLOSE);
    assert_int_equal(t->text_len, 0);
    assert_false(toy_next(t));
    toy_free(t);
    t = toy_join(&house, "d1"); /* it leaves without a word, with an utterance in work */
    toy_say(t, "slow");
    toy_hears_part(t, "echo");
    toy_free(t);
}

static void refusals_are_close_codes(void **state)
{
    (void)state;
    refused("refuse 1008 no_token", 1008, "no_token");
    refused("refuse 1013 overload", 1013, "overload");
    refused("closed d9", 1008, "token_revoked");
}

static void a_peer_that_never_answers_our_close_is_let_go(void **state)
{
    (void)state;
    struct toy *t = toy_join(&house, "d1"), *next = toy_join(&house, "d1");
    assert_true(toy_next(t));
    assert_int_equal(t->close_code, 4001);
    toy_say(t, "still talking"); /* not heard any more */
    assert_false(toy_next(t));   /* the end, after two seconds */
    toy_free(t);
    toy_settle(next);
    toy_free(next);
}

static void sessions_that_replace_each_other_are_noticed(void **state)
{
    (void)state;
    uint64_t cloned = metric_read(METRIC_DEVICE_CLONED);
    struct toy *t = toy_join(&house, "d1");
    for (int i = 1; i <= 4; i++) {
        struct toy *next = toy_join(&house, "d1");
        toy_closed(t, 4001, "replaced");
        toy_free(t);
        t = next;
        assert_int_equal(metric_read(METRIC_DEVICE_CLONED) - cloned, i >= 3);
    }
    struct toy *other = toy_join(&house, "d2"); /* nobody else's */
    toy_settle(other);
    toy_settle(t);
    toy_free(other);
    toy_free(t);
}

static void revoke_d1(struct loop *loop, void *keep)
{
    session_close_device(hub_of(loop), "d1", keep, 1008, "superseded");
}

static void a_devices_session_can_be_closed_from_outside(void **state)
{
    (void)state;
    uint8_t sid[STORE_JTI_LEN] = {'1'};
    struct toy *t = toy_join(&house, "d1"), *other = toy_join(&house, "d2");
    testing_on_loop(&house.net, revoke_d1, sid); /* its own family */
    toy_settle(t);
    sid[0] = '2';
    testing_on_loop(&house.net, revoke_d1, sid);
    toy_closed(t, 1008, "superseded");
    toy_free(t);
    for (int i = 0; i < 2; i++) { /* all of its families: what it said is forgotten, too */
        t = toy_join(&house, "d1");
        toy_say(t, "{\"type\":\"text\",\"text\":\"x\",\"id\":\"a\"}");
        toy_hears_part(t, "echo");
        toy_say(t, "{\"type\":\"text\",\"text\":\"y\",\"id\":\"b\"}");
        toy_hears_part(t, "re: x");
        toy_hears_part(t, "echo");
        toy_hears_part(t, "re: y");
        testing_on_loop(&house.net, revoke_d1, NULL);
        toy_closed(t, 1008, "superseded");
        toy_free(t);
    }
    toy_settle(other);
    toy_free(other);
}

static void give_key_5(struct loop *loop, void *arg)
{
    session_set_key(hub_of(loop), *(uint64_t *)arg, 5);
}

static void sessions_of_a_key_are_closed(void **state)
{
    (void)state;
    struct toy *other = toy_join(&house, "d1"), *toys[3];
    char name[16];
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "e%d", i);
        toys[i] = toy_join(&house, name);
        toy_settle(toys[i]);
        testing_on_loop(&house.net, give_key_5, &house.last_session);
    }
    hub_post_close_key(house.hub, 4, 1008, "token_revoked"); /* nobody's */
    toy_settle(other);
    toy_settle(toys[0]);
    hub_post_close_key(house.hub, 5, 1008, "token_revoked");
    for (int i = 0; i < 3; i++) {
        toy_closed(toys[i], 1008, "token_revoked");
        toy_free(toys[i]);
    }
    toy_settle(other);
    toy_free(other);
}

static void drain(struct loop *loop, void *arg)
{
    (void)arg;
    hub_drain(hub_of(loop), 1012, "restart");
}

static void a_drain_closes_all_and_lets_nobody_in(void **state)
{
    (void)state;
    struct toy *toys[20];
    char name[16];
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "d%d", i);
        toys[i] = toy_join(&house, name);
    }
    toy_say(toys[0], "slow");
    toy_hears_part(toys[0], "echo");
    toy_hears_part(toys[0], "thinking");
    testing_on_loop(&house.net, drain, NULL);
    unsigned different = 0;
    char first[124] = "";
    for (int i = 0; i < 20; i++) {
        toy_closed(toys[i], 1012, "restart retry_ms=");
        struct span word;
        uint32_t retry_ms;
        ws_reason_read(span_of(toys[i]->close_reason), &word, &retry_ms);
        assert_in_range(retry_ms, 100, 900);
        if (!first[0])
            snprintf(first, sizeof first, "%s", toys[i]->close_reason);
        different += strcmp(first, toys[i]->close_reason) != 0;
        toy_free(toys[i]);
    }
    assert_true(different > 0);
    refused("session late c 1", 1012, "restart retry_ms=");
    uint16_t code;
    const char *word;
    assert_true(hub_draining(house.hub, &code, &word));
}

static void too_many_messages(void **state)
{
    (void)state;
    struct session_config c = house_config();
    c.messages_per_s = 1;
    c.messages_burst = 5;
    open_house(&c);
    struct toy *t = toy_join(&house, "d1");
    for (int i = 0; i < 30; i++)
        toy_say(t, "{\"type\":\"ping\"}");
    for (int i = 0; i < 5; i++)
        toy_hears_part(t, "pong");
    unsigned errors = 0;
    while (toy_next(t) && t->opcode == WS_TEXT) {
        assert_non_null(strstr(t->text, "rate_limited"));
        errors++;
    }
    assert_in_range(errors, 5, 7);
    assert_int_equal(t->close_code, 1008);
    assert_memory_equal(t->close_reason, "rate_limited retry_ms=", 22);
    toy_free(t);

    t = toy_join(&house, "d2"); /* pings, and fragments of nothing, are no way around it */
    for (int i = 0; i < 30; i++)
        toy_send(t, WS_PING, true, "p", 1);
    unsigned pongs = 0;
    while (toy_next(t) && t->opcode == WS_PONG)
        pongs++;
    assert_in_range(pongs, 5, 7);
    assert_int_equal(t->close_code, 1008);
    toy_free(t);
    t = toy_join(&house, "d3");
    toy_send(t, WS_TEXT, false, "", 0);
    for (int i = 0; i < 30; i++)
        toy_send(t, WS_CONTINUATION, false, "", 0);
    toy_closed(t, 1008, "rate_limited");
    toy_free(t);
    house_close(&house);
}

static void no_room_for_the_processor_is_an_error(void **state)
{
    (void)state;
    struct session_config c = house_config();
    c.minds = testing_minds_with(&testing_broken_process);
    open_house(&c);
    struct toy *t = toy_join(&house, "d1");
    toy_say(t, "x");
    toy_hears_part(t, "echo");
    toy_hears_part(t, "\"code\":\"backend_error\"");
    toy_settle(t);
    toy_free(t);
    house_close(&house);
}

static uint64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void it_pings_and_drops_the_silent(void **state)
{
    (void)state;
    struct session_config c = house_config();
    c.ping_ms = 300;
    c.silence_ms = 2500; /* this test may have to wait for a processor, too */
    open_house(&c);
    struct toy *t = toy_join(&house, "d1");
    uint64_t since = 0;
    for (int i = 0; i < 9; i++) { /* longer than silence_ms: a pong is a sign of life */
        assert_true(toy_next(t));
        assert_int_equal(t->opcode, WS_PING);
        since = now_ms();
        toy_send(t, WS_PONG, true, t->text, t->text_len);
    }
    unsigned pings = 0;
    while (toy_next(t)) {
        assert_int_equal(t->opcode, WS_PING);
        pings++;
    }
    assert_in_range(pings, 1, 9);
    assert_in_range(now_ms() - since, 2500, 20000);
    toy_free(t);
    house_close(&house);
}

static void a_toys_token_runs_out(void **state)
{
    (void)state;
    struct session_config c = house_config();
    c.expiring_notice_s = 3;
    c.legacy_session_max_s = 3;
    open_house(&c);
    struct toy *t = toy_open(&house, "session d1 c 1 5");
    struct toy *legacy = toy_open(&house, "session d2 c 1 3600");
    toy_say(t, "{\"type\":\"hello\"}");
    toy_hears_part(t, "welcome");
    toy_closed(legacy, 1008, "token_expired"); /* never a token_expiring */
    toy_hears_part(t, "{\"type\":\"token_expiring\",\"expires_in\":");
    assert_true(strstr(t->text, ":3}") || strstr(t->text, ":2}") || strstr(t->text, ":1}"));
    toy_closed(t, 1008, "token_expired");
    toy_free(t);
    toy_free(legacy);
    t = toy_open(&house, "session d3 c 1 0"); /* said hello with its token just run out */
    toy_say(t, "{\"type\":\"hello\"}");
    toy_hears_part(t, "welcome");
    toy_closed(t, 1008, "token_expired");
    toy_free(t);
    house_close(&house);
}

static void a_refresh_keeps_the_session(void **state)
{
    (void)state;
    struct session_config c = house_config();
    c.expiring_notice_s = 3;
    open_house(&c);
    struct toy *t = toy_open(&house, "session d1 c 1 4");
    uint64_t until = now_ms() + 4100; /* past its former end */
    toy_say(t, "{\"type\":\"hello\"}");
    toy_hears_part(t, "welcome");
    toy_hears_part(t, "token_expiring");
    toy_say(t, "{\"type\":\"refresh\",\"refresh\":\"a.b.c\"}");
    toy_hears(t,
              "{\"type\":\"tokens\",\"access\":\"AAA\",\"refresh\":\"RRR\",\"expires_in\":3600}");
    assert_string_equal(house.refresh_token, "a.b.c");
    while (now_ms() < until)
        toy_settle(t);
    toy_free(t);
    house_close(&house);
}

static void refresh_refused(struct loop *loop, void *arg)
{
    struct house *h = arg;
    session_refreshed(hub_of(loop), h->refresh_session, "", "", 0, 0, h->refresh_error,
                      h->refresh_close);
    session_refreshed(hub_of(loop), 12345, "", "", 0, 0, "internal", 0); /* long gone */
}

static void refusals_of_a_refresh(void **state)
{
    (void)state;
    struct session_config c = house_config();
    open_house(&c);
    house.refresh_later = true;
    house.refresh_error = "token_reused";
    struct toy *t = toy_join(&house, "d1");
    toy_say(t, "{\"type\":\"refresh\",\"refresh\":\"x\"}");
    testing_count_wait(&house.refreshes, 1);
    toy_say(t, "{\"type\":\"refresh\",\"refresh\":\"x\"}");
    toy_hears_part(t, "\"code\":\"busy\"");
    testing_on_loop(&house.net, refresh_refused, &house);
    toy_hears_part(t, "{\"type\":\"error\",\"code\":\"token_reused\"");
    toy_say(t, "{\"type\":\"refresh\",\"refresh\":\"x\"}");
    testing_count_wait(&house.refreshes, 2);
    house.refresh_close = 1008;
    testing_on_loop(&house.net, refresh_refused, &house);
    toy_closed(t, 1008, "token_reused");
    toy_free(t);
    house_close(&house);
}

static void a_peer_that_never_reads_is_dropped(void **state)
{
    (void)state;
    memset(&house, 0, sizeof house);
    house.limits = (struct conn_limits){.out_max = 131072, .write_stall_ms = 300};
    struct session_config c = house_config();
    house_open(&house, &c);
    struct toy *t = toy_join(&house, "d1");
    char text[4096];
    memset(text, '\x01', sizeof text);
    uint8_t frame[4096 + WS_HEADER_MAX];
    size_t n = ws_header(frame, WS_TEXT, sizeof text, (const uint8_t[4]){0});
    memcpy(frame + n, text, sizeof text);
    /* It says and says and never listens: the server stops to hear it, then drops it. */
    while (send(t->net.fd, frame, n + sizeof text, MSG_NOSIGNAL) > 0)
        ;
    struct toy *other = toy_join(&house, "d2");
    toy_settle(other);
    toy_free(other);
    toy_free(t);
    house_close(&house);
}

static bool count_one(void *arg, const struct session_info *info)
{
    unsigned *count = arg;
    assert_string_equal(info->child_id, "c");
    assert_string_equal(info->address, "127.0.0.1");
    assert_in_range(info->since_s, (uint64_t)time(NULL) - 5, (uint64_t)time(NULL));
    return ++*count < 150;
}

static void count_all(struct loop *loop, void *arg)
{
    hub_each(hub_of(loop), count_one, arg);
    assert_int_equal(hub_sessions(hub_of(loop)), 200);
}

static void many_are_listed(void **state)
{
    (void)state;
    struct toy *toys[200];
    char name[16];
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "d%d", i);
        toys[i] = toy_join(&house, name);
    }
    unsigned count = 0;
    testing_on_loop(&house.net, count_all, &count);
    assert_int_equal(count, 150);
    for (int i = 0; i < 200; i++) {
        toy_settle(toys[i]);
        toy_free(toys[i]);
    }
}

static void free_hub(struct loop *loop, void *arg)
{
    (void)loop;
    hub_free(arg);
}

static void a_hub_can_go_before_its_connections(void **state)
{
    (void)state;
    struct session_config c = house_config();
    open_house(&c);
    struct toy *t = toy_join(&house, "d1");
    toy_say(t, "slow");
    toy_hears_part(t, "echo");
    toy_hears_part(t, "thinking");
    testing_on_loop(&house.net, free_hub, house.hub);
    assert_false(toy_next(t));
    toy_free(t);
    testing_stop(&house.net);
}

static void devices_are_spread_over_loops(void **state)
{
    (void)state;
    unsigned seen[4] = {0};
    char name[16];
    for (int i = 0; i < 400; i++) {
        snprintf(name, sizeof name, "Teddy-%d", i);
        seen[hub_index(name, 4)]++;
        assert_int_equal(hub_index(name, 4), hub_index(name, 4));
        assert_int_equal(hub_index(name, 1), 0);
    }
    for (int i = 0; i < 4; i++)
        assert_in_range(seen[i], 50, 150);
}

int main(void)
{
#define IN_HOUSE(test) cmocka_unit_test_setup_teardown(test, plain_up, house_down)
    const struct CMUnitTest tests[] = {
        IN_HOUSE(what_breaks_the_protocol_is_closed),
        IN_HOUSE(the_toys_own_close_is_answered_alike),
        IN_HOUSE(refusals_are_close_codes),
        IN_HOUSE(a_peer_that_never_answers_our_close_is_let_go),
        IN_HOUSE(sessions_that_replace_each_other_are_noticed),
        IN_HOUSE(a_devices_session_can_be_closed_from_outside),
        IN_HOUSE(sessions_of_a_key_are_closed),
        IN_HOUSE(a_drain_closes_all_and_lets_nobody_in),
        cmocka_unit_test(too_many_messages),
        cmocka_unit_test(no_room_for_the_processor_is_an_error),
        cmocka_unit_test(it_pings_and_drops_the_silent),
        cmocka_unit_test(a_toys_token_runs_out),
        cmocka_unit_test(a_refresh_keeps_the_session),
        cmocka_unit_test(refusals_of_a_refresh),
        cmocka_unit_test(a_peer_that_never_reads_is_dropped),
        IN_HOUSE(many_are_listed),
        cmocka_unit_test(a_hub_can_go_before_its_connections),
        cmocka_unit_test(devices_are_spread_over_loops),
    };
    log_setup(LOG_ERROR, LOG_LOGFMT);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    testing_fini();
    return failed;
}
