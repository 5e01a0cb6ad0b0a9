#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "api/routes.h"
#include "net/activation.h"
#include "ops/log.h"
#include "proto/endpoints.h"
#include "proto/text.h"
#include "teddyd.h"

/* The service manager's socket, which has the last word on where; what the configuration forbids of
 * its own addresses is forbidden here too. */
static int use_given(struct server *s, char *host, size_t cap, uint16_t *port, int fd)
{
    const struct config *c = &s->app.config;
    bool loopback;
    if (listen_where(fd, host, cap, port, &loopback) != TEDDY_OK) {
        snprintf(s->error, sizeof s->error, "a socket of the service manager has no address");
        return TEDDY_EIO;
    }
    if (!c->tls && fd == s->admin_https_fd) {
        snprintf(s->error, sizeof s->error,
                 "the service manager's socket 'admin' needs tls = on: an admin token is never "
                 "taken without TLS");
        return TEDDY_EPROTO;
    }
    if (!c->tls && fd == s->public_fd && !loopback && !c->trusted_proxies[0]) {
        snprintf(s->error, sizeof s->error,
                 "the service manager's socket 'public' is at %s: without TLS beyond loopback, "
                 "trusted_proxies must name the proxy that does TLS",
                 host);
        return TEDDY_EPROTO;
    }
    return TEDDY_OK;
}

static int open_tcp(struct server *s, const char *listen, char *host, size_t cap, uint16_t *port,
                    int *fd)
{
    if (*fd >= 0)
        return use_given(s, host, cap, port, *fd);
    if (config_host_port(listen, host, cap, port) != TEDDY_OK) /* checked when it was read */
        return TEDDY_EINVAL;
    return listen_tcp(host, port, fd, s->error, sizeof s->error);
}

static bool admit(const struct http_request *req, uint32_t *retry_after_s)
{
    return ratelimit_take_address(app_of(req)->limits.of[LIMITS_REQUESTS], &req->client,
                                  loop_now_ms(req->loop), retry_after_s);
}

/* What http refuses of a claim or refresh counts as the handlers' own refusals do. */
static bool may_fail(const struct http_request *req, uint32_t *retry_after_s)
{
    enum limit failures = span_is(req->path, ENDPOINT_CLAIM)     ? LIMITS_CLAIM_FAILURES
                          : span_is(req->path, ENDPOINT_REFRESH) ? LIMITS_REFRESH_FAILURES
                                                                 : LIMITS_COUNT;
    if (failures == LIMITS_COUNT)
        return true;
    app_refused(req, "bad_request");
    return limits_fail(&app_of(req)->limits, failures, &req->client, loop_now_ms(req->loop),
                       retry_after_s);
}

/* On the console's plane a toy's paths are as open as on the public one; who administers by a token
 * is not counted. */
static bool admit_beside(const struct http_request *req, uint32_t *retry_after_s)
{
    static const char admin[] = ENDPOINT_ADMIN "/";
    bool is_admin =
        req->path.len >= sizeof admin - 1 && memcmp(req->path.p, admin, sizeof admin - 1) == 0;
    return is_admin || admit(req, retry_after_s);
}

static bool gate_beside(struct http_request *req)
{
    return req->route->who != ROUTE_ADMIN || admin_gate_body(req);
}

/* Claims count their own refusals; a page that asks who is signed in, or for a file that is not
 * there, is none. */
static void refused_beside(const struct http_request *req, const char *code)
{
    bool reads = span_is(req->head.method, "GET") || span_is(req->head.method, "HEAD");
    if (!req->route || req->route->who == ROUTE_ADMIN ||
        (req->route->who == ROUTE_CONSOLE && !reads))
        admin_refused(req, code);
}

/* The administration over HTTPS, with the console and what its page needs, or without. */
static void fill_https_plane(struct server *s)
{
    struct http_plane *p = &s->admin_https_plane;
    *p = s->admin_plane;
    p->proxies = s->proxies;
    if (!s->console.files)
        return;
    p->context = &s->app;
    p->offers |= ROUTE_CONSOLE | ROUTE_NONE | ROUTE_DEVICE;
    p->admit = admit_beside;
    p->may_fail = may_fail;
    p->gate = gate_beside;
    p->refused = refused_beside;
    p->upgraded = &s->public_plane.conn;
    p->own_origin = true;
}

