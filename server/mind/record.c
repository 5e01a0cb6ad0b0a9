/* What is kept of a turn, written behind it; and alerts, written before anything is said. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mind/alerts.h"
#include "mind/internal.h"
#include "ops/log.h"
#include "process/caller.h"
#include "proto/text.h"
#include "store/audit.h"

#define RETRY_MS 250

struct record {
    struct store_job job; /* first */
    char device[LIMIT_ID_LEN + 1], child[LIMIT_ID_LEN + 1];
    uint8_t sid[STORE_JTI_LEN];
    int64_t day;
    uint64_t seconds, now_s;
    struct talk_bounds bounds;
    uint8_t blocked[BLOCKED_MAX];
    unsigned blocked_count;
    bool blocked_in, remember, keep_blocked;
    size_t heard, said;
    char words[]; /* heard, then said */
};

static int tell(struct store_tx *tx, const char *event, const char *device, const char *child,
                const char *category, const char *side)
{
    char detail[96];
    snprintf(detail, sizeof detail, "{\"category\":\"%s\"%s%s%s}", category,
             side ? ",\"side\":\"" : "", side ? side : "", side ? "\"" : "");
    return audit_add(tx, &(struct audit_event){.event = event,
                                               .device_id = device,
                                               .child_id = child,
                                               .actor = "server",
                                               .detail = detail});
}

static int run_record(struct store_tx *tx, struct store_job *job)
{
    const struct record *r = (const struct record *)job;
    struct talk_pair pair;
    int rc = store_talk_pair(tx, r->device, r->child, r->sid, &pair);
    if (rc != TEDDY_OK)
        return rc == TEDDY_ENOTFOUND ? TEDDY_OK : rc;
    if (r->seconds > 0)
        rc = store_played_add(tx, &pair, r->child, r->day, r->seconds);
    for (unsigned i = 0; rc == TEDDY_OK && i < r->blocked_count; i++) {
        const char *category = safety_category_name(r->blocked[i]);
        rc = store_blocked_add(tx, &pair, r->child, r->day, category);
        if (rc == TEDDY_OK)
            rc = tell(tx, "talk.blocked", r->device, r->child, category,
                      r->blocked_in ? "in" : "out");
    }
    if (rc == TEDDY_OK && r->keep_blocked)
        rc = store_blocked_words_add(tx, &pair, r->child, safety_category_name(r->blocked[0]),
                                     (struct span){r->words, r->heard}, r->now_s);
    if (rc != TEDDY_OK || !r->remember)
        return rc;
    struct talk_turn turn = {
        .at_s = r->now_s, .heard = {r->words, r->heard}, .said = {r->words + r->heard, r->said}};
    return store_turn_add(tx, &pair, r->child, &turn, &r->bounds);
}

static void record_done(struct store_job *job)
{
    struct record *r = (struct record *)job;
    if (job->result != TEDDY_OK)
        LOG(LOG_WARN, "talk_unwritten", LOG_S("device", r->device));
    wipe(r, sizeof *r + r->heard + r->said);
    free(r);
}

static void record(struct mind *m, const struct turn *t, uint64_t seconds)
{
    const struct mind_config *c = &m->minds->config;
    struct span heard = {t->text ? t->text : "", t->asked.text.len};
    struct span said = {t->said.len ? t->said.p : "", t->said.len};
    bool remember = t->remember && said.len > 0 && heard.len + said.len <= c->memory_bytes;
    bool keep_blocked = c->blocked_words && t->blocked_count > 0 && heard.len > 0;
    if (!c->store || !m->person.known || (!remember && seconds == 0 && t->blocked_count == 0))
        return;
    if (!remember) {
        heard.len = keep_blocked ? utf8_cut(heard, ALERT_WORDS_MAX) : 0;
        said.len = 0;
    }
    struct record *r = calloc(1, sizeof *r + heard.len + said.len);
    if (!r)
        return;
    r->job = (struct store_job){.run = run_record, .done = record_done};
    snprintf(r->device, sizeof r->device, "%s", m->who.device);
    snprintf(r->child, sizeof r->child, "%s", m->who.child);
    memcpy(r->sid, m->sid, sizeof r->sid);
    r->day = m->person.day;
    r->now_s = mind_now_s();
    r->seconds = seconds;
    r->bounds = (struct talk_bounds){c->memory_turns, c->memory_bytes};
    r->blocked_count = t->blocked_count;
    memcpy(r->blocked, t->blocked, sizeof r->blocked);
    r->blocked_in = t->blocked_in;
    r->remember = remember;
    r->keep_blocked = keep_blocked;
    r->heard = heard.len;
    r->said = said.len;
    memcpy(r->words, heard.p, heard.len);
    memcpy(r->words + heard.len, said.p, said.len);
    if (remember)
        memory_add(&m->memory, c->memory_turns, c->memory_bytes, heard, said);
    if (store_write(c->store, &r->job) != TEDDY_OK) {
        r->job.result = TEDDY_EFULL;
        record_done(&r->job);
        return; /* what was played is counted with the next turn */
    }
    m->person.played_s += seconds;
    m->unsaved_ms -= seconds * 1000;
}

void record_rest(struct mind *m)
{
    static const struct turn nothing;
    record(m, &nothing, m->unsaved_ms / 1000);
}

