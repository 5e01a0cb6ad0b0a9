/* The SDK's client against a hostile server and a port that fails as it likes. Input: one byte of
 * options, one byte n, n bytes of schedule (what each call of the port does, how time goes on, what
 * the application does), then what the server sends, in pieces (see piece_out). In the end the
 * server and the port behave, and the toy must come online by itself. */
#include "fuzz.h"
#include "proto/text.h"
#include "proto/utf8.h"
#include "proto/ws.h"
#include "teddy/client.h"

#define STEPS       150
#define CALLS_MAX   6000 /* of the port in one step */
#define OUTBOX_LEN  600
#define SAID_MAX    64
#define ANSWER_ROOM 8192
#define DAY_MS      86400000u

struct toy {
    struct teddy_client *client;
    uint8_t *rx, *outbox;
    size_t rx_len;
    uint64_t now, latest; /* the latest that the client was told */
    uint32_t wait_ms;

    const uint8_t *schedule;
    size_t schedule_len, schedule_at;
    struct span server;
    bool good; /* nothing fails any more */

    bool connected, failed, answered, session, takes;
    char request[5];
    size_t request_len;
    uint8_t out[ANSWER_ROOM];
    size_t out_len, out_at;
    bool gone;

    uint8_t records[TEDDY_RECORDS][TEDDY_RECORD_MAX];
    size_t record_len[TEDDY_RECORDS];
    unsigned calls;

    uint64_t said[SAID_MAX]; /* ids in the outbox, oldest first */
    size_t said_count;
    uint64_t last_epoch, last_n; /* of the last message taken since the toy was switched on */
};

static uint8_t next(struct toy *t)
{
    if (t->good || t->schedule_len == 0)
        return 0;
    return t->schedule[t->schedule_at++ % t->schedule_len];
}

/* What a call of the port answers: mostly nothing is wrong. */
static int fate(struct toy *t)
{
    static const int codes[] = {TEDDY_EIO,   TEDDY_ECLOSED,   TEDDY_ETLS,   TEDDY_EDNS, TEDDY_ECERT,
                                TEDDY_EAUTH, TEDDY_ENOTFOUND, TEDDY_ECLOCK, -77};
    uint8_t b = next(t);

    HOLDS(++t->calls < CALLS_MAX);
    if (b < 208)
        return TEDDY_OK;
    return b < 240 ? TEDDY_AGAIN : codes[b % (sizeof codes / sizeof codes[0])];
}

static int port_random(void *ctx, uint8_t *out, size_t len)
{
    struct toy *t = ctx;

    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(next(t) + i);
    return TEDDY_OK;
}

static int port_hmac(void *ctx, const uint8_t *msg, size_t len, uint8_t mac[32])
{
    int rc = fate(ctx);

    HOLDS(len > 0 && msg != NULL);
    memset(mac, 0x11, 32);
    return rc;
}

static int port_sha1(void *ctx, const uint8_t *msg, size_t len, uint8_t digest[20])
{
    int rc = fate(ctx);

    HOLDS(len == 60 && msg != NULL);
    memset(digest, 0x22, 20);
    return rc;
}

static int port_load(void *ctx, enum teddy_record record, uint8_t *buf, size_t cap, size_t *len)
{
    struct toy *t = ctx;
    int rc = fate(t);

    HOLDS(cap >= TEDDY_RECORD_MAX);
    HOLDS(buf >= t->rx && buf + cap <= t->rx + t->rx_len);
    if (rc != TEDDY_OK)
        return rc;
    *len = t->record_len[record];
    memcpy(buf, t->records[record], *len);
    if (*len > 0 && next(t) > 250)
        buf[next(t) % *len] ^= next(t);
    return *len > 0 ? TEDDY_OK : TEDDY_ENOTFOUND;
}

static int port_save(void *ctx, enum teddy_record record, const uint8_t *data, size_t len)
{
    struct toy *t = ctx;
    int rc = fate(t);

    HOLDS(len > 0 && len <= TEDDY_RECORD_MAX);
    HOLDS(record == TEDDY_RECORD_TOKENS || len == TEDDY_LAST_LEN);
    if (rc == TEDDY_OK) {
        memcpy(t->records[record], data, len);
        t->record_len[record] = len;
    }
    return rc;
}

static int port_erase(void *ctx)
{
    struct toy *t = ctx;
    int rc = fate(t);

    if (rc == TEDDY_OK)
        memset(t->record_len, 0, sizeof t->record_len);
    return rc;
}

static int port_resolve(void *ctx, const char *host)
{
    struct toy *t = ctx;

    HOLDS(strcmp(host, "a") == 0);
    HOLDS(!t->connected);
    return fate(t);
}

