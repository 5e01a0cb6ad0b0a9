/* What a program is told waits in bounds: those of what it has not read, however long it lags. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "process/exec_child.h"

#define LINE 1000

static struct loop *loop;
static size_t came, enough;

static void on_line(struct exec_child *child, struct span line)
{
    (void)child;
    assert_int_equal(line.len, LINE);
    if (++came == enough)
        loop_stop(loop);
}

static void on_gone(struct exec_child *child)
{
    (void)child;
    fail_msg("it is gone");
}

static const struct exec_handler HANDLER = {on_line, on_gone};

static unsigned write_lines(struct exec_child *c, unsigned count)
{
    char line[LINE];
    unsigned written = 0;
    memset(line, 'x', sizeof line);
    while (written < count && exec_child_write(c, (struct span){line, sizeof line}))
        written++;
    return written;
}

static void until(size_t lines)
{
    enough = lines;
    if (came < enough)
        loop_run(loop);
}

static void one_that_always_lags(void **state)
{
    struct exec_child c;
    char err[128];
    int patience_ms = 0; /* it cannot end: nobody hears what it still says */
    (void)state;
    assert_int_equal(loop_new(&loop, 0), TEDDY_OK);
    assert_int_equal(exec_child_init(&c, "/bin/cat", &HANDLER, err, sizeof err), TEDDY_OK);
    exec_child_start(&c, loop);
    unsigned first = write_lines(&c, 900);
    assert_int_equal(first, 900);
    until(500);
    assert_true(c.waiting.len > c.written); /* some of it waits still */
    assert_int_equal(write_lines(&c, 300), 300);
    assert_true(write_lines(&c, 2000) < 2000); /* and there is a bound */
    size_t all = came;
    until(1200);
    assert_true(all < came);
    exec_child_stop(&c, &patience_ms);
    exec_child_fini(&c);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_that_always_lags)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
