/* What the server says in a session: one function per message. */
#include "ops/metrics.h"
#include "proto/claim.h"
#include "proto/text.h"
#include "session/internal.h"

/* What the compiler can put together, of literals. */
#define LITERAL(text) ((struct span){text, sizeof(text) - 1})
#define TYPE(name)    LITERAL("{\"type\":\"" name "\"")
#define MEMBER(name)  LITERAL(",\"" name "\":")

static struct writer begin(struct session *s, struct span type)
{
    struct writer w = writer_on(session_hub(s)->out, session_hub(s)->out_cap);
    writer_span(&w, type);
    return w;
}

static void number(struct writer *w, struct span member, uint64_t n)
{
    writer_span(w, member);
    writer_u64(w, n);
}

static void string(struct writer *w, struct span member, struct span text)
{
    writer_span(w, member);
    writer_json_string(w, text);
}

static void done_member(struct writer *w, bool done)
{
    writer_span(w, done ? LITERAL(",\"done\":true") : LITERAL(",\"done\":false"));
}

static void which(struct writer *w, uint64_t seq, struct span id)
{
    if (seq)
        number(w, MEMBER("seq"), seq);
    if (id.len)
        string(w, MEMBER("id"), id);
}

static void end(struct session *s, struct writer *w)
{
    writer_text(w, "}");
    if (w->overflow) { /* the buffer fits the longest utterance at its worst: a mistake of ours */
        wsio_fail(&s->ws, WS_CLOSE_INTERNAL, "internal");
    } else {
        metric_add(loop_index(session_hub(s)->loop), METRIC_MESSAGES_OUT, 1);
        s->sent++;
        wsio_text(&s->ws, w->buf, w->len);
    }
    wipe(w->buf, w->len); /* what was said does not wait here for the next message */
}

void send_echo(struct session *s, uint64_t seq, struct span id, struct span text, bool done)
{
    struct writer w = begin(s, TYPE("echo"));
    which(&w, seq, id);
    string(&w, MEMBER("text"), text);
    if (done)
        done_member(&w, true);
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
    struct writer w = begin(s, TYPE("reply"));
    which(&w, seq, id);
    string(&w, MEMBER("text"), text);
    done_member(&w, done);
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
    struct writer w = begin(s, TYPE("error"));
    which(&w, seq, id);
    string(&w, MEMBER("code"), span_of(code));
    string(&w, MEMBER("detail"), span_of(detail));
    metric_add(loop_index(session_hub(s)->loop), METRIC_MESSAGES_REFUSED, 1);
    end(s, &w);
}

void send_welcome(struct session *s)
{
    char id[17];
    struct writer w = begin(s, TYPE("welcome"));
    session_id_text(s->id, id);
    string(&w, MEMBER("session"), span_of(id));
    number(&w, MEMBER("heartbeat_s"), (session_hub(s)->config->ping_ms + 999) / 1000);
    number(&w, MEMBER("time"), unix_ms() / 1000);
    bool resumed = recent_known(&session_hub(s)->recent, session_device(s), session_child(s));
    writer_span(&w, MEMBER("resumed"));
    writer_text(&w, resumed ? "true" : "false");
    end(s, &w);
}

bool send_message(struct session *s, const struct downlink_row *d)
{
    char id[DOWNLINK_ID_TEXT];
    struct writer text = writer_on(id, sizeof id);
    struct writer w = begin(s, TYPE("message"));
    downlink_id_write(&text, &d->id);
    string(&w, MEMBER("id"), (struct span){id, text.len});
    if (d->data) {
        writer_span(&w, MEMBER("data"));
        writer_span(&w, d->body);
    } else {
        string(&w, MEMBER("text"), d->body);
    }
    number(&w, MEMBER("expires"), d->expires_s);
    if (w.overflow || (s->ws.frame_max && w.len + 1 > s->ws.frame_max)) {
        wipe(w.buf, w.len);
        return false;
    }
    end(s, &w);
    return true;
}

void send_pong(struct session *s, const struct json_member *t)
{
    struct writer w = begin(s, TYPE("pong"));
    if (t) { /* as it came: it was checked to be a short scalar */
        const char *quote = t->type == JSON_STRING ? "\"" : "";
        writer_span(&w, MEMBER("t"));
        writer_text(&w, quote);
        writer_span(&w, t->value);
        writer_text(&w, quote);
    }
    number(&w, MEMBER("time"), unix_ms() / 1000);
    end(s, &w);
}

void send_expiring(struct session *s, uint64_t expires_in_s)
{
    struct writer w = begin(s, TYPE("token_expiring"));
    number(&w, MEMBER("expires_in"), expires_in_s);
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
