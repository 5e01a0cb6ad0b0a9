#include "tools/cmdline.h"

#include <fcntl.h>
#include <getopt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct values {
    const char *word;
    uint32_t number, ms;
    bool flag;
};

static char said[1024]; /* on stdout and stderr, of the last parse */

static void capture(int *saved, int *file)
{
    char name[] = "/tmp/cmdline-test-XXXXXX";

    *file = mkstemp(name);
    assert_true(*file >= 0 && unlink(name) == 0);
    for (int fd = 1; fd <= 2; fd++) {
        saved[fd] = dup(fd);
        assert_true(saved[fd] >= 0 && dup2(*file, fd) == fd);
    }
}

static void release(const int *saved, int file)
{
    fflush(stdout);
    fflush(stderr);
    for (int fd = 1; fd <= 2; fd++) {
        assert_true(dup2(saved[fd], fd) == fd);
        close(saved[fd]);
    }
    ssize_t n = pread(file, said, sizeof said - 1, 0);
    said[n > 0 ? n : 0] = '\0';
    close(file);
}

/* The exit status it ends with, or -1 and *v is filled in. */
static int parse(struct values *v, int *rest, int argc, char **argv)
{
    const struct cmdline_row rows[] = {
        {"word", "W", "a word", CMDLINE_TEXT, &v->word, 0, 0},
        {"number", "N", "a number", CMDLINE_NUMBER, &v->number, 2, 9},
        {"seconds", "S", "a time", CMDLINE_SECONDS, &v->ms, 100, 5000},
        {"flag", "", "a flag", CMDLINE_FLAG, &v->flag, 0, 0},
    };
    const struct cmdline line = {"it", "7.1", "intro\n", "outro\n", 12, rows, 4, NULL, NULL};
    int saved[3], file, status = -1;

    *v = (struct values){0};
    optind = 0; /* getopt begins anew */
    capture(saved, &file);
    bool done = cmdline_parse(&line, argc, argv, rest, &status);
    release(saved, file);
    return done ? -1 : status;
}

#define PARSE(v, rest, ...)                                                                        \
    parse(v, rest, (int)(sizeof((char *[]){"it", __VA_ARGS__}) / sizeof(char *)),                  \
          (char *[]){"it", __VA_ARGS__, NULL})

static void values_arrive(void **state)
{
    struct values v;
    int rest;

    (void)state;
    assert_int_equal(
        PARSE(&v, &rest, "--word=x", "one", "--number", "9", "--flag", "--seconds", "0.5"), -1);
    assert_string_equal(v.word, "x");
    assert_int_equal(v.number, 9);
    assert_int_equal(v.ms, 500);
    assert_true(v.flag);
    assert_int_equal(rest, 7); /* the operand, moved behind the options */
    assert_string_equal(said, "");
}

static void bounds_hold(void **state)
{
    char *bad[][2] = {{"--number", "1"},  {"--number", "10"},   {"--number", "2x"},
                      {"--number", ""},   {"--number", "-3"},   {"--seconds", "0.09"},
                      {"--seconds", "6"}, {"--seconds", "nan"}, {"--seconds", "1s"},
                      {"--seconds", ""}};
    struct values v;
    int rest;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char line[96];
        assert_int_equal(PARSE(&v, &rest, bad[i][0], bad[i][1]), EXIT_USAGE);
        snprintf(line, sizeof line, "it: not a number within its bounds: %s; see it --help\n",
                 bad[i][0]);
        assert_string_equal(said, line);
    }
}

static void wrong_usage(void **state)
{
    struct values v;
    int rest;

    (void)state;
    assert_int_equal(PARSE(&v, &rest, "--none"), EXIT_USAGE);
    assert_non_null(strstr(said, "it: wrong usage; see it --help\n"));
    assert_int_equal(PARSE(&v, &rest, "--word"), EXIT_USAGE);
}

static void help_and_version(void **state)
{
    struct values v;
    int rest;

    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(PARSE(&v, &rest, i == 0 ? "-h" : "--help"), EXIT_DONE);
        assert_string_equal(said, "intro\n"
                                  "  --word W     a word\n"
                                  "  --number N   a number\n"
                                  "  --seconds S  a time\n"
                                  "  --flag       a flag\n"
                                  "outro\n");
    }
    assert_int_equal(PARSE(&v, &rest, "--version"), EXIT_DONE);
    assert_string_equal(said, "it 7.1\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_arrive),
        cmocka_unit_test(bounds_hold),
        cmocka_unit_test(wrong_usage),
        cmocka_unit_test(help_and_version),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