static int port_connect(void *ctx, const char *host, uint16_t port, bool tls)
{
    struct toy *t = ctx;
    int rc = fate(t);

    HOLDS(strcmp(host, "a") == 0 && port == 443 && tls);
    HOLDS(!t->connected && !t->failed);
    t->failed = rc != TEDDY_OK && rc != TEDDY_AGAIN;
    t->connected = rc == TEDDY_OK;
    t->answered = t->session = t->gone = false;
    t->request_len = t->out_len = t->out_at = 0;
    return rc;
}

static void port_disconnect(void *ctx)
{
    struct toy *t = ctx;

    t->connected = t->failed = false;
}

static int port_send(void *ctx, const uint8_t *data, size_t len, size_t *sent)
{
    struct toy *t = ctx;
    int rc = fate(t);

    HOLDS(t->connected && !t->failed && len > 0);
    t->failed = rc != TEDDY_OK && rc != TEDDY_AGAIN;
    if (rc != TEDDY_OK)
        return rc;
    *sent = next(t) % 4 == 1 ? 1 + next(t) % len : len;
    for (size_t i = 0; i < *sent && t->request_len < 4; i++)
        t->request[t->request_len++] = (char)data[i];
    return TEDDY_OK;
}

static void out(struct toy *t, const void *data, size_t len)
{
    if (len <= sizeof t->out - t->out_len) {
        memcpy(t->out + t->out_len, data, len);
        t->out_len += len;
    }
}

static void frame_out(struct toy *t, uint8_t opcode, bool fin, const void *data, size_t len)
{
    uint8_t head[WS_HEADER_MAX];
    size_t n = ws_header(head, opcode, len, NULL);

    head[0] = (uint8_t)(fin ? head[0] : head[0] & 0x7f);
    out(t, head, n);
    out(t, data, len);
}

static void text_out(struct toy *t, const char *text)
{
    out(t, text, strlen(text));
}

/* Two bytes, a kind and a length, then that many: raw bytes, a frame of them, or the end. */
static void piece_out(struct toy *t)
{
    static char big[4096];
    const char *p = t->server.p + 2;
    uint8_t kind;
    size_t len;

    if (t->server.len < 2) {
        t->server.len = 0;
        return;
    }
    kind = (uint8_t)t->server.p[0] % 8;
    len = (uint8_t)t->server.p[1];
    len = len < t->server.len - 2 ? len : t->server.len - 2;
    if (kind == 0)
        out(t, p, len);
    else if (kind == 1 || kind == 2)
        frame_out(t, WS_TEXT, true, p, len);
    else if (kind == 3)
        frame_out(t, WS_TEXT, false, p, len);
    else if (kind == 4)
        frame_out(t, WS_CONTINUATION, len % 2 == 0, p, len);
    else if (kind == 5)
        frame_out(t, len % 2 == 0 ? WS_PING : WS_CLOSE, true, p, len < 126 ? len : 125);
    else if (kind == 6) { /* a long text: the piece, blanks, and its last byte again */
        memset(big, ' ', sizeof big);
        memcpy(big, p, len);
        big[16 * len] = len > 0 ? p[len - 1] : ' ';
        frame_out(t, WS_TEXT, true, big, 16 * len + 1);
    } else
        t->gone = true;
    t->server.p += 2 + len;
    t->server.len -= 2 + len;
}

/* What a good server answers. */
static void answer_out(struct toy *t)
{
    static const char pair[] = "{\"access\":\"aa.a\",\"refresh\":\"rr.r\",\"expires_in\":600}";
    static const uint8_t digest[20] = {0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22,
                                       0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22};
    char text[256], accept[WS_ACCEPT_LEN + 1];

    if (memcmp(t->request, "GET ", 4) == 0) {
        ws_accept(digest, accept);
        snprintf(text, sizeof text,
                 "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Accept: %s\r\n\r\n",
                 accept);
        text_out(t, text);
        t->session = true;
        if (next(t) < 230)
            frame_out(t, WS_TEXT, true, "{\"type\":\"welcome\",\"heartbeat_s\":30}", 35);
        return;
    }
    snprintf(text, sizeof text, "HTTP/1.1 200 x\r\nContent-Length: %zu\r\n\r\n%s", sizeof pair - 1,
             pair);
    text_out(t, text);
}

static int port_recv(void *ctx, uint8_t *buf, size_t cap, size_t *got)
{
    struct toy *t = ctx;
    int rc = fate(t);
    size_t n;

    HOLDS(t->connected && !t->failed && cap > 0);
    HOLDS((teddy_client_wants(t->client) & TEDDY_WANTS_READ) != 0);
    HOLDS(buf > t->rx - 1 && buf + cap <= t->rx + t->rx_len);
    t->failed = rc != TEDDY_OK && rc != TEDDY_AGAIN;
    if (rc != TEDDY_OK)
        return rc;
    if (!t->answered && next(t) < 220)
        answer_out(t);
    else if (!t->good && t->out_at == t->out_len)
        piece_out(t);
    t->answered = true;
    n = t->out_len - t->out_at;
    if (n == 0) {
        t->out_len = t->out_at = 0;
        t->failed = t->gone;
        return t->gone ? TEDDY_ECLOSED : TEDDY_AGAIN;
    }
    n = n < cap ? n : cap;
    if (next(t) % 3 == 1)
        n = 1 + next(t) % n;
    memcpy(buf, t->out + t->out_at, n);
    t->out_at += n;
    *got = n;
    return TEDDY_OK;
}

