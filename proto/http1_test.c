#include "proto/http1.h"

#include "proto/proto_test.h"

#define MAX 8192

/* Parses from a block of exactly the input's size. */
static int request(struct span in, size_t max)
{
    struct span copy = heap_copy(in);
    struct http_head head;
    size_t used;
    int err = http1_request(copy.p, copy.len, max, &head, &used);

    assert_true(err == TEDDY_OK ? used > 0 && used <= copy.len : used == 0);
    heap_free(copy);
    return err;
}

static int response(struct span in)
{
    struct span copy = heap_copy(in);
    struct http_head head;
    size_t used;
    int err = http1_response(copy.p, copy.len, MAX, &head, &used);

    heap_free(copy);
    return err;
}

#define CLAIM                                                                                      \
    "POST /api/v1/pair/claim?x=%20 HTTP/1.1\r\nHost: toys.example:8443\r\nContent-Length:5 \r\n"   \
    "X-Empty:\r\naccept: */*\r\nConnection: keep-alive,\tUpgrade\r\nConnection: x\r\n\r\n"

static void a_request_is_taken_apart(void **state)
{
    static const char in[] = CLAIM "hello";
    struct http_head head;
    struct span name, value;
    size_t used, at = 0, count = 0;

    (void)state;
    assert_int_equal(http1_request(in, sizeof in - 1, MAX, &head, &used), TEDDY_OK);
    assert_int_equal(used, sizeof in - 1 - 5);
    assert_span(head.method, "POST");
    assert_span(head.target, "/api/v1/pair/claim?x=%20");
    assert_int_equal(head.minor, 1);
    assert_int_equal(head.status, 0);
    assert_int_equal(http1_field(&head, "content-length", &value), 1);
    assert_span(value, "5");
    assert_int_equal(http1_field(&head, "x-empty", &value), 1);
    assert_int_equal(value.len, 0);
    assert_int_equal(http1_field(&head, "CONNECTION", &value), 2);
    assert_span(value, "keep-alive,\tUpgrade");
    assert_int_equal(http1_field(&head, "connect", &value), 0);
    assert_int_equal(http1_field(&head, "x-missing", &value), 0);
    assert_int_equal(value.len, 0);
    while (http1_next_field(&head, &at, &name, &value))
        count++;
    assert_int_equal(count, 6);
    assert_int_equal(at, head.fields.len);
}

static void lists_are_searched(void **state)
{
    static const char in[] = CLAIM;
    struct http_head head;
    size_t used;

    (void)state;
    assert_int_equal(http1_request(in, sizeof in - 1, MAX, &head, &used), TEDDY_OK);
    assert_true(http1_field_has(&head, "connection", "upgrade"));
    assert_true(http1_field_has(&head, "connection", "Keep-Alive"));
    assert_true(http1_field_has(&head, "connection", "x"));
    assert_false(http1_field_has(&head, "connection", "grade"));
    assert_false(http1_field_has(&head, "connection", "keep-alive,\tUpgrade"));
    assert_false(http1_field_has(&head, "upgrade", "websocket"));
}

