/* What is kept of a turn, written behind it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mind/internal.h"
#include "ops/log.h"
#include "process/caller.h"
#include "proto/text.h"
#include "store/audit.h"

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

int record_tell(struct store_tx *tx, const char *event, const char *device, const char *child,
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
            rc = record_tell(tx, "talk.blocked", r->device, r->child, category,
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
    /* With a limit, the child's other toys and the next life of the server are to know at once. */
    unsigned write_s = m->person.profile.minutes > 0 ? 1 : PLAY_WRITE_S;
    record(m, t, seconds < write_s && t->blocked_count == 0 && !t->remember ? 0 : seconds);
}
