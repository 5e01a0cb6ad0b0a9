/* Private to admin: who may call, and answering with JSON. */
#ifndef ADMIN_INTERNAL_H
#define ADMIN_INTERNAL_H

#include "admin/gate.h"

/* The same for a list that shows only the devices whose id begins with prefix ("": all): what a
 * token for some devices may use too. */
bool admin_gate_list(struct http_request *req, char prefix[LIMIT_ID_LEN + 1]);
/* What the one Authorization of the request bears. *out is the token's row unless it is bad. */
enum admin_token_verdict admin_bearer(const struct http_request *req, struct admin_token_row *out);
/* True when somebody put a token where it would be logged. */
bool admin_bearer_in_query(const struct http_request *req);
/* Queues the command for the store and answers once it is done; takes it over. NULL: out of memory.
 */
void admin_submit(struct http_request *req, struct admin_command *command);
/* fleet_api.c: whether that loop's sessions know something of what the command is about, which is
 * done; and what they know. On that loop. */
bool fleet_wants(const struct admin_command *command, unsigned loop, unsigned loops);
void fleet_visit(struct admin_command *command, struct hub *hub, unsigned loop, unsigned loops);
/* The id in the path, checked; false: the request has been answered. */
bool admin_path_id(struct http_request *req, char out[LIMIT_ID_LEN + 1]);
/* Gate, and the id in the path as a command; NULL: the request has been answered, and is gone. */
struct admin_command *admin_of_path(struct http_request *req, enum admin_verb verb);
/* What needs only the id in the path: gate, command, answer. */
void admin_on_device(struct http_request *req, enum admin_verb verb);
/* status.c: what a round of the loops has found, and the answer of /status. */
struct admin_live {
    unsigned sessions;
    bool draining;
};
json_t *admin_status_json(const struct admin_context *ctx, const struct admin_live *live);
/* Answers with the object, whose reference is taken; NULL: 500. */
void admin_respond_json(struct http_request *req, int status, json_t *json);
/* The query's parameter of this name, whose form is an id's, or "" when it is not given; false: the
 * request has been answered (422). */
bool admin_query_id(struct http_request *req, const char *name, char out[LIMIT_ID_LEN + 1]);
/* A whole number of the query between 1 and max, or the default; false: the request has been
 * answered (422). */
bool admin_query_limit(struct http_request *req, unsigned def, unsigned max, unsigned *out);

#endif
