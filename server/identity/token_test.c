/* Tokens as they are signed and refused, and the key file behind them. */
#include "identity/token.h"

#include <cjose/cjose.h>
#include <fcntl.h>
#include <jansson.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "identity/rules.h"
#include "proto/text.h"

#define NOW     1763683200u
#define REFRESH 5184000u

static const struct token_policy policy = {"teddy", "teddy-devices", 3600, REFRESH};
static char dir[32], path[64];

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/token-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/keys.json", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(dir); /* fails when a temporary file was left */
}

static struct keys *load_at(enum jwt_alg alg, uint64_t now_s)
{
    struct keys *k = NULL;
    char err[512] = "";
    if (keys_load(path, alg, REFRESH, now_s, &k, err, sizeof err) != TEDDY_OK)
        fail_msg("%s", err);
    return k;
}

static void put_file(const char *text, mode_t mode)
{
    unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, mode);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    assert_int_equal(chmod(path, mode), 0);
}

static json_t *read_doc(void)
{
    json_t *doc = json_load_file(path, 0, NULL);
    assert_non_null(doc);
    return doc;
}

static struct family_row family(const char *device, const char *child)
{
    struct device_row d = {.row = 1, .enabled = true};
    struct family_row f;
    snprintf(d.device_id, sizeof d.device_id, "%s", device);
    assert_int_equal(family_new(&policy, &d, child, NOW, &f), TEDDY_OK);
    return f;
}

static void sign(const struct keys *k, const struct family_row *f, enum jwt_use use, char *out)
{
    assert_int_equal(token_sign(k, &policy, f, &f->pair, use, out), TEDDY_OK);
}

static int check(const struct keys *k, const char *token, enum jwt_use use, uint64_t now_s)
{
    struct jwt t;
    return token_check(k, &policy, span_of(token), use, now_s, &t);
}

static void sign_and_check(enum jwt_alg alg)
{
    struct keys *k = load_at(alg, NOW);
    char token[LIMIT_TOKEN_LEN + 1], again[LIMIT_TOKEN_LEN + 1];
    struct family_row f = family("Teddy-ESP32-0001", "child123");
    struct jwt t, same;
    uint8_t sid[STORE_JTI_LEN], jti[STORE_JTI_LEN];
    sign(k, &f, JWT_ACCESS, token);
    assert_int_equal(token_check(k, &policy, span_of(token), JWT_ACCESS, NOW, &t), TEDDY_OK);
    assert_int_equal(t.alg, alg);
    assert_string_equal(t.device_id, "Teddy-ESP32-0001");
    assert_string_equal(t.child_id, "child123");
    assert_int_equal(t.iat, NOW);
    assert_int_equal(t.exp, NOW + 3600);
    assert_int_equal(token_ids(&t, sid, jti), TEDDY_OK);
    assert_memory_equal(sid, f.sid, sizeof sid);
    assert_memory_equal(jti, f.pair.access_jti, sizeof jti);
    sign(k, &f, JWT_ACCESS, again);
    assert_int_equal(token_check(k, &policy, span_of(again), JWT_ACCESS, NOW, &same), TEDDY_OK);
    assert_string_equal(same.jti, t.jti);
    assert_true(same.iat == t.iat && same.exp == t.exp);

    assert_int_equal(check(k, token, JWT_REFRESH, NOW), TEDDY_EAUTH);
    assert_int_equal(check(k, token, JWT_ACCESS, NOW + 3599), TEDDY_OK);
    assert_int_equal(token_check(k, &policy, span_of(token), JWT_ACCESS, NOW + 3600, &t),
                     TEDDY_EEXPIRED);
    assert_string_equal(t.device_id, "Teddy-ESP32-0001");
    sign(k, &f, JWT_REFRESH, token);
    assert_int_equal(token_check(k, &policy, span_of(token), JWT_REFRESH, NOW + REFRESH - 1, &t),
                     TEDDY_OK);
    assert_int_equal(token_ids(&t, sid, jti), TEDDY_OK);
    assert_memory_equal(jti, f.pair.refresh_jti, sizeof jti);
    assert_int_equal(check(k, token, JWT_ACCESS, NOW), TEDDY_EAUTH);
    keys_free(k);
}

static void test_hs256(void **state)
{
    (void)state;
    sign_and_check(JWT_HS256);
}

static void test_es256(void **state)
{
    (void)state;
    sign_and_check(JWT_ES256);
}

