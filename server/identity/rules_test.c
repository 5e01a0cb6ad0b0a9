/* Every row of the claim's checks 3 to 6 and 8 and of the refresh rules, on a real store. */
#include "store/test_store.h"

#include "identity/rules.h"
#include "proto/text.h"

#define NOW 1763683200u

static const struct token_policy policy = {"teddy", "toys", 3600, 5184000};
static struct place place;
static struct store *store;

/* The vectors of docs/protocol.md. */
static const char secret_hex[] = "a1b2c3d4e5f6789012345678901234567890abcdef1234567890abcdef123456";
#define DEVICE "Teddy-ESP32-0001"
#define CHILD  "child123"

static int add_vector_device(struct store_tx *tx, void *arg)
{
    uint8_t secret[LIMIT_SECRET_LEN];
    (void)arg;
    assert_int_equal(hex_decode(span_of(secret_hex), secret, sizeof secret), TEDDY_OK);
    return store_device_add(tx, DEVICE, secret, NOW);
}

static int setup(void **state)
{
    (void)state;
    place_make(&place);
    store = must_open(&(struct store_options){.path = place.path, .unsafe_no_sync = true});
    return in_write(store, add_vector_device, NULL);
}

static int teardown(void **state)
{
    (void)state;
    store_close(store);
    place_remove(&place);
    return 0;
}

struct work {
    struct claim claim;
    enum claim_policy policy;
    bool unwelcome; /* the limit says no */
    unsigned asked;
    struct family_row family;
    struct jwt token;
    uint8_t sid[STORE_JTI_LEN], jti[STORE_JTI_LEN];
    struct pair_row fresh, out;
    uint64_t now_s;
    bool may_write;
    enum verdict verdict;
};

static struct claim claim_with(const char *child, const char *nonce, const char *hmac_hex)
{
    struct claim c = {0};
    snprintf(c.device_id, sizeof c.device_id, DEVICE);
    snprintf(c.child_id, sizeof c.child_id, "%s", child);
    snprintf(c.nonce, sizeof c.nonce, "%s", nonce);
    c.mac_well_formed = hex_decode(span_of(hmac_hex), c.mac, sizeof c.mac) == TEDDY_OK;
    return c;
}

static struct claim signed_claim(const char *child, const char *nonce, bool decoded)
{
    struct claim c = claim_with(child, nonce, "");
    uint8_t message[CLAIM_SIGNED_MAX], secret[LIMIT_SECRET_LEN];
    assert_int_equal(hex_decode(span_of(secret_hex), secret, sizeof secret), TEDDY_OK);
    size_t len = claim_signed_bytes(c.device_id, c.child_id, c.nonce, decoded, message);
    assert_true(len > 0);
    assert_int_equal(identity_hmac_sha256(secret, sizeof secret, message, len, c.mac), TEDDY_OK);
    c.mac_well_formed = true;
    return c;
}

static int run_check(struct store_tx *tx, void *arg)
{
    struct work *w = arg;
    return claim_check(tx, &w->claim, w->policy, &w->verdict);
}

static bool admit(void *arg)
{
    struct work *w = arg;
    w->asked++;
    return !w->unwelcome;
}

static int run_commit(struct store_tx *tx, void *arg)
{
    struct work *w = arg;
    w->asked = 0;
    return claim_commit(tx, &w->claim, w->policy, &w->family, NOW, admit, w, &w->verdict);
}

static enum verdict check(struct work *w)
{
    w->verdict = (enum verdict)99;
    assert_int_equal(in_read(store, run_check, w), TEDDY_OK);
    return w->verdict;
}

static enum verdict commit(struct work *w)
{
    w->verdict = (enum verdict)99;
    assert_int_equal(family_new(&policy, w->claim.device_id, w->claim.child_id, NOW, &w->family),
                     TEDDY_OK);
    int err = in_write(store, run_commit, w);
    assert_true(err == TEDDY_OK || (err == TEDDY_EDUP && w->verdict == VERDICT_NONCE_REPLAYED));
    return w->verdict;
}

