#include "world.h"

#include <stdio.h>
#include <string.h>

#include "server_side.h"

static void called(struct world *w, enum world_call call)
{
    if (w->on_call != NULL) {
        w->on_call(w, call);
    }
}

static bool again(struct world *w, unsigned call)
{
    if (w->agains[call] < w->again) {
        w->agains[call]++;
        return true;
    }
    w->agains[call] = 0;
    return false;
}

static uint64_t rng_next(struct world *w)
{
    w->rng ^= w->rng << 13;
    w->rng ^= w->rng >> 7;
    w->rng ^= w->rng << 17;
    return w->rng;
}

static int port_random(void *ctx, uint8_t *out, size_t len)
{
    struct world *w = ctx;
    for (size_t i = 0; i < len; i++) {
        out[i] = (uint8_t)(rng_next(w) >> 24);
    }
    return w->rng_broken ? TEDDY_EIO : TEDDY_OK;
}

static int port_hmac(void *ctx, const uint8_t *msg, size_t len, uint8_t mac[32])
{
    struct world *w = ctx;
    called(w, ON_HMAC);
    if (w->hmac_rc != TEDDY_OK || again(w, ON_HMAC)) {
        return w->hmac_rc != TEDDY_OK ? w->hmac_rc : TEDDY_AGAIN;
    }
    w->hmacs++;
    server_hmac(msg, len, mac);
    return TEDDY_OK;
}

static int port_sha1(void *ctx, const uint8_t *msg, size_t len, uint8_t digest[20])
{
    struct world *w = ctx;
    called(w, ON_SHA1);
    if (w->sha1_rc != TEDDY_OK || again(w, ON_SHA1)) {
        return w->sha1_rc != TEDDY_OK ? w->sha1_rc : TEDDY_AGAIN;
    }
    server_sha1(msg, len, digest);
    return TEDDY_OK;
}

static int port_load(void *ctx, enum teddy_record record, uint8_t *buf, size_t cap, size_t *len)
{
    struct world *w = ctx;
    called(w, ON_LOAD);
    int wrong = w->load_rcs[record] != TEDDY_OK ? w->load_rcs[record] : w->load_rc;
    if (wrong != TEDDY_OK || again(w, ON_LOAD)) {
        return wrong != TEDDY_OK ? wrong : TEDDY_AGAIN;
    }
    if (w->record_len[record] == 0) {
        return TEDDY_ENOTFOUND;
    }
    assert_true(w->record_len[record] <= cap);
    memcpy(buf, w->records[record], w->record_len[record]);
    *len = w->record_len[record];
    return TEDDY_OK;
}

static int port_save(void *ctx, enum teddy_record record, const uint8_t *data, size_t len)
{
    struct world *w = ctx;
    called(w, ON_SAVE);
    int wrong = record == TEDDY_RECORD_LAST && w->last_rc != TEDDY_OK ? w->last_rc : w->save_rc;
    if (wrong != TEDDY_OK || again(w, ON_SAVE)) {
        return wrong != TEDDY_OK ? wrong : TEDDY_AGAIN;
    }
    assert_in_range(len, 1, TEDDY_RECORD_MAX);
    if (w->on_save != NULL) {
        return w->on_save(w, record, data, len);
    }
    memcpy(w->records[record], data, len);
    w->record_len[record] = len;
    *(record == TEDDY_RECORD_LAST ? &w->lasts : &w->saves) += 1;
    return TEDDY_OK;
}

static int port_erase(void *ctx)
{
    struct world *w = ctx;
    memset(w->record_len, 0, sizeof w->record_len);
    return TEDDY_OK;
}

/* The connection is to the server of the configuration. */
static void server_is(const struct world *w, const char *host, uint16_t port)
{
    char url[160];
    snprintf(url, sizeof url, "https://%s:%u", host, port);
    assert_string_equal(url, w->config.server_url);
}

static int port_resolve(void *ctx, const char *host)
{
    struct world *w = ctx;
    called(w, ON_RESOLVE);
    assert_non_null(strstr(w->config.server_url, host));
    return w->resolve_rc == TEDDY_OK && again(w, ON_RESOLVE) ? TEDDY_AGAIN : w->resolve_rc;
}

static int port_connect(void *ctx, const char *host, uint16_t port, bool tls)
{
    struct world *w = ctx;
    called(w, ON_CONNECT);
    server_is(w, host, port);
    assert_true(tls);
    assert_false(w->open); /* the one connection: the last one was ended first */
    if (again(w, ON_CONNECT)) {
        return TEDDY_AGAIN;
    }
    w->connects += w->connect_rc != TEDDY_AGAIN;
    if (w->connect_rc == TEDDY_OK) {
        server_accept(w);
    }
    return w->connect_rc;
}

