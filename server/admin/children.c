/* The handlers about children. */
#include "admin/child.h"
#include "admin/internal.h"

/* The child in the path, as a command; NULL: the request has been answered. */
static struct admin_command *of_child(struct http_request *req, enum admin_verb verb)
{
    const struct audit_key *key = admin_context_of(req)->audit_key;
    struct admin_command *c = admin_of_path(req, verb);

    if (c != NULL)
        c->child->key = key;
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
