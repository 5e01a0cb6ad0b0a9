/* Alerts on their way into the store, which they reach before anything is said, unless it is stuck:
 * then they wait here, tried again, and are bounded as those of the outbox are: of a toy, a child
 * and a category the first waits with its words, and what comes behind it is counted. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mind/alerts.h"
#include "mind/internal.h"
#include "ops/log.h"
#include "process/caller.h"
#include "proto/text.h"

#define RETRY_MS    250 /* doubling … */
#define RETRIES_MAX 5   /* … so often */

struct counted {
    uint64_t n, first_s, last_s;
};

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
    uint8_t sid[STORE_JTI_LEN];
    uint64_t at_s;
    struct counted more;  /* to be told with it */
    struct counted since; /* raised while the store had it */
    enum alert_fate fate;
    unsigned tries;
    size_t len;
    char words[ALERT_WORDS_MAX];
};

/* The words only go as far as this when the profile, as it stands now, says so, and the toy was not
 * released meanwhile, nor its child forgotten: somebody of the same name may have it now. */
static int words_of(struct store_tx *tx, const struct alert_post *p, bool wanted, struct span *out)
{
    struct talk_pair same;
    int rc = wanted ? store_talk_pair(tx, p->device, p->child, p->sid, &same) : TEDDY_ENOTFOUND;
    *out = (struct span){p->words, rc == TEDDY_OK ? p->len : 0};
    return rc == TEDDY_ENOTFOUND ? TEDDY_OK : rc;
}

static int run_alert(struct store_tx *tx, struct store_job *job)
{
    struct alert_post *p = (struct alert_post *)job;
    struct talk_pair pair;
    struct profile_row profile = {0};
    p->fate = ALERT_KEPT;
    int rc = store_profile_get(tx, p->device, p->child, &pair, &profile);
    struct alert_new alert = {.category = p->category,
                              .at_s = p->at_s,
                              .more = p->more.n,
                              .last_s = p->more.n ? p->more.last_s : p->at_s};
    if (rc == TEDDY_OK)
        rc = words_of(tx, p, profile.alert_words, &alert.words);
    if (rc == TEDDY_OK && p->alerts)
        rc = store_alert_add(tx, &pair, p->child, &alert, &p->fate);
    wipe(&profile, sizeof profile);
    return rc == TEDDY_OK ? record_tell(tx, "talk.alert", p->device, p->child, p->category, NULL)
                          : rc;
}

static void post_free(struct alert_post *p, struct loop *loop)
{
    loop_timer_unset(loop, &p->timer);
    *p->prev = p->next;
    if (p->next)
        p->next->prev = p->prev;
    p->at->posts_count--;
    wipe(p, sizeof *p);
    free(p);
}

static void drop(const struct loop *loop, const char *device, const char *category, uint64_t n,
                 const char *why)
{
    metric_add(loop_index(loop), METRIC_ALERTS_DROPPED, n);
    LOG(LOG_ERROR, "alert_dropped", LOG_S("device", device), LOG_S("category", category),
        LOG_N("alerts", n), LOG_S("why", why), LOG_S("do", "see to that child by hand"));
}

