#include "api/limits.h"

#include <string.h>

#include "ops/log.h"
#include "ops/metrics.h"
#include "ops/refusals.h"

#define WINDOW_MS   60000
#define SLOTS       16384
#define EVENTS_MIN  60 /* events a minute: a flood of addresses does not fill the disk */
#define ATTACKS_MIN 20 /* wrong signatures of one device a minute that are not told */
#define ADMIN_MIN   20

enum key { KEY_ADDRESS, KEY_DEVICE, KEY_FAMILY, KEY_NONE };

/* inherit: where a limit refuses only what fails anyway. */
static const struct {
    const char *name;
    enum metric metric;
    enum key key;
    bool inherit;
} kinds[LIMITS_COUNT] = {
    [LIMITS_REQUESTS] = {"requests_per_address", METRIC_LIMITED_REQUESTS, KEY_ADDRESS, false},
    [LIMITS_CLAIM_FAILURES] = {"claim_failures_per_address", METRIC_LIMITED_CLAIM_FAILURES,
                               KEY_ADDRESS, true},
    [LIMITS_CLAIM_FAILURES_ALL] = {"claim_failures", METRIC_LIMITED_CLAIM_FAILURES_ALL, KEY_NONE,
                                   false},
    [LIMITS_CLAIMS] = {"claims_per_device", METRIC_LIMITED_CLAIMS, KEY_DEVICE, false},
    [LIMITS_REFRESH_FAILURES] = {"refresh_failures_per_address", METRIC_LIMITED_REFRESH_FAILURES,
                                 KEY_ADDRESS, true},
    [LIMITS_REFRESHES] = {"refreshes_per_device", METRIC_LIMITED_REFRESHES, KEY_FAMILY, false},
    [LIMITS_UPGRADE_REFUSALS] = {"upgrade_refusals_per_address", METRIC_LIMITED_UPGRADE_REFUSALS,
                                 KEY_ADDRESS, true},
    [LIMITS_ADMIN_FAILURES] = {"admin_failures_per_address", METRIC_LIMITED_ADMIN_FAILURES,
                               KEY_ADDRESS, true},
    [LIMITS_DEVICE_ATTACKS] = {"device_attacks", METRIC_DEVICE_ATTACKED, KEY_DEVICE, false},
};

static void key_text(enum key kind, const struct ratelimit_bite *b, char *out, size_t cap)
{
    size_t len = b->len < cap ? b->len : cap - 1;
    out[0] = '\0';
    if (kind == KEY_ADDRESS) {
        ratelimit_address_text(b->key, b->len, out, cap);
    } else if (kind == KEY_DEVICE) {
        memcpy(out, b->key, len);
        out[len] = '\0';
    }
}

/* Once per key and window an event, in the trail by block of addresses, in the log of the key and
 * bounded: everything else only counts. */
static void limit_bites(struct limits *l, enum limit limit, const struct ratelimit_bite *b)
{
    struct sockaddr_storage client = {.ss_family = AF_UNSPEC};
    char key[80];
    metric_add(0, kinds[limit].metric, 1);
    if (!b->first)
        return;
    if (kinds[limit].key == KEY_ADDRESS)
        ratelimit_address_of(b->key, b->len, &client);
    refusal_count_by(0, "limit.bites", kinds[limit].name, "",
                     kinds[limit].key == KEY_ADDRESS ? refusal_block(&client) : REFUSAL_ALL);
    if (!ratelimit_take(l->events, "", 0, b->now_ms, NULL))
        return;
    key_text(kinds[limit].key, b, key, sizeof key);
    LOG(LOG_WARN, "limit_bites", LOG_S("limit", kinds[limit].name), LOG_S("key", key),
        LOG_N("retry_after_s", b->retry_after_s));
}

static void bites(void *context, const struct ratelimit_bite *b)
{
    const struct limit_context *c = context;
    limit_bites(c->limits, c->limit, b);
}

static uint32_t per_minute(const struct config *c, enum limit limit)
{
    switch (limit) {
    case LIMITS_REQUESTS:
        return c->requests_per_address_min;
    case LIMITS_CLAIM_FAILURES:
        return c->claim_failures_per_address_min;
    case LIMITS_CLAIM_FAILURES_ALL:
        return c->claim_failures_min;
    case LIMITS_CLAIMS:
        return c->claims_per_device_min;
    case LIMITS_REFRESH_FAILURES:
        return c->refresh_failures_per_address_min;
    case LIMITS_REFRESHES:
        return c->refreshes_per_device_min;
    case LIMITS_UPGRADE_REFUSALS:
        return c->upgrade_refusals_per_address_min;
    case LIMITS_ADMIN_FAILURES:
        return ADMIN_MIN;
    default:
        return ATTACKS_MIN;
    }
}

int limits_open(struct limits *l, const struct config *c)
{
    struct ratelimit_options o = {.limit = EVENTS_MIN, .window_ms = WINDOW_MS, .slots = 1};
    int rc = ratelimit_new(&o, &l->events);
    for (enum limit i = 0; rc == TEDDY_OK && i < LIMITS_COUNT; i++) {
        l->contexts[i] = (struct limit_context){l, i};
        o.limit = per_minute(c, i);
        o.slots = kinds[i].key == KEY_NONE ? 1 : SLOTS;
        o.inherit = kinds[i].inherit;
        o.bites = bites;
        o.context = &l->contexts[i];
        rc = ratelimit_new(&o, &l->of[i]);
    }
    return rc;
}

void limits_close(struct limits *l)
{
    for (enum limit i = 0; i < LIMITS_COUNT; i++)
        ratelimit_free(l->of[i]);
    ratelimit_free(l->events);
}

bool limits_fail(struct limits *l, enum limit failures, const struct sockaddr_storage *client,
                 uint64_t now_ms, uint32_t *retry_after_s)
{
    /* It has taken one when it came. */
    ratelimit_charge_address(l->of[LIMITS_REQUESTS], client, FAILURE_COST - 1, now_ms);
    return ratelimit_take_address(l->of[failures], client, now_ms, retry_after_s) &&
           (failures != LIMITS_CLAIM_FAILURES ||
            ratelimit_take(l->of[LIMITS_CLAIM_FAILURES_ALL], "", 0, now_ms, retry_after_s));
}

bool limits_claim_suspect(struct limits *l, const struct sockaddr_storage *client, uint64_t now_ms)
{
    return !ratelimit_peek_address(l->of[LIMITS_CLAIM_FAILURES], client, now_ms, NULL) ||
           !ratelimit_peek(l->of[LIMITS_CLAIM_FAILURES_ALL], "", 0, now_ms, NULL);
}

void limits_attacked(struct limits *l, const char *device_id, uint64_t now_ms)
{
    (void)ratelimit_take(l->of[LIMITS_DEVICE_ATTACKS], device_id, strlen(device_id), now_ms, NULL);
}
