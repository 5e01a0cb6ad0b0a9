/* A session's `refresh` message: the rotation of a family while its session stays open. */
#include "api/session_refresh.h"

#include "api/pair_answer.h"
#include "api/rotation.h"
#include "ops/refusals.h"
#include "proto/text.h"

static void answered(struct rotation *r, int status, const char *code)
{
    if (code && status != 503)
        refusal_count(loop_index(r->loop), "token.refused", code, NULL);
    struct hub *hub = r->app->hubs[loop_index(r->loop)];
    char access[LIMIT_TOKEN_LEN + 1] = "", refresh[LIMIT_TOKEN_LEN + 1] = "";
    const struct keys *keys = keys_now(&r->app->keys);
    if (!code && pair_sign(r->app, keys, &r->family, &r->pair, access, refresh) != TEDDY_OK)
        code = "internal";
    if (!code)
        session_set_key(hub, r->session_id, (uint8_t)keys_slot(keys, NULL));
    session_refreshed(hub, r->session_id, access, refresh, pair_expires_in(&r->pair, app_now_s()),
                      r->pair.access_exp_s, code, 0);
    wipe(access, sizeof access);
    wipe(refresh, sizeof refresh);
    rotation_free(r);
}

void session_refresh(void *context, struct loop *loop, const char *device_id, uint64_t session_id,
                     const uint8_t sid[STORE_JTI_LEN], const char *token)
{
    struct app *app = context;
    struct rotation *r = rotation_new(app, loop, answered);
    if (!r) {
        session_refreshed(app->hubs[loop_index(loop)], session_id, "", "", 0, 0,
                          "store_unavailable", 0);
        return;
    }
    r->session_id = session_id;
    rotation_start(r, token, device_id, sid);
}