static void truncated_at_every_byte(void **state)
{
    static const char in[] = CLAIM;
    static const char out[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";

    (void)state;
    for (size_t len = 0; len < sizeof in - 1; len++)
        assert_int_equal(request((struct span){in, len}, MAX), TEDDY_AGAIN);
    assert_int_equal(request(LIT(in), MAX), TEDDY_OK);
    for (size_t len = 0; len < sizeof out - 1; len++)
        assert_int_equal(response((struct span){out, len}), TEDDY_AGAIN);
    assert_int_equal(response(LIT(out)), TEDDY_OK);
}

static void heads_are_bounded(void **state)
{
    static const char in[] = CLAIM;
    size_t len = sizeof in - 1;

    (void)state;
    assert_int_equal(request(LIT(in), len), TEDDY_OK);
    for (size_t max = 0; max < len; max++) {
        assert_int_equal(request(LIT(in), max), TEDDY_ETOOBIG);
        assert_int_equal(request((struct span){in, max}, max), TEDDY_ETOOBIG);
        if (max > 0)
            assert_int_equal(request((struct span){in, max - 1}, max), TEDDY_AGAIN);
    }
    /* What follows the head is none of its bytes. */
    assert_int_equal(request(LIT(CLAIM "body body body"), len), TEDDY_OK);
}

#define HOST "Host: a\r\n"

static void malformed_requests(void **state)
{
    static const char *const bad[] = {
        " GET / HTTP/1.1\r\n" HOST "\r\n",
        "GET  / HTTP/1.1\r\n" HOST "\r\n",
        "GET /  HTTP/1.1\r\n" HOST "\r\n",
        "GET / HTTP/1.1 \r\n" HOST "\r\n",
        "GET\t/ HTTP/1.1\r\n" HOST "\r\n",
        "GET / x HTTP/1.1\r\n" HOST "\r\n",
        "GET /\r\n" HOST "\r\n",
        "GET\r\n\r\n",
        "GET / \r\n" HOST "\r\n",
        "GET  HTTP/1.1\r\n" HOST "\r\n",
        "G(T / HTTP/1.1\r\n" HOST "\r\n",
        "G\xc3\xa9T / HTTP/1.1\r\n" HOST "\r\n",
        "GET /\xc3\xa9 HTTP/1.1\r\n" HOST "\r\n",
        "GET /\x7f HTTP/1.1\r\n" HOST "\r\n",
        "GET /\x01 HTTP/1.1\r\n",
        "GET / http/1.1\r\n" HOST "\r\n",
        "GET / HTTP/1\r\n" HOST "\r\n",
        "GET / HTTP/11\r\n" HOST "\r\n",
        "GET / HTTP/1.10\r\n" HOST "\r\n",
        "GET / HTTP/1.x\r\n" HOST "\r\n",
        "GET / HTTP/x.1\r\n" HOST "\r\n",
        "GET / HTTP/.1.1\r\n" HOST "\r\n",
        "GET / HTTPS/1.1\r\n" HOST "\r\n",
        "\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n",
        "\nGET / HTTP/1.1\r\n" HOST "\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        if (request(span_of(bad[i]), MAX) != TEDDY_EPROTO)
            fail_msg("not refused: %s", bad[i]);
    }
    assert_int_equal(request(LIT("GET /\0 HTTP/1.1\r\n"), MAX), TEDDY_EPROTO);
    assert_int_equal(request(LIT("\0"), MAX), TEDDY_EPROTO);
}

static void malformed_fields(void **state)
{
    static const char *const bad[] = {
        HOST "Content-Length : 5\r\n\r\n", /* white space before the colon */
        HOST "Content-Length\t: 5\r\n\r\n",
        HOST "X: a\r\n b\r\n\r\n", /* a folded line */
        HOST "X: a\r\n\tb\r\n\r\n",
        " " HOST "\r\n", /* folded into the request line */
        HOST "\r\x0bX: a\r\n\r\n",
        HOST "X: a\nY: b\r\n\r\n", /* a bare LF */
        HOST "X: a\n\n",
        HOST "X: a\rY: b\r\n\r\n", /* a bare CR */
        HOST "X: a\r\r\n\r\n",
        HOST "X: a\r\n\r\r\n",
        HOST "X: a\r\n\n",
        HOST ": a\r\n\r\n",
        HOST "X\r\n\r\n",
        HOST "X Y: a\r\n\r\n",
        HOST "X\x01: a\r\n\r\n",
        HOST "X: a\x01\r\n\r\n",
        HOST "X: a\x7f\r\n\r\n",
        HOST "X: a\x0c\r\n\r\n",
        HOST "X\xc3\xa9: a\r\n\r\n",
        HOST "X(y): a\r\n\r\n",
        HOST "\"X\": a\r\n\r\n",
        HOST "X=1: a\r\n\r\n",
    };
    char text[200];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        static const char line[] = "GET / HTTP/1.1\r\n";
        size_t len = sizeof line - 1;

        memcpy(text, line, len);
        memcpy(text + len, bad[i], strlen(bad[i]));
        if (request((struct span){text, len + strlen(bad[i])}, MAX) != TEDDY_EPROTO)
            fail_msg("not refused: %s", bad[i]);
    }
    assert_int_equal(request(LIT("GET / HTTP/1.1\r\n" HOST "X: a\0b\r\n\r\n"), MAX), TEDDY_EPROTO);
    assert_int_equal(request(LIT("GET / HTTP/1.1\r\n" HOST "X\0: a\r\n\r\n"), MAX), TEDDY_EPROTO);
}

static void what_is_wrong_is_refused_before_the_end(void **state)
{
    (void)state;
    assert_int_equal(request(LIT("GET / HTTP/1.1\n"), MAX), TEDDY_EPROTO);
    assert_int_equal(request(LIT("GE\x01"), MAX), TEDDY_EPROTO);
    assert_int_equal(request(LIT("GET / HTTP/1.1\r\n" HOST "X : a\r\n"), MAX), TEDDY_EPROTO);
    assert_int_equal(request(LIT("GET / HTTP/1.1\r\n" HOST "\rX"), MAX), TEDDY_EPROTO);
}

