#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "http/testing.h"
#include "ops/log.h"

#define HOST "Host: localhost\r\n"
#define JSON "Content-Type: application/json\r\n"

static struct answer a;

/* Every answer, on every kind of connection, carries these. */
static void check_common(bool tls, bool close)
{
    const char *date = http_testing_field(&a, "Date");
    assert_non_null(date);
    assert_int_equal(strlen(date), 29);
    assert_memory_equal(date + 25, " GMT", 4);
    assert_string_equal(http_testing_field(&a, "X-Content-Type-Options"), "nosniff");
    assert_int_equal(http_testing_field(&a, "Strict-Transport-Security") != NULL, tls);
    const char *connection = http_testing_field(&a, "Connection");
    assert_int_equal(connection && strncmp(connection, "close", 5) == 0, close);
}

static void check_problem(int status, const char *code)
{
    char want[64];
    if (a.status != status)
        fail_msg("%d, wanted %d: %s", a.status, status, a.body);
    assert_string_equal(http_testing_field(&a, "Content-Type"), "application/problem+json");
    snprintf(want, sizeof want, "\"status\":%d,", status);
    assert_non_null(strstr(a.body, want));
    snprintf(want, sizeof want, "\"code\":\"%s\"", code);
    assert_non_null(strstr(a.body, want));
    assert_non_null(strstr(a.body, "{\"type\":\"about:blank\",\"title\":\""));
    assert_non_null(strstr(a.body, "\"detail\":\""));
    const char *id = strstr(a.body, "\"request_id\":\"");
    assert_non_null(id);
    assert_int_equal(strspn(id + 14, "0123456789abcdef"), 16);
}

static void answers_and_keeps_alive(void **state)
{
    (void)state;
    for (int tls = 0; tls < 2; tls++) {
        http_testing_start(tls);
        struct testing_client c = http_testing_connect();
        for (int i = 0; i < 3; i++) {
            const char *get = "GET /hello HTTP/1.1\r\n" HOST "\r\n";
            testing_send(&c, get, strlen(get));
            http_testing_read(&c, &a, false);
            assert_int_equal(a.status, 200);
            assert_string_equal(a.body, "hello");
            check_common(tls, false);
        }
        const char *post =
            "POST /claim HTTP/1.1\r\n" HOST "content-type: Application/JSON ; charset=utf-8\r\n"
            "Content-Length: 7\r\n\r\n{\"a\":1}";
        for (size_t i = 0; i < strlen(post); i++) /* a byte at a time */
            testing_send(&c, post + i, 1);
        http_testing_read(&c, &a, false);
        assert_int_equal(a.status, 200);
        assert_string_equal(a.body, "{\"a\":1}");
        const char *head = "HEAD /hello HTTP/1.1\r\n" HOST "\r\nGET /hello HTTP/1.1\r\n" HOST
                           "Connection: close\r\n\r\n";
        testing_send(&c, head, strlen(head));
        http_testing_read(&c, &a, true);
        assert_string_equal(http_testing_field(&a, "Content-Length"), "5");
        http_testing_read(&c, &a, false); /* so no body stood between */
        assert_string_equal(a.body, "hello");
        check_common(tls, true);
        assert_true(http_testing_closed(&c));
        testing_close(&c);
        http_testing_stop();
    }
}

static void serves_pipelined_requests_in_order(void **state)
{
    (void)state;
    http_testing_start(true);
    struct testing_client c = http_testing_connect();
    char text[8192] = "\r\n"; /* an empty line before a request is ignored */
    for (int i = 0; i < 20; i++) {
        char one[128];
        snprintf(one, sizeof one,
                 "GET /later/n%d HTTP/1.1\r\n" HOST "\r\nDELETE /nothing HTTP/1.1\r\n" HOST "\r\n",
                 i);
        strncat(text, one, sizeof text - strlen(text) - 1);
    }
    testing_send(&c, text, strlen(text));
    for (int i = 0; i < 20; i++) {
        char want[16];
        snprintf(want, sizeof want, "n%d", i);
        http_testing_read(&c, &a, false);
        assert_string_equal(a.body, want);
        http_testing_read(&c, &a, false);
        assert_int_equal(a.status, 204);
    }
    testing_close(&c);
    http_testing_stop();
}

