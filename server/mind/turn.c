/* An utterance from its words to its answer: judged on the way in, asked, judged on the way out
 * sentence by sentence, and answered by the fallback when who was asked cannot. */
#include <stdlib.h>
#include <string.h>

#include "mind/internal.h"
#include "ops/log.h"
#include "process/caller.h"
#include "proto/text.h"

/* Bytes of an answer that are judged in one go, which takes half a millisecond; all of a long one
 * may come at once. */
#define JUDGED_AT_ONCE 1024

/* Until the loop's next round. It outlives the turn when it has to: the loop names it. */
struct pause {
    struct loop_task task;
    struct mind *mind; /* NULL: not wanted any more */
};

static void free_words(char *p, size_t len)
{
    if (p)
        wipe(p, len);
    free(p);
}

void turn_free(struct turn *t)
{
    if (!t)
        return;
    free_words(t->text, t->text_len);
    free(t->history);
    buffer_fini(&t->raw);
    buffer_fini(&t->last);
    buffer_fini(&t->said);
    buffer_fini(&t->waiting);
    buffer_fini(&t->verdict);
    wipe(t, sizeof *t);
    free(t);
}

void turn_give_up(struct mind *m)
{
    struct turn *t = m->turn;
    moderation_drop(m);
    loop_timer_unset(m->loop, &m->wake);
    if (t->pause)
        t->pause->mind = NULL;
    t->pause = NULL;
    if (t->running) {
        t->running = false;
        t->process->processor->cancel(t->state);
    }
}

/* ---- What is found ---- */

void turn_blocked(struct mind *m, enum safety_category why, bool in)
{
    struct turn *t = m->turn;
    LOG(LOG_INFO, "blocked", LOG_S("device", m->who.device), LOG_S("side", in ? "in" : "out"),
        LOG_S("category", safety_category_name(why)));
    metric_add(loop_index(m->loop), in ? METRIC_BLOCKED_IN : METRIC_BLOCKED_OUT, 1);
    t->remember = false;
    t->blocked_in = in;
    for (unsigned i = 0; i < t->blocked_count; i++)
        if (t->blocked[i] == why)
            return;
    if (t->blocked_count < BLOCKED_MAX)
        t->blocked[t->blocked_count++] = (uint8_t)why;
}

/* ---- On the way out ---- */

/* Judged: it may be said. What is said with done waits until that is known. */
static bool say(struct mind *m, struct span text)
{
    struct turn *t = m->turn;
    t->audible = t->audible || safety_audible(text);
    struct buffer now = t->last;
    t->last = (struct buffer){NULL, 0, 0};
    if (t->remember && buffer_add(&t->said, text, RAW_MAX) != TEDDY_OK)
        t->remember = false;
    bool ok = buffer_add(t->ended ? &t->last : &now, text, RAW_MAX) == TEDDY_OK;
    if (ok && now.len) {
        t->spoke = true;
        m->sink->reply(m->sink, (struct span){now.p, now.len}, false);
    }
    buffer_fini(&now);
    return ok;
}

/* Said in place of what was blocked; the rest of the answer is dropped. */
static void say_instead(struct mind *m, enum safety_category why, struct span line)
{
    struct turn *t = m->turn;
    turn_blocked(m, why, false);
    struct buffer *last = &t->last;
    bool ok = t->spoke || last->len == 0 || buffer_add(last, span_of(" "), RAW_MAX) == TEDDY_OK;
    if (ok && t->spoke && last->len == 0)
        ok = buffer_add(last, span_of(" "), RAW_MAX) == TEDDY_OK;
    ok = ok && buffer_add(last, line, RAW_MAX) == TEDDY_OK;
    mind_later(m, ok ? THEN_END : THEN_FALL_BACK);
}

/* All is judged. Blanks, or nothing but what was taken out, would be silence. */
static void end_judged(struct mind *m)
{
    struct turn *t = m->turn;
    if (t->audible) {
        mind_finish(m);
        return;
    }
    t->last.len = 0;
    turn_fall_back(m, BACKEND_ERROR, "The answer was empty.");
}

static void judge_out(struct mind *m);

