#include "net/slab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MANY = 1000 };

static void blocks_are_zeroed_and_apart(void **state)
{
    static char *blocks[SLAB_MAX + 8];
    (void)state;
    for (int round = 0; round < 2; round++) { /* the second time from what was given back */
        for (size_t size = 0; size < SLAB_MAX + 8; size++) {
            blocks[size] = slab_new(size);
            assert_non_null(blocks[size]);
            assert_int_equal((uintptr_t)blocks[size] % sizeof(void *), 0);
            for (size_t i = 0; i < size; i++)
                assert_int_equal(blocks[size][i], 0);
            memset(blocks[size], (int)(size % 255 + 1), size);
        }
        for (size_t size = 0; size < SLAB_MAX + 8; size++) {
            for (size_t i = 0; i < size; i++)
                assert_int_equal((uint8_t)blocks[size][i], size % 255 + 1);
            slab_free(blocks[size], size);
        }
    }
    slab_free(NULL, 8);
    slab_free(NULL, SLAB_MAX + 1);
}

#if !defined(__SANITIZE_ADDRESS__)
static int by_address(const void *a, const void *b)
{
    uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;
    return (x > y) - (x < y);
}

/* Nothing stands between two of one size, and what is given back is given out again. */
static void blocks_cost_their_size(void **state)
{
    static uintptr_t first[MANY], again[MANY];
    size_t close = 0;
    (void)state;
    for (int i = 0; i < MANY; i++)
        first[i] = (uintptr_t)slab_new(136);
    for (int i = 0; i < MANY; i++)
        slab_free((void *)first[i], 136);
    for (int i = 0; i < MANY; i++)
        again[i] = (uintptr_t)slab_new(130);
    qsort(first, MANY, sizeof first[0], by_address);
    qsort(again, MANY, sizeof again[0], by_address);
    assert_memory_equal(first, again, sizeof first);
    for (int i = 1; i < MANY; i++)
        close += first[i] - first[i - 1] == 136;
    assert_true(close > MANY * 9 / 10);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_zeroed_and_apart),
#if !defined(__SANITIZE_ADDRESS__)
        cmocka_unit_test(blocks_cost_their_size),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