/* A signature number with a leading zero byte comes one time in 128: it must still be 64 bytes. */
static void test_es256_signatures_have_one_length(void **state)
{
    (void)state;
    struct keys *k = load_at(JWT_ES256, NOW);
    struct family_row f = family("a", "b");
    char token[LIMIT_TOKEN_LEN + 1];
    for (int i = 0; i < 600; i++) {
        sign(k, &f, JWT_ACCESS, token);
        assert_int_equal(strlen(strrchr(token, '.') + 1), 86);
        assert_int_equal(check(k, token, JWT_ACCESS, NOW), TEDDY_OK);
    }
    keys_free(k);
}

static void test_longest_ids_fit(void **state)
{
    (void)state;
    char id[LIMIT_ID_LEN + 1], token[LIMIT_TOKEN_LEN + 1], err[512] = "",
                                                           long_name[JWT_ISS_MAX + 1];
    memset(id, 'W', LIMIT_ID_LEN);
    id[LIMIT_ID_LEN] = 0;
    memset(long_name, 'i', JWT_ISS_MAX);
    long_name[JWT_ISS_MAX] = 0;
    for (int alg = JWT_HS256; alg <= JWT_ES256; alg++) {
        struct keys *k = load_at((enum jwt_alg)alg, NOW);
        struct family_row f = family(id, id);
        sign(k, &f, JWT_REFRESH, token);
        assert_in_range(strlen(token), 500, LIMIT_TOKEN_LEN);
        assert_int_equal(check(k, token, JWT_REFRESH, NOW), TEDDY_OK);
        assert_int_equal(token_policy_check(k, &policy, err, sizeof err), TEDDY_OK);
        struct token_policy wide = policy;
        wide.iss = "https://api.ai-teddy-bear.example.com"; /* as long as a reasonable one gets */
        wide.aud = "https://devices.ai-teddy-bear.example.com";
        assert_int_equal(token_policy_check(k, &wide, err, sizeof err), TEDDY_OK);
        wide.iss = wide.aud = long_name;
        assert_int_equal(token_policy_check(k, &wide, err, sizeof err), TEDDY_EINVAL);
        assert_non_null(strstr(err, "jwt_issuer"));
        assert_int_equal(token_sign(k, &wide, &f, &f.pair, JWT_REFRESH, token), TEDDY_ETOOBIG);
        wide = policy;
        wide.iss = "two words";
        assert_int_equal(token_policy_check(k, &wide, err, sizeof err), TEDDY_EINVAL);
        keys_free(k);
    }
}

/* Any one character changed, and every way to cut it short. */
static void every_change_is_refused(enum jwt_alg alg)
{
    struct keys *k = load_at(alg, NOW);
    struct family_row f = family("toy", "kid");
    char token[LIMIT_TOKEN_LEN + 1], changed[LIMIT_TOKEN_LEN + 2];
    sign(k, &f, JWT_ACCESS, token);
    size_t len = strlen(token);
    for (size_t i = 0; i < len; i++) {
        memcpy(changed, token, len + 1);
        changed[i] = changed[i] == 'A' ? 'B' : 'A';
        assert_int_not_equal(check(k, changed, JWT_ACCESS, NOW), TEDDY_OK);
        changed[i] = 0;
        assert_int_not_equal(check(k, changed, JWT_ACCESS, NOW), TEDDY_OK);
    }
    snprintf(changed, sizeof changed, "%sA", token);
    assert_int_not_equal(check(k, changed, JWT_ACCESS, NOW), TEDDY_OK);
    assert_int_equal(check(k, token, JWT_ACCESS, NOW), TEDDY_OK);
    keys_free(k);
}

static void test_every_change_is_refused(void **state)
{
    (void)state;
    every_change_is_refused(JWT_HS256);
    every_change_is_refused(JWT_ES256);
}

static void test_another_issuer_or_audience(void **state)
{
    (void)state;
    struct keys *k = load_at(JWT_HS256, NOW);
    struct family_row f = family("toy", "kid");
    char token[LIMIT_TOKEN_LEN + 1];
    struct token_policy other = policy;
    struct jwt t;
    other.iss = "teddy2";
    assert_int_equal(token_sign(k, &other, &f, &f.pair, JWT_ACCESS, token), TEDDY_OK);
    assert_int_equal(token_check(k, &other, span_of(token), JWT_ACCESS, NOW, &t), TEDDY_OK);
    assert_int_equal(check(k, token, JWT_ACCESS, NOW), TEDDY_EAUTH);
    other = policy;
    other.aud = "teddy-device";
    assert_int_equal(token_sign(k, &other, &f, &f.pair, JWT_ACCESS, token), TEDDY_OK);
    memset(&t, 0xff, sizeof t);
    assert_int_equal(token_check(k, &policy, span_of(token), JWT_ACCESS, NOW, &t), TEDDY_EAUTH);
    assert_string_equal(t.device_id, ""); /* nothing to be believed by mistake */
    keys_free(k);
}

