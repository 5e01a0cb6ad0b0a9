/* What a toy says in a session: one function per message. */
#include <stdlib.h>

#include "ops/log.h"
#include "proto/text.h"
#include "session/internal.h"

#define TELEMETRY_VALUE_MAX                                                                        \
    1e15 /* what a number in JSON holds exactly, and more than any toy has */

static const struct span NONE = {"", 0};

static void bad(struct session *s, const char *detail)
{
    send_error(s, 0, NONE, "bad_message", detail);
}

/* The utterance's id: TEDDY_ENOTFOUND when there is none, TEDDY_EINVAL when it is not a string of 1
 * to 64 printable ASCII characters. */
static int read_id(const struct json_object *json, char out[LIMIT_UTTERANCE_ID + 1],
                   struct span *id)
{
    size_t len = 0;
    *id = NONE;
    int rc = json_string(json, "id", out, LIMIT_UTTERANCE_ID + 1, &len);
    if (rc == TEDDY_ENOTFOUND)
        return rc;
    if (rc != TEDDY_OK || len == 0)
        return TEDDY_EINVAL;
    for (size_t i = 0; i < len; i++)
        if (out[i] < 0x20 || out[i] > 0x7E)
            return TEDDY_EINVAL;
    *id = (struct span){out, len};
    return TEDDY_OK;
}

static void take_text(struct session *s, const struct json_object *json)
{
    char buf[LIMIT_UTTERANCE_ID + 1];
    struct span id;
    if (read_id(json, buf, &id) == TEDDY_EINVAL)
        bad(s, "`id` must be a string of 1 to 64 printable ASCII characters.");
    else
        utterance_take(s, id, NONE, json);
}

static void take_cancel(struct session *s, const struct json_object *json)
{
    uint64_t seq;
    if (json_u64(json, "seq", &seq) != TEDDY_OK)
        bad(s, "`seq` must be a whole number.");
    else
        utterance_cancel(s, seq);
}

/* The id of a message to the toy; 0.0 when the member is not there or empty. */
static bool read_downlink_id(const struct json_object *json, const char *member,
                             struct downlink_id *id)
{
    char text[DOWNLINK_ID_TEXT];
    size_t len = 0;
    *id = (struct downlink_id){0, 0};
    int rc = json_string(json, member, text, sizeof text, &len);
    return rc == TEDDY_ENOTFOUND || (rc == TEDDY_OK && len == 0) ||
           (rc == TEDDY_OK && downlink_id_parse((struct span){text, len}, id) == TEDDY_OK);
}

static void take_hello(struct session *s, const struct json_object *json)
{
    struct downlink_id last;
    uint64_t max = 0;
    int rc = json_u64(json, "max", &max);
    if (!read_downlink_id(json, "last", &last)) {
        bad(s, "`last` must be the id of a message, as this server writes them.");
        return;
    }
    if (rc == TEDDY_EINVAL || (rc == TEDDY_OK && max < SESSION_FRAME_MIN)) {
        bad(s, "`max` must be a whole number of at least 256.");
        return;
    }
    if (rc == TEDDY_OK)
        s->ws.frame_max = max > UINT32_MAX ? UINT32_MAX : (uint32_t)max;
    s->hello = true;
    send_welcome(s);
    session_rearm(s); /* from now on its token's time counts */
    downlink_hello(s, &last);
}

static void take_ping(struct session *s, const struct json_object *json)
{
    const struct json_member *t = json_find(json, "t");
    if (t && (t->type == JSON_ARRAY || t->type == JSON_OBJECT || t->value.len > 64))
        bad(s, "`t` must be a number or a string of at most 64 bytes.");
    else
        send_pong(s, t);
}

static void take_refresh(struct session *s, const struct json_object *json)
{
    const struct session_config *c = session_hub(s)->config;
    char token[LIMIT_TOKEN_LEN + 1];
    size_t len = 0;
    int rc = json_string(json, "refresh", token, sizeof token, &len);
    if (rc != TEDDY_OK || len == 0) {
        bad(s, "`refresh` must be a token.");
    } else if (!c->refresh) {
        send_error(s, 0, NONE, "unsupported", "This server refreshes no tokens in a session.");
    } else if (s->refreshing) {
        send_error(s, 0, NONE, "busy", "A refresh is under way.");
    } else {
        s->refreshing = true;
        c->refresh(c->refresh_context, session_hub(s)->loop, session_device(s), s->id, s->sid,
                   token);
    }
    wipe(token, sizeof token);
}

