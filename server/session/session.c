/* One session's life: its connection's callbacks, its times, its end. */
#include <stdlib.h>
#include <time.h>

#include "ops/log.h"
#include "ops/metrics.h"
#include "proto/text.h"
#include "session/internal.h"

#define ASSEMBLY_MIN 1024

uint64_t unix_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void session_set_exp(struct session *s, uint64_t exp_s)
{
    uint64_t now = unix_ms();
    uint64_t exp = exp_s > UINT64_MAX / 1000 ? UINT64_MAX : exp_s * 1000;
    uint64_t left = exp > now ? exp - now : 0;
    uint64_t longest = UINT64_MAX / 4; /* so that no sum with it overflows */
    s->exp_ms = session_now(s) + (left < longest ? left : longest);
    s->noticed = false;
}

int session_allow(struct session *s)
{
    const struct session_config *c = s->hub->config;
    if (c->messages_per_s == 0)
        return 1;
    uint32_t now = (uint32_t)session_now(s);
    int64_t burst = (int64_t)(c->messages_burst ? c->messages_burst : 1) * 1000;
    int64_t gained = (int64_t)(uint32_t)(now - s->allowed_ms) * c->messages_per_s;
    int64_t has = s->allowance + gained < burst ? s->allowance + gained : burst;
    s->allowed_ms = now;
    s->allowance = (int32_t)(has - 1000 > -burst ? has - 1000 : -burst);
    if (has >= 1000)
        return 1;
    if (has - 1000 >= -burst)
        return 0;
    session_close(s, WS_CLOSE_POLICY, "rate_limited", true);
    return -1;
}

/* When the session ends by itself. */
static uint64_t end_ms(const struct session *s)
{
    if (!s->hello)
        return s->since_ms + (uint64_t)s->hub->config->legacy_session_max_s * 1000;
    return s->exp_ms + (s->refreshing ? REFRESH_PATIENCE_MS : 0);
}

static uint64_t notice_ms(const struct session *s)
{
    uint64_t before = (uint64_t)s->hub->config->expiring_notice_s * 1000;
    return s->exp_ms > before ? s->exp_ms - before : 0;
}

void session_rearm(struct session *s)
{
    if (s->state != SESSION_LIVE || s->ws.state != WSIO_OPEN)
        return; /* the deadline is the close handshake's */
    uint64_t at = s->heard_ms + s->hub->config->silence_ms;
    at = s->ping_ms < at ? s->ping_ms : at;
    at = end_ms(s) < at ? end_ms(s) : at;
    if (s->hello && !s->noticed && notice_ms(s) < at)
        at = notice_ms(s);
    conn_set_deadline(s->ws.conn, at ? at : 1);
}

static void notice(struct session *s, uint64_t now)
{
    if (!s->hello || s->noticed || now < notice_ms(s))
        return;
    s->noticed = true;
    send_expiring(s, s->exp_ms > now ? (s->exp_ms - now + 999) / 1000 : 0);
}

static void on_deadline(struct conn *c)
{
    struct session *s = conn_user(c);
    if (wsio_deadline(&s->ws))
        return;
    uint64_t now = session_now(s);
    if (now >= s->heard_ms + s->hub->config->silence_ms) {
        s->close_word = "silent";
        conn_abort(c);
        return;
    }
    if (now >= end_ms(s)) {
        session_close(s, WS_CLOSE_POLICY, "token_expired", false);
        return;
    }
    notice(s, now);
    if (now >= s->ping_ms) {
        wsio_frame(&s->ws, WS_PING, true, "", 0);
        s->ping_ms = now + s->hub->config->ping_ms;
        if (s->fetch_late)
            downlink_go(s);
    }
    session_rearm(s);
}

static void free_message(struct session *s)
{
    if (s->message)
        wipe(s->message, s->message_len); /* it may hold a token */
    free(s->message);
    s->message = NULL;
    s->message_len = s->message_cap = 0;
}

/* The decoder has bounded it by message_max. */
static bool assemble(struct session *s, const uint8_t *data, size_t len)
{
    size_t need = s->message_len + len;
    if (need > s->message_cap || !s->message) {
        size_t cap = need < ASSEMBLY_MIN ? ASSEMBLY_MIN : need * 2;
        cap = cap > s->ws.decoder.max_message ? s->ws.decoder.max_message : cap;
        char *grown = malloc(cap ? cap : 1);
        if (!grown)
            return false;
        uint32_t had = s->message_len;
        if (had)
            memcpy(grown, s->message, had);
        free_message(s);
        s->message = grown;
        s->message_len = had;
        s->message_cap = (uint32_t)cap;
    }
    if (len)
        memcpy(s->message + s->message_len, data, len);
    s->message_len = (uint32_t)need;
    return true;
}

