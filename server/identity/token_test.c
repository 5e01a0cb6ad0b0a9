/* Tokens as they are signed and refused. */
#include "identity/test_tokens.h"

#include <openssl/hmac.h>
#include <pthread.h>
#include <sys/wait.h>

#include "identity/rules.h"
#include "proto/text.h"

static void sign_and_check(enum jwt_alg alg)
{
    struct keys *k = load_signing(alg, NOW);
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
    struct keys *k = load_signing(JWT_ES256, NOW);
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
        struct keys *k = load_signing((enum jwt_alg)alg, NOW);
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
    struct keys *k = load_signing(alg, NOW);
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
    struct keys *k = load_signing(JWT_HS256, NOW);
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
    struct keys *k = load_signing(JWT_ES256, NOW);
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
    struct keys *k = load_signing(JWT_HS256, NOW);
    struct family_row f = family("toy", "kid");
    char token[LIMIT_TOKEN_LEN + 1];
    sign(k, &f, JWT_ACCESS, token);
    assert_int_equal(unlink(path), 0);
    struct keys *other = load_signing(JWT_HS256, NOW);
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
    struct family_row a, b, later;
    assert_int_equal(family_new(&policy, "toy", "kid", NOW, &a), TEDDY_OK);
    assert_int_equal(family_new(&policy, "toy", "kid", NOW, &b), TEDDY_OK);
    assert_int_equal(family_new(&policy, "toy", "kid", NOW + 1, &later), TEDDY_OK);
    assert_memory_not_equal(a.sid, b.sid, sizeof a.sid);
    assert_memory_not_equal(a.pair.access_jti, a.pair.refresh_jti, STORE_JTI_LEN);
    assert_true(memcmp(a.sid, later.sid, sizeof a.sid) < 0);
    assert_string_equal(a.device_id, "toy");
    assert_int_equal(a.pair.refresh_exp_s, NOW + REFRESH);
}

/* ---- Threads ---- */

static void *sign_many(void *arg)
{
    const struct keys *k = arg;
    struct family_row f;
    struct jwt t;
    char token[LIMIT_TOKEN_LEN + 1];
    for (int i = 0; i < 300; i++)
        if (family_new(&policy, "toy", "kid", NOW, &f) != TEDDY_OK ||
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
        struct keys *k = load_signing((enum jwt_alg)alg, NOW);
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
    struct keys *k = load_signing(JWT_HS256, NOW);
    sign(k, &f, JWT_ACCESS, hs);
    keys_free(k);
    k = load_signing(JWT_ES256, NOW);
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
        T(test_threads_share_keys),
        T(test_pyjwt_verifies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
