/* The handlers that change or read the registry: a command is made from the request, queued for the
 * store, and answered on the request's loop once it is durable. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/internal.h"
#include "admin/token.h"
#include "ops/log.h"
#include "ops/metrics.h"
#include "proto/ids.h"
#include "proto/text.h"

struct pending {
    struct loop_task task;
    struct loop *loop;
    struct http_request *req;
    const struct admin_context *context;
    struct admin_command *command;
    unsigned at; /* the loop that is asked what the store does not know */
    void (*then)(struct http_request *req, const struct admin_command *c);
};

static void close_device(const struct admin_context *ctx, const char *device_id, const char *word)
{
    struct hub *hub = ctx->hubs[hub_index(device_id, ctx->loop_count)];

    hub_post_close(hub, device_id, NULL, WS_CLOSE_POLICY, word);
}

static void close_concerned(const struct pending *p)
{
    const struct admin_command *c = p->command;
    const char *word = admin_command_closes(c);

    if (c->job.result != TEDDY_OK || word == NULL)
        return;
    if (!admin_command_of_child(c))
        close_device(p->context, c->id, word);
    else
        for (unsigned i = 0; i < p->context->loop_count; i++)
            hub_post_close_child(p->context->hubs[i], c->id, WS_CLOSE_POLICY, word);
}

/* Its id is a child's, which no log has. */
static bool is_child(const struct admin_command *c)
{
    return admin_command_of_child(c) || c->verb == ADMIN_PROFILE_SET;
}

static void log_command(const struct pending *p, const struct admin_answer *a)
{
    if (admin_command_writes(p->command))
        LOG(a->code != NULL ? LOG_WARN : LOG_INFO, "admin", LOG_S("handler", p->req->route->name),
            LOG_S("id", is_child(p->command) ? "-" : p->command->id),
            LOG_S("actor", p->command->actor), LOG_N("status", a->status),
            LOG_S("request_id", p->req->request_id));
}

static void count_message(const struct pending *p)
{
    const struct admin_command *c = p->command;
    unsigned loop = loop_index(p->loop);

    if (c->verb != ADMIN_SEND || c->job.result != TEDDY_OK)
        return;
    metric_add(loop, METRIC_DOWNLINKS_QUEUED, 1);
    metric_add(loop, METRIC_DOWNLINKS_EXPIRED, c->gone);
}

static void answer_as_usual(const struct pending *p, const struct admin_answer *a)
{
    char *text;

    if (a->code != NULL)
        admin_refused(p->req, a->code);
    text = admin_answer_text(a, p->req->request_id);
    if (text == NULL) {
        http_problem(p->req, 500, "internal", "Out of memory.");
    } else {
        http_set_field(p->req, "Cache-Control", "no-store");
        if (a->status == 503)
            http_set_field(p->req, "Retry-After", "1");
        http_respond(p->req, a->status,
                     a->code != NULL ? "application/problem+json" : "application/json", text,
                     strlen(text));
        wipe(text, strlen(text));
        free(text);
    }
}

static void answer(struct loop *loop, struct loop_task *task)
{
    struct pending *p = (struct pending *)task;
    struct admin_answer a;

    (void)loop;
    admin_command_answer(p->command, &a);
    log_command(p, &a);
    count_message(p);
    if (p->then != NULL && a.code == NULL)
        p->then(p->req, p->command);
    else
        answer_as_usual(p, &a);
    admin_answer_fini(&a);
    admin_command_free(p->command);
    free(p);
}

static void visit(struct loop *loop, struct loop_task *task);

/* To the next loop that knows something, and then home. */
static void go_on(struct pending *p)
{
    const struct admin_context *ctx = p->context;

    while (p->at < ctx->loop_count && !fleet_wants(p->command, p->at, ctx->loop_count))
        p->at++;
    p->task.run = p->at < ctx->loop_count ? visit : answer;
    loop_post(p->at < ctx->loop_count ? ctx->loops[p->at] : p->loop, &p->task);
}

static void visit(struct loop *loop, struct loop_task *task)
{
    struct pending *p = (struct pending *)task;
    unsigned i = p->at++;

    (void)loop;
    fleet_visit(p->command, p->context->hubs[i], i, p->context->loop_count);
    go_on(p);
}

