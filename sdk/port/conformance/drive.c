/* What moves the port and the toy: calls repeated while they say AGAIN, and the client's loop. */
#include <stdio.h>
#include <string.h>

#include "parts.h"

#define REST_MS  50   /* the longest rest: a board that cannot wait for the socket sleeps it */
#define POLL_MS  5    /* between two calls that say AGAIN */
#define STORE_MS 5000 /* for the flash */

uint64_t board_now(const struct conformance *c)
{
    return c->config.board->now_ms(c->config.board_ctx);
}

void board_rest(struct conformance *c, uint32_t ms, unsigned wants)
{
    c->config.board->wait(c->config.board_ctx, c->tap.ctx, ms < REST_MS ? ms : REST_MS, wants);
}

const char *err_name(int err)
{
    switch (err) {
#define NAME(name, value, text)                                                                    \
    case (value):                                                                                  \
        return "TEDDY_" #name;
        TEDDY_ERR_MAP(NAME)
#undef NAME
    default:
        return "no teddy_err";
    }
}

bool board_reboot(struct conformance *c)
{
    int err;

    toy_stop(c);
    if (c->open)
        c->config.board->close(c->config.board_ctx, c->tap.ctx);
    c->open = false;
    c->tap.ctx = NULL;
    err = c->config.board->open(c->config.board_ctx, &c->tap.ctx);
    if (err != TEDDY_OK)
        return check_fail(c, "the board's open said %s; nothing can be checked", err_name(err));
    c->open = true;
    return true;
}

int until_erased(struct conformance *c)
{
    uint64_t end = board_now(c) + STORE_MS;
    int rc;

    while ((rc = tap_port.erase(&c->tap)) == TEDDY_AGAIN && board_now(c) < end)
        board_rest(c, POLL_MS, TEDDY_WANTS_READ);
    return rc == TEDDY_AGAIN ? TEDDY_ETIMEOUT : rc;
}

int until_saved(struct conformance *c, enum teddy_record r, const uint8_t *data, size_t len)
{
    uint64_t end = board_now(c) + STORE_MS;
    int rc;

    while ((rc = tap_port.save(&c->tap, r, data, len)) == TEDDY_AGAIN && board_now(c) < end)
        board_rest(c, POLL_MS, TEDDY_WANTS_READ);
    return rc == TEDDY_AGAIN ? TEDDY_ETIMEOUT : rc;
}

int until_loaded(struct conformance *c, enum teddy_record r, uint8_t *buf, size_t cap, size_t *len)
{
    uint64_t end = board_now(c) + STORE_MS;
    int rc;

    *len = 0;
    while ((rc = tap_port.load(&c->tap, r, buf, cap, len)) == TEDDY_AGAIN && board_now(c) < end)
        board_rest(c, POLL_MS, TEDDY_WANTS_READ);
    return rc == TEDDY_AGAIN ? TEDDY_ETIMEOUT : rc;
}

int until_resolved(struct conformance *c, const char *host, uint32_t within_ms)
{
    uint64_t end = board_now(c) + within_ms;
    int rc;

    while ((rc = tap_port.resolve(&c->tap, host)) == TEDDY_AGAIN && board_now(c) < end)
        board_rest(c, POLL_MS, TEDDY_WANTS_READ);
    return rc == TEDDY_AGAIN ? TEDDY_ETIMEOUT : rc;
}

int until_connected(struct conformance *c, const char *host, uint16_t port)
{
    uint64_t end = board_now(c) + c->config.step_timeout_ms;
    int rc = until_resolved(c, host, c->config.step_timeout_ms);

    if (rc != TEDDY_OK)
        return rc;
    while ((rc = tap_port.connect(&c->tap, host, port, true)) == TEDDY_AGAIN && board_now(c) < end)
        board_rest(c, POLL_MS, TEDDY_WANTS_READ);
    return rc == TEDDY_AGAIN ? TEDDY_ETIMEOUT : rc;
}