/* header "." payload of a good token, under a header and key of the attacker's choice, signed with
 * HMAC. */
static void forge(const char *good, const char *header, const uint8_t *key, size_t key_len,
                  char *out, size_t cap)
{
    char head[400];
    uint8_t mac[32];
    unsigned mac_len;
    char tail[64];
    const char *payload = strchr(good, '.');
    base64url_encode((const uint8_t *)header, strlen(header), head);
    int payload_len = (int)(strrchr(good, '.') - payload);
    int n = snprintf(out, cap, "%s%.*s", head, payload_len, payload);
    HMAC(EVP_sha256(), key, (int)key_len, (const uint8_t *)out, (size_t)n, mac, &mac_len);
    base64url_encode(mac, sizeof mac, tail);
    snprintf(out + n, cap - (size_t)n, ".%s", tail);
}

static void test_algorithm_confusion(void **state)
{
    (void)state;
    struct keys *k = load_at(JWT_ES256, NOW);
    struct family_row f = family("toy", "kid");
    char token[LIMIT_TOKEN_LEN + 1], forged[1024], header[200];
    sign(k, &f, JWT_ACCESS, token);
    struct jwt t;
    assert_int_equal(token_check(k, &policy, span_of(token), JWT_ACCESS, NOW, &t), TEDDY_OK);
    const char *jwks = keys_jwks(k); /* public: what an attacker has */
    snprintf(header, sizeof header, "{\"alg\":\"HS256\",\"kid\":\"%s\",\"typ\":\"JWT\"}", t.kid);
    forge(token, header, (const uint8_t *)jwks, strlen(jwks), forged, sizeof forged);
    assert_int_equal(check(k, forged, JWT_ACCESS, NOW), TEDDY_EAUTH);
    snprintf(header, sizeof header, "{\"alg\":\"none\",\"kid\":\"%s\",\"typ\":\"JWT\"}", t.kid);
    forge(token, header, (const uint8_t *)"", 0, forged, sizeof forged);
    assert_int_equal(check(k, forged, JWT_ACCESS, NOW), TEDDY_EUNSUPPORTED);
    strrchr(forged, '.')[1] = 0;
    assert_int_not_equal(check(k, forged, JWT_ACCESS, NOW), TEDDY_OK);
    keys_free(k);
}

static void test_unknown_kid_and_foreign_key(void **state)
{
    (void)state;
    struct keys *k = load_at(JWT_HS256, NOW);
    struct family_row f = family("toy", "kid");
    char token[LIMIT_TOKEN_LEN + 1];
    sign(k, &f, JWT_ACCESS, token);
    assert_int_equal(unlink(path), 0);
    struct keys *other = load_at(JWT_HS256, NOW);
    assert_int_equal(check(other, token, JWT_ACCESS, NOW), TEDDY_EAUTH);
    assert_int_equal(check(k, token, JWT_ACCESS, NOW), TEDDY_OK);
    keys_free(k);
    keys_free(other);
    keys_free(NULL);
}

static void test_ids_of_another_form(void **state)
{
    (void)state;
    struct jwt t = {.sid = "00112233445566778899aabbccddeeff",
                    .jti = "00112233445566778899aabbccddeef"};
    uint8_t sid[STORE_JTI_LEN], jti[STORE_JTI_LEN];
    assert_int_equal(token_ids(&t, sid, jti), TEDDY_EPROTO);
    snprintf(t.jti, sizeof t.jti, "00112233445566778899aabbccddeefg");
    assert_int_equal(token_ids(&t, sid, jti), TEDDY_EPROTO);
    snprintf(t.jti, sizeof t.jti, "00112233445566778899aabbccddeeff");
    assert_int_equal(token_ids(&t, sid, jti), TEDDY_OK);
}

