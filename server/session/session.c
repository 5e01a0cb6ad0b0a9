/* One session's life: its connection's callbacks, its times, its end. */
#include <stdlib.h>
#include <time.h>

#include "net/slab.h"
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
    uint64_t longest = SESSION_TIME_MAX / 2;
    s->exp_ms = (session_now(s) + (left < longest ? left : longest)) & SESSION_TIME_MAX;
    s->noticed = false;
}

int session_allow(struct session *s)
{
    const struct session_config *c = session_hub(s)->config;
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
        return s->since_ms + (uint64_t)session_hub(s)->config->legacy_session_max_s * 1000;
    return s->exp_ms + (s->refreshing ? REFRESH_PATIENCE_MS : 0);
}

static uint64_t notice_ms(const struct session *s)
{
    uint64_t before = (uint64_t)session_hub(s)->config->expiring_notice_s * 1000;
    return s->exp_ms > before ? s->exp_ms - before : 0;
}

/* Of a time whose low bits those are, never far from now. */
static uint64_t near(uint64_t now, uint32_t low)
{
    return now + (uint64_t)(int64_t)(int32_t)(low - (uint32_t)now);
}

static uint64_t silence_at(const struct session *s, uint64_t now)
{
    return near(now, s->heard_ms) + session_hub(s)->config->silence_ms;
}

void session_rearm(struct session *s)
{
    if (s->state != SESSION_LIVE || s->ws.state != WSIO_OPEN)
        return; /* the deadline is the close handshake's */
    uint64_t now = session_now(s), at = silence_at(s, now), ping = near(now, s->ping_ms);
    at = ping < at ? ping : at;
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
    if (now >= silence_at(s, now)) {
        s->silent = true;
        conn_abort(c);
        return;
    }
    if (now >= end_ms(s)) {
        session_close(s, WS_CLOSE_POLICY, "token_expired", false);
        return;
    }
    notice(s, now);
    if (now >= near(now, s->ping_ms)) {
        wsio_frame(&s->ws, WS_PING, true, "", 0);
        s->ping_ms = (uint32_t)now + session_hub(s)->config->ping_ms;
        if (s->fetch_late)
            downlink_go(s);
    }
    session_rearm(s);
}

/* The decoder has bounded it by message_max. */
static bool assemble(struct wsio_mid *m, const uint8_t *data, size_t len)
{
    size_t need = m->message_len + len;
    if (need > m->message_cap || !m->message) {
        size_t cap = need < ASSEMBLY_MIN ? ASSEMBLY_MIN : need * 2;
        cap = cap > m->decoder.max_message ? m->decoder.max_message : cap;
        char *grown = malloc(cap ? cap : 1);
        if (!grown)
            return false;
        if (m->message) {
            memcpy(grown, m->message, m->message_len);
            wipe(m->message, m->message_len); /* it may hold a token */
        }
        free(m->message);
        m->message = grown;
        m->message_cap = (uint32_t)cap;
    }
    if (len)
        memcpy(m->message + m->message_len, data, len);
    m->message_len = (uint32_t)need;
    return true;
}

static void take_whole(struct session *s, char *text, size_t len)
{
    metric_add(loop_index(session_hub(s)->loop), METRIC_MESSAGES_IN, 1);
    s->received++;
    message_take(s, text, len);
}

static void on_piece(struct wsio *ws, const struct ws_event *ev)
{
    struct session *s = CONTAINER(ws, struct session, ws);
    if (ev->opcode == WS_BINARY) {
        session_close(s, WS_CLOSE_UNSUPPORTED, ws_close_word_of(TEDDY_EUNSUPPORTED), false);
        return;
    }
    if (ev->first && ev->last) {
        take_whole(s, (char *)ev->data, ev->len);
        return;
    }
    /* Fragments without a byte never add up to a message: they count as one each. */
    if (ev->len == 0 && !ev->last && session_allow(s) < 0)
        return;
    struct wsio_mid *mid = ws->mid;
    if (!assemble(mid, ev->data, ev->len)) {
        session_close(s, WS_CLOSE_INTERNAL, "internal", true);
    } else if (ev->last) {
        char *whole = mid->message; /* ours: the session may be closed for it */
        size_t len = mid->message_len;
        mid->message = NULL;
        take_whole(s, whole, len);
        wipe(whole, len);
        free(whole);
    }
}