static uint64_t port_wall_time(void *ctx)
{
    return ((struct toy *)ctx)->good ? 1800000000 : next(ctx) * 16777216u;
}

static void port_server_time(void *ctx, uint64_t unix_s)
{
    (void)ctx;
    (void)unix_s;
}

static void port_log(void *ctx, enum teddy_log_level level, const char *line)
{
    (void)ctx;
    HOLDS(level <= TEDDY_LOG_DEBUG && strlen(line) < 200);
    HOLDS(strstr(line, "rr.r") == NULL && strstr(line, "aa.a") == NULL);
}

static const struct teddy_port port = {
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

static void said_remove(struct toy *t, size_t at)
{
    memmove(&t->said[at], &t->said[at + 1], (t->said_count - at - 1) * sizeof t->said[0]);
    t->said_count--;
}

static size_t said_find(const struct toy *t, const char *id)
{
    uint64_t n = 0;
    size_t at = 0;

    HOLDS(u64_parse(span_of(id), &n) == TEDDY_OK);
    while (at < t->said_count && t->said[at] != n)
        at++;
    return at;
}

static size_t said_count_of(const struct toy *t, uint64_t id)
{
    size_t n = 0;

    for (size_t i = 0; i < t->said_count; i++)
        n += t->said[i] == id;
    return n;
}

static void say(struct toy *t)
{
    static const char text[] = "abc\"\n\\\xc3\xa4 def ghi jkl mno pqr stu vwx yz";
    uint8_t b = next(t), len = (uint8_t)(1 + next(t) % (sizeof text - 1));
    const struct teddy_say how = {b & 1 ? TEDDY_DROP_OLDEST : TEDDY_DROP_NEWEST,
                                  b & 2 ? (uint32_t)b << (b >> 4) : 0};
    uint64_t id = 0;
    int rc;

    if (t->said_count == SAID_MAX)
        return;
    rc = teddy_client_say(t->client, text, len, b & 4 ? &how : NULL, &id);
    HOLDS(rc == TEDDY_OK || rc == TEDDY_EFULL || rc == TEDDY_EUTF8);
    if (rc == TEDDY_OK) {
        HOLDS(said_count_of(t, id) == 0);
        t->said[t->said_count++] = id;
    }
}

static void act_within(struct toy *t)
{
    uint8_t b = next(t);

    if (b > 250)
        teddy_client_stop(t->client);
    else if (b > 240)
        say(t);
}

static void on_event(void *user, const struct teddy_event *e)
{
    struct toy *t = user;

    /* An older server may say U+0000. */
    HOLDS(e->text[e->text_len] == '\0' && utf8_ok(e->text, e->text_len));
    HOLDS(utf8_ok(e->id, strlen(e->id)) && utf8_ok(e->code, strlen(e->code)));
    HOLDS(strlen(e->purpose) <= 8);
    HOLDS(e->state <= TEDDY_STATE_WAITING && e->type <= TEDDY_EVENT_ROOM);
    HOLDS(e->wait_ms <= TEDDY_RETRY_MAX_MS);
    if (e->type == TEDDY_EVENT_ECHO) {
        HOLDS(t->said_count > 0 && said_find(t, e->id) == 0); /* one at a time, in order */
        said_remove(t, 0);
    } else if (e->type == TEDDY_EVENT_DROPPED) {
        size_t at = said_find(t, e->id);

        HOLDS(at < t->said_count);
        HOLDS(strcmp(e->code, "expired") == 0 || (strcmp(e->code, "outbox_full") == 0 && at <= 1));
        said_remove(t, at);
    } else if (e->type == TEDDY_EVENT_ERROR && teddy_client_pending(t->client) < t->said_count) {
        HOLDS(said_find(t, e->id) == 0);
        said_remove(t, 0);
    }
    act_within(t);
}

static bool on_message(void *user, const struct teddy_message *m)
{
    struct toy *t = user;
    struct downlink_id id;

    HOLDS(downlink_id_parse(span_of(m->id), &id) == TEDDY_OK);
    HOLDS(id.epoch > t->last_epoch || (id.epoch == t->last_epoch && id.n > t->last_n));
    HOLDS(strlen(m->text) == m->text_len && utf8_ok(m->text, m->text_len));
    HOLDS(m->text_len == 0 || ((const uint8_t *)m->text >= t->rx &&
                               (const uint8_t *)m->text + m->text_len < t->rx + t->rx_len));
    act_within(t);
    if (!t->good && next(t) % 3 == 1)
        return false;
    t->last_epoch = id.epoch;
    t->last_n = id.n;
    return true;
}

static void switch_on(struct toy *t)
{
    const struct teddy_client_config config = {.server_url = "https://a",
                                               .device_id = "d",
                                               .child_id = "c",
                                               .firmware = "1",
                                               .on_event = on_event,
                                               .user = t};

    memset(t->client, 0xa5, sizeof *t->client);
    memset(t->rx, 0xa5, t->rx_len);
    t->connected = t->failed = false;
    t->said_count = 0;
    t->last_epoch = t->last_n = 0;
    HOLDS(teddy_client_init(t->client, &config, &port, t, t->rx, t->rx_len, t->outbox,
                            OUTBOX_LEN) == TEDDY_OK);
    teddy_client_on_message(t->client, on_message);
}

static void step(struct toy *t)
{
    struct teddy_outbox_state box;
    enum teddy_state state;

    t->calls = 0;
    t->latest = t->now > t->latest ? t->now : t->latest;
    teddy_client_step(t->client, t->now, &t->wait_ms);
    state = teddy_client_state(t->client);
    HOLDS(state <= TEDDY_STATE_WAITING);
    HOLDS(t->wait_ms != UINT32_MAX || state == TEDDY_STATE_IDLE);
    HOLDS(state == TEDDY_STATE_IDLE || t->wait_ms <= TEDDY_RETRY_MAX_MS);
    HOLDS(state != TEDDY_STATE_WAITING || !t->connected);
    HOLDS(state != TEDDY_STATE_IDLE || !t->connected);
    teddy_client_outbox(t->client, &box);
    HOLDS(teddy_client_pending(t->client) == t->said_count);
    HOLDS(box.count >= t->said_count && box.room < OUTBOX_LEN);
    HOLDS(t->said_count == 0 || box.oldest_id == t->said[0] || t->client->head_done);
}

static void act(struct toy *t)
{
    uint8_t b = next(t);

    switch (b % 16) {
    case 0:
    case 1:
        say(t);
        break;
    case 2:
        (void)!teddy_client_report(t->client, "{\"a\":1}", 7);
        break;
    case 3:
        if (b == 0x43) {
            teddy_client_stop(t->client);
            HOLDS(!t->connected);
        } else if (b == 0x53) {
            (void)teddy_client_forget(t->client);
            t->said_count = 0;
            t->last_epoch = t->last_n = 0;
        } else if (b == 0x63) {
            switch_on(t);
        }
        break;
    case 4:
        t->now += (uint64_t)next(t) * DAY_MS / 4;
        break;
    case 5:
        t->now += next(t) * 500u;
        break;
    case 6:
        t->now -= t->now > 1000 ? 1000 : 0; /* a clock that should not, and does */
        break;
    default:
        break;
    }
    t->now += t->wait_ms == UINT32_MAX ? 1 : b & 0x80 ? t->wait_ms : 1;
}

/* From now on all is well: it comes online within a refusal's longest wait. */
static void must_come_online(struct toy *t)
{
    bool online = false;

    t->good = true;
    t->now = t->latest;
    t->gone = t->connected;
    t->out_len = t->out_at = 0;
    for (unsigned i = 0; i < 20000 && !online; i++) {
        t->now += t->wait_ms == UINT32_MAX ? 1 : t->wait_ms;
        step(t);
        online = t->session && teddy_client_state(t->client) == TEDDY_STATE_ONLINE;
    }
    HOLDS(online);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct toy toy;
    struct toy *t = &toy;

    if (len < 2)
        return 0;
    memset(t, 0, sizeof *t);
    t->schedule_len = data[1] < len - 2 ? data[1] : len - 2;
    t->schedule = data + 2;
    t->server = (struct span){(const char *)data + 2 + t->schedule_len, len - 2 - t->schedule_len};
    t->rx_len = TEDDY_BUFFER_MIN + (data[0] & 1 ? 700 : 0);
    t->now = data[0] & 2 ? 1 : UINT64_C(0x7fff0000) * (1 + (data[0] >> 2 & 3));
    t->client = malloc(sizeof *t->client);
    t->rx = malloc(t->rx_len);
    t->outbox = malloc(OUTBOX_LEN);
    HOLDS(t->client != NULL && t->rx != NULL && t->outbox != NULL);
    switch_on(t);
    for (unsigned i = 0; i < STEPS; i++) {
        step(t);
        act(t);
    }
    must_come_online(t);
    free(t->outbox);
    free(t->rx);
    free(t->client);
    return 0;
}
