/* What the toy prints of a message of the server's queue, in each kind of output. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "show.h"

/* stdout of one call, as text. */
static void printed(enum output output, const struct teddy_message *m, char *out, size_t cap)
{
    struct args args = {.output = output, .id = "toy", .child = "kid"};
    struct show *s = malloc(sizeof *s);
    FILE *file = tmpfile();
    int saved = dup(STDOUT_FILENO);
    size_t len;

    assert_non_null(s);
    assert_non_null(file);
    fflush(stdout);
    assert_int_equal(dup2(fileno(file), STDOUT_FILENO), STDOUT_FILENO);
    show_init(s, &args);
    show_message(s, m);
    fflush(stdout);
    assert_int_equal(dup2(saved, STDOUT_FILENO), STDOUT_FILENO);
    close(saved);
    rewind(file);
    len = fread(out, 1, cap - 1, file);
    out[len] = '\0';
    fclose(file);
    free(s);
}

static struct teddy_message message(const char *text, bool is_data)
{
    return (struct teddy_message){
        .id = "e1.7", .text = text, .text_len = strlen(text), .is_data = is_data, .expires_s = 99};
}

static void people_read_a_line(void **state)
{
    struct teddy_message text = message("Good\x1b[31m night \xc3\xa9", false);
    struct teddy_message data = message("{\"volume\":3}", true);
    char got[256];

    (void)state;
    printed(OUTPUT_PEOPLE, &text, got, sizeof got);
    assert_string_equal(got,
                        "message: Good [31m night \xc3\xa9\n"); /* and no terminal is steered */
    printed(OUTPUT_QUIET, &text, got, sizeof got);
    assert_string_equal(got, "message: Good [31m night \xc3\xa9\n");
    printed(OUTPUT_PEOPLE, &data, got, sizeof got);
    assert_string_equal(got, "data: {\"volume\":3}\n");
}

static void programs_read_json(void **state)
{
    struct teddy_message text = message("Say \"hi\"\n", false);
    struct teddy_message data = message("{\"volume\":3}", true);
    char got[256];

    (void)state;
    printed(OUTPUT_JSON, &text, got, sizeof got);
    assert_string_equal(got, "{\"event\":\"message\",\"id\":\"e1.7\",\"data\":false,\"expires\":99,"
                             "\"text\":\"Say \\\"hi\\\"\\u000a\"}\n");
    printed(OUTPUT_JSON, &data, got, sizeof got);
    assert_string_equal(got, "{\"event\":\"message\",\"id\":\"e1.7\",\"data\":true,\"expires\":99,"
                             "\"text\":\"{\\\"volume\\\":3}\"}\n");
}

/* Longer than a piece, of characters that must not be split. */
static void a_long_message_is_whole(void **state)
{
    char text[2402], got[4096];
    struct teddy_message m;

    (void)state;
    for (size_t i = 0; i + 3 < sizeof text; i += 3)
        memcpy(text + i, "\xe2\x82\xac", 3);
    text[2400] = '\0';
    m = message(text, false);
    printed(OUTPUT_JSON, &m, got, sizeof got);
    assert_non_null(strstr(got, text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(people_read_a_line),
        cmocka_unit_test(programs_read_json),
        cmocka_unit_test(a_long_message_is_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
