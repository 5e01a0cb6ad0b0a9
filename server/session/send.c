/* What the server says in a session: one function per message. */
#include "ops/metrics.h"
#include "proto/claim.h"
#include "proto/text.h"
#include "session/internal.h"

static struct writer begin(struct session *s, const char *type)
{
    struct writer w = writer_on(session_hub(s)->out, session_hub(s)->out_cap);
    writer_text(&w, "{\"type\":\"");
    writer_text(&w, type);
    writer_text(&w, "\"");
    return w;
}

static void name(struct writer *w, const char *member)
{
    writer_text(w, ",\"");
    writer_text(w, member);
    writer_text(w, "\":");
}

static void number(struct writer *w, const char *member, uint64_t n)
{
    name(w, member);
    writer_u64(w, n);
}

static void string(struct writer *w, const char *member, struct span text)
{
    name(w, member);
    writer_json_string(w, text);
}

static void truth(struct writer *w, const char *member, bool is)
{
    name(w, member);
    writer_text(w, is ? "true" : "false");
}

static void which(struct writer *w, uint64_t seq, struct span id)
{
    if (seq)
        number(w, "seq", seq);
    if (id.len)
        string(w, "id", id);
}

static void end(struct session *s, struct writer *w)
{
    writer_text(w, "}");
    if (w->overflow) { /* the buffer fits the longest utterance at its worst: a mistake of ours */
        wsio_fail(&s->ws, WS_CLOSE_INTERNAL, "internal");
        return;
    }
    metric_add(loop_index(session_hub(s)->loop), METRIC_MESSAGES_OUT, 1);
    wsio_text(&s->ws, w->buf, w->len);
}

void send_echo(struct session *s, uint64_t seq, struct span id, struct span text, bool done)
{
    struct writer w = begin(s, "echo");
    which(&w, seq, id);
    string(&w, "text", text);
    if (done)
        truth(&w, "done", true);
    end(s, &w);
}

static size_t written_len(uint8_t c)
{
    return c < 0x20 || c == 0x7F ? 6 : c == '"' || c == '\\' ? 2 : 1;
}

/* As much of text as takes at most `room` bytes when written, whole characters, at least one. */
static size_t fitting(struct span text, size_t room)
{
    size_t at = 0, used = 0, whole = 0;
    while (at < text.len) {
        used += written_len((uint8_t)text.p[at]);
        if (used > room && whole > 0)
            break;
        at++;
        if (at == text.len || ((uint8_t)text.p[at] & 0xC0) != 0x80)
            whole = at;
    }
    return used > room && whole > 0 ? whole : text.len;
}

static void send_part(struct session *s, uint64_t seq, struct span id, struct span text, bool done)
{
    struct writer w = begin(s, "reply");
    which(&w, seq, id);
    string(&w, "text", text);
    truth(&w, "done", done);
    end(s, &w);
}

void send_reply(struct session *s, uint64_t seq, struct span id, struct span text, bool done)
{
    size_t around = 80 + 2 * id.len; /* all but the text */
    size_t max = session_hub(s)->out_cap;
    if (s->ws.frame_max && s->ws.frame_max < max)
        max = s->ws.frame_max;
    size_t room = max > around + 16 ? max - around : 16;
    do {
        size_t n = fitting(text, room);
        struct span part = {text.p, n};
        text = (struct span){text.p + n, text.len - n};
        send_part(s, seq, id, part, done && text.len == 0);
    } while (text.len > 0);
    if (done)
        metric_add(loop_index(session_hub(s)->loop), METRIC_REPLIES, 1);
}

void send_error(struct session *s, uint64_t seq, struct span id, const char *code,
                const char *detail)
{
    struct writer w = begin(s, "error");
    which(&w, seq, id);
    string(&w, "code", span_of(code));
    string(&w, "detail", span_of(detail));
    metric_add(loop_index(session_hub(s)->loop), METRIC_MESSAGES_REFUSED, 1);
    end(s, &w);
}

void send_welcome(struct session *s)
{
    char id[17];
    struct writer w = begin(s, "welcome");
    session_id_text(s->id, id);
    string(&w, "session", span_of(id));
    number(&w, "heartbeat_s", (session_hub(s)->config->ping_ms + 999) / 1000);
    number(&w, "time", unix_ms() / 1000);
    truth(&w, "resumed",
          recent_known(&session_hub(s)->recent, session_device(s), session_child(s)));
    end(s, &w);
}

bool send_message(struct session *s, const struct downlink_row *d)
{
    char id[DOWNLINK_ID_TEXT];
    struct writer text = writer_on(id, sizeof id);
    struct writer w = begin(s, "message");
    downlink_id_write(&text, &d->id);
    string(&w, "id", (struct span){id, text.len});
    if (d->data) {
        name(&w, "data");
        writer_span(&w, d->body);
    } else {
        string(&w, "text", d->body);
    }
    number(&w, "expires", d->expires_s);
    if (w.overflow || (s->ws.frame_max && w.len + 1 > s->ws.frame_max))
        return false;
    end(s, &w);
    return true;
}

void send_pong(struct session *s, const struct json_member *t)
{
    struct writer w = begin(s, "pong");
    if (t) { /* as it came: it was checked to be a short scalar */
        const char *quote = t->type == JSON_STRING ? "\"" : "";
        name(&w, "t");
        writer_text(&w, quote);
        writer_span(&w, t->value);
        writer_text(&w, quote);
    }
    number(&w, "time", unix_ms() / 1000);
    end(s, &w);
}

void send_expiring(struct session *s, uint64_t expires_in_s)
{
    struct writer w = begin(s, "token_expiring");
    number(&w, "expires_in", expires_in_s);
    end(s, &w);
}

void send_tokens(struct session *s, const char *access, const char *refresh, uint32_t expires_in)
{
    struct writer w = writer_on(session_hub(s)->out, session_hub(s)->out_cap);
    token_pair_write(&w, "tokens", access, refresh, expires_in);
    if (w.overflow) {
        wsio_fail(&s->ws, WS_CLOSE_INTERNAL, "internal");
    } else {
        metric_add(loop_index(session_hub(s)->loop), METRIC_MESSAGES_OUT, 1);
        wsio_text(&s->ws, w.buf, w.len);
    }
    wipe(session_hub(s)->out, w.len);
}
