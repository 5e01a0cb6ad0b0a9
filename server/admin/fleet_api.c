/* The handlers that show the toys. Who is online the sessions know, which belong to their loops: a
 * page of those that are begins with a round of the loops, and any other answer ends with one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/fleet.h"
#include "admin/internal.h"
#include "proto/ids.h"
#include "proto/text.h"

static struct admin_command *fleet_command(enum admin_verb verb, const char *id, unsigned limit,
                                           const char *prefix)
{
    struct admin_command *c = admin_command_new(verb, id, (struct span){"", 0});

    if (c != NULL) {
        c->limit = limit;
        (void)snprintf(c->prefix, sizeof c->prefix, "%s", prefix);
    }
    return c;
}

/* ---- Behind the store: who of them is online ---- */

bool fleet_wants(const struct admin_command *c, unsigned loop, unsigned loops)
{
    if (c->fleet == NULL || c->job.result != TEDDY_OK)
        return false;
    if (c->verb == ADMIN_SHOW)
        return hub_index(c->id, loops) == loop;
    return c->verb == ADMIN_LIST && c->fleet->online != FLEET_ONLINE && c->fleet->count > 0;
}

void fleet_visit(struct admin_command *c, struct hub *hub, unsigned loop, unsigned loops)
{
    struct fleet_work *w = c->fleet;
    struct session_info info;

    for (unsigned i = 0; i < w->count && c->verb == ADMIN_LIST; i++) {
        const char *id = w->items[i].row.device_id;
        if (hub_index(id, loops) == loop)
            w->items[i].online = hub_device(hub, id, &info);
    }
    if (c->verb != ADMIN_SHOW || !hub_device(hub, c->id, &info))
        return;
    w->items[0].online = true;
    w->live = (struct fleet_live){.online = true,
                                  .hello = info.hello,
                                  .id = info.id,
                                  .since_s = info.since_s,
                                  .utterances = info.seq,
                                  .received = info.received,
                                  .sent = info.sent};
    memcpy(w->live.address, info.address, sizeof w->live.address);
}

/* ---- Before the store: the first of those that are online ---- */

struct collecting {
    struct loop_task task;
    struct http_request *req;
    const struct admin_context *context;
    struct admin_command *command;
    struct loop *home;
    unsigned at;
};

/* The largest first: what is larger still is none of the first FLEET_ONLINE_MAX. */
static void sift_down(char (*ids)[LIMIT_ID_LEN + 1], unsigned count, unsigned at)
{
    char moved[LIMIT_ID_LEN + 1];

    memcpy(moved, ids[at], sizeof moved);
    for (unsigned child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && strcmp(ids[child + 1], ids[child]) > 0)
            child++;
        if (strcmp(moved, ids[child]) >= 0)
            break;
        memcpy(ids[at], ids[child], sizeof ids[at]);
    }
    memcpy(ids[at], moved, sizeof ids[at]);
}

static void keep_id(struct fleet_work *w, const char *id)
{
    size_t len = strlen(id) + 1;

    if (w->id_count < FLEET_ONLINE_MAX) {
        memcpy(w->ids[w->id_count++], id, len);
        if (w->id_count == FLEET_ONLINE_MAX)
            for (unsigned i = FLEET_ONLINE_MAX / 2; i-- > 0;)
                sift_down(w->ids, w->id_count, i);
    } else if (strcmp(id, w->ids[0]) < 0) {
        memcpy(w->ids[0], id, len);
        sift_down(w->ids, w->id_count, 0);
    }
}

static bool begins(const char *id, const char *prefix)
{
    return strncmp(id, prefix, strlen(prefix)) == 0;
}

static bool collect(void *arg, const struct session_info *info)
{
    const struct admin_command *c = arg;

    if (begins(info->device_id, c->prefix) && begins(info->device_id, c->fleet->q) &&
        strcmp(info->device_id, c->id) > 0)
        keep_id(c->fleet, info->device_id);
    return true;
}

