/* The power fails while toys claim and refresh from several threads: whatever was answered with
 * success must be there afterwards, and nothing half. The disk is tests/lib/lossy_vfs.h, the store
 * and the rules are the real ones. */
#include "store/test_store.h"

#include <pthread.h>
#include <sqlite3.h>
#include <time.h>

#include "identity/rules.h"
#include "proto/text.h"
#include "tests/lib/lossy_vfs.h"

enum { THREADS = 6, TOYS_EACH = 3, TOYS = THREADS * TOYS_EACH, OPS_MAX = 400 };

static const struct token_policy policy = {"teddy", "toys", 3600, 5184000};
#define NOW 1763683200u

enum flight { NOTHING, A_CLAIM, A_ROTATION, A_PRESENTATION };

/* What a toy was answered, and what it was waiting for when the power failed. */
struct toy {
    char id[32];
    uint8_t secret[LIMIT_SECRET_LEN];
    unsigned claims; /* answered; their nonces are numbered */
    bool claimed;
    struct family_row family; /* as the last answer left it */
    enum flight flight;
    struct family_row next; /* of the claim in flight */
    struct pair_row pair;   /* of the rotation in flight */
};

static struct place place;
static struct toy toys[TOYS];
static struct store *store;

struct shift {
    unsigned first;
    uint64_t random;
    const char *wrong;
};

static unsigned pick(uint64_t *random, unsigned n)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(*random >> 33) % n;
}

static void claim_of(const struct toy *t, unsigned number, struct claim *c)
{
    uint8_t message[CLAIM_SIGNED_MAX];
    *c = (struct claim){.mac_well_formed = true};
    snprintf(c->device_id, sizeof c->device_id, "%s", t->id);
    snprintf(c->child_id, sizeof c->child_id, "kid");
    snprintf(c->nonce, sizeof c->nonce, "nonce-%0100u", number); /* few fit beside each other */
    size_t len = claim_signed_bytes(c->device_id, c->child_id, c->nonce, false, message);
    assert_int_equal(identity_hmac_sha256(t->secret, sizeof t->secret, message, len, c->mac),
                     TEDDY_OK);
}

static struct jwt token_of(const struct toy *t)
{
    struct jwt token = {0};
    snprintf(token.device_id, sizeof token.device_id, "%s", t->id);
    snprintf(token.child_id, sizeof token.child_id, "kid");
    return token;
}

/* ---- The jobs, as the server runs them ---- */

struct work {
    struct toy *toy;
    struct claim claim;
    struct family_row family;
    struct pair_row pair, out;
    const uint8_t *jti;
    const char *wrong;
    enum verdict verdict;
};

static int run_check(struct store_tx *tx, void *arg)
{
    struct work *w = arg;
    return claim_check(tx, &w->claim, CLAIM_REQUIRE_RELEASE, &w->verdict);
}

static bool always(void *arg)
{
    (void)arg;
    return true;
}

static int run_claim(struct store_tx *tx, void *arg)
{
    struct work *w = arg;
    return claim_commit(tx, &w->claim, CLAIM_REQUIRE_RELEASE, &w->family, NOW, always, NULL,
                        &w->verdict);
}

static int run_rotate(struct store_tx *tx, void *arg)
{
    struct work *w = arg;
    struct jwt token = token_of(w->toy);
    return token_rotate(tx, w->toy->family.sid, w->jti, &token, &w->pair, NOW, &w->family, &w->out,
                        &w->verdict);
}

static int run_present(struct store_tx *tx, void *arg)
{
    struct work *w = arg;
    struct jwt token = token_of(w->toy);
    return token_present(tx, true, w->toy->family.sid, w->toy->family.pair.access_jti, &token,
                         &w->family, &w->verdict);
}

/* Each returns NULL, or what is wrong; *power turns false when the store failed. */
static const char *do_claim(struct toy *t, bool *power)
{
    struct work w = {.toy = t};
    claim_of(t, t->claims, &w.claim);
    if (family_new(&policy, w.claim.device_id, "kid", NOW, &w.family) != TEDDY_OK)
        return "no entropy";
    t->next = w.family;
    t->flight = A_CLAIM;
    int err = in_write(store, run_claim, &w);
    *power = err != TEDDY_ESTORE;
    if (!*power)
        return NULL;
    if (err != TEDDY_OK || w.verdict != VERDICT_OK)
        return "a new claim was refused";
    t->flight = NOTHING;
    t->claims++;
    t->claimed = true;
    t->family = w.family;
    return NULL;
}

static const char *do_rotate(struct toy *t, bool *power)
{
    struct work w = {.toy = t, .jti = t->family.pair.refresh_jti};
    if (pair_new(&policy, NOW, &w.pair) != TEDDY_OK)
        return "no entropy";
    t->pair = w.pair;
    t->flight = A_ROTATION;
    *power = in_write(store, run_rotate, &w) == TEDDY_OK;
    if (!*power)
        return NULL;
    if (w.verdict != VERDICT_OK || memcmp(&w.out, &t->pair, sizeof w.out) != 0)
        return "the current refresh token was refused";
    t->flight = NOTHING;
    t->family = w.family;
    return NULL;
}

