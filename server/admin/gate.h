/* For handlers of the administration, also of rooms above this one: who may call, and how they
 * answer. */
#ifndef ADMIN_GATE_H
#define ADMIN_GATE_H

#include <jansson.h>

#include "admin/admin.h"

static inline const struct admin_context *admin_context_of(const struct http_request *req)
{
    return req->plane->admin;
}

/* True when the caller may use the request's route: by the socket the server's own user or root,
 * who are owners, over HTTPS who bears an admin token of the role that the route needs, and for
 * the device in its path when the token is for some devices only. req->actor then says who it is.
 * Otherwise the request has been answered (400, 401, 403, 429). */
bool admin_gate(struct http_request *req);

/* Who came, as far as it was found out. */
struct admin_caller {
    enum route_role role;
    char prefix[LIMIT_ID_LEN + 1];      /* of the devices it may look after; "" for all */
    char token[ADMIN_TOKEN_ID_LEN + 1]; /* "" on the socket */
    uint64_t session;                   /* of the console, by whose cookie; 0: by none */
};

/* True when the caller may use the request's route, whatever its prefix: the handler shows no more
 * than that allows. req->actor then says who it is. Otherwise the request has been answered (400,
 * 401, 403, 429). */
bool admin_gate_caller(struct http_request *req, struct admin_caller *who);
/* Refuses who shows no token, or a wrong one, and counts it against the address: over the limit
 * 429. */
void admin_refuse_token(struct http_request *req, int status, const char *code, const char *detail);
/* The token of this id, or of this text, when it is in force: *out, and its use is written down. */
enum admin_token_verdict admin_token_of_id(const struct http_request *req, const char *id,
                                           struct admin_token_row *out);
enum admin_token_verdict admin_token_of_text(const struct http_request *req, struct span text,
                                             struct admin_token_row *out);
/* Whether the token of this id is in force. Threads: any. */
bool admin_token_in_force(const struct admin_context *a, const char *id);
/* Answers with the object, whose reference is taken; NULL: 500. */
void admin_respond_json(struct http_request *req, int status, json_t *json);
/* Queues the command, which it takes over; once it is done and has succeeded then answers the
 * request, otherwise it has been answered. command NULL: out of memory. */
void admin_submit_then(struct http_request *req, struct admin_command *command,
                       void (*then)(struct http_request *req, const struct admin_command *c));

#endif