static enum verdict claim(struct work *w)
{
    return check(w) == VERDICT_OK ? commit(w) : w->verdict;
}

static int disable(struct store_tx *tx, void *arg)
{
    return store_device_enable(tx, DEVICE, *(bool *)arg);
}

static void set_enabled(bool enabled)
{
    assert_int_equal(in_write(store, disable, &enabled), TEDDY_OK);
}

static int run_remove(struct store_tx *tx, void *arg)
{
    (void)arg;
    return store_device_remove(tx, DEVICE);
}

static int run_new_secret(struct store_tx *tx, void *arg)
{
    uint8_t secret[LIMIT_SECRET_LEN];
    secret_of(*(unsigned *)arg, secret);
    return store_device_secret(tx, DEVICE, secret);
}

static int run_release(struct store_tx *tx, void *arg)
{
    (void)arg;
    return store_device_release(tx, DEVICE);
}

static int run_get_device(struct store_tx *tx, void *arg)
{
    return store_device_get(tx, DEVICE, arg);
}

static int run_get_family(struct store_tx *tx, void *arg)
{
    struct family_row *f = arg;
    uint8_t sid[STORE_JTI_LEN];
    memcpy(sid, f->sid, sizeof sid);
    return store_family_get(tx, DEVICE, sid, f);
}

/* ---- Claim ---- */

static void test_vectors(void **state)
{
    (void)state;
    static const char *const vectors[][2] = {
        {"random_nonce", "1dba426218eb94999b7c878af626d32d3f4614e6b02bab2e2319509c866509f3"},
        {"1763683200000000", "B05358D9E1139CD670A2896CB36916D2988CDF10ADDE24F260F116D674FC2268"},
        {"000102030405060708090a0b0c0d0e0f",
         "d93a9301bd3a3e7213319733f2d31753d1d04e8d34a92f3b3a4d352a64833ec8"},
        {"000102030405060708090a0b0c0d0e0f",
         "76865309683ac175b923f83037d6dba866e364ab7198ca987b42457ac404c787"},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct work w = {.claim = claim_with(CHILD, vectors[i][0], vectors[i][1])};
        assert_int_equal(check(&w), VERDICT_OK);
    }
}

