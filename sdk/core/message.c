/* What the server says in a session: one function per type of message. */
#include "core.h"
#include "proto/text.h"

/* Types of messages. */
enum type { WELCOME, ECHO, REPLY, ERROR, MESSAGE, TOKENS, TOKEN_EXPIRING };
static const char types[] = "welcome\0"
                            "echo\0"
                            "reply\0"
                            "error\0"
                            "message\0"
                            "tokens\0"
                            "token_expiring\0";

/* Codes of errors: of what passes, and of what is about one message. */
enum code { BUSY, RATE_LIMITED, TOO_BIG, BAD_MESSAGE, OTHER };
static const char codes[] = "busy\0"
                            "rate_limited\0"
                            "too_big\0"
                            "bad_message\0";

/* The member's string, unescaped where it stands: it never grows, and its closing quote makes room
 * for the NUL. Only once, as what it then holds may look escaped again. Its length is the event's
 * text_len. */
static const char *take_string(struct teddy_client *c, const struct json_object *o,
                               const char *name)
{
    const struct json_member *m = json_find(o, name);
    c->event.text_len = 0;
    if (m == NULL || m->type != JSON_STRING) {
        return "";
    }
    char *at = (char *)c->rx + (m->value.p - (const char *)c->rx);
    (void)!json_unescape(m, at, m->value.len + 1, &c->event.text_len);
    return at;
}

uint32_t sdk_member_number(const struct json_object *o, const char *name)
{
    const struct json_member *m = json_find(o, name);
    uint32_t n = 0;
    return m != NULL && m->type == JSON_NUMBER && u32_parse(m->value, &n) == TEDDY_OK ? n : 0;
}

bool sdk_head_id(const struct teddy_client *c, char out[21])
{
    struct sdk_entry head;
    if (c->head_done || !sdk_head(c, &head) || head.kind == SDK_REPORT) {
        return false;
    }
    sdk_decimal(head.id, out);
    return true;
}

static void on_welcome(struct teddy_client *c, const struct json_object *o)
{
    uint32_t heartbeat_s = sdk_member_number(o, "heartbeat_s");
    uint32_t time = sdk_member_number(o, "time");
    sdk_event_clear(c); /* nothing of it is for the application */
    if (heartbeat_s >= 1 && heartbeat_s <= 3600) {
        c->silence_ms = heartbeat_s * 2500;
    }
    if (time != 0) {
        sdk_clock_check(c, time);
    }
    if (!c->online) {
        c->online = true;
        c->online_at = c->now;
        sdk_show(c, TEDDY_STATE_ONLINE);
    }
}

static void on_echo(struct teddy_client *c)
{
    char id[21];
    if (sdk_head_id(c, id) && strcmp(c->event.id, id) == 0) {
        c->last_seq = c->event.seq;
        sdk_session_said(c);
        sdk_emit(c, TEDDY_EVENT_ECHO);
    }
}

/* True when the error is about the utterance in flight, whose id is then the event's. Without id
 * and seq that is a guess by its code. */
static bool about_head(struct teddy_client *c, unsigned code, char id[21])
{
    if (!sdk_head_id(c, id) || !c->head_sent) {
        return false;
    }
    if (c->event.id[0] != '\0') {
        return strcmp(c->event.id, id) == 0;
    }
    c->event.id = id;
    if (c->event.seq != 0) {
        return c->event.seq > c->last_seq;
    }
    return code < (c->refresh_sent ? TOO_BIG : OTHER);
}

static void on_error(struct teddy_client *c)
{
    char id[21];
    const char *named = c->event.id;
    unsigned code = sdk_word(codes, c->event.code);
    if (!about_head(c, code, id)) {
        c->event.id = named;
    } else if (code < TOO_BIG) {
        c->say_at = c->now + sdk_backoff_ms(&c->times, c->says, sdk_random32(c));
    } else {
        sdk_session_said(c);
    }
    sdk_emit(c, TEDDY_EVENT_ERROR);
}

static void on_token_expiring(struct teddy_client *c, const struct json_object *o)
{
    uint32_t left_s = sdk_member_number(o, "expires_in");
    c->expires_at = c->now + sdk_least(left_s, SDK_SPAN_MS / 1000) * 1000;
    c->expiry_known = true;
    if (!c->refresh_sent) {
        c->refresh_at = c->now;
        c->refresh_planned = true;
    }
}

static void on_tokens(struct teddy_client *c, const struct json_object *o, size_t len)
{
    /* Only as the answer to what we asked. */
    if (!c->refresh_sent || sdk_tokens_take(c, o, len) != TEDDY_OK) {
        sdk_log(c, TEDDY_LOG_WARN, "tokens were not taken");
        sdk_session_wipe(c);
        return;
    }
    c->refresh_from = c->now + SDK_REFRESH_GAP;
    sdk_session_hold(c, SDK_HOLD_SAVE);
}

static void dispatch(struct teddy_client *c, enum type type, const struct json_object *o,
                     size_t len)
{
    if (type == WELCOME) {
        on_welcome(c, o);
    }
    if (!c->online && type != ERROR) { /* nothing else comes before it */
        return;
    }
    if (type == ECHO) {
        on_echo(c);
    } else if (type == REPLY) {
        sdk_emit(c, TEDDY_EVENT_REPLY);
    } else if (type == ERROR) {
        on_error(c);
    } else if (type == MESSAGE && c->queue != NULL) {
        c->queue->take(c, o);
    } else if (type == TOKENS) {
        on_tokens(c, o, len);
    } else if (type == TOKEN_EXPIRING) {
        on_token_expiring(c, o);
    }
}

/* The members that several types have, as an event has them. */
static void take_members(struct teddy_client *c, enum type type, const struct json_object *o)
{
    struct teddy_event *event = &c->event;
    const struct json_member *done = json_find(o, "done");
    event->id = take_string(c, o, "id");
    event->code = take_string(c, o, "code");
    event->text = take_string(c, o, type == ERROR ? "detail" : "text"); /* and its length */
    event->seq = sdk_member_number(o, "seq");
    event->done = done != NULL && done->type == JSON_TRUE;
}

void sdk_message_take(struct teddy_client *c, size_t len)
{
    struct json_object o;
    if (json_parse((struct span){(const char *)c->rx, len}, &o) == TEDDY_OK) {
        enum type type = sdk_word(types, take_string(c, &o, "type"));
        take_members(c, type, &o);
        dispatch(c, type, &o, len);
        sdk_event_clear(c); /* of what was not told */
    }
}
