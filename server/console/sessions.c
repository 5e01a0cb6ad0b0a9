#include "console/sessions.h"

#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "identity/rules.h"
#include "proto/text.h"

/* A session or a link. number 0: free. */
struct entry {
    uint64_t number;
    uint64_t made_ms, used_ms;
    uint8_t sha256[SHA256_DIGEST_LENGTH];
    char token[ADMIN_TOKEN_ID_LEN + 1];
};

struct console_sessions {
    uint64_t last; /* number given */
    struct entry sessions[CONSOLE_SESSIONS_MAX];
    struct entry links[CONSOLE_LINKS_MAX];
};

struct console_sessions *console_sessions_new(void)
{
    return calloc(1, sizeof(struct console_sessions));
}

void console_sessions_free(struct console_sessions *s)
{
    if (s == NULL)
        return;
    wipe(s, sizeof *s);
    free(s);
}

static int draw(char text[CONSOLE_SECRET_LEN + 1])
{
    uint8_t random[32];
    int rc = identity_random(random, sizeof random);

    if (rc == TEDDY_OK)
        base64url_encode(random, sizeof random, text);
    wipe(random, sizeof random);
    return rc;
}

/* The one whose last use is longest ago, which a free one's is; of those of the same token when it
 * has as many as one may, so that nobody signs out all others. */
static struct entry *place(struct entry *all, size_t count, const char *token)
{
    struct entry *oldest = &all[0], *own = NULL;
    size_t owns = 0;

    for (size_t i = 0; i < count; i++) {
        if (all[i].used_ms < oldest->used_ms)
            oldest = &all[i];
        if (all[i].number == 0 || strcmp(all[i].token, token) != 0)
            continue;
        owns++;
        if (own == NULL || all[i].used_ms < own->used_ms)
            own = &all[i];
    }
    return owns >= CONSOLE_OF_ONE_MAX ? own : oldest;
}

static int add(struct console_sessions *s, struct entry *e, const char *token, uint64_t now_ms,
               char text[CONSOLE_SECRET_LEN + 1])
{
    int rc = draw(text);

    if (rc != TEDDY_OK)
        return rc;
    *e = (struct entry){.number = ++s->last, .made_ms = now_ms, .used_ms = now_ms};
    (void)SHA256((const uint8_t *)text, CONSOLE_SECRET_LEN, e->sha256);
    memcpy(e->token, token, ADMIN_TOKEN_ID_LEN);
    return TEDDY_OK;
}

/* All are compared, so that the time tells nothing. */
static struct entry *find(struct entry *all, size_t count, struct span text)
{
    uint8_t sha256[SHA256_DIGEST_LENGTH];
    struct entry *found = NULL;

    if (text.len != CONSOLE_SECRET_LEN || !span_within(text, "-_"))
        return NULL;
    (void)SHA256((const uint8_t *)text.p, text.len, sha256);
    for (size_t i = 0; i < count; i++)
        if (ct_equal(all[i].sha256, sha256, sizeof sha256) && all[i].number != 0)
            found = &all[i];
    return found;
}

static bool alive(const struct entry *e, uint64_t now_ms)
{
    return now_ms - e->used_ms < CONSOLE_IDLE_MS && now_ms - e->made_ms < CONSOLE_LIFE_MS;
}

int console_session_open(struct console_sessions *s, const char *token, uint64_t now_ms,
                         char secret[CONSOLE_SECRET_LEN + 1])
{
    return add(s, place(s->sessions, CONSOLE_SESSIONS_MAX, token), token, now_ms, secret);
}

bool console_session_use(struct console_sessions *s, struct span secret, uint64_t now_ms,
                         struct console_session *out)
{
    struct entry *e = find(s->sessions, CONSOLE_SESSIONS_MAX, secret);

    if (e == NULL)
        return false;
    if (!alive(e, now_ms)) {
        wipe(e, sizeof *e);
        return false;
    }
    e->used_ms = now_ms;
    *out = (struct console_session){.number = e->number, .ends_ms = e->made_ms + CONSOLE_LIFE_MS};
    memcpy(out->token, e->token, sizeof out->token);
    return true;
}

bool console_session_lives(const struct console_sessions *s, uint64_t number, uint64_t now_ms)
{
    for (size_t i = 0; i < CONSOLE_SESSIONS_MAX; i++)
        if (s->sessions[i].number == number && number != 0)
            return alive(&s->sessions[i], now_ms);
    return false;
}

void console_session_close(struct console_sessions *s, uint64_t number)
{
    for (size_t i = 0; i < CONSOLE_SESSIONS_MAX; i++)
        if (s->sessions[i].number == number)
            wipe(&s->sessions[i], sizeof s->sessions[i]);
}

int console_link_make(struct console_sessions *s, const char *token, uint64_t now_ms,
                      char code[CONSOLE_SECRET_LEN + 1])
{
    return add(s, place(s->links, CONSOLE_LINKS_MAX, token), token, now_ms, code);
}

bool console_link_take(struct console_sessions *s, struct span code, uint64_t now_ms,
                       char token[ADMIN_TOKEN_ID_LEN + 1])
{
    struct entry *e = find(s->links, CONSOLE_LINKS_MAX, code);
    bool good;

    if (e == NULL)
        return false;
    good = now_ms - e->made_ms < CONSOLE_LINK_MS;
    memcpy(token, e->token, sizeof e->token);
    wipe(e, sizeof *e);
    return good;
}