/* The answer was lost on its way: the spent token once more. */
static const char *do_ask_again(struct toy *t, bool *power)
{
    struct work w = {.toy = t, .jti = t->family.spent_jti};
    if (!t->family.has_spent || t->family.presented)
        return NULL;
    *power = in_write(store, run_rotate, &w) == TEDDY_OK;
    if (*power && (w.verdict != VERDICT_OK || memcmp(&w.out, &t->family.pair, sizeof w.out) != 0))
        return "the spent token did not get its successor";
    return NULL;
}

static const char *do_present(struct toy *t, bool *power)
{
    struct work w = {.toy = t};
    t->flight = A_PRESENTATION;
    *power = in_write(store, run_present, &w) == TEDDY_OK;
    if (!*power)
        return NULL;
    if (w.verdict != VERDICT_OK)
        return "a good access token was refused";
    t->flight = NOTHING;
    t->family = w.family;
    return NULL;
}

static void *work_until_dark(void *arg)
{
    struct shift *s = arg;
    bool power = true;
    for (unsigned i = 0; i < OPS_MAX && power && s->wrong == NULL; i++) {
        struct toy *t = &toys[s->first + pick(&s->random, TOYS_EACH)];
        unsigned what = t->claimed ? pick(&s->random, 8) : 0;
        if (what < 2)
            s->wrong = do_claim(t, &power);
        else if (what < 5)
            s->wrong = do_rotate(t, &power);
        else
            s->wrong = what < 7 ? do_ask_again(t, &power) : do_present(t, &power);
    }
    return NULL;
}

/* ---- After the power came back ---- */

static bool key_seen(struct store_tx *tx, const struct device_row *device, const char *nonce,
                     const uint8_t mac[LIMIT_MAC_LEN])
{
    bool seen = false;
    return store_claim_seen(tx, device, nonce, mac, &seen) == TEDDY_OK && seen;
}

/* 1: the claim is there, 0: it is not, -1: half of it. */
static int claim_there(struct store_tx *tx, const struct toy *t, const struct device_row *device,
                       unsigned number)
{
    static const uint8_t no_mac[LIMIT_MAC_LEN];
    struct claim c;
    claim_of(t, number, &c);
    bool nonce = key_seen(tx, device, c.nonce, no_mac),
         mac = key_seen(tx, device, "no-such-nonce", c.mac);
    return nonce == mac ? nonce : -1;
}

static const char *check_flying_claim(struct store_tx *tx, struct toy *t,
                                      const struct device_row *device)
{
    struct family_row f;
    int there = claim_there(tx, t, device, t->claims);
    bool family = store_family_get(tx, t->id, t->next.sid, &f) == TEDDY_OK && !f.revoked;
    if (there < 0 || (there == 1) != family)
        return "half a claim";
    if (!family)
        return NULL;
    if (t->claimed && (store_family_get(tx, t->id, t->family.sid, &f) != TEDDY_OK || !f.revoked))
        return "a claim that superseded nothing";
    t->claims++;
    t->claimed = true;
    t->family = t->next;
    return NULL;
}

static const char *check_family(struct store_tx *tx, struct toy *t)
{
    struct family_row f;
    const struct family_row *want = &t->family;
    if (store_family_get(tx, t->id, want->sid, &f) != TEDDY_OK)
        return "an answered family is unknown";
    if (f.revoked)
        return "an answered family is revoked";
    if (t->flight == A_ROTATION && memcmp(&f.pair, &t->pair, sizeof f.pair) == 0) {
        if (!f.has_spent || f.presented ||
            memcmp(f.spent_jti, want->pair.refresh_jti, STORE_JTI_LEN) != 0)
            return "half a rotation";
    } else if (memcmp(&f.pair, &want->pair, sizeof f.pair) != 0 || f.has_spent != want->has_spent ||
               memcmp(f.spent_jti, want->spent_jti, STORE_JTI_LEN) != 0) {
        return "an answered rotation is unknown";
    } else if (f.presented != want->presented && t->flight != A_PRESENTATION) {
        return "an answered presentation is unknown";
    }
    t->family = f;
    return NULL;
}

static int check_toy(struct store_tx *tx, void *arg)
{
    struct work *w = arg;
    struct toy *t = w->toy;
    const char **wrong = &w->wrong;
    struct device_row device;
    if (store_device_get(tx, t->id, &device) != TEDDY_OK) {
        *wrong = "a registered device is unknown";
        return TEDDY_OK;
    }
    for (unsigned n = 0; n < t->claims; n++)
        if (claim_there(tx, t, &device, n) != 1) {
            *wrong = "an answered claim is unknown";
            return TEDDY_OK;
        }
    *wrong = t->flight == A_CLAIM ? check_flying_claim(tx, t, &device) : NULL;
    if (*wrong == NULL && t->claimed)
        *wrong = strcmp(device.child_id, "kid") == 0 ? check_family(tx, t)
                                                     : "an answered binding is unknown";
    return TEDDY_OK;
}