static void on_piece(struct wsio *ws, const struct ws_event *ev)
{
    struct session *s = CONTAINER(ws, struct session, ws);
    if (ev->opcode == WS_BINARY) {
        session_close(s, WS_CLOSE_UNSUPPORTED, ws_close_word_of(TEDDY_EUNSUPPORTED), false);
        return;
    }
    if (ev->first && ev->last) {
        metric_add(loop_index(s->hub->loop), METRIC_MESSAGES_IN, 1);
        message_take(s, (char *)ev->data, ev->len);
        return;
    }
    /* Fragments without a byte never add up to a message: they count as one each. */
    if (ev->len == 0 && !ev->last && session_allow(s) < 0)
        return;
    if (!assemble(s, ev->data, ev->len)) {
        session_close(s, WS_CLOSE_INTERNAL, "internal", true);
        return;
    }
    if (!ev->last)
        return;
    char *whole = s->message;
    uint32_t len = s->message_len;
    s->message = NULL;
    s->message_len = s->message_cap = 0;
    metric_add(loop_index(s->hub->loop), METRIC_MESSAGES_IN, 1);
    message_take(s, whole, len);
    wipe(whole, len);
    free(whole);
}

static bool on_control(struct wsio *ws, uint8_t opcode)
{
    (void)opcode;
    return session_allow(CONTAINER(ws, struct session, ws)) > 0;
}

static size_t on_data(struct conn *c, uint8_t *data, size_t len)
{
    struct session *s = conn_user(c);
    s->heard_ms = session_now(s);
    size_t used = wsio_data(&s->ws, data, len);
    if (s->ws.state == WSIO_DONE && s->state == SESSION_LIVE) {
        s->state = SESSION_CLOSING;
        session_silence(s);
    }
    return used;
}

static void on_drained(struct conn *c)
{
    struct session *s = conn_user(c);
    wsio_drained(&s->ws);
}

static const char *end_word(const struct session *s, enum conn_end why)
{
    static const char *const WHY[] = {
        [CONN_END_LOCAL] = "closed",
        [CONN_END_PEER] = "peer_left",
        [CONN_END_TLS] = "tls",
        [CONN_END_STALLED] = "stalled",
    };
    return s->close_word ? s->close_word : WHY[why];
}

static void on_closed(struct conn *c, enum conn_end why)
{
    struct session *s = conn_user(c);
    if (!s->hub) {
        free(s);
        return;
    }
    LOG(LOG_INFO, "session_closed", LOG_S("device", session_device(s)),
        LOG_S("reason", end_word(s, why)), LOG_N("close", s->close_code),
        LOG_N("peer_close", s->ws.peer_code), LOG_N("utterances", s->seq),
        LOG_N("lasted_ms", session_now(s) - s->since_ms));
    metric_add(loop_index(s->hub->loop), METRIC_SESSIONS_CLOSED, 1);
    session_silence(s);
    hub_forget(s);
}

static const struct conn_handler HANDLER = {on_data, on_deadline, on_drained, on_closed};
static const struct wsio_ops OPS = {on_piece, on_control};

void session_go_live(struct session *s, struct conn *conn)
{
    const struct session_config *c = s->hub->config;
    wsio_init(&s->ws, conn, c->message_max, &OPS);
    utterance_sink_init(s);
    s->state = SESSION_LIVE;
    s->since_ms = s->heard_ms = session_now(s);
    s->ping_ms = s->since_ms + c->ping_ms;
    s->allowance = (int32_t)((c->messages_burst ? c->messages_burst : 1) * 1000);
    s->allowed_ms = (uint32_t)s->since_ms;
    conn_set_handler(conn, &HANDLER, s);
    char id[17];
    session_id_text(s->id, id);
    LOG(LOG_INFO, "session_opened", LOG_S("device", session_device(s)), LOG_S("session", id));
    metric_add(loop_index(s->hub->loop), METRIC_SESSIONS_OPENED, 1);
    session_rearm(s);
    conn_resume(conn);
}

void session_silence(struct session *s)
{
    utterances_drop(s);
    loop_timer_unset(s->hub->loop, &s->wake);
    if (s->mind)
        s->hub->config->processor->session_free(s->mind);
    s->mind = NULL;
    free_message(s);
}

void session_close(struct session *s, uint16_t code, const char *word, bool retry)
{
    char reason[LIMIT_CLOSE_REASON + 1];
    if (s->state == SESSION_CLOSING || s->close_code)
        return;
    s->close_code = code;
    s->close_word = word;
    if (s->state != SESSION_LIVE)
        return; /* session_start will tell the connection */
    s->state = SESSION_CLOSING;
    session_silence(s);
    session_reason(s->hub->config, word, retry, reason, sizeof reason);
    wsio_close(&s->ws, code, reason);
}