/* A number of telemetry, whose form the parser has checked. */
static bool read_number(const struct json_object *json, const char *name, double *out)
{
    const struct json_member *m = json_find(json, name);
    char text[32];
    if (!m || m->type != JSON_NUMBER || m->value.len >= sizeof text)
        return false;
    memcpy(text, m->value.p, m->value.len);
    text[m->value.len] = '\0';
    *out = strtod(text, NULL);
    return *out >= -TELEMETRY_VALUE_MAX && *out <= TELEMETRY_VALUE_MAX;
}

static void keep_telemetry(struct session *s, const struct json_object *json)
{
    const struct hub *h = session_hub(s);
    uint32_t now_s = (uint32_t)(session_now(s) / 1000),
             interval_s = h->config->telemetry.interval_s;
    struct telemetry_row row = {.at_s = unix_ms() / 1000};
    if (!h->history || interval_s == 0 ||
        (s->telemetry_s != 0 && (int32_t)(now_s - s->telemetry_s) < 0))
        return;
    for (unsigned i = 0; i < TELEMETRY_FIELDS; i++)
        if (read_number(json, telemetry_names[i], &row.value[i]))
            row.has |= 1u << i;
    if (row.has == 0)
        return;
    s->telemetry_s = (now_s + interval_s) | 1u;
    history_telemetry(h->history,
                      &(struct history_owner){session_device(s), session_child(s), s->sid}, &row);
}

/* Free members, of which some numbers are kept now and then; message_take has counted it. */
static void take_telemetry(struct session *s, const struct json_object *json)
{
    keep_telemetry(s, json);
    LOG(LOG_DEBUG, "telemetry", LOG_S("device", session_device(s)), LOG_N("members", json->count));
}

static void take_ack(struct session *s, const struct json_object *json)
{
    struct downlink_id id;
    if (!read_downlink_id(json, "id", &id) || id.epoch + id.n == 0)
        bad(s, "`id` must be the id of a message, as this server writes them.");
    else if (!downlink_ack(s, &id))
        bad(s, "No message of this `id` was sent in this session.");
}

static const struct {
    const char *type;
    void (*take)(struct session *s, const struct json_object *json);
} MESSAGES[] = {
    {"text", take_text},       {"cancel", take_cancel}, {"hello", take_hello},
    {"ping", take_ping},       {"ack", take_ack},       {"telemetry", take_telemetry},
    {"refresh", take_refresh},
};

static void take_object(struct session *s, struct span text)
{
    struct json_object json;
    char type[24];
    size_t len;
    if (json_parse(text, &json) != TEDDY_OK) {
        bad(s, "Not one JSON object without duplicate members.");
        return;
    }
    int rc = json_string(&json, "type", type, sizeof type, &len);
    if (rc != TEDDY_OK && rc != TEDDY_ENOSPC) {
        bad(s, "`type` must be a string.");
        return;
    }
    for (size_t i = 0; rc == TEDDY_OK && i < sizeof MESSAGES / sizeof MESSAGES[0]; i++) {
        if (strlen(MESSAGES[i].type) == len && memcmp(MESSAGES[i].type, type, len) == 0) {
            MESSAGES[i].take(s, &json);
            return;
        }
    }
    send_error(s, 0, NONE, "unknown_type", "This server knows no message of that type.");
}

void message_take(struct session *s, char *text, size_t len)
{
    struct span all = {text, len};
    int allowed = session_allow(s);
    if (allowed == 0)
        send_error(s, 0, NONE, "rate_limited", "Too many messages; slow down.");
    if (allowed <= 0)
        return;
    if (json_looks_like_object(all))
        take_object(s, all);
    else
        utterance_take(s, NONE, all, NULL);
}
