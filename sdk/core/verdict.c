/* Where a failure leads: what to try next, how long to wait first, and whether the tokens are still
 * worth anything. */
#include "core.h"

static struct sdk_verdict of_status(enum sdk_goal goal, int status)
{
    bool passes = status == 408 || status == 429 || status >= 500;
    if (passes || (goal == SDK_CLAIM && status == 409)) {
        return (struct sdk_verdict){(uint8_t)goal, SDK_BACKOFF, false};
    }
    if (goal == SDK_CLAIM || status < 400) {
        return (struct sdk_verdict){(uint8_t)goal, SDK_REFUSED, false};
    }
    if (status == 403) {
        return (struct sdk_verdict){SDK_REFRESH, SDK_REFUSED, false};
    }
    if (goal == SDK_REFRESH) {
        return (struct sdk_verdict){SDK_CLAIM, status == 401 ? SDK_BACKOFF : SDK_REFUSED, true};
    }
    /* A server may also judge the token before it upgrades: whether it is only old, the refresh
       will tell. */
    if (status == 401) {
        return (struct sdk_verdict){SDK_REFRESH, SDK_BACKOFF, false};
    }
    return (struct sdk_verdict){SDK_CONNECT_SESSION, SDK_REFUSED, false};
}

/* What a policy's close says. */
static const struct policy {
    const char *word; /* NULL: any */
    struct sdk_verdict verdict;
} policies[] = {
    {"token_expired", {SDK_REFRESH, SDK_BACKOFF, false}},
    {"bad_token", {SDK_CLAIM, SDK_BACKOFF, true}},
    {"token_revoked", {SDK_CLAIM, SDK_BACKOFF, true}},
    {"no_token", {SDK_CLAIM, SDK_BACKOFF, true}},
    {"superseded", {SDK_CLAIM, SDK_REFUSED, true}},
    {"wrong_device", {SDK_CLAIM, SDK_REFUSED, true}},
    {"device_disabled", {SDK_CONNECT_SESSION, SDK_REFUSED, false}},
    {"rate_limited", {SDK_CONNECT_SESSION, SDK_BACKOFF, false}},
    /* Refused in words we do not know: the refresh tells whether the tokens are at fault. */
    {NULL, {SDK_REFRESH, SDK_REFUSED, false}},
};

static struct sdk_verdict of_close(const struct teddy_failure *f)
{
    if (f->close != WS_CLOSE_POLICY) {
        bool replaced = f->close == WS_CLOSE_REPLACED;
        return (struct sdk_verdict){SDK_CONNECT_SESSION, replaced ? SDK_REFUSED : SDK_BACKOFF,
                                    false};
    }
    const struct policy *p = policies;
    while (p->word != NULL && strcmp(p->word, f->code) != 0) {
        p++;
    }
    return p->verdict;
}

struct sdk_verdict sdk_verdict_of(enum sdk_goal goal, const struct teddy_failure *failure)
{
    if (failure->err != TEDDY_OK) {
        return (struct sdk_verdict){(uint8_t)goal, SDK_BACKOFF, false};
    }
    return failure->status != 0 ? of_status(goal, failure->status) : of_close(failure);
}
