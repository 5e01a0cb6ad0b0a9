/* Utterances: taken one after the other, echoed at once, answered in order and one at a time.
 *
 * Each `seq` ends in exactly one reply with done:true or one error. The first of the queue is the
 * one being answered; only its replies are sent, so that replies never interleave, and what a
 * cancelled or repeated one needs for its end waits for its turn, too. */
#include <stdlib.h>

#include "ops/metrics.h"
#include "proto/text.h"
#include "session/internal.h"

static const struct span NONE = {"", 0};

static struct span id_of(const struct utterance *u)
{
    return (struct span){u->data, u->id_len};
}

static struct span text_of(const struct utterance *u)
{
    return (struct span){u->data + u->id_len, u->text_len};
}

static void utterance_free(struct utterance *u)
{
    wipe(u->data, u->id_len + (size_t)u->text_len);
    free(u);
}

static struct recent *recent_of(const struct session *s)
{
    return &session_hub(s)->recent;
}

/* It was not answered to its end: said again, it is answered anew. A part of an answer is never
 * kept as if it were the whole. */
static void forget(struct session *s, const struct utterance *u)
{
    if (!u->id_hash)
        return;
    recent_forget(recent_of(s), session_device(s), session_child(s), u->id_hash);
}

static void pop(struct session *s)
{
    struct talk *t = s->talk;
    struct utterance *u = t->queue;
    t->queue = u->next;
    t->queued--;
    t->answering = false;
    utterance_free(u);
}

/* The first one ends, with what it is told. */
static void end_with(struct session *s, struct span text)
{
    struct utterance *u = s->talk->queue;
    send_reply(s, u->seq, id_of(u), text, true);
    pop(s);
}

static void count_time(const struct session *s, enum histogram h)
{
    const struct utterance *u = s->talk->queue;
    histogram_add(s->loop, h, (uint32_t)session_now(s) - u->heard_ms);
}

/* False: there is no memory. */
static bool make_mind(struct session *s)
{
    struct talk *t = s->talk;
    return t->mind || mind_new(session_hub(s)->config->minds, session_hub(s)->loop, &t->who, s->sid,
                               &t->mind) == TEDDY_OK;
}

static void answer(struct session *s)
{
    struct talk *t = s->talk;
    struct utterance *u = t->queue;
    const char *device = session_device(s), *child = session_child(s);
    if (u->flags & UTTERANCE_REPEATED) {
        end_with(s, recent_answer(recent_of(s), device, child, u->id_hash));
    } else if (u->flags & UTTERANCE_CANCELLED) {
        end_with(s, NONE);
    } else if (!make_mind(s)) {
        session_close(s, WS_CLOSE_INTERNAL, "internal", true);
    } else {
        recent_answer_begin(recent_of(s), device, child, u->id_hash);
        t->answering = true;
        t->spoke = false;
        mind_utter(t->mind, text_of(u), u->flags & UTTERANCE_OVERHEARD, &t->sink);
    }
}

static bool to_answer(const struct session *s)
{
    const struct talk *t = session_talk(s);
    return t && t->queue && !t->answering && s->state == SESSION_LIVE;
}

/* Answers one after the other, without recursion however promptly the processor replies. */
static void pump(struct session *s)
{
    if (s->pumping)
        return;
    s->pumping = true;
    while (to_answer(s))
        answer(s);
    s->pumping = false;
}

static void on_reply(struct process_sink *sink, struct span text, bool done)
{
    struct talk *t = CONTAINER(sink, struct talk, sink);
    struct session *s = t->session;
    if (!t->answering)
        return;
    struct utterance *u = t->queue;
    recent_answer_add(recent_of(s), session_device(s), session_child(s), text);
    if (!t->spoke && text.len)
        count_time(s, HISTOGRAM_REPLY_FIRST);
    t->spoke |= text.len > 0;
    if (!done) {
        send_reply(s, u->seq, id_of(u), text, false);
        return;
    }
    count_time(s, HISTOGRAM_REPLY_DONE);
    end_with(s, text);
    pump(s);
}

static void on_fail(struct process_sink *sink, const char *code, const char *detail)
{
    struct talk *t = CONTAINER(sink, struct talk, sink);
    struct session *s = t->session;
    if (!t->answering)
        return;
    struct utterance *u = t->queue;
    send_error(s, u->seq, id_of(u), code, detail);
    forget(s, u); /* said again, it is worth another attempt */
    pop(s);
    pump(s);
}

static bool make_talk(struct session *s)
{
    if (s->talk)
        return true;
    s->talk = calloc(1, sizeof *s->talk);
    if (!s->talk)
        return false;
    s->talk->session = s;
    s->talk->who = (struct process_session){session_device(s), session_child(s)};
    s->talk->sink = (struct process_sink){.reply = on_reply, .fail = on_fail};
    return true;
}

/* NULL when there is no memory. */
static struct utterance *utterance_keep(const struct utterance *head, struct span id,
                                        struct span text)
{
    struct utterance *u = malloc(sizeof *u + id.len + text.len);
    if (!u)
        return NULL;
    *u = *head;
    u->id_len = (uint8_t)id.len;
    u->text_len = (uint32_t)text.len;
    memcpy(u->data, id.p, id.len);
    memcpy(u->data + id.len, text.p, text.len);
    return u;
}