static void fill_planes(struct server *s)
{
    const struct config *c = &s->app.config;
    struct http_plane plane = {
        .name = "public",
        .context = &s->app,
        .offers = ROUTE_NONE | ROUTE_DEVICE,
        .routes = s->routes,
        .route_count = s->route_count,
        .head_ms = c->head_timeout_ms,
        .body_ms = c->body_timeout_ms,
        .idle_ms = c->idle_timeout_ms,
        .conn = {.in_max = LIMIT_HTTP_HEAD + LIMIT_CLAIM_BODY,
                 .out_max = c->output_max,
                 .handshake_ms = c->handshake_timeout_ms,
                 .write_stall_ms = c->write_stall_timeout_ms},
        .proxies = s->proxies,
        .admit = admit,
        .may_fail = may_fail,
    };
    s->public_plane = plane;
    plane.proxies = NULL;
    plane.admit = NULL;
    plane.may_fail = NULL;
    plane.name = "metrics";
    plane.offers = ROUTE_METRICS;
    s->metrics_plane = plane;
    plane.name = "admin";
    plane.offers = ROUTE_ADMIN;
    plane.context = NULL;
    plane.admin = &s->admin;
    plane.gate = admin_gate_body;
    plane.refused = admin_refused;
    plane.conn.in_max = LIMIT_HTTP_HEAD + ADMIN_BODY_MAX;
    plane.conn.out_max = ADMIN_ANSWER_MAX;
    s->admin_plane = plane;
    fill_https_plane(s);
}

static int fill_routes(struct server *s)
{
    const struct route *a, *b;
    if (route_conflict(teddy_routes, teddy_routes_count, &a, &b)) {
        snprintf(s->error, sizeof s->error,
                 "routes %s %s (%s) and %s %s (%s) could match the same request", a->method,
                 a->pattern, a->name, b->method, b->pattern, b->name);
        return TEDDY_EINVAL;
    }
    a = route_bad_role(teddy_routes, teddy_routes_count);
    if (a) {
        snprintf(s->error, sizeof s->error, "route %s %s (%s) has role %s, which cannot be meant",
                 a->method, a->pattern, a->name, route_role_name(a->role));
        return TEDDY_EINVAL;
    }
    s->routes = calloc(teddy_routes_count, sizeof *s->routes);
    if (!s->routes)
        return TEDDY_ENOMEM;
    for (size_t i = 0; i < teddy_routes_count; i++)
        if (s->app.config.echo_route || strcmp(teddy_routes[i].pattern, ENDPOINT_WS_ECHO) != 0)
            s->routes[s->route_count++] = teddy_routes[i];
    return TEDDY_OK;
}

/* Each connection is a descriptor; a few more are the server's own. */
static void raise_descriptor_limit(uint32_t connections)
{
    struct rlimit r;
    rlim_t want = (rlim_t)connections + connections / 8 + 128;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur >= want)
        return;
    r.rlim_cur = r.rlim_max < want ? r.rlim_max : want;
    (void)setrlimit(RLIMIT_NOFILE, &r);
    if (r.rlim_cur < want)
        LOG(LOG_WARN, "few_descriptors", LOG_N("limit", r.rlim_cur), LOG_N("wanted", want),
            LOG_S("do", "raise LimitNOFILE or lower connections_max"));
}

/* A listener beside the public one: where it is, only the log says. */
static int open_beside(struct server *s, const char *event, const char *listen, int *fd,
                       char host[256], uint16_t *port)
{
    int rc = open_tcp(s, listen, host, 256, port, fd);
    if (rc == TEDDY_OK)
        LOG(LOG_INFO, event, LOG_S("host", host), LOG_N("port", *port));
    return rc;
}

/* Where a browser on this machine finds the console. */
static void name_console(struct server *s, const char *host, uint16_t port)
{
    bool v6 = strchr(host, ':') != NULL;
    if (strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0) {
        host = "localhost";
        v6 = false;
    }
    snprintf(s->console.origin, sizeof s->console.origin, "https://%s%s%s:%u", v6 ? "[" : "", host,
             v6 ? "]" : "", (unsigned)port);
}

