#include "session/history.h"

#include <stdlib.h>
#include <string.h>

#include "ops/metrics.h"

#define GATHER_MS 500 /* from the first entry to the job that has it; and to the next try */
#define BUSY_JOBS 64  /* more wait for the store: history does not add to them */

struct entry {
    bool telemetry;
    char device_id[LIMIT_ID_LEN + 1], child_id[LIMIT_ID_LEN + 1];
    uint8_t sid[STORE_JTI_LEN];
    union {
        struct telemetry_row row;
        struct past_session session;
    };
};

struct batch {
    struct store_job job; /* first: it is what the store hands back */
    struct loop_task task;
    struct history *history;
    struct telemetry_bounds bounds;
    struct batch *next;
    unsigned count;
    struct entry entries[HISTORY_BATCH];
};

struct history {
    struct loop *loop;
    struct store *store;
    struct telemetry_bounds bounds;
    struct loop_timer timer;
    struct batch *first, *last; /* that wait; the last one is being filled */
    struct batch *writing;      /* the store has it */
    unsigned batches;           /* that wait */
    bool planned;               /* the timer is set */
    bool stopped;
};

static void count(const struct history *h, const struct batch *b, enum metric telemetry,
                  enum metric session)
{
    for (unsigned i = 0; i < b->count; i++)
        metric_add(loop_index(h->loop), b->entries[i].telemetry ? telemetry : session, 1);
}

static int write_entry(struct store_tx *tx, const struct batch *b, const struct entry *e)
{
    struct history_owner owner = {e->device_id, e->child_id, e->sid};

    if (e->device_id[0] == '\0')
        return TEDDY_OK; /* forgotten */
    return e->telemetry ? store_telemetry_add(tx, &owner, &e->row, &b->bounds)
                        : store_session_add(tx, &owner, &e->session);
}

static int run_batch(struct store_tx *tx, struct store_job *job)
{
    const struct batch *b = (const struct batch *)job;
    int rc = TEDDY_OK;

    for (unsigned i = 0; rc == TEDDY_OK && i < b->count; i++)
        rc = write_entry(tx, b, &b->entries[i]);
    return rc;
}

static void batch_done(struct store_job *job)
{
    struct batch *b = (struct batch *)job;

    loop_post(b->history->loop, &b->task);
}

static void plan(struct history *h)
{
    if (h->planned || h->stopped || h->first == NULL)
        return;
    h->planned = true;
    loop_timer_set(h->loop, &h->timer, loop_now_ms(h->loop) + GATHER_MS);
}

static struct batch *take_first(struct history *h)
{
    struct batch *b = h->first;

    h->first = b->next;
    if (h->first == NULL)
        h->last = NULL;
    h->batches--;
    return b;
}

/* Hands the store the next batch, unless it is busy with others' jobs. */
static void submit(struct history *h)
{
    uint64_t commits, jobs;
    unsigned waiting;

    if (h->writing != NULL || h->first == NULL || h->stopped)
        return;
    store_stats(h->store, &commits, &jobs, &waiting);
    if (waiting <= BUSY_JOBS) {
        h->writing = take_first(h);
        if (store_write(h->store, &h->writing->job) == TEDDY_OK)
            return;
        count(h, h->writing, METRIC_HISTORY_DROPPED_TELEMETRY, METRIC_HISTORY_DROPPED_SESSIONS);
        free(h->writing);
        h->writing = NULL;
    }
    plan(h);
}

/* Those that are full go on at once. */
static void batch_back(struct loop *loop, struct loop_task *task)
{
    struct batch *b = CONTAINER(task, struct batch, task);
    struct history *h = b->history;
    bool ok = b->job.result == TEDDY_OK;

    (void)loop;
    count(h, b, ok ? METRIC_HISTORY_WRITTEN_TELEMETRY : METRIC_HISTORY_DROPPED_TELEMETRY,
          ok ? METRIC_HISTORY_WRITTEN_SESSIONS : METRIC_HISTORY_DROPPED_SESSIONS);
    h->writing = NULL;
    free(b);
    if (h->first != NULL && h->first->count == HISTORY_BATCH)
        submit(h);
    else
        plan(h);
}