void record_turn(struct mind *m, const struct turn *t)
{
    uint64_t seconds = m->unsaved_ms / 1000;
    record(m, t, seconds < PLAY_WRITE_S && t->blocked_count == 0 && !t->remember ? 0 : seconds);
}

/* ---- Alerts ---- */

struct alert_post {
    struct store_job job; /* first */
    struct alert_post *next, **prev;
    struct loop *loop;
    struct loop_task task;
    struct loop_timer timer;
    struct store *store;
    struct alerts *alerts;
    struct mind_loop *at;
    struct mind *mind;    /* waits for it; NULL: none */
    const char *category; /* static */
    char device[LIMIT_ID_LEN + 1], child[LIMIT_ID_LEN + 1];
    size_t len;
    char words[ALERT_WORDS_MAX];
};

/* The words only go as far as this when the profile, as it stands now, says so. */
static int run_alert(struct store_tx *tx, struct store_job *job)
{
    const struct alert_post *p = (const struct alert_post *)job;
    struct talk_pair pair;
    struct profile_row profile;
    int rc = store_profile_get(tx, p->device, p->child, &pair, &profile);
    if (rc == TEDDY_OK && p->alerts)
        rc = store_alert_add(tx, &pair, p->child, p->category,
                             (struct span){p->words, profile.alert_words ? p->len : 0},
                             mind_now_s());
    wipe(&profile, sizeof profile);
    return rc == TEDDY_OK ? tell(tx, "talk.alert", p->device, p->child, p->category, NULL) : rc;
}

static void post_free(struct alert_post *p, struct loop *loop)
{
    loop_timer_unset(loop, &p->timer);
    *p->prev = p->next;
    if (p->next)
        p->next->prev = p->prev;
    wipe(p, sizeof *p);
    free(p);
}

static void lose(const struct alert_post *p)
{
    LOG(LOG_ERROR, "alert_lost", LOG_S("device", p->device), LOG_S("category", p->category));
}

static void try_again(struct alert_post *p)
{
    loop_timer_set(p->loop, &p->timer, loop_now_ms(p->loop) + RETRY_MS);
}

static bool post(struct alert_post *p)
{
    bool queued = store_write(p->store, &p->job) == TEDDY_OK;
    if (!queued)
        try_again(p);
    return queued;
}

static void post_again(struct loop *loop, struct loop_timer *timer)
{
    (void)loop;
    (void)post(CONTAINER(timer, struct alert_post, timer));
}

void record_unawait(struct mind *m)
{
    if (m->alert)
        m->alert->mind = NULL;
    m->alert = NULL;
}

/* Tried until the store takes it; a toy that is nobody's any more raises none. Who waits for it is
 * told, whatever became of it. */
static void posted(struct loop *loop, struct loop_task *task)
{
    struct alert_post *p = CONTAINER(task, struct alert_post, task);
    struct mind *m = p->mind;
    int rc = p->job.result;
    bool failed = rc != TEDDY_OK && rc != TEDDY_ENOTFOUND, again = failed && !p->at->stopped;
    if (again) {
        LOG(LOG_ERROR, "alert_unwritten", LOG_S("device", p->device),
            LOG_S("do", "it is tried again; see what the store says"));
        try_again(p);
    } else if (failed) {
        lose(p);
    }
    if (m)
        record_unawait(m);
    if (!again)
        post_free(p, loop);
    if (m)
        mind_finish(m);
}

static void alert_done(struct store_job *job)
{
    struct alert_post *p = (struct alert_post *)job;
    if (job->result == TEDDY_OK && p->alerts)
        alerts_nudge(p->alerts);
    loop_post(p->loop, &p->task);
}

bool record_alert(struct mind *m, enum safety_category why, struct span words)
{
    const struct mind_config *c = &m->minds->config;
    struct alert_post *p = c->store ? calloc(1, sizeof *p) : NULL;
    metric_add(loop_index(m->loop), METRIC_ALERTS_RAISED, 1);
    LOG(LOG_WARN, "alert", LOG_S("device", m->who.device),
        LOG_S("category", safety_category_name(why)), LOG_S("stored", p ? "yes" : "no"));
    if (!p)
        return false;
    p->job = (struct store_job){.run = run_alert, .done = alert_done};
    p->task.run = posted;
    p->timer.fire = post_again;
    p->loop = m->loop;
    p->store = c->store;
    p->alerts = c->alerts;
    p->at = &m->minds->loops[loop_index(m->loop)];
    p->category = safety_category_name(why);
    snprintf(p->device, sizeof p->device, "%s", m->who.device);
    snprintf(p->child, sizeof p->child, "%s", m->who.child);
    p->len = utf8_cut(words, sizeof p->words);
    memcpy(p->words, words.p, p->len);
    p->next = p->at->posts;
    p->prev = &p->at->posts;
    if (p->next)
        p->next->prev = &p->next;
    p->at->posts = p;
    if (!post(p))
        return false;
    p->mind = m;
    m->alert = p;
    return true;
}

/* Those that wait for a timer, which never comes; those of the store come back by themselves. */
void record_stop(struct mind_loop *at, struct loop *loop)
{
    at->stopped = true;
    for (struct alert_post *p = at->posts, *next; p; p = next) {
        next = p->next;
        if (p->timer.prev) {
            lose(p);
            post_free(p, loop);
        }
    }
}
