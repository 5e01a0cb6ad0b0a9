#include <openssl/rand.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "http/internal.h"
#include "ops/log.h"
#include "proto/text.h"
#include "proto/writer.h"

static atomic_uint in_flight;

/* An id only tells requests apart: one draw per thread, and from there on splitmix64, which repeats
 * no number. A draw for each costs a request more than reading its head. */
static void make_id(char out[17])
{
    static _Thread_local uint64_t at;
    uint8_t bytes[8];
    if (at == 0 && RAND_bytes((uint8_t *)&at, sizeof at) != 1)
        at = (uint64_t)time(NULL);
    at += 0x9e3779b97f4a7c15;
    uint64_t n = (at ^ at >> 30) * 0xbf58476d1ce4e5b9;
    n = (n ^ n >> 27) * 0x94d049bb133111eb;
    n ^= n >> 31;
    memcpy(bytes, &n, sizeof bytes);
    struct writer w = writer_on(out, 17);
    writer_hex(&w, bytes, sizeof bytes);
    (void)writer_end(&w);
}

static struct span rebase(struct span s, const char *from, const char *to)
{
    return s.p ? (struct span){to + (s.p - from), s.len} : s;
}

static void copy_head(struct request *r, const char *bytes, size_t len,
                      const struct http_head *head)
{
    memcpy(r->head, bytes, len);
    r->head_len = len;
    r->pub.head = *head;
    r->pub.head.method = rebase(head->method, bytes, r->head);
    r->pub.head.target = rebase(head->target, bytes, r->head);
    r->pub.head.fields = rebase(head->fields, bytes, r->head);
}

struct request *request_new(struct serving *s, const char *bytes, size_t len,
                            const struct http_head *head)
{
    struct request *r = malloc(sizeof *r + len);
    if (!r)
        return NULL;
    memset(r, 0, offsetof(struct request, fields));
    r->serving = s;
    r->pub.internal = r;
    r->pub.loop = conn_loop(s->conn);
    r->pub.plane = s->plane;
    r->pub.start_ms = loop_now_ms(r->pub.loop);
    r->pub.client = s->peer;
    make_id(r->pub.request_id);
    if (head) {
        copy_head(r, bytes, len, head);
        r->keep_alive = head->minor >= 1 && http1_keep_alive(&r->pub.head);
        trusted_proxies_client(s->plane->proxies, &s->peer, &r->pub.head, &r->pub.client);
    } else {
        r->pub.head.minor = 1;
    }
    return r;
}

/* Heads may hold a token in their query, bodies a refresh token. */
void request_free(struct request *r)
{
    if (!r)
        return;
    if (r->in_flight)
        atomic_fetch_sub(&in_flight, 1);
    if (r->body) {
        wipe(r->body, r->body_want);
        free(r->body);
    }
    wipe(r->fields, r->fields_len);
    wipe(r->head, r->head_len);
    wipe(r, offsetof(struct request, fields));
    free(r);
}

void request_start(struct request *r)
{
    r->in_flight = true;
    atomic_fetch_add(&in_flight, 1);
    r->pub.route->handle(&r->pub);
}

static void text_of(struct span s, char *out, size_t cap)
{
    size_t len = s.len < cap - 1 ? s.len : cap - 1;
    if (len > 0)
        memcpy(out, s.p, len);
    out[len] = 0;
    if (len == 0)
        snprintf(out, cap, "-");
}

/* The path without its query, which may hold a token. */
/* A child is named in no log: such a path is shown as its pattern. */
static struct span shown_path(const struct request *r)
{
    bool child = r->pub.route && strstr(r->pub.route->pattern, "{child_id}");
    return child ? span_of(r->pub.route->pattern) : r->pub.path;
}

void request_log(const struct request *r, int status)
{
    char method[16], path[160];
    if (!log_enabled(LOG_INFO))
        return;
    text_of(r->pub.head.method, method, sizeof method);
    text_of(shown_path(r), path, sizeof path);
    LOG(LOG_INFO, "http", LOG_S("method", method), LOG_S("path", path), LOG_N("status", status),
        LOG_N("ms", loop_now_ms(r->pub.loop) - r->pub.start_ms),
        LOG_S("request_id", r->pub.request_id));
}

unsigned http_in_flight(void)
{
    return atomic_load(&in_flight);
}

struct conn *http_conn(const struct http_request *req)
{
    const struct request *r = request_of(req);
    return r->serving ? r->serving->conn : NULL;
}

static void moved(struct conn *c)
{
    struct serving *s = conn_user(c);
    struct request *r = s->req;
    r->pub.loop = conn_loop(c);
    r->then(&r->pub, r->arg);
}

static void moved_alone(struct loop *loop, struct loop_task *task)
{
    struct request *r = (struct request *)(void *)((char *)task - offsetof(struct request, task));
    r->pub.loop = loop;
    r->then(&r->pub, r->arg);
}

void http_move(struct http_request *req, struct loop *to,
               void (*then)(struct http_request *req, void *arg), void *arg)
{
    struct request *r = request_of(req);
    if (to == r->pub.loop) {
        then(req, arg);
        return;
    }
    r->then = then;
    r->arg = arg;
    if (r->serving) {
        conn_move(r->serving->conn, to, moved);
        return;
    }
    r->task.run = moved_alone;
    loop_post(to, &r->task);
}