static void forgiven(void **state)
{
    struct http_head head;
    struct span value;
    size_t used;

    (void)state;
    assert_int_equal(request(LIT("\r\nGET / HTTP/1.1\r\n" HOST "\r\n"), MAX), TEDDY_OK);
    assert_int_equal(request(LIT("OPTIONS * HTTP/1.1\r\n" HOST "\r\n"), MAX), TEDDY_OK);
    assert_int_equal(request(LIT("GET http://a/ HTTP/1.1\r\nHost:\r\n\r\n"), MAX), TEDDY_OK);
    assert_int_equal(request(LIT("GET / HTTP/1.0\r\n\r\n"), MAX), TEDDY_OK);
    assert_int_equal(http1_request("GET / HTTP/1.1\r\nHost: \t a \t \r\nX: \xe9 b\r\n\r\n", 44, MAX,
                                   &head, &used),
                     TEDDY_OK);
    assert_int_equal(http1_field(&head, "host", &value), 1);
    assert_span(value, "a");
    assert_int_equal(http1_field(&head, "x", &value), 1);
    assert_span(value, "\xe9 b");
}

static void versions(void **state)
{
    (void)state;
    assert_int_equal(request(LIT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), MAX), TEDDY_EUNSUPPORTED);
    assert_int_equal(request(LIT("GET / HTTP/1.2\r\n" HOST "\r\n"), MAX), TEDDY_EUNSUPPORTED);
    assert_int_equal(request(LIT("GET / HTTP/0.9\r\n" HOST "\r\n"), MAX), TEDDY_EUNSUPPORTED);
    assert_int_equal(request(LIT("GET / HTTP/9.1\r\n" HOST "\r\n"), MAX), TEDDY_EUNSUPPORTED);
}

static void one_host(void **state)
{
    static const char *const bad[] = {"\r\n",
                                      HOST HOST "\r\n",
                                      HOST "hOST: b\r\n\r\n",
                                      "Host: a b\r\n\r\n",
                                      "Host: a,b\r\n\r\n",
                                      "Host: a/b\r\n\r\n",
                                      "Host: u@a\r\n\r\n",
                                      "Host: a?b\r\n\r\n",
                                      "Host: a\\b\r\n\r\n",
                                      "Host: \xc3\xa9\r\n\r\n"};
    char text[100];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        memcpy(text, "GET / HTTP/1.1\r\n", 16);
        memcpy(text + 16, bad[i], strlen(bad[i]));
        assert_int_equal(request((struct span){text, 16 + strlen(bad[i])}, MAX), TEDDY_EPROTO);
    }
    assert_int_equal(request(LIT("GET / HTTP/1.0\r\n" HOST HOST "\r\n"), MAX), TEDDY_EPROTO);
    assert_int_equal(request(LIT("GET / HTTP/1.1\r\nHost: [::1]:8443\r\n\r\n"), MAX), TEDDY_OK);
}

static void responses(void **state)
{
    static const char in[] = "HTTP/1.0 429 Too Many Requests\r\nRetry-After: 3\r\n\r\nbody";
    static const char *const good[] = {"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 \r\n\r\n",
                                       "HTTP/1.1 200\r\n\r\n", "HTTP/1.1 599 \xe9\tx\r\n\r\n"};
    static const char *const bad[] = {
        "HTTP/1.1 20 OK\r\n\r\n",      "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1  200 OK\r\n\r\n",    "HTTP/1.1 099 x\r\n\r\n",
        "HTTP/1.1 600 x\r\n\r\n",      "HTTP/1.1 2x0 x\r\n\r\n",
        "HTTP/1.1 +20 x\r\n\r\n",      "HTTP/1.1\r\n\r\n",
        "HTTP/1.1\t200 OK\r\n\r\n",    "ICY 200 OK OK\r\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\n\n",
        "HTTP/1.1 200 \x01\r\n\r\n",   "HTTP/1.1 200 OK\r\n X: a\r\n\r\n",
        "HTTP/1.1 -99 x\r\n\r\n"};
    struct http_head head;
    struct span value;
    size_t used;

    (void)state;
    assert_int_equal(http1_response(in, sizeof in - 1, MAX, &head, &used), TEDDY_OK);
    assert_int_equal(used, sizeof in - 5);
    assert_int_equal(head.status, 429);
    assert_int_equal(head.minor, 0);
    assert_int_equal(http1_field(&head, "retry-after", &value), 1);
    assert_span(value, "3");
    for (size_t i = 0; i < COUNT_OF(good); i++)
        assert_int_equal(response(span_of(good[i])), TEDDY_OK);
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        if (response(span_of(bad[i])) != TEDDY_EPROTO)
            fail_msg("not refused: %s", bad[i]);
    }
    assert_int_equal(response(LIT("HTTP/2.0 200 OK\r\n\r\n")), TEDDY_EUNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_taken_apart),
        cmocka_unit_test(lists_are_searched),
        cmocka_unit_test(truncated_at_every_byte),
        cmocka_unit_test(heads_are_bounded),
        cmocka_unit_test(malformed_requests),
        cmocka_unit_test(malformed_fields),
        cmocka_unit_test(what_is_wrong_is_refused_before_the_end),
        cmocka_unit_test(forgiven),
        cmocka_unit_test(versions),
        cmocka_unit_test(one_host),
        cmocka_unit_test(responses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