static void test_families_are_fresh_and_ordered(void **state)
{
    (void)state;
    struct device_row d = {.row = 5, .device_id = "toy"};
    struct family_row a, b, later;
    assert_int_equal(family_new(&policy, &d, "kid", NOW, &a), TEDDY_OK);
    assert_int_equal(family_new(&policy, &d, "kid", NOW, &b), TEDDY_OK);
    assert_int_equal(family_new(&policy, &d, "kid", NOW + 1, &later), TEDDY_OK);
    assert_memory_not_equal(a.sid, b.sid, sizeof a.sid);
    assert_memory_not_equal(a.pair.access_jti, a.pair.refresh_jti, STORE_JTI_LEN);
    assert_true(memcmp(a.sid, later.sid, sizeof a.sid) < 0);
    assert_int_equal(a.device_row, 5);
    assert_int_equal(a.pair.refresh_exp_s, NOW + REFRESH);
}

/* ---- The key file ---- */

static void test_file_is_made_private_and_read_again(void **state)
{
    (void)state;
    struct stat st;
    struct family_row f = family("toy", "kid");
    char token[LIMIT_TOKEN_LEN + 1];
    mode_t before = umask(0);
    struct keys *k = load_at(JWT_HS256, NOW);
    umask(before);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    sign(k, &f, JWT_ACCESS, token);
    keys_free(k);
    k = load_at(JWT_HS256, NOW + 10);
    assert_int_equal(check(k, token, JWT_ACCESS, NOW + 10), TEDDY_OK);
    assert_string_equal(keys_jwks(k), "{\"keys\":[]}"); /* a shared secret is nobody's to read */
    keys_free(k);
    json_t *doc = read_doc();
    assert_int_equal(json_array_size(json_object_get(doc, "keys")), 1);
    json_decref(doc);
}

static void test_others_may_not_read_it(void **state)
{
    (void)state;
    static const mode_t modes[] = {0640, 0604, 0660, 0601};
    struct keys *k = load_at(JWT_HS256, NOW);
    keys_free(k);
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        char err[512] = "";
        assert_int_equal(chmod(path, modes[i]), 0);
        assert_int_equal(keys_load(path, JWT_HS256, REFRESH, NOW, &k, err, sizeof err),
                         TEDDY_EAUTH);
        assert_null(k);
        assert_non_null(strstr(err, "chmod 600"));
    }
}

static void test_changing_the_algorithm(void **state)
{
    (void)state;
    struct family_row f = family("toy", "kid");
    char hs[LIMIT_TOKEN_LEN + 1], es[LIMIT_TOKEN_LEN + 1];
    struct keys *k = load_at(JWT_HS256, NOW);
    sign(k, &f, JWT_REFRESH, hs);
    keys_free(k);
    k = load_at(JWT_ES256, NOW + 100); /* the HS256 key retires */
    sign(k, &f, JWT_REFRESH, es);
    assert_int_equal(check(k, hs, JWT_REFRESH, NOW + 100), TEDDY_OK);
    assert_int_equal(check(k, es, JWT_REFRESH, NOW + 100), TEDDY_OK);
    keys_free(k);
    k = load_at(JWT_ES256, NOW + 100 + REFRESH - 1);
    assert_int_equal(check(k, hs, JWT_REFRESH, NOW), TEDDY_OK);
    keys_free(k);
    k = load_at(JWT_ES256, NOW + 100 + REFRESH); /* its last token has expired */
    assert_int_equal(check(k, hs, JWT_REFRESH, NOW), TEDDY_EAUTH);
    assert_int_equal(check(k, es, JWT_REFRESH, NOW), TEDDY_OK);
    keys_free(k);
    k = load_at(JWT_HS256, NOW + 100 + REFRESH); /* too late for the old one: a new key */
    assert_int_equal(check(k, hs, JWT_REFRESH, NOW), TEDDY_EAUTH);
    keys_free(k);
    json_t *doc = read_doc();
    assert_int_equal(json_array_size(json_object_get(doc, "keys")), 3);
    json_decref(doc);
}

