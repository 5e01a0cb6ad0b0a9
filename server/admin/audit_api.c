/* The handlers that show the audit trail. What they read is a reader's work: a page at once, a
 * verification in pieces, so that toys which come meanwhile need not wait for its end. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/audit_answer.h"
#include "admin/internal.h"
#include "proto/text.h"

#define EVENTS_DEFAULT 100u
#define EVENTS_MAX     1000u
#define PAGE_LOOKS     10000u /* events that a page of a token for some devices looks at */
#define PIECE          2000u

struct reading {
    struct store_job job;
    struct loop_task task;
    struct http_request *req;
    const struct admin_context *context;
    json_t *(*answer)(const struct reading *r);
    /* A page. */
    int64_t after; /* behind which it begins; -1: the last ones are meant */
    unsigned limit, looks, looked;
    char prefix[LIMIT_ID_LEN + 1]; /* of the devices whose events are shown */
    char device[LIMIT_ID_LEN + 1]; /* the one whose events are shown; "": of all */
    int64_t before;                /* of that one: the event that stands behind; 0: none does */
    json_t *events;
    int64_t next;
    bool more, failed;
    struct audit_head end; /* of the chain */
    /* A verification. */
    struct audit_verifier v;
    struct audit_head_list heads;
    bool verifies, begun;
};

static atomic_flag verifying = ATOMIC_FLAG_INIT; /* it costs a reader: one at a time */

static void reading_free(struct reading *r)
{
    if (r->verifies)
        atomic_flag_clear(&verifying);
    audit_verify_fini(&r->v);
    free(r->heads.head);
    json_decref(r->events);
    free(r);
}

static void answer(struct loop *loop, struct loop_task *task)
{
    struct reading *r = CONTAINER(task, struct reading, task);

    (void)loop;
    if (r->job.result == TEDDY_OK && !r->failed)
        admin_respond_json(r->req, 200, r->answer(r));
    else if (r->failed)
        http_problem(r->req, 500, "audit_unreadable",
                     "An event cannot be shown; a verification says more.");
    else
        http_problem_retry(r->req, 503, "store_unavailable",
                           "The store cannot do this now; try again.", 1);
    reading_free(r);
}

static void done_on_store(struct store_job *job)
{
    struct reading *r = CONTAINER(job, struct reading, job);

    if (job->result == TEDDY_OK && r->verifies && r->more) {
        int rc = store_read(r->context->store, job);
        if (rc == TEDDY_OK)
            return;
        job->result = rc;
    }
    loop_post(r->req->loop, &r->task);
}

static struct reading *reading_new(struct http_request *req,
                                   int (*run)(struct store_tx *tx, struct store_job *job),
                                   json_t *(*reply)(const struct reading *r))
{
    struct reading *r = calloc(1, sizeof *r);

    if (r == NULL) {
        http_problem(req, 500, "internal", "Out of memory.");
        return NULL;
    }
    r->job = (struct store_job){.run = run, .done = done_on_store};
    r->task.run = answer;
    r->req = req;
    r->context = admin_context_of(req);
    r->answer = reply;
    return r;
}

static void submit(struct reading *r)
{
    struct http_request *req = r->req;

    if (store_read(r->context->store, &r->job) == TEDDY_OK)
        return;
    reading_free(r);
    http_problem_retry(req, 503, "store_unavailable", "The store cannot do this now; try again.",
                       1);
}

/* ---- Events ---- */

static bool take_event(void *arg, const struct audit_row *row)
{
    struct reading *r = arg;
    size_t len = strlen(r->prefix);
    bool tail = r->after < 0;

    r->more = r->looked == r->looks || (!tail && json_array_size(r->events) == r->limit);
    if (r->more)
        return false;
    r->looked++;
    r->next = row->n;
    if (row->device_id.len < len || memcmp(row->device_id.p, r->prefix, len) != 0)
        return true;
    r->failed = json_array_append_new(r->events, audit_row_json(row)) != 0;
    if (tail && json_array_size(r->events) > r->limit)
        (void)json_array_remove(r->events, 0);
    return !r->failed;
}

