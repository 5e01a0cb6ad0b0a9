/* The limits on who is not trusted: their keys, their figures, and what happens when one bites. */
#ifndef API_LIMITS_H
#define API_LIMITS_H

#include "identity/ratelimit.h"
#include "ops/config.h"

enum limit {
    LIMITS_REQUESTS,           /* per address, all of them */
    LIMITS_CLAIM_FAILURES,     /* per address */
    LIMITS_CLAIM_FAILURES_ALL, /* of all addresses together */
    LIMITS_CLAIMS,             /* per device, accepted ones */
    LIMITS_REFRESH_FAILURES,   /* per address */
    LIMITS_REFRESHES,          /* per device */
    LIMITS_UPGRADE_REFUSALS,   /* per address */
    LIMITS_ADMIN_FAILURES,     /* per address, wrong admin tokens */
    LIMITS_DEVICE_ATTACKS,     /* per device, wrong signatures: refuses nobody, is only told */
    LIMITS_COUNT
};

/* Of the requests of an address, one that fails takes so many. */
#define FAILURE_COST 10

struct limits;

struct limit_context {
    struct limits *limits;
    enum limit limit;
};

struct limits {
    struct ratelimit *of[LIMITS_COUNT];
    struct limit_context contexts[LIMITS_COUNT];
    struct ratelimit *events; /* what is told of them */
};

/* limits stays where it is. TEDDY_ENOMEM, TEDDY_EIO (no random bytes). */
TEDDY_MUST_CHECK int limits_open(struct limits *l, const struct config *c);
void limits_close(struct limits *l);

/* Takes a failing request of an address, dearer than one that does not fail; a claim also from what
 * may fail of all addresses. False: it is answered 429 instead, *retry_after_s from now on not. */
bool limits_fail(struct limits *l, enum limit failures, const struct sockaddr_storage *client,
                 uint64_t now_ms, uint32_t *retry_after_s);
/* Would a failing claim be answered 429? Takes nothing. */
bool limits_claim_suspect(struct limits *l, const struct sockaddr_storage *client, uint64_t now_ms);
/* A claim of this device bore a wrong signature. The device is not refused anything for it. */
void limits_attacked(struct limits *l, const char *device_id, uint64_t now_ms);

#endif
