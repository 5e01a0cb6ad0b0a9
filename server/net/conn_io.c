#include "net/conn_internal.h"

#include <stdlib.h>
#include <string.h>

#include "proto/text.h"

enum {
    READS_PER_ROUND = 8, /* of one connection before the others of the round have their turn */
    BUFFER_MIN = 512,
    BUFFER_SPARE = 1024, /* a spare has no larger one */
    SPARES_MAX = 256,    /* as many as get ready in a round */
    FLUSH_AT = 64 * 1024,
    IN_MAX = 64 * 1024,
    OUT_MAX = 256 * 1024,
    WRITE_STALL_MS = 20000,
};

static size_t in_max(const struct conn *c)
{
    return c->limits->in_max ? c->limits->in_max : IN_MAX;
}

static size_t out_max(const struct conn *c)
{
    return c->limits->out_max ? c->limits->out_max : OUT_MAX;
}

static uint32_t write_stall_ms(const struct conn *c)
{
    return c->limits->write_stall_ms ? c->limits->write_stall_ms : WRITE_STALL_MS;
}

static void buffer_free(struct buffer *b)
{
    if (b->p) {
        wipe(b->p + b->at, b->len);
        free(b->p);
    }
    *b = (struct buffer){0};
}

static bool buffer_grow(struct buffer *b, size_t need)
{
    size_t cap = b->cap < BUFFER_MIN ? BUFFER_MIN : b->cap;
    while (cap < need)
        cap *= 2;
    uint8_t *p = malloc(cap);
    if (!p)
        return false;
    struct buffer old = *b;
    if (old.len)
        memcpy(p, old.p + old.at, old.len);
    *b = (struct buffer){p, 0, old.len, cap};
    buffer_free(&old);
    return true;
}

static bool buffer_put(struct buffer *b, const void *data, size_t len)
{
    if (len == 0)
        return true;
    if (b->cap - b->at - b->len < len) {
        if (b->cap - b->len >= len && b->at >= b->len) { /* cheap to move down */
            memcpy(b->p, b->p + b->at, b->len);
            wipe(b->p + b->at, b->len);
            b->at = 0;
        } else if (!buffer_grow(b, b->len + len)) {
            return false;
        }
    }
    memcpy(b->p + b->at + b->len, data, len);
    b->len += len;
    return true;
}

/* What leaves is wiped, so that a buffer never holds more than what waits. */
static void buffer_take(struct buffer *b, size_t len)
{
    wipe(b->p + b->at, len);
    b->at += len;
    b->len -= len;
    if (b->len == 0)
        b->at = 0;
}

static void traffic_free(struct traffic *t)
{
    buffer_free(&t->in);
    buffer_free(&t->out);
    free(t);
}

void loop_conns_fini(struct loop_conns *conns)
{
    for (struct traffic *t = conns->spare, *next; t; t = next) {
        next = t->next;
        traffic_free(t);
    }
    conns->spare = NULL;
    conns->spares = 0;
}

/* The connection's, made when there is none; NULL when there is no memory. */
static struct traffic *traffic_of(struct conn *c)
{
    struct loop_conns *conns = loop_conns(c->loop);
    if (!c->traffic && conns->spare) {
        c->traffic = conns->spare;
        conns->spare = c->traffic->next;
        conns->spares--;
    } else if (!c->traffic) {
        c->traffic = calloc(1, sizeof *c->traffic);
    }
    return c->traffic;
}

/* Nothing waits any more: what held it goes, or becomes one of the loop's spares. */
static void let_go(struct conn *c)
{
    struct loop_conns *conns = loop_conns(c->loop);
    struct traffic *t = c->traffic;
    if (!t || t->in.len || t->out.len)
        return;
    c->traffic = NULL;
    if (conns->spares == SPARES_MAX || t->in.cap > BUFFER_SPARE || t->out.cap > BUFFER_SPARE) {
        traffic_free(t);
        return;
    }
    t->next = conns->spare;
    conns->spare = t;
    conns->spares++;
}

void conn_drop_held(struct conn *c)
{
    if (c->traffic)
        traffic_free(c->traffic);
    c->traffic = NULL;
}

size_t conn_held(const struct conn *c)
{
    return c->traffic ? c->traffic->in.len : 0;
}

size_t conn_unsent(const struct conn *c)
{
    return c->traffic ? c->traffic->out.len : 0;
}

static bool hold(struct conn *c, const uint8_t *data, size_t len)
{
    return len == 0 || (traffic_of(c) && buffer_put(&c->traffic->in, data, len));
}

static bool delivering(const struct conn *c)
{
    return c->state == CONN_OPEN && !c->paused && !c->moving;
}

bool conn_reading(const struct conn *c)
{
    if (c->eof || c->moving)
        return false;
    if (c->state == CONN_OPEN)
        return !c->paused && conn_held(c) < in_max(c);
    return c->state == CONN_FINISHING || c->state == CONN_LINGERING;
}

