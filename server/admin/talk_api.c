/* The handlers about profiles, reports and processors. */
#include "admin/internal.h"
#include "admin/talk.h"
#include "process/process.h"
#include "proto/text.h"

/* False: the request has been answered, and the command is gone. */
static bool read_body(struct http_request *req, struct admin_command *c)
{
    char why[192];
    bool bad_json;

    if (talk_read(c, req->body, &bad_json, why, sizeof why))
        return true;
    admin_command_free(c);
    http_problem(req, bad_json ? 400 : 422, bad_json ? "bad_json" : "bad_members", why);
    return false;
}

void admin_child_set(struct http_request *req)
{
    struct admin_command *c = admin_of_path(req, ADMIN_PROFILE_SET);

    if (c != NULL && read_body(req, c))
        admin_submit(req, c);
}

void admin_child_show(struct http_request *req)
{
    struct admin_command *c = admin_of_path(req, ADMIN_PROFILE_SHOW);

    if (c == NULL)
        return;
    if (admin_query_id(req, "device_id", c->talk->device_id))
        admin_submit(req, c);
    else
        admin_command_free(c);
}

void admin_child_report(struct http_request *req)
{
    struct admin_command *c = admin_of_path(req, ADMIN_REPORT);
    char days[8];
    size_t len;

    if (c == NULL)
        return;
    int rc = http_query(req, "days", days, sizeof days, &len);
    uint64_t n = TALK_DAYS_DEFAULT;
    if (rc == TEDDY_OK)
        rc = u64_parse((struct span){days, len}, &n);
    if (!admin_query_id(req, "device_id", c->talk->device_id)) {
        admin_command_free(c);
    } else if ((rc != TEDDY_OK && rc != TEDDY_ENOTFOUND) || n < 1 || n > TALK_DAYS_MAX) {
        admin_command_free(c);
        http_problem(req, 422, "bad_query", "days is a whole number from 1 to 400.");
    } else {
        c->talk->days = (unsigned)n;
        admin_submit(req, c);
    }
}

void admin_device_processor(struct http_request *req)
{
    const struct processes *all = admin_context_of(req)->processes;
    struct admin_command *c = admin_of_path(req, ADMIN_PROCESSOR);

    if (c == NULL || !read_body(req, c))
        return;
    if (c->talk->processor[0] == '\0' || processes_find(all, c->talk->processor) != NULL) {
        admin_submit(req, c);
        return;
    }
    admin_command_free(c);
    http_problem(req, 422, "unknown_processor",
                 "The server's configuration describes no processor of this name.");
}
