#include "identity/rules.h"

#include "proto/text.h"
#include "store/audit.h"

/* Both forms that the nonce has are always computed and compared: how long it takes tells nothing
 * about which one was near. */
static int signature_check(const struct claim *c, const uint8_t secret[LIMIT_SECRET_LEN],
                           bool *valid)
{
    uint8_t message[CLAIM_SIGNED_MAX], mac[LIMIT_MAC_LEN];
    bool any = false;
    int err = TEDDY_OK;
    for (int decoded = 0; decoded < 2 && err == TEDDY_OK; decoded++) {
        size_t len = claim_signed_bytes(c->device_id, c->child_id, c->nonce, decoded != 0, message);
        if (len == 0) /* it has no such form: everybody can see that */
            continue;
        err = identity_hmac_sha256(secret, LIMIT_SECRET_LEN, message, len, mac);
        any |= ct_equal(mac, c->mac, sizeof mac);
    }
    wipe(mac, sizeof mac);
    *valid = any && c->mac_well_formed;
    return err == TEDDY_OK ? TEDDY_OK : TEDDY_ESTORE;
}

/* Check 5: what the device's row says about this claim. */
static enum verdict policy_check(const struct claim *c, enum claim_policy policy,
                                 const struct device_row *d)
{
    if (!d->enabled)
        return VERDICT_DEVICE_DISABLED;
    if (policy == CLAIM_REQUIRE_RELEASE && d->child_id[0] != 0 &&
        strcmp(d->child_id, c->child_id) != 0)
        return VERDICT_RELEASE_REQUIRED;
    return VERDICT_OK;
}

/* Checks 4 and 5. */
static int row_check(struct store_tx *tx, const struct claim *claim, enum claim_policy policy,
                     const struct device_row *device, enum verdict *verdict)
{
    uint8_t secret[LIMIT_SECRET_LEN];
    bool valid = false;
    int err = store_device_unseal(tx, device, secret);
    if (err == TEDDY_OK)
        err = signature_check(claim, secret, &valid);
    wipe(secret, sizeof secret);
    if (err != TEDDY_OK)
        return err;
    *verdict = valid ? policy_check(claim, policy, device) : VERDICT_INVALID_SIGNATURE;
    return TEDDY_OK;
}

static int replayed(struct store_tx *tx, const struct claim *claim, const struct device_row *device,
                    enum verdict *verdict)
{
    bool seen = false;
    int err = store_claim_seen(tx, device, claim->nonce, claim->mac, &seen);
    if (err == TEDDY_OK && seen)
        *verdict = VERDICT_NONCE_REPLAYED;
    return err;
}

int claim_check(struct store_tx *tx, const struct claim *claim, enum claim_policy policy,
                enum verdict *verdict)
{
    struct device_row device;
    int err = store_device_get(tx, claim->device_id, &device);
    *verdict = VERDICT_OK;
    if (err == TEDDY_ENOTFOUND) {
        *verdict = VERDICT_DEVICE_NOT_FOUND;
        return TEDDY_OK;
    }
    if (err == TEDDY_OK)
        err = row_check(tx, claim, policy, &device, verdict);
    return err == TEDDY_OK && *verdict == VERDICT_OK ? replayed(tx, claim, &device, verdict) : err;
}

/* What the store asks about a device's row. */
struct judging {
    struct store_tx *tx;
    const struct claim *claim;
    enum claim_policy policy;
    bool (*admit)(void *arg);
    void *arg;
    bool admitted;
    enum verdict verdict;
    int err;
};

static bool judge(void *arg, const struct device_row *device)
{
    struct judging *g = arg;
    g->err = row_check(g->tx, g->claim, g->policy, device, &g->verdict);
    g->admitted = g->err == TEDDY_OK && g->verdict == VERDICT_OK && g->admit(g->arg);
    return g->admitted;
}

/* An accepted claim is in the store; or what was not to be written with one statement is written
 * now. */
static int complete(struct store_tx *tx, const struct claim *claim, const struct device_row *device,
                    const struct claim_row *row, bool written, enum verdict *verdict)
{
    int err = written ? TEDDY_OK : store_claim_add(tx, device, row);
    if (err == TEDDY_EDUP) {
        *verdict = VERDICT_NONCE_REPLAYED;
        return err;
    }
    /* The row was just seen to be there: anything but OK is the store's failure. */
    if (err == TEDDY_OK)
        err = audit_add(tx, &(struct audit_event){.event = "claim.accepted",
                                                  .device_id = claim->device_id,
                                                  .listed = device,
                                                  .child_id = claim->child_id,
                                                  .actor = "toy"});
    return err == TEDDY_OK ? TEDDY_OK : TEDDY_ESTORE;
}

int claim_commit(struct store_tx *tx, const struct claim *claim, enum claim_policy policy,
                 const struct family_row *family, uint64_t now_s, bool (*admit)(void *arg),
                 void *arg, enum verdict *verdict)
{
    const struct claim_row row = {.nonce = claim->nonce,
                                  .mac = claim->mac,
                                  .family = family,
                                  .firmware = claim->firmware_version,
                                  .timestamp = claim->timestamp,
                                  .now_s = now_s};
    struct judging g = {tx, claim, policy, admit, arg, false, VERDICT_DEVICE_NOT_FOUND, TEDDY_OK};
    struct device_row device;
    bool written = false;
    int err = store_claim_take(tx, claim->device_id, &row, judge, &g, &device, &written);
    if (err == TEDDY_OK)
        err = g.err;
    *verdict = g.verdict;
    if (err == TEDDY_ENOTFOUND)
        return TEDDY_OK;
    if (err != TEDDY_OK || g.verdict != VERDICT_OK)
        return err;
    return g.admitted ? complete(tx, claim, &device, &row, written, verdict)
                      : replayed(tx, claim, &device, verdict);
}

