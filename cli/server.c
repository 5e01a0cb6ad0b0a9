/* What is asked of the running server: sessions, routes, the master key, drain. */
#include <stdio.h>

#include "api/routes.h"
#include "cli/progress.h"
#include "cli/table.h"
#include "proto/endpoints.h"

int run_sessions(struct ctl *ctl, const char *arg)
{
    static const struct print_column columns[] = {
        {"DEVICE", "device_id"}, {"CHILD", "child_id"},  {"SINCE", "since"}, {"SAID", "utterances"},
        {"HELLO", "hello"},      {"ADDRESS", "address"}, {"SESSION", "id"},
    };
    json_t *reply = NULL;
    int rc = link_server(ctl, "GET", ENDPOINT_ADMIN "/sessions?limit=10000",
                         "start it: systemctl start teddyd, or teddyd --data DIR", &reply);

    (void)arg;
    if (rc == CTL_DONE && ctl->json) {
        rc = print_json(reply);
    } else if (rc == CTL_DONE) {
        const json_t *rows = json_object_get(reply, "sessions");
        long long total = json_integer_value(json_object_get(reply, "total"));
        long long shown = (long long)json_array_size(rows);
        rc = print_rows(rows, columns, sizeof columns / sizeof columns[0]);
        if (total > shown)
            (void)fprintf(stderr, "teddyctl: and %lld more\n", total - shown);
    }
    json_decref(reply);
    return rc;
}

/* The table that this program was built with. */
static json_t *linked_routes(void)
{
    json_t *rows = json_array();

    for (size_t i = 0; i < teddy_routes_count; i++) {
        const struct route *r = &teddy_routes[i];
        (void)json_array_append_new(rows, json_pack("{s:s, s:s, s:s, s:s, s:s}", "method",
                                                    r->method, "pattern", r->pattern, "who",
                                                    route_who_name(r->who), "handler", r->name,
                                                    "role", route_role_name(r->role)));
    }
    return json_pack("{s:o}", "routes", rows);
}

int run_routes(struct ctl *ctl, const char *arg)
{
    static const struct print_column columns[] = {{"METHOD", "method"},
                                                  {"PATTERN", "pattern"},
                                                  {"WHO", "who"},
                                                  {"HANDLER", "handler"},
                                                  {"ROLE", "role"}};
    json_t *reply = NULL;
    int rc = link_server(ctl, "GET", ENDPOINT_ADMIN "/routes", NULL, &reply);

    (void)arg;
    if (rc == CTL_DONE && reply == NULL)
        reply = linked_routes();
    if (rc == CTL_DONE && ctl->json)
        rc = print_json(reply);
    else if (rc == CTL_DONE)
        rc = print_rows(json_object_get(reply, "routes"), columns,
                        sizeof columns / sizeof columns[0]);
    json_decref(reply);
    return rc;
}

int run_master_key(struct ctl *ctl, const char *arg)
{
    struct progress progress = progress_begin(ctl, "");
    struct ctl_call call = {.verb = ctl->command->admin};
    json_t *reply = NULL;
    int rc;

    (void)arg;
    if (call.verb == ADMIN_MASTER_ROTATE)
        progress_busy(&progress, "sealing anew");
    rc = link_call(ctl, &call, "", &reply);
    progress_end(&progress);
    if (rc == CTL_DONE && ctl->json)
        rc = print_json(reply);
    else if (rc == CTL_DONE)
        rc = print_object(reply);
    json_decref(reply);
    return rc;
}

int run_drain(struct ctl *ctl, const char *arg)
{
    json_t *reply = NULL;
    int rc = link_server(ctl, "POST", ENDPOINT_ADMIN "/drain", "there is nothing to drain", &reply);

    (void)arg;
    if (rc == CTL_DONE && ctl->json)
        rc = print_json(reply);
    else if (rc == CTL_DONE)
        (void)printf("draining\n");
    json_decref(reply);
    return rc;
}
