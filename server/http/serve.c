/* A connection that speaks HTTP: which bytes are heads, which are bodies, and how long each may
 * take. */
#include <stdlib.h>
#include <unistd.h>

#include "http/internal.h"
#include "proto/limits.h"
#include "proto/text.h"

static const struct conn_handler handler;

static void begin_phase(struct serving *s, enum phase phase, uint64_t ms)
{
    s->phase = phase;
    conn_set_deadline(s->conn, ms ? loop_now_ms(conn_loop(s->conn)) + ms : 0);
}

void serving_answered(struct serving *s, bool close)
{
    s->req = NULL;
    if (close || loop_draining(conn_loop(s->conn))) {
        begin_phase(s, PHASE_CLOSING, 0);
        conn_finish(s->conn, LINGER_MS);
        return;
    }
    begin_phase(s, PHASE_IDLE, s->plane->idle_ms);
    /* Who sends requests without reading answers waits until they have left (drained). */
    if (conn_unsent(s->conn) > OUTPUT_AHEAD)
        conn_pause(s->conn);
    else
        conn_resume(s->conn);
}

/* An answer to what never became a request. */
static void refuse(struct serving *s, int status, const char *code, const char *detail)
{
    struct request *r = request_new(s, NULL, 0, NULL);
    if (!r) {
        conn_abort(s->conn);
        return;
    }
    s->req = r;
    http_problem(&r->pub, status, code, detail);
}

/* From here on the request is its handler's; it may be gone, and the connection another's, when
 * this returns. */
static void hand_over(struct serving *s)
{
    struct request *r = s->req;
    r->pub.body = (struct span){r->body, r->body ? r->body_want : 0};
    r->body_left = false;
    begin_phase(s, PHASE_HANDLING, 0);
    conn_pause(s->conn);
    request_start(r);
}

static void begin_body(struct serving *s, size_t held)
{
    struct request *r = s->req;
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    r->body = malloc(r->body_want + 1);
    if (!r->body) {
        http_problem(&r->pub, 503, "overload", "The server is out of memory.");
        return;
    }
    r->body[0] = 0;
    begin_phase(s, PHASE_BODY, s->plane->body_ms);
    if (held == 0 && r->pub.head.minor >= 1 &&
        http1_field_has(&r->pub.head, "Expect", "100-continue"))
        conn_send(s->conn, go_on, sizeof go_on - 1);
}

/* A whole head has arrived. */
static void begin_request(struct serving *s, const char *bytes, size_t len,
                          const struct http_head *head, size_t held)
{
    s->req = request_new(s, bytes, len, head);
    if (!s->req) {
        conn_abort(s->conn);
        return;
    }
    if (!request_judge(s->req))
        return;
    if (s->req->body_want > 0)
        begin_body(s, held);
    else
        hand_over(s);
}

static void refuse_head(struct serving *s, int err)
{
    if (err == TEDDY_ETOOBIG)
        refuse(s, 431, "head_too_large", "The request's head is over 8 KiB.");
    else if (err == TEDDY_EUNSUPPORTED)
        refuse(s, 505, "http_version", "Speak HTTP/1.1.");
    else
        refuse(s, 400, "bad_request", "The request's head is malformed.");
}

static size_t feed_head(struct serving *s, const char *data, size_t len)
{
    struct http_head head;
    size_t used = 0;
    if (data[0] == '\r') { /* RFC 9112 section 2.2: an empty line before a request is ignored */
        if (len == 1)
            return 0;
        if (data[1] == '\n')
            return 2;
    }
    if (s->phase == PHASE_IDLE)
        begin_phase(s, PHASE_HEAD, s->plane->head_ms);
    int err = http1_request(data, len, LIMIT_HTTP_HEAD, &head, &used);
    if (err == TEDDY_AGAIN)
        return 0;
    if (err != TEDDY_OK) {
        refuse_head(s, err);
        return len;
    }
    begin_request(s, data, used, &head, len - used);
    return used; /* s may be gone */
}

static size_t feed_body(struct serving *s, const char *data, size_t len)
{
    struct request *r = s->req;
    size_t have = r->pub.body.len, missing = r->body_want - have;
    size_t used = len < missing ? len : missing;
    memcpy(r->body + have, data, used);
    r->body[have + used] = 0;
    r->pub.body.len = have + used;
    if (used == missing)
        hand_over(s);
    return used; /* s may be gone */
}

static size_t on_data(struct conn *c, uint8_t *data, size_t len)
{
    struct serving *s = conn_user(c);
    switch (s->phase) {
    case PHASE_IDLE:
    case PHASE_HEAD:
        return feed_head(s, (const char *)data, len);
    case PHASE_BODY:
        return feed_body(s, (const char *)data, len);
    case PHASE_HANDLING:
        return 0;
    case PHASE_CLOSING:
        break;
    }
    return len;
}

static void on_deadline(struct conn *c)
{
    struct serving *s = conn_user(c);
    if (s->phase == PHASE_HEAD)
        refuse(s, 408, "timeout", "The request's head took too long.");
    else if (s->phase == PHASE_BODY)
        http_problem(&s->req->pub, 408, "timeout", "The request's body took too long.");
    else if (s->phase == PHASE_IDLE)
        conn_finish(c, LINGER_MS);
}

static void on_drained(struct conn *c)
{
    struct serving *s = conn_user(c);
    if (s->phase == PHASE_IDLE)
        conn_resume(c);
}

static void on_closed(struct conn *c, enum conn_end why)
{
    struct serving *s = conn_user(c);
    (void)why;
    if (s->req && s->phase == PHASE_HANDLING)
        s->req->serving = NULL; /* its handler still has it */
    else
        request_free(s->req);
    free(s);
}

static const struct conn_handler handler = {
    .data = on_data, .deadline = on_deadline, .drained = on_drained, .closed = on_closed};

void http_serve(struct loop *loop, int fd, struct tls_context *tls,
                const struct sockaddr_storage *peer, const struct http_plane *plane)
{
    struct serving *s = calloc(1, sizeof *s);
    uint32_t handshake_ms = plane->conn.handshake_ms ? plane->conn.handshake_ms : CONN_HANDSHAKE_MS;
    if (!s) {
        close(fd);
        return;
    }
    if (conn_new(loop, fd, tls, &plane->conn, &handler, s, &s->conn) != TEDDY_OK) {
        free(s);
        return;
    }
    s->plane = plane;
    s->peer = *peer;
    begin_phase(s, PHASE_IDLE, plane->head_ms + (tls ? handshake_ms : 0));
}

static void drain_one(struct conn *c, void *arg)
{
    (void)arg;
    if (conn_handler_of(c) != &handler)
        return;
    struct serving *s = conn_user(c);
    if (s->phase == PHASE_IDLE) {
        s->phase = PHASE_CLOSING;
        conn_finish(c, LINGER_MS);
    }
}

void http_drain(struct loop *loop)
{
    loop_set_draining(loop);
    conn_each(loop, drain_one, NULL);
}

void serving_free(struct serving *s)
{
    free(s);
}
