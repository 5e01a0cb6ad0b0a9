#include "net/conn_internal.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

/* How often one connection reads before the others of the round have their turn. */
enum { READS_PER_ROUND = 8, BUFFER_MIN = 512, FLUSH_AT = 64 * 1024 };

void buffer_free(struct buffer *b)
{
    if (b->p) {
        OPENSSL_cleanse(b->p, b->cap);
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

bool buffer_put(struct buffer *b, const void *data, size_t len)
{
    if (len == 0)
        return true;
    if (b->cap - b->at - b->len < len) {
        if (b->cap - b->len >= len && b->at >= b->len) { /* cheap to move down */
            memcpy(b->p, b->p + b->at, b->len);
            b->at = 0;
        } else if (!buffer_grow(b, b->len + len)) {
            return false;
        }
    }
    memcpy(b->p + b->at + b->len, data, len);
    b->len += len;
    return true;
}

void buffer_take(struct buffer *b, size_t len)
{
    b->at += len;
    b->len -= len;
    if (b->len == 0)
        buffer_free(b);
}

static bool delivering(const struct conn *c)
{
    return c->state == CONN_OPEN && !c->paused && !c->move_to;
}

bool conn_reading(const struct conn *c)
{
    if (c->eof || c->move_to)
        return false;
    if (c->state == CONN_OPEN)
        return !c->paused && c->in.len < c->limits.in_max;
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
    if (wanted && !buffer_put(&c->in, data + at, len - at))
        conn_end(c, CONN_END_LOCAL);
}

void conn_offer(struct conn *c)
{
    while (c->in.len && delivering(c)) {
        size_t used = c->handler->data(c, c->in.p + c->in.at, c->in.len);
        if (used == 0)
            break;
        buffer_take(&c->in, used);
    }
}

static enum transport pull_once(struct conn *c)
{
    size_t cap, room = c->limits.in_max - c->in.len, n = 0;
    uint8_t *scratch = loop_scratch(c->loop, &cap);
    enum transport t = transport_read(c, scratch, cap < room ? cap : room, &n);
    if (t != TRANSPORT_OK) {
        ended_by(c, t);
        return t;
    }
    if (c->in.len == 0) {
        deliver_scratch(c, scratch, n);
    } else if (buffer_put(&c->in, scratch, n)) {
        conn_offer(c);
    } else {
        conn_end(c, CONN_END_LOCAL);
    }
    OPENSSL_cleanse(scratch, n);
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
    if (c->out.len == 0)
        loop_timer_unset(c->loop, &c->guard);
    else if (moved || !c->guard.prev)
        loop_timer_set(c->loop, &c->guard, loop_now_ms(c->loop) + c->limits.write_stall_ms);
}

void conn_flush(struct conn *c)
{
    if (c->state != CONN_OPEN && c->state != CONN_FINISHING)
        return;
    bool moved = false;
    while (c->out.len && !c->write_blocked) {
        size_t n = 0;
        enum transport t = transport_write(c, c->out.p + c->out.at, c->out.len, &n);
        if (t == TRANSPORT_OK) {
            buffer_take(&c->out, n);
            moved = true;
        } else if (t == TRANSPORT_BLOCKED) {
            c->write_blocked = true;
        } else {
            conn_end(c, t == TRANSPORT_TLS ? CONN_END_TLS : CONN_END_PEER);
            return;
        }
    }
    watch_stall(c, moved);
}

int conn_send(struct conn *c, const void *data, size_t len)
{
    if (c->state != CONN_OPEN && c->state != CONN_HANDSHAKE)
        return TEDDY_ECLOSED;
    /* Much in one round: let go of what the peer takes already, so that out_max bounds what it does
     * not take. */
    if (c->out.len + len > FLUSH_AT && !c->move_to)
        conn_flush(c);
    if (c->state == CONN_DEAD)
        return TEDDY_ECLOSED;
    if (len > c->limits.out_max || c->out.len > c->limits.out_max - len ||
        !buffer_put(&c->out, data, len)) {
        conn_end(c, CONN_END_STALLED);
        return TEDDY_EFULL;
    }
    conn_schedule(c);
    return TEDDY_OK;
}
