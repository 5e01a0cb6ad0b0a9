/* Private to admin: who may call, and answering with JSON. */
#ifndef ADMIN_INTERNAL_H
#define ADMIN_INTERNAL_H

#include <jansson.h>

#include "admin/admin.h"

static inline const struct admin_context *admin_context_of(const struct http_request *req)
{
    return req->plane->context;
}

/* True when the peer is the server's own user or root, by its socket, or, over HTTPS, bears the
 * admin token; otherwise the request has been answered (403, 401, 429). */
bool admin_gate(struct http_request *req);
/* True when the request has exactly one Authorization, a Bearer of the token. */
bool admin_bearer_ok(const struct admin_context *a, const struct http_request *req);
/* Answers with the object, whose reference is taken; NULL: 500. */
void admin_respond_json(struct http_request *req, int status, json_t *json);
/* Queues the command, which it takes over, and answers once it is done; NULL: out of memory. */
void admin_submit(struct http_request *req, struct admin_command *command);
/* The query's parameter of this name, whose form is an id's, or "" when it is not given; false: the
 * request has been answered (422). */
bool admin_query_id(struct http_request *req, const char *name, char out[LIMIT_ID_LEN + 1]);
/* A whole number of the query between 1 and max, or the default; false: the request has been
 * answered (422). */
bool admin_query_limit(struct http_request *req, unsigned def, unsigned max, unsigned *out);

#endif