/* What json says, unescaped where it stands; nothing when it is no string. */
static struct span text_member(const struct json_object *json)
{
    const struct json_member *m = json_find(json, "text");
    size_t len = 0;
    if (!m || m->type != JSON_STRING)
        return NONE;
    char *place = (char *)(uintptr_t)m->value.p; /* message_take's, writable */
    if (json_unescape(m, place, m->value.len + 1, &len) != TEDDY_OK)
        return NONE;
    return (struct span){place, len};
}

/* Remembers the id, or finds that it was taken before. */
static void check_id(struct session *s, struct span id, struct utterance *u)
{
    if (id.len == 0)
        return;
    u->id_hash = recent_id(recent_of(s), id);
    if (recent_seen(recent_of(s), session_device(s), session_child(s), u->id_hash))
        u->flags |= UTTERANCE_REPEATED;
    else
        recent_add(recent_of(s), session_device(s), session_child(s), u->id_hash);
}

static void enqueue(struct session *s, struct utterance *u)
{
    struct utterance **at = &s->talk->queue;
    while (*at)
        at = &(*at)->next;
    *at = u;
    s->talk->queued++;
}

/* Behind those that wait already. False: there is no memory. */
static bool to_be_answered(struct session *s, const struct utterance *head, struct span id,
                           struct span text)
{
    struct utterance *u = make_talk(s) ? utterance_keep(head, id, text) : NULL;
    if (u)
        enqueue(s, u);
    return u != NULL;
}

/* What keeps this utterance from being taken, or NULL. */
static const char *refusal(const struct session *s, struct span text, const char **detail)
{
    if (text.len > session_hub(s)->config->utterance_max) {
        *detail = "The utterance is too long.";
        return "too_big";
    }
    if (session_talk(s) && s->talk->queued > SESSION_WAITING_MAX) {
        *detail = "Too many utterances wait for their answer; say it again later.";
        return "busy";
    }
    return NULL;
}

/* Danger that it tells of does not wait until what is being answered has ended. */
static bool overhear(const struct session *s, struct span text)
{
    const struct talk *t = session_talk(s);
    return t && t->mind && t->queue && mind_overhear(t->mind, text);
}

/* Nor until it is said again, shorter or later. */
static void hear_refused(struct session *s, struct span text)
{
    bool echo_only = !s->own && minds_echo_only(session_hub(s)->config->minds);
    if (!echo_only && make_talk(s) && make_mind(s))
        (void)mind_overhear(s->talk->mind, text);
}

void utterance_take(struct session *s, struct span id, struct span text,
                    const struct json_object *json)
{
    const char *detail = "Nothing was said: `text` must be a string that is not empty.";
    if (json)
        text = text_member(json);
    if (text.len == 0) {
        send_error(s, 0, id, "bad_message", detail);
        return;
    }
    struct utterance u = {.seq = ++s->seq};
    const char *code = refusal(s, text, &detail);
    if (code) {
        hear_refused(s, text);
        send_error(s, u.seq, id, code, detail);
        return;
    }
    metric_add(loop_index(session_hub(s)->loop), METRIC_UTTERANCES, 1);
    check_id(s, id, &u);
    bool echo_only = !s->own && minds_echo_only(session_hub(s)->config->minds);
    send_echo(s, u.seq, id, text, echo_only);
    if (echo_only)
        metric_answered_at_once(s->loop);
    if (echo_only || s->state != SESSION_LIVE)
        return;
    u.heard_ms = (uint32_t)session_now(s);
    if (!(u.flags & UTTERANCE_REPEATED) && overhear(s, text))
        u.flags |= UTTERANCE_OVERHEARD;
    if (!to_be_answered(s, &u, id, text)) {
        forget(s, &u);
        session_close(s, WS_CLOSE_INTERNAL, "internal", true);
        return;
    }
    pump(s);
}

/* The one being answered ends at once; one that waits ends empty when its turn comes, so that
 * replies stay in order. One that has ended already is left alone: its end and the cancel have
 * crossed. */
void utterance_cancel(struct session *s, uint64_t seq)
{
    if (seq == 0 || seq > s->seq) {
        send_error(s, 0, NONE, "not_found", "There is no utterance of this seq.");
        return;
    }
    struct talk *t = session_talk(s);
    struct utterance *u = t ? t->queue : NULL;
    while (u && u->seq != seq)
        u = u->next;
    if (!u)
        return;
    if (u != t->queue || !t->answering) {
        u->flags |= UTTERANCE_CANCELLED;
        return;
    }
    t->answering = false;
    mind_cancel(t->mind);
    recent_answer_drop(recent_of(s), session_device(s), session_child(s));
    end_with(s, NONE);
    pump(s);
}

void utterances_drop(struct session *s)
{
    struct talk *t = session_talk(s);
    if (!t)
        return;
    if (t->answering) {
        mind_cancel(t->mind);
        recent_answer_drop(recent_of(s), session_device(s), session_child(s));
    }
    for (struct utterance *u = t->queue, *next; u; u = next) {
        next = u->next;
        if (!(u->flags & (UTTERANCE_REPEATED | UTTERANCE_CANCELLED)))
            forget(s, u);
        utterance_free(u);
    }
    mind_free(t->mind);
    free(t);
    s->talk = NULL;
}
