#include "mind/alerts.h"

#include <jansson.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "net/loop.h"
#include "net/outgoing.h"
#include "ops/log.h"
#include "ops/metrics.h"
#include "ops/secret_file.h"
#include "process/signed.h"
#include "proto/text.h"
#include "proto/utc.h"
#include "store/talk.h"

#define ANSWER_MAX    65536
#define SEND_MS       10000
#define BACKOFF_MAX_S 300
#define PAUSE_MAX_MS  30000 /* of all, while none is taken */
#define STORE_MS      1000  /* until the store is asked again */

/* One alert at a time: read, sent, and then dropped or put off. */
struct alerts {
    struct store_job job; /* first: run and done get this back */
    struct loop_task task, nudge;
    struct loop_timer timer;
    struct alerts_config config;
    char secret[SECRET_MAX + 1];
    struct loop *loop;
    struct outgoing *outgoing;
    struct transfer *transfer;
    struct alert_row row;
    long status; /* of the answer; 0: none */
    enum { IDLE, READING, SENDING, WRITING } doing;
    bool again; /* there is another reason to look */
    bool stopped;
    uint64_t due_s;     /* WRITING: put off until; 0: it goes */
    unsigned failures;  /* in a row, each of another alert than the one before */
    int64_t failed;     /* the last of them; 0: none */
    uint64_t resume_ms; /* none is sent before */
    atomic_bool nudged;
};

static void go(struct alerts *a);

static uint64_t now_s(void)
{
    return (uint64_t)time(NULL);
}

static void done(struct store_job *job)
{
    struct alerts *a = (struct alerts *)job;
    loop_post(a->loop, &a->task);
}

static void wait_ms(struct alerts *a, uint64_t ms)
{
    a->doing = IDLE;
    loop_timer_set(a->loop, &a->timer, loop_now_ms(a->loop) + ms);
}

static void give_to_store(struct alerts *a, int (*run)(struct store_tx *, struct store_job *),
                          bool writes)
{
    struct store *store = a->config.store;
    a->job = (struct store_job){.run = run, .done = done};
    a->doing = writes ? WRITING : READING;
    if ((writes ? store_write(store, &a->job) : store_read(store, &a->job)) != TEDDY_OK)
        wait_ms(a, STORE_MS);
}

static int run_next(struct store_tx *tx, struct store_job *job)
{
    return store_alert_next(tx, &((struct alerts *)job)->row);
}

static int run_settle(struct store_tx *tx, struct store_job *job)
{
    const struct alerts *a = (struct alerts *)job;
    return a->due_s ? store_alert_put_off(tx, a->row.n, a->due_s)
                    : store_alert_drop(tx, a->row.n, a->row.more);
}

/* 1 s, doubling. */
static uint64_t backoff_s(unsigned tries)
{
    return tries >= 9 ? BACKOFF_MAX_S : UINT64_C(1) << tries;
}

/* However many wait, a service that is away is asked seldom: 1 s after the second of them that
 * fails, doubling. One alone that it cannot take keeps no other waiting. */
static void pause_all(struct alerts *a, bool taken)
{
    bool same = a->failed == a->row.n;
    a->failed = taken ? 0 : a->row.n;
    a->failures = taken ? 0 : a->failures + (same ? 0 : 1);
    if (a->failures < 2 || same)
        return;
    uint64_t ms = a->failures >= 7 ? PAUSE_MAX_MS : UINT64_C(1000) << (a->failures - 2);
    a->resume_ms = loop_now_ms(a->loop) + ms;
}

static void settle(struct alerts *a, const char *what)
{
    bool taken = a->status >= 200 && a->status < 300;
    loop_timer_unset(a->loop, &a->timer);
    a->transfer = NULL;
    metric_add(loop_index(a->loop), taken ? METRIC_ALERTS_DELIVERED : METRIC_ALERTS_FAILED, 1);
    if (taken)
        LOG(LOG_INFO, "alert_delivered", LOG_N("alert", (uint64_t)a->row.n));
    else
        LOG(LOG_ERROR, "alert_undelivered", LOG_N("alert", (uint64_t)a->row.n),
            LOG_N("status", (uint64_t)a->status), LOG_S("error", what),
            LOG_N("retry_s", backoff_s(a->row.tries)));
    pause_all(a, taken);
    a->due_s = taken ? 0 : now_s() + backoff_s(a->row.tries);
    give_to_store(a, run_settle, true);
}

static bool on_head(void *user, long status, const char *type)
{
    (void)type;
    ((struct alerts *)user)->status = status;
    return true;
}

static void on_data(void *user, struct span bytes)
{
    (void)user;
    (void)bytes;
}

static void on_end(void *user, enum outgoing_end why, const char *what)
{
    struct alerts *a = user;
    if (why != OUTGOING_WHOLE)
        a->status = 0;
    settle(a, why == OUTGOING_WHOLE ? "" : what);
}

static const struct outgoing_handler HANDLER = {on_head, on_data, on_end};

static char *write_body(const struct alert_row *row)
{
    char at[UTC_TEXT], last[UTC_TEXT], id[32];
    (void)utc_text(row->at_s, at);
    (void)utc_text(row->last_s, last);
    snprintf(id, sizeof id, "%lld", (long long)row->n);
    json_t *root = json_pack("{s:s, s:s, s:s, s:s, s:s}", "id", id, "at", at, "category",
                             row->category, "device_id", row->device_id, "child_id", row->child_id);
    bool ok = root != NULL;
    if (ok && row->words[0])
        ok = json_object_set_new(root, "words", json_string(row->words)) == 0;
    if (ok && row->more > 0)
        ok = json_object_set_new(root, "more", json_integer((json_int_t)row->more)) == 0 &&
             json_object_set_new(root, "last_at", json_string(last)) == 0;
    char *body = ok ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    return body;
}

