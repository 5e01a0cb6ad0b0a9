/* Messages to the toy: what waits for it in the store is sent in order, at most DOWNLINK_WINDOW of
 * them unacked, and leaves the store when the toy acks it.
 *
 * A session has at most one job with the store at a time: a read of the first DOWNLINK_WINDOW that
 * wait, of which those not sent yet are sent, or a write of what the toy acked. What is asked for
 * meanwhile is done behind it, so acks that come close together are one write. Jobs outlive
 * sessions: they know theirs by its id. */
#include <stdlib.h>

#include "ops/log.h"
#include "ops/metrics.h"
#include "proto/text.h"
#include "session/internal.h"

struct held {
    struct downlink_id id;
    bool data;
    uint64_t expires_s;
    size_t at, len; /* in words */
};

struct delivery {
    struct store_job job; /* first: run and done get this back */
    struct loop_task task;
    struct hub *hub;
    uint64_t session_id;
    uint64_t now_s;
    struct downlink_id sent, acked;
    bool ack_last, writes;
    char device_id[LIMIT_ID_LEN + 1], child_id[LIMIT_ID_LEN + 1];

    /* Of a write: what is too large for the toy. */
    struct downlink_id drops[DOWNLINK_WINDOW];
    unsigned drop_count;

    /* What run found. */
    bool behind;    /* there is something to write of hello's `last` */
    bool overtaken; /* `last` was ahead of all ids of this server */
    uint64_t left;  /* the store */
    bool no_memory;
    struct held rows[DOWNLINK_WINDOW];
    unsigned count;
    char *words;
    size_t words_len;
};

static struct delivery *of_task(struct loop_task *task)
{
    return (struct delivery *)(void *)((char *)task - offsetof(struct delivery, task));
}

static void delivery_free(struct delivery *d)
{
    if (d->words)
        wipe(d->words, d->words_len);
    free(d->words);
    free(d);
}

static void hold(void *arg, const struct downlink_row *row)
{
    struct delivery *d = arg;
    char *words = malloc(d->words_len + row->body.len + 1);
    if (!words || d->count == DOWNLINK_WINDOW) {
        free(words);
        d->no_memory = true;
        return;
    }
    if (d->words) {
        memcpy(words, d->words, d->words_len);
        wipe(d->words, d->words_len);
        free(d->words);
    }
    memcpy(words + d->words_len, row->body.p, row->body.len);
    d->words = words;
    d->rows[d->count++] =
        (struct held){row->id, row->data, row->expires_s, d->words_len, row->body.len};
    d->words_len += row->body.len;
}

static int run_read(struct store_tx *tx, struct store_job *job)
{
    struct delivery *d = (struct delivery *)job;
    int rc = TEDDY_OK;
    if (d->ack_last)
        rc = store_downlink_behind(tx, d->device_id, d->child_id, &d->acked, &d->behind);
    if (rc != TEDDY_OK || d->behind)
        return rc;
    rc = store_downlink_window(tx, d->device_id, d->child_id, &d->sent, d->now_s, DOWNLINK_WINDOW,
                               hold, d);
    return rc == TEDDY_OK && d->no_memory ? TEDDY_ENOMEM : rc;
}

static int run_write(struct store_tx *tx, struct store_job *job)
{
    struct delivery *d = (struct delivery *)job;
    int rc = TEDDY_OK;
    d->left = 0;
    d->overtaken = false;
    if (d->drop_count == 0)
        rc = store_downlink_ack(tx, d->device_id, d->child_id, &d->acked, &d->left, &d->overtaken);
    for (unsigned i = 0; rc == TEDDY_OK && i < d->drop_count; i++) {
        rc = store_downlink_drop(tx, d->device_id, d->child_id, &d->drops[i]);
        d->left += rc == TEDDY_OK;
        rc = rc == TEDDY_ENOTFOUND ? TEDDY_OK : rc;
    }
    return rc;
}

static void done_on_store(struct store_job *job)
{
    struct delivery *d = (struct delivery *)job;
    loop_post(d->hub->loop, &d->task);
}

/* The store cannot now: what is to be written stays so. */
static void put_off(struct session *s, const struct delivery *d)
{
    s->fetching = false;
    s->fetch_late = true;
    s->ack_new |= d->writes && d->drop_count == 0;
}

/* Where the session stands; 0.0 and 0.0 before there was a message. */
static struct marks marks_of(const struct session *s)
{
    return s->marks ? *s->marks : (struct marks){{0, 0}, {0, 0}};
}

static bool make_marks(struct session *s)
{
    if (!s->marks)
        s->marks = calloc(1, sizeof *s->marks);
    return s->marks != NULL;
}

