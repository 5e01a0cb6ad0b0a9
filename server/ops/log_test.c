/* What a line looks like and what hostile values cannot do to it: read back from a pipe put in
 * place of standard error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ops/log.h"

static char caught[16384];

/* What one call writes to standard error; *writes counts the write calls, told apart by O_DIRECT's
 * packets. */
static const char *catch (enum log_level level, const char *event, const struct log_pair *pairs,
                          unsigned count, int *writes)
{
    int fds[2];
    int saved = dup(STDERR_FILENO);
    size_t len = 0;

    assert_int_equal(pipe2(fds, O_DIRECT | O_NONBLOCK), 0);
    assert_true(dup2(fds[1], STDERR_FILENO) >= 0);
    log_write(level, event, pairs, count);
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    close(saved);
    close(fds[1]);
    *writes = 0;
    for (;;) {
        ssize_t n = read(fds[0], caught + len, sizeof caught - 1 - len);
        if (n <= 0)
            break;
        len += (size_t)n;
        ++*writes;
    }
    close(fds[0]);
    caught[len] = '\0';
    return caught;
}

static const char *body(const struct log_pair *pairs, unsigned count)
{
    int writes;
    const char *line = catch (LOG_INFO, "claim", pairs, count, &writes);

    assert_int_equal(writes, 1);
    assert_int_equal(line[strlen(line) - 1], '\n');
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
    return line;
}

static void expect_tail(const char *line, const char *tail)
{
    size_t n = strlen(line), t = strlen(tail);
    assert_true(n >= t);
    assert_string_equal(line + n - t, tail);
}

static void logfmt_line(void **state)
{
    const struct log_pair p[] = {LOG_S("device", "Teddy-1"), LOG_N("status", 200),
                                 LOG_N("delta", -5)};
    (void)state;
    log_setup(LOG_INFO, LOG_LOGFMT);
    const char *line = body(p, 3);
    /* time=2025-01-02T03:04:05.678Z */
    assert_memory_equal(line, "time=2", 6);
    assert_int_equal(line[15], 'T');
    assert_int_equal(line[24], '.');
    assert_int_equal(line[28], 'Z');
    assert_string_equal(line + 29, " level=info event=claim device=Teddy-1 status=200 delta=-5\n");
}

static void logfmt_escapes(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"", " k=\"\"\n"},
        {"two words", " k=\"two words\"\n"},
        {"a=b", " k=\"a=b\"\n"},
        {"say \"hi\"\\", " k=\"say \\\"hi\\\"\\\\\"\n"},
        {"x\nlevel=error event=forged", " k=\"x\\nlevel=error event=forged\"\n"},
        {"\r\t\x01\x1b[2J\x7f", " k=\"\\r\\t\\u0001\\u001b[2J\\u007f\"\n"},
        {"B\xc3\xa4r", " k=\"B\xc3\xa4r\"\n"},
        {"\xc2\x9b"
         "31m",
         " k=\"\\u009b31m\"\n"}, /* C1: a one-character CSI */
        {"\xe2\x80\xae"
         "gpj",
         " k=\"\\u202egpj\"\n"}, /* right-to-left override */
        {"\xe2\x80\xa8", " k=\"\\u2028\"\n"},
        {"\xff\xc0\xaf", " k=\"\\ufffd\\ufffd\\ufffd\"\n"}, /* never valid, overlong */
        {"\xed\xa0\x80", " k=\"\\ufffd\\ufffd\\ufffd\"\n"}, /* surrogate */
        {"\xe2\x82", " k=\"\\ufffd\\ufffd\"\n"},            /* cut off */
        {"\xf0\x9f\xa7\xb8", " k=\"\xf0\x9f\xa7\xb8\"\n"},
        {"\xf4\x90\x80\x80", " k=\"\\ufffd\\ufffd\\ufffd\\ufffd\"\n"},
    };
    (void)state;
    log_setup(LOG_INFO, LOG_LOGFMT);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct log_pair p[] = {LOG_S("k", cases[i].in)};
        expect_tail(body(p, 1), cases[i].out);
    }
}

static void json_line(void **state)
{
    const struct log_pair p[] = {LOG_S("path", "/a\"b\\c\n\x01\xff\xc3\xa4"),
                                 LOG_N("status", INT64_MIN), LOG_S("", "")};
    json_error_t e;
    (void)state;
    log_setup(LOG_INFO, LOG_JSON);
    json_t *v = json_loads(body(p, 3), JSON_REJECT_DUPLICATES, &e);
    assert_non_null(v);
    assert_int_equal(json_object_size(v), 6);
    assert_string_equal(json_string_value(json_object_get(v, "level")), "info");
    assert_string_equal(json_string_value(json_object_get(v, "event")), "claim");
    assert_int_equal(strlen(json_string_value(json_object_get(v, "time"))), 24);
    assert_string_equal(json_string_value(json_object_get(v, "path")),
                        "/a\"b\\c\n\x01\xef\xbf\xbd\xc3\xa4");
    assert_true(json_integer_value(json_object_get(v, "status")) == INT64_MIN);
    json_decref(v);
}

static void bounded(void **state)
{
    char *huge = malloc(100001);
    struct log_pair p[8];
    json_error_t e;
    (void)state;
    assert_non_null(huge);
    memset(huge, 1, 100000); /* six bytes each once escaped */
    huge[100000] = '\0';
    for (size_t i = 0; i < 8; i++)
        p[i] = LOG_S("k", "v");
    p[1] = LOG_S("huge", huge);
    for (int format = LOG_LOGFMT; format <= LOG_JSON; format++) {
        log_setup(LOG_INFO, (enum log_format)format);
        const char *line = body(p, 3);
        assert_true(strlen(line) <= 4096);
        assert_non_null(strstr(line, "pairs_cut"));
        if (format == LOG_JSON) {
            json_t *v = json_loads(line, 0, &e);
            assert_non_null(v);
            assert_int_equal(json_integer_value(json_object_get(v, "pairs_cut")), 2);
            json_decref(v);
        }
    }
    memset(huge, 'a', 100000); /* one long value is cut, the rest of the line stays */
    log_setup(LOG_INFO, LOG_LOGFMT);
    const char *line = body(p, 3);
    assert_true(strlen(line) < 1200);
    expect_tail(line, "aaa...\" k=v\n");
    free(huge);
}

static void no_pairs_and_levels(void **state)
{
    int writes;
    (void)state;
    log_setup(LOG_WARN, LOG_LOGFMT);
    assert_true(log_enabled(LOG_ERROR));
    assert_true(log_enabled(LOG_WARN));
    assert_false(log_enabled(LOG_INFO));
    assert_string_equal(catch (LOG_INFO, "x", NULL, 0, &writes), "");
    assert_int_equal(writes, 0);
    expect_tail(catch (LOG_ERROR, "x", NULL, 0, &writes), " level=error event=x\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logfmt_line),         cmocka_unit_test(logfmt_escapes),
        cmocka_unit_test(json_line),           cmocka_unit_test(bounded),
        cmocka_unit_test(no_pairs_and_levels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
