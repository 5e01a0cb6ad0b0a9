#include "proto/ids.h"

#include "proto/proto_test.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";

static void ids_are_of_their_alphabet(void **state)
{
    (void)state;
    assert_true(id_ok(LIT("Teddy-ESP32-0001")));
    assert_true(id_ok(LIT("child123")));
    for (int c = 0; c < 256; c++) {
        char one = (char)c;

        assert_int_equal(id_ok((struct span){&one, 1}), c != 0 && strchr(alphabet, c) != NULL);
    }
}

static void ids_have_1_to_64_characters(void **state)
{
    char text[66];

    (void)state;
    memset(text, 'a', sizeof text);
    assert_false(id_ok((struct span){text, 0}));
    assert_true(id_ok((struct span){text, 64}));
    assert_false(id_ok((struct span){text, 65}));
    text[63] = '.';
    assert_false(id_ok((struct span){text, 64}));
    assert_false(id_ok(LIT("a\0b")));
    assert_false(id_ok(LIT("../etc/passwd")));
}

static void nonces_are_printable(void **state)
{
    char text[130];

    (void)state;
    memset(text, 'n', sizeof text);
    assert_false(nonce_ok((struct span){text, 7}));
    assert_true(nonce_ok((struct span){text, 8}));
    assert_true(nonce_ok((struct span){text, 128}));
    assert_false(nonce_ok((struct span){text, 129}));
    for (int c = 0; c < 256; c++) {
        text[7] = (char)c;
        assert_int_equal(nonce_ok((struct span){text, 8}),
                         c >= 0x20 && c < 0x7F && c != '"' && c != '\\');
    }
}

static void nonces_of_32_digits_decode(void **state)
{
    uint8_t out[16];

    (void)state;
    assert_true(nonce_decode16(LIT("000102030405060708090a0b0c0d0e0F"), out));
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(out[i], i);
    assert_false(nonce_decode16(LIT("000102030405060708090a0b0c0d0e0"), out));
    assert_false(nonce_decode16(LIT("000102030405060708090a0b0c0d0e0g"), out));
    assert_false(nonce_decode16(LIT("000102030405060708090a0b0c0d0e0f00"), out));
    assert_false(nonce_decode16(LIT("random_nonce"), out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_of_their_alphabet),
        cmocka_unit_test(ids_have_1_to_64_characters),
        cmocka_unit_test(nonces_are_printable),
        cmocka_unit_test(nonces_of_32_digits_decode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
