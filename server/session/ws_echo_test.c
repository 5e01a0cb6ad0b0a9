/* The echo WebSocket. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* after those */
#include <cmocka.h>

#include "session/testing.h"

static struct house house;

static int up(void **state)
{
    (void)state;
    struct session_config c = house_config();
    memset(&house, 0, sizeof house);
    house_open(&house, &c);
    return 0;
}

static int down(void **state)
{
    (void)state;
    house_close(&house);
    return 0;
}

static void the_echo_returns_each_message_as_it_came(void **state)
{
    (void)state;
    struct toy *t = toy_open(&house, "echo 100000");
    toy_say(t, "{\"type\":\"text\"}");
    toy_hears(t, "{\"type\":\"text\"}");
    toy_send(t, WS_BINARY, true, "\0\xFF", 2);
    assert_true(toy_next(t));
    assert_int_equal(t->opcode, WS_BINARY);
    assert_int_equal(t->text_len, 2);
    toy_say(t, "");
    toy_hears(t, "");
    toy_send(t, WS_TEXT, false, "a", 1);
    toy_send(t, WS_PING, true, "p", 1);
    toy_send(t, WS_CONTINUATION, true, "b", 1);
    bool pong = false;
    uint8_t last = 0;
    while (last != WS_TEXT || t->text_len < 2) { /* the pong may stand between the fragments */
        struct ws_event ev;
        size_t used;
        int rc = ws_decode(&t->decoder, t->in, t->in_len, &used, &ev);
        if (rc == TEDDY_OK && ev.opcode == WS_PONG) {
            pong = true;
        } else if (rc == TEDDY_OK) {
            t->text_len = ev.first ? 0 : t->text_len;
            memcpy(t->text + t->text_len, ev.data, ev.len);
            t->text_len += ev.len;
            last = ev.last ? ev.opcode : 0;
        }
        memmove(t->in, t->in + used, t->in_len - used);
        t->in_len -= used;
        if (rc == TEDDY_AGAIN) {
            long n = testing_recv(&t->net, t->in + t->in_len, sizeof t->in - t->in_len);
            assert_true(n > 0);
            t->in_len += (size_t)n;
        }
    }
    assert_true(pong);
    assert_memory_equal(t->text, "ab", 2);
    char *big = malloc(100001);
    memset(big, 'z', 100001);
    toy_send(t, WS_TEXT, true, big, 100000);
    assert_true(toy_next(t));
    assert_int_equal(t->text_len, 100000);
    toy_send(t, WS_TEXT, true, big, 100001);
    toy_closed(t, 1009, "too_big");
    toy_free(t);
    t = toy_open(&house, "echo 100");
    toy_send(t, WS_TEXT, true, "\xFF", 1);
    toy_closed(t, 1007, "invalid_utf8");
    toy_free(t);
    t = toy_open(&house, "echo 100");
    toy_send(t, WS_CLOSE, true, "\x03\xE8", 2);
    toy_closed(t, 1000, "");
    toy_free(t);
    free(big);
}

static void the_echo_waits_for_a_slow_reader(void **state)
{
    (void)state;
    const size_t len = 15 << 20;
    char *big = malloc(len + WS_HEADER_MAX);
    size_t n = ws_header((uint8_t *)big, WS_BINARY, len, (const uint8_t[4]){0});
    for (size_t i = 0; i < len; i++)
        big[n + i] = (char)(i * 7 >> 8);
    struct toy *t = toy_open(&house, "echo 16777216");
    size_t sent = 0, got = 0;
    uint8_t buf[8192];
    ws_decoder_init(&t->decoder, false, 16 << 20);
    struct pollfd writable = {.fd = t->net.fd, .events = POLLOUT};
    while (sent < n + len && poll(&writable, 1, 300) == 1) {
        long w = send(t->net.fd, big + sent, n + len - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        assert_true(w > 0);
        sent += (size_t)w;
    }
    assert_true(sent < n + len); /* it has stopped to listen */
    while (got < len) {          /* far more than the output may hold, and nothing is lost */
        if (sent < n + len) {
            long w = send(t->net.fd, big + sent, n + len - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
            sent += w > 0 ? (size_t)w : 0;
        }
        long r = recv(t->net.fd, buf, sizeof buf, sent < n + len ? MSG_DONTWAIT : 0);
        if (r <= 0)
            continue;
        memcpy(t->in + t->in_len, buf, (size_t)r);
        t->in_len += (size_t)r;
        size_t at = 0, used;
        struct ws_event ev;
        while (ws_decode(&t->decoder, t->in + at, t->in_len - at, &used, &ev) == TEDDY_OK) {
            assert_int_equal(ev.opcode, WS_BINARY);
            assert_memory_equal(ev.data, big + n + got, ev.len);
            got += ev.len;
            at += used;
            if (at == t->in_len)
                break;
        }
        memmove(t->in, t->in + at, t->in_len - at);
        t->in_len -= at;
    }
    assert_int_equal(got, len);
    toy_free(t);
    free(big);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_echo_returns_each_message_as_it_came, up, down),
        cmocka_unit_test_setup_teardown(the_echo_waits_for_a_slow_reader, up, down),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    testing_fini();
    return failed;
}