static int by_id(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void go_round(struct loop *loop, struct loop_task *task)
{
    struct collecting *g = CONTAINER(task, struct collecting, task);
    struct fleet_work *w = g->command->fleet;

    (void)loop;
    if (g->at < g->context->loop_count) {
        hub_each(g->context->hubs[g->at++], collect, g->command);
        loop_post(g->at < g->context->loop_count ? g->context->loops[g->at] : g->home, task);
        return;
    }
    qsort(w->ids, w->id_count, sizeof *w->ids, by_id);
    admin_submit(g->req, g->command);
    free(g);
}

/* Takes the command over. */
static void start_round(struct http_request *req, struct admin_command *c)
{
    struct collecting *g = calloc(1, sizeof *g);

    c->fleet->ids = calloc(FLEET_ONLINE_MAX, sizeof *c->fleet->ids);
    if (g == NULL || c->fleet->ids == NULL) {
        free(g);
        admin_command_free(c);
        http_problem(req, 500, "internal", "Out of memory.");
        return;
    }
    *g = (struct collecting){.task = {.run = go_round},
                             .req = req,
                             .context = admin_context_of(req),
                             .command = c,
                             .home = req->loop};
    loop_post(g->context->loops[0], &g->task);
}

/* ---- The queries ---- */

static bool bad_query(struct http_request *req, const char *detail)
{
    http_problem(req, 422, "bad_query", detail);
    return false;
}

/* A parameter that is given once or not at all: "" then. */
static bool query_text(struct http_request *req, const char *name, char *out, size_t cap)
{
    size_t len = 0;
    int rc = http_query(req, name, out, cap, &len);

    if (rc == TEDDY_ENOTFOUND)
        out[0] = '\0';
    return rc == TEDDY_ENOTFOUND || (rc == TEDDY_OK && len > 0 && strlen(out) == len);
}

/* Of the printable ASCII characters, of which ids and versions of firmware are. */
static bool part_ok(const char *text)
{
    for (; *text != '\0'; text++)
        if (*text < 0x20 || *text > 0x7e)
            return false;
    return true;
}

static bool read_filter(struct http_request *req, struct fleet_work *w)
{
    char state[16], online[8];

    if (!query_text(req, "state", state, sizeof state) ||
        (state[0] != '\0' && !fleet_state_parse(state, &w->state)))
        return bad_query(req, "state is claimed, lapsed, unclaimed or disabled, given once.");
    if (!query_text(req, "online", online, sizeof online) ||
        (online[0] != '\0' && strcmp(online, "true") != 0 && strcmp(online, "false") != 0))
        return bad_query(req, "online is true or false, given once.");
    w->online = online[0] == '\0' ? FLEET_BOTH : online[0] == 't' ? FLEET_ONLINE : FLEET_OFFLINE;
    if (!query_text(req, "part", w->part, sizeof w->part) || !part_ok(w->part))
        return bad_query(req, "part is 1 to 64 printable characters, given once.");
    return true;
}

void admin_device_list(struct http_request *req)
{
    char after[LIMIT_ID_LEN + 1], prefix[LIMIT_ID_LEN + 1], q[LIMIT_ID_LEN + 1];
    struct admin_command *c;
    unsigned limit;

    if (!admin_gate_list(req, prefix) || !admin_query_id(req, "after", after) ||
        !admin_query_id(req, "q", q) ||
        !admin_query_limit(req, ADMIN_LIST_DEFAULT, ADMIN_LIST_MAX, &limit))
        return;
    c = fleet_command(ADMIN_LIST, after, limit, prefix);
    if (c != NULL && !read_filter(req, c->fleet)) {
        admin_command_free(c);
        return;
    }
    if (c != NULL)
        memcpy(c->fleet->q, q, sizeof q);
    if (c != NULL && c->fleet->online == FLEET_ONLINE)
        start_round(req, c);
    else
        admin_submit(req, c);
}

void admin_device_show(struct http_request *req)
{
    admin_on_device(req, ADMIN_SHOW);
}

void admin_device_sessions(struct http_request *req)
{
    admin_on_device(req, ADMIN_SESSIONS);
}

static bool query_time(struct http_request *req, const char *name, uint64_t *out)
{
    char text[24];
    uint64_t n = 0;

    if (!query_text(req, name, text, sizeof text))
        return false;
    if (text[0] == '\0')
        return true;
    if (u64_parse(span_of(text), &n) != TEDDY_OK || n > INT64_MAX)
        return false;
    *out = n;
    return true;
}

void admin_device_telemetry(struct http_request *req)
{
    char id[LIMIT_ID_LEN + 1];
    struct admin_command *c;
    unsigned limit;

    if (!admin_gate(req) || !admin_path_id(req, id) ||
        !admin_query_limit(req, FLEET_TELEMETRY_DEF, TELEMETRY_ROWS_MAX, &limit))
        return;
    c = fleet_command(ADMIN_TELEMETRY, id, limit, "");
    if (c != NULL &&
        (!query_time(req, "from", &c->fleet->from_s) || !query_time(req, "to", &c->fleet->to_s))) {
        admin_command_free(c);
        (void)bad_query(req, "from and to are seconds since 1970, each given once.");
        return;
    }
    admin_submit(req, c);
}
