/* What the server says in a session: one function per type of message. */
#include "core.h"
#include "proto/json.h"

static void take_string(const struct json_object *o, const char *name, char *out, size_t cap)
{
    size_t len;
    if (json_string(o, name, out, cap, &len) != TEDDY_OK) {
        out[0] = '\0';
    }
}

static uint64_t take_number(const struct json_object *o, const char *name)
{
    uint64_t n;
    return json_u64(o, name, &n) == TEDDY_OK ? n : 0;
}

/* The string unescaped where it stands: it never grows, and its closing quote makes room for the
 * NUL. */
static void take_text(const struct json_object *o, const char *name, char *json,
                      struct sdk_message *out)
{
    const struct json_member *m = json_find(o, name);
    if (m == NULL || m->type != JSON_STRING) {
        return;
    }
    char *at = json + (m->value.p - json);
    if (json_string(o, name, at, m->value.len + 1, &out->text_len) == TEDDY_OK) {
        out->text = at;
    }
}

/* `data` is handed on as the JSON it is. */
static void take_data(const struct json_object *o, char *json, struct sdk_message *out)
{
    const struct json_member *m = json_find(o, "data");
    if (m != NULL) {
        bool quoted = m->type == JSON_STRING;
        out->text = json + (m->value.p - json) - quoted;
        out->text_len = m->value.len + 2u * quoted;
        out->is_data = true;
    }
}

static __attribute__((noinline)) int take_members(const struct json_object *o, char *json,
                                                  struct sdk_message *out)
{
    size_t type_len;
    if (json_string(o, "type", out->type, sizeof out->type, &type_len) != TEDDY_OK) {
        return TEDDY_EINVAL;
    }
    take_string(o, "id", out->id, sizeof out->id);
    take_string(o, "code", out->code, sizeof out->code);
    out->seq = take_number(o, "seq");
    out->time = take_number(o, "time");
    out->expires_in = take_number(o, "expires_in");
    out->expires = take_number(o, "expires");
    out->heartbeat_s = take_number(o, "heartbeat_s");
    const struct json_member *done = json_find(o, "done");
    out->done = done != NULL && done->type == JSON_TRUE;
    if (strcmp(out->type, "echo") == 0 || strcmp(out->type, "reply") == 0) {
        take_text(o, "text", json, out);
    } else if (strcmp(out->type, "error") == 0) {
        take_text(o, "detail", json, out);
    } else if (strcmp(out->type, "message") == 0) {
        take_text(o, "text", json, out);
        take_data(o, json, out);
    }
    return TEDDY_OK;
}

/* Functions of their own, so that the list of members is off the stack before anything is done. */
__attribute__((noinline)) int sdk_message_read(char *json, size_t len, struct sdk_message *out)
{
    struct json_object o;
    *out = (struct sdk_message){.text = json + len}; /* empty: where the NUL will be */
    int rc = json_parse((struct span){json, len}, &o);
    return rc == TEDDY_OK ? take_members(&o, json, out) : rc;
}

/* True, with the id in decimal, when there is an utterance that the server has not echoed yet. */
static bool head_id(const struct teddy_client *c, char out[21])
{
    struct sdk_entry head;
    if (c->head_done || !sdk_head(c, &head, NULL) || head.kind != SDK_SAY) {
        return false;
    }
    sdk_decimal(head.id, out);
    return true;
}

static void emit_said(struct teddy_client *c, enum teddy_event_type type, const char *id,
                      const struct sdk_message *m)
{
    sdk_emit(c, &(struct teddy_event){.type = type,
                                      .id = id,
                                      .code = m->code,
                                      .seq = m->seq,
                                      .text = m->text,
                                      .text_len = m->text_len,
                                      .done = m->done});
}

static void on_welcome(struct teddy_client *c, const struct sdk_message *m, struct span json)
{
    (void)json;
    if (m->heartbeat_s >= 1 && m->heartbeat_s <= 3600) {
        c->silence_ms = (uint32_t)m->heartbeat_s * 2500;
    }
    if (m->time != 0) {
        sdk_clock_check(c, m->time);
    }
    sdk_session_online(c, true);
}

static void on_echo(struct teddy_client *c, const struct sdk_message *m, struct span json)
{
    (void)json;
    char id[21];
    if (!head_id(c, id)) {
        return;
    }
    /* An older server repeats no ids: its echo is of what was said last. */
    bool ours = m->id[0] != '\0' ? strcmp(m->id, id) == 0 : !c->welcomed && c->head_sent;
    if (ours) {
        c->last_seq = m->seq;
        sdk_session_said(c);
        emit_said(c, TEDDY_EVENT_ECHO, id, m);
    }
}