int serve_open(struct server *s)
{
    const struct config *c = &s->app.config;
    char host[256];
    uint16_t port;
    raise_descriptor_limit(c->connections_max);
    int rc = fill_routes(s);
    if (rc != TEDDY_OK)
        return rc;
    fill_planes(s);
    const struct activated given[] = {
        {"public", &s->public_fd}, {"admin", &s->admin_https_fd}, {"metrics", &s->metrics_fd}};
    rc = activation_take(given, sizeof given / sizeof *given, s->error, sizeof s->error);
    if (rc != TEDDY_OK)
        return rc;
    rc = open_tcp(s, c->listen, s->listen_host, sizeof s->listen_host, &s->listen_port,
                  &s->public_fd);
    if (rc == TEDDY_OK && (c->metrics_listen[0] || s->metrics_fd >= 0))
        rc = open_beside(s, "metrics_listening", c->metrics_listen, &s->metrics_fd, host, &port);
    if (rc == TEDDY_OK && (c->admin_listen[0] || s->admin_https_fd >= 0)) {
        rc = open_beside(s, "admin_listening", c->admin_listen, &s->admin_https_fd, host, &port);
        if (rc == TEDDY_OK && s->console.files)
            name_console(s, host, port);
    }
    if (rc == TEDDY_OK) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/admin.sock", s->data);
        rc = listen_unix(path, &s->admin_fd, s->error, sizeof s->error);
    }
    return rc;
}

#define ADMIN_ROOM 48u

/* A margin above connections_max, so that who comes too late still hears 1013 or gets its claim
 * answered; and above that, room for who administers. */
static bool crowded(const struct server *s, uint32_t room)
{
    uint32_t max = s->app.config.connections_max;
    return conn_count() >= max + max / 16 + 16 + room;
}

static void accepted_public(struct loop *loop, int fd, const struct sockaddr_storage *peer,
                            void *user)
{
    struct server *s = user;
    metric_add(loop_index(loop), METRIC_CONNECTIONS, 1);
    if (crowded(s, 0)) {
        close(fd);
        return;
    }
    http_serve(loop, fd, s->tls, peer, &s->public_plane);
}

static void accepted_admin(struct loop *loop, int fd, const struct sockaddr_storage *peer,
                           void *user)
{
    struct server *s = user;
    http_serve(loop, fd, NULL, peer, &s->admin_plane);
}

static void accepted_admin_https(struct loop *loop, int fd, const struct sockaddr_storage *peer,
                                 void *user)
{
    struct server *s = user;
    if (crowded(s, ADMIN_ROOM)) {
        close(fd);
        return;
    }
    http_serve(loop, fd, s->tls, peer, &s->admin_https_plane);
}

static void accepted_metrics(struct loop *loop, int fd, const struct sockaddr_storage *peer,
                             void *user)
{
    struct server *s = user;
    http_serve(loop, fd, NULL, peer, &s->metrics_plane);
}

int serve_start(struct server *s)
{
    int rc = TEDDY_OK;
    for (unsigned i = 0; rc == TEDDY_OK && i < s->app.loop_count; i++)
        rc = listener_new(s->app.loops[i], s->public_fd, accepted_public, s,
                          &s->public_listeners[i]);
    if (rc == TEDDY_OK)
        rc = listener_new(s->app.loops[0], s->admin_fd, accepted_admin, s, &s->admin_listener);
    if (rc == TEDDY_OK && s->metrics_fd >= 0)
        rc =
            listener_new(s->app.loops[0], s->metrics_fd, accepted_metrics, s, &s->metrics_listener);
    if (rc == TEDDY_OK && s->admin_https_fd >= 0)
        rc = listener_new(s->app.loops[0], s->admin_https_fd, accepted_admin_https, s,
                          &s->admin_https_listener);
    if (rc != TEDDY_OK)
        snprintf(s->error, sizeof s->error, "cannot accept: %s", teddy_err_text(rc));
    return rc;
}

void serve_stop_on(struct server *s, struct loop *loop)
{
    unsigned i = loop_index(loop);
    listener_free(s->public_listeners[i]);
    s->public_listeners[i] = NULL;
    if (i == 0) {
        listener_free(s->admin_listener);
        listener_free(s->admin_https_listener);
        listener_free(s->metrics_listener);
        s->admin_listener = s->admin_https_listener = s->metrics_listener = NULL;
    }
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void serve_unlink_admin(const struct server *s)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/admin.sock", s->data);
    unlink(path);
}

void serve_close(struct server *s)
{
    for (unsigned i = 0; i < s->app.loop_count; i++)
        serve_stop_on(s, s->app.loops[i]);
    close_fd(&s->public_fd);
    close_fd(&s->metrics_fd);
    close_fd(&s->admin_https_fd);
    if (s->admin_fd >= 0)
        serve_unlink_admin(s);
    close_fd(&s->admin_fd);
    trusted_proxies_free(s->proxies);
    free(s->routes);
}