static void ended_by(struct conn *c, enum transport t)
{
    if (t == TRANSPORT_EOF)
        c->eof = true;
    else if (t != TRANSPORT_BLOCKED)
        conn_end(c, t == TRANSPORT_TLS ? CONN_END_TLS : CONN_END_PEER);
}

/* Straight from the scratch buffer, which is the usual case; what the handler leaves is kept. */
static void deliver_scratch(struct conn *c, uint8_t *data, size_t len)
{
    size_t at = 0;
    while (at < len && delivering(c)) {
        size_t used = c->handler->data(c, data + at, len - at);
        if (used == 0)
            break;
        at += used;
    }
    bool wanted = c->state == CONN_OPEN;
    if (wanted && !hold(c, data + at, len - at))
        conn_end(c, CONN_END_LOCAL);
}

void conn_offer(struct conn *c)
{
    while (conn_held(c) && delivering(c)) {
        struct buffer *in = &c->traffic->in;
        size_t used = c->handler->data(c, in->p + in->at, in->len);
        if (used == 0)
            break;
        buffer_take(in, used); /* it stays where it is while anything is held */
    }
    let_go(c);
}

static enum transport pull_once(struct conn *c)
{
    size_t cap, room = in_max(c) - conn_held(c), n = 0;
    uint8_t *scratch = loop_scratch(c->loop, &cap);
    enum transport t = transport_read(c, scratch, cap < room ? cap : room, &n);
    if (t != TRANSPORT_OK) {
        ended_by(c, t);
        return t;
    }
    if (conn_held(c) == 0) {
        deliver_scratch(c, scratch, n);
    } else if (hold(c, scratch, n)) {
        conn_offer(c);
    } else {
        conn_end(c, CONN_END_LOCAL);
    }
    wipe(scratch, n);
    return t;
}

void conn_pull(struct conn *c)
{
    for (int i = 0; i < READS_PER_ROUND; i++) {
        if (!conn_reading(c) || c->state != CONN_OPEN)
            return;
        if (pull_once(c) != TRANSPORT_OK)
            return;
        /* Plain: the loop tells again when there is more. TLS tells nothing of what OpenSSL already
         * holds. */
        if (!transport_pending(c))
            return;
    }
    c->more = true;
    conn_schedule(c);
}

void conn_discard(struct conn *c)
{
    size_t cap, n;
    uint8_t *scratch = loop_scratch(c->loop, &cap);
    enum transport t = TRANSPORT_OK;
    for (int i = 0; i < READS_PER_ROUND && t == TRANSPORT_OK; i++)
        t = transport_read(c, scratch, cap, &n);
    if (t != TRANSPORT_OK)
        ended_by(c, t);
    if (c->eof && c->state == CONN_LINGERING)
        conn_end(c, CONN_END_LOCAL);
}

/* The stall is measured from the last byte the peer took. */
static void watch_stall(struct conn *c, bool moved)
{
    if (c->state != CONN_OPEN)
        return; /* finishing: the guard is the linger time */
    if (!conn_unsent(c))
        conn_unguard(c);
    else if (moved || !c->guarded)
        conn_guard(c, loop_now_ms(c->loop) + write_stall_ms(c));
}

void conn_flush(struct conn *c)
{
    if ((c->state != CONN_OPEN && c->state != CONN_FINISHING) || !conn_unsent(c) || c->moving)
        return;
    struct buffer *out = &c->traffic->out;
    bool moved = false;
    while (out->len && !c->write_blocked) {
        size_t n = 0;
        enum transport t = transport_write(c, out->p + out->at, out->len, &n);
        if (t == TRANSPORT_OK) {
            buffer_take(out, n);
            moved = true;
        } else if (t == TRANSPORT_BLOCKED) {
            c->write_blocked = true;
        } else {
            conn_end(c, t == TRANSPORT_TLS ? CONN_END_TLS : CONN_END_PEER);
            return;
        }
    }
    c->drained |= out->len == 0;
    let_go(c);
    watch_stall(c, moved);
}

int conn_send(struct conn *c, const void *data, size_t len)
{
    if (c->state != CONN_OPEN && c->state != CONN_HANDSHAKE)
        return TEDDY_ECLOSED;
    /* Much in one round: let go of what the peer takes already, so that out_max bounds what it does
     * not take. */
    if (conn_unsent(c) + len > FLUSH_AT)
        conn_flush(c);
    if (c->state == CONN_DEAD)
        return TEDDY_ECLOSED;
    if (len == 0)
        return TEDDY_OK;
    if (len > out_max(c) || conn_unsent(c) > out_max(c) - len || !traffic_of(c) ||
        !buffer_put(&c->traffic->out, data, len)) {
        conn_end(c, CONN_END_STALLED);
        return TEDDY_EFULL;
    }
    conn_schedule(c);
    return TEDDY_OK;
}