static void try_again(struct alert_post *p)
{
    unsigned tries = p->tries < RETRIES_MAX ? p->tries++ : RETRIES_MAX;
    loop_timer_set(p->loop, &p->timer, loop_now_ms(p->loop) + ((uint64_t)RETRY_MS << tries));
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

static void count(struct counted *c, uint64_t first_s, uint64_t last_s, uint64_t n)
{
    if (n == 0)
        return;
    if (c->n == 0)
        c->first_s = first_s;
    c->last_s = last_s;
    c->n += n;
}

/* What was raised while the store had it goes after it, without words. */
static bool goes_on(struct alert_post *p)
{
    struct counted since = p->since;
    if (since.n == 0)
        return false;
    if (p->at->stopped) {
        drop(p->loop, p->device, p->category, since.n, "the server stopped");
        return false;
    }
    p->since = (struct counted){0};
    p->at_s = since.first_s;
    p->more = (struct counted){since.n - 1, since.first_s, since.last_s};
    p->len = 0;
    p->tries = 0;
    wipe(p->words, sizeof p->words);
    (void)post(p);
    return true;
}

static bool written(struct alert_post *p)
{
    if (p->fate == ALERT_COUNTED)
        metric_add(loop_index(p->loop), METRIC_ALERTS_COUNTED, 1 + p->more.n);
    else if (p->fate == ALERT_DROPPED)
        drop(p->loop, p->device, p->category, 1 + p->more.n, "the outbox is full");
    return goes_on(p);
}

/* True: it is tried again. */
static bool unwritten(struct alert_post *p)
{
    if (p->at->stopped) {
        drop(p->loop, p->device, p->category, 1 + p->more.n + p->since.n, "the server stopped");
        return false;
    }
    LOG(LOG_ERROR, "alert_unwritten", LOG_S("device", p->device),
        LOG_S("do", "it is tried again; see what the store says"));
    count(&p->more, p->since.first_s, p->since.last_s, p->since.n);
    p->since = (struct counted){0};
    try_again(p);
    return true;
}

/* Tried until the store takes it; a toy that is nobody's any more raises none. Who waits for it is
 * told, whatever became of it. */
static void posted(struct loop *loop, struct loop_task *task)
{
    struct alert_post *p = CONTAINER(task, struct alert_post, task);
    struct mind *m = p->mind;
    int rc = p->job.result;
    if (m)
        record_unawait(m);
    bool stays = rc == TEDDY_OK ? written(p) : rc != TEDDY_ENOTFOUND && unwritten(p);
    if (!stays)
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

static struct alert_post *alike(const struct mind *m, const struct mind_loop *at,
                                const char *category)
{
    struct alert_post *p = at->posts;
    while (p && (strcmp(p->category, category) != 0 || strcmp(p->device, m->who.device) != 0 ||
                 strcmp(p->child, m->who.child) != 0))
        p = p->next;
    return p;
}

/* NULL: there is no room. */
static struct alert_post *post_new(struct mind *m, struct mind_loop *at, const char *category,
                                   struct span words)
{
    const struct mind_config *c = &m->minds->config;
    struct alert_post *p = at->posts_count < POSTS_MAX ? calloc(1, sizeof *p) : NULL;
    if (!p)
        return NULL;
    p->job = (struct store_job){.run = run_alert, .done = alert_done};
    p->task.run = posted;
    p->timer.fire = post_again;
    p->loop = m->loop;
    p->store = c->store;
    p->alerts = c->alerts;
    p->at = at;
    p->category = category;
    p->at_s = mind_now_s();
    snprintf(p->device, sizeof p->device, "%s", m->who.device);
    snprintf(p->child, sizeof p->child, "%s", m->who.child);
    memcpy(p->sid, m->sid, sizeof p->sid);
    p->len = utf8_cut(words, sizeof p->words);
    memcpy(p->words, words.p, p->len);
    p->next = at->posts;
    p->prev = &at->posts;
    if (p->next)
        p->next->prev = &p->next;
    at->posts = p;
    at->posts_count++;
    return p;
}

bool record_alert(struct mind *m, enum safety_category why, struct span words, bool wait)
{
    struct mind_loop *at = &m->minds->loops[loop_index(m->loop)];
    const char *category = safety_category_name(why);
    bool stored = m->minds->config.store != NULL;
    metric_add(loop_index(m->loop), METRIC_ALERTS_RAISED, 1);
    LOG(LOG_WARN, "alert", LOG_S("device", m->who.device), LOG_S("category", category),
        LOG_S("stored", stored ? "yes" : "no"));
    if (!stored)
        return false;
    if (at->stopped) {
        drop(m->loop, m->who.device, category, 1, "the server stopped");
        return false;
    }
    struct alert_post *p = alike(m, at, category);
    if (p) {
        count(p->timer.prev ? &p->more : &p->since, mind_now_s(), mind_now_s(), 1);
        return false;
    }
    p = post_new(m, at, category, words);
    if (!p) {
        drop(m->loop, m->who.device, category, 1, "too many wait for the store");
        return false;
    }
    if (!post(p) || !wait)
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
            drop(loop, p->device, p->category, 1 + p->more.n, "the server stopped");
            post_free(p, loop);
        }
    }
}
