/* The key file: how it is made, read, kept in step, and refused. */
#include "identity/test_tokens.h"

#include <cjose/cjose.h>
#include <fcntl.h>
#include <jansson.h>
#include <sys/stat.h>

#include "identity/keyring.h"

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

static void test_a_shorter_life_leaves_older_tokens_theirs(void **state)
{
    (void)state;
    struct family_row f = family("toy", "kid");
    char hs[LIMIT_TOKEN_LEN + 1], err[256];
    struct keys *k = load_at(JWT_HS256, NOW);
    sign(k, &f, JWT_REFRESH, hs);
    keys_free(k);
    /* Tokens live a minute from here on, and soon another key signs them. */
    uint64_t signs = NOW + JWKS_MAX_AGE_S + KEYRING_SLACK_S;
    uint64_t until = signs + REFRESH + KEYRING_SLACK_S, at[] = {NOW, signs, signs + 1, until - 1};
    for (size_t i = 0; i < sizeof at / sizeof at[0]; i++) {
        assert_int_equal(keys_load(path, JWT_ES256, 60, at[i], &k, err, sizeof err), TEDDY_OK);
        assert_int_equal(check(k, hs, JWT_REFRESH, NOW), TEDDY_OK);
        keys_free(k);
    }
    assert_int_equal(keys_load(path, JWT_ES256, 60, until, &k, err, sizeof err), TEDDY_OK);
    assert_int_equal(check(k, hs, JWT_REFRESH, NOW), TEDDY_EAUTH);
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
    json_object_set_new(doc, "comment", json_string("kept"));
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
        {"{\"keys\":[" HS("\"alg\":\"HS256\",\"kid\":\"a\",\"iat\":1,\"signs_at\":-1") "]}",
         "signs_at"},
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

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_file_is_made_private_and_read_again),
        T(test_others_may_not_read_it),
        T(test_a_shorter_life_leaves_older_tokens_theirs),
        T(test_newest_signs_and_extra_fields_stay),
        T(test_public_jwks),
        T(test_bad_files),
        T(test_parts_of_different_keys),
        T(test_file_that_cannot_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
