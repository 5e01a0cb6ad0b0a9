#include "http/testing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

struct http_testing testing;

static void hello(struct http_request *req)
{
    http_respond(req, 200, "text/plain", "hello", 5);
}

static void echo_body(struct http_request *req)
{
    http_respond(req, 200, "application/json", req->body.p, req->body.len);
}

static void no_content(struct http_request *req)
{
    http_respond(req, 204, NULL, NULL, 0);
}

static void big(struct http_request *req)
{
    static char body[100000];
    memset(body, 'b', sizeof body);
    http_respond(req, 200, "text/plain", body, sizeof body);
}

static void fields(struct http_request *req)
{
    char longest[600];
    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = 0;
    http_set_field(req, "X-Good", "yes");
    http_set_field(req, "X-Evil", "a\r\nSet-Cookie: b");
    http_set_field(req, "X-Long", longest);
    http_problem_retry(req, 429, "rate_limited", "A \"quoted\" detail.", 7);
}

static void on_other(struct http_request *req, void *arg)
{
    assert_ptr_equal(arg, testing.server.loops[1]);
    assert_ptr_equal(req->loop, arg);
    http_respond(req, 200, "text/plain", req->params[0].p, req->params[0].len);
}

static void later(struct http_request *req)
{
    testing_count_add(&testing.handled);
    http_move(req, testing.server.loops[1], on_other, testing.server.loops[1]);
}

static void forget(struct http_request *req)
{
    testing.pending = req;
    testing_count_add(&testing.handled);
}

/* The upgraded side: returns what comes, as it came. */

static size_t raw_data(struct conn *c, uint8_t *data, size_t len)
{
    conn_send(c, data, len);
    return len;
}

static void raw_closed(struct conn *c, enum conn_end why)
{
    (void)c;
    (void)why;
}

static const struct conn_handler raw = {.data = raw_data, .closed = raw_closed};

static void take_connection(struct http_request *req, void *arg)
{
    (void)arg;
    struct conn *c = http_upgrade(req);
    if (!c)
        return;
    conn_set_handler(c, &raw, NULL);
    conn_resume(c);
}

static void upgrade(struct http_request *req)
{
    if (http_upgrade_ok(req))
        take_connection(req, NULL);
}

static void upgrade_moved(struct http_request *req)
{
    if (http_upgrade_ok(req))
        http_move(req, testing.server.loops[1], take_connection, NULL);
}

/* To the loop where it is: within the call. */
static void take_here(struct http_request *req, void *arg)
{
    *(bool *)arg = true;
    take_connection(req, NULL);
}

static void upgrade_here(struct http_request *req)
{
    bool taken = false;
    if (!http_upgrade_ok(req))
        return;
    http_move(req, req->loop, take_here, &taken);
    assert_true(taken);
}

/* Ends once the peer has said something. */
static size_t stream_data(struct conn *c, uint8_t *data, size_t len)
{
    conn_send(c, data, len);
    conn_finish(c, 2000);
    return len;
}

static const struct conn_handler streaming = {.data = stream_data, .closed = raw_closed};

static void stream(struct http_request *req)
{
    http_set_field(req, "X-Good", "yes");
    struct conn *c = http_stream(req, "text/plain");
    if (!c)
        return;
    conn_set_handler(c, &streaming, NULL);
    conn_send(c, "first ", 6);
    conn_resume(c);
}

static const struct route routes[] = {
    {"GET", "/hello", ROUTE_NONE, "hello", hello, 0, NULL, ROLE_NONE},
    {"POST", "/claim", ROUTE_NONE, "claim", echo_body, 4096, "application/json", ROLE_NONE},
    {"PUT", "/any", ROUTE_NONE, "any", echo_body, 4096, NULL, ROLE_NONE},
    {"DELETE", "/nothing", ROUTE_NONE, "nothing", no_content, 0, NULL, ROLE_NONE},
    {"GET", "/big", ROUTE_NONE, "big", big, 0, NULL, ROLE_NONE},
    {"GET", "/fields", ROUTE_NONE, "fields", fields, 0, NULL, ROLE_NONE},
    {"GET", "/later/{text}", ROUTE_NONE, "later", later, 0, NULL, ROLE_NONE},
    {"GET", "/forget", ROUTE_NONE, "forget", forget, 0, NULL, ROLE_NONE},
    {"GET", "/stream", ROUTE_NONE, "stream", stream, 0, NULL, ROLE_NONE},
    {"GET", "/ws/{id}", ROUTE_DEVICE, "ws", upgrade, 0, NULL, ROLE_NONE},
    {"GET", "/ws-moved/{id}", ROUTE_DEVICE, "ws_moved", upgrade_moved, 0, NULL, ROLE_NONE},
    {"GET", "/ws-here/{id}", ROUTE_DEVICE, "ws_here", upgrade_here, 0, NULL, ROLE_NONE},
    {"GET", "/admin", ROUTE_ADMIN, "admin", hello, 0, NULL, ROLE_VIEWER},
};

