/* Where a failure leads: what to try next, how long to wait first, and whether the tokens are still
 * worth anything. */
#include "core.h"

static unsigned of_status(unsigned goal, int status)
{
    bool passes = status == 408 || status == 429 || status >= 500;
    if (passes || (goal == SDK_CLAIM && status == 409)) {
        return goal;
    }
    if (goal == SDK_CLAIM || status < 400) {
        return goal | SDK_REFUSED;
    }
    if (status == 403) {
        return SDK_REFRESH | SDK_REFUSED;
    }
    if (goal == SDK_REFRESH) {
        return status == 401 ? SDK_CLAIM | SDK_DROP : SDK_CLAIM | SDK_DROP | SDK_REFUSED;
    }
    /* A server may also judge the token before it upgrades: whether it is only old, the refresh
       will tell. */
    return status == 401 ? SDK_REFRESH : SDK_CONNECT_SESSION | SDK_REFUSED;
}

/* What a policy's close says, and where each word leads. The last is for what is refused in words
 * we do not know: the refresh tells whether the tokens are at fault. */
static const char policies[] = "token_expired\0"
                               "bad_token\0"
                               "token_revoked\0"
                               "no_token\0"
                               "superseded\0"
                               "wrong_device\0"
                               "device_disabled\0"
                               "rate_limited\0";
static const uint8_t policy_verdicts[] = {
    SDK_REFRESH,
    SDK_CLAIM | SDK_DROP,
    SDK_CLAIM | SDK_DROP,
    SDK_CLAIM | SDK_DROP,
    SDK_CLAIM | SDK_DROP | SDK_REFUSED,
    SDK_CLAIM | SDK_DROP | SDK_REFUSED,
    SDK_CONNECT_SESSION | SDK_REFUSED,
    SDK_CONNECT_SESSION,
    SDK_REFRESH | SDK_REFUSED,
};

static unsigned of_close(const struct teddy_failure *f)
{
    if (f->close == WS_CLOSE_REPLACED) {
        return SDK_CONNECT_SESSION | SDK_REFUSED;
    }
    if (f->close != WS_CLOSE_POLICY) {
        return SDK_CONNECT_SESSION;
    }
    return policy_verdicts[sdk_word(policies, f->code)];
}

unsigned sdk_verdict_of(unsigned goal, const struct teddy_failure *failure)
{
    if (failure->err != TEDDY_OK) {
        return goal;
    }
    return failure->status != 0 ? of_status(goal, failure->status) : of_close(failure);
}