static int port_send(void *ctx, const uint8_t *data, size_t len, size_t *sent)
{
    struct world *w = ctx;
    called(w, ON_SEND);
    assert_true(len > 0);
    if (!w->open) {
        return TEDDY_ECLOSED;
    }
    if (w->send_rc != TEDDY_OK || again(w, ON_SEND)) {
        return w->send_rc != TEDDY_OK ? w->send_rc : TEDDY_AGAIN;
    }
    size_t n = w->piece != 0 && len > w->piece ? w->piece : len;
    server_feed(w, data, n);
    *sent = n;
    return TEDDY_OK;
}

static int port_recv(void *ctx, uint8_t *buf, size_t cap, size_t *got)
{
    struct world *w = ctx;
    called(w, ON_RECV);
    assert_true(cap > 0);
    if (!w->open) {
        return TEDDY_ECLOSED;
    }
    if (again(w, ON_RECV)) {
        return TEDDY_AGAIN;
    }
    size_t n = w->out_len - w->out_at;
    if (n == 0) {
        return w->gone ? TEDDY_ECLOSED : TEDDY_AGAIN;
    }
    n = n > cap ? cap : n;
    n = w->piece != 0 && n > w->piece ? w->piece : n;
    memcpy(buf, w->out + w->out_at, n);
    w->out_at += n;
    *got = n;
    return TEDDY_OK;
}

static void port_disconnect(void *ctx)
{
    struct world *w = ctx;
    w->open = false;
    w->disconnects++;
}

static uint64_t port_wall_time(void *ctx)
{
    return ((struct world *)ctx)->wall;
}

static void port_server_time(void *ctx, uint64_t unix_s)
{
    ((struct world *)ctx)->told = unix_s;
}

static void port_log(void *ctx, enum teddy_log_level level, const char *line)
{
    struct world *w = ctx;
    (void)level;
    snprintf(w->log, sizeof w->log, "%s", line);
}

const struct teddy_port world_port = {
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
    .log = port_log,
};

/* Nothing is said of an event but what teddy/client.h lists for its type (and a code that the
 * server put into an echo or a reply). */
static void check_members(const struct teddy_event *e)
{
    enum {
        ERR = 1,
        ANSWER = 2,
        CODE = 4,
        PURPOSE = 8,
        ID = 16,
        TEXT = 32,
        WAIT = 64,
        EXPIRES = 128,
        SKEW = 256
    };
    static const unsigned listed[] = {
        [TEDDY_EVENT_STATE] = 0,
        [TEDDY_EVENT_CONNECTED] = PURPOSE,
        [TEDDY_EVENT_CLAIMED] = ERR | EXPIRES,
        [TEDDY_EVENT_REFRESHED] = ERR | EXPIRES,
        [TEDDY_EVENT_ECHO] = ID | TEXT | CODE,
        [TEDDY_EVENT_REPLY] = ID | TEXT | CODE,
        [TEDDY_EVENT_ERROR] = ID | TEXT | CODE | ANSWER,
        [TEDDY_EVENT_CLOCK] = SKEW,
        [TEDDY_EVENT_DROPPED] = ID | CODE,
        [TEDDY_EVENT_ROOM] = 0,
    };
    bool waits = e->type == TEDDY_EVENT_STATE && e->state == TEDDY_STATE_WAITING;
    unsigned may = waits ? ERR | ANSWER | CODE | PURPOSE | WAIT : listed[e->type];
    unsigned said = (e->err != 0 ? ERR : 0u) | (e->status != 0 || e->close != 0 ? ANSWER : 0u) |
                    (e->code[0] != '\0' ? CODE : 0u) | (e->purpose[0] != '\0' ? PURPOSE : 0u) |
                    (e->id[0] != '\0' ? ID : 0u) | (e->wait_ms != 0 ? WAIT : 0u) |
                    (e->text_len != 0 || e->seq != 0 || e->done ? TEXT : 0u) |
                    (e->expires_in != 0 ? EXPIRES : 0u) | (e->skew_s != 0 ? SKEW : 0u);
    assert_int_equal(said & ~may, 0);
}

static void on_event(void *user, const struct teddy_event *e)
{
    struct world *w = user;
    assert_non_null(e->code);
    assert_non_null(e->purpose);
    assert_non_null(e->id);
    assert_non_null(e->text);
    assert_int_equal(strlen(e->text), e->text_len);
    check_members(e);
    struct seen *s = &w->seen[w->seen_count % WORLD_EVENTS];
    w->seen_count++;
    *s = (struct seen){.type = e->type,
                       .state = e->state,
                       .err = e->err,
                       .status = e->status,
                       .close = e->close,
                       .text_len = e->text_len,
                       .seq = e->seq,
                       .at = w->now,
                       .done = e->done,
                       .wait_ms = e->wait_ms,
                       .expires_in = e->expires_in,
                       .skew_s = e->skew_s};
    snprintf(s->code, sizeof s->code, "%s", e->code);
    snprintf(s->purpose, sizeof s->purpose, "%s", e->purpose);
    snprintf(s->id, sizeof s->id, "%s", e->id);
    snprintf(s->text, sizeof s->text, "%.255s", e->text);
    if (w->on_event != NULL) {
        w->on_event(w, e);
    }
}