/* In the order of the commits. */
static void wake_device(const struct pending *p)
{
    const struct admin_command *c = p->command;

    struct hub *hub = p->context->hubs[hub_index(c->id, p->context->loop_count)];

    if (c->verb == ADMIN_SEND && c->job.result == TEDDY_OK)
        hub_post_downlink(hub, c->id);
    if (c->verb == ADMIN_PROCESSOR && c->job.result == TEDDY_OK)
        hub_post_own(hub, c->id);
}

static int submit(const struct pending *p)
{
    struct store *store = p->context->store;
    struct store_job *job = &p->command->job;

    return admin_command_writes(p->command) ? store_write(store, job) : store_read(store, job);
}

static void done_on_store(struct store_job *job)
{
    struct pending *p = ((struct admin_command *)job)->owner;

    if (admin_command_more(p->command)) {
        int rc = submit(p);
        if (rc == TEDDY_OK)
            return; /* perhaps it is done already, and gone */
        job->result = rc;
    }
    close_concerned(p);
    wake_device(p);
    if (job->result == TEDDY_OK && p->command->talk != NULL && p->context->minds != NULL &&
        admin_command_writes(p->command))
        minds_changed(p->context->minds);
    if (job->result == TEDDY_OK && p->command->tokens != NULL && admin_command_writes(p->command))
        admin_tokens_take(p->context->tokens, p->command->tokens);
    go_on(p);
}

void admin_submit(struct http_request *req, struct admin_command *command)
{
    admin_submit_then(req, command, NULL);
}

void admin_submit_then(struct http_request *req, struct admin_command *command,
                       void (*then)(struct http_request *req, const struct admin_command *c))
{
    const struct admin_context *ctx = admin_context_of(req);
    struct pending *p = command != NULL ? calloc(1, sizeof *p) : NULL;

    if (p == NULL) {
        admin_command_free(command);
        http_problem(req, 500, "internal", "Out of memory; nothing was changed.");
        return;
    }
    *p = (struct pending){.task = {.run = answer},
                          .loop = req->loop,
                          .req = req,
                          .context = ctx,
                          .command = command,
                          .then = then};
    command->owner = p;
    (void)snprintf(command->actor, sizeof command->actor, "%s", req->actor);
    command->job.done = done_on_store;
    if (submit(p) == TEDDY_OK)
        return;
    admin_command_free(command);
    free(p);
    http_problem_retry(req, 503, "store_unavailable",
                       "The store cannot do this now; nothing was changed.", 1);
}

bool admin_path_id(struct http_request *req, char out[LIMIT_ID_LEN + 1])
{
    struct span id = req->params[0];

    if (!id_ok(id)) {
        http_problem(req, 422, "bad_id", "An id has 1 to 64 of the characters A-Z a-z 0-9 _ -.");
        return false;
    }
    memcpy(out, id.p, id.len);
    out[id.len] = '\0';
    return true;
}

bool admin_query_id(struct http_request *req, const char *name, char out[LIMIT_ID_LEN + 1])
{
    char detail[96];
    size_t len = 0;
    int rc = http_query(req, name, out, LIMIT_ID_LEN + 1, &len);

    if (rc == TEDDY_ENOTFOUND)
        out[0] = '\0';
    if (rc == TEDDY_ENOTFOUND || (rc == TEDDY_OK && id_ok((struct span){out, len})))
        return true;
    (void)snprintf(detail, sizeof detail, "%s has 1 to 64 of A-Z a-z 0-9 _ -, and is given once.",
                   name);
    http_problem(req, 422, "bad_query", detail);
    return false;
}

struct admin_command *admin_of_path(struct http_request *req, enum admin_verb verb)
{
    char id[LIMIT_ID_LEN + 1];
    struct admin_command *c;

    if (!admin_gate(req) || !admin_path_id(req, id))
        return NULL;
    c = admin_command_new(verb, id, (struct span){"", 0});
    if (c == NULL)
        http_problem(req, 500, "internal", "Out of memory; nothing was changed.");
    return c;
}

void admin_on_device(struct http_request *req, enum admin_verb verb)
{
    struct admin_command *c = admin_of_path(req, verb);

    if (c != NULL)
        admin_submit(req, c);
}

void admin_device_remove(struct http_request *req)
{
    admin_on_device(req, ADMIN_REMOVE);
}

void admin_device_enable(struct http_request *req)
{
    admin_on_device(req, ADMIN_ENABLE);
}

void admin_device_disable(struct http_request *req)
{
    admin_on_device(req, ADMIN_DISABLE);
}

