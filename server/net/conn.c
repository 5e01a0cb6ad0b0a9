#include "net/conn.h"

#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/conn_internal.h"
#include "net/tls.h"

static atomic_uint alive;

static void settle(struct loop *loop, struct loop_task *task);

static struct conn *of_task(struct loop_task *task)
{
    return CONTAINER(task, struct conn, task);
}

void conn_schedule(struct conn *c)
{
    if (c->queued)
        return;
    c->queued = true;
    c->task.run = settle;
    loop_defer(c->loop, &c->task);
}

void conn_end(struct conn *c, enum conn_end why)
{
    if (c->state == CONN_DEAD)
        return;
    bool ours = c->state == CONN_FINISHING || c->state == CONN_LINGERING;
    c->why = (uint8_t)(ours ? CONN_END_LOCAL : why);
    c->state = CONN_DEAD;
    conn_schedule(c);
}

static void enlist(struct conn *c)
{
    struct conn **head = loop_conns(c->loop);
    c->next = *head;
    c->prev = head;
    if (c->next)
        c->next->prev = &c->next;
    *head = c;
}

static void delist(struct conn *c)
{
    *c->prev = c->next;
    if (c->next)
        c->next->prev = c->prev;
    c->next = NULL;
    c->prev = NULL;
}

/* The last moment: everything the loop knows of it is undone, then the owner is told. */
static void bury(struct conn *c)
{
    loop_io_del(c->loop, &c->io);
    loop_timer_unset(c->loop, &c->deadline);
    loop_timer_unset(c->loop, &c->guard);
    delist(c);
    c->handler->closed(c, (enum conn_end)c->why);
    SSL_free(c->ssl);
    close(c->io.fd);
    buffer_free(&c->in);
    buffer_free(&c->out);
    free(c);
    atomic_fetch_sub(&alive, 1);
}

static void shut_down(struct conn *c)
{
    if (c->write_blocked)
        return;
    if (!transport_shutdown(c)) {
        c->write_blocked = true;
        return;
    }
    c->state = CONN_LINGERING;
    if (c->eof)
        conn_end(c, CONN_END_LOCAL);
}

static uint32_t wanted(const struct conn *c)
{
    if (c->state == CONN_HANDSHAKE)
        return (c->read_wants_write ? LOOP_WRITE : LOOP_READ) | LOOP_EDGE;
    uint32_t events = conn_reading(c) ? LOOP_READ : 0;
    if (c->write_blocked)
        events |= c->write_wants_read ? LOOP_READ : LOOP_WRITE;
    if (c->read_wants_write && conn_reading(c))
        events |= LOOP_WRITE;
    return events;
}

/* Reading is given up only when it disturbs (ready_now): a request answered within its round, or
 * soon after, then costs no change of what is watched. */
static void watch(struct conn *c)
{
    uint32_t events = wanted(c) | (c->io.events & LOOP_READ);
    if (events != c->io.events && loop_io_mod(c->loop, &c->io, events) != TEDDY_OK)
        conn_end(c, CONN_END_LOCAL);
}

static void depart(struct conn *c);

/* The end of a round for one connection: what was asked for during the round happens here, so that
 * no callback ever comes from within a call. */