static bool on_message(void *user, const struct teddy_message *m)
{
    struct world *w = user;
    unsigned i = w->taken % 64;
    called(w, ON_MESSAGE);
    assert_int_equal(strlen(m->text), m->text_len);
    w->offers++;
    if (w->on_message != NULL) {
        w->on_message(w, m);
    }
    if (w->refuses) {
        return false;
    }
    snprintf(w->taken_id[i], sizeof w->taken_id[i], "%s", m->id);
    snprintf(w->taken_text[i], sizeof w->taken_text[i], "%.63s", m->text);
    w->taken_data[i] = m->is_data;
    w->taken_expires = m->expires_s;
    w->taken++;
    return true;
}

void world_boot(struct world *w, const struct teddy_port *port)
{
    w->open = false;
    w->config.on_event = on_event;
    w->config.user = w;
    memset(&w->client, 0xa5, sizeof w->client);
    assert_int_equal(teddy_client_init(&w->client, &w->config, port, w, w->rx, w->rx_len, w->outbox,
                                       sizeof w->outbox),
                     TEDDY_OK);
    teddy_client_on_message(&w->client, on_message);
}

void world_reboot(struct world *w)
{
    world_boot(w, &world_port);
}

void world_init(struct world *w)
{
    memset(w, 0, sizeof *w);
    w->rng = 0x9e3779b97f4a7c15u;
    w->now = 1000;
    w->wall = 1800000000;
    w->rx_len = sizeof w->rx;
    w->config = (struct teddy_client_config){.server_url = "https://teddy.example:8443",
                                             .device_id = "Teddy-ESP32-0001",
                                             .child_id = "child123",
                                             .firmware = "1.2.3"};
    world_reboot(w);
}

void world_step(struct world *w)
{
    server_tick(w);
    teddy_client_step(&w->client, w->now, &w->wait_ms);
    w->steps++;
}

/* Lets time pass as a caller would: until the client wants to be called, or there is something to
 * read. */
static void pass(struct world *w, uint64_t until)
{
    bool readable = w->open && (teddy_client_wants(&w->client) & TEDDY_WANTS_READ) != 0 &&
                    (w->out_at < w->out_len || w->gone);
    if (w->wait_ms == 0 || readable ||
        (w->open && w->send_rc != TEDDY_AGAIN &&
         (teddy_client_wants(&w->client) & TEDDY_WANTS_WRITE) != 0)) {
        w->now += w->again != 0 || w->piece != 0 ? 0 : 1;
        if (w->steps % 64 == 0) {
            w->now++; /* also a busy world's clock moves on */
        }
        return;
    }
    uint64_t next = w->now + w->wait_ms;
    uint64_t event = server_next(w);
    if (event > w->now && event < next) {
        next = event;
    }
    w->now = next > until ? until : next;
}

void world_run(struct world *w, uint64_t ms)
{
    uint64_t until = w->now + ms;
    while (w->now < until) {
        world_step(w);
        pass(w, until);
    }
    world_step(w);
}

void world_until(struct world *w, enum teddy_state state, uint64_t within_ms)
{
    uint64_t until = w->now + within_ms;
    world_step(w);
    while (teddy_client_state(&w->client) != state) {
        if (w->now >= until) {
            fail_msg("state %d not reached, still in %d (last log: %s)", (int)state,
                     (int)teddy_client_state(&w->client), w->log);
        }
        pass(w, until);
        world_step(w);
    }
}

const struct seen *world_last(const struct world *w, enum teddy_event_type type)
{
    size_t first = w->seen_count > WORLD_EVENTS ? w->seen_count - WORLD_EVENTS : 0;
    for (size_t i = w->seen_count; i > first; i--) {
        if (w->seen[(i - 1) % WORLD_EVENTS].type == type) {
            return &w->seen[(i - 1) % WORLD_EVENTS];
        }
    }
    return NULL;
}

unsigned world_count(const struct world *w, enum teddy_event_type type)
{
    unsigned n = 0;
    assert_true(w->seen_count <= WORLD_EVENTS);
    for (size_t i = 0; i < w->seen_count; i++) {
        n += w->seen[i].type == type;
    }
    return n;
}

const struct seen *world_waiting(const struct world *w)
{
    size_t first = w->seen_count > WORLD_EVENTS ? w->seen_count - WORLD_EVENTS : 0;
    for (size_t i = w->seen_count; i > first; i--) {
        const struct seen *s = &w->seen[(i - 1) % WORLD_EVENTS];
        if (s->type == TEDDY_EVENT_STATE && s->state == TEDDY_STATE_WAITING) {
            return s;
        }
    }
    fail_msg("the toy never waited");
    return NULL;
}

void world_say(struct world *w, const char *text)
{
    uint64_t id;
    assert_int_equal(teddy_client_say(&w->client, text, strlen(text), NULL, &id), TEDDY_OK);
}
