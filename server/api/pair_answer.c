#include "api/pair_answer.h"

#include "proto/text.h"

int pair_sign(const struct app *app, const struct keys *keys, const struct family_row *family,
              const struct pair_row *pair, char access[LIMIT_TOKEN_LEN + 1],
              char refresh[LIMIT_TOKEN_LEN + 1])
{
    int rc = token_sign(keys, &app->policy, family, pair, JWT_ACCESS, access);
    return rc == TEDDY_OK ? token_sign(keys, &app->policy, family, pair, JWT_REFRESH, refresh) : rc;
}

uint32_t pair_expires_in(const struct pair_row *pair, uint64_t now_s)
{
    return pair->access_exp_s > now_s ? (uint32_t)(pair->access_exp_s - now_s) : 0;
}

void pair_answer(struct http_request *req, const struct family_row *family,
                 const struct pair_row *pair)
{
    char access[LIMIT_TOKEN_LEN + 1], refresh[LIMIT_TOKEN_LEN + 1];
    char body[2 * LIMIT_TOKEN_LEN + 128];
    struct writer w = writer_on(body, sizeof body);
    const struct app *app = app_of(req);
    if (pair_sign(app, keys_now(&app->keys), family, pair, access, refresh) == TEDDY_OK)
        token_pair_write(&w, NULL, access, refresh, pair_expires_in(pair, app_now_s()));
    else
        w.overflow = true;
    if (writer_end(&w) == TEDDY_OK) {
        http_set_field(req, "Cache-Control", "no-store");
        http_respond(req, 200, "application/json", body, w.len);
    } else {
        http_problem(req, 500, "internal", "The tokens could not be signed.");
    }
    wipe(access, sizeof access);
    wipe(refresh, sizeof refresh);
    wipe(body, sizeof body);
}