static int run_page(struct store_tx *tx, struct store_job *job)
{
    struct reading *r = CONTAINER(job, struct reading, job);
    int rc = audit_last(tx, &r->end);

    if (rc != TEDDY_OK)
        return rc;
    r->looks = r->prefix[0] != '\0' ? PAGE_LOOKS : r->limit;
    r->next = r->after;
    if (r->after < 0)
        r->next = r->end.n > r->looks ? r->end.n - r->looks : 0;
    return audit_rows(tx, r->next, take_event, r);
}

static json_t *page_json(const struct reading *r)
{
    return json_pack("{s:O, s:I, s:b, s:I}", "events", r->events, "next", (json_int_t)r->next,
                     "more", r->more, "last", (json_int_t)r->end.n);
}

/* ---- Events of one device, from the newest on back. ---- */

static bool take_back(void *arg, const struct audit_row *row)
{
    struct reading *r = arg;

    r->more = json_array_size(r->events) == r->limit;
    if (r->more)
        return false;
    r->next = row->n;
    r->failed = json_array_insert_new(r->events, 0, audit_row_json(row)) != 0;
    return !r->failed;
}

static bool take_scanned(void *arg, const struct audit_row *row)
{
    struct reading *r = arg;

    if (r->before > 0 && row->n >= r->before)
        return false;
    if (span_is(row->device_id, r->device))
        r->failed = json_array_append_new(r->events, audit_row_json(row)) != 0;
    if (json_array_size(r->events) > r->limit)
        (void)json_array_remove(r->events, 0);
    return !r->failed;
}

/* Of a toy that is not registered (any more) there is no list: so many events are looked through.
 */
static int scan_back(struct store_tx *tx, struct reading *r)
{
    int64_t end = r->before > 0 ? r->before - 1 : r->end.n;

    r->next = end > PAGE_LOOKS ? end - PAGE_LOOKS : 0;
    r->more = r->next > 0;
    int rc = audit_rows(tx, r->next, take_scanned, r);
    if (json_array_size(r->events) == r->limit) {
        const json_t *oldest = json_object_get(json_array_get(r->events, 0), "n");
        r->next = json_integer_value(oldest);
        r->more = true;
    } else {
        r->next++; /* it has not been looked at itself */
    }
    return rc;
}

static int run_device(struct store_tx *tx, struct store_job *job)
{
    struct reading *r = CONTAINER(job, struct reading, job);
    bool listed = false;
    int rc = audit_last(tx, &r->end);

    r->next = r->before;
    if (rc == TEDDY_OK)
        rc = audit_of_device(tx, r->device, r->before, take_back, r, &listed);
    return rc == TEDDY_OK && !listed ? scan_back(tx, r) : rc;
}

static json_t *device_json(const struct reading *r)
{
    return json_pack("{s:O, s:o, s:b, s:I}", "events", r->events, "before",
                     r->more ? json_integer((json_int_t)r->next) : json_null(), "more", r->more,
                     "last", (json_int_t)r->end.n);
}

static bool query_event(struct http_request *req, const char *name, int64_t *out)
{
    char text[24], detail[64];
    size_t len = 0;
    uint64_t n = 0;
    int rc = http_query(req, name, text, sizeof text, &len);

    *out = -1;
    if (rc == TEDDY_ENOTFOUND)
        return true;
    if (rc == TEDDY_OK && u64_parse((struct span){text, len}, &n) == TEDDY_OK && n < INT64_MAX) {
        *out = (int64_t)n;
        return true;
    }
    (void)snprintf(detail, sizeof detail, "%s is the number of an event, given once.", name);
    http_problem(req, 422, "bad_query", detail);
    return false;
}

/* A device that the caller may not see has no events that it could. */
static bool query_device(struct http_request *req, const char *prefix, char out[LIMIT_ID_LEN + 1],
                         int64_t *before)
{
    int64_t after;

    if (!admin_query_id(req, "device", out) || !query_event(req, "before", before) ||
        !query_event(req, "after", &after))
        return false;
    if ((out[0] != '\0' && after >= 0) || (out[0] == '\0' && *before >= 0)) {
        http_problem(req, 422, "bad_query",
                     "before goes with device, whose events are told from the newest on back; "
                     "after goes without it.");
        return false;
    }
    if (out[0] == '\0' || strncmp(out, prefix, strlen(prefix)) == 0)
        return true;
    admin_refused(req, "out_of_scope");
    http_problem(req, 403, "out_of_scope", "The token is not good for this device.");
    return false;
}

