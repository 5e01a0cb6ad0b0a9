/* The token pair, in memory the way the port keeps it: version, whose it is, access, refresh. Built
 * in place, so that saving needs no second buffer. */
#include "core.h"
#include "proto/json.h"
#include "proto/text.h"

#define RECORD_VERSION 1

/* version, two ids, [host]:port, two tokens, each part but the first with its NUL */
_Static_assert(1 + 2 * (LIMIT_ID_LEN + 1) + (TEDDY_HOST_MAX + 2 + 6 + 1) +
                       2 * (LIMIT_TOKEN_LEN + 1) <=
                   TEDDY_RECORD_MAX,
               "TEDDY_RECORD_MAX must hold the longest record: raise it with TEDDY_HOST_MAX");

static size_t put_text(uint8_t *record, size_t at, const char *text)
{
    size_t size = strlen(text) + 1;
    memcpy(record + at, text, size);
    return at + size;
}

static void put_authority(const struct teddy_client *c, char out[TEDDY_HOST_MAX + 9])
{
    struct writer w = writer_on(out, TEDDY_HOST_MAX + 9);
    sdk_url_authority(&w, &c->url, true);
    (void)writer_end(&w);
}

void sdk_tokens_clear(struct teddy_client *c)
{
    struct teddy_tokens *t = &c->tokens;
    char authority[TEDDY_HOST_MAX + 9];
    wipe(t->record, sizeof t->record);
    put_authority(c, authority);
    t->record[0] = RECORD_VERSION;
    size_t at = put_text(t->record, 1, c->config.device_id);
    at = put_text(t->record, at, c->config.child_id);
    at = put_text(t->record, at, authority);
    t->access_at = (uint16_t)at;
    t->refresh_at = (uint16_t)at;
    t->len = 0;
    c->expires_at = 0;
    c->refresh_at = 0;
    c->refresh_sent = false;
}

bool sdk_tokens_have(const struct teddy_client *c)
{
    return c->tokens.len != 0;
}

const char *sdk_tokens_access(const struct teddy_client *c)
{
    return (const char *)c->tokens.record + c->tokens.access_at;
}

const char *sdk_tokens_refresh(const struct teddy_client *c)
{
    return (const char *)c->tokens.record + c->tokens.refresh_at;
}

bool sdk_tokens_expired(const struct teddy_client *c)
{
    return c->expires_at != 0 && c->now >= c->expires_at;
}

