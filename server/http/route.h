/* The route table: method, pattern, who may call it, handler. One table serves every listener;
 * which routes a listener offers follows from who may call them. */
#ifndef HTTP_ROUTE_H
#define HTTP_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/span.h"
#include "teddy/err.h"

struct http_request;

/* Who may call a route, as bits so that a listener's plane can offer several. */
enum route_who {
    ROUTE_NONE =
        1u << 0, /* anybody: the route itself decides (a claim's signature, a refresh token) */
    ROUTE_DEVICE = 1u << 1,  /* a toy, by its access token */
    ROUTE_ADMIN = 1u << 2,   /* an administrator: by the Unix socket, or by an admin token */
    ROUTE_METRICS = 1u << 3, /* the metrics listener */
    ROUTE_CONSOLE = 1u << 4, /* the web console: its files, and signing in to it */
};

/* What an administrator's token must at least be good for; each includes those before it. */
enum route_role {
    ROLE_NONE,     /* the route is no administrator's */
    ROLE_VIEWER,   /* reads */
    ROLE_OPERATOR, /* looks after toys */
    ROLE_OWNER,    /* secrets, tokens, what cannot be undone */
};

struct route {
    const char *method;
    const char *pattern; /* "/ws/esp32/{device_id}": {…} matches one segment, not empty, at most 128
                            bytes */
    enum route_who who;
    const char *name; /* of the handler, as `teddyctl routes` shows it */
    void (*handle)(struct http_request *req);
    size_t body_max;   /* bytes; 0: no body is taken */
    const char *media; /* the body's media type, or NULL for any */
    enum route_role role;
};

/* Finds two routes that could match the same request; false when there is none. */
bool route_conflict(const struct route *routes, size_t count, const struct route **a,
                    const struct route **b);
/* The first route whose role cannot be meant: an administrator's without one, another with one, or
 * one that changes something open to viewers. NULL: there is none. */
const struct route *route_bad_role(const struct route *routes, size_t count);

/* TEDDY_OK with *out; TEDDY_ENOTFOUND: no pattern fits (404); TEDDY_EUNSUPPORTED: patterns fit, the
 * method does not (405), and allow holds the methods that would ("GET, POST"). HEAD is served as
 * GET. */
TEDDY_MUST_CHECK int route_find(const struct route *routes, size_t count, unsigned offers,
                                struct span method, struct span path, const struct route **out,
                                struct span *params, size_t params_max, char *allow,
                                size_t allow_cap);

/* The largest body that any route of that path takes; false when no pattern fits. */
bool route_body_max(const struct route *routes, size_t count, unsigned offers, struct span path,
                    size_t *max);

const char *route_who_name(enum route_who who);
const char *route_role_name(enum route_role role); /* "viewer"; "-" for ROLE_NONE */
/* False: no such role. */
bool route_role_parse(struct span name, enum route_role *out);

#endif