static void accepted(struct loop *loop, int fd, const struct sockaddr_storage *peer, void *user)
{
    (void)user;
    http_serve(loop, fd, testing.tls ? testing_tls() : NULL, peer, &testing.plane);
}

void http_testing_start(bool tls)
{
    memset(&testing, 0, sizeof testing);
    testing.tls = tls;
    testing.plane = (struct http_plane){
        .name = "public",
        .offers = ROUTE_NONE | ROUTE_DEVICE,
        .routes = routes,
        .route_count = sizeof routes / sizeof routes[0],
        .head_ms = 60000,
        .body_ms = 60000,
        .idle_ms = 60000,
        .conn = {.in_max = 12288},
    };
    testing_start(&testing.server, accepted, NULL);
}

void http_testing_stop(void)
{
    testing_stop(&testing.server);
    assert_int_equal(http_in_flight(), 0);
}

struct testing_client http_testing_connect(void)
{
    struct testing_client c = testing_connect(testing.server.port, testing.tls, 0);
    assert_true(c.fd >= 0);
    return c;
}

static void read_head(struct testing_client *c, struct answer *a)
{
    size_t at = 0;
    a->head[0] = 0;
    while (at < 4 || memcmp(a->head + at - 4, "\r\n\r\n", 4) !=
                         0) { /* a byte at a time: nothing behind is taken */
        assert_true(at < sizeof a->head - 1);
        if (testing_recv(c, a->head + at, 1) != 1)
            fail_msg("no whole head: '%s'", a->head);
        a->head[++at] = 0;
    }
    assert_memory_equal(a->head, "HTTP/1.1 ", 9);
    a->status = (int)strtol(a->head + 9, NULL, 10);
}

void http_testing_read(struct testing_client *c, struct answer *a, bool without_body)
{
    memset(a, 0, sizeof *a);
    read_head(c, a);
    const char *length = http_testing_field(a, "Content-Length");
    if (a->status == 204 || a->status < 200)
        assert_null(length);
    else if (!length) /* then the connection's end is the body's */
        assert_string_equal(http_testing_field(a, "Connection"), "close");
    size_t len = length && !without_body ? strtoul(length, NULL, 10) : 0;
    for (size_t at = 0; at < len;) {
        char rest[4096];
        char *into = at < sizeof a->body - 1 ? a->body + at : rest;
        size_t room = at < sizeof a->body - 1 ? sizeof a->body - 1 - at : sizeof rest;
        long n = testing_recv(c, into, room < len - at ? room : len - at);
        assert_true(n > 0);
        at += (size_t)n;
        a->body_len = at;
    }
}

void http_testing_ask(const char *text, struct answer *a)
{
    struct testing_client c = http_testing_connect();
    testing_send(&c, text, strlen(text));
    http_testing_read(&c, a, false);
    testing_close(&c);
}

const char *http_testing_field(const struct answer *a, const char *name)
{
    static char value[256];
    size_t len = strlen(name);
    for (const char *line = strstr(a->head, "\r\n"); line && line[2] != '\r';
         line = strstr(line + 2, "\r\n"))
        if (strncasecmp(line + 2, name, len) == 0 && line[2 + len] == ':') {
            const char *from = line + 2 + len + 1;
            from += strspn(from, " ");
            snprintf(value, sizeof value, "%.*s", (int)strcspn(from, "\r"), from);
            return value;
        }
    return NULL;
}

bool http_testing_closed(struct testing_client *c)
{
    char b;
    return testing_recv(c, &b, 1) == 0;
}
