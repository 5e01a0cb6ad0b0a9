/* Private to link: the parts of how a command reaches the registry. */
#ifndef CLI_LINK_H
#define CLI_LINK_H

#include "cli/ctl.h"

#define LINK_PATH_MAX  640
#define LINK_NO_SERVER (-1)
#define LINK_JSON_TYPE "Content-Type: application/json"

struct link_request {
    const char *method, *path, *type; /* type NULL: no body */
    const char *body;
    size_t len;
};

/* link_request.c: the request of a call; body is room for the JSON of ADMIN_ADD. */
void link_request_write(const struct ctl_call *call, struct link_request *r,
                        char path[LINK_PATH_MAX], char body[256]);

/* On the socket, as in the directory, root and the directory's owner are let in, and nobody else:
 * no group is. Says so behind err; CTL_FAILED. */
int link_not_ours(const struct ctl *ctl, const char *err);

/* link_ask.c. CTL_DONE with the server's answer, LINK_NO_SERVER, or CTL_FAILED as of link_call. */
int link_ask(struct ctl *ctl, const struct link_request *r, const char *file, json_t **reply);
/* The server's or our own answer as JSON; file as of link_call. */
int link_take_reply(const char *text, size_t len, long status, const char *file, json_t **reply);

#endif
