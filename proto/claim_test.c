#include "proto/claim.h"

#include <openssl/hmac.h>

#include "proto/json.h"
#include "proto/proto_test.h"
#include "proto/text.h"

/* docs/protocol.md, "Vectors". */
#define DEVICE "Teddy-ESP32-0001"
#define CHILD  "child123"
#define SECRET "a1b2c3d4e5f6789012345678901234567890abcdef1234567890abcdef123456"

static const struct {
    const char *nonce;
    bool decoded;
    const char *hmac_hex;
} vectors[] = {
    {"random_nonce", false, "1dba426218eb94999b7c878af626d32d3f4614e6b02bab2e2319509c866509f3"},
    {"1763683200000000", false, "b05358d9e1139cd670a2896cb36916d2988cdf10adde24f260f116d674fc2268"},
    {"000102030405060708090a0b0c0d0e0f", false,
     "d93a9301bd3a3e7213319733f2d31753d1d04e8d34a92f3b3a4d352a64833ec8"},
    {"000102030405060708090a0b0c0d0e0f", true,
     "76865309683ac175b923f83037d6dba866e364ab7198ca987b42457ac404c787"},
};

static void the_signed_bytes_give_the_vectors(void **state)
{
    uint8_t secret[LIMIT_SECRET_LEN], msg[CLAIM_SIGNED_MAX], mac[LIMIT_MAC_LEN],
        want[LIMIT_MAC_LEN];

    (void)state;
    assert_int_equal(hex_decode(LIT(SECRET), secret, sizeof secret), TEDDY_OK);
    for (size_t i = 0; i < COUNT_OF(vectors); i++) {
        size_t len = claim_signed_bytes(DEVICE, CHILD, vectors[i].nonce, vectors[i].decoded, msg);
        unsigned mac_len;

        assert_int_equal(len, 24 + (vectors[i].decoded ? 16 : strlen(vectors[i].nonce)));
        assert_non_null(HMAC(EVP_sha256(), secret, sizeof secret, msg, len, mac, &mac_len));
        assert_int_equal(hex_decode(span_of(vectors[i].hmac_hex), want, sizeof want), TEDDY_OK);
        assert_memory_equal(mac, want, sizeof mac);
    }
}

static void signed_bytes_at_their_bounds(void **state)
{
    char id[LIMIT_ID_LEN + 2], nonce[LIMIT_NONCE_MAX + 2];
    uint8_t msg[CLAIM_SIGNED_MAX];

    (void)state;
    memset(id, 'i', sizeof id);
    memset(nonce, 'n', sizeof nonce);
    id[LIMIT_ID_LEN] = '\0';
    nonce[LIMIT_NONCE_MAX] = '\0';
    assert_int_equal(claim_signed_bytes(id, id, nonce, false, msg), CLAIM_SIGNED_MAX);
    assert_int_equal(msg[0], 'i');
    assert_int_equal(msg[CLAIM_SIGNED_MAX - 1], 'n');
    assert_int_equal(claim_signed_bytes(id, id, nonce, true, msg), 0);
    assert_int_equal(claim_signed_bytes(id, id, "random_nonce", true, msg), 0);
    nonce[LIMIT_NONCE_MAX] = 'n';
    nonce[LIMIT_NONCE_MAX + 1] = '\0';
    assert_int_equal(claim_signed_bytes(id, id, nonce, false, msg), 0);
}

#define IDS   "\"device_id\":\"" DEVICE "\",\"child_id\":\"" CHILD "\""
#define NONCE "\"nonce\":\"random_nonce\""
#define MAC   "\"hmac_hex\":\"1dBA426218eb94999b7c878af626d32d3f4614e6b02bab2e2319509c866509f3\""
#define WHOLE IDS "," NONCE "," MAC

static int read(const char *text, struct claim *out, unsigned *bad)
{
    struct span body = heap_copy(span_of(text));
    int err = claim_read(body, out, bad);

    heap_free(body);
    return err;
}