/* Who asks for much and reads nothing is served as it reads, from bounded memory. */
static void many_pipelined_answers_wait_for_the_reader(void **state)
{
    (void)state;
    http_testing_start(false);
    struct testing_client c = http_testing_connect();
    const char *get = "GET /big HTTP/1.1\r\n" HOST "\r\n";
    for (int i = 0; i < 200; i++)
        testing_send(&c, get, strlen(get));
    for (int i = 0; i < 200; i++) {
        http_testing_read(&c, &a, false);
        assert_int_equal(a.body_len, 100000);
    }
    testing_close(&c);
    http_testing_stop();
}

static void http_10_is_answered_and_closed(void **state)
{
    (void)state;
    http_testing_start(false);
    struct testing_client c = http_testing_connect();
    const char *get = "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    testing_send(&c, get, strlen(get));
    http_testing_read(&c, &a, false);
    assert_int_equal(a.status, 200);
    check_common(false, true);
    assert_true(http_testing_closed(&c));
    testing_close(&c);
    http_testing_stop();
}

static const struct refusal {
    const char *text;
    int status;
    const char *code;
    bool closes;
} refusals[] = {
    {"garbage\r\n\r\n", 400, "bad_request", true},
    {"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400, "bad_request", true},
    {"GET /hello HTTP/1.1\n" HOST "\n\n", 400, "bad_request", true},
    {"GET /hello HTTP/1.1\r\n\r\n", 400, "bad_request", true},
    {"GET /hello HTTP/1.1\r\n" HOST HOST "\r\n", 400, "bad_request", true},
    {"GET /hello HTTP/1.1\r\n" HOST "A : b\r\n\r\n", 400, "bad_request", true},
    {"GET /hello HTTP/1.1\r\n" HOST "A: b\r\n folded\r\n\r\n", 400, "bad_request", true},
    {"GET  /hello HTTP/1.1\r\n" HOST "\r\n", 400, "bad_request", true},
    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "http_version", true},
    {"GET /hello HTTP/3.0\r\n" HOST "\r\n", 505, "http_version", true},
    {"GET hello HTTP/1.1\r\n" HOST "\r\n", 400, "bad_target", false},
    {"OPTIONS * HTTP/1.1\r\n" HOST "\r\n", 400, "bad_target", false},
    {"CONNECT evil:443 HTTP/1.1\r\nHost: evil:443\r\n\r\n", 400, "bad_target", false},
    {"GET ftp://localhost/hello HTTP/1.1\r\n" HOST "\r\n", 400, "bad_target", false},
    {"GET http:///hello HTTP/1.1\r\n" HOST "\r\n", 400, "bad_target", false},
    {"GET http://user@localhost/hello HTTP/1.1\r\n" HOST "\r\n", 400, "bad_target", false},
    {"GET /hello#there HTTP/1.1\r\n" HOST "\r\n", 400, "bad_target", false},
    {"GET /unknown HTTP/1.1\r\n" HOST "\r\n", 404, "not_found", false},
    {"GET /admin HTTP/1.1\r\n" HOST "\r\n", 404, "not_found", false}, /* another listener's */
    {"POST /unknown HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n", 404, "not_found", true},
    {"PUT /claim HTTP/1.1\r\n" HOST "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n", 405,
     "method_not_allowed", true}, /* before the media type */
    {"GET /claim HTTP/1.1\r\n" HOST "\r\n", 405, "method_not_allowed", false},
    {"PUT /claim HTTP/1.1\r\n" HOST "Content-Length: 4097\r\n\r\n", 413, "too_large",
     true}, /* before the method */
    {"POST /claim HTTP/1.1\r\n" HOST JSON "Content-Length: 4097\r\n\r\n", 413, "too_large", true},
    {"POST /claim HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551615\r\n\r\n", 413,
     "too_large", true},
    {"GET /hello HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\n", 413, "too_large", true},
    {"POST /claim HTTP/1.1\r\n" HOST "Content-Type: text/json\r\nContent-Length: 2\r\n\r\n", 415,
     "unsupported_media_type", true},
    {"POST /claim HTTP/1.1\r\n" HOST "Content-Type: application/jsonx\r\nContent-Length: 2\r\n\r\n",
     415, "unsupported_media_type", true},
    {"POST /claim HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n", 415, "unsupported_media_type",
     true},
    {"POST /claim HTTP/1.1\r\n" HOST JSON JSON "Content-Length: 2\r\n\r\n", 415,
     "unsupported_media_type", true},
    {"POST /claim HTTP/1.1\r\n" HOST JSON "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
     400, "bad_framing", true},
    {"POST /claim HTTP/1.1\r\n" HOST JSON "Content-Length: 2\r\nContent-Length: 3\r\n\r\n", 400,
     "bad_framing", true},
    {"POST /claim HTTP/1.1\r\n" HOST JSON "Content-Length: +2\r\n\r\n", 400, "bad_framing", true},
    {"POST /claim HTTP/1.1\r\n" HOST JSON "Content-Length: 99999999999999999999999\r\n\r\n", 400,
     "bad_framing", true},
    {"POST /claim HTTP/1.1\r\n" HOST JSON "Transfer-Encoding: chunked\r\n\r\n", 411,
     "length_required", true},
    {"POST /claim HTTP/1.1\r\n" HOST JSON "Transfer-Encoding: gzip\r\n\r\n", 501,
     "unsupported_coding", true},
    {"POST /claim HTTP/1.1\r\n" HOST JSON "Content-Length: 2\r\nExpect: 200-maybe\r\n\r\n", 417,
     "expectation_failed", true},
};

