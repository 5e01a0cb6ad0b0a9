/* The admin tokens in memory. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "admin/command.h"
#include "admin/token.h"
#include "proto/text.h"

#define RECORD_EVERY_S 60

struct admin_tokens {
    pthread_mutex_t lock;
    struct admin_token_row *rows; /* a few hundred at most, and few requests: they are walked */
    unsigned count;
};

void admin_tokens_free(struct admin_tokens *t)
{
    if (t == NULL)
        return;
    pthread_mutex_destroy(&t->lock);
    free(t->rows);
    free(t);
}

int admin_tokens_load(struct store *store, struct admin_tokens **out)
{
    struct admin_command *c = admin_command_new(ADMIN_TOKEN_LIST, NULL, (struct span){"", 0});
    struct admin_tokens *t = calloc(1, sizeof *t);
    int rc = TEDDY_ENOMEM;

    *out = NULL;
    if (c != NULL && t != NULL) {
        (void)pthread_mutex_init(&t->lock, NULL);
        rc = store_read_wait(store, &c->job);
        if (rc == TEDDY_OK)
            admin_tokens_take(t, c->tokens);
        *out = t;
        t = NULL;
    }
    admin_command_free(c);
    free(t);
    return rc;
}

static struct admin_token_row *find(const struct admin_tokens *t, const char *id)
{
    for (unsigned i = 0; i < t->count; i++)
        if (strcmp(t->rows[i].id, id) == 0)
            return &t->rows[i];
    return NULL;
}

void admin_tokens_take(struct admin_tokens *t, struct admin_token_work *w)
{
    struct admin_token_row *before;

    pthread_mutex_lock(&t->lock);
    before = t->rows;
    /* A use on its way to the store is not forgotten. */
    for (unsigned i = 0; i < w->count; i++) {
        const struct admin_token_row *old = find(t, w->rows[i].id);
        if (old != NULL && old->used_s > w->rows[i].used_s)
            w->rows[i].used_s = old->used_s;
    }
    t->rows = w->rows;
    t->count = w->count;
    pthread_mutex_unlock(&t->lock);
    free(before);
    w->rows = NULL;
    w->count = w->cap = 0;
}

/* sha256 NULL: it was looked at before. */
static enum admin_token_verdict judge(struct admin_token_row *t, const uint8_t *sha256,
                                      uint64_t now_s, bool *record)
{
    if ((sha256 != NULL && !ct_equal(sha256, t->sha256, sizeof t->sha256)) || t->revoked_s > 0)
        return ADMIN_TOKEN_BAD;
    if (now_s >= t->expires_s)
        return ADMIN_TOKEN_EXPIRED;
    if (record == NULL)
        return ADMIN_TOKEN_GOOD;
    *record = now_s >= t->used_s + RECORD_EVERY_S;
    if (*record)
        t->used_s = now_s;
    return ADMIN_TOKEN_GOOD;
}

static enum admin_token_verdict look_up(struct admin_tokens *t, const char *id,
                                        const uint8_t *sha256, uint64_t now_s,
                                        struct admin_token_row *out, bool *record)
{
    enum admin_token_verdict verdict = ADMIN_TOKEN_BAD;

    pthread_mutex_lock(&t->lock);
    struct admin_token_row *row = find(t, id);
    if (row != NULL)
        verdict = judge(row, sha256, now_s, record);
    if (row != NULL && verdict != ADMIN_TOKEN_BAD)
        *out = *row;
    pthread_mutex_unlock(&t->lock);
    return verdict;
}

enum admin_token_verdict admin_tokens_check(struct admin_tokens *t, struct span text,
                                            uint64_t now_s, struct admin_token_row *out,
                                            bool *record)
{
    char id[ADMIN_TOKEN_ID_LEN + 1];
    uint8_t sha256[32];

    *record = false;
    return admin_token_parse(text, id, sha256) ? look_up(t, id, sha256, now_s, out, record)
                                               : ADMIN_TOKEN_BAD;
}

enum admin_token_verdict admin_tokens_known(struct admin_tokens *t, const char *id, uint64_t now_s,
                                            struct admin_token_row *out, bool *record)
{
    if (record != NULL)
        *record = false;
    return look_up(t, id, NULL, now_s, out, record);
}