/* What may stand in an Authorization field (RFC 6750 section 2.1); it also needs no unescaping. */
static bool token_ok(struct span token)
{
    if (token.len == 0 || token.len > LIMIT_TOKEN_LEN) {
        return false;
    }
    for (size_t i = 0; i < token.len; i++) {
        char ch = token.p[i];
        bool alnum =
            (ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z');
        if (!alnum && (ch == '\0' || strchr("-._~+/=", ch) == NULL)) {
            return false;
        }
    }
    return true;
}

/* The NUL-terminated part at *at of the loaded record, if it is whole. */
static bool next_part(const struct teddy_client *c, size_t *at, struct span *part)
{
    const char *p = (const char *)c->tokens.record + *at;
    size_t left = c->loaded - *at;
    const char *end = left == 0 ? NULL : memchr(p, '\0', left);
    if (end == NULL) {
        return false;
    }
    *part = (struct span){p, (size_t)(end - p)};
    *at += part->len + 1;
    return true;
}

static bool record_take(struct teddy_client *c)
{
    struct teddy_tokens *t = &c->tokens;
    struct span device, child, server, access, refresh;
    char authority[TEDDY_HOST_MAX + 9];
    size_t at = 1;
    put_authority(c, authority);
    if (c->loaded < 1 || c->loaded > sizeof t->record || t->record[0] != RECORD_VERSION ||
        !next_part(c, &at, &device) || !next_part(c, &at, &child) || !next_part(c, &at, &server)) {
        return false;
    }
    size_t access_at = at;
    if (!next_part(c, &at, &access)) {
        return false;
    }
    size_t refresh_at = at;
    if (!next_part(c, &at, &refresh) || at != c->loaded || !token_ok(access) ||
        !token_ok(refresh) || !span_is(device, c->config.device_id) ||
        !span_is(child, c->config.child_id) || !span_is(server, authority)) {
        return false;
    }
    t->access_at = (uint16_t)access_at;
    t->refresh_at = (uint16_t)refresh_at;
    t->len = c->loaded;
    return true;
}

int sdk_tokens_load(struct teddy_client *c)
{
    int rc = c->port->load(c->ctx, c->tokens.record, sizeof c->tokens.record, &c->loaded);
    if (rc == TEDDY_AGAIN) {
        return rc;
    }
    if (rc == TEDDY_OK && record_take(c)) {
        return TEDDY_OK;
    }
    if (rc != TEDDY_ENOTFOUND) {
        sdk_log(c, TEDDY_LOG_WARN, "the stored tokens cannot be used; claiming anew");
    }
    sdk_tokens_clear(c);
    return TEDDY_OK;
}

/* The member's string, where it stands. */
static struct span member_text(const struct json_object *o, const char *name)
{
    const struct json_member *m = json_find(o, name);
    return m != NULL && m->type == JSON_STRING ? m->value : (struct span){"", 0};
}

/* A function of its own: the list of members should not weigh on the stack below. */
static __attribute__((noinline)) int pair_find(struct span json, struct span *access,
                                               struct span *refresh, uint64_t *expires_in)
{
    struct json_object o;
    if (json_parse(json, &o) != TEDDY_OK) {
        return TEDDY_EPROTO;
    }
    *access = member_text(&o, "access");
    *refresh = member_text(&o, "refresh");
    if (json_u64(&o, "expires_in", expires_in) != TEDDY_OK) {
        return TEDDY_EPROTO;
    }
    return token_ok(*access) && token_ok(*refresh) ? TEDDY_OK : TEDDY_EPROTO;
}

int sdk_tokens_take(struct teddy_client *c, struct span json)
{
    struct teddy_tokens *t = &c->tokens;
    struct span access, refresh;
    uint64_t expires_in;
    if (pair_find(json, &access, &refresh, &expires_in) != TEDDY_OK) {
        return TEDDY_EPROTO;
    }
    wipe(t->record + t->access_at, sizeof t->record - t->access_at);
    memcpy(t->record + t->access_at, access.p, access.len);
    t->refresh_at = (uint16_t)(t->access_at + access.len + 1);
    memcpy(t->record + t->refresh_at, refresh.p, refresh.len);
    t->len = t->refresh_at + refresh.len + 1;
    if (expires_in > UINT32_MAX) {
        expires_in = UINT32_MAX;
    }
    c->lifetime_s = (uint32_t)expires_in;
    c->expires_at = c->now + expires_in * 1000;
    c->refresh_at = c->now + expires_in * 800; /* at 80 % */
    c->refresh_sent = false;
    return TEDDY_OK;
}

int sdk_tokens_save(struct teddy_client *c, uint64_t by)
{
    int rc = c->port->save(c->ctx, c->tokens.record, c->tokens.len);
    if (rc == TEDDY_AGAIN && c->now < by) {
        return rc;
    }
    rc = rc == TEDDY_AGAIN ? TEDDY_ETIMEOUT : rc;
    if (rc != TEDDY_OK) {
        sdk_log(c, TEDDY_LOG_ERROR,
                "the tokens could not be saved; they last until the next restart");
    }
    sdk_emit(c,
             &(struct teddy_event){.type = c->claimed ? TEDDY_EVENT_CLAIMED : TEDDY_EVENT_REFRESHED,
                                   .err = rc,
                                   .expires_in = c->lifetime_s});
    return TEDDY_OK;
}