static void go_on(struct loop *loop, struct loop_task *task)
{
    struct pause *p = CONTAINER(task, struct pause, task);
    struct mind *m = p->mind;
    (void)loop;
    free(p);
    if (!m)
        return;
    m->turn->pause = NULL;
    judge_out(m);
}

/* False: there is no memory, so it is judged now. */
static bool let_others(struct mind *m)
{
    struct pause *p = malloc(sizeof *p);
    if (!p)
        return false;
    *p = (struct pause){.task = {.run = go_on}, .mind = m};
    m->turn->pause = p;
    loop_defer_heavy(m->loop, &p->task);
    return true;
}

/* Judges what has come, as far as whole sentences go and the second judge keeps up. */
static void judge_out(struct mind *m)
{
    struct turn *t = m->turn;
    bool moderated = m->minds->config.moderation.url != NULL;
    size_t from = t->raw_at;
    while (!t->judging && !t->pause) {
        if (t->raw_at - from >= JUDGED_AT_ONCE && let_others(m))
            return;
        struct safety_sentence s;
        struct span rest = {t->raw.len ? t->raw.p + t->raw_at : "", t->raw.len - t->raw_at};
        int rc = safety_out_next(&t->out, &rest, t->ended, &s);
        t->raw_at = t->raw.len - rest.len;
        if (rc != TEDDY_OK) {
            t->raw.len = t->raw_at = 0;
            if (t->ended)
                end_judged(m);
            return;
        }
        if (s.say == SAFETY_SAY_INSTEAD) {
            say_instead(m, s.verdict.why, s.text);
            return;
        }
        if (s.say == SAFETY_SAY_CHANGED && s.verdict.categories) /* something was taken out */
            t->remember = false;
        bool ok = moderated ? buffer_add(&t->waiting, s.text, RAW_MAX) == TEDDY_OK &&
                                  moderation_ask(m, s.text)
                            : say(m, s.text);
        if (!ok) {
            mind_later(m, THEN_FALL_BACK);
            return;
        }
    }
}

void turn_passed(struct mind *m)
{
    struct turn *t = m->turn;
    bool ok = say(m, (struct span){t->waiting.p, t->waiting.len});
    t->waiting.len = 0;
    if (ok)
        judge_out(m);
    else
        turn_fall_back(m, BACKEND_ERROR, "Out of memory.");
}

void turn_flagged(struct mind *m, enum safety_category why)
{
    struct safety_who who = mind_safety_who(m);
    say_instead(m, why,
                safety_line(m->minds->config.safety, &who, SAFETY_MOMENT_OUT, why, m->turns));
}

void turn_unjudged(struct mind *m)
{
    LOG(LOG_WARN, "moderation_failed", LOG_S("device", m->who.device));
    mind_later(m, THEN_FALL_BACK);
}

/* A part of what the operator's rule file says, which may quote the child. */
static void speak_part(struct mind *m, struct span text)
{
    struct turn *t = m->turn;
    const struct safety *safety = m->minds->config.safety;
    struct safety_who who = mind_safety_who(m);
    struct safety_sentence s;
    if (!safety || text.len == 0) {
        if (!say(m, text))
            mind_later(m, THEN_END);
        else if (t->ended)
            mind_finish(m);
        return;
    }
    safety_out_init(&t->out, safety, &who, m->turns);
    t->raw.len = 0;
    while (safety_out_next(&t->out, &text, true, &s) == TEDDY_OK) {
        if (s.say == SAFETY_SAY_INSTEAD) {
            say_instead(m, s.verdict.why, s.text);
            return;
        }
        if (buffer_add(&t->raw, s.text, RAW_MAX) != TEDDY_OK)
            break;
    }
    if (!say(m, (struct span){t->raw.len ? t->raw.p : "", t->raw.len}))
        mind_later(m, THEN_END);
    else if (t->ended)
        mind_finish(m);
}

static void on_reply(struct process_sink *sink, struct span text, bool done)
{
    struct mind *m = CONTAINER(sink, struct mind, inner);
    struct turn *t = m->turn;
    if (!t || !t->running)
        return;
    if (done) {
        t->running = false;
        t->ended = true;
        loop_timer_unset(m->loop, &m->wake);
    }
    if (t->own_words)
        speak_part(m, text);
    else if (buffer_add(&t->raw, text, RAW_MAX) == TEDDY_OK)
        judge_out(m);
    else
        mind_later(m, THEN_FALL_BACK);
}