static void test_back_to_a_key_that_still_counts(void **state)
{
    (void)state;
    struct family_row f = family("toy", "kid");
    char hs[LIMIT_TOKEN_LEN + 1], again[LIMIT_TOKEN_LEN + 1];
    struct keys *k = load_at(JWT_HS256, NOW);
    sign(k, &f, JWT_REFRESH, hs);
    keys_free(k);
    keys_free(load_at(JWT_ES256, NOW + 100));
    k = load_at(JWT_HS256, NOW + 200);
    sign(k, &f, JWT_REFRESH, again);
    assert_string_equal(hs, again); /* the same key signs again, and is not retired */
    keys_free(k);
    k = load_at(JWT_HS256, NOW + 200 + REFRESH);
    assert_int_equal(check(k, hs, JWT_REFRESH, NOW), TEDDY_OK);
    assert_string_equal(keys_jwks(k), "{\"keys\":[]}"); /* the ES256 key's time is over */
    keys_free(k);
}

static void test_newest_signs_and_extra_fields_stay(void **state)
{
    (void)state;
    struct keys *k = load_at(JWT_HS256, NOW);
    struct family_row f = family("toy", "kid");
    char old[LIMIT_TOKEN_LEN + 1], new[LIMIT_TOKEN_LEN + 1];
    struct jwt t;
    sign(k, &f, JWT_REFRESH, old);
    keys_free(k);
    json_t *doc = read_doc();
    json_t *added = json_pack("{s:s,s:s,s:s,s:s,s:i,s:{s:b}}", "kty", "oct", "kid", "rotated.2026",
                              "alg", "HS256", "k", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
                              "iat", (int)NOW + 50, "x-note", "by", 1);
    assert_int_equal(json_array_insert_new(json_object_get(doc, "keys"), 0, added), 0);
    json_object_set_new(doc, "comment", json_stringn("kept", 4));
    char *text = json_dumps(doc, 0);
    put_file(text, 0600);
    free(text);
    json_decref(doc);
    k = load_at(JWT_HS256, NOW + 60);
    sign(k, &f, JWT_REFRESH, new);
    assert_int_equal(token_check(k, &policy, span_of(new), JWT_REFRESH, NOW + 60, &t), TEDDY_OK);
    assert_string_equal(t.kid, "rotated.2026");
    assert_int_equal(check(k, old, JWT_REFRESH, NOW + 60), TEDDY_OK);
    keys_free(k);
    doc = read_doc();
    json_t *keys = json_object_get(doc, "keys");
    assert_string_equal(json_string_value(json_object_get(doc, "comment")), "kept");
    assert_non_null(json_object_get(json_array_get(keys, 0), "x-note"));
    assert_null(json_object_get(json_array_get(keys, 0), "retired_at"));
    assert_int_equal(json_integer_value(json_object_get(json_array_get(keys, 1), "retired_at")),
                     NOW + 60);
    json_decref(doc);
}

static void test_public_jwks(void **state)
{
    (void)state;
    struct keys *k = load_at(JWT_ES256, NOW);
    struct family_row f = family("toy", "kid");
    char token[LIMIT_TOKEN_LEN + 1];
    sign(k, &f, JWT_ACCESS, token);
    json_t *doc = json_loads(keys_jwks(k), 0, NULL),
           *jwk = json_array_get(json_object_get(doc, "keys"), 0);
    assert_int_equal(json_array_size(json_object_get(doc, "keys")), 1);
    assert_null(json_object_get(jwk, "d"));
    assert_string_equal(json_string_value(json_object_get(jwk, "alg")), "ES256");
    assert_string_equal(json_string_value(json_object_get(jwk, "crv")), "P-256");
    cjose_jwk_t *public = cjose_jwk_import_json(jwk, NULL);
    cjose_jws_t *jws = cjose_jws_import(token, strlen(token), NULL);
    assert_true(cjose_jws_verify(jws, public, NULL));
    cjose_jws_release(jws);
    cjose_jwk_release(public);
    json_decref(doc);
    keys_free(k);
}

#define K32      "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
#define HS(rest) "{\"kty\":\"oct\",\"k\":\"" K32 "\"," rest "}"

