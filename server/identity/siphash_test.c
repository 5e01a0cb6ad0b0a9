#include "identity/siphash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Of the reference: the key 00 01 … 0f, a message of so many bytes 00 01 …. */
static void test_vectors(void **state)
{
    (void)state;
    const uint64_t key[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
    uint8_t message[16];
    for (size_t i = 0; i < sizeof message; i++)
        message[i] = (uint8_t)i;
    assert_true(siphash(key, message, 0) == 0x726fdb47dd0e0e31);
    assert_true(siphash(key, message, 1) == 0x74f839c593dc67fd);
    assert_true(siphash(key, message, 8) == 0x93f5f5799a932462);
    assert_true(siphash(key, message, 15) == 0xa129ca6149be45e5);
}

/* Each byte, the length and both halves of the key count. */
static void test_all_of_it_counts(void **state)
{
    (void)state;
    uint64_t key[2] = {1, 2};
    uint8_t message[21] = {0};
    uint64_t plain = siphash(key, message, sizeof message);
    for (size_t i = 0; i < sizeof message; i++) {
        message[i] = 1;
        assert_false(siphash(key, message, sizeof message) == plain);
        message[i] = 0;
        assert_false(siphash(key, message, i) == plain);
    }
    key[0] = 3;
    assert_false(siphash(key, message, sizeof message) == plain);
    key[0] = 1;
    key[1] = 3;
    assert_false(siphash(key, message, sizeof message) == plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_all_of_it_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
