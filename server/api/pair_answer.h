/* The answer that claim and refresh share: the signed pair, never to be stored by anything between.
 */
#ifndef API_PAIR_ANSWER_H
#define API_PAIR_ANSWER_H

#include "api/app.h"

/* 200 with the pair's tokens, or 500 when they cannot be signed. Releases the request. */
void pair_answer(struct http_request *req, const struct family_row *family,
                 const struct pair_row *pair);

/* Signs both tokens of the pair with the signer of keys. The caller wipes them. */
TEDDY_MUST_CHECK int pair_sign(const struct app *app, const struct keys *keys,
                               const struct family_row *family, const struct pair_row *pair,
                               char access[LIMIT_TOKEN_LEN + 1], char refresh[LIMIT_TOKEN_LEN + 1]);
/* Seconds the pair's access token has left. */
uint32_t pair_expires_in(const struct pair_row *pair, uint64_t now_s);

#endif
