#include "proto/http1.h"
#include "proto/proto_test.h"

struct framing {
    const char *fields;
    int err;
    enum http_body kind;
    uint64_t length;
};

static void check(const struct framing *f, const char *line, bool is_response)
{
    char text[300];
    size_t len = strlen(line), more = strlen(f->fields), used;
    struct http_head head;
    enum http_body kind;
    uint64_t length;

    memcpy(text, line, len);
    memcpy(text + len, f->fields, more);
    memcpy(text + len + more, "\r\n", 2);
    len += more + 2;
    if (is_response)
        assert_int_equal(http1_response(text, len, len, &head, &used), TEDDY_OK);
    else
        assert_int_equal(http1_request(text, len, len, &head, &used), TEDDY_OK);
    if (http1_body(&head, is_response, &kind, &length) != f->err)
        fail_msg("%s%s: not the result expected", line, f->fields);
    if (f->err != TEDDY_OK) {
        assert_false(http1_keep_alive(&head));
        return;
    }
    assert_int_equal(kind, f->kind);
    assert_true(length == f->length);
}

static void requests_are_framed_one_way(void **state)
{
    static const struct framing cases[] = {
        {"", TEDDY_OK, HTTP_BODY_NONE, 0},
        {"Content-Length: 5\r\n", TEDDY_OK, HTTP_BODY_LENGTH, 5},
        {"Content-Length: 0\r\n", TEDDY_OK, HTTP_BODY_LENGTH, 0},
        {"Content-Length: 18446744073709551615\r\n", TEDDY_OK, HTTP_BODY_LENGTH, UINT64_MAX},
        {"Transfer-Encoding: Chunked\r\n", TEDDY_OK, HTTP_BODY_CHUNKED, 0},
        /* Two readers could differ on these. */
        {"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", TEDDY_EPROTO, 0, 0},
        {"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", TEDDY_EPROTO, 0, 0},
        {"Content-Length: 5\r\nContent-Length: 5\r\n", TEDDY_EPROTO, 0, 0},
        {"Content-Length: 5\r\ncontent-length: 6\r\n", TEDDY_EPROTO, 0, 0},
        {"Content-Length: 5, 5\r\n", TEDDY_EPROTO, 0, 0},
        {"Content-Length: +5\r\n", TEDDY_EPROTO, 0, 0},
        {"Content-Length: -5\r\n", TEDDY_EPROTO, 0, 0},
        {"Content-Length: 0x5\r\n", TEDDY_EPROTO, 0, 0},
        {"Content-Length: 5 5\r\n", TEDDY_EPROTO, 0, 0},
        {"Content-Length: 5;\r\n", TEDDY_EPROTO, 0, 0},
        {"Content-Length: 1e3\r\n", TEDDY_EPROTO, 0, 0},
        {"Content-Length:\r\n", TEDDY_EPROTO, 0, 0},
        {"Content-Length: 18446744073709551616\r\n", TEDDY_EPROTO, 0, 0},
        {"Content-Length: 36893488147419103237\r\n", TEDDY_EPROTO, 0, 0},
        {"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", TEDDY_EPROTO, 0, 0},
        {"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", TEDDY_EPROTO, 0, 0},
        {"Transfer-Encoding:\r\n", TEDDY_EPROTO, 0, 0},
        {"Transfer-Encoding: gzip, chunked\r\n", TEDDY_EUNSUPPORTED, 0, 0},
        {"Transfer-Encoding: chunked, chunked\r\n", TEDDY_EUNSUPPORTED, 0, 0},
        {"Transfer-Encoding: xchunked\r\n", TEDDY_EUNSUPPORTED, 0, 0},
        {"Transfer-Encoding: chunked;x=1\r\n", TEDDY_EUNSUPPORTED, 0, 0},
        {"Transfer-Encoding: identity\r\n", TEDDY_EUNSUPPORTED, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        check(&cases[i], "POST / HTTP/1.1\r\nHost: a\r\n", false);
    check(&(struct framing){"Transfer-Encoding: chunked\r\n", TEDDY_EPROTO, 0, 0},
          "POST / HTTP/1.0\r\n", false);
}

static void responses_are_framed(void **state)
{
    static const struct framing close = {"", TEDDY_OK, HTTP_BODY_CLOSE, 0};
    static const struct framing sized = {"Content-Length: 7\r\n", TEDDY_OK, HTTP_BODY_LENGTH, 7};
    static const struct framing chunked = {"Transfer-Encoding: chunked\r\n", TEDDY_OK,
                                           HTTP_BODY_CHUNKED, 0};
    static const struct framing none = {"Content-Length: 7\r\n", TEDDY_OK, HTTP_BODY_NONE, 0};
    static const struct framing both = {"Content-Length: 7\r\nTransfer-Encoding: chunked\r\n",
                                        TEDDY_EPROTO, 0, 0};

    (void)state;
    check(&close, "HTTP/1.1 200 OK\r\n", true);
    check(&sized, "HTTP/1.1 200 OK\r\n", true);
    check(&chunked, "HTTP/1.1 401 No\r\n", true);
    check(&none, "HTTP/1.1 304 Not Modified\r\n", true);
    check(&none, "HTTP/1.1 204 No Content\r\n", true);
    check(&none, "HTTP/1.1 100 Continue\r\n", true);
    check(&none, "HTTP/1.1 101 Switching\r\n", true);
    check(&none, "HTTP/1.1 199 x\r\n", true);
    check(&sized, "HTTP/1.1 205 x\r\n", true);
    check(&both, "HTTP/1.1 200 OK\r\n", true);
}

static bool keeps(const char *text)
{
    struct http_head head;
    size_t used;

    if (memcmp(text, "HTTP/", 5) == 0)
        assert_int_equal(http1_response(text, strlen(text), 1000, &head, &used), TEDDY_OK);
    else
        assert_int_equal(http1_request(text, strlen(text), 1000, &head, &used), TEDDY_OK);
    return http1_keep_alive(&head);
}

static void connections_stay_open(void **state)
{
    (void)state;
    assert_true(keeps("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_false(keeps("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n"));
    assert_false(keeps("GET / HTTP/1.0\r\n\r\n"));
    assert_true(keeps("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
    assert_false(keeps("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n"));
    assert_true(keeps("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    assert_true(keeps("HTTP/1.1 204 x\r\n\r\n"));
    assert_false(keeps("HTTP/1.1 200 OK\r\n\r\n"));
}

/* Decodes in pieces of the step's size; out must have room. Returns the last result, *used in all.
 */
static int unchunk(struct span in, size_t step, char *out, size_t *out_len, size_t *used)
{
    struct http_chunked c = {0};
    int err = TEDDY_AGAIN;

    *out_len = 0;
    *used = 0;
    while (err == TEDDY_AGAIN && *used < in.len) {
        size_t left = in.len - *used;
        struct span block = heap_copy((struct span){in.p + *used, left < step ? left : step});
        struct span data;
        size_t n;

        err = http1_chunked(&c, block.p, block.len, &n, &data);
        assert_true(n <= block.len && data.p >= block.p &&
                    data.p + data.len <= block.p + block.len);
        assert_true(n > 0 || err < 0);
        memcpy(out + *out_len, data.p, data.len);
        *out_len += data.len;
        *used += n;
        heap_free(block);
    }
    return err;
}

static void expect(const char *text, int err, const char *body, size_t rest)
{
    struct span in = span_of(text);
    char out[400];
    size_t len, used;

    for (size_t step = 1; step <= in.len; step++) {
        if (unchunk(in, step, out, &len, &used) != err)
            fail_msg("not the result expected, in steps of %zu: %s", step, text);
        if (err < 0)
            continue;
        assert_int_equal(used, in.len - rest);
        assert_int_equal(len, strlen(body));
        assert_memory_equal(out, body, len);
    }
}

static void chunks_are_joined(void **state)
{
    (void)state;
    expect("0\r\n\r\n", TEDDY_OK, "", 0);
    expect("5\r\nhello\r\n0\r\n\r\n", TEDDY_OK, "hello", 0);
    expect("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nGET /", TEDDY_OK, "hello world", 5);
    expect("0005;a=b;c=\"d e\"\r\n\r\n\r\n!\r\n00\r\nX-T: 1\r\nY:\r\n\r\n", TEDDY_OK, "\r\n\r\n!",
           0);
    expect("5 \t;x\r\nhello\r\n0\r\n\r\n", TEDDY_OK, "hello", 0);
    expect("1a\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n", TEDDY_OK, "abcdefghijklmnopqrstuvwxyz",
           0);
    expect("B\r\nhello world\r\n0\r\n\r\n", TEDDY_OK, "hello world", 0);
    expect("9\r\n123456789\r\nA\r\n1234567890\r\na\r\nabcdefghij\r\n0\r\n\r\n", TEDDY_OK,
           "1234567891234567890abcdefghij", 0);
    expect("f\r\n123456789012345\r\nF\r\n123456789012345\r\n0\r\n\r\n", TEDDY_OK,
           "123456789012345123456789012345", 0);
    expect("5\r\nhel", TEDDY_AGAIN, "hel", 0);
    expect("5\r\nhello\r\n0\r\n\r", TEDDY_AGAIN, "hello", 0);
}

static void malformed_chunks(void **state)
{
    static const char *const bad[] = {"\r\n",
                                      "x\r\n",
                                      "-1\r\n",
                                      "+5\r\nhello",
                                      "0x5\r\n",
                                      " 5\r\nhello",
                                      "5\nhello",
                                      "5\r\r\n",
                                      "5\rhello",
                                      "5 \r\nhello",
                                      "5 5\r\n",
                                      ";x\r\n",
                                      "5;\x01\r\n",
                                      "5;x\nhello",
                                      "5\r\nhelloX",
                                      "5\r\nhello\n0\r\n\r\n",
                                      "5\r\nhello\rX",
                                      "5\r\nhello0\r\n",
                                      "0\r\n\n",
                                      "0\r\n\rX",
                                      "0\r\n X: a\r\n\r\n",
                                      "0\r\n: a\r\n\r\n",
                                      "0\r\nX : a\r\n\r\n",
                                      "0\r\nX\r\n\r\n",
                                      "0\r\nX: a\n\r\n",
                                      "0\r\nX: a\r\n b\r\n\r\n",
                                      "0\r\nX: \x01\r\n\r\n",
                                      "100000000\r\n",
                                      "fffffffff\r\n",
                                      "5,\r\n"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        expect(bad[i], TEDDY_EPROTO, "", 0);
}

static void chunk_sizes_do_not_wrap(void **state)
{
    struct http_chunked c = {0};
    struct span data;
    size_t used;

    (void)state;
    assert_int_equal(http1_chunked(&c, "ffffffff\r\nabc", 13, &used, &data), TEDDY_AGAIN);
    assert_int_equal(used, 13);
    assert_int_equal(data.len, 3);
    assert_true(c.left == UINT32_MAX - 3);
}

static void lines_around_chunks_are_bounded(void **state)
{
    static char text[70000];
    struct http_chunked c = {0};
    struct span data;
    size_t used;

    (void)state;
    memset(text, '0', sizeof text);
    assert_int_equal(http1_chunked(&c, text, 300, &used, &data), TEDDY_EPROTO);
    memset(text, 'x', sizeof text);
    memcpy(text, "5;", 2);
    c = (struct http_chunked){0};
    assert_int_equal(http1_chunked(&c, text, 300, &used, &data), TEDDY_EPROTO);
    /* Endless trailers, each of them short. */
    memcpy(text, "0\r\n", 3);
    for (size_t i = 3; i + 6 < sizeof text; i += 6)
        memcpy(text + i, "X: a\r\n", 6);
    c = (struct http_chunked){0};
    assert_int_equal(http1_chunked(&c, text, sizeof text, &used, &data), TEDDY_EPROTO);
}

static void what_is_done_takes_no_more(void **state)
{
    struct http_chunked c = {0};
    struct span data;
    size_t used;

    (void)state;
    assert_int_equal(http1_chunked(&c, "0\r\n\r\nX", 6, &used, &data), TEDDY_OK);
    assert_int_equal(used, 5);
    assert_int_equal(http1_chunked(&c, "X", 1, &used, &data), TEDDY_OK);
    assert_int_equal(used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_framed_one_way),
        cmocka_unit_test(responses_are_framed),
        cmocka_unit_test(connections_stay_open),
        cmocka_unit_test(chunks_are_joined),
        cmocka_unit_test(malformed_chunks),
        cmocka_unit_test(chunk_sizes_do_not_wrap),
        cmocka_unit_test(lines_around_chunks_are_bounded),
        cmocka_unit_test(what_is_done_takes_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
