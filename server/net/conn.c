#include "net/conn.h"

#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/conn_internal.h"
#include "net/slab.h"
#include "net/tls.h"

/* What an idle connection costs; it grows only on purpose (docs/performance.md). */
_Static_assert(sizeof(void *) != 8 || sizeof(struct conn) <= 136, "a connection has grown");

static atomic_uint alive;

static void settle(struct conn *c);

/* What was asked for during the round happens here, so that no callback ever comes from within a
 * call. */
static void settle_due(struct loop *loop, struct loop_task *task)
{
    struct loop_conns *conns = CONTAINER(task, struct loop_conns, settle);
    struct conn *c = conns->due.first;
    (void)loop;
    conns->due.first = NULL;
    while (c) {
        struct conn *next = c->next_due; /* c may go, or be due again */
        settle(c);
        c = next;
    }
}

void conn_queue_add(struct conn_queue *q, struct conn *c)
{
    if (!q->first)
        q->end = &q->first;
    c->next_due = NULL;
    *q->end = c;
    q->end = &c->next_due;
}

void conn_schedule(struct conn *c)
{
    struct loop_conns *conns = loop_conns(c->loop);
    if (c->queued)
        return;
    c->queued = true;
    if (!conns->due.first) {
        conns->settle.run = settle_due;
        loop_defer(c->loop, &conns->settle);
    }
    conn_queue_add(&conns->due, c);
}

void conn_end(struct conn *c, enum conn_end why)
{
    if (c->state == CONN_DEAD)
        return;
    if (c->state == CONN_HANDSHAKE)
        conn_handshake_ended(c, false);
    bool ours = c->state == CONN_FINISHING || c->state == CONN_LINGERING;
    c->why = (uint8_t)(ours ? CONN_END_LOCAL : why);
    c->state = CONN_DEAD;
    conn_schedule(c);
}

void conn_enlist(struct conn *c)
{
    struct conn **head = &loop_conns(c->loop)->all;
    c->next = *head;
    c->prev = head;
    if (c->next)
        c->next->prev = &c->next;
    *head = c;
}

void conn_delist(struct conn *c)
{
    *c->prev = c->next;
    if (c->next)
        c->next->prev = c->prev;
}

/* The last moment: everything the loop knows of it is undone, then the owner is told. */
static void bury(struct conn *c)
{
    loop_io_forget(c->loop, &c->io);
    conn_time_stop(c);
    conn_delist(c);
    c->handler->closed(c, (enum conn_end)c->why);
    SSL_free(c->ssl);
    close(c->io.fd);
    conn_drop_held(c);
    slab_free(c, sizeof *c);
    atomic_fetch_sub(&alive, 1);
}

/* True: nothing is left to wait for. */
static bool shut_down(struct conn *c)
{
    if (c->write_blocked)
        return false;
    if (!transport_shutdown(c)) {
        c->write_blocked = true;
        return false;
    }
    c->state = CONN_LINGERING;
    if (c->eof && !c->parted)
        conn_end(c, CONN_END_LOCAL);
    return c->parted;
}

uint32_t conn_wanted(const struct conn *c)
{
    if (c->state == CONN_HANDSHAKE)
        return (c->read_wants_write ? LOOP_WRITE : LOOP_READ) | LOOP_EDGE;
    uint32_t events = (conn_reading(c) ? LOOP_READ : 0) | LOOP_EDGE;
    if (c->write_blocked)
        events |= c->write_wants_read ? LOOP_READ : LOOP_WRITE;
    if (c->read_wants_write && conn_reading(c))
        events |= LOOP_WRITE;
    return events;
}

/* Reading is watched on while it is not wanted: a request answered within its round, or soon after,
 * then costs no change of what is watched. What came meanwhile is told again once it is wanted. */
static void watch(struct conn *c)
{
    uint32_t wanted = conn_wanted(c), events = wanted | (c->io.events & LOOP_READ);
    bool again = c->io.unread && (wanted & LOOP_READ);
    if ((again || events != c->io.events) && loop_io_mod(c->loop, &c->io, events) != TEDDY_OK)
        conn_end(c, CONN_END_LOCAL);
}

/* The end of a round for one connection. */
static void settle(struct conn *c)
{
    c->queued = false;
    if (c->moving) {
        conn_depart(c);
        return;
    }
    if (c->state == CONN_DEAD) {
        bury(c);
        return;
    }
    if (c->offer) {
        c->offer = false;
        conn_offer(c);
    }
    if (c->more) {
        c->more = false;
        conn_pull(c);
    }
    if (c->moving)
        return; /* scheduled again by conn_move */
    conn_flush(c);
    bool drained = c->drained && !conn_unsent(c) && c->state == CONN_OPEN;
    c->drained = false;
    if (drained && c->handler->drained)
        c->handler->drained(c);
    if (c->moving)
        return;
    if (c->state == CONN_FINISHING && !conn_unsent(c) && shut_down(c)) {
        c->state = CONN_DEAD;
        if (!c->queued) {
            bury(c);
            return;
        }
    }
    if (c->state == CONN_OPEN && c->eof && !c->paused && !c->offer && !c->more && !conn_unsent(c))
        conn_end(c, CONN_END_PEER);
    if (c->state != CONN_DEAD)
        watch(c);
}

