#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
/* after those */
#include <cmocka.h>

#include "process/script_rules.h"

static void refused(const char *text, const char *where, const char *what)
{
    struct rules *r;
    char err[512] = "";
    assert_int_equal(rules_parse("f", span_of(text), &r, err, sizeof err), TEDDY_EINVAL);
    assert_null(r);
    if (strncmp(err, where, strlen(where)) != 0 || !strstr(err, what))
        fail_msg("got '%s', wanted '%s … %s'", err, where, what);
}

static struct rules *parsed(const char *text)
{
    struct rules *r;
    char err[512] = "";
    if (rules_parse("f", span_of(text), &r, err, sizeof err) != TEDDY_OK)
        fail_msg("%s", err);
    return r;
}

#define D "default\nsay d\n"

static void errors_name_file_and_line(void **state)
{
    (void)state;
    refused("", "f:0:", "no `default`");
    refused("rule a\nhear x\nsay y\n", "f:3:", "no `default`");
    refused(D "\nbanana x\n", "f:4:", "'banana'");
    refused("hear x\n", "f:1:", "outside of a rule");
    refused("\n# c\nsay x\n", "f:3:", "outside of a rule");
    refused("rule\n", "f:1:", "needs a name");
    refused("rule a\nsay x\n" D, "f:3:", "hears nothing");
    refused("rule a\nhear x\nrule b\n", "f:3:", "says nothing");
    refused("rule a\nhear x\n", "f:2:", "says nothing");
    refused("default\n", "f:1:", "says nothing");
    refused(D D, "f:3:", "second `default`");
    refused("default x\n", "f:1:", "nothing may follow");
    refused("default\nhear x\n", "f:2:", "no `hear` here");
    refused("rule a\nhear\n", "f:2:", "needs a pattern");
    refused("rule a\nhear ice-cream\n", "f:2:", "not one word");
    refused("rule a\nhear a||b\n", "f:2:", "not one word");
    refused("rule a\nhear **\n", "f:2:", "not one word");
    refused("rule a\nhear x\nsay\n", "f:3:", "nothing to say");
    refused("rule a\nhear x\nsay y\nhear z\n", "f:4:", "before");
    refused("rule a\nhear x\nthen y\n", "f:3:", "goes on");
    refused("rule a\nhear x\npause 5\n", "f:3:", "between");
    refused("rule a\nhear x\nsay y\npause soon\n", "f:4:", "0 to 60000");
    refused("rule a\nhear x\nsay y\npause 60001\n", "f:4:", "0 to 60000");
    refused("rule a\nhear x\nsay y\npause 1\npause 1\n", "f:5:", "second");
    refused("rule a\nhear x\nsay y\npause 1\nsay z\n", "f:5:", "not before");
    refused("rule a\nhear x\nsay y\npause 1\n" D, "f:5:", "no `then`");
    refused("rule a\nhear x\nsay {1}\n", "f:3:", "has only 0");
    refused("rule a\nhear *\nsay {1}\n", "f:3:", "write +");
    refused("rule a\nhear +\nhear x\nsay {1}\n", "f:4:", "has only 0");
    refused("rule a\nhear +\nkeep n 2\n", "f:3:", "has only 1");
    refused("rule a\nhear +\nkeep n 5\n", "f:3:", "number");
    refused("rule a\nhear +\nkeep N 1\n", "f:3:", "no name");
    refused("default\nsay {1}\n", "f:2:", "default");
    refused("default\nsay {\n", "f:2:", "doubled");
    refused("default\nsay }\n", "f:2:", "doubled");
    refused("default\nsay {}\n", "f:2:", "doubled");
    refused("default\nsay {a b}\n", "f:2:", "doubled");
    refused("default\nsay x\nsay {who}\n", "f:3:", "unknown who");
    refused("unknown n\n", "f:1:", "needs 1 to");
    refused("unknown n x\nunknown n y\n", "f:2:", "second");
    refused("default\nsay a\x01z\n", "f:2:", "control");
    refused("default\nsay \xC3\n", "f:2:", "UTF-8");
    refused("rule a\nhear * * * * *\n", "f:2:", "more than 4");
}