int until_received(struct conformance *c, uint8_t *buf, size_t cap, size_t *got)
{
    uint64_t end = board_now(c) + c->config.step_timeout_ms;
    int rc;

    *got = 0;
    while ((rc = tap_port.recv(&c->tap, buf, cap, got)) == TEDDY_AGAIN && board_now(c) < end)
        board_rest(c, POLL_MS, TEDDY_WANTS_READ);
    return rc == TEDDY_AGAIN ? TEDDY_ETIMEOUT : rc;
}

int until_sent(struct conformance *c, const uint8_t *data, size_t len)
{
    uint64_t end = board_now(c) + c->config.step_timeout_ms;

    while (len > 0) {
        size_t sent = 0;
        int rc = tap_port.send(&c->tap, data, len, &sent);
        if (rc == TEDDY_AGAIN && board_now(c) < end) {
            board_rest(c, POLL_MS, TEDDY_WANTS_READ | TEDDY_WANTS_WRITE);
            continue;
        }
        if (rc != TEDDY_OK || sent == 0 || sent > len)
            return rc == TEDDY_AGAIN ? TEDDY_ETIMEOUT : rc < 0 ? rc : TEDDY_EIO;
        data += sent;
        len -= sent;
    }
    return TEDDY_OK;
}

void hang_up(struct conformance *c)
{
    tap_port.disconnect(&c->tap);
}

bool desk_line(const struct conformance *c, const char *name, char *value, size_t cap)
{
    size_t name_len = strlen(name);
    const char *p = c->config.desk;

    while (p != NULL && *p != '\0') {
        size_t len = strcspn(p, "\r\n");
        if (len > name_len + 1 && p[name_len] == ' ' && memcmp(p, name, name_len) == 0 &&
            len - name_len - 1 < cap) {
            memcpy(value, p + name_len + 1, len - name_len - 1);
            value[len - name_len - 1] = '\0';
            return true;
        }
        p += len;
        p += strspn(p, "\r\n");
    }
    return false;
}

uint16_t desk_port(struct conformance *c, const char *fault)
{
    char text[8];
    unsigned long port = 0;

    if (c->config.desk == NULL) {
        check_skip(c, "no desk: start desk.py, and give what it prints");
        return 0;
    }
    if (desk_line(c, fault, text, sizeof text)) {
        for (const char *p = text; *p >= '0' && *p <= '9'; p++)
            port = port * 10 + (unsigned long)(*p - '0');
    }
    if (port == 0 || port > UINT16_MAX) {
        check_fail(c, "the desk's list has no line \"%s PORT\": is desk.py of this very version?",
                   fault);
        return 0;
    }
    return (uint16_t)port;
}

const char *desk_url(struct conformance *c, uint16_t port)
{
    bool bare_v6 = strchr(c->desk_host, ':') != NULL;

    snprintf(c->url, sizeof c->url, "https://%s%s%s:%u", bare_v6 ? "[" : "", c->desk_host,
             bare_v6 ? "]" : "", port);
    return c->url;
}

static void on_waiting(struct seen *s, const struct teddy_event *e)
{
    s->waiting++;
    s->err = e->err;
    s->status = e->status;
    s->close = e->close;
    s->wait_ms = e->wait_ms;
    snprintf(s->code, sizeof s->code, "%s", e->code);
    snprintf(s->purpose, sizeof s->purpose, "%s", e->purpose);
}

static void on_event(void *user, const struct teddy_event *e)
{
    struct conformance *c = user;
    struct seen *s = &c->seen;

    if ((size_t)e->type < sizeof s->count / sizeof s->count[0])
        s->count[e->type]++;
    if (e->type == TEDDY_EVENT_STATE) {
        s->online += e->state == TEDDY_STATE_ONLINE;
        s->claiming += e->state == TEDDY_STATE_CLAIMING;
        s->refreshing += e->state == TEDDY_STATE_REFRESHING;
        if (e->state == TEDDY_STATE_WAITING)
            on_waiting(s, e);
    } else if (e->type == TEDDY_EVENT_CONNECTED) {
        s->connected_claim += strcmp(e->purpose, "claim") == 0;
        if (strcmp(e->purpose, "session") == 0) {
            s->connected_session++;
            s->session_at = c->tap.clock;
        }
    } else if (e->type == TEDDY_EVENT_CLAIMED || e->type == TEDDY_EVENT_REFRESHED) {
        s->kept_err = e->err;
        s->expires_in = e->expires_in;
    } else if (e->type == TEDDY_EVENT_ECHO) {
        snprintf(s->echo_id, sizeof s->echo_id, "%s", e->id);
    } else if (e->type == TEDDY_EVENT_CLOCK) {
        s->skew_s = e->skew_s;
    }
}