static bool on_control(struct wsio *ws, uint8_t opcode)
{
    (void)opcode;
    return session_allow(CONTAINER(ws, struct session, ws)) > 0;
}

static const struct wsio_ops OPS = {on_piece, on_control};

static size_t on_data(struct conn *c, uint8_t *data, size_t len)
{
    struct session *s = conn_user(c);
    s->heard_ms = (uint32_t)session_now(s);
    size_t used = wsio_data(&s->ws, &OPS, session_hub(s)->config->message_max, data, len);
    if (s->ws.state == WSIO_DONE && s->state == SESSION_LIVE) {
        session_set_state(s, SESSION_CLOSING);
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
    if (s->close_code)
        return s->close_word;
    return s->silent ? "silent" : WHY[why];
}

void session_free(struct session *s)
{
    wsio_fini(&s->ws);
    free(s->marks);
    slab_free(s, session_size(strlen(session_device(s)), strlen(session_child(s)),
                              s->client == CLIENT_IPV4   ? 4
                              : s->client == CLIENT_IPV6 ? 16
                                                         : 0));
}

static void leave_history(const struct session *s, const char *word)
{
    struct history *h = session_hub(s)->history;
    if (!h)
        return;
    uint64_t now_ms = unix_ms();
    struct past_session past = {
        .opened_s = (now_ms - (session_now(s) - s->since_ms)) / 1000,
        .closed_s = now_ms / 1000,
        .received = s->received,
        .sent = s->sent,
        .close = s->close_code ? (uint16_t)s->close_code : s->ws.peer_code,
    };
    (void)memccpy(past.reason, word, 0, sizeof past.reason - 1);
    history_session(h, &(struct history_owner){session_device(s), session_child(s), s->sid}, &past);
}

static void on_closed(struct conn *c, enum conn_end why)
{
    struct session *s = conn_user(c);
    if (s->orphan) {
        session_free(s);
        return;
    }
    LOG(LOG_INFO, "session_closed", LOG_S("device", session_device(s)),
        LOG_S("reason", end_word(s, why)), LOG_N("close", s->close_code),
        LOG_N("peer_close", s->ws.peer_code), LOG_N("utterances", s->seq),
        LOG_N("lasted_ms", session_now(s) - s->since_ms));
    leave_history(s, end_word(s, why));
    metric_add(loop_index(session_hub(s)->loop), METRIC_SESSIONS_CLOSED, 1);
    session_silence(s);
    hub_forget(s);
}

static const struct conn_handler HANDLER = {on_data, on_deadline, on_drained, on_closed};

void session_go_live(struct session *s, struct conn *conn)
{
    const struct session_config *c = session_hub(s)->config;
    uint64_t now = session_now(s);
    wsio_init(&s->ws, conn);
    session_set_state(s, SESSION_LIVE);
    s->since_ms = now & SESSION_TIME_MAX;
    s->heard_ms = (uint32_t)now;
    s->ping_ms = (uint32_t)now + c->ping_ms;
    s->allowance = (int32_t)((c->messages_burst ? c->messages_burst : 1) * 1000);
    s->allowed_ms = (uint32_t)now;
    conn_set_handler(conn, &HANDLER, s);
    if (log_enabled(LOG_INFO)) {
        char id[17];
        session_id_text(s->id, id);
        LOG(LOG_INFO, "session_opened", LOG_S("device", session_device(s)), LOG_S("session", id));
    }
    metric_add(loop_index(session_hub(s)->loop), METRIC_SESSIONS_OPENED, 1);
    session_rearm(s);
    conn_resume(conn);
}

void session_silence(struct session *s)
{
    utterances_drop(s);
    wsio_drop_message(&s->ws);
}

void session_close(struct session *s, uint16_t code, const char *word, bool retry)
{
    char reason[LIMIT_CLOSE_REASON + 1];
    if (s->state == SESSION_CLOSING || s->close_code)
        return;
    bool live = s->state == SESSION_LIVE;
    if (live)
        session_silence(s);
    s->close_code = code;
    s->close_word = word;
    if (!live)
        return; /* session_start will tell the connection */
    session_set_state(s, SESSION_CLOSING);
    session_reason(session_hub(s)->config, word, retry, reason, sizeof reason);
    wsio_close(&s->ws, code, reason);
}
