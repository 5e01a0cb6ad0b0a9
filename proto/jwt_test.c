#include "proto/jwt.h"

#include "proto/proto_test.h"
#include "proto/text.h"
#include "proto/writer.h"

#define HS256 "{\"alg\":\"HS256\",\"kid\":\"k1\",\"typ\":\"JWT\"}"
#define CLAIMS                                                                                     \
    "\"iss\":\"teddyd\",\"aud\":\"teddy\",\"iat\":1763683200,\"exp\":1763686800,\"jti\":\"j1\","   \
    "\"sid\":\"s1\",\"use\":\"access\""
#define SUB     "\"sub\":\"Teddy-ESP32-0001:child123\""
#define PAYLOAD "{" CLAIMS "," SUB "}"

/* A compact JWS of these parts, its signature of that many bytes. */
static struct span token(const char *header, const char *payload, size_t signature_len)
{
    static const uint8_t signature[65] = {0x5a, 1, 2, 3};
    static char text[4096];
    size_t n;

    base64url_encode((const uint8_t *)header, strlen(header), text);
    n = strlen(text);
    text[n++] = '.';
    base64url_encode((const uint8_t *)payload, strlen(payload), text + n);
    n += strlen(text + n);
    text[n++] = '.';
    base64url_encode(signature, signature_len, text + n);
    return span_of(text);
}

static int parse(struct span text)
{
    static const struct jwt none;
    struct span copy = heap_copy(text);
    struct jwt jwt;
    int err = jwt_parse(copy, &jwt);

    if (err != TEDDY_OK)
        assert_memory_equal(&jwt, &none, sizeof jwt);
    heap_free(copy);
    return err;
}

static void a_token_is_taken_apart(void **state)
{
    struct span text = token(HS256, PAYLOAD, 32);
    struct jwt jwt;

    (void)state;
    assert_int_equal(jwt_parse(text, &jwt), TEDDY_OK);
    assert_int_equal(jwt.alg, JWT_HS256);
    assert_int_equal(jwt.use, JWT_ACCESS);
    assert_string_equal(jwt.kid, "k1");
    assert_string_equal(jwt.iss, "teddyd");
    assert_string_equal(jwt.aud, "teddy");
    assert_string_equal(jwt.device_id, "Teddy-ESP32-0001");
    assert_string_equal(jwt.child_id, "child123");
    assert_string_equal(jwt.jti, "j1");
    assert_string_equal(jwt.sid, "s1");
    assert_int_equal(jwt.iat, 1763683200);
    assert_int_equal(jwt.exp, 1763686800);
    assert_int_equal(jwt.signature_len, 32);
    assert_int_equal(jwt.signature[0], 0x5a);
    assert_ptr_equal(jwt.signing_input.p, text.p);
    assert_int_equal(jwt.signing_input.len, text.len - 44);
    assert_int_equal(text.p[jwt.signing_input.len], '.');
}