static void ready_now(struct loop *loop, struct loop_io *io, uint32_t events)
{
    (void)loop;
    struct conn *c = CONTAINER(io, struct conn, io);
    if (c->state == CONN_DEAD || c->moving)
        return;
    if (c->state == CONN_HANDSHAKE) {
        conn_handshake_later(c);
        return;
    }
    conn_schedule(c);
    if ((events & LOOP_WRITE) || ((events & LOOP_READ) && c->write_wants_read))
        c->write_blocked = false;
    if (conn_reading(c)) {
        bool readable = (events & (LOOP_READ | LOOP_HANGUP)) || c->read_wants_write;
        if (readable && c->state == CONN_OPEN)
            conn_pull(c); /* what it answers leaves at the end of the round: settle */
        else if (readable)
            conn_discard(c);
        return;
    }
    if (events & LOOP_HANGUP)
        conn_end(c, CONN_END_PEER);
}

static int start_tls(struct conn *c, struct tls_context *tls)
{
    c->ssl = tls_accept(tls);
    if (!c->ssl)
        return TEDDY_ETLS;
    if (!transport_attach(c)) {
        SSL_free(c->ssl);
        return TEDDY_ETLS;
    }
    c->state = CONN_HANDSHAKE;
    return TEDDY_OK;
}

int conn_new(struct loop *loop, int fd, struct tls_context *tls, const struct conn_limits *limits,
             const struct conn_handler *handler, void *user, struct conn **out)
{
    static const struct conn_limits none;
    int err = TEDDY_ENOMEM;
    struct conn *c = slab_new(sizeof *c);
    if (!c)
        goto no_conn;
    c->loop = loop;
    c->handler = handler;
    c->user = user;
    c->limits = limits ? limits : &none;
    c->io.fd = fd;
    c->io.ready = ready_now;
    c->state = CONN_OPEN;
    conn_time_init(c);
    if (tls && (err = start_tls(c, tls)) != TEDDY_OK)
        goto no_tls;
    err = loop_io_add(loop, &c->io, conn_wanted(c));
    if (err != TEDDY_OK)
        goto no_io;
    if (c->state == CONN_HANDSHAKE)
        conn_guard(c, loop_now_ms(loop) + conn_handshake_patience(c));
    conn_enlist(c);
    atomic_fetch_add(&alive, 1);
    if (out)
        *out = c;
    return TEDDY_OK;

no_io:
    SSL_free(c->ssl);
no_tls:
    slab_free(c, sizeof *c);
no_conn:
    close(fd);
    return err;
}

void conn_set_handler(struct conn *c, const struct conn_handler *handler, void *user)
{
    c->handler = handler;
    c->user = user;
}

const struct conn_handler *conn_handler_of(const struct conn *c)
{
    return c->handler;
}

void conn_set_limits(struct conn *c, const struct conn_limits *limits)
{
    c->limits = limits;
}

void *conn_user(const struct conn *c)
{
    return c->user;
}

struct loop *conn_loop(const struct conn *c)
{
    return c->loop;
}

bool conn_is_tls(const struct conn *c)
{
    return c->ssl != NULL;
}

int conn_peer_uid(const struct conn *c, uint32_t *uid)
{
    struct ucred cred;
    int domain = 0;
    socklen_t len = sizeof domain;
    if (getsockopt(c->io.fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) != 0 || domain != AF_UNIX)
        return TEDDY_EINVAL;
    len = sizeof cred;
    if (getsockopt(c->io.fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0 || len != sizeof cred)
        return TEDDY_EINVAL;
    *uid = cred.uid;
    return TEDDY_OK;
}

void conn_pause(struct conn *c)
{
    c->paused = true;
}

void conn_resume(struct conn *c)
{
    if (!c->paused)
        return;
    c->paused = false;
    c->offer = conn_held(c) > 0;
    c->more = transport_pending(c);
    conn_schedule(c); /* and watches the socket again */
}

void conn_finish(struct conn *c, uint32_t linger_ms)
{
    if (c->state == CONN_HANDSHAKE) {
        conn_abort(c);
        return;
    }
    if (c->state != CONN_OPEN)
        return;
    c->state = CONN_FINISHING;
    c->read_wants_write = false;
    conn_set_deadline(c, 0);
    conn_guard(c, loop_now_ms(c->loop) + linger_ms);
    conn_schedule(c);
}

void conn_part(struct conn *c, uint32_t linger_ms)
{
    conn_finish(c, linger_ms);
    c->parted = c->state == CONN_FINISHING;
}

void conn_abort(struct conn *c)
{
    conn_end(c, CONN_END_LOCAL);
}

void conn_each(struct loop *loop, void (*each)(struct conn *c, void *arg), void *arg)
{
    for (struct conn *c = loop_conns(loop)->all, *next; c; c = next) {
        next = c->next; /* ending is deferred, moving takes it off the list */
        each(c, arg);
    }
}

unsigned conn_count(void)
{
    return atomic_load(&alive);
}