void admin_device_rotate_secret(struct http_request *req)
{
    admin_on_device(req, ADMIN_ROTATE);
}

void admin_device_release(struct http_request *req)
{
    admin_on_device(req, ADMIN_RELEASE);
}

void admin_device_release_rotate(struct http_request *req)
{
    admin_on_device(req, ADMIN_RELEASE_ROTATE);
}

void admin_device_revoke(struct http_request *req)
{
    admin_on_device(req, ADMIN_REVOKE);
}

void admin_device_messages(struct http_request *req)
{
    admin_on_device(req, ADMIN_MESSAGES);
}

void admin_device_clear(struct http_request *req)
{
    admin_on_device(req, ADMIN_CLEAR);
}

void admin_device_send(struct http_request *req)
{
    char id[LIMIT_ID_LEN + 1], why[160];
    struct admin_command *c;
    bool bad_json = false;

    if (!admin_gate(req) || !admin_path_id(req, id))
        return;
    c = admin_command_new(ADMIN_SEND, id, (struct span){"", 0});
    if (c == NULL || admin_command_message(c, req->body, &admin_context_of(req)->downlinks,
                                           &bad_json, why, sizeof why)) {
        admin_submit(req, c);
        return;
    }
    admin_command_free(c);
    http_problem(req, bad_json ? 400 : 422, bad_json ? "bad_json" : "bad_members", why);
}

static void on_master_key(struct http_request *req, enum admin_verb verb)
{
    struct admin_command *c;

    if (!admin_gate(req))
        return;
    c = admin_command_new(verb, NULL, (struct span){"", 0});
    if (c != NULL)
        c->master = admin_context_of(req)->master;
    admin_submit(req, c);
}

void admin_master_key_status(struct http_request *req)
{
    on_master_key(req, ADMIN_MASTER_STATUS);
}

void admin_master_key_rotate(struct http_request *req)
{
    on_master_key(req, ADMIN_MASTER_ROTATE);
}

void admin_device_import(struct http_request *req)
{
    char prefix[LIMIT_ID_LEN + 1];

    if (admin_gate(req) && admin_query_id(req, "prefix", prefix))
        admin_submit(req, admin_command_new(ADMIN_IMPORT, prefix, req->body));
}

/* {"device_id": …, "oob_secret"?: "64 hex digits"} into a command. What is wrong, or NULL. */
static const char *read_add(json_t *body, struct admin_command *c)
{
    const char *id = json_string_value(json_object_get(body, "device_id"));
    json_t *secret = json_object_get(body, "oob_secret");
    const char *name;
    json_t *value;

    json_object_foreach(
        body, name, value) if (strcmp(name, "device_id") != 0 &&
                               strcmp(name, "oob_secret") !=
                                   0) return "Members are device_id and, optionally, oob_secret.";
    if (id == NULL || !id_ok(span_of(id)))
        return "device_id has 1 to 64 of the characters A-Z a-z 0-9 _ -.";
    (void)snprintf(c->id, sizeof c->id, "%s", id);
    if (secret == NULL)
        return NULL;
    if (!json_is_string(secret) ||
        hex_decode((struct span){json_string_value(secret), json_string_length(secret)}, c->secret,
                   sizeof c->secret) != TEDDY_OK)
        return "oob_secret is 64 hex digits.";
    return NULL;
}

/* jansson keeps a copy of the secret; it must not stay in the heap. */
static void free_add(json_t *body)
{
    json_t *secret = json_object_get(body, "oob_secret");

    if (json_is_string(secret))
        wipe((char *)(uintptr_t)json_string_value(secret), json_string_length(secret));
    json_decref(body);
}

void admin_device_add(struct http_request *req)
{
    struct admin_command *c;
    json_t *body;
    const char *wrong;

    if (!admin_gate(req))
        return;
    body = json_loadb(req->body.p, req->body.len, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(body)) {
        json_decref(body);
        http_problem(req, 400, "bad_json", "The body is a JSON object without duplicate members.");
        return;
    }
    c = admin_command_new(ADMIN_ADD, NULL, (struct span){"", 0});
    wrong = c != NULL ? read_add(body, c) : NULL;
    free_add(body);
    if (wrong == NULL) {
        admin_submit(req, c);
        return;
    }
    admin_command_free(c);
    http_problem(req, 422, "bad_members", wrong);
}