/* Life goes on as the answers promised. */
static const char *check_rules(struct toy *t)
{
    struct work w = {.toy = t};
    bool power = true;
    if (t->claims > 0) {
        claim_of(t, t->claims - 1, &w.claim);
        if (in_read(store, run_check, &w) != TEDDY_OK || w.verdict != VERDICT_NONCE_REPLAYED)
            return "an answered nonce is not a replay";
    }
    const char *wrong = t->claimed ? do_ask_again(t, &power) : NULL;
    if (wrong == NULL && t->claimed)
        wrong = do_rotate(t, &power);
    if (wrong == NULL)
        wrong = do_claim(t, &power);
    return wrong != NULL || power ? wrong : "the store fails after the power came back";
}

static const char *check_all(const struct store_options *o)
{
    char err[512];
    const char *wrong = NULL;
    if (store_open(o, &store, err, sizeof err) != TEDDY_OK)
        return "the store does not open";
    for (unsigned i = 0; i < TOYS && wrong == NULL; i++) {
        struct work w = {.toy = &toys[i]};
        if (in_read(store, check_toy, &w) != TEDDY_OK)
            wrong = "the store cannot be read";
        else
            wrong = w.wrong;
        if (wrong == NULL)
            wrong = check_rules(&toys[i]);
    }
    store_close(store);
    return wrong;
}

static const char *check_integrity(void)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    bool ok = sqlite3_open_v2(place.path, &db, SQLITE_OPEN_READWRITE, LOSSY_VFS) == SQLITE_OK &&
              sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &st, NULL) == SQLITE_OK &&
              sqlite3_step(st) == SQLITE_ROW &&
              strcmp((const char *)sqlite3_column_text(st, 0), "ok") == 0;
    sqlite3_finalize(st);
    sqlite3_close(db);
    return ok ? NULL : "the database is damaged";
}

static int register_toy(struct store_tx *tx, void *arg)
{
    struct toy *t = arg;
    return store_device_add(tx, t->id, t->secret, NOW);
}

/* One life of a server, ended by the power; returns what is wrong afterwards, or NULL. */
static const char *live_and_die(uint64_t seed, bool unsynced, unsigned *answered)
{
    struct store_options o = {.path = place.path,
                              .master = test_master(),
                              .vfs = LOSSY_VFS,
                              .readers = 2,
                              .unsafe_no_sync = unsynced};
    struct shift shifts[THREADS];
    pthread_t threads[THREADS];
    uint64_t random = seed;
    const char *wrong = NULL;
    store = must_open(&o);
    memset(toys, 0, sizeof toys);
    for (unsigned i = 0; i < TOYS; i++) {
        snprintf(toys[i].id, sizeof toys[i].id, "toy-%u", i);
        secret_of(i, toys[i].secret);
        assert_int_equal(in_write(store, register_toy, &toys[i]), TEDDY_OK);
    }
    lossy_vfs_cut_after(1 + pick(&random, pick(&random, 2) ? 200 : 4000));
    for (unsigned i = 0; i < THREADS; i++) {
        shifts[i] = (struct shift){i * TOYS_EACH, seed * 31 + i, NULL};
        assert_int_equal(pthread_create(&threads[i], NULL, work_until_dark, &shifts[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        if (shifts[i].wrong != NULL)
            wrong = shifts[i].wrong;
    }
    lossy_vfs_cut();
    store_close(store);
    lossy_vfs_restart(pick(&random, 2) ? LOSSY_TEAR : LOSSY_DROP, seed);
    for (unsigned i = 0; i < TOYS; i++)
        *answered += toys[i].claims;
    if (wrong == NULL)
        wrong = check_integrity();
    return wrong != NULL ? wrong : check_all(&o);
}

static void forget_place(void)
{
    lossy_vfs_restart(LOSSY_DROP, 1);
    place_remove(&place);
}

static void test_no_answer_is_lost(void **state)
{
    (void)state;
    unsigned answered = 0;
    const time_t start = time(NULL);
    /* As many lives as fit, on a slow machine (or under a sanitizer) fewer. */
    for (uint64_t seed = 1; seed <= 120 && (seed <= 20 || time(NULL) - start < 20); seed++) {
        place_make(&place);
        const char *wrong = live_and_die(seed, false, &answered);
        forget_place();
        if (wrong != NULL)
            fail_msg("seed %u: %s", (unsigned)seed, wrong);
    }
    assert_true(answered > 500);
}

/* The same lives on a store that does not sync: when this finds nothing lost, the test above proves
 * nothing. */
static void test_without_sync_answers_are_lost(void **state)
{
    (void)state;
    unsigned answered = 0, lost = 0;
    for (uint64_t seed = 1; seed <= 15; seed++) {
        place_make(&place);
        lost += live_and_die(seed, true, &answered) != NULL;
        forget_place();
    }
    assert_true(answered > 100);
    assert_true(lost > 10);
}

static int know_the_disk(void **state)
{
    (void)state;
    return lossy_vfs_register();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_answer_is_lost),
        cmocka_unit_test(test_without_sync_answers_are_lost),
    };
    return cmocka_run_group_tests(tests, know_the_disk, NULL);
}