/* ---- Who answers ---- */

static bool ask(struct mind *m, const struct process *process, void **state)
{
    struct turn *t = m->turn;
    if (!*state &&
        process->processor->session_new(process->shared, m->loop, &m->who, state) != TEDDY_OK)
        return false;
    t->process = process;
    t->state = *state;
    t->running = true;
    t->ended = false;
    t->raw.len = t->raw_at = 0;
    /* Without a judge (of tests) parts are handed on as they come. */
    t->own_words = !m->minds->config.safety || strcmp(process->processor->name, "script") == 0;
    process->processor->utter(t->state, &t->asked, &m->inner);
    return true;
}

void turn_fall_back(struct mind *m, const char *code, const char *detail)
{
    struct turn *t = m->turn;
    const struct process *fallback = m->minds->config.fallback;
    turn_give_up(m);
    t->waiting.len = 0;
    t->remember = false;
    if (t->last.len) { /* judged already */
        t->spoke = true;
        m->sink->reply(m->sink, (struct span){t->last.p, t->last.len}, false);
        t->last.len = 0;
    }
    t->asked.broken_off = t->spoke && t->audible;
    if (!fallback || t->process == fallback || strncmp(code, "backend_", 8) != 0 ||
        !ask(m, fallback, m->own == fallback ? &m->own_state : &m->spare))
        mind_fail(m, code, detail);
}

static void on_fail(struct process_sink *sink, const char *code, const char *detail)
{
    struct mind *m = CONTAINER(sink, struct mind, inner);
    if (!m->turn || !m->turn->running)
        return;
    m->turn->running = false;
    turn_fall_back(m, code, detail);
}

static void on_wake_after(struct process_sink *sink, uint32_t delay_ms)
{
    struct mind *m = CONTAINER(sink, struct mind, inner);
    if (m->turn && m->turn->running)
        loop_timer_set(m->loop, &m->wake, loop_now_ms(m->loop) + delay_ms);
}

const struct process_sink TURN_SINK = {on_reply, on_fail, on_wake_after};

void turn_wake(struct loop *loop, struct loop_timer *timer)
{
    struct mind *m = CONTAINER(timer, struct mind, wake);
    (void)loop;
    if (m->turn && m->turn->running)
        m->turn->process->processor->wake(m->turn->state, &m->inner);
}

/* ---- On the way in ---- */

void turn_forget_prompt(struct mind *m)
{
    free_words(m->system, m->system_len);
    free(m->secret);
    m->system = NULL;
    m->secret = NULL;
}

/* Once for as long as the profile is the same. False: out of memory. */
static bool write_prompt(struct mind *m)
{
    const struct profile_row *p = &m->person.profile;
    const struct safety *safety = m->minds->config.safety;
    if (m->system && memcmp(&m->told, p, sizeof *p) == 0)
        return true;
    turn_forget_prompt(m);
    m->told = *p;
    m->system = prompt_write(m->minds->prompt, p, &m->system_len);
    if (m->system && safety)
        m->secret = safety_secret_new(safety, (struct span){m->system, m->system_len});
    if (m->system && (m->secret || !safety))
        return true;
    turn_forget_prompt(m);
    return false;
}

/* What the processor is told besides the words. False: out of memory. */
static bool tell(struct mind *m)
{
    struct turn *t = m->turn;
    const struct profile_row *p = &m->person.profile;
    struct process_turn *asked = &t->asked;
    asked->profile.name = span_of(p->name);
    asked->profile.language = span_of(p->language);
    asked->profile.age = p->age;
    if (!write_prompt(m))
        return false;
    asked->system = (struct span){m->system, m->system_len};
    if (m->memory.count == 0)
        return true;
    t->history = calloc(2 * (size_t)m->memory.count, sizeof *t->history);
    if (!t->history)
        return false;
    for (unsigned i = 0; i < m->memory.count; i++) {
        const struct past *past = m->memory.past[i];
        t->history[2 * i] = (struct process_message){ROLE_USER, {past->words, past->heard}};
        t->history[2 * i + 1] =
            (struct process_message){ROLE_ASSISTANT, {past->words + past->heard, past->said}};
    }
    asked->history = t->history;
    asked->history_count = 2 * (size_t)m->memory.count;
    return true;
}

