/* The audit trail's new events, for who listens: read once for all, behind the one who is least far
 * and can take more. Who cannot is left where it is, and does not hold up the others. */
#include <stdlib.h>
#include <string.h>

#include "admin/audit_answer.h"
#include "console/events.h"

static void clear(struct audit_feed *f)
{
    for (unsigned i = 0; i < f->count; i++)
        free(f->line[i].json);
    f->count = 0;
}

static bool take(void *arg, const struct audit_row *row)
{
    struct audit_feed *f = arg;
    struct audit_line *line = &f->line[f->count];
    json_t *json;

    if (f->count == EVENTS_BATCH)
        return false;
    *line = (struct audit_line){.n = row->n};
    if (row->device_id.len < sizeof line->device_id)
        memcpy(line->device_id, row->device_id.p, row->device_id.len);
    json = audit_row_json(row); /* of a damaged one there is none: a verification says more */
    if (json != NULL)
        line->json = json_dumps(json, JSON_COMPACT);
    json_decref(json);
    f->count++;
    return true;
}

/* On a reader's thread; the loop does not look at the feed meanwhile. */
static int run_feed(struct store_tx *tx, struct store_job *job)
{
    struct audit_feed *f = CONTAINER(job, struct audit_feed, job);
    struct audit_head end;
    int rc = audit_last(tx, &end);

    clear(f);
    if (rc == TEDDY_OK)
        rc = audit_rows(tx, f->from, take, f);
    if (rc == TEDDY_OK)
        f->found = end.n;
    return rc;
}

static void tell(struct listener_of_events *l, const struct audit_feed *f)
{
    size_t len = strlen(l->who.prefix);

    if (l->after < 0 || l->after < f->from)
        return;
    for (unsigned i = 0; i < f->count; i++) {
        const struct audit_line *line = &f->line[i];
        if (line->n <= l->after)
            continue;
        if (line->json != NULL && strncmp(line->device_id, l->who.prefix, len) == 0 &&
            !events_tell(l, "audit", line->n, line->json))
            return;
        l->after = line->n;
    }
}

/* Who does not read goes; who does, and comes after all the same, as in a storm, misses some. */
static void catch_up(struct listener_of_events *l, const struct audit_feed *f)
{
    if (l->after < 0 || l->after + EVENTS_BEHIND_MAX >= f->end)
        return;
    if (conn_unsent(l->conn) > EVENTS_AHEAD)
        events_dismiss(l, "slow");
    else
        events_skip(l, f->end - EVENTS_RESUME_MAX);
}

static void read_feed(struct loop *loop, struct loop_task *task)
{
    struct console_events *e = CONTAINER(task, struct console_events, feed.task);
    struct audit_feed *f = &e->feed;
    bool full = f->count == EVENTS_BATCH;

    (void)loop;
    f->busy = false;
    if (f->job.result != TEDDY_OK) {
        f->commits = 0; /* look again at the next tick */
    } else {
        f->end = f->found;
        for (struct listener_of_events *l = e->first; l != NULL; l = l->next) {
            tell(l, f);
            catch_up(l, f);
        }
    }
    clear(f);
    if (full)
        feed_look(e);
}

static void done_feed(struct store_job *job)
{
    struct console_events *e = CONTAINER(job, struct console_events, feed.job);

    loop_post(e->loop, &e->feed.task);
}

/* Where the least far of those stands who can take more; false: there is none. */
static bool find_from(const struct console_events *e, bool news, int64_t *from)
{
    bool any = false;

    for (const struct listener_of_events *l = e->first; l != NULL; l = l->next) {
        if (l->leaving || l->after < 0 || conn_unsent(l->conn) > EVENTS_AHEAD ||
            (!news && l->after >= e->feed.end))
            continue;
        if (!any || l->after < *from)
            *from = l->after;
        any = true;
    }
    return any;
}

void feed_look(struct console_events *e)
{
    struct audit_feed *f = &e->feed;
    uint64_t commits, jobs;
    unsigned waiting;

    if (f->busy || f->looks == EVENTS_TICK_LOOKS || atomic_load(&e->stopped))
        return;
    store_stats(e->context->store, &commits, &jobs, &waiting);
    if (!find_from(e, commits != f->commits, &f->from))
        return;
    f->commits = commits;
    f->job = (struct store_job){.run = run_feed, .done = done_feed};
    f->task.run = read_feed;
    f->looks++;
    f->busy = store_read(e->context->store, &f->job) == TEDDY_OK;
}

void feed_stop(struct console_events *e)
{
    clear(&e->feed);
}
