/* The port of a simulated toy: the POSIX one, with the fault at work in between, and records in
 * memory. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "proto/text.h"
#include "sim/sim.h"

/* Small draws decide how long a toy waits: they come from the seed, so that a run can be repeated.
 * What must never repeat, nonces above all, comes from the system. */
static int port_random(void *ctx, uint8_t *out, size_t len)
{
    struct toy *t = ctx;

    if (len > sizeof(uint32_t))
        return teddy_posix_port.random(t->posix, out, len);
    uint64_t r = sim_draw(&t->jitter);
    memcpy(out, &r, len);
    return TEDDY_OK;
}

static int port_hmac(void *ctx, const uint8_t *msg, size_t len, uint8_t mac[32])
{
    return teddy_posix_port.hmac_sha256(((struct toy *)ctx)->posix, msg, len, mac);
}

static int port_sha1(void *ctx, const uint8_t *msg, size_t len, uint8_t digest[20])
{
    return teddy_posix_port.sha1(((struct toy *)ctx)->posix, msg, len, digest);
}

void sim_record_lose(struct sim_record *r)
{
    if (r->data != NULL)
        wipe(r->data, r->len);
    free(r->data);
    *r = (struct sim_record){0};
}

static int port_load(void *ctx, enum teddy_record record, uint8_t *buf, size_t cap, size_t *len)
{
    const struct sim_record *r = &((struct toy *)ctx)->records[record];

    if (r->damaged)
        return TEDDY_EAUTH;
    if (r->data == NULL)
        return TEDDY_ENOTFOUND;
    if (r->len > cap)
        return TEDDY_EAUTH;
    memcpy(buf, r->data, r->len);
    *len = r->len;
    return TEDDY_OK;
}

static int port_save(void *ctx, enum teddy_record record, const uint8_t *data, size_t len)
{
    struct sim_record *r = &((struct toy *)ctx)->records[record];
    uint8_t *copy;

    if (r->data == NULL || r->len != len) {
        copy = malloc(len);
        if (copy == NULL)
            return TEDDY_EIO;
        sim_record_lose(r);
        r->data = copy;
        r->len = len;
    }
    memcpy(r->data, data, len);
    r->damaged = false;
    return TEDDY_OK;
}

static int port_erase(void *ctx)
{
    struct toy *t = ctx;

    for (size_t i = 0; i < TEDDY_RECORDS; i++)
        sim_record_lose(&t->records[i]);
    return TEDDY_OK;
}

static int port_resolve(void *ctx, const char *host)
{
    return teddy_posix_port.resolve(((struct toy *)ctx)->posix, host);
}

bool sim_port_held(const struct toy *t)
{
    const struct sim_link_fault *f = &t->fault;

    if (f->kind == FAULT_STALL)
        return t->sim->now < f->until_ms;
    return f->kind == FAULT_SLOW && t->sim->now < f->until_ms && t->sim->now < f->next_ms;
}

/* As a cable pulled: what is on its way is lost too. */
static int cut(struct toy *t)
{
    struct linger now = {.l_onoff = 1};
    int fd = teddy_posix_fd(t->posix);

    if (fd >= 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    t->fault.kind = FAULT_NONE;
    return TEDDY_EIO;
}

/* Some of the cuts fall into the TLS handshake. */
static bool cut_in_handshake(const struct toy *t)
{
    return t->fault.kind == FAULT_CUT && t->fault.bytes < 256 && teddy_posix_fd(t->posix) >= 0 &&
           teddy_posix_events(t->posix, TEDDY_WANTS_READ) == POLLIN;
}

static int port_connect(void *ctx, const char *host, uint16_t port, bool tls)
{
    struct toy *t = ctx;
    int rc;

    t->held = 0;
    if (sim_port_held(t))
        return TEDDY_AGAIN;
    rc = teddy_posix_port.connect(t->posix, host, port, tls);
    return rc == TEDDY_AGAIN && cut_in_handshake(t) ? cut(t) : rc;
}

/* How much of *len the fault at work lets pass now: TEDDY_OK, TEDDY_AGAIN, or the end. */
static int gate(struct toy *t, size_t *len)
{
    struct sim_link_fault *f = &t->fault;
    uint64_t now = t->sim->now;

    if (sim_port_held(t))
        return TEDDY_AGAIN;
    if (f->kind == FAULT_CUT && (f->bytes == 0 || now >= f->until_ms))
        return cut(t);
    if (f->kind == FAULT_SLOW && f->breaks && now >= f->until_ms)
        return cut(t);
    if (f->kind == FAULT_TRUNCATE && (f->bytes == 0 || now >= f->until_ms)) {
        f->kind = FAULT_NONE;
        return TEDDY_ECLOSED;
    }
    if ((f->kind == FAULT_STALL || f->kind == FAULT_SLOW) && now >= f->until_ms)
        f->kind = FAULT_NONE;
    if ((f->kind == FAULT_CUT || f->kind == FAULT_SLOW) && *len > f->bytes)
        *len = f->bytes;
    return TEDDY_OK;
}

static void passed(struct toy *t, size_t n)
{
    if (t->fault.kind == FAULT_CUT)
        t->fault.bytes -= n < t->fault.bytes ? (uint32_t)n : t->fault.bytes;
    if (t->fault.kind == FAULT_SLOW)
        t->fault.next_ms = t->sim->now + SIM_SLOW_MS;
}

static int port_send(void *ctx, const uint8_t *data, size_t len, size_t *sent)
{
    struct toy *t = ctx;
    size_t most = len;
    int rc = gate(t, &most);

    *sent = 0;
    if (rc != TEDDY_OK)
        return rc;
    if (t->held > 0 && t->held <= len)
        most = t->held; /* TLS has made a record of so many: it wants the very same again */
    rc = teddy_posix_port.send(t->posix, data, most, sent);
    t->held = rc == TEDDY_AGAIN ? most : 0;
    if (rc == TEDDY_OK)
        passed(t, *sent);
    return rc;
}

static int port_recv(void *ctx, uint8_t *buf, size_t cap, size_t *got)
{
    struct toy *t = ctx;
    int rc = gate(t, &cap);

    *got = 0;
    if (rc != TEDDY_OK)
        return rc;
    rc = teddy_posix_port.recv(t->posix, buf, cap, got);
    if (rc != TEDDY_OK)
        return rc;
    if (t->fault.kind == FAULT_TRUNCATE && *got > 1) {
        *got = 1 + t->fault.bytes % (*got - 1);
        t->fault.bytes = 0; /* the next call says that it has ended */
    }
    passed(t, *got);
    return rc;
}

static void port_disconnect(void *ctx)
{
    struct toy *t = ctx;

    teddy_posix_port.disconnect(t->posix);
    t->fd = -1; /* closing took it out of the epoll set */
    t->events = 0;
    t->held = 0;
}

static uint64_t port_wall_time(void *ctx)
{
    struct toy *t = ctx;
    int64_t now = (int64_t)teddy_posix_port.wall_time(t->posix) + t->skew_s;

    return now > 0 ? (uint64_t)now : 0;
}

static void port_server_time(void *ctx, uint64_t unix_s)
{
    teddy_posix_port.server_time(((struct toy *)ctx)->posix, unix_s);
}

const struct teddy_port sim_port = {
    .random = port_random,
    .hmac_sha256 = port_hmac,
    .sha1 = port_sha1,
    .load = port_load,
    .save = port_save,
    .erase = port_erase,
    .resolve = port_resolve,
    .connect = port_connect,
    .send = port_send,
    .recv = port_recv,
    .disconnect = port_disconnect,
    .wall_time = port_wall_time,
    .server_time = port_server_time,
};
