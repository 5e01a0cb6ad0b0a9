/* A mind's life, and the two ends of each turn. */
#include "mind/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mind/alerts.h"
#include "ops/log.h"
#include "proto/text.h"

/* A store that is stuck does not keep the toy silent. */
#define ALERT_WAIT_MS 1000
#define LOAD_WAIT_MS  4000

uint64_t mind_now_s(void)
{
    return (uint64_t)time(NULL);
}

int minds_open(const struct mind_config *config, struct minds **out, char *err, size_t cap)
{
    struct minds *minds = calloc(1, sizeof *minds);
    if (!minds)
        return TEDDY_ENOMEM;
    minds->config = *config;
    int rc = prompt_open(config->prompt_file, &minds->prompt, err, cap);
    if (rc == TEDDY_OK && config->moderation.url)
        rc = moderation_open(minds, err, cap);
    if (rc != TEDDY_OK) {
        minds_close(minds);
        return rc;
    }
    *out = minds;
    return TEDDY_OK;
}

void minds_close(struct minds *minds)
{
    if (!minds)
        return;
    prompt_free(minds->prompt);
    wipe(minds->authorization, sizeof minds->authorization);
    free(minds);
}

int minds_start(struct minds *minds, struct loop *loop)
{
    const struct mind_config *c = &minds->config;
    struct outgoing_options options = {.ca_file = c->moderation.ca_file,
                                       .proxy = c->moderation.proxy,
                                       .connect_ms = c->moderation.late_ms,
                                       .transfers = 64};
    if (!c->moderation.url)
        return TEDDY_OK;
    return outgoing_new(loop, &options, &minds->loops[loop_index(loop)].outgoing);
}

void minds_stop(struct minds *minds, struct loop *loop)
{
    struct mind_loop *at = &minds->loops[loop_index(loop)];
    outgoing_free(at->outgoing);
    at->outgoing = NULL;
    record_stop(at, loop);
}

void minds_changed(struct minds *minds)
{
    atomic_fetch_add(&minds->changes, 1);
}

bool minds_echo_only(const struct minds *minds)
{
    return minds->config.process->processor->echo_only;
}

static void on_later(struct loop *loop, struct loop_timer *timer)
{
    struct mind *m = CONTAINER(timer, struct mind, later);
    (void)loop;
    if (!m->turn)
        return;
    if (m->then == THEN_END) {
        mind_finish(m);
    } else if (m->then == THEN_UNKNOWN) {
        load_drop(m);
        mind_known(m, false);
    } else {
        turn_fall_back(m, BACKEND_ERROR, "The answer could not be judged.");
    }
}

int mind_new(struct minds *minds, struct loop *loop, const struct process_session *who,
             const uint8_t sid[STORE_JTI_LEN], struct mind **out)
{
    struct mind *m = calloc(1, sizeof *m);
    if (!m)
        return TEDDY_ENOMEM;
    m->minds = minds;
    m->loop = loop;
    m->who = *who;
    memcpy(m->sid, sid, sizeof m->sid);
    m->inner = TURN_SINK;
    m->wake.fire = turn_wake;
    m->later.fire = on_later;
    m->late.fire = moderation_late;
    *out = m;
    return TEDDY_OK;
}

struct safety_who mind_safety_who(const struct mind *m)
{
    const struct profile_row *p = &m->person.profile;
    return (struct safety_who){.language = span_of(p->language), .age = p->age};
}

void mind_utter(struct mind *m, struct span text, bool overheard, struct process_sink *sink)
{
    m->sink = sink;
    m->text = text;
    m->overheard = overheard;
    m->turns++;
    m->turn = calloc(1, sizeof *m->turn);
    if (!m->turn) {
        mind_fail(m, "internal", "Out of memory.");
        return;
    }
    const struct person *p = &m->person;
    if (!m->minds->config.store) {
        m->person.known = m->person.has_zone = true;
        turn_begin(m);
    } else if (p->known && p->changes == atomic_load(&m->minds->changes) &&
               mind_now_s() < p->until_s) {
        turn_begin(m);
    } else if (load_begin(m)) {
        m->then = THEN_UNKNOWN;
        loop_timer_set(m->loop, &m->later, loop_now_ms(m->loop) + LOAD_WAIT_MS);
    } else {
        mind_known(m, false);
    }
}

