/* As much of cmocka's interface as the tests of proto/ and sdk/core/ use, for a chip without an
 * operating system: a failed assertion is printed and ends its test by longjmp, and the program's
 * status tells whether there was one. Thin on purpose: what cmocka does beyond that (mocks, leaks,
 * signals), the same tests get on the build machine. */
#ifndef RV32_CMOCKA_H
#define RV32_CMOCKA_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct CMUnitTest {
    const char *name;
    void (*run)(void **state);
    int (*setup)(void **state);
    int (*teardown)(void **state);
};

#define cmocka_unit_test(f)                                                                        \
    {                                                                                              \
#f, f, NULL, NULL                                                                          \
    }
#define cmocka_unit_test_setup(f, setup)                                                           \
    {                                                                                              \
#f, f, setup, NULL                                                                         \
    }
#define cmocka_unit_test_teardown(f, teardown)                                                     \
    {                                                                                              \
#f, f, NULL, teardown                                                                      \
    }
#define cmocka_unit_test_setup_teardown(f, setup, td)                                              \
    {                                                                                              \
#f, f, setup, td                                                                           \
    }

/* Runs each test; returns how many failed. */
int rv32_run_tests(const struct CMUnitTest *tests, size_t count, int (*setup)(void **state),
                   int (*teardown)(void **state));
#define cmocka_run_group_tests(tests, setup, teardown)                                             \
    rv32_run_tests(tests, sizeof(tests) / sizeof *(tests), setup, teardown)

/* Prints where, and leaves the test. */
_Noreturn __attribute__((format(printf, 3, 4))) void rv32_fail(const char *file, int line,
                                                               const char *form, ...);

static inline void rv32_int(uintmax_t a, uintmax_t b, bool equal, const char *file, int line)
{
    if ((a == b) != equal)
        rv32_fail(file, line, "%#llx %s %#llx", (unsigned long long)a,
                  equal ? "!=" : "==", (unsigned long long)b);
}

static inline void rv32_range(uintmax_t v, uintmax_t low, uintmax_t high, const char *file,
                              int line)
{
    if (v < low || v > high)
        rv32_fail(file, line, "%llu is not within %llu..%llu", (unsigned long long)v,
                  (unsigned long long)low, (unsigned long long)high);
}

static inline void rv32_text(const char *a, const char *b, bool equal, const char *file, int line)
{
    if ((strcmp(a, b) == 0) != equal)
        rv32_fail(file, line, "\"%s\" %s \"%s\"", a, equal ? "!=" : "==", b);
}

static inline void rv32_memory(const void *a, const void *b, size_t len, bool equal,
                               const char *file, int line)
{
    if ((memcmp(a, b, len) == 0) != equal)
        rv32_fail(file, line, "%zu bytes %s", len, equal ? "differ" : "are the same");
}

#define rv32_that(c, text)                                                                         \
    do {                                                                                           \
        if (!(c))                                                                                  \
            rv32_fail(__FILE__, __LINE__, "%s", text);                                             \
    } while (0)

#define assert_true(c)         rv32_that(c, #c)
#define assert_false(c)        rv32_that(!(c), "not " #c)
#define assert_null(p)         rv32_that((p) == NULL, #p " is not NULL")
#define assert_non_null(p)     rv32_that((p) != NULL, #p " is NULL")
#define assert_ptr_equal(a, b) rv32_that((const void *)(a) == (const void *)(b), #a " != " #b)
#define assert_int_equal(a, b) rv32_int((uintmax_t)(a), (uintmax_t)(b), true, __FILE__, __LINE__)
#define assert_int_not_equal(a, b)                                                                 \
    rv32_int((uintmax_t)(a), (uintmax_t)(b), false, __FILE__, __LINE__)
#define assert_string_equal(a, b)        rv32_text(a, b, true, __FILE__, __LINE__)
#define assert_string_not_equal(a, b)    rv32_text(a, b, false, __FILE__, __LINE__)
#define assert_memory_equal(a, b, n)     rv32_memory(a, b, n, true, __FILE__, __LINE__)
#define assert_memory_not_equal(a, b, n) rv32_memory(a, b, n, false, __FILE__, __LINE__)
#define assert_in_range(v, low, high)                                                              \
    rv32_range((uintmax_t)(v), (uintmax_t)(low), (uintmax_t)(high), __FILE__, __LINE__)
#define fail()        rv32_fail(__FILE__, __LINE__, "failed")
#define fail_msg(...) rv32_fail(__FILE__, __LINE__, __VA_ARGS__)

#endif
