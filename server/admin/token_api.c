/* The handlers of admin tokens. */
#include <string.h>

#include "admin/internal.h"

void admin_token_list(struct http_request *req)
{
    if (admin_gate(req))
        admin_submit(req, admin_command_new(ADMIN_TOKEN_LIST, NULL, (struct span){"", 0}));
}

void admin_token_create(struct http_request *req)
{
    struct admin_command *c;
    bool bad_json = false;
    char why[160];

    if (!admin_gate(req))
        return;
    c = admin_command_new(ADMIN_TOKEN_CREATE, NULL, (struct span){"", 0});
    if (c == NULL || admin_token_read(c, req->body, &bad_json, why, sizeof why)) {
        admin_submit(req, c);
        return;
    }
    admin_command_free(c);
    http_problem(req, bad_json ? 400 : 422, bad_json ? "bad_json" : "bad_members", why);
}

void admin_token_revoke(struct http_request *req)
{
    char id[ADMIN_TOKEN_ID_LEN + 1];

    if (!admin_gate(req))
        return;
    if (!admin_token_id_ok(req->params[0])) {
        http_problem(req, 422, "bad_id", "An admin token's id is 8 hex digits in lower case.");
        return;
    }
    memcpy(id, req->params[0].p, ADMIN_TOKEN_ID_LEN);
    id[ADMIN_TOKEN_ID_LEN] = '\0';
    admin_submit(req, admin_command_new(ADMIN_TOKEN_REVOKE, id, (struct span){"", 0}));
}