static void on_reply(struct teddy_client *c, const struct sdk_message *m, struct span json)
{
    (void)json;
    emit_said(c, TEDDY_EVENT_REPLY, m->id, m);
}

static bool passes(const char *code)
{
    return strcmp(code, "busy") == 0 || strcmp(code, "rate_limited") == 0;
}

/* True when the error is about the utterance in flight. Without id and seq that is a guess by its
 * code. */
static bool about_head(const struct teddy_client *c, const struct sdk_message *m, char id[21])
{
    if (!head_id(c, id) || !c->head_sent) {
        return false;
    }
    if (m->id[0] != '\0') {
        return strcmp(m->id, id) == 0;
    }
    if (m->seq != 0) {
        return m->seq > c->last_seq;
    }
    return passes(m->code) || (!c->refresh_sent && (strcmp(m->code, "too_big") == 0 ||
                                                    strcmp(m->code, "bad_message") == 0));
}

static void on_error(struct teddy_client *c, const struct sdk_message *m, struct span json)
{
    (void)json;
    char id[21] = "";
    bool ours = about_head(c, m, id);
    if (ours && passes(m->code)) {
        c->say_at = c->now + sdk_backoff_ms(&c->config, c->says, sdk_random32(c));
    } else if (ours) {
        sdk_session_said(c);
    }
    emit_said(c, TEDDY_EVENT_ERROR, ours ? id : m->id, m);
}

static void on_token_expiring(struct teddy_client *c, const struct sdk_message *m, struct span json)
{
    (void)json;
    uint32_t in_s = SDK_SPAN_MS / 1000;
    in_s = m->expires_in < in_s ? (uint32_t)m->expires_in : in_s;
    c->expires_at = c->now + in_s * 1000;
    c->expiry_known = true;
    if (!c->refresh_sent) {
        c->refresh_at = c->now;
        c->refresh_planned = true;
    }
}

static void on_tokens(struct teddy_client *c, const struct sdk_message *m, struct span json)
{
    (void)m;
    /* Only as the answer to what we asked. */
    if (!c->refresh_sent) {
        return;
    }
    if (sdk_tokens_take(c, json) != TEDDY_OK) {
        sdk_log(c, TEDDY_LOG_WARN, "the server's new tokens are malformed");
        return;
    }
    c->refresh_from = c->now + SDK_REFRESH_GAP;
    c->claimed = false;
    c->hold = SDK_HOLD_SAVE;
    c->hold_by = c->now + c->config.step_timeout_ms;
}

static void on_message(struct teddy_client *c, const struct sdk_message *m, struct span json)
{
    (void)json;
    if (c->welcomed) { /* an older server only repeats what it hears */
        sdk_downlink_take(c, m);
    }
}

struct message_row {
    const char *type;
    void (*take)(struct teddy_client *c, const struct sdk_message *m, struct span json);
};

static const struct message_row rows[] = {
    {"welcome", on_welcome}, {"echo", on_echo},     {"reply", on_reply},
    {"error", on_error},     {"tokens", on_tokens}, {"token_expiring", on_token_expiring},
    {"message", on_message},
};

static void dispatch(struct teddy_client *c, const struct sdk_message *m, struct span json)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(rows[i].type, m->type) == 0) {
            rows[i].take(c, m, json);
            return;
        }
    }
}

/* An older server talks in plain text: what follows an utterance is its echo, anything else a
 * reply. */
static void take_plain(struct teddy_client *c, char *text, size_t len, bool answers_hello)
{
    char id[21];
    struct sdk_message m = {.text = text, .text_len = len, .done = true};
    if (c->modern || answers_hello) {
        return;
    }
    if (c->head_sent && head_id(c, id)) {
        sdk_session_said(c);
        emit_said(c, TEDDY_EVENT_ECHO, id, &m);
    } else {
        emit_said(c, TEDDY_EVENT_REPLY, "", &m);
    }
}

void sdk_message_take(struct teddy_client *c, char *text, size_t len)
{
    struct sdk_message m;
    struct span json = {text, len};
    bool first = !c->online;
    text[len] = '\0';
    bool object = json_looks_like_object(json) && sdk_message_read(text, len, &m) == TEDDY_OK;
    if (first && !c->modern && !(object && strcmp(m.type, "welcome") == 0)) {
        sdk_session_online(c, false);
    }
    if (object) {
        dispatch(c, &m, json);
    } else {
        take_plain(c, text, len, first);
    }
}