static void answer_in_place(struct mind *m, const struct safety_verdict *v)
{
    const struct safety *safety = m->minds->config.safety;
    struct safety_who who = mind_safety_who(m);
    struct span line = safety_line(safety, &who, v->danger ? SAFETY_MOMENT_ALERT : SAFETY_MOMENT_IN,
                                   v->why, m->turns);
    turn_blocked(m, v->why, true);
    if (v->danger && !m->overheard)
        mind_close_behind_alert(m, v->why, line);
    else
        mind_close_with(m, line);
}

bool mind_overhear(struct mind *m, struct span text)
{
    const struct mind_config *c = &m->minds->config;
    struct safety_who who = mind_safety_who(m);
    struct safety_verdict v = {0};
    /* It has a mind, so that somebody answers it, though who may not be known yet. */
    if (!c->safety || (m->own && m->own->processor->echo_only))
        return false;
    text.len = utf8_cut(text, SAFETY_IN_MAX);
    size_t cap = 2 * text.len + 64;
    char *words = malloc(cap);
    if (!words)
        return false;
    size_t len = safety_in(c->safety, &who, text, words, cap, &v);
    if (v.danger)
        (void)record_alert(m, v.why, (struct span){words, len}, false);
    free_words(words, cap);
    return v.danger != 0;
}

/* The words as they may leave the server. False: there is no memory, and it has ended. */
static bool judge_in(struct mind *m, struct safety_verdict *v)
{
    struct turn *t = m->turn;
    const struct safety *safety = m->minds->config.safety;
    struct safety_who who = mind_safety_who(m);
    *v = (struct safety_verdict){0};
    size_t cap = 2 * m->text.len + 64;
    t->text = malloc(cap);
    if (!t->text) {
        mind_fail(m, "internal", "Out of memory.");
        return false;
    }
    t->text_len = cap;
    if (safety) {
        struct span head = {m->text.p, utf8_cut(m->text, SAFETY_IN_MAX)};
        t->text_len = safety_in(safety, &who, head, t->text, cap, v);
        if (head.len < m->text.len && !v->danger) /* it is blocked, whatever it begins with */
            t->text_len = safety_in(safety, &who, m->text, t->text, cap, v);
    } else {
        memcpy(t->text, m->text.p, m->text.len);
        t->text_len = m->text.len;
    }
    t->asked.text = (struct span){t->text, t->text_len};
    return true;
}

/* Nobody is asked: a line of our own ends it. A child in danger is heard all the same. */
void turn_closed(struct mind *m, struct span line)
{
    struct safety_verdict v;
    if (!judge_in(m, &v))
        return;
    if (v.danger)
        answer_in_place(m, &v);
    else
        mind_close_with(m, line);
}

bool mind_remembers(const struct mind *m)
{
    int said = m->person.profile.memory;
    const struct mind_config *c = &m->minds->config;
    return c->store && (said == PROFILE_DEFAULT ? c->memory : said == PROFILE_ON);
}

void turn_begin(struct mind *m)
{
    struct turn *t = m->turn;
    const struct mind_config *c = &m->minds->config;
    struct safety_who who = mind_safety_who(m);
    struct safety_verdict v;
    if (!m->own)
        m->own = c->process;
    struct span enough = limits_check(m);
    if (enough.len) {
        turn_closed(m, enough);
        return;
    }
    if (m->own->processor->echo_only) {
        mind_finish(m);
        return;
    }
    if (!judge_in(m, &v))
        return;
    if (v.blocked || v.danger || t->text_len == 0) {
        answer_in_place(m, &v);
        return;
    }
    t->remember = mind_remembers(m);
    if (!tell(m)) {
        mind_fail(m, "internal", "Out of memory.");
        return;
    }
    if (c->safety) {
        safety_out_init(&t->out, c->safety, &who, m->turns);
        safety_out_secret(&t->out, m->secret);
    }
    if (!ask(m, m->own, &m->own_state))
        turn_fall_back(m, BACKEND_ERROR, "Out of memory.");
}