static void test_signature(void **state)
{
    (void)state;
    struct work w = {.claim = signed_claim(CHILD, "nonce-0001", false)};
    for (size_t i = 0; i < 8 * LIMIT_MAC_LEN; i++) {
        w.claim.mac[i / 8] ^= (uint8_t)(1u << i % 8);
        assert_int_equal(check(&w), VERDICT_INVALID_SIGNATURE);
        w.claim.mac[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    assert_int_equal(check(&w), VERDICT_OK);
    w.claim.mac_well_formed = false;
    assert_int_equal(check(&w), VERDICT_INVALID_SIGNATURE);
    w.claim = claim_with(CHILD, "nonce-0001", "not hex at all");
    assert_int_equal(check(&w), VERDICT_INVALID_SIGNATURE);
    w.claim = signed_claim("other", "nonce-0001", false);
    snprintf(w.claim.child_id, sizeof w.claim.child_id, CHILD);
    assert_int_equal(check(&w), VERDICT_INVALID_SIGNATURE);
    /* What a nonce without a decoded form must not be: a MAC of nothing. */
    uint8_t secret[LIMIT_SECRET_LEN];
    assert_int_equal(hex_decode(span_of(secret_hex), secret, sizeof secret), TEDDY_OK);
    w.claim = signed_claim(CHILD, "nonce-0001", false);
    assert_int_equal(
        identity_hmac_sha256(secret, sizeof secret, (const uint8_t *)"", 0, w.claim.mac), TEDDY_OK);
    assert_int_equal(check(&w), VERDICT_INVALID_SIGNATURE);
}

static void test_check_leaves_no_secret(void **state)
{
    (void)state;
    uint8_t secret[LIMIT_SECRET_LEN];
    assert_int_equal(hex_decode(span_of(secret_hex), secret, sizeof secret), TEDDY_OK);
    struct work w = {.claim = signed_claim(CHILD, "nonce-0001", false)};
    assert_int_equal(check(&w), VERDICT_OK);
    assert_null(memmem(&w, sizeof w, secret, sizeof secret));
    w.claim.mac[0] ^= 1;
    assert_int_equal(check(&w), VERDICT_INVALID_SIGNATURE);
    assert_null(memmem(&w, sizeof w, secret, sizeof secret));
}

/* 404 before 401 before 403 before 409. */
static void test_order(void **state)
{
    (void)state;
    struct work w = {.claim = signed_claim(CHILD, "nonce-0001", false)};
    assert_int_equal(claim(&w), VERDICT_OK);
    assert_int_equal(check(&w), VERDICT_NONCE_REPLAYED);
    set_enabled(false);
    assert_int_equal(check(&w), VERDICT_DEVICE_DISABLED);
    w.claim.mac[0] ^= 1;
    assert_int_equal(check(&w), VERDICT_INVALID_SIGNATURE);
    snprintf(w.claim.device_id, sizeof w.claim.device_id, "Teddy-ESP32-0002");
    assert_true(check(&w) == VERDICT_DEVICE_NOT_FOUND && commit(&w) == VERDICT_DEVICE_NOT_FOUND);
    set_enabled(true);
    w.claim = signed_claim("child456", "nonce-0001", false);
    assert_int_equal(check(&w), VERDICT_RELEASE_REQUIRED); /* before the replay */
    set_enabled(false);
    assert_int_equal(check(&w), VERDICT_DEVICE_DISABLED);
}

static void test_replay_of_the_nonce(void **state)
{
    (void)state;
    struct work w = {.claim = signed_claim(CHILD, "000102030405060708090a0b0c0d0e0f", false)};
    assert_int_equal(claim(&w), VERDICT_OK);
    assert_int_equal(check(&w), VERDICT_NONCE_REPLAYED);
    w.claim =
        signed_claim(CHILD, "000102030405060708090a0b0c0d0e0f", true); /* same nonce, another MAC */
    assert_int_equal(check(&w), VERDICT_NONCE_REPLAYED);
    assert_int_equal(commit(&w), VERDICT_NONCE_REPLAYED);
    assert_int_equal(commit(&w), VERDICT_NONCE_REPLAYED); /* what it had written was undone */
}

static void test_no_key_is_nobodys_key(void **state)
{
    static const uint8_t key[32] = {1}, message[] = "message";
    uint8_t mac[32];
    (void)state;
    assert_int_equal(identity_hmac_sha256(key, sizeof key, message, sizeof message, mac), TEDDY_OK);
    assert_int_equal(identity_hmac_sha256(NULL, 0, message, sizeof message, mac), TEDDY_EIO);
}

static void assert_mac(uint8_t key_byte, size_t key_len, const char *message, const char *want)
{
    uint8_t key[131], mac[32], wanted[32];
    memset(key, key_byte, sizeof key);
    assert_int_equal(hex_decode(span_of(want), wanted, sizeof wanted), TEDDY_OK);
    assert_int_equal(
        identity_hmac_sha256(key, key_len, (const uint8_t *)message, strlen(message), mac),
        TEDDY_OK);
    assert_memory_equal(mac, wanted, sizeof mac);
}

/* RFC 4231, and keys as long as a block and as short as can be (Python's hmac). */
static void test_hmac(void **state)
{
    (void)state;
    assert_mac(0x0b, 20, "Hi There",
               "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    assert_mac(0xaa, 131, "Test Using Larger Than Block-Size Key - Hash Key First",
               "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    assert_mac(0x01, 64, "", "11581ebc1f05ecefdee13d63845c1a43b219a7bc8e0e90d3396baeb2a55677d7");
    assert_mac(0x01, 65, "x", "fa34864aa49f680b10d9dd4d77db4bf268cdc0fe6e204c10fb63c62738e69497");
    assert_mac(0x01, 1, "x", "c047076aa16f2318a96505bd73d7f2aed7457f649b4f5da74882775b35ac8563");
}

static void test_replay_of_the_mac(void **state)
{
    (void)state;
    struct work w = {.policy = CLAIM_ALLOW, .claim = signed_claim("child12", "3nonce-0001", false)};
    assert_int_equal(claim(&w), VERDICT_OK);
    w.claim = signed_claim("child123", "nonce-0001",
                           false); /* the boundary shifted: the same bytes signed */
    assert_int_equal(check(&w), VERDICT_NONCE_REPLAYED);
    assert_int_equal(commit(&w), VERDICT_NONCE_REPLAYED);
    /* The same 16 bytes under other letters of hex. */
    w.claim = signed_claim("child12", "a0b1c2d3e4f5061728394a5b6c7d8e9f", true);
    assert_int_equal(claim(&w), VERDICT_OK);
    w.claim = signed_claim("child12", "A0B1C2D3E4F5061728394A5B6C7D8E9F", true);
    assert_int_equal(check(&w), VERDICT_NONCE_REPLAYED);
}

static void test_two_claims_at_once(void **state)
{
    (void)state;
    struct work a = {.claim = signed_claim(CHILD, "nonce-0001", false)}, b = a;
    assert_int_equal(check(&a), VERDICT_OK);
    assert_int_equal(check(&b), VERDICT_OK);
    assert_int_equal(commit(&a), VERDICT_OK);
    assert_int_equal(commit(&b), VERDICT_NONCE_REPLAYED);
    assert_int_equal(in_read(store, run_get_family, &b.family), TEDDY_OK);
    assert_true(b.family.revoked);
    assert_int_equal(in_read(store, run_get_family, &a.family), TEDDY_OK);
    assert_false(a.family.revoked);
}

static void test_binding(void **state)
{
    (void)state;
    struct work w = {.claim = signed_claim(CHILD, "nonce-0001", false)};
    struct device_row d;
    snprintf(w.claim.firmware_version, sizeof w.claim.firmware_version, "1.4.2");
    assert_int_equal(claim(&w), VERDICT_OK);
    assert_int_equal(in_read(store, run_get_device, &d), TEDDY_OK);
    assert_string_equal(d.child_id, CHILD);
    assert_string_equal(d.firmware_version, "1.4.2");
    assert_int_equal(d.claimed_s, NOW);
    w.claim = signed_claim(CHILD, "nonce-0002", false); /* the same child again is no move */
    assert_int_equal(claim(&w), VERDICT_OK);
    w.claim = signed_claim("child456", "nonce-0003", false);
    assert_int_equal(claim(&w), VERDICT_RELEASE_REQUIRED);
    w.policy = CLAIM_ALLOW;
    assert_int_equal(claim(&w), VERDICT_OK);
    w.policy = CLAIM_REQUIRE_RELEASE;
    w.claim = signed_claim(CHILD, "nonce-0004", false);
    assert_int_equal(claim(&w), VERDICT_RELEASE_REQUIRED);
    assert_int_equal(in_write(store, run_release, NULL), TEDDY_OK);
    assert_int_equal(claim(&w), VERDICT_OK);
}

/* The writer's job, without a check before it, of a toy that is new and of one that is bound. */
static void test_commit_checks_it_all(void **state)
{
    (void)state;
    struct work w = {0}, other = {.claim = signed_claim("child456", "nonce-0003", false)};
    for (int bound = 0; bound < 2; bound++) {
        w.claim = signed_claim(CHILD, bound ? "nonce-0002" : "nonce-0001", false);
        w.claim.mac[0] ^= 1;
        assert_int_equal(commit(&w), VERDICT_INVALID_SIGNATURE);
        w.claim.mac[0] ^= 1;
        set_enabled(false);
        assert_int_equal(commit(&w), VERDICT_DEVICE_DISABLED);
        assert_int_equal(w.asked, 0);
        set_enabled(true);
        w.unwelcome = true;
        assert_int_equal(commit(&w), VERDICT_OK); /* and yet: */
        assert_int_equal(in_read(store, run_get_family, &w.family), TEDDY_OK);
        assert_true(w.family.revoked);
        w.unwelcome = false;
        assert_int_equal(commit(&w), VERDICT_OK);
    }
    assert_int_equal(commit(&other), VERDICT_RELEASE_REQUIRED);
    assert_int_equal(in_read(store, run_get_family, &w.family), TEDDY_OK);
    assert_false(w.family.revoked);
    w.unwelcome = true;
    assert_int_equal(commit(&w), VERDICT_NONCE_REPLAYED);
}

static void test_every_nonce_stays_taken(void **state)
{
    (void)state;
    struct work w = {0};
    for (int n = 0; n < 60; n++) {
        char nonce[24];
        snprintf(nonce, sizeof nonce, "nonce-of-a-claim-%02d", n % 30);
        w.claim = signed_claim(CHILD, nonce, false);
        assert_int_equal(commit(&w), n < 30 ? VERDICT_OK : VERDICT_NONCE_REPLAYED);
        assert_int_equal(w.asked, 1);
    }
}

static void test_new_secret_clears_replays(void **state)
{
    (void)state;
    unsigned other = 77;
    struct work w = {.claim = signed_claim(CHILD, "nonce-0001", false)}, again = w;
    assert_int_equal(claim(&w), VERDICT_OK);
    assert_int_equal(in_write(store, run_new_secret, &other), TEDDY_OK);
    assert_int_equal(check(&again), VERDICT_INVALID_SIGNATURE);
    uint8_t secret[LIMIT_SECRET_LEN], message[CLAIM_SIGNED_MAX];
    secret_of(other, secret);
    size_t len = claim_signed_bytes(DEVICE, CHILD, "nonce-0001", false, message);
    assert_int_equal(identity_hmac_sha256(secret, sizeof secret, message, len, again.claim.mac),
                     TEDDY_OK);
    assert_int_equal(claim(&again), VERDICT_OK);
}

/* ---- Refresh and presenting ---- */

static int run_rotate(struct store_tx *tx, void *arg)
{
    struct work *w = arg;
    return token_rotate(tx, w->sid, w->jti, &w->token, &w->fresh, w->now_s, &w->family, &w->out,
                        &w->verdict);
}

static int run_present(struct store_tx *tx, void *arg)
{
    struct work *w = arg;
    return token_present(tx, w->may_write, w->sid, w->jti, &w->token, &w->family, &w->verdict);
}

/* A family of a fresh claim, and a work whose token belongs to it. */
static struct work paired(const char *nonce)
{
    struct work w = {.claim = signed_claim(CHILD, nonce, false), .now_s = NOW};
    assert_int_equal(claim(&w), VERDICT_OK);
    memcpy(w.sid, w.family.sid, sizeof w.sid);
    snprintf(w.token.device_id, sizeof w.token.device_id, DEVICE);
    snprintf(w.token.child_id, sizeof w.token.child_id, CHILD);
    w.out = w.family.pair;
    return w;
}

static enum verdict rotate(struct work *w, const uint8_t jti[STORE_JTI_LEN])
{
    memcpy(w->jti, jti, sizeof w->jti);
    assert_int_equal(pair_new(&policy, w->now_s, &w->fresh), TEDDY_OK);
    w->verdict = (enum verdict)99;
    assert_int_equal(in_write(store, run_rotate, w), TEDDY_OK);
    return w->verdict;
}

static enum verdict present(struct work *w, bool may_write, const uint8_t jti[STORE_JTI_LEN])
{
    memcpy(w->jti, jti, sizeof w->jti);
    w->may_write = may_write;
    w->verdict = (enum verdict)99;
    assert_int_equal(may_write ? in_write(store, run_present, w) : in_read(store, run_present, w),
                     TEDDY_OK);
    return w->verdict;
}

static void assert_family_revoked(const struct work *w, bool revoked)
{
    struct family_row f = {0};
    memcpy(f.sid, w->sid, sizeof f.sid);
    assert_int_equal(in_read(store, run_get_family, &f), TEDDY_OK);
    assert_int_equal(f.revoked, revoked);
}

static void test_rotation_and_the_lost_answer(void **state)
{
    (void)state;
    struct work w = paired("nonce-0001");
    struct pair_row first = w.out, second;
    assert_int_equal(rotate(&w, first.refresh_jti), VERDICT_OK);
    second = w.out;
    assert_memory_equal(&second, &w.fresh, sizeof second);
    assert_memory_not_equal(second.refresh_jti, first.refresh_jti, STORE_JTI_LEN);
    for (int i = 0; i < 3; i++) { /* as often as the answer is lost */
        w.now_s = NOW + 300u * (unsigned)i;
        assert_int_equal(rotate(&w, first.refresh_jti), VERDICT_OK);
        assert_memory_equal(&w.out, &second, sizeof second);
        assert_memory_equal(&w.family.pair, &second, sizeof second);
    }
    assert_family_revoked(&w, false);
    w.now_s = NOW + REFRESH_GRACE_S + 1;
    assert_int_equal(rotate(&w, first.refresh_jti), VERDICT_TOKEN_REUSED);
    assert_family_revoked(&w, true);
    assert_int_equal(rotate(&w, second.refresh_jti), VERDICT_TOKEN_REVOKED);
    assert_int_equal(rotate(&w, first.refresh_jti), VERDICT_TOKEN_REVOKED);
    assert_int_equal(present(&w, false, second.access_jti), VERDICT_TOKEN_REVOKED);
}

static void test_grace_survives_a_clock_set_back(void **state)
{
    (void)state;
    struct work w = paired("nonce-0001");
    struct pair_row first = w.out;
    assert_int_equal(rotate(&w, first.refresh_jti), VERDICT_OK);
    w.now_s = NOW - 3600;
    assert_int_equal(rotate(&w, first.refresh_jti), VERDICT_OK);
}

static void test_presenting_the_access_token_ends_the_grace(void **state)
{
    (void)state;
    struct work w = paired("nonce-0001");
    struct pair_row first = w.out, second;
    assert_int_equal(present(&w, false, first.access_jti),
                     VERDICT_OK); /* no rotation yet: nothing to record */
    assert_int_equal(rotate(&w, first.refresh_jti), VERDICT_OK);
    second = w.out;
    assert_int_equal(present(&w, false, first.access_jti),
                     VERDICT_OK); /* the older one, until it expires */
    assert_int_equal(rotate(&w, first.refresh_jti), VERDICT_OK); /* and that ended no grace */
    assert_int_equal(present(&w, false, second.access_jti), VERDICT_MUST_RECORD);
    assert_int_equal(present(&w, false, second.access_jti), VERDICT_MUST_RECORD);
    assert_int_equal(present(&w, true, second.access_jti), VERDICT_OK);
    assert_true(w.family.presented);
    assert_int_equal(present(&w, false, second.access_jti), VERDICT_OK);
    assert_int_equal(rotate(&w, first.refresh_jti), VERDICT_TOKEN_REUSED);
    assert_family_revoked(&w, true);
}

static void test_presenting_the_refresh_token_ends_the_grace(void **state)
{
    (void)state;
    struct work w = paired("nonce-0001");
    struct pair_row first = w.out, second, third;
    assert_int_equal(rotate(&w, first.refresh_jti), VERDICT_OK);
    second = w.out;
    assert_int_equal(rotate(&w, second.refresh_jti), VERDICT_OK);
    third = w.out;
    assert_int_equal(rotate(&w, second.refresh_jti), VERDICT_OK); /* a grace of its own */
    assert_memory_equal(&w.out, &third, sizeof third);
    assert_int_equal(rotate(&w, first.refresh_jti), VERDICT_TOKEN_REUSED);
    assert_int_equal(rotate(&w, third.refresh_jti), VERDICT_TOKEN_REVOKED);
}

static void test_a_new_claim_supersedes(void **state)
{
    (void)state;
    struct work old = paired("nonce-0001"), new = paired("nonce-0002");
    assert_int_equal(rotate(&old, old.out.refresh_jti), VERDICT_TOKEN_REVOKED);
    assert_int_equal(present(&new, false, new.out.access_jti), VERDICT_OK);
    assert_int_equal(rotate(&new, new.out.refresh_jti), VERDICT_OK);
}

static void test_strange_tokens(void **state)
{
    (void)state;
    struct work w = paired("nonce-0001");
    struct pair_row pair = w.out;
    uint8_t unknown[STORE_JTI_LEN] = {0xde, 0xad};
    snprintf(w.token.device_id, sizeof w.token.device_id, "Teddy-ESP32-0002");
    assert_int_equal(present(&w, false, pair.access_jti), VERDICT_TOKEN_REVOKED);
    assert_int_equal(rotate(&w, unknown), VERDICT_TOKEN_REVOKED);
    snprintf(w.token.device_id, sizeof w.token.device_id, DEVICE);
    snprintf(w.token.child_id, sizeof w.token.child_id, "child12");
    assert_int_equal(rotate(&w, pair.refresh_jti), VERDICT_WRONG_DEVICE);
    assert_int_equal(rotate(&w, unknown), VERDICT_WRONG_DEVICE); /* and nothing is revoked by it */
    snprintf(w.token.child_id, sizeof w.token.child_id, CHILD);
    assert_family_revoked(&w, false);
    set_enabled(false);
    assert_int_equal(present(&w, false, pair.access_jti), VERDICT_DEVICE_DISABLED);
    assert_int_equal(rotate(&w, pair.refresh_jti), VERDICT_DEVICE_DISABLED);
    assert_int_equal(rotate(&w, unknown), VERDICT_DEVICE_DISABLED);
    set_enabled(true);
    assert_int_equal(present(&w, false, pair.access_jti), VERDICT_OK);
    assert_int_equal(rotate(&w, pair.access_jti),
                     VERDICT_TOKEN_REUSED); /* no refresh token of this family now */
    struct work other = paired("nonce-0002");
    memcpy(w.sid, unknown, sizeof unknown);
    assert_int_equal(rotate(&w, pair.refresh_jti), VERDICT_TOKEN_REVOKED);
    assert_int_equal(present(&w, true, pair.access_jti), VERDICT_TOKEN_REVOKED);
    assert_int_equal(in_write(store, run_remove, NULL), TEDDY_OK);
    assert_int_equal(present(&other, false, other.out.access_jti), VERDICT_TOKEN_REVOKED);
    assert_int_equal(rotate(&other, other.out.refresh_jti), VERDICT_TOKEN_REVOKED);
}

static void test_release_and_new_secret_revoke(void **state)
{
    (void)state;
    unsigned other = 5;
    struct work w = paired("nonce-0001");
    assert_int_equal(in_write(store, run_release, NULL), TEDDY_OK);
    assert_int_equal(present(&w, false, w.out.access_jti), VERDICT_TOKEN_REVOKED);
    w = paired("nonce-0002");
    assert_int_equal(in_write(store, run_new_secret, &other), TEDDY_OK);
    assert_int_equal(rotate(&w, w.out.refresh_jti), VERDICT_TOKEN_REVOKED);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_vectors),
        T(test_signature),
        T(test_check_leaves_no_secret),
        T(test_order),
        T(test_replay_of_the_nonce),
        cmocka_unit_test(test_no_key_is_nobodys_key),
        cmocka_unit_test(test_hmac),
        T(test_replay_of_the_mac),
        T(test_two_claims_at_once),
        T(test_binding),
        T(test_commit_checks_it_all),
        T(test_every_nonce_stays_taken),
        T(test_new_secret_clears_replays),
        T(test_rotation_and_the_lost_answer),
        T(test_grace_survives_a_clock_set_back),
        T(test_presenting_the_access_token_ends_the_grace),
        T(test_presenting_the_refresh_token_ends_the_grace),
        T(test_a_new_claim_supersedes),
        T(test_strange_tokens),
        T(test_release_and_new_secret_revoke),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
