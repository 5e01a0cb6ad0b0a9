/* The handlers about children. */
#include <string.h>

#include "admin/child.h"
#include "admin/internal.h"
#include "proto/ids.h"

/* The child in the path, as a command; NULL: the request has been answered. */
static struct admin_command *of_child(struct http_request *req, enum admin_verb verb)
{
    struct span id = req->params[0];
    char child_id[LIMIT_ID_LEN + 1];
    struct admin_command *c;

    if (!admin_gate(req))
        return NULL;
    if (!id_ok(id)) {
        http_problem(req, 422, "bad_id", "An id has 1 to 64 of the characters A-Z a-z 0-9 _ -.");
        return NULL;
    }
    memcpy(child_id, id.p, id.len);
    child_id[id.len] = '\0';
    c = admin_command_new(verb, child_id, (struct span){"", 0});
    if (c == NULL)
        http_problem(req, 500, "internal", "Out of memory; nothing was changed.");
    else
        c->child->key = admin_context_of(req)->audit_key;
    return c;
}

void admin_child_forget(struct http_request *req)
{
    struct admin_command *c = of_child(req, ADMIN_FORGET);

    if (c != NULL)
        admin_submit(req, c);
}

void admin_child_revoke(struct http_request *req)
{
    struct admin_command *c = of_child(req, ADMIN_CHILD_REVOKE);

    if (c != NULL)
        admin_submit(req, c);
}

void admin_child_export(struct http_request *req)
{
    struct admin_command *c = of_child(req, ADMIN_CHILD_EXPORT);

    if (c == NULL)
        return;
    if (!admin_query_id(req, "after", c->child->after)) {
        admin_command_free(c);
    } else if (!child_after_ok(c->child->after)) {
        admin_command_free(c);
        http_problem(req, 422, "bad_query", "after is the next of the page before.");
    } else {
        admin_submit(req, c);
    }
}
