/* The bearer of an admin token, as a request over HTTPS shows it. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/internal.h"
#include "admin/token.h"
#include "proto/text.h"

struct use {
    struct store_job job;
    char id[ADMIN_TOKEN_ID_LEN + 1];
    uint64_t now_s;
};

static int run_use(struct store_tx *tx, struct store_job *job)
{
    const struct use *u = (const struct use *)job;

    return store_admin_token_used(tx, u->id, u->now_s);
}

static void free_use(struct store_job *job)
{
    free(job);
}

/* Nobody waits for it, and a store that cannot take it says so elsewhere. */
static void record_use(struct store *store, const char *id, uint64_t now_s)
{
    struct use *u = calloc(1, sizeof *u);

    if (u == NULL)
        return;
    u->job = (struct store_job){.run = run_use, .done = free_use};
    memcpy(u->id, id, sizeof u->id);
    u->now_s = now_s;
    if (store_write(store, &u->job) != TEDDY_OK)
        free(u);
}

bool admin_bearer_in_query(const struct http_request *req)
{
    static const char *const names[] = {"access_token", "admin_token", "token"};
    char text[2];
    size_t len;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (http_query(req, names[i], text, sizeof text, &len) != TEDDY_ENOTFOUND)
            return true;
    return false;
}

enum admin_token_verdict admin_token_of_text(const struct http_request *req, struct span text,
                                             struct admin_token_row *out)
{
    const struct admin_context *a = admin_context_of(req);
    uint64_t now_s = (uint64_t)time(NULL);
    enum admin_token_verdict verdict;
    bool record;

    verdict = admin_tokens_check(a->tokens, text, now_s, out, &record);
    if (record)
        record_use(a->store, out->id, now_s);
    return verdict;
}

enum admin_token_verdict admin_token_of_id(const struct http_request *req, const char *id,
                                           struct admin_token_row *out)
{
    const struct admin_context *a = admin_context_of(req);
    uint64_t now_s = (uint64_t)time(NULL);
    enum admin_token_verdict verdict;
    bool record;

    verdict = admin_tokens_known(a->tokens, id, now_s, out, &record);
    if (record)
        record_use(a->store, out->id, now_s);
    return verdict;
}

bool admin_token_in_force(const struct admin_context *a, const char *id)
{
    struct admin_token_row row;

    return admin_tokens_known(a->tokens, id, (uint64_t)time(NULL), &row, NULL) == ADMIN_TOKEN_GOOD;
}

enum admin_token_verdict admin_bearer(const struct http_request *req, struct admin_token_row *out)
{
    struct span value;

    if (http1_field(&req->head, "Authorization", &value) != 1 || value.len < 7 ||
        !span_ieq((struct span){value.p, 7}, "Bearer "))
        return ADMIN_TOKEN_BAD;
    return admin_token_of_text(req, (struct span){value.p + 7, value.len - 7}, out);
}