static void headers(void **state)
{
    static const struct {
        const char *header;
        int err;
    } cases[] = {
        {"{\"typ\":\"JWT\",\"kid\":\"k\",\"alg\":\"HS256\"}", TEDDY_OK},
        {"{\"alg\":\"HS256\",\"kid\":\"!~\",\"typ\":\"JWT\"}", TEDDY_OK},
        {"{\"alg\":\"HS256\",\"kid\":\"\x7f\",\"typ\":\"JWT\"}", TEDDY_EPROTO},
        {"{\"alg\":\"none\",\"kid\":\"k\",\"typ\":\"JWT\"}", TEDDY_EUNSUPPORTED},
        {"{\"alg\":\"none\"}", TEDDY_EUNSUPPORTED},
        {"{\"alg\":\"NONE\",\"kid\":\"k\",\"typ\":\"JWT\"}", TEDDY_EUNSUPPORTED},
        {"{\"alg\":\"\",\"kid\":\"k\",\"typ\":\"JWT\"}", TEDDY_EUNSUPPORTED},
        {"{\"alg\":\"hs256\",\"kid\":\"k\",\"typ\":\"JWT\"}", TEDDY_EUNSUPPORTED},
        {"{\"alg\":\"HS256 \",\"kid\":\"k\",\"typ\":\"JWT\"}", TEDDY_EUNSUPPORTED},
        {"{\"alg\":\"HS512\",\"kid\":\"k\",\"typ\":\"JWT\"}", TEDDY_EUNSUPPORTED},
        {"{\"alg\":\"RS256\",\"kid\":\"k\",\"typ\":\"JWT\"}", TEDDY_EUNSUPPORTED},
        {"{\"alg\":\"PBES2-HS256+A128KW\",\"kid\":\"k\",\"typ\":\"JWT\"}", TEDDY_EUNSUPPORTED},
        {"{\"alg\":null,\"kid\":\"k\",\"typ\":\"JWT\"}", TEDDY_EPROTO},
        {"{\"alg\":\"HS256\\u0000\",\"kid\":\"k\",\"typ\":\"JWT\"}", TEDDY_EPROTO},
        {"{\"alg\":[\"HS256\"],\"kid\":\"k\",\"typ\":\"JWT\"}", TEDDY_EPROTO},
        {"{\"kid\":\"k\",\"typ\":\"JWT\"}", TEDDY_EPROTO},
        {"{\"alg\":\"HS256\",\"typ\":\"JWT\"}", TEDDY_EPROTO},
        {"{\"alg\":\"HS256\",\"kid\":\"k\"}", TEDDY_EPROTO},
        {"{\"alg\":\"HS256\",\"kid\":\"\",\"typ\":\"JWT\"}", TEDDY_EPROTO},
        {"{\"alg\":\"HS256\",\"kid\":\"a b\",\"typ\":\"JWT\"}", TEDDY_EPROTO},
        {"{\"alg\":\"HS256\",\"kid\":7,\"typ\":\"JWT\"}", TEDDY_EPROTO},
        {"{\"alg\":\"HS256\",\"kid\":\"123456789012345678901234567890123\",\"typ\":\"JWT\"}",
         TEDDY_EPROTO},
        {"{\"alg\":\"HS256\",\"kid\":\"k\",\"typ\":\"jwt\"}", TEDDY_EPROTO},
        {"{\"alg\":\"HS256\",\"kid\":\"k\",\"typ\":\"JW\"}", TEDDY_EPROTO},
        {"{\"alg\":\"HS256\",\"kid\":\"k\",\"typ\":\"JWTs\"}", TEDDY_EPROTO},
        {"{\"alg\":\"HS256\",\"kid\":\"k\",\"typ\":\"JWT\",\"jku\":\"https://x\"}", TEDDY_EPROTO},
        {"{\"alg\":\"HS256\",\"kid\":\"k\",\"typ\":\"JWT\",\"x5u\":\"https://x\"}", TEDDY_EPROTO},
        {"{\"alg\":\"HS256\",\"kid\":\"k\",\"typ\":\"JWT\",\"jwk\":{}}", TEDDY_EPROTO},
        {"{\"alg\":\"HS256\",\"kid\":\"k\",\"typ\":\"JWT\",\"x5c\":[]}", TEDDY_EPROTO},
        {"{\"alg\":\"HS256\",\"kid\":\"k\",\"typ\":\"JWT\",\"crit\":[]}", TEDDY_EPROTO},
        {"{\"alg\":\"HS256\",\"kid\":\"k\",\"typ\":\"JWT\",\"crit\":[\"exp\"],\"exp\":1}",
         TEDDY_EPROTO},
        {"{\"alg\":\"HS256\",\"kid\":\"k\",\"typ\":\"JWT\",\"x\":1}", TEDDY_EPROTO},
        {"{\"alg\":\"HS256\",\"kid\":\"k\",\"jku\":\"JWT\"}", TEDDY_EPROTO},
        {"{\"alg\":\"HS256\",\"alg\":\"none\",\"kid\":\"k\",\"typ\":\"JWT\"}", TEDDY_EPROTO},
        {"{\"alg\":\"HS256\",\"\\u0061lg\":\"none\",\"kid\":\"k\",\"typ\":\"JWT\"}", TEDDY_EPROTO},
        {"[]", TEDDY_EPROTO},
        {"{}", TEDDY_EPROTO},
        {"", TEDDY_EPROTO},
        {"{\"alg\":\"HS256\",\"kid\":\"k\",\"typ\":\"JWT\"} ", TEDDY_OK},
        {"{\"alg\":\"HS256\",\"kid\":\"k\",\"typ\":\"JWT\"}x", TEDDY_EPROTO},
        {"{\"alg\":\"HS256\",\"kid\":\"k\",\"typ\":\"\xff\"}", TEDDY_EPROTO},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        if (parse(token(cases[i].header, PAYLOAD, 32)) != cases[i].err)
            fail_msg("not the result expected: %s", cases[i].header);
    }
}

static void claims_that_are_missing_or_malformed(void **state)
{
    static const char *const names[] = {"iss", "aud", "iat", "exp", "jti", "sid", "use", "sub"};
    static const char *const values[] = {NULL,
                                         "null",
                                         "{}",
                                         "[\"a\"]",
                                         "true",
                                         "\"\"",
                                         "\"a b\"",
                                         "\"a\\n\"",
                                         "-1",
                                         "1.5",
                                         "1e9",
                                         "\"1\\u0000\"",
                                         "9007199254740993",
                                         "\"\xc3\xa9\""};

    (void)state;
    for (size_t bad = 0; bad < COUNT_OF(names); bad++) {
        for (size_t v = 0; v < COUNT_OF(values); v++) {
            char text[600];
            struct writer w = writer_on(text, sizeof text);

            writer_text(&w, "{\"x\":[]");
            for (size_t i = 0; i < COUNT_OF(names); i++) {
                const char *good = i == 2 || i == 3 ? "5"
                                   : i == 6         ? "\"refresh\""
                                   : i == 7         ? "\"d:c\""
                                                    : "\"v\"";

                if (i == bad && values[v] == NULL)
                    continue;
                writer_text(&w, ",\"");
                writer_text(&w, names[i]);
                writer_text(&w, "\":");
                writer_text(&w, i == bad ? values[v] : good);
            }
            writer_text(&w, "}");
            assert_int_equal(writer_end(&w), TEDDY_OK);
            if (parse(token(HS256, text, 32)) != TEDDY_EPROTO)
                fail_msg("not refused: %s", text);
        }
    }
    assert_int_equal(parse(token(HS256, PAYLOAD "x", 32)), TEDDY_EPROTO);
    assert_int_equal(parse(token(HS256, "", 32)), TEDDY_EPROTO);
    assert_int_equal(parse(token(HS256, "{" CLAIMS "," SUB "," SUB "}", 32)), TEDDY_EPROTO);
    assert_int_equal(parse(token(HS256, "{" CLAIMS "," SUB ",\"s\\u0075b\":\"x:y\"}", 32)),
                     TEDDY_EPROTO);
}

