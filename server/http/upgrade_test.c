#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "http/testing.h"
#include "ops/log.h"

#define HOST    "Host: localhost\r\n"
#define UP      "Upgrade: websocket\r\n"
#define CONN    "Connection: keep-alive, Upgrade\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define KEY     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

static struct answer a;

/* RFC 6455 section 1.3's own key and accept; what follows the head in the same bytes reaches the
 * new owner. */
static void switches_and_hands_over_what_follows(void **state)
{
    (void)state;
    static const char *const paths[] = {"/ws/toy", "/ws-moved/toy", "/ws-here/toy"};
    for (int i = 0; i < 6; i++) {
        char text[512];
        http_testing_start(i / 3);
        struct testing_client c = http_testing_connect();
        snprintf(text, sizeof text,
                 "GET %s?token=secret HTTP/1.1\r\n" HOST "upgrade: WebSocket\r\n" CONN VERSION KEY
                 "Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Protocol: "
                 "chat\r\n\r\nframes",
                 paths[i % 3]);
        testing_send(&c, text, strlen(text));
        http_testing_read(&c, &a, true);
        assert_int_equal(a.status, 101);
        assert_string_equal(http_testing_field(&a, "Sec-WebSocket-Accept"),
                            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_string_equal(http_testing_field(&a, "Upgrade"), "websocket");
        assert_string_equal(http_testing_field(&a, "Connection"), "Upgrade");
        assert_null(http_testing_field(&a, "Sec-WebSocket-Extensions"));
        assert_null(http_testing_field(&a, "Sec-WebSocket-Protocol"));
        char back[16];
        assert_int_equal(testing_recv_all(&c, back, 6), 6);
        assert_memory_equal(back, "frames", 6);
        testing_send(&c, "more", 4);
        assert_int_equal(testing_recv_all(&c, back, 4), 4);
        assert_memory_equal(back, "more", 4);
        assert_int_equal(http_in_flight(), 0);
        testing_close(&c);
        http_testing_stop();
    }
}

static const struct {
    const char *text;
    int status;
} refusals[] = {
    {"GET /ws/toy HTTP/1.1\r\n" HOST "\r\n", 426},
    {"GET /ws/toy HTTP/1.1\r\n" HOST "Upgrade: h2c\r\n" CONN VERSION KEY "\r\n", 426},
    {"GET /ws/toy HTTP/1.1\r\n" HOST UP CONN "Sec-WebSocket-Version: 8\r\n" KEY "\r\n", 426},
    {"GET /ws/toy HTTP/1.1\r\n" HOST UP CONN KEY "\r\n", 426},
    {"GET /ws/toy HTTP/1.1\r\n" HOST UP CONN VERSION VERSION KEY "\r\n", 400},
    {"GET /ws/toy HTTP/1.1\r\n" HOST UP VERSION KEY "\r\n", 400},
    {"GET /ws/toy HTTP/1.1\r\n" HOST UP "Connection: keep-alive\r\n" VERSION KEY "\r\n", 400},
    {"GET /ws/toy HTTP/1.1\r\n" HOST UP CONN VERSION "\r\n", 400},
    {"GET /ws/toy HTTP/1.1\r\n" HOST UP CONN VERSION KEY KEY "\r\n", 400},
    {"GET /ws/toy HTTP/1.1\r\n" HOST UP CONN VERSION "Sec-WebSocket-Key: short\r\n\r\n", 400},
    {"GET /ws/toy HTTP/1.1\r\n" HOST UP CONN VERSION
     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=\r\n\r\n",
     400},
    {"GET /ws/toy HTTP/1.0\r\n" HOST UP CONN VERSION KEY "\r\n", 400},
    {"POST /ws/toy HTTP/1.1\r\n" HOST UP CONN VERSION KEY "\r\n", 405},
    {"GET /ws/ HTTP/1.1\r\n" HOST UP CONN VERSION KEY "\r\n", 404},
    {"GET /ws/toy HTTP/1.1\r\n" HOST UP CONN VERSION KEY "Content-Length: 3\r\n\r\nabc", 413},
};

static void refuses_malformed_upgrades(void **state)
{
    (void)state;
    http_testing_start(true);
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        http_testing_ask(refusals[i].text, &a);
        if (a.status != refusals[i].status)
            fail_msg("%d for %s", a.status, refusals[i].text);
        assert_string_equal(http_testing_field(&a, "Content-Type"), "application/problem+json");
        if (a.status == 426) {
            assert_string_equal(http_testing_field(&a, "Upgrade"), "websocket");
            assert_string_equal(http_testing_field(&a, "Connection"), "Upgrade");
            assert_string_equal(http_testing_field(&a, "Sec-WebSocket-Version"), "13");
        }
    }
    struct testing_client c = http_testing_connect();
    const char *head = "HEAD /ws/toy HTTP/1.1\r\n" HOST UP CONN VERSION KEY "\r\n";
    testing_send(&c, head, strlen(head));
    http_testing_read(&c, &a, true);
    assert_int_equal(a.status, 405);
    testing_close(&c);
    http_testing_stop();
}