/* Takes d over, whatever comes of it. */
static void submit(struct session *s, struct delivery *d)
{
    struct store *store = session_hub(s)->config->store;
    d->job.run = d->writes ? run_write : run_read;
    d->job.done = done_on_store;
    s->fetching = true;
    if ((d->writes ? store_write(store, &d->job) : store_read(store, &d->job)) == TEDDY_OK)
        return;
    put_off(s, d);
    delivery_free(d);
}

/* Too large for this toy now, and so it would be again: it leaves, and does not hold up the rest.
 */
static void drop_later(struct session *s, struct delivery *d, const struct held *row)
{
    char id[DOWNLINK_ID_TEXT] = "";
    struct writer w = writer_on(id, sizeof id);
    downlink_id_write(&w, &row->id);
    if (writer_end(&w) == TEDDY_OK)
        LOG(LOG_WARN, "downlink_dropped", LOG_S("device", session_device(s)), LOG_S("id", id),
            LOG_N("bytes", row->len), LOG_N("max", s->ws.frame_max));
    d->drops[d->drop_count++] = row->id;
}

static void send_all(struct session *s, struct delivery *d)
{
    if (d->count > 0 && !make_marks(s)) {
        s->fetch_late = true;
        return;
    }
    for (unsigned i = 0; i < d->count && s->state == SESSION_LIVE; i++) {
        const struct held *h = &d->rows[i];
        struct downlink_row row = {.id = h->id,
                                   .data = h->data,
                                   .expires_s = h->expires_s,
                                   .body = {d->words + h->at, h->len}};
        s->marks->sent = h->id;
        if (send_message(s, &row))
            metric_add(loop_index(session_hub(s)->loop), METRIC_DOWNLINKS_SENT, 1);
        else
            drop_later(s, d, h);
    }
}

static void wrote(struct session *s, const struct delivery *d)
{
    metric_add(loop_index(session_hub(s)->loop),
               d->drop_count ? METRIC_DOWNLINKS_DROPPED : METRIC_DOWNLINKS_ACKED, d->left);
    if (d->overtaken)
        LOG(LOG_WARN, "downlink_overtaken", LOG_S("device", session_device(s)),
            LOG_S("why", "the toy knows a later message than this server has sent it"));
    s->ack_last = false;
    s->fetch_more = true;
}

static void fetched(struct loop *loop, struct loop_task *task)
{
    struct delivery *d = of_task(task);
    struct session *s = hub_find(d->hub, d->session_id);
    (void)loop;
    if (!s || s->state != SESSION_LIVE) {
        delivery_free(d);
        return;
    }
    s->fetching = false;
    if (d->job.result != TEDDY_OK && d->job.result != TEDDY_ENOTFOUND) {
        put_off(s, d);
        delivery_free(d);
        return;
    }
    if (d->writes) {
        wrote(s, d);
    } else if (d->behind) {
        s->ack_new = true;
    } else {
        s->ack_last = false;
        send_all(s, d);
        d->writes = true;
        if (d->drop_count > 0 && s->state == SESSION_LIVE) {
            submit(s, d);
            return;
        }
    }
    delivery_free(d);
    if (s->ack_new || s->fetch_more)
        downlink_go(s);
}

void downlink_go(struct session *s)
{
    if (!session_hub(s)->config->store || !s->hello || s->state != SESSION_LIVE)
        return;
    if (s->fetching) {
        s->fetch_more = true;
        return;
    }
    struct delivery *d = calloc(1, sizeof *d);
    if (!d) {
        s->fetch_late = true;
        return;
    }
    d->task.run = fetched;
    d->hub = session_hub(s);
    d->session_id = s->id;
    d->now_s = unix_ms() / 1000;
    d->sent = marks_of(s).sent;
    d->acked = marks_of(s).acked;
    d->ack_last = s->ack_last;
    d->writes = s->ack_new;
    memcpy(d->device_id, session_device(s), strlen(session_device(s)));
    memcpy(d->child_id, session_child(s), strlen(session_child(s)));
    s->ack_new = s->fetch_more = s->fetch_late = false;
    submit(s, d);
}

void downlink_hello(struct session *s, const struct downlink_id *last)
{
    bool any = last->epoch + last->n > 0;
    if (any && !make_marks(s)) {
        session_close(s, WS_CLOSE_INTERNAL, "internal", true);
        return;
    }
    if (any && downlink_id_compare(last, &s->marks->acked) > 0) {
        s->marks->acked = *last;
        s->ack_last = true;
    }
    if (any && downlink_id_compare(last, &s->marks->sent) > 0)
        s->marks->sent = *last;
    downlink_go(s);
}

bool downlink_ack(struct session *s, const struct downlink_id *id)
{
    struct marks marks = marks_of(s);
    if (downlink_id_compare(id, &marks.sent) > 0)
        return false;
    if (downlink_id_compare(id, &marks.acked) > 0) { /* so there are marks */
        s->marks->acked = *id;
        s->ack_new = true;
        downlink_go(s);
    }
    return true;
}