static void refuses_what_is_not_in_order(void **state)
{
    (void)state;
    for (int tls = 0; tls < 2; tls++) {
        http_testing_start(tls);
        for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
            const struct refusal *r = &refusals[i];
            struct testing_client c = http_testing_connect();
            testing_send(&c, r->text, strlen(r->text));
            http_testing_read(&c, &a, false);
            check_problem(r->status, r->code);
            check_common(tls, r->closes);
            if (r->status == 405)
                assert_string_equal(http_testing_field(&a, "Allow"), "POST");
            if (r->closes)
                assert_true(http_testing_closed(&c));
            testing_close(&c);
        }
        http_testing_stop();
    }
}

static void accepts_absolute_targets(void **state)
{
    (void)state;
    http_testing_start(false);
    http_testing_ask("GET HTTP://localhost:99/hello?x=/y HTTP/1.1\r\n" HOST "\r\n", &a);
    assert_int_equal(a.status, 200);
    http_testing_ask("GET https://localhost?x HTTP/1.1\r\n" HOST "\r\n", &a);
    check_problem(404, "not_found"); /* "/" */
    http_testing_stop();
}

static void oversized_head_is_431(void **state)
{
    (void)state;
    http_testing_start(true);
    struct testing_client c = http_testing_connect();
    char block[1024];
    const char *start = "GET /hello HTTP/1.1\r\n" HOST "X: ";
    memset(block, 'x', sizeof block);
    testing_send(&c, start, strlen(start));
    for (int i = 0; i < 12; i++)
        testing_send(&c, block, sizeof block);
    http_testing_read(&c, &a, false);
    check_problem(431, "head_too_large");
    assert_true(http_testing_closed(&c));
    testing_close(&c);
    http_testing_stop();
}

static void slow_heads_and_bodies_are_408(void **state)
{
    (void)state;
    static const char *const slow[] = {"GET /he", "POST /claim HTTP/1.1\r\n" HOST JSON
                                                  "Content-Length: 10\r\n\r\n{"};
    for (int tls = 0; tls < 2; tls++) {
        http_testing_start(tls);
        testing.plane.head_ms = testing.plane.body_ms = 100;
        testing.plane.conn.handshake_ms = 5000;
        for (size_t i = 0; i < 2; i++) {
            struct testing_client c = http_testing_connect();
            testing_send(&c, slow[i], strlen(slow[i]));
            http_testing_read(&c, &a, false);
            check_problem(408, "timeout");
            check_common(tls, true);
            assert_true(http_testing_closed(&c));
            testing_close(&c);
        }
        http_testing_stop();
    }
}

static void dripping_does_not_extend_the_head(void **state)
{
    (void)state;
    http_testing_start(false);
    testing.plane.head_ms = 150;
    struct testing_client c = http_testing_connect();
    const struct timeval drip = {.tv_usec = 20000};
    setsockopt(c.fd, SOL_SOCKET, SO_RCVTIMEO, &drip, sizeof drip);
    char b;
    int sent = 0;
    while (recv(c.fd, &b, 1, MSG_PEEK) != 1) { /* a byte each 20 ms until it answers */
        assert_true(sent++ < 400);
        send(c.fd, "G", 1, MSG_NOSIGNAL);
    }
    http_testing_read(&c, &a, false);
    assert_int_equal(a.status, 408);
    testing_close(&c);
    http_testing_stop();
}