static void peers_leave_while_being_upgraded(void **state)
{
    (void)state;
    http_testing_start(true);
    const char *text = "GET /ws-moved/toy HTTP/1.1\r\n" HOST UP CONN VERSION KEY "\r\n";
    for (int i = 0; i < 40; i++) {
        struct testing_client c = http_testing_connect();
        testing_send(&c, text, strlen(text));
        testing_close(&c);
    }
    http_testing_stop();
}

/* Only where the plane asks for it, and a peer that is no browser says nothing of a page. */
static void another_origin_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *origin;
        int http, https;
    } all[] = {
        {"", 101, 101},
        {"Origin: http://localhost\r\n", 101, 403},
        {"Origin: https://localhost\r\n", 403, 101},
        {"Origin: https://localhost:1\r\n", 403, 403},
        {"Origin: https://localhos\r\n", 403, 403},
        {"Origin: https://evil\r\n", 403, 403},
        {"Origin: null\r\n", 403, 403},
        {"Origin: \r\n", 403, 403},
        {"Origin: http://localhost\r\nOrigin: https://localhost\r\n", 403, 403},
    };
    for (int tls = 0; tls < 2; tls++) {
        http_testing_start(tls);
        for (int asks = 1; asks >= 0; asks--)
            for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
                char text[512];
                testing.plane.own_origin = asks;
                snprintf(text, sizeof text,
                         "GET /ws/toy HTTP/1.1\r\n" HOST UP CONN VERSION KEY "%s\r\n",
                         all[i].origin);
                struct testing_client c = http_testing_connect();
                testing_send(&c, text, strlen(text));
                int want = !asks ? 101 : tls ? all[i].https : all[i].http;
                http_testing_read(&c, &a, want == 101);
                assert_int_equal(a.status, want);
                testing_close(&c);
            }
        http_testing_stop();
    }
}

/* A head without a length; what follows is its taker's, and the end is the connection's. */
static void streams(void **state)
{
    (void)state;
    for (int tls = 0; tls < 2; tls++) {
        static const char ask[] = "GET /stream HTTP/1.1\r\n" HOST "\r\n";
        static const char head[] = "HEAD /stream HTTP/1.1\r\n" HOST "\r\n";
        char back[16];
        http_testing_start(tls);
        struct testing_client c = http_testing_connect();
        testing_send(&c, ask, sizeof ask - 1);
        http_testing_read(&c, &a, true);
        assert_int_equal(a.status, 200);
        assert_string_equal(http_testing_field(&a, "Content-Type"), "text/plain");
        assert_string_equal(http_testing_field(&a, "Connection"), "close");
        assert_string_equal(http_testing_field(&a, "X-Good"), "yes");
        assert_null(http_testing_field(&a, "Content-Length"));
        assert_int_equal(testing_recv_all(&c, back, 6), 6);
        assert_memory_equal(back, "first ", 6);
        assert_int_equal(http_in_flight(), 0);
        testing_send(&c, "last", 4);
        assert_int_equal(testing_recv_all(&c, back, 4), 4);
        assert_memory_equal(back, "last", 4);
        assert_true(http_testing_closed(&c));
        testing_close(&c);
        c = http_testing_connect();
        testing_send(&c, head, sizeof head - 1);
        http_testing_read(&c, &a, true);
        assert_int_equal(a.status, 200);
        assert_null(http_testing_field(&a, "Content-Length"));
        assert_true(http_testing_closed(&c));
        testing_close(&c);
        http_testing_stop();
    }
}

static int init(void **state)
{
    (void)state;
    log_setup(LOG_ERROR, LOG_LOGFMT);
    return 0;
}

static int fini(void **state)
{
    (void)state;
    testing_fini();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(switches_and_hands_over_what_follows),
        cmocka_unit_test(refuses_malformed_upgrades),
        cmocka_unit_test(peers_leave_while_being_upgraded),
        cmocka_unit_test(another_origin_is_refused),
        cmocka_unit_test(streams),
    };
    return cmocka_run_group_tests(tests, init, fini);
}
