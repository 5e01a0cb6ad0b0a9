/* The handlers about the JWT keys. A change is a job of the store's writer: its thread may wait for
 * the disk, and takes one change after the other. */
#include "admin/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/internal.h"
#include "admin/trail.h"
#include "ops/log.h"
#include "proto/text.h"

struct key_change {
    struct store_job job;
    struct loop_task task;
    struct http_request *req;
    const struct admin_context *context;
    struct keyring_op op;
    struct admin_key_list before, after;
    int rc;
    bool done;
    char err[512];
};

/* Takes the answer over. */
static void respond(struct http_request *req, struct admin_answer *a)
{
    char *text = admin_answer_text(a, req->request_id);

    if (a->code != NULL)
        admin_refused(req, a->code);
    if (text == NULL) {
        http_problem(req, 500, "internal", "Out of memory.");
    } else {
        http_set_field(req, "Cache-Control", "no-store");
        if (a->status == 503)
            http_set_field(req, "Retry-After", "1");
        http_respond(req, a->status,
                     a->code != NULL ? "application/problem+json" : "application/json", text,
                     strlen(text));
        free(text);
    }
    admin_answer_fini(a);
}

/* The change is in the file, not in the transaction: a job that is repeated does not repeat it, and
 * tells it again. */
static int run(struct store_tx *tx, struct store_job *job)
{
    struct key_change *c = CONTAINER(job, struct key_change, job);
    const struct admin_context *a = c->context;

    if (!c->done) {
        admin_key_list_take(&c->before, keys_now(a->keys));
        c->rc = a->keys_change(a->keys_context, &c->op, c->err, sizeof c->err);
        admin_key_list_take(&c->after, keys_now(a->keys));
    }
    c->done = true;
    if (c->rc != TEDDY_OK)
        return TEDDY_OK;
    return admin_trail_keys(tx, &c->op, c->req->actor, &c->before, &c->after);
}

static void done_on_store(struct store_job *job)
{
    struct key_change *c = CONTAINER(job, struct key_change, job);

    loop_post(c->req->loop, &c->task);
}

static void answer(struct loop *loop, struct loop_task *task)
{
    struct key_change *c = CONTAINER(task, struct key_change, task);
    struct admin_answer a;

    (void)loop;
    if (!c->done) { /* the store gave up before it came to it */
        c->rc = TEDDY_ESTORE;
        (void)snprintf(c->err, sizeof c->err, "The store cannot do this now; nothing was changed.");
    }
    admin_keys_changed(&c->op, c->rc, c->err, &a);
    LOG(a.code != NULL ? LOG_WARN : LOG_INFO, "admin", LOG_S("handler", c->req->route->name),
        LOG_S("id", c->op.key.kid), LOG_S("actor", c->req->actor), LOG_N("status", a.status),
        LOG_S("request_id", c->req->request_id));
    respond(c->req, &a);
    free(c);
}

static void submit(struct http_request *req, const struct keyring_op *op)
{
    struct key_change *c = calloc(1, sizeof *c);

    if (c == NULL) {
        http_problem(req, 500, "internal", "Out of memory; nothing was changed.");
        return;
    }
    *c = (struct key_change){.job = {.run = run, .done = done_on_store},
                             .task = {.run = answer},
                             .req = req,
                             .context = admin_context_of(req),
                             .op = *op};
    if (store_write(c->context->store, &c->job) == TEDDY_OK)
        return;
    free(c);
    http_problem_retry(req, 503, "store_unavailable",
                       "The store cannot do this now; nothing was changed.", 1);
}

/* {"alg"?: "HS256" | "ES256", "now"?: bool} into op; alg only where a key is added. No body is an
 * empty object. What is wrong, or NULL. */
static const char *read_members(const json_t *body, struct keyring_op *op)
{
    const json_t *now = json_object_get(body, "now"), *alg = json_object_get(body, "alg");
    const char *name = json_string_value(alg);

    if (json_object_size(body) != (size_t)(now != NULL) + (size_t)(alg != NULL) ||
        (alg != NULL && op->verb != KEYRING_ADD))
        return op->verb == KEYRING_ADD ? "Members are, optionally, alg and now."
                                       : "A member is, optionally, now.";
    if (now != NULL && !json_is_boolean(now))
        return "now is true or false.";
    op->now = json_is_true(now);
    op->alg_given = alg != NULL;
    if (alg == NULL)
        return NULL;
    if (name == NULL || (strcmp(name, "HS256") != 0 && strcmp(name, "ES256") != 0))
        return "alg is HS256 or ES256.";
    op->alg = strcmp(name, "HS256") == 0 ? JWT_HS256 : JWT_ES256;
    return NULL;
}

static void change(struct http_request *req, struct keyring_op *op)
{
    struct span text = req->body.len > 0 ? req->body : span_of("{}");
    json_t *body = json_loadb(text.p, text.len, JSON_REJECT_DUPLICATES, NULL);
    const char *wrong = json_is_object(body) ? read_members(body, op) : NULL;

    if (!json_is_object(body))
        http_problem(req, 400, "bad_json", "The body is a JSON object without duplicate members.");
    else if (wrong != NULL)
        http_problem(req, 422, "bad_members", wrong);
    else
        submit(req, op);
    json_decref(body);
}

void admin_key_list(struct http_request *req)
{
    struct admin_answer a;

    if (!admin_gate(req))
        return;
    admin_keys_list(keys_now(admin_context_of(req)->keys), &a);
    respond(req, &a);
}

void admin_key_add(struct http_request *req)
{
    struct keyring_op op = {.verb = KEYRING_ADD};

    if (admin_gate(req))
        change(req, &op);
}

void admin_key_retire(struct http_request *req)
{
    struct keyring_op op = {.verb = KEYRING_RETIRE};
    struct span kid = req->params[0];

    if (!admin_gate(req))
        return;
    if (kid.len > JWT_KID_MAX) {
        http_problem(req, 404, "key_not_found", "There is no such key.");
        return;
    }
    memcpy(op.kid, kid.p, kid.len);
    change(req, &op);
}