static void test_bad_files(void **state)
{
    (void)state;
    static const struct {
        const char *text, *because;
    } bad[] = {
        {"", "line 1"},
        {"not json", "line 1"},
        {"{\"keys\":[]", "line 1"},
        {"[]", "not a JWKS"},
        {"{\"keys\":{}}", "not a JWKS"},
        {"{\"keys\":[],\"keys\":[]}", "line 1"},
        {"{\"keys\":[1]}", "key 1"},
        {"{\"keys\":[" HS("\"alg\":\"HS256\",\"iat\":1") "]}", "\"kid\""},
        {"{\"keys\":[" HS("\"alg\":\"HS256\",\"iat\":1,\"kid\":\"\"") "]}", "\"kid\""},
        {"{\"keys\":[" HS("\"alg\":\"HS256\",\"iat\":1,\"kid\":\"a\\\"b\"") "]}", "\"kid\""},
        {"{\"keys\":[" HS(
             "\"alg\":\"HS256\",\"iat\":1,\"kid\":\"123456789012345678901234567890123\"") "]}",
         "\"kid\""},
        {"{\"keys\":[" HS("\"alg\":\"none\",\"iat\":1,\"kid\":\"a\"") "]}", "\"alg\""},
        {"{\"keys\":[" HS("\"alg\":\"HS512\",\"iat\":1,\"kid\":\"a\"") "]}", "\"alg\""},
        {"{\"keys\":[" HS("\"iat\":1,\"kid\":\"a\"") "]}", "\"alg\""},
        {"{\"keys\":[" HS("\"alg\":\"ES256\",\"iat\":1,\"kid\":\"a\"") "]}", "\"kty\""},
        {"{\"keys\":[" HS("\"alg\":\"HS256\",\"kid\":\"a\"") "]}", "\"iat\""},
        {"{\"keys\":[" HS("\"alg\":\"HS256\",\"kid\":\"a\",\"iat\":-1") "]}", "\"iat\""},
        {"{\"keys\":[" HS("\"alg\":\"HS256\",\"kid\":\"a\",\"iat\":1,\"retired_at\":\"x\"") "]}",
         "retired_at"},
        {"{\"keys\":[" HS("\"alg\":\"HS256\",\"kid\":\"a\",\"iat\":1") "," HS(
             "\"alg\":\"HS256\",\"kid\":\"a\",\"iat\":2") "]}",
         "same \"kid\""},
        {"{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAEC\",\"alg\":\"HS256\",\"iat\":1,\"kid\":\"a\"}]}",
         "32 bytes"},
        {"{\"keys\":[{\"kty\":\"oct\",\"alg\":\"HS256\",\"iat\":1,\"kid\":\"a\"}]}",
         "cannot be read"},
        {"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\",\"alg\":\"ES256\","
         "\"iat\":1,\"kid\":\"a\"}]}",
         "\"d\""},
        {"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\",\"d\":\"AA\","
         "\"alg\":\"ES256\",\"iat\":1,\"kid\":\"a\"}]}",
         "cannot be read"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct keys *k = NULL;
        char err[512] = "";
        put_file(bad[i].text, 0600);
        int r = keys_load(path, JWT_HS256, REFRESH, NOW, &k, err, sizeof err);
        if (r != TEDDY_EPROTO || k != NULL || strstr(err, bad[i].because) == NULL ||
            strstr(err, path) == NULL || strstr(err, K32) != NULL)
            fail_msg("%zu: %d \"%s\"", i, r, err);
        char left[2048] = "";
        FILE *file = fopen(path, "r");
        size_t len = fread(left, 1, sizeof left - 1, file);
        fclose(file);
        assert_int_equal(len, strlen(bad[i].text)); /* what could not be read is not replaced */
    }
}

/* The private part decides; what is published fits it, whatever "x" and "y" beside it said. */
static void test_parts_of_different_keys(void **state)
{
    (void)state;
    keys_free(load_at(JWT_ES256, NOW));
    json_t *first = read_doc(), *from = json_array_get(json_object_get(first, "keys"), 0);
    unlink(path);
    keys_free(load_at(JWT_ES256, NOW));
    json_t *second = read_doc(), *to = json_array_get(json_object_get(second, "keys"), 0);
    json_object_set(to, "d", json_object_get(from, "d"));
    char *text = json_dumps(second, 0), err[512] = "";
    put_file(text, 0600);
    free(text);
    struct keys *k = NULL;
    if (keys_load(path, JWT_ES256, REFRESH, NOW, &k, err, sizeof err) == TEDDY_OK)
        assert_non_null(strstr(keys_jwks(k), json_string_value(json_object_get(from, "x"))));
    else
        assert_non_null(strstr(err, "belong together"));
    keys_free(k);
    json_decref(first);
    json_decref(second);
}

static void test_file_that_cannot_be(void **state)
{
    (void)state;
    struct keys *k;
    char err[512] = "";
    assert_int_equal(keys_load("/tmp/no-such-directory-of-teddy/keys.json", JWT_HS256, REFRESH, NOW,
                               &k, err, sizeof err),
                     TEDDY_EIO);
    assert_non_null(strstr(err, "no-such-directory"));
    assert_int_equal(keys_load(dir, JWT_HS256, REFRESH, NOW, &k, err, sizeof err), TEDDY_EPROTO);
    char *big = malloc(70001);
    memset(big, ' ', 70000);
    big[70000] = 0;
    put_file(big, 0600);
    free(big);
    assert_int_equal(keys_load(path, JWT_HS256, REFRESH, NOW, &k, err, sizeof err), TEDDY_ETOOBIG);
    assert_non_null(strstr(err, "larger than"));
}

/* ---- Threads ---- */

static void *sign_many(void *arg)
{
    const struct keys *k = arg;
    struct device_row d = {.row = 1, .device_id = "toy"};
    struct family_row f;
    struct jwt t;
    char token[LIMIT_TOKEN_LEN + 1];
    for (int i = 0; i < 300; i++)
        if (family_new(&policy, &d, "kid", NOW, &f) != TEDDY_OK ||
            token_sign(k, &policy, &f, &f.pair, JWT_ACCESS, token) != TEDDY_OK ||
            token_check(k, &policy, span_of(token), JWT_ACCESS, NOW, &t) != TEDDY_OK)
            return arg;
    return NULL;
}

static void test_threads_share_keys(void **state)
{
    (void)state;
    for (int alg = JWT_HS256; alg <= JWT_ES256; alg++) {
        pthread_t threads[4];
        struct keys *k = load_at((enum jwt_alg)alg, NOW);
        for (int i = 0; i < 4; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, sign_many, k), 0);
        for (int i = 0; i < 4; i++) {
            void *wrong;
            pthread_join(threads[i], &wrong);
            assert_null(wrong);
        }
        keys_free(k);
    }
}