static void subjects(void **state)
{
    static const char *const bad[] = {
        "d",     "d:",
        ":c",    ":",
        "d:c:e", "d c:e",
        "d/:c",  "d:c.",
        "d::c",  "ddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd:c"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        char text[400];
        struct writer w = writer_on(text, sizeof text);

        writer_text(&w, "{" CLAIMS ",\"sub\":");
        writer_json_string(&w, span_of(bad[i]));
        writer_text(&w, "}");
        assert_int_equal(writer_end(&w), TEDDY_OK);
        assert_int_equal(parse(token(HS256, text, 32)), TEDDY_EPROTO);
    }
}

static void the_longest_names_fit(void **state)
{
    static const char text[] =
        "{" CLAIMS ",\"sub\":\"dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd:"
        "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc\"}";
    struct jwt jwt;

    (void)state;
    assert_int_equal(jwt_parse(token(HS256, text, 32), &jwt), TEDDY_OK);
    assert_int_equal(strlen(jwt.device_id), 64);
    assert_int_equal(strlen(jwt.child_id), 64);
}

static void signatures_have_their_length(void **state)
{
    static const char es256[] = "{\"alg\":\"ES256\",\"kid\":\"k\",\"typ\":\"JWT\"}";

    (void)state;
    for (size_t len = 0; len <= 65; len++) {
        assert_int_equal(parse(token(HS256, PAYLOAD, len)), len == 32 ? TEDDY_OK : TEDDY_EPROTO);
        assert_int_equal(parse(token(es256, PAYLOAD, len)), len == 64 ? TEDDY_OK : TEDDY_EPROTO);
    }
}

/* No second spelling of a token: every change of one character is seen or changes what is signed.
 */
static void the_form_is_strict(void **state)
{
    struct span text = token(HS256, PAYLOAD, 32);
    char copy[800];

    (void)state;
    for (size_t len = 0; len < text.len; len++)
        assert_int_equal(parse((struct span){text.p, len}), TEDDY_EPROTO);
    memcpy(copy, text.p, text.len);
    for (size_t i = 0; i < text.len; i++) {
        static const char odd[] = "=+/ .\n\0\xc3";

        for (size_t k = 0; k < sizeof odd - 1; k++) {
            if (text.p[i] == odd[k])
                continue;
            copy[i] = odd[k];
            assert_int_equal(parse((struct span){copy, text.len}), TEDDY_EPROTO);
        }
        copy[i] = text.p[i];
    }
    /* The last character of 32 bytes carries two bits that must be zero. */
    assert_int_equal(copy[text.len - 1], 'A');
    copy[text.len - 1] = 'B';
    assert_int_equal(parse((struct span){copy, text.len}), TEDDY_EPROTO);
    copy[text.len - 1] = 'A';
    memcpy(copy + text.len, ".x", 2);
    assert_int_equal(parse((struct span){copy, text.len + 1}), TEDDY_EPROTO);
    assert_int_equal(parse((struct span){copy, text.len + 2}), TEDDY_EPROTO);
    assert_int_equal(parse(LIT("..")), TEDDY_EPROTO);
    assert_int_equal(parse(LIT("")), TEDDY_EPROTO);
}

static void tokens_are_bounded(void **state)
{
    char payload[600];

    (void)state;
    /* 41 bytes of header are 55 characters, 32 of signature 43, and two dots: 600 are left for the
     * payload. */
    for (size_t pad = 200; pad < 300; pad++) {
        struct writer w = writer_on(payload, sizeof payload);
        struct span text;

        writer_text(&w, "{" CLAIMS "," SUB ",\"pad\":\"");
        for (size_t i = 0; i < pad; i++)
            writer_text(&w, "p");
        writer_text(&w, "\"}");
        assert_int_equal(writer_end(&w), TEDDY_OK);
        text = token(HS256, payload, 32);
        assert_int_equal(parse(text), text.len <= LIMIT_TOKEN_LEN ? TEDDY_OK : TEDDY_ETOOBIG);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_is_taken_apart),
        cmocka_unit_test(headers),
        cmocka_unit_test(claims_that_are_missing_or_malformed),
        cmocka_unit_test(subjects),
        cmocka_unit_test(the_longest_names_fit),
        cmocka_unit_test(signatures_have_their_length),
        cmocka_unit_test(the_form_is_strict),
        cmocka_unit_test(tokens_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