static void send_alert(struct alerts *a)
{
    char room[SIGNED_ROOM];
    const char *headers[] = {"Content-Type: application/json", NULL, NULL, NULL};
    char *body = write_body(&a->row);
    struct outgoing_request request = {
        .url = a->config.url, .headers = headers, .answer_max = ANSWER_MAX};
    a->status = 0;
    a->doing = SENDING;
    bool ok = body && signed_headers(a->secret, body, room, sizeof room, &headers[1]);
    if (ok) {
        request.body = span_of(body);
        ok = outgoing_start(a->outgoing, &request, &HANDLER, a, &a->transfer) == TEDDY_OK;
    }
    if (body)
        wipe(body, strlen(body));
    free(body);
    wipe(a->row.words, sizeof a->row.words);
    if (ok)
        loop_timer_set(a->loop, &a->timer, loop_now_ms(a->loop) + SEND_MS);
    else
        settle(a, "it could not be sent");
}

static void on_timer(struct loop *loop, struct loop_timer *timer)
{
    struct alerts *a = CONTAINER(timer, struct alerts, timer);
    (void)loop;
    if (a->doing != SENDING) {
        go(a);
        return;
    }
    transfer_cancel(a->transfer);
    a->status = 0;
    settle(a, "there was no answer");
}

static void on_read(struct alerts *a)
{
    uint64_t now = now_s();
    if (a->job.result == TEDDY_ENOTFOUND)
        a->doing = IDLE;
    else if (a->job.result != TEDDY_OK)
        wait_ms(a, STORE_MS);
    else if (a->row.due_s > now && a->row.due_s - now <= BACKOFF_MAX_S)
        wait_ms(a, (a->row.due_s - now) * 1000);
    else
        send_alert(a);
}

static void back(struct loop *loop, struct loop_task *task)
{
    struct alerts *a = CONTAINER(task, struct alerts, task);
    (void)loop;
    if (a->stopped)
        return;
    if (a->doing == READING)
        on_read(a);
    else if (a->job.result == TEDDY_OK || a->job.result == TEDDY_ENOTFOUND)
        a->doing = IDLE, a->again = true;
    else /* it is sent again, under its id; not at once, as the store may refuse for long */
        wait_ms(a, STORE_MS);
    if (a->doing == IDLE && a->again)
        go(a);
}

static void go(struct alerts *a)
{
    if (a->stopped)
        return;
    if (a->doing != IDLE) {
        a->again = true;
        return;
    }
    a->again = false;
    loop_timer_unset(a->loop, &a->timer);
    uint64_t now = loop_now_ms(a->loop);
    if (now < a->resume_ms)
        wait_ms(a, a->resume_ms - now);
    else
        give_to_store(a, run_next, false);
}

static void on_nudge(struct loop *loop, struct loop_task *task)
{
    struct alerts *a = CONTAINER(task, struct alerts, nudge);
    (void)loop;
    atomic_store(&a->nudged, false);
    go(a);
}

void alerts_nudge(struct alerts *a)
{
    if (!atomic_exchange(&a->nudged, true))
        loop_post(a->loop, &a->nudge);
}

int alerts_open(const struct alerts_config *config, struct alerts **out, char *err, size_t cap)
{
    struct alerts *a = calloc(1, sizeof *a);
    if (!a)
        return TEDDY_ENOMEM;
    a->config = *config;
    a->task.run = back;
    a->nudge.run = on_nudge;
    a->timer.fire = on_timer;
    int rc = outgoing_init();
    if (rc != TEDDY_OK)
        snprintf(err, cap, "libcurl cannot be used");
    else
        rc = secret_read("teddy-alert-secret", config->secret_file, a->secret, err, cap);
    if (rc == TEDDY_ENOTFOUND)
        snprintf(err, cap, "alert_url needs an alert_secret_file");
    else if (rc == TEDDY_OK && strlen(a->secret) < SIGNED_SECRET_MIN)
        snprintf(err, cap, "the secret of alerts is shorter than %d characters", SIGNED_SECRET_MIN);
    else if (rc == TEDDY_OK) {
        *out = a;
        return TEDDY_OK;
    }
    alerts_close(a);
    return TEDDY_EINVAL;
}

int alerts_start(struct alerts *a, struct loop *loop)
{
    struct outgoing_options options = {.ca_file = a->config.ca_file,
                                       .proxy = a->config.proxy,
                                       .connect_ms = SEND_MS / 2,
                                       .transfers = 1};
    a->loop = loop;
    int rc = outgoing_new(loop, &options, &a->outgoing);
    if (rc == TEDDY_OK)
        alerts_nudge(a);
    return rc;
}

void alerts_stop(struct alerts *a)
{
    if (!a || !a->loop)
        return;
    a->stopped = true;
    loop_timer_unset(a->loop, &a->timer);
    outgoing_free(a->outgoing);
    a->outgoing = NULL;
}

void alerts_close(struct alerts *a)
{
    if (!a)
        return;
    wipe(a, sizeof *a);
    free(a);
}