/* Appends at p, which has room; returns the new end. */
__attribute__((format(printf, 2, 3))) static char *put(char *p, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(p, 128, format, args);
    va_end(args);
    assert_in_range(n, 1, 127);
    return p + n;
}

static void everything_is_bounded(void **state)
{
    (void)state;
    size_t cap = 400000;
    char *text = malloc(cap), where[32];
    memset(text, 'x', cap);
    memcpy(text, "default\nsay ", 12);
    text[12 + RULES_LINE_MAX] = '\0';
    refused(text, "f:2:", "more than 1024 bytes");
    text[12 + RULES_LINE_MAX] = 'x';
    text[cap - 1] = '\0';
    refused(text, "f:0:", "262144");

    char *p = put(text, D "rule a\nhear x\n");
    for (int i = 0; i <= RULES_SAYS_MAX; i++)
        p = put(p, "say y\n");
    snprintf(where, sizeof where, "f:%d:", 4 + RULES_SAYS_MAX + 1);
    refused(text, where, "replies");
    p = put(text, D "rule a\nhear x\nsay y\n");
    for (int i = 0; i < RULES_PARTS_MAX; i++)
        p = put(p, "then y\n");
    refused(text, "f:21:", "parts");
    p = put(text, D "rule a\n");
    for (int i = 0; i <= RULES_HEARS_MAX; i++)
        p = put(p, "hear y\n");
    refused(text, "f:68:", "patterns");
    p = put(text, D "rule a\nhear");
    for (int i = 0; i <= RULES_TOKENS_MAX; i++)
        p = put(p, " y");
    refused(text, "f:4:", "more than 24 words");
    p = put(text, D "rule a\nhear y");
    for (int i = 0; i < RULES_ALTS_MAX; i++)
        p = put(p, "|y");
    refused(text, "f:4:", "joined");
    p = text;
    for (int i = 0; i <= RULES_MAX; i++)
        p = put(p, "rule a\nhear x\nsay y\n");
    refused(text, "f:1537:", "rules");
    p = text;
    for (int i = 0; i <= RULES_NAMES_MAX; i++)
        p = put(p, "unknown n%.*s x\n", i, "aaaaaaaaaaaaaaaaaaaa");
    refused(text, "f:17:", "names");
    p = put(text, "unknown n x\ndefault\nsay ");
    for (int i = 0; i < 22; i++)
        p = put(p, "{n}");
    refused(text, "f:3:", "1023");
    free(text);
}

static const char *heard(const struct rules *r, const char *text, char quote[RULES_QUOTE_MAX + 1])
{
    static struct words w;
    static char name[64];
    struct capture c[RULES_CAPTURES] = {{0, 0}};
    words_split(&w, span_of(text));
    const struct rule *rule = rules_match(r, &w, c);
    if (quote)
        words_quote(&w, c[0].first, c[0].count, quote, RULES_QUOTE_MAX + 1);
    snprintf(name, sizeof name, "%.*s", (int)rule->name.len, rule->name.p);
    return name;
}

static void patterns_fit_words(void **state)
{
    (void)state;
    char q[RULES_QUOTE_MAX + 1];
    struct rules *r = parsed("rule one\nhear hello|hi teddy\nsay x\n"
                             "rule two\nhear my name is + and *\nhear my name is +\nsay {1}\n"
                             "rule three\nhear * don't|ÄRGER *\nsay x\n"
                             "rule five\nhear say + to the + now\nsay {1} {2}\n"
                             "rule four\nhear * a * b c\nsay x\n" D);
    assert_string_equal(heard(r, "Hello, TEDDY!!", NULL), "one");
    assert_string_equal(heard(r, "  hi...teddy ", NULL), "one");
    assert_string_equal(heard(r, "hello", NULL), "default");
    assert_string_equal(heard(r, "hello teddy bear", NULL), "default");
    assert_string_equal(heard(r, "My name is Zoë-Lou!", q), "two");
    assert_string_equal(q, "Zoë-Lou");
    assert_string_equal(heard(r, "my name is Leo and I am four", q), "two");
    assert_string_equal(q, "Leo");
    assert_string_equal(heard(r, "my name is", NULL), "default");
    assert_string_equal(heard(r, "I DON\xE2\x80\x99T want", NULL), "three");
    assert_string_equal(heard(r, "dont", NULL), "three");
    assert_string_equal(heard(r, "so ein ärger, du", NULL), "three");
    assert_string_equal(heard(r, "a b b c x b c", NULL), "four");
    assert_string_equal(heard(r, "a b c d", NULL), "default");
    assert_string_equal(heard(r, "say hi to you to the moon now", q), "five");
    assert_string_equal(q, "hi to you");
    assert_string_equal(heard(r, "", NULL), "default");
    assert_string_equal(heard(r, "?! …", NULL), "default");
    rules_free(r);
}