static void a_claim_is_read(void **state)
{
    static const char text[] =
        "{" WHOLE ",\"firmware_version\":\"1.2.3-é\",\"timestamp\":1763683200,"
        "\"extra\":{\"a\":[1,2]}}";
    struct claim c;
    unsigned bad = 7;

    (void)state;
    assert_int_equal(read(text, &c, &bad), TEDDY_OK);
    assert_int_equal(bad, 0);
    assert_string_equal(c.device_id, DEVICE);
    assert_string_equal(c.child_id, CHILD);
    assert_string_equal(c.nonce, "random_nonce");
    assert_true(c.mac_well_formed);
    assert_memory_equal(c.mac, "\x1d\xba\x42\x62", 4);
    assert_string_equal(c.firmware_version, "1.2.3-é");
    assert_string_equal(c.timestamp, "1763683200");
}

static void a_claim_needs_no_more_than_four(void **state)
{
    struct claim c;
    unsigned bad;

    (void)state;
    assert_int_equal(read("{" WHOLE "}", &c, &bad), TEDDY_OK);
    assert_string_equal(c.firmware_version, "");
    assert_string_equal(c.timestamp, "");
    assert_int_equal(read("{\"device_id\":\"\\u0054eddy-ESP32-0001\",\"child_id\":\"" CHILD
                          "\"," NONCE "," MAC "}",
                          &c, &bad),
                     TEDDY_OK);
    assert_string_equal(c.device_id, DEVICE);
}

static void each_bad_member_is_named(void **state)
{
    static const struct {
        const char *text;
        unsigned bad;
    } cases[] = {
        {"{}", CLAIM_DEVICE_ID | CLAIM_CHILD_ID | CLAIM_NONCE | CLAIM_HMAC_HEX},
        {"{" IDS "," NONCE "}", CLAIM_HMAC_HEX},
        {"{" IDS "," MAC "}", CLAIM_NONCE},
        {"{" NONCE "," MAC "}", CLAIM_DEVICE_ID | CLAIM_CHILD_ID},
        {"{" IDS "," NONCE ",\"hmac_hex\":null}", CLAIM_HMAC_HEX},
        {"{" IDS "," NONCE ",\"hmac_hex\":5}", CLAIM_HMAC_HEX},
        {"{" IDS "," MAC ",\"nonce\":\"short\"}", CLAIM_NONCE},
        {"{" IDS "," MAC ",\"nonce\":12345678}", CLAIM_NONCE},
        {"{" IDS "," MAC ",\"nonce\":\"a\\\"bcdefgh\"}", CLAIM_NONCE},
        {"{" IDS "," MAC ",\"nonce\":\"random\\u0000nonce\"}", CLAIM_NONCE},
        {"{\"device_id\":\"a b\",\"child_id\":\"\"," NONCE "," MAC "}",
         CLAIM_DEVICE_ID | CLAIM_CHILD_ID},
        {"{\"device_id\":\"a:b\",\"child_id\":[\"c\"]," NONCE "," MAC "}",
         CLAIM_DEVICE_ID | CLAIM_CHILD_ID},
        {"{\"device_id\":\"a\\u0000\",\"child_id\":\"c\"," NONCE "," MAC "}", CLAIM_DEVICE_ID},
        {"{\"device_id\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\","
         "\"child_id\":\"c\"," NONCE "," MAC "}",
         CLAIM_DEVICE_ID},
        {"{" WHOLE ",\"firmware_version\":\"123456789012345678901234567890123\"}",
         CLAIM_FIRMWARE_VERSION},
        {"{" WHOLE ",\"firmware_version\":7}", CLAIM_FIRMWARE_VERSION},
        {"{" WHOLE ",\"firmware_version\":\"a\\nb\"}", CLAIM_FIRMWARE_VERSION},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct claim c;
        unsigned bad = 0;

        assert_int_equal(read(cases[i].text, &c, &bad), TEDDY_EINVAL);
        if (bad != cases[i].bad)
            fail_msg("%s: bad is %x", cases[i].text, bad);
    }
}

