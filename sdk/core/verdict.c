/* Where a failure leads: what to try next, how long to wait first, and whether the tokens are still
 * worth anything. The first line that fits decides. */
#include "core.h"

struct http_rule {
    uint8_t goal;
    uint16_t from, to; /* status */
    struct sdk_verdict verdict;
};

static const struct http_rule http_rules[] = {
    {SDK_CLAIM, 408, 409, {SDK_CLAIM, SDK_BACKOFF, false}},
    {SDK_CLAIM, 429, 429, {SDK_CLAIM, SDK_BACKOFF, false}},
    {SDK_CLAIM, 500, 599, {SDK_CLAIM, SDK_BACKOFF, false}},
    {SDK_CLAIM, 0, 999, {SDK_CLAIM, SDK_REFUSED, false}},

    {SDK_REFRESH, 401, 401, {SDK_CLAIM, SDK_BACKOFF, true}},
    {SDK_REFRESH, 403, 403, {SDK_REFRESH, SDK_REFUSED, false}},
    {SDK_REFRESH, 408, 408, {SDK_REFRESH, SDK_BACKOFF, false}},
    {SDK_REFRESH, 429, 429, {SDK_REFRESH, SDK_BACKOFF, false}},
    {SDK_REFRESH, 400, 499, {SDK_CLAIM, SDK_REFUSED, true}},
    {SDK_REFRESH, 500, 599, {SDK_REFRESH, SDK_BACKOFF, false}},
    {SDK_REFRESH, 0, 999, {SDK_REFRESH, SDK_REFUSED, false}},

    /* A server may also judge the token before it upgrades: whether it is only old, the refresh
       will tell. */
    {SDK_CONNECT_SESSION, 401, 401, {SDK_REFRESH, SDK_BACKOFF, false}},
    {SDK_CONNECT_SESSION, 403, 403, {SDK_REFRESH, SDK_REFUSED, false}},
    {SDK_CONNECT_SESSION, 408, 408, {SDK_CONNECT_SESSION, SDK_BACKOFF, false}},
    {SDK_CONNECT_SESSION, 429, 429, {SDK_CONNECT_SESSION, SDK_BACKOFF, false}},
    {SDK_CONNECT_SESSION, 500, 599, {SDK_CONNECT_SESSION, SDK_BACKOFF, false}},
    {SDK_CONNECT_SESSION, 0, 999, {SDK_CONNECT_SESSION, SDK_REFUSED, false}},
};

struct close_rule {
    uint16_t close;   /* 0: any */
    const char *word; /* NULL: any */
    struct sdk_verdict verdict;
};

static const struct close_rule close_rules[] = {
    {WS_CLOSE_POLICY, "token_expired", {SDK_REFRESH, SDK_BACKOFF, false}},
    {WS_CLOSE_POLICY, "bad_token", {SDK_CLAIM, SDK_BACKOFF, true}},
    {WS_CLOSE_POLICY, "token_revoked", {SDK_CLAIM, SDK_BACKOFF, true}},
    {WS_CLOSE_POLICY, "no_token", {SDK_CLAIM, SDK_BACKOFF, true}},
    {WS_CLOSE_POLICY, "superseded", {SDK_CLAIM, SDK_REFUSED, true}},
    {WS_CLOSE_POLICY, "wrong_device", {SDK_CLAIM, SDK_REFUSED, true}},
    {WS_CLOSE_POLICY, "device_disabled", {SDK_CONNECT_SESSION, SDK_REFUSED, false}},
    {WS_CLOSE_POLICY, "rate_limited", {SDK_CONNECT_SESSION, SDK_BACKOFF, false}},
    /* Refused in words we do not know: the refresh tells whether the tokens are at fault. */
    {WS_CLOSE_POLICY, NULL, {SDK_REFRESH, SDK_REFUSED, false}},
    {WS_CLOSE_REPLACED, NULL, {SDK_CONNECT_SESSION, SDK_REFUSED, false}},
    {0, NULL, {SDK_CONNECT_SESSION, SDK_BACKOFF, false}},
};

static struct sdk_verdict of_status(enum sdk_goal goal, int status)
{
    const struct http_rule *r = http_rules;
    while (r->goal != goal || status < r->from || status > r->to) {
        r++; /* each goal's last line takes every status there is */
    }
    return r->verdict;
}

static struct sdk_verdict of_close(const struct teddy_failure *f)
{
    const struct close_rule *r = close_rules;
    while (r->close != 0 &&
           (r->close != f->close || (r->word != NULL && strcmp(r->word, f->code) != 0))) {
        r++;
    }
    return r->verdict;
}

struct sdk_verdict sdk_verdict_of(enum sdk_goal goal, const struct teddy_failure *failure)
{
    if (failure->err != TEDDY_OK) {
        return (struct sdk_verdict){(uint8_t)goal, SDK_BACKOFF, false};
    }
    return failure->status != 0 ? of_status(goal, failure->status) : of_close(failure);
}