static bool on_message(void *user, const struct teddy_message *m)
{
    struct conformance *c = user;

    if (c->leave_messages)
        return false;
    snprintf(c->seen.message, sizeof c->seen.message, "%s", m->id);
    return true;
}

bool toy_start(struct conformance *c, const char *url)
{
    /* Short waits, for nobody else is kept off by them here; the refused one can be told apart. */
    const struct teddy_times times = {
        .backoff_floor_ms = 50,
        .backoff_base_ms = 100,
        .backoff_cap_ms = 400,
        .backoff_refused_ms = 1000,
        .step_timeout_ms = c->config.step_timeout_ms,
        .echo_timeout_ms = c->config.step_timeout_ms,
    };
    struct teddy_client_config config = {
        .server_url = url != NULL ? url : c->config.server_url,
        .device_id = c->config.device_id,
        .child_id = c->config.child_id,
        .firmware = "conformance",
        .times = &times,
        .on_event = on_event,
        .user = c,
    };
    int err;

    toy_stop(c);
    memset(&c->seen, 0, sizeof c->seen);
    err = teddy_client_init(&c->client, &config, &tap_port, &c->tap, c->rx, sizeof c->rx, c->outbox,
                            sizeof c->outbox);
    if (err != TEDDY_OK)
        return check_fail(c, "teddy_client_init said %s for %s: %s", err_name(err),
                          config.server_url, c->tap.log);
    teddy_client_on_message(&c->client, on_message);
    c->started = true;
    return true;
}

void toy_stop(struct conformance *c)
{
    if (c->started)
        teddy_client_stop(&c->client);
    c->started = false;
}

bool toy_until(struct conformance *c, bool (*done)(const struct conformance *c), uint32_t within_ms)
{
    uint64_t end = board_now(c) + within_ms;

    for (;;) {
        uint32_t wait_ms;
        uint64_t at;
        teddy_client_step(&c->client, board_now(c), &wait_ms);
        if (done(c))
            return true;
        at = board_now(c);
        if (at >= end)
            return false;
        if (wait_ms > end - at)
            wait_ms = (uint32_t)(end - at);
        if (wait_ms > 0)
            board_rest(c, wait_ms, teddy_client_wants(&c->client));
    }
}

bool toy_online(const struct conformance *c)
{
    return c->seen.online > 0;
}

bool toy_waiting(const struct conformance *c)
{
    return c->seen.waiting > 0;
}

const char *toy_story(struct conformance *c)
{
    static const char *const states[] = {"idle",       "claiming", "refreshing",
                                         "connecting", "online",   "waiting"};
    static char story[128];
    const struct seen *s = &c->seen;
    enum teddy_state state = teddy_client_state(&c->client);
    int len;

    if (state != TEDDY_STATE_WAITING) {
        snprintf(story, sizeof story, "it is %s", states[state]);
        return story;
    }
    len = snprintf(story, sizeof story, "%s: %s", s->purpose,
                   s->err != TEDDY_OK ? err_name(s->err) : "ended by the server");
    if (s->status != 0)
        len += snprintf(story + len, sizeof story - (size_t)len, ", status %d", s->status);
    if (s->close != 0)
        len += snprintf(story + len, sizeof story - (size_t)len, ", close %d", s->close);
    if (s->code[0] != '\0')
        snprintf(story + len, sizeof story - (size_t)len, " %s", s->code);
    return story;
}

bool toy_home(struct conformance *c)
{
    if (!toy_start(c, NULL))
        return false;
    if (toy_until(c, toy_online, c->config.home_wait_ms))
        return true;
    return check_fail(
        c,
        "not online at %s within %lu ms: %s; is teddyd up, is %s registered there with "
        "the vectors' secret, does the port trust its authority?",
        c->config.server_url, (unsigned long)c->config.home_wait_ms, toy_story(c),
        c->config.device_id);
}