/* The family a token names, and whether it may be used at all: *verdict OK goes on to which token
 * of it this is. */
static int family_check(struct store_tx *tx, const uint8_t sid[STORE_JTI_LEN],
                        const struct jwt *token, struct family_row *f, enum verdict *verdict)
{
    int err = store_family_get(tx, token->device_id, sid, f);
    if (err != TEDDY_OK && err != TEDDY_ENOTFOUND)
        return err;
    if (err == TEDDY_ENOTFOUND)
        *verdict = VERDICT_TOKEN_REVOKED;
    else if (!f->device_enabled)
        *verdict = VERDICT_DEVICE_DISABLED;
    else if (f->revoked)
        *verdict = VERDICT_TOKEN_REVOKED;
    else
        *verdict = strcmp(f->child_id, token->child_id) != 0 ? VERDICT_WRONG_DEVICE : VERDICT_OK;
    return TEDDY_OK;
}

static bool same_jti(const uint8_t a[STORE_JTI_LEN], const uint8_t b[STORE_JTI_LEN])
{
    return memcmp(a, b, STORE_JTI_LEN) ==
           0; /* not secret: the token carries it in the clear, under our signature */
}

/* The answer to the last rotation may have been lost: until its pair is seen, the token it spent
 * gets it again. */
static bool in_grace(const struct family_row *f, const uint8_t jti[STORE_JTI_LEN], uint64_t now_s)
{
    return f->has_spent && !f->presented && same_jti(jti, f->spent_jti) &&
           now_s <= f->spent_s + REFRESH_GRACE_S;
}

static int rotate(struct store_tx *tx, const struct pair_row *fresh, uint64_t now_s,
                  struct family_row *f)
{
    int err = store_family_rotate(tx, f->device_row, f->sid, fresh, now_s);
    if (err != TEDDY_OK)
        return TEDDY_ESTORE; /* the row was just read */
    memcpy(f->spent_jti, f->pair.refresh_jti, STORE_JTI_LEN);
    f->has_spent = true;
    f->spent_s = now_s;
    f->presented = false;
    f->pair = *fresh;
    return TEDDY_OK;
}

static int tell(struct store_tx *tx, const struct family_row *f, const char *event,
                const char *detail)
{
    return audit_add(tx, &(struct audit_event){.event = event,
                                               .device_id = f->device_id,
                                               .child_id = f->child_id,
                                               .actor = "toy",
                                               .detail = detail});
}

/* Two parties hold the family: neither keeps it. */
static int revoke_reused(struct store_tx *tx, struct family_row *f)
{
    f->revoked = true;
    int err = store_family_revoke(tx, f->device_row);
    if (err == TEDDY_OK)
        err = tell(tx, f, "token.revoked", "{\"reason\":\"token_reused\"}");
    return err == TEDDY_OK ? TEDDY_OK : TEDDY_ESTORE;
}

int token_rotate(struct store_tx *tx, const uint8_t sid[STORE_JTI_LEN],
                 const uint8_t jti[STORE_JTI_LEN], const struct jwt *token,
                 const struct pair_row *fresh, uint64_t now_s, struct family_row *family,
                 struct pair_row *out, enum verdict *verdict)
{
    int err = family_check(tx, sid, token, family, verdict);
    if (err != TEDDY_OK || *verdict != VERDICT_OK)
        return err;
    bool again = !same_jti(jti, family->pair.refresh_jti);
    if (again && !in_grace(family, jti, now_s)) {
        *verdict = VERDICT_TOKEN_REUSED;
        return revoke_reused(tx, family);
    }
    if (!again)
        err = rotate(tx, fresh, now_s, family);
    if (err == TEDDY_OK)
        err = tell(tx, family, "token.refreshed", again ? "{\"again\":true}" : NULL);
    *out = family->pair;
    return err;
}

int token_present(struct store_tx *tx, bool may_write, const uint8_t sid[STORE_JTI_LEN],
                  const uint8_t jti[STORE_JTI_LEN], const struct jwt *token,
                  struct family_row *family, enum verdict *verdict)
{
    int err = family_check(tx, sid, token, family, verdict);
    if (err != TEDDY_OK || *verdict != VERDICT_OK)
        return err;
    /* Only the first sight of a successor ends a grace; a claim's own pair has none, an older
     * access token tells nothing. */
    if (!family->has_spent || family->presented || !same_jti(jti, family->pair.access_jti))
        return TEDDY_OK;
    if (!may_write) {
        *verdict = VERDICT_MUST_RECORD;
        return TEDDY_OK;
    }
    family->presented = true;
    return store_family_presented(tx, family->device_row, sid) == TEDDY_OK ? TEDDY_OK
                                                                           : TEDDY_ESTORE;
}