static void silent_connections_are_closed(void **state)
{
    (void)state;
    http_testing_start(false);
    testing.plane.head_ms = testing.plane.idle_ms = 50;
    struct testing_client c = http_testing_connect();
    assert_true(http_testing_closed(&c)); /* without a word */
    testing_close(&c);
    c = http_testing_connect();
    const char *get = "GET /hello HTTP/1.1\r\n" HOST "\r\n";
    testing_send(&c, get, strlen(get));
    http_testing_read(&c, &a, false);
    assert_true(http_testing_closed(&c));
    testing_close(&c);
    http_testing_stop();
}

static void expect_continue_is_answered(void **state)
{
    (void)state;
    http_testing_start(true);
    struct testing_client c = http_testing_connect();
    const char *head =
        "POST /claim HTTP/1.1\r\n" HOST JSON "Content-Length: 2\r\nExpect: 100-Continue\r\n\r\n";
    testing_send(&c, head, strlen(head));
    char go_on[25];
    assert_int_equal(testing_recv_all(&c, go_on, sizeof go_on), sizeof go_on);
    assert_memory_equal(go_on, "HTTP/1.1 100 Continue\r\n\r\n", sizeof go_on);
    testing_send(&c, "{}", 2);
    http_testing_read(&c, &a, false);
    assert_string_equal(a.body, "{}");
    const char *refused =
        "POST /claim HTTP/1.1\r\n" HOST JSON "Content-Length: 5000\r\nExpect: 100-continue\r\n\r\n";
    testing_send(&c, refused, strlen(refused));
    http_testing_read(&c, &a, false);
    check_problem(413, "too_large"); /* and no 100 before it */
    testing_close(&c);
    http_testing_stop();
}

static void fields_cannot_split_an_answer(void **state)
{
    (void)state;
    http_testing_start(false);
    http_testing_ask("GET /fields HTTP/1.1\r\n" HOST "\r\n", &a);
    check_problem(429, "rate_limited");
    assert_non_null(strstr(a.body, "A \\\"quoted\\\" detail."));
    assert_string_equal(http_testing_field(&a, "X-Good"), "yes");
    assert_string_equal(http_testing_field(&a, "Retry-After"), "7");
    assert_null(http_testing_field(&a, "Set-Cookie"));
    assert_null(http_testing_field(&a, "X-Long"));
    http_testing_stop();
}

static bool admit_none(const struct http_request *req, uint32_t *retry_after_s)
{
    const struct sockaddr_storage *client = &req->client;
    const uint8_t *ip =
        (const uint8_t *)&((const struct sockaddr_in *)(const void *)client)->sin_addr;
    *retry_after_s = 42;
    return req->plane->proxies == NULL || ip[0] != 9;
}

static void limits_by_the_true_client(void **state)
{
    (void)state;
    char err[100];
    struct trusted_proxies *proxies;
    assert_int_equal(trusted_proxies_parse("127.0.0.1", &proxies, err, sizeof err), TEDDY_OK);
    http_testing_start(false);
    testing.plane.admit = admit_none;
    testing.plane.proxies = proxies;
    http_testing_ask("GET /hello HTTP/1.1\r\n" HOST "X-Forwarded-For: 8.8.8.8\r\n\r\n", &a);
    assert_int_equal(a.status, 200);
    http_testing_ask("GET /hello HTTP/1.1\r\n" HOST "X-Forwarded-For: 9.9.9.9\r\n\r\n", &a);
    check_problem(429, "rate_limited");
    assert_string_equal(http_testing_field(&a, "Retry-After"), "42");
    http_testing_stop();
    trusted_proxies_free(proxies);
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
        cmocka_unit_test(answers_and_keeps_alive),
        cmocka_unit_test(serves_pipelined_requests_in_order),
        cmocka_unit_test(many_pipelined_answers_wait_for_the_reader),
        cmocka_unit_test(http_10_is_answered_and_closed),
        cmocka_unit_test(refuses_what_is_not_in_order),
        cmocka_unit_test(accepts_absolute_targets),
        cmocka_unit_test(oversized_head_is_431),
        cmocka_unit_test(slow_heads_and_bodies_are_408),
        cmocka_unit_test(dripping_does_not_extend_the_head),
        cmocka_unit_test(silent_connections_are_closed),
        cmocka_unit_test(expect_continue_is_answered),
        cmocka_unit_test(fields_cannot_split_an_answer),
        cmocka_unit_test(limits_by_the_true_client),
    };
    return cmocka_run_group_tests(tests, init, fini);
}