void admin_audit_list(struct http_request *req)
{
    char prefix[LIMIT_ID_LEN + 1], device[LIMIT_ID_LEN + 1];
    struct reading *r;
    unsigned limit;
    int64_t after, before;

    if (!admin_gate_list(req, prefix) || !query_device(req, prefix, device, &before) ||
        !query_event(req, "after", &after) ||
        !admin_query_limit(req, EVENTS_DEFAULT, EVENTS_MAX, &limit))
        return;
    r = device[0] == '\0' ? reading_new(req, run_page, page_json)
                          : reading_new(req, run_device, device_json);
    if (r == NULL)
        return;
    memcpy(r->prefix, prefix, sizeof r->prefix);
    memcpy(r->device, device, sizeof r->device);
    r->before = before > 0 ? before : 0;
    r->after = after;
    r->limit = limit;
    r->events = json_array();
    submit(r);
}

/* ---- The head ---- */

static int run_head(struct store_tx *tx, struct store_job *job)
{
    struct reading *r = CONTAINER(job, struct reading, job);
    struct timespec t;
    int rc = audit_last(tx, &r->end);

    clock_gettime(CLOCK_REALTIME, &t);
    r->end.at_ms = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
    return rc == TEDDY_OK ? audit_key_sign(r->context->audit_key, AUDIT_SIGNED_HEAD, &r->end) : rc;
}

static json_t *head_json(const struct reading *r)
{
    return audit_head_json(&r->end, r->context->audit_key);
}

void admin_audit_head(struct http_request *req)
{
    struct reading *r = admin_gate(req) ? reading_new(req, run_head, head_json) : NULL;

    if (r != NULL)
        submit(r);
}

/* ---- The verification ---- */

static bool check_row(void *arg, const struct audit_row *row)
{
    struct reading *r = arg;

    r->more = r->looked == PIECE;
    if (r->more)
        return false;
    r->looked++;
    return audit_verify_row(&r->v, row) == TEDDY_OK;
}

/* The heads that there are now, and the beginning. What was verified before counts no more. */
static int begin(struct reading *r, struct store_tx *tx)
{
    audit_verify_fini(&r->v);
    r->heads.count = 0;
    int rc = audit_head_list_take(&r->heads, tx);
    r->v = (struct audit_verifier){
        .key = r->context->audit_key, .heads = r->heads.head, .head_count = r->heads.count};
    r->begun = true;
    return rc == TEDDY_OK ? audit_verify_store(&r->v, tx) : rc;
}

/* Whether what is to be verified next was removed meanwhile, as too old. */
static bool overtaken(const struct reading *r, struct store_tx *tx)
{
    struct audit_head anchor;

    return audit_anchor(tx, &anchor) == TEDDY_OK && anchor.n > r->v.n;
}

static int run_verify(struct store_tx *tx, struct store_job *job)
{
    struct reading *r = CONTAINER(job, struct reading, job);
    bool first = !r->begun || overtaken(r, tx);
    int rc = first ? begin(r, tx) : TEDDY_OK;

    r->looked = 0;
    r->more = false;
    if (rc == TEDDY_OK)
        rc = audit_rows(tx, first ? INT64_MIN : r->v.n, check_row, r);
    if (rc == TEDDY_OK && !r->more && r->v.fault[0] == '\0')
        rc = audit_verify_store_end(&r->v);
    return rc == TEDDY_EPROTO ? TEDDY_OK : rc; /* a fault is an answer */
}

static json_t *verdict_json(const struct reading *r)
{
    return audit_verdict_json(&r->v);
}

void admin_audit_verify(struct http_request *req)
{
    struct reading *r;

    if (!admin_gate(req))
        return;
    if (atomic_flag_test_and_set(&verifying)) {
        http_problem_retry(req, 429, "verification_running",
                           "The audit trail is being verified already; ask again.", 2);
        return;
    }
    r = reading_new(req, run_verify, verdict_json);
    if (r == NULL) {
        atomic_flag_clear(&verifying);
        return;
    }
    r->verifies = true;
    submit(r);
}
