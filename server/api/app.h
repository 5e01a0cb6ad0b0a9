/* What the public handlers share: made by main.c before the first loop runs, read-only afterwards
 * but for `keys`, `draining` and `asking`. */
#ifndef API_APP_H
#define API_APP_H

#include <stdatomic.h>

#include "api/limits.h"
#include "http/http.h"
#include "identity/keyring.h"
#include "identity/rules.h"
#include "ops/config.h"
#include "ops/metrics.h"
#include "session/session.h"

/* What a loop asks of the store's readers in a round wakes them once, at its end. */
struct app_asking {
    struct loop_task task; /* first */
    struct store *store;
    bool due;
};

struct app {
    struct config config;
    struct token_policy policy;
    enum claim_policy claim_policy;
    struct store *store;
    struct tls_context *tls; /* NULL with tls off */
    struct keys_ref keys;    /* the server replaces the set while loops run */

    struct limits limits;

    unsigned loop_count;
    struct loop *loops[METRIC_LOOPS_MAX];
    struct hub *hubs[METRIC_LOOPS_MAX];
    struct app_asking asking[METRIC_LOOPS_MAX]; /* each its loop's alone */
    struct session_config session;
    atomic_bool draining; /* readyz says so */
};

static inline struct app *app_of(const struct http_request *req)
{
    return req->plane->context;
}

/* Seconds since 1970. */
uint64_t app_now_s(void);

/* Counts a refused claim or refresh for the audit trail. code: static text. */
void app_refused(const struct http_request *req, const char *code);
/* Answers a failing request: with the problem, or, once what may fail is used up, with 429 +
 * Retry-After instead. */
void app_fail(struct http_request *req, enum limit failures, int status, const char *code,
              const char *detail);
/* 503 + Retry-After: the store did not take or could not do the work; nothing was changed. */
void app_unavailable(struct http_request *req);

/* store_read for a job of this loop. */
TEDDY_MUST_CHECK int app_read(struct app *app, struct loop *loop, struct store_job *job);

/* The loop that has the device's sessions. Threads: any. */
struct loop *app_loop_of(const struct app *app, const char *device_id);
/* Closes, on its own loop, the open session of a device whose family is not keep_sid (NULL: any).
 * Threads: any. */
void app_close_device(struct app *app, const char *device_id, const uint8_t *keep_sid,
                      uint16_t code, const char *word);

#endif