/* Not a malformed request: an invalid signature. */
static void a_mac_that_is_none(void **state)
{
    static const char *const macs[] = {
        "",
        "zz",
        "1dba",
        "1dba426218eb94999b7c878af626d32d3f4614e6b02bab2e2319509c866509f",
        "1dba426218eb94999b7c878af626d32d3f4614e6b02bab2e2319509c866509f33",
        "gdba426218eb94999b7c878af626d32d3f4614e6b02bab2e2319509c866509f3",
        "1dba426218eb94999b7c878af626d32d3f4614e6b02bab2e2319509c866509\\u0000\\u0000",
        "1dba426218eb94999b7c878af626d32d3f4614e6b02bab2e2319509c866509f31dba426218eb94999b7c878af6"
        "26d32d3f4614e6b02bab2e2319509c866509f3"};
    static const uint8_t zeros[LIMIT_MAC_LEN];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(macs); i++) {
        char text[400];
        struct writer w = writer_on(text, sizeof text);
        struct claim c;
        unsigned bad;

        writer_text(&w, "{" IDS "," NONCE ",\"hmac_hex\":\"");
        writer_text(&w, macs[i]);
        writer_text(&w, "\"}");
        assert_int_equal(writer_end(&w), TEDDY_OK);
        assert_int_equal(read(text, &c, &bad), TEDDY_OK);
        assert_false(c.mac_well_formed);
        assert_memory_equal(c.mac, zeros, sizeof zeros);
    }
}

static void a_timestamp_refuses_nothing(void **state)
{
    static const char *const cases[][2] = {{"17.5e8", "17.5e8"},
                                           {"\"2026-07-01T10:00:00Z\"", "2026-07-01T10:00:00Z"},
                                           {"null", ""},
                                           {"{}", ""},
                                           {"\"a\\nb\"", ""},
                                           {"123456789012345678901234567890123", ""},
                                           {"\"123456789012345678901234567890123\"", ""}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char text[300];
        struct writer w = writer_on(text, sizeof text);
        struct claim c;
        unsigned bad;

        writer_text(&w, "{" WHOLE ",\"timestamp\":");
        writer_text(&w, cases[i][0]);
        writer_text(&w, "}");
        assert_int_equal(writer_end(&w), TEDDY_OK);
        assert_int_equal(read(text, &c, &bad), TEDDY_OK);
        assert_string_equal(c.timestamp, cases[i][1]);
    }
}

static void bodies_that_are_no_json(void **state)
{
    static char big[LIMIT_CLAIM_BODY + 2];
    struct claim c;
    unsigned bad = 0;

    (void)state;
    assert_int_equal(read("", &c, &bad), TEDDY_EPROTO);
    assert_int_equal(read("[]", &c, &bad), TEDDY_EPROTO);
    assert_int_equal(read("{" WHOLE, &c, &bad), TEDDY_EPROTO);
    assert_int_equal(read("{" WHOLE ",\"x\":\"\xff\"}", &c, &bad), TEDDY_EUTF8);
    assert_int_equal(read("{" WHOLE "," NONCE "}", &c, &bad), TEDDY_EDUP);
    assert_int_equal(read("{" WHOLE ",\"n\\u006fnce\":\"another_nonce\"}", &c, &bad), TEDDY_EPROTO);
    assert_int_equal(read("{" WHOLE ",\"x\":[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]}", &c, &bad),
                     TEDDY_ETOOBIG);
    assert_string_equal(c.device_id, "");
    memset(big, ' ', sizeof big);
    memcpy(big, "{" WHOLE "}", sizeof "{" WHOLE "}" - 1);
    assert_int_equal(claim_read((struct span){big, LIMIT_CLAIM_BODY}, &c, &bad), TEDDY_OK);
    assert_int_equal(claim_read((struct span){big, LIMIT_CLAIM_BODY + 1}, &c, &bad), TEDDY_ETOOBIG);
}