/* Nobody knows whether this child may talk now, and with whom: our own words. */
void mind_known(struct mind *m, bool ok)
{
    loop_timer_unset(m->loop, &m->later);
    if (ok) {
        turn_begin(m);
        return;
    }
    const struct mind_config *c = &m->minds->config;
    struct safety_who who = mind_safety_who(m);
    LOG(LOG_WARN, "profile_unread", LOG_S("device", m->who.device));
    if (c->safety)
        turn_closed(m, safety_line(c->safety, &who, SAFETY_MOMENT_OUT, SAFETY_OTHER, m->turns));
    else
        mind_fail(m, "internal", "The profile could not be read.");
}

void mind_close_with(struct mind *m, struct span line)
{
    m->turn->last.len = 0;
    if (buffer_add(&m->turn->last, line, RAW_MAX) == TEDDY_OK)
        mind_finish(m);
    else
        mind_fail(m, "internal", "Out of memory.");
}

void mind_close_behind_alert(struct mind *m, enum safety_category why, struct span line)
{
    m->turn->last.len = 0;
    if (!record_alert(m, why, m->turn->asked.text, true)) {
        mind_close_with(m, line);
    } else if (buffer_add(&m->turn->last, line, RAW_MAX) != TEDDY_OK) {
        mind_fail(m, "internal", "Out of memory.");
    } else {
        m->then = THEN_END;
        loop_timer_set(m->loop, &m->later, loop_now_ms(m->loop) + ALERT_WAIT_MS);
    }
}

void mind_later(struct mind *m, enum then then)
{
    turn_give_up(m);
    m->then = then;
    loop_timer_set(m->loop, &m->later, loop_now_ms(m->loop));
}

/* The turn, off its mind: the session may begin the next as soon as it hears. */
static struct turn *take_turn(struct mind *m)
{
    struct turn *t = m->turn;
    loop_timer_unset(m->loop, &m->wake);
    loop_timer_unset(m->loop, &m->later);
    loop_timer_unset(m->loop, &m->late);
    record_unawait(m);
    m->turn = NULL;
    m->sink = NULL;
    return t;
}

void mind_finish(struct mind *m)
{
    struct process_sink *sink = m->sink;
    turn_give_up(m);
    limits_played(m);
    record_turn(m, m->turn);
    struct turn *t = take_turn(m);
    struct span last = {t->last.len ? t->last.p : "", t->last.len};
    sink->reply(sink, last, true);
    turn_free(t);
}

void mind_fail(struct mind *m, const char *code, const char *detail)
{
    struct process_sink *sink = m->sink;
    if (m->turn) {
        turn_give_up(m);
        record_turn(m, m->turn);
    }
    turn_free(take_turn(m));
    sink->fail(sink, code, detail);
}

void mind_cancel(struct mind *m)
{
    if (!m->sink)
        return;
    if (m->load && !m->overheard) /* not judged yet */
        (void)mind_overhear(m, m->text);
    load_drop(m);
    turn_give_up(m);
    if (m->person.known) {
        limits_played(m);
        m->turn->remember = false;
        record_turn(m, m->turn);
    }
    turn_free(take_turn(m));
}

void mind_free(struct mind *m)
{
    if (!m)
        return;
    mind_cancel(m);
    record_rest(m);
    limits_leave(m);
    if (m->own_state)
        m->own->processor->session_free(m->own_state);
    if (m->spare)
        m->minds->config.fallback->processor->session_free(m->spare);
    memory_clear(&m->memory);
    turn_forget_prompt(m);
    wipe(m, sizeof *m);
    free(m);
}
