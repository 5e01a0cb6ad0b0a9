/* Tables on a terminal: columns as wide as what they hold is displayed. */
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#undef fail /* ours is another */
#include "cli/ctl.h"

static const struct print_column columns[] = {{"NAME", "name"}, {"AGE", "age"}};

/* What a terminal gets of the rows. */
static void show(const json_t *rows, char *out, size_t cap)
{
    int master, slave, before = dup(STDOUT_FILENO);
    ssize_t n;

    assert_true(before >= 0 && openpty(&master, &slave, NULL, NULL, NULL) == 0);
    assert_true(setenv("NO_COLOR", "1", 1) == 0 && dup2(slave, STDOUT_FILENO) >= 0);
    int rc = print_rows(rows, columns, 2);
    assert_true(dup2(before, STDOUT_FILENO) >= 0);
    n = read(master, out, cap - 1);
    out[n > 0 ? n : 0] = '\0';
    (void)close(before);
    (void)close(slave);
    (void)close(master);
    assert_int_equal(rc, CTL_DONE);
}

static void columns_align_by_display_width(void **state)
{
    json_t *rows = json_pack("[{s:s, s:i}, {s:s, s:i}, {s:s, s:i}, {s:s, s:i}]", "name", "Zo\u00eb",
                             "age", 5, "name", "\u718a\u732b", "age", 6, "name", "Zoe\u0308", "age",
                             7, "name", "a\u202e\033b", "age", 8);
    char shown[512];

    (void)state;
    show(rows, shown, sizeof shown);
    assert_string_equal(shown, "NAME  AGE\r\n"
                               "Zo\u00eb   5\r\n"
                               "\u718a\u732b  6\r\n"
                               "Zoe\u0308   7\r\n"
                               "a??b  8\r\n");
    json_decref(rows);
}

static void nothing_is_cut(void **state)
{
    char name[401], shown[1024];

    (void)state;
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    json_t *rows = json_pack("[{s:s, s:i}]", "name", name, "age", 5);
    show(rows, shown, sizeof shown);
    char *at = strstr(shown, name);
    assert_non_null(at);
    assert_string_equal(at + strlen(name), "  5\r\n");
    json_decref(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_align_by_display_width),
        cmocka_unit_test(nothing_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