static void settle(struct loop *loop, struct loop_task *task)
{
    (void)loop;
    struct conn *c = of_task(task);
    c->queued = false;
    if (c->move_to) {
        depart(c);
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
    if (c->move_to)
        return; /* scheduled again by conn_move */
    bool had = c->out.len > 0;
    conn_flush(c);
    bool drained = had && c->out.len == 0 && c->state == CONN_OPEN;
    if (drained && c->handler->drained)
        c->handler->drained(c);
    if (c->move_to)
        return;
    if (c->state == CONN_FINISHING && c->out.len == 0)
        shut_down(c);
    if (c->state == CONN_OPEN && c->eof && !c->paused && !c->offer && !c->more && c->out.len == 0)
        conn_end(c, CONN_END_PEER);
    if (c->state != CONN_DEAD)
        watch(c);
}

static void handshake(struct conn *c)
{
    enum transport t = transport_handshake(c);
    if (t == TRANSPORT_BLOCKED)
        return;
    if (t != TRANSPORT_OK) {
        conn_end(c, t == TRANSPORT_TLS ? CONN_END_TLS : CONN_END_PEER);
        return;
    }
    c->state = CONN_OPEN;
    loop_timer_unset(c->loop, &c->guard);
    if (transport_pending(c)) /* came with the last flight */
        conn_pull(c);
}

static void handshake_turn(struct loop *loop, struct loop_task *task)
{
    (void)loop;
    struct conn *c = of_task(task);
    c->queued = false;
    if (c->state == CONN_HANDSHAKE && !c->move_to)
        handshake(c);
    conn_schedule(c);
}

/* A handshake takes as long as fifty messages: those of a round are served before it has its turn.
 */
static void queue_handshake(struct conn *c)
{
    if (c->queued)
        return;
    c->queued = true;
    c->task.run = handshake_turn;
    loop_defer_heavy(c->loop, &c->task, transport_begun(c));
}

static void ready_now(struct loop *loop, struct loop_io *io, uint32_t events)
{
    (void)loop;
    struct conn *c = CONTAINER(io, struct conn, io);
    if (c->state == CONN_DEAD || c->move_to)
        return;
    if (c->state == CONN_HANDSHAKE) {
        queue_handshake(c);
        return;
    }
    conn_schedule(c);
    if ((events & LOOP_WRITE) || ((events & LOOP_READ) && c->write_wants_read))
        c->write_blocked = false;
    if (conn_reading(c)) {
        bool readable = (events & (LOOP_READ | LOOP_HANGUP)) || c->read_wants_write;
        if (readable && c->state == CONN_OPEN)
            conn_pull(c);
        else if (readable)
            conn_discard(c);
        return;
    }
    if (events & LOOP_HANGUP) {
        conn_end(c, CONN_END_PEER);
        return;
    }
    if ((events & LOOP_READ) && !c->write_wants_read &&
        loop_io_mod(c->loop, io, io->events & ~(uint32_t)LOOP_READ) != TEDDY_OK)
        conn_end(c, CONN_END_LOCAL);
}

static void deadline_fired(struct loop *loop, struct loop_timer *timer)
{
    (void)loop;
    struct conn *c = CONTAINER(timer, struct conn, deadline);
    timer->at_ms = 0;
    if (c->state != CONN_OPEN && c->state != CONN_HANDSHAKE)
        return;
    if (c->handler->deadline)
        c->handler->deadline(c);
    else
        conn_abort(c);
}

static void guard_fired(struct loop *loop, struct loop_timer *timer)
{
    (void)loop;
    struct conn *c = CONTAINER(timer, struct conn, guard);
    timer->at_ms = 0;
    if (c->state == CONN_HANDSHAKE)
        conn_end(c, CONN_END_TLS);
    else
        conn_end(c, CONN_END_STALLED);
}

static void fill_limits(struct conn_limits *l, const struct conn_limits *given)
{
    *l = given ? *given : (struct conn_limits){0};
    if (l->in_max == 0)
        l->in_max = 64 * 1024;
    if (l->out_max == 0)
        l->out_max = 256 * 1024;
    if (l->handshake_ms == 0)
        l->handshake_ms = 10000;
    if (l->write_stall_ms == 0)
        l->write_stall_ms = 20000;
}

static int start_tls(struct conn *c, struct tls_context *tls)
{
    c->ssl = tls_accept(tls);
    if (!c->ssl)
        return TEDDY_ETLS;
    if (SSL_set_fd(c->ssl, c->io.fd) != 1) {
        SSL_free(c->ssl);
        return TEDDY_ETLS;
    }
    c->state = CONN_HANDSHAKE;
    return TEDDY_OK;
}

int conn_new(struct loop *loop, int fd, struct tls_context *tls,
             const struct sockaddr_storage *peer, const struct conn_limits *limits,
             const struct conn_handler *handler, void *user, struct conn **out)
{
    int err = TEDDY_ENOMEM;
    struct conn *c = calloc(1, sizeof *c);
    if (!c)
        goto no_conn;
    c->loop = loop;
    c->handler = handler;
    c->user = user;
    c->io.fd = fd;
    c->io.ready = ready_now;
    c->deadline.fire = deadline_fired;
    c->guard.fire = guard_fired;
    c->state = CONN_OPEN;
    c->peer = *peer;
    fill_limits(&c->limits, limits);
    if (peer->ss_family != AF_UNIX)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (tls && (err = start_tls(c, tls)) != TEDDY_OK)
        goto no_tls;
    err = loop_io_add(loop, &c->io, wanted(c));
    if (err != TEDDY_OK)
        goto no_io;
    if (c->state == CONN_HANDSHAKE)
        loop_timer_set(loop, &c->guard, loop_now_ms(loop) + c->limits.handshake_ms);
    enlist(c);
    atomic_fetch_add(&alive, 1);
    if (out)
        *out = c;
    return TEDDY_OK;

no_io:
    SSL_free(c->ssl);
no_tls:
    free(c);
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

void *conn_user(const struct conn *c)
{
    return c->user;
}

struct loop *conn_loop(const struct conn *c)
{
    return c->loop;
}

const struct sockaddr_storage *conn_peer(const struct conn *c)
{
    return &c->peer;
}

void conn_set_peer(struct conn *c, const struct sockaddr_storage *peer)
{
    c->peer = *peer;
}

bool conn_is_tls(const struct conn *c)
{
    return c->ssl != NULL;
}

int conn_peer_uid(const struct conn *c, uint32_t *uid)
{
    struct ucred cred;
    socklen_t len = sizeof cred;
    if (c->peer.ss_family != AF_UNIX ||
        getsockopt(c->io.fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0 || len != sizeof cred)
        return TEDDY_EINVAL;
    *uid = cred.uid;
    return TEDDY_OK;
}

size_t conn_unsent(const struct conn *c)
{
    return c->out.len;
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
    c->offer = c->in.len > 0;
    c->more = transport_pending(c);
    conn_schedule(c); /* and watches the socket again */
}

void conn_set_deadline(struct conn *c, uint64_t at_ms)
{
    if (c->move_to || at_ms == 0) {
        if (!c->move_to)
            loop_timer_unset(c->loop, &c->deadline);
        c->deadline.at_ms = at_ms;
        return;
    }
    loop_timer_set(c->loop, &c->deadline, at_ms);
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
    if (c->move_to)
        c->guard.at_ms = loop_now_ms(c->loop) + linger_ms;
    else
        loop_timer_set(c->loop, &c->guard, loop_now_ms(c->loop) + linger_ms);
    conn_schedule(c);
}

void conn_abort(struct conn *c)
{
    conn_end(c, CONN_END_LOCAL);
}

/* A timer that is not set has no time, so that it is not set on arrival either. */
static void pack_timer(struct loop *loop, struct loop_timer *timer)
{
    if (!timer->prev)
        timer->at_ms = 0;
    loop_timer_unset(loop, timer);
}

static void unpack_timer(struct loop *loop, struct loop_timer *timer)
{
    if (timer->at_ms)
        loop_timer_set(loop, timer, timer->at_ms);
}

static void arrive(struct loop *loop, struct loop_task *task)
{
    struct conn *c = of_task(task);
    c->loop = loop;
    c->move_to = NULL;
    enlist(c);
    unpack_timer(loop, &c->deadline);
    unpack_timer(loop, &c->guard);
    uint32_t events = c->state == CONN_DEAD ? 0 : wanted(c);
    c->io.events = 0;
    if (loop_io_add(loop, &c->io, events) != TEDDY_OK)
        conn_end(c, CONN_END_LOCAL);
    c->queued = false;
    conn_schedule(c);
    c->arrived(c);
}

/* Posted only now, at the end of the round: nobody on this loop holds the connection any more. */
static void depart(struct conn *c)
{
    c->task.run = arrive;
    c->queued = true;
    loop_post(c->move_to, &c->task);
}

void conn_move(struct conn *c, struct loop *to, void (*arrived)(struct conn *c))
{
    loop_io_del(c->loop, &c->io);
    pack_timer(c->loop, &c->deadline);
    pack_timer(c->loop, &c->guard);
    delist(c);
    c->paused = true;
    c->move_to = to;
    c->arrived = arrived;
    conn_schedule(c);
}

void conn_each(struct loop *loop, void (*each)(struct conn *c, void *arg), void *arg)
{
    for (struct conn *c = *loop_conns(loop), *next; c; c = next) {
        next = c->next; /* ending is deferred, moving takes it off the list */
        each(c, arg);
    }
}

unsigned conn_count(void)
{
    return atomic_load(&alive);
}
