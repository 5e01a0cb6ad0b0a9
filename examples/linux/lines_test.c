/* Lines as they come: in pieces, too long, not UTF-8, without an end. */
#include "lines.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    struct lines lines;
    int in; /* the writing end */
};

static void open_fixture(struct fixture *f)
{
    int fds[2];

    assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
    lines_init(&f->lines, fds[0]);
    f->in = fds[1];
}

static void close_fixture(struct fixture *f)
{
    close(f->lines.fd);
    if (f->in >= 0)
        close(f->in);
}

static void feed(struct fixture *f, const char *text, size_t len)
{
    assert_int_equal(write(f->in, text, len), len);
    lines_fill(&f->lines);
}

static void end(struct fixture *f)
{
    close(f->in);
    f->in = -1;
    lines_fill(&f->lines);
}

static void assert_next(struct fixture *f, enum lines_next what, const char *expected)
{
    const char *text = NULL;
    size_t len = 0;

    assert_int_equal(lines_next(&f->lines, &text, &len), what);
    if (what != LINES_LINE)
        return;
    assert_int_equal(len, strlen(expected));
    assert_memory_equal(text, expected, len);
    lines_drop(&f->lines);
}

static void lines_come_in_pieces(void **state)
{
    struct fixture f;

    (void)state;
    open_fixture(&f);
    assert_next(&f, LINES_NONE, NULL);
    lines_fill(&f.lines); /* nothing there: no end */
    assert_false(f.lines.ended);
    feed(&f, "hel", 3);
    assert_next(&f, LINES_NONE, NULL);
    feed(&f, "lo\r\n\n\r\nwor", 10);
    assert_next(&f, LINES_LINE, "hello");
    assert_next(&f, LINES_NONE, NULL);
    feed(&f, "ld", 2);
    end(&f);
    assert_next(&f, LINES_LINE, "world");
    assert_next(&f, LINES_END, NULL);
    assert_next(&f, LINES_END, NULL);
    close_fixture(&f);
}

static void a_line_stays_until_it_is_dropped(void **state)
{
    struct fixture f;
    const char *text;
    size_t len;

    (void)state;
    open_fixture(&f);
    feed(&f, "one\ntwo\n", 8);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(lines_next(&f.lines, &text, &len), LINES_LINE);
        assert_memory_equal(text, "one", 3);
    }
    lines_drop(&f.lines);
    assert_next(&f, LINES_LINE, "two");
    close_fixture(&f);
}

/* A line of `len` letters, then "next". */
static void long_line(size_t len, bool ends, enum lines_next verdict)
{
    struct fixture f;
    char *line = malloc(len + 1), piece[1000];
    const char *text;
    size_t text_len;
    unsigned verdicts = 0;

    open_fixture(&f);
    memset(line, 'x', len);
    line[len] = '\n';
    for (size_t at = 0; at < len + ends;) {
        size_t n = len + ends - at < sizeof piece ? len + ends - at : sizeof piece;
        enum lines_next got;
        feed(&f, line + at, n);
        at += n;
        while (f.lines.len == sizeof f.lines.buf || at == len + ends) {
            got = lines_next(&f.lines, &text, &text_len);
            if (got == LINES_NONE || got == LINES_END)
                break;
            assert_int_equal(got, verdict);
            verdicts++;
            if (got == LINES_LINE)
                lines_drop(&f.lines);
            lines_fill(&f.lines);
        }
    }
    if (ends) {
        feed(&f, "next\n", 5);
        lines_fill(&f.lines);
        assert_int_equal(verdicts, 1);
        assert_next(&f, LINES_LINE, "next");
    }
    end(&f);
    while (!f.lines.ended) { /* what the pipe still holds */
        assert_next(&f, LINES_NONE, NULL);
        lines_fill(&f.lines);
    }
    assert_next(&f, LINES_END, NULL);
    free(line);
    close_fixture(&f);
}

static void lines_are_bounded(void **state)
{
    (void)state;
    long_line(LIMIT_UTTERANCE - 1, true, LINES_LINE);
    long_line(LIMIT_UTTERANCE, true, LINES_LINE);
    long_line(LIMIT_UTTERANCE + 1, true, LINES_TOO_LONG);
    long_line(LIMIT_UTTERANCE + 2, true, LINES_TOO_LONG);
    long_line(50000, true, LINES_TOO_LONG);
    long_line(50000, false, LINES_TOO_LONG);
}

static void lines_are_utf8(void **state)
{
    struct fixture f;

    (void)state;
    open_fixture(&f);
    feed(&f, "\xff\xfe\ngr\xc3\xbc\xc3\x9f\n\xc3\n", 12);
    assert_next(&f, LINES_NOT_UTF8, NULL);
    assert_next(&f, LINES_LINE, "gr\xc3\xbc\xc3\x9f");
    assert_next(&f, LINES_NOT_UTF8, NULL);
    feed(&f, "a\0b\nend\n", 8);
    assert_next(&f, LINES_NOT_UTF8, NULL);
    assert_next(&f, LINES_LINE, "end");
    assert_next(&f, LINES_NONE, NULL);
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_come_in_pieces),
        cmocka_unit_test(a_line_stays_until_it_is_dropped),
        cmocka_unit_test(lines_are_bounded),
        cmocka_unit_test(lines_are_utf8),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