static void due(struct loop *loop, struct loop_timer *timer)
{
    struct history *h = CONTAINER(timer, struct history, timer);

    (void)loop;
    h->planned = false;
    submit(h);
}

struct history *history_new(struct loop *loop, struct store *store,
                            const struct telemetry_bounds *bounds)
{
    struct history *h = calloc(1, sizeof *h);

    if (h == NULL)
        return NULL;
    h->loop = loop;
    h->store = store;
    h->bounds = *bounds;
    h->timer.fire = due;
    return h;
}

void history_free(struct history *h)
{
    if (h == NULL)
        return;
    while (h->first != NULL)
        free(take_first(h));
    free(h);
}

static struct batch *batch_add(struct history *h)
{
    struct batch *b =
        h->batches < HISTORY_WAITING_MAX / HISTORY_BATCH ? calloc(1, sizeof *b) : NULL;

    if (b == NULL)
        return NULL;
    b->job = (struct store_job){.run = run_batch, .done = batch_done};
    b->task.run = batch_back;
    b->history = h;
    b->bounds = h->bounds;
    if (h->last != NULL)
        h->last->next = b;
    else
        h->first = b;
    h->last = b;
    h->batches++;
    return b;
}

static struct entry *entry_add(struct history *h, const struct history_owner *owner, bool telemetry)
{
    struct batch *b = h->last;
    struct entry *e;

    if (b == NULL || b->count == HISTORY_BATCH)
        b = h->stopped ? NULL : batch_add(h);
    if (b == NULL) {
        metric_add(loop_index(h->loop),
                   telemetry ? METRIC_HISTORY_DROPPED_TELEMETRY : METRIC_HISTORY_DROPPED_SESSIONS,
                   1);
        return NULL;
    }
    e = &b->entries[b->count++];
    e->telemetry = telemetry;
    memcpy(e->device_id, owner->device_id, strlen(owner->device_id) + 1);
    memcpy(e->child_id, owner->child_id, strlen(owner->child_id) + 1);
    memcpy(e->sid, owner->sid, sizeof e->sid);
    plan(h);
    return e;
}

void history_telemetry(struct history *h, const struct history_owner *owner,
                       const struct telemetry_row *row)
{
    struct entry *e = entry_add(h, owner, true);

    if (e != NULL)
        e->row = *row;
}

void history_session(struct history *h, const struct history_owner *owner,
                     const struct past_session *session)
{
    struct entry *e = entry_add(h, owner, false);

    if (e != NULL)
        e->session = *session;
}

/* What the store has already is committed before what came behind it, or finds the toy another's.
 */
void history_forget(struct history *h, const char *device_id, const char *child_id)
{
    for (struct batch *b = h->first; b != NULL; b = b->next)
        for (unsigned i = 0; i < b->count; i++) {
            struct entry *e = &b->entries[i];
            if ((device_id != NULL && strcmp(e->device_id, device_id) == 0) ||
                (child_id != NULL && strcmp(e->child_id, child_id) == 0))
                e->device_id[0] = e->child_id[0] = '\0';
        }
}

void history_flush(struct history *h)
{
    if (h == NULL)
        return;
    h->stopped = true;
    while (h->first != NULL) {
        struct batch *b = take_first(h);
        bool ok = store_write_wait(h->store, &b->job) == TEDDY_OK;
        count(h, b, ok ? METRIC_HISTORY_WRITTEN_TELEMETRY : METRIC_HISTORY_DROPPED_TELEMETRY,
              ok ? METRIC_HISTORY_WRITTEN_SESSIONS : METRIC_HISTORY_DROPPED_SESSIONS);
        free(b);
    }
}