static void captures_are_cut_and_cleaned(void **state)
{
    (void)state;
    char q[RULES_QUOTE_MAX + 1], text[400] = "say ";
    struct rules *r = parsed("rule a\nhear say +\nsay {1}\n" D);
    heard(r, "say Leo\x1b[31m\n\tthe\xE2\x80\xAE\xC2\x85 big", q);
    assert_string_equal(q, "Leo [31m the big");
    for (int i = 0; i < 60; i++)
        strncat(text, "ö", sizeof text - strlen(text) - 1);
    heard(r, text, q);
    assert_int_equal(strlen(q), RULES_QUOTE_MAX); /* 24 whole characters of two bytes */
    snprintf(text, sizeof text, "say xö");
    for (int i = 0; i < 60; i++)
        strncat(text, "ö", sizeof text - strlen(text) - 1);
    heard(r, text, q);
    assert_int_equal(strlen(q), RULES_QUOTE_MAX - 1); /* no half character */
    rules_free(r);
}

static void many_captures_stay_quick(void **state)
{
    (void)state;
    struct rules *r = parsed("rule a\nhear * a * a * a * b\nsay x\n" D);
    static char text[4096];
    for (size_t i = 0; i + 1 < sizeof text; i += 2)
        memcpy(text + i, "a ", 2);
    text[sizeof text - 1] = '\0';
    struct timespec from, till;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
    for (int i = 0; i < 100; i++)
        assert_string_equal(heard(r, text, NULL), "default");
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &till);
    /* Cubic matching of 512 words would take minutes. */
    assert_true(till.tv_sec - from.tv_sec < 5);
    rules_free(r);
}

static void long_utterances_are_looked_at_in_part(void **state)
{
    (void)state;
    struct rules *r = parsed("rule a\nhear * end *\nsay x\n" D);
    size_t len = 70000;
    char *text = malloc(len + 1);
    memset(text, ' ', len);
    memcpy(text + 4000, "end", 3);
    text[len] = '\0';
    assert_string_equal(heard(r, text, NULL), "a");
    memset(text, ' ', len);
    memcpy(text + 4095, "end", 3);
    assert_string_equal(heard(r, text, NULL), "default");
    for (size_t i = 0; i < len; i++)
        text[i] = "\xC3\xB6"[i & 1];
    assert_string_equal(heard(r, text, NULL), "default");
    free(text);
    rules_free(r);
}

static void files_are_read(void **state)
{
    (void)state;
    struct rules *r;
    char err[256], path[] = "/tmp/rules-XXXXXX";
    assert_int_equal(rules_load("/nonexistent/rules", &r, err, sizeof err), TEDDY_EIO);
    assert_non_null(strstr(err, "/nonexistent/rules"));
    assert_int_equal(rules_load("/tmp", &r, err, sizeof err), TEDDY_EIO);
    int fd = mkstemp(path);
    static const char text[] = "default\r\nsay hello\r\nbad\r\n";
    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    close(fd);
    assert_int_equal(rules_load(path, &r, err, sizeof err), TEDDY_EINVAL);
    assert_non_null(strstr(err, ":3: 'bad'"));
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_name_file_and_line),
        cmocka_unit_test(everything_is_bounded),
        cmocka_unit_test(patterns_fit_words),
        cmocka_unit_test(captures_are_cut_and_cleaned),
        cmocka_unit_test(many_captures_stay_quick),
        cmocka_unit_test(long_utterances_are_looked_at_in_part),
        cmocka_unit_test(files_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
