/* The digests that the other tests here lean on, by the vectors of FIPS 180-4, RFC 3174, RFC 4231
 * and RFC 2104. */
#include <cmocka.h>

#include <openssl/hmac.h>

#include "proto/text.h"

static void expect(const void *got, unsigned len, const char *hex)
{
    uint8_t want[32];

    assert_int_equal(hex_decode(span_of(hex), want, len), TEDDY_OK);
    assert_memory_equal(got, want, len);
}

static void sha(const EVP_MD *md, const char *text, const char *hex)
{
    uint8_t out[32];
    unsigned len;

    assert_int_equal(EVP_Digest(text, strlen(text), out, &len, md, NULL), 1);
    assert_int_equal(len, strlen(hex) / 2);
    expect(out, len, hex);
}

#define TWO_BLOCKS "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"

static void sha1_vectors(void **state)
{
    (void)state;
    sha(EVP_sha1(), "", "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    sha(EVP_sha1(), "abc", "a9993e364706816aba3e25717850c26c9cd0d89d");
    sha(EVP_sha1(), TWO_BLOCKS, "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
}

static void sha256_vectors(void **state)
{
    (void)state;
    sha(EVP_sha256(), "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    sha(EVP_sha256(), "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sha(EVP_sha256(), TWO_BLOCKS,
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

static void hmac(const void *key, int key_len, const char *text, const char *hex)
{
    uint8_t out[32];
    unsigned len;

    assert_ptr_equal(
        HMAC(EVP_sha256(), key, key_len, (const uint8_t *)text, strlen(text), out, &len), out);
    assert_int_equal(len, 32);
    expect(out, len, hex);
}

static void hmac_vectors(void **state)
{
    uint8_t key[20];

    (void)state;
    memset(key, 0x0b, sizeof key);
    hmac(key, sizeof key, "Hi There",
         "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    hmac("Jefe", 4, "what do ya want for nothing?",
         "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha1_vectors),
        cmocka_unit_test(sha256_vectors),
        cmocka_unit_test(hmac_vectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
