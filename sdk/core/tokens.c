/* The token pair. It rests with the port alone: a record is loaded into rx when a token is needed,
 * and made there of a new pair when one comes. A record: version, whose they are, the two tokens,
 * each with a NUL. */
#include "core.h"
#include "proto/text.h"

/* The version, one more where the refresh token is first. */
#define ACCESS_FIRST  3
#define REFRESH_FIRST 4
#define OWNER_AT      1
#define FIRST_AT      (OWNER_AT + SDK_OWNER_LEN)

_Static_assert(FIRST_AT + 2 * (LIMIT_TOKEN_LEN + 1) <= TEDDY_RECORD_MAX,
               "TEDDY_RECORD_MAX must hold the longest record");

/* A request is written from rx's start; what is longest, an upgrade, ends before this. */
static char *token_place(const struct teddy_client *c)
{
    return (char *)c->rx + c->rx_len - LIMIT_TOKEN_LEN - 1;
}

const char *sdk_token(const struct teddy_client *c)
{
    return token_place(c);
}

void sdk_tokens_drop(struct teddy_client *c)
{
    c->tokenless = true;
    c->expiry_known = c->refresh_planned = false;
    c->refresh_sent = false;
}

bool sdk_tokens_expired(const struct teddy_client *c)
{
    return c->expiry_known && sdk_due(c, c->expires_at);
}

/* What may stand in an Authorization field (RFC 6750 section 2.1); it also needs no unescaping. */
static bool token_ok(struct span token)
{
    return token.len > 0 && token.len <= LIMIT_TOKEN_LEN && span_within(token, "-._~+/=");
}

static bool record_ok(const struct teddy_client *c)
{
    const struct span record = {(const char *)c->rx, c->record_len};
    uint8_t owner[SDK_OWNER_LEN];
    sdk_owner(c, c->config.child_id, owner);
    if (record.len <= FIRST_AT || record.len > TEDDY_RECORD_MAX || c->rx[record.len - 1] != '\0' ||
        (c->rx[0] != ACCESS_FIRST && c->rx[0] != REFRESH_FIRST) ||
        memcmp(c->rx + OWNER_AT, owner, sizeof owner) != 0) {
        return false;
    }
    struct span first = span_of(record.p + FIRST_AT);
    size_t second_at = FIRST_AT + first.len + 1;
    if (!token_ok(first) || second_at == record.len) {
        return false;
    }
    struct span second = span_of(record.p + second_at);
    return token_ok(second) && second_at + second.len + 1 == record.len;
}

void sdk_tokens_pick(struct teddy_client *c, bool refresh)
{
    const char *token = (const char *)c->rx + FIRST_AT;
    char *place = token_place(c);
    if (refresh != (c->rx[0] == REFRESH_FIRST)) {
        token += strlen(token) + 1;
    }
    size_t len = strlen(token);
    memmove(place, token, len);
    wipe(c->rx, (size_t)(place - (char *)c->rx));
    memset(place + len, 0, LIMIT_TOKEN_LEN + 1 - len);
    c->record_len = 0;
}

int sdk_load(struct teddy_client *c, enum teddy_record record,
             bool (*ok)(const struct teddy_client *c))
{
    int rc = c->port->load(c->ctx, record, c->rx, TEDDY_RECORD_MAX, &c->record_len);
    if (rc == TEDDY_OK && !ok(c)) {
        rc = TEDDY_EAUTH;
    }
    if (rc < 0 && rc != TEDDY_ENOTFOUND) {
        sdk_log(c, TEDDY_LOG_WARN, "a record cannot be used");
    }
    return rc;
}

int sdk_tokens_load(struct teddy_client *c)
{
    int rc = sdk_load(c, TEDDY_RECORD_TOKENS, record_ok);
    if (rc == TEDDY_OK) {
        sdk_tokens_pick(c, c->goal == SDK_REFRESH || c->stage == SDK_SESSION);
    } else if (rc != TEDDY_AGAIN) {
        wipe(c->rx, TEDDY_RECORD_MAX);
        c->record_len = 0;
        rc = TEDDY_ENOTFOUND;
    }
    return rc;
}

struct span sdk_member_text(const struct json_object *o, const char *name)
{
    const struct json_member *m = json_find(o, name);
    return m != NULL && m->type == JSON_STRING ? m->value : (struct span){"", 0};
}

/* Moves the two tokens to where they belong in the record. Each stands behind its place, because a
 * member's name before it is longer than the record's head. */
static void record_make(struct teddy_client *c, struct span access, struct span refresh,
                        size_t json_len)
{
    bool refresh_first = refresh.p < access.p;
    struct span first = refresh_first ? refresh : access, second = refresh_first ? access : refresh;
    uint8_t *to = c->rx + FIRST_AT;
    memmove(to, first.p, first.len);
    to += first.len;
    *to++ = '\0';
    memmove(to, second.p, second.len);
    to += second.len;
    *to++ = '\0';
    c->record_len = (size_t)(to - c->rx);
    c->rx[0] = (uint8_t)(ACCESS_FIRST + refresh_first);
    sdk_owner(c, c->config.child_id, c->rx + OWNER_AT);
    wipe(c->rx + c->record_len, json_len - c->record_len); /* the names alone are longer */
}

int sdk_tokens_take(struct teddy_client *c, const struct json_object *o, size_t len)
{
    struct span access = sdk_member_text(o, "access"), refresh = sdk_member_text(o, "refresh");
    uint32_t lifetime_s = sdk_member_number(o, "expires_in");
    if (lifetime_s == 0 || !token_ok(access) || !token_ok(refresh)) {
        return TEDDY_EPROTO;
    }
    c->lifetime_s = lifetime_s;
    record_make(c, access, refresh, len); /* o is gone */
    uint32_t planned_s = sdk_least(c->lifetime_s, SDK_SPAN_MS / 1000);
    c->expires_at = c->now + planned_s * 1000;
    c->refresh_at = c->now + planned_s * 800; /* at 80 % */
    c->expiry_known = c->refresh_planned = true;
    c->refresh_sent = false;
    return TEDDY_OK;
}

int sdk_save(struct teddy_client *c, enum teddy_record record, const uint8_t *data, size_t len)
{
    int rc = c->port->save(c->ctx, record, data, len);
    if (rc == TEDDY_AGAIN && sdk_due(c, c->deadline)) {
        rc = TEDDY_ETIMEOUT;
    }
    if (rc < 0) {
        sdk_log(c, TEDDY_LOG_ERROR, "a record could not be saved");
    }
    return rc;
}

int sdk_tokens_save(struct teddy_client *c)
{
    int rc = sdk_save(c, TEDDY_RECORD_TOKENS, c->rx, c->record_len);
    if (rc == TEDDY_AGAIN) {
        return rc;
    }
    c->tokenless = rc != TEDDY_OK; /* what is stored instead is spent */
    c->event.err = rc;
    c->event.expires_in = c->lifetime_s;
    sdk_emit(c, c->goal == SDK_CLAIM ? TEDDY_EVENT_CLAIMED : TEDDY_EVENT_REFRESHED);
    return TEDDY_OK;
}
