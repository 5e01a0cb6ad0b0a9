#include <cmocka.h>

#include <stdarg.h>
#include <stdlib.h>

static jmp_buf out_of_test;

void rv32_fail(const char *file, int line, const char *form, ...)
{
    va_list args;

    printf("    %s:%d: ", file, line);
    va_start(args, form);
    vprintf(form, args);
    va_end(args);
    printf("\n");
    longjmp(out_of_test, 1);
}

static bool passes(const struct CMUnitTest *t, void *state)
{
    if (setjmp(out_of_test) != 0)
        return false;
    if (t->setup != NULL && t->setup(&state) != 0)
        rv32_fail(t->name, 0, "its setup failed");
    t->run(&state);
    if (t->teardown != NULL && t->teardown(&state) != 0)
        rv32_fail(t->name, 0, "its teardown failed");
    return true;
}

int rv32_run_tests(const struct CMUnitTest *tests, size_t count, int (*setup)(void **state),
                   int (*teardown)(void **state))
{
    void *state = NULL;
    int failed = 0;

    if (setup != NULL && setup(&state) != 0)
        return 1;
    for (size_t i = 0; i < count; i++) {
        if (!passes(&tests[i], state)) {
            printf("  failed: %s\n", tests[i].name);
            failed++;
        }
    }
    if (teardown != NULL && teardown(&state) != 0)
        failed++;
    /* The line tests/rv32/run waits for: without it the program did not come to its end. */
    printf("rv32: %zu tests, %d failed\n", count, failed);
    return failed;
}
