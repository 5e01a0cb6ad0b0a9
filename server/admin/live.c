/* The handlers about the running server: its sessions, routes, state and drain. Sessions belong to
 * their loops, so a request goes round: it visits each loop in turn, collects there, and is
 * answered on its own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/internal.h"
#include "admin/time_json.h"
#include "admin/trail.h"
#include "ops/log.h"

#define SESSIONS_DEFAULT 1000u
#define SESSIONS_MAX     10000u

struct round {
    struct loop_task task;
    struct loop *home;
    struct http_request *req;
    const struct admin_context *context;
    unsigned at; /* the loop being visited; loop_count: back home */
    unsigned sessions;
    bool draining;
    json_t *list; /* NULL: only counted */
    unsigned limit;
    char prefix[LIMIT_ID_LEN + 1];   /* of the devices that are shown and counted */
    char child_id[LIMIT_ID_LEN + 1]; /* the same; "": of every child */
    bool failed;
    void (*finish)(struct round *r);
};

static bool each_session(void *arg, const struct session_info *info)
{
    struct round *r = arg;
    bool counts = r->prefix[0] != '\0' || r->child_id[0] != '\0';
    char id[24];

    if (strncmp(info->device_id, r->prefix, strlen(r->prefix)) != 0 ||
        (r->child_id[0] != '\0' && strcmp(info->child_id, r->child_id) != 0))
        return true;
    r->sessions += counts;
    if (json_array_size(r->list) >= r->limit)
        return counts;
    (void)snprintf(id, sizeof id, "%016llx", (unsigned long long)info->id);
    json_t *row =
        json_pack("{s:s, s:s, s:s, s:o, s:I, s:b, s:s}", "id", id, "device_id", info->device_id,
                  "child_id", info->child_id, "since", time_or_null(info->since_s), "utterances",
                  (json_int_t)info->seq, "hello", info->hello, "address", info->address);
    r->failed |= json_array_append_new(r->list, row) != 0;
    return !r->failed;
}

static void go_on(struct round *r)
{
    bool back = r->at == r->context->loop_count;

    loop_post(back ? r->home : r->context->loops[r->at], &r->task);
}

static void visit(struct loop *loop, struct loop_task *task)
{
    struct round *r = (struct round *)task;
    const char *word;
    uint16_t code;

    (void)loop;
    if (r->at == r->context->loop_count) {
        r->finish(r);
        json_decref(r->list);
        free(r);
        return;
    }
    struct hub *hub = r->context->hubs[r->at++];
    if (r->prefix[0] == '\0' && r->child_id[0] == '\0')
        r->sessions += hub_sessions(hub);
    r->draining |= hub_draining(hub, &code, &word);
    if (r->list != NULL && !r->failed)
        hub_each(hub, each_session, r);
    go_on(r);
}

/* prefix and child_id "": all sessions. */
static void start_round(struct http_request *req, json_t *list, unsigned limit, const char *prefix,
                        const char *child_id, void (*finish)(struct round *r))
{
    struct round *r = calloc(1, sizeof *r);

    if (r == NULL) {
        json_decref(list);
        http_problem(req, 500, "internal", "Out of memory.");
        return;
    }
    *r = (struct round){.task = {.run = visit},
                        .home = req->loop,
                        .req = req,
                        .context = admin_context_of(req),
                        .list = list,
                        .limit = limit,
                        .finish = finish};
    (void)snprintf(r->prefix, sizeof r->prefix, "%s", prefix);
    (void)snprintf(r->child_id, sizeof r->child_id, "%s", child_id);
    go_on(r);
}

static void finish_sessions(struct round *r)
{
    json_t *answer =
        r->failed ? NULL
                  : json_pack("{s:O, s:I}", "sessions", r->list, "total", (json_int_t)r->sessions);

    admin_respond_json(r->req, 200, answer);
}

void admin_session_list(struct http_request *req)
{
    char prefix[LIMIT_ID_LEN + 1], child_id[LIMIT_ID_LEN + 1];
    unsigned limit;
    json_t *list;

    if (!admin_gate_list(req, prefix) || !admin_query_id(req, "child_id", child_id) ||
        !admin_query_limit(req, SESSIONS_DEFAULT, SESSIONS_MAX, &limit))
        return;
    list = json_array();
    if (list == NULL)
        http_problem(req, 500, "internal", "Out of memory.");
    else
        start_round(req, list, limit, prefix, child_id, finish_sessions);
}

static void finish_status(struct round *r)
{
    const struct admin_live live = {r->sessions, r->draining};

    admin_respond_json(r->req, 200, admin_status_json(r->context, &live));
}

void admin_status(struct http_request *req)
{
    if (admin_gate(req))
        start_round(req, NULL, 0, "", "", finish_status);
}

void admin_route_list(struct http_request *req)
{
    json_t *list;

    if (!admin_gate(req))
        return;
    list = json_array();
    for (size_t i = 0; i < req->plane->route_count; i++) {
        const struct route *r = &req->plane->routes[i];
        json_t *row = json_pack("{s:s, s:s, s:s, s:s, s:s}", "method", r->method, "pattern",
                                r->pattern, "who", route_who_name(r->who), "handler", r->name,
                                "role", route_role_name(r->role));
        if (json_array_append_new(list, row) != 0) {
            json_decref(list);
            list = NULL;
            break;
        }
    }
    admin_respond_json(req, 200, list != NULL ? json_pack("{s:o}", "routes", list) : NULL);
}

void admin_drain(struct http_request *req)
{
    const struct admin_context *ctx = admin_context_of(req);

    if (!admin_gate(req))
        return;
    LOG(LOG_INFO, "admin", LOG_S("handler", req->route->name), LOG_S("actor", req->actor),
        LOG_S("request_id", req->request_id));
    admin_trail_post(ctx->store, "server.drained", req->actor);
    admin_respond_json(req, 202, json_pack("{s:b}", "draining", 1));
    ctx->drain(ctx->drain_context);
}
