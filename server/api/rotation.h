/* Trading a refresh token for its successor pair: the same for POST /api/v1/token/refresh and for a
 * session's `refresh` message. */
#ifndef API_ROTATION_H
#define API_ROTATION_H

#include "api/app.h"

struct rotation {
    struct app *app;
    struct loop *loop;
    /* Called once, on the loop, unless rotation_start failed. code is NULL on success; otherwise
     * the machine-readable word, and status the HTTP status that goes with it. Releases nothing:
     * the callee calls rotation_free. */
    void (*done)(struct rotation *r, int status, const char *code);
    /* The owner's: one of the two. */
    struct http_request *req;
    uint64_t session_id;

    /* The result. */
    struct family_row family;
    struct pair_row pair;

    /* private */
    struct store_job job;
    struct loop_task task;
    struct jwt token;
    uint8_t sid[STORE_JTI_LEN], jti[STORE_JTI_LEN];
    struct pair_row fresh;
    uint64_t now_s;
    enum verdict verdict;
};

struct rotation *rotation_new(struct app *app, struct loop *loop,
                              void (*done)(struct rotation *r, int status, const char *code));
void rotation_free(struct rotation *r);
/* Checks the token and queues the rotation. device_id and sid, when not NULL, must be the token's.
 * Refusals come through done, before this returns. */
void rotation_start(struct rotation *r, const char *token, const char *device_id,
                    const uint8_t *sid);
/* Seconds for Retry-After when the code is rate_limited. */
uint32_t rotation_retry_after_s(const struct rotation *r);

#endif
