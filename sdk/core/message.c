/* What the server says in a session: one function per type of message. */
#include "core.h"
#include "proto/text.h"

/* The member's string, unescaped where it stands: it never grows, and its closing quote makes room
 * for the NUL. Only once, as what it then holds may look escaped again. */
static const char *take_string(struct teddy_client *c, const struct json_object *o,
                               const char *name, size_t *len)
{
    const struct json_member *m = json_find(o, name);
    *len = 0;
    if (m == NULL || m->type != JSON_STRING) {
        return "";
    }
    char *at = (char *)c->rx + (m->value.p - (const char *)c->rx);
    (void)!json_unescape(m, at, m->value.len + 1, len);
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
    if (c->head_done || !sdk_head(c, &head) || head.kind != SDK_SAY) {
        return false;
    }
    sdk_decimal(head.id, out);
    return true;
}

static void emit_said(struct teddy_client *c, enum teddy_event_type type, const char *id,
                      const struct sdk_message *m)
{
    struct teddy_event event;
    sdk_event(&event, type);
    event.id = id;
    event.code = m->code;
    event.seq = sdk_member_number(&m->o, "seq");
    event.text = m->text;
    event.text_len = m->text_len;
    event.done = m->done;
    sdk_emit(c, &event);
}

static void on_welcome(struct teddy_client *c, const struct sdk_message *m)
{
    uint32_t heartbeat_s = sdk_member_number(&m->o, "heartbeat_s");
    uint32_t time = sdk_member_number(&m->o, "time");
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

static void on_echo(struct teddy_client *c, const struct sdk_message *m)
{
    char id[21];
    if (sdk_head_id(c, id) && strcmp(m->id, id) == 0) {
        c->last_seq = sdk_member_number(&m->o, "seq");
        sdk_session_said(c);
        emit_said(c, TEDDY_EVENT_ECHO, id, m);
    }
}

static bool passes(const char *code)
{
    return strcmp(code, "busy") == 0 || strcmp(code, "rate_limited") == 0;
}

/* True when the error is about the utterance in flight. Without id and seq that is a guess by its
 * code. */
static bool about_head(const struct teddy_client *c, const struct sdk_message *m, char id[21])
{
    if (!sdk_head_id(c, id) || !c->head_sent) {
        return false;
    }
    if (m->id[0] != '\0') {
        return strcmp(m->id, id) == 0;
    }
    uint32_t seq = sdk_member_number(&m->o, "seq");
    if (seq != 0) {
        return seq > c->last_seq;
    }
    return passes(m->code) || (!c->refresh_sent && (strcmp(m->code, "too_big") == 0 ||
                                                    strcmp(m->code, "bad_message") == 0));
}

static void on_error(struct teddy_client *c, const struct sdk_message *m)
{
    char id[21] = "";
    bool ours = about_head(c, m, id);
    if (ours && passes(m->code)) {
        c->say_at = c->now + sdk_backoff_ms(&c->times, c->says, sdk_random32(c));
    } else if (ours) {
        sdk_session_said(c);
    }
    emit_said(c, TEDDY_EVENT_ERROR, ours ? id : m->id, m);
}

static void on_token_expiring(struct teddy_client *c, const struct sdk_message *m)
{
    uint32_t left_s = sdk_member_number(&m->o, "expires_in");
    c->expires_at = c->now + sdk_least(left_s, SDK_SPAN_MS / 1000) * 1000;
    c->expiry_known = true;
    if (!c->refresh_sent) {
        c->refresh_at = c->now;
        c->refresh_planned = true;
    }
}

static void on_tokens(struct teddy_client *c, const struct sdk_message *m, size_t len)
{
    /* Only as the answer to what we asked. */
    if (!c->refresh_sent) {
        return;
    }
    if (sdk_tokens_take(c, &m->o, len) != TEDDY_OK) {
        sdk_log(c, TEDDY_LOG_WARN, "malformed tokens");
        return;
    }
    c->refresh_from = c->now + SDK_REFRESH_GAP;
    c->claimed = false;
    sdk_session_hold(c, SDK_HOLD_SAVE);
}

static void dispatch(struct teddy_client *c, const char *type, struct sdk_message *m, size_t len)
{
    if (strcmp(type, "welcome") == 0) {
        on_welcome(c, m);
    } else if (!c->online) { /* nothing comes before it */
    } else if (strcmp(type, "echo") == 0) {
        on_echo(c, m);
    } else if (strcmp(type, "reply") == 0) {
        emit_said(c, TEDDY_EVENT_REPLY, m->id, m);
    } else if (strcmp(type, "error") == 0) {
        on_error(c, m);
    } else if (c->queue != NULL && strcmp(type, "message") == 0) {
        c->queue->take(c, m);
    } else if (strcmp(type, "tokens") == 0) {
        on_tokens(c, m, len);
    } else if (strcmp(type, "token_expiring") == 0) {
        on_token_expiring(c, m);
    }
}

/* The members that several types have. */
static void take_members(struct teddy_client *c, const char *type, struct sdk_message *m)
{
    const struct json_member *done = json_find(&m->o, "done");
    size_t len;
    m->id = take_string(c, &m->o, "id", &len);
    m->code = take_string(c, &m->o, "code", &len);
    m->text = take_string(c, &m->o, strcmp(type, "error") == 0 ? "detail" : "text", &m->text_len);
    m->done = done != NULL && done->type == JSON_TRUE;
}

void sdk_message_take(struct teddy_client *c, size_t len)
{
    struct sdk_message m;
    size_t type_len;
    if (json_parse((struct span){(const char *)c->rx, len}, &m.o) == TEDDY_OK) {
        const char *type = take_string(c, &m.o, "type", &type_len);
        take_members(c, type, &m);
        dispatch(c, type, &m, len);
    }
}
