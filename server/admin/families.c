/* The handlers of token families. */
#include <string.h>

#include "admin/internal.h"
#include "proto/text.h"

void admin_device_families(struct http_request *req)
{
    admin_on_device(req, ADMIN_FAMILIES);
}

void admin_family_revoke(struct http_request *req)
{
    uint8_t sid[STORE_JTI_LEN];
    struct admin_command *c;
    char id[LIMIT_ID_LEN + 1];

    if (!admin_gate(req) || !admin_path_id(req, id))
        return;
    if (hex_decode(req->params[1], sid, sizeof sid) != TEDDY_OK) {
        http_problem(req, 422, "bad_id", "A sid is 32 hex digits, as the token has it.");
        return;
    }
    c = admin_command_new(ADMIN_FAMILY_REVOKE, id, (struct span){"", 0});
    if (c != NULL)
        memcpy(c->sid, sid, sizeof c->sid);
    admin_submit(req, c);
}