static void members_have_names(void **state)
{
    (void)state;
    assert_string_equal(claim_member_name(CLAIM_DEVICE_ID), "device_id");
    assert_string_equal(claim_member_name(CLAIM_CHILD_ID), "child_id");
    assert_string_equal(claim_member_name(CLAIM_NONCE), "nonce");
    assert_string_equal(claim_member_name(CLAIM_HMAC_HEX), "hmac_hex");
    assert_string_equal(claim_member_name(CLAIM_FIRMWARE_VERSION), "firmware_version");
}

static void what_is_written_reads_back(void **state)
{
    uint8_t mac[LIMIT_MAC_LEN];
    char text[600];
    struct claim c;
    unsigned bad;

    (void)state;
    for (size_t i = 0; i < sizeof mac; i++)
        mac[i] = (uint8_t)(i * 37);
    for (int firmware = 0; firmware < 2; firmware++) {
        struct writer w = writer_on(text, sizeof text);

        claim_write(&w, DEVICE, CHILD, "n o'n<c>e", mac, firmware ? "1.0" : NULL);
        assert_int_equal(writer_end(&w), TEDDY_OK);
        assert_int_equal(read(text, &c, &bad), TEDDY_OK);
        assert_string_equal(c.device_id, DEVICE);
        assert_string_equal(c.child_id, CHILD);
        assert_string_equal(c.nonce, "n o'n<c>e");
        assert_true(c.mac_well_formed);
        assert_memory_equal(c.mac, mac, sizeof mac);
        assert_string_equal(c.firmware_version, firmware ? "1.0" : "");
    }
}

static void a_pair_is_written_and_read(void **state)
{
    char text[300];
    struct writer w = writer_on(text, sizeof text);
    struct token_pair pair;

    (void)state;
    token_pair_write(&w, NULL, "a.b.c", "d.e_f-.g", 3600);
    assert_int_equal(writer_end(&w), TEDDY_OK);
    assert_string_equal(text, "{\"access\":\"a.b.c\",\"refresh\":\"d.e_f-.g\","
                              "\"token_type\":\"Bearer\",\"expires_in\":3600}");
    assert_int_equal(token_pair_read(span_of(text), &pair), TEDDY_OK);
    assert_string_equal(pair.access, "a.b.c");
    assert_string_equal(pair.refresh, "d.e_f-.g");
    assert_int_equal(pair.expires_in, 3600);
    w = writer_on(text, sizeof text);
    token_pair_write(&w, "tokens", "a.b.c", "d.e.f", 60);
    assert_int_equal(writer_end(&w), TEDDY_OK);
    assert_string_equal(text, "{\"type\":\"tokens\",\"access\":\"a.b.c\",\"refresh\":\"d.e.f\","
                              "\"expires_in\":60}");
    assert_int_equal(token_pair_read(span_of(text), &pair), TEDDY_OK);
}

/* Every character of a token is one of base64url's or a dot. */
static void tokens_are_of_their_alphabet(void **state)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";
    struct token_pair pair;

    (void)state;
    for (int c = ' '; c < 127; c++) {
        char token[2] = {(char)c, '\0'};
        char text[100];
        struct writer w = writer_on(text, sizeof text);

        token_pair_write(&w, NULL, token, "b", 1);
        assert_int_equal(writer_end(&w), TEDDY_OK);
        assert_int_equal(token_pair_read(span_of(text), &pair) == TEDDY_OK,
                         strchr(alphabet, c) != NULL);
    }
}