/* An independent implementation reads what we sign (skipped where Debian's python3-jwt is not
 * installed). */
static void test_pyjwt_verifies(void **state)
{
    (void)state;
    static const char script[] =
        "import json,sys\n"
        "try:\n import jwt\n"
        "except ImportError: sys.exit(77)\n"
        "keys={k['kid']:k for k in json.load(open(sys.argv[1]))['keys']}\n"
        "for token,alg in ((sys.argv[2],'HS256'),(sys.argv[3],'ES256')):\n"
        " h=jwt.get_unverified_header(token)\n"
        " assert h=={'alg':alg,'kid':h['kid'],'typ':'JWT'},h\n"
        " jwk={n:v for n,v in keys[h['kid']].items() if n!='d'}\n"
        " c=jwt.decode(token,jwt.PyJWK(jwk).key,algorithms=[alg],audience='teddy-devices',issuer='"
        "teddy',options={'verify_exp':False,'verify_iat':False})\n"
        " assert sorted(c)==['aud','exp','iat','iss','jti','sid','sub','use'],c\n"
        " assert c['sub']=='toy:kid' and c['use']=='access' and c['exp']-c['iat']==3600,c\n";
    struct family_row f = family("toy", "kid");
    char hs[LIMIT_TOKEN_LEN + 1], es[LIMIT_TOKEN_LEN + 1];
    struct keys *k = load_at(JWT_HS256, NOW);
    sign(k, &f, JWT_ACCESS, hs);
    keys_free(k);
    k = load_at(JWT_ES256, NOW);
    sign(k, &f, JWT_ACCESS, es);
    keys_free(k);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        unsetenv("LD_PRELOAD");
        execl("/usr/bin/python3", "python3", "-c", script, path, hs, es, (char *)NULL);
        _exit(77);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip();
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_hs256),
        T(test_es256),
        T(test_es256_signatures_have_one_length),
        T(test_longest_ids_fit),
        T(test_every_change_is_refused),
        T(test_another_issuer_or_audience),
        T(test_algorithm_confusion),
        T(test_unknown_kid_and_foreign_key),
        T(test_ids_of_another_form),
        T(test_families_are_fresh_and_ordered),
        T(test_file_is_made_private_and_read_again),
        T(test_others_may_not_read_it),
        T(test_changing_the_algorithm),
        T(test_back_to_a_key_that_still_counts),
        T(test_newest_signs_and_extra_fields_stay),
        T(test_public_jwks),
        T(test_bad_files),
        T(test_parts_of_different_keys),
        T(test_file_that_cannot_be),
        T(test_threads_share_keys),
        T(test_pyjwt_verifies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