static void pairs_that_are_none(void **state)
{
    static const char *const bad[] = {
        "{}",
        "{\"access\":\"a\",\"refresh\":\"b\"}",
        "{\"access\":\"a\",\"expires_in\":1}",
        "{\"access\":\"\",\"refresh\":\"b\",\"expires_in\":1}",
        "{\"access\":\"a\",\"refresh\":5,\"expires_in\":1}",
        "{\"access\":\"a&x=1\",\"refresh\":\"b\",\"expires_in\":1}",
        "{\"access\":\"a\\r\\nX: y\",\"refresh\":\"b\",\"expires_in\":1}",
        "{\"access\":\"a\",\"refresh\":\"b\",\"expires_in\":-1}",
        "{\"access\":\"a\",\"refresh\":\"b\",\"expires_in\":4294967296}",
        "{\"access\":\"a\",\"refresh\":\"b\",\"expires_in\":\"1\"}"};
    static const struct token_pair none;
    struct token_pair pair;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(token_pair_read(span_of(bad[i]), &pair), TEDDY_EINVAL);
        assert_memory_equal(&pair, &none, sizeof none);
    }
    assert_int_equal(token_pair_read(LIT("{\"access\":\"a\",\"access\":\"a\"}"), &pair),
                     TEDDY_EDUP);
    assert_int_equal(token_pair_read(LIT("<html>"), &pair), TEDDY_EPROTO);
}

static void a_refresh_is_written_and_read(void **state)
{
    char text[100], out[LIMIT_TOKEN_LEN + 1];
    struct writer w = writer_on(text, sizeof text);

    (void)state;
    refresh_write(&w, "a.b.c");
    assert_int_equal(writer_end(&w), TEDDY_OK);
    assert_string_equal(text, "{\"refresh\":\"a.b.c\"}");
    assert_int_equal(refresh_read(span_of(text), out), TEDDY_OK);
    assert_string_equal(out, "a.b.c");
    assert_int_equal(refresh_read(LIT("{\"x\":1,\"refresh_token\":\"d.e.f\"}"), out), TEDDY_OK);
    assert_string_equal(out, "d.e.f");
}

static void refreshes_that_are_none(void **state)
{
    static const char *const bad[] = {"{}",
                                      "{\"refresh\":\"\"}",
                                      "{\"refresh\":5}",
                                      "{\"refresh\":null,\"refresh_token\":\"a\"}",
                                      "{\"refresh\":\"a\",\"refresh_token\":\"a\"}",
                                      "{\"refresh\":\"a\\u0000\"}"};
    char text[800], out[LIMIT_TOKEN_LEN + 1];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(refresh_read(span_of(bad[i]), out), TEDDY_EINVAL);
        assert_string_equal(out, "");
    }
    assert_int_equal(refresh_read(LIT("{\"refresh\":\"a\",\"refresh\":\"b\"}"), out), TEDDY_EDUP);
    assert_int_equal(refresh_read(LIT("refresh=a"), out), TEDDY_EPROTO);
    memset(text, 't', sizeof text);
    memcpy(text, "{\"refresh\":\"", 12);
    memcpy(text + 12 + LIMIT_TOKEN_LEN, "\"}", 2);
    assert_int_equal(refresh_read((struct span){text, 14 + LIMIT_TOKEN_LEN}, out), TEDDY_OK);
    assert_int_equal(strlen(out), LIMIT_TOKEN_LEN);
    memcpy(text + 12 + LIMIT_TOKEN_LEN, "t\"}", 3);
    assert_int_equal(refresh_read((struct span){text, 15 + LIMIT_TOKEN_LEN}, out), TEDDY_EINVAL);
    assert_string_equal(out, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_signed_bytes_give_the_vectors),
        cmocka_unit_test(signed_bytes_at_their_bounds),
        cmocka_unit_test(a_claim_is_read),
        cmocka_unit_test(a_claim_needs_no_more_than_four),
        cmocka_unit_test(each_bad_member_is_named),
        cmocka_unit_test(a_mac_that_is_none),
        cmocka_unit_test(a_timestamp_refuses_nothing),
        cmocka_unit_test(bodies_that_are_no_json),
        cmocka_unit_test(members_have_names),
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(a_pair_is_written_and_read),
        cmocka_unit_test(tokens_are_of_their_alphabet),
        cmocka_unit_test(pairs_that_are_none),
        cmocka_unit_test(a_refresh_is_written_and_read),
        cmocka_unit_test(refreshes_that_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
