#include "session/testing.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/text.h"
#include "session/ws_echo.h"

unsigned testing_minds;

/* ---- processors */

static int said_new(void *shared, struct loop *loop, const struct process_session *who,
                    void **session)
{
    (void)shared;
    (void)loop;
    (void)who;
    *session = malloc(1);
    __atomic_add_fetch(&testing_minds, 1, __ATOMIC_SEQ_CST);
    return TEDDY_OK;
}

static int said_fails(void *shared, struct loop *loop, const struct process_session *who,
                      void **session)
{
    (void)shared;
    (void)loop;
    (void)who;
    (void)session;
    return TEDDY_ENOMEM;
}

static void said_free(void *session)
{
    free(session);
    __atomic_sub_fetch(&testing_minds, 1, __ATOMIC_SEQ_CST);
}

static void said_utter(void *session, const struct process_turn *turn, struct process_sink *sink)
{
    struct span text = turn->text;
    char answer[5000];
    uint64_t ms;
    (void)session;
    if (span_is(text, "slow")) {
        sink->reply(sink, span_of("thinking"), false);
        sink->wake_after(sink, 60000);
    } else if (text.len > 5 && memcmp(text.p, "wait ", 5) == 0 &&
               u64_parse((struct span){text.p + 5, text.len - 5}, &ms) == TEDDY_OK) {
        sink->wake_after(sink, (uint32_t)ms);
    } else if (span_is(text, "fail")) {
        (sink->fail)(sink, "internal", "It failed.");
    } else if (span_is(text, "two")) {
        sink->reply(sink, span_of("one, "), false);
        sink->reply(sink, span_of("two"), true);
    } else if (span_is(text, "big")) {
        for (size_t i = 0; i < 3000; i += 2)
            memcpy(answer + i, "\xC3\xB6", 2);
        sink->reply(sink, (struct span){answer, 3000}, true);
    } else {
        int n = snprintf(answer, sizeof answer, "re: %.*s", (int)text.len, text.p);
        sink->reply(sink, (struct span){answer, (size_t)n}, true);
    }
}

static void said_wake(void *session, struct process_sink *sink)
{
    (void)session;
    sink->reply(sink, span_of("awake"), true);
}

static void said_cancel(void *session)
{
    (void)session;
}

static const struct processor processor = {
    .name = "testing",
    .session_new = said_new,
    .session_free = said_free,
    .utter = said_utter,
    .wake = said_wake,
    .cancel = said_cancel,
};

static const struct processor broken = {
    .name = "broken",
    .session_new = said_fails,
};

const struct process testing_process = {&processor, NULL};
const struct process testing_broken_process = {&broken, NULL};

/* ---- the server's side */

static void start_session(struct house *h, struct conn *c, char *words[6], bool revoked)
{
    struct session_owner owner = {
        .device_id = words[1], .child_id = words[2] ? words[2] : "c", .client = &h->peer};
    uint64_t exp = 3600;
    if (words[3])
        owner.sid[0] = (uint8_t)*words[3];
    if (words[4])
        assert_int_equal(u64_parse(span_of(words[4]), &exp), TEDDY_OK);
    owner.exp_s = (uint64_t)time(NULL) + exp;
    uint64_t id = session_register(h->hub, &owner);
    assert_true(id > 0);
    if (revoked)
        session_close_device(h->hub, owner.device_id, NULL, 1008, "token_revoked");
    h->last_session = id;
    session_start(h->hub, id, c);
}

static size_t on_line(struct conn *c, uint8_t *data, size_t len)
{
    struct house *h = conn_user(c);
    uint8_t *nl = memchr(data, '\n', len);
    if (!nl)
        return 0;
    char line[256], *words[6] = {NULL};
    size_t n = (size_t)(nl - data), count = 0;
    assert_true(n < sizeof line);
    memcpy(line, data, n);
    line[n] = '\0';
    for (char *at = line; count < 5 && at; count++) {
        words[count] = at;
        at = strchr(at, ' ');
        if (at)
            *at++ = '\0';
    }
    conn_pause(c);
    uint64_t number = 0;
    if (strcmp(words[0], "echo") == 0) {
        assert_int_equal(u64_parse(span_of(words[1]), &number), TEDDY_OK);
        ws_echo_start(c, (uint32_t)number);
    } else if (strcmp(words[0], "refuse") == 0) {
        assert_int_equal(u64_parse(span_of(words[1]), &number), TEDDY_OK);
        session_refuse(h->hub, c, (uint16_t)number, words[2]);
    } else {
        start_session(h, c, words, strcmp(words[0], "closed") == 0);
    }
    testing_count_add(&h->opened);
    return n + 1;
}

static void on_line_closed(struct conn *c, enum conn_end why)
{
    (void)c;
    (void)why;
}

static void on_accept(struct loop *loop, int fd, const struct sockaddr_storage *peer, void *user)
{
    static const struct conn_handler LINE = {on_line, NULL, NULL, on_line_closed};
    struct house *h = user;
    h->peer = *peer;
    assert_int_equal(conn_new(loop, fd, NULL, &h->limits, &LINE, h, NULL), TEDDY_OK);
}

static void on_refresh(void *context, struct loop *loop, const char *device_id, uint64_t session_id,
                       const uint8_t sid[STORE_JTI_LEN], const char *token)
{
    struct house *h = context;
    (void)device_id;
    (void)sid;
    snprintf(h->refresh_token, sizeof h->refresh_token, "%s", token);
    h->refresh_session = session_id;
    testing_count_add(&h->refreshes);
    if (!h->refresh_later)
        session_refreshed(hub_of(loop), session_id, "AAA", "RRR", h->refresh_exp_s,
                          (uint64_t)time(NULL) + h->refresh_exp_s, h->refresh_error,
                          h->refresh_close);
}

struct session_config house_config(void)
{
    return (struct session_config){
        .ping_ms = 30000,
        .silence_ms = 75000,
        .expiring_notice_s = 120,
        .legacy_session_max_s = 86400,
        .message_max = 65536,
        .utterance_max = 4096,
        .messages_burst = 1,
        .retry_min_ms = 100,
        .retry_max_ms = 900,
        .refresh = on_refresh,
    };
}

struct minds *testing_minds_with(const struct process *process)
{
    char err[256];
    struct minds *minds;
    struct mind_config config = {.process = process};
    assert_int_equal(minds_open(&config, &minds, err, sizeof err), TEDDY_OK);
    return minds;
}

static void make_hub(struct loop *loop, void *arg)
{
    struct house *h = arg;
    assert_int_equal(hub_new(loop, &h->config, &h->hub), TEDDY_OK);
    assert_ptr_equal(hub_of(loop), h->hub);
}

void house_open(struct house *h, const struct session_config *config)
{
    h->config = *config;
    h->config.refresh_context = h;
    if (!h->config.minds)
        h->config.minds = testing_minds_with(&testing_process);
    h->refresh_exp_s = 3600;
    testing_start(&h->net, on_accept, h);
    testing_on_loop(&h->net, make_hub, h);
}

void house_close(struct house *h)
{
    testing_stop(&h->net);
    assert_int_equal(hub_sessions(h->hub), 0);
    hub_free(h->hub);
    minds_close(h->config.minds);
    assert_int_equal(__atomic_load_n(&testing_minds, __ATOMIC_SEQ_CST), 0);
}

/* ---- the toy */

struct toy *toy_open(struct house *h, const char *line)
{
    struct toy *t = calloc(1, sizeof *t);
    unsigned before = __atomic_load_n(&h->opened, __ATOMIC_SEQ_CST);
    t->net = testing_connect(h->net.port, false, 0);
    ws_decoder_init(&t->decoder, false, sizeof t->text - 1);
    testing_send(&t->net, line, strlen(line));
    testing_send(&t->net, "\n", 1);
    testing_count_wait(&h->opened, before + 1);
    return t;
}

struct toy *toy_join(struct house *h, const char *device)
{
    char line[128];
    snprintf(line, sizeof line, "session %s c 1", device);
    return toy_open(h, line);
}

void toy_free(struct toy *t)
{
    testing_close(&t->net);
    free(t);
}

void toy_send(struct toy *t, uint8_t opcode, bool fin, const void *data, size_t len)
{
    static const uint8_t MASK[4] = {0x11, 0x22, 0x33, 0x44};
    uint8_t *frame = malloc(WS_HEADER_MAX + len);
    size_t n = ws_header(frame, opcode, len, MASK);
    if (!fin)
        frame[0] &= 0x7F;
    if (len)
        memcpy(frame + n, data, len);
    ws_mask(frame + n, len, MASK);
    testing_send(&t->net, frame, n + len);
    free(frame);
}

void toy_say(struct toy *t, const char *text)
{
    toy_send(t, WS_TEXT, true, text, strlen(text));
}

/* True when a message or a control frame is whole. */
static bool take_event(struct toy *t, const struct ws_event *ev)
{
    t->opcode = ev->opcode;
    bool control = ev->opcode >= WS_CLOSE;
    if (ev->opcode == WS_CLOSE) {
        struct span reason;
        ws_close_read(ev->data, ev->len, &t->close_code, &reason);
        snprintf(t->close_reason, sizeof t->close_reason, "%.*s", (int)reason.len, reason.p);
    }
    if (control || ev->first)
        t->text_len = t->frames = 0;
    assert_true(t->text_len + ev->len < sizeof t->text);
    memcpy(t->text + t->text_len, ev->data, ev->len);
    t->text_len += ev->len;
    t->text[t->text_len] = '\0';
    t->frames++;
    return ev->last;
}

bool toy_next(struct toy *t)
{
    for (;;) {
        struct ws_event ev;
        size_t used;
        int rc = ws_decode(&t->decoder, t->in, t->in_len, &used, &ev);
        bool whole = rc == TEDDY_OK && take_event(t, &ev);
        memmove(t->in, t->in + used, t->in_len - used);
        t->in_len -= used;
        if (whole)
            return true;
        if (rc == TEDDY_OK)
            continue;
        assert_int_equal(rc, TEDDY_AGAIN);
        long n = testing_recv(&t->net, t->in + t->in_len, sizeof t->in - t->in_len);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            fail_msg("nothing came for ten seconds");
        if (n <= 0)
            return false;
        t->in_len += (size_t)n;
    }
}

void toy_hears(struct toy *t, const char *text)
{
    if (!toy_next(t))
        fail_msg("the end came, wanted %s", text);
    if (t->opcode != WS_TEXT || strcmp(t->text, text) != 0)
        fail_msg("got %d '%.300s' %s, wanted %s", t->opcode, t->text, t->close_reason, text);
}

void toy_hears_part(struct toy *t, const char *piece)
{
    if (!toy_next(t))
        fail_msg("the end came, wanted … %s …", piece);
    if (t->opcode != WS_TEXT || !strstr(t->text, piece))
        fail_msg("got %d '%.300s' %s, wanted … %s …", t->opcode, t->text, t->close_reason, piece);
}

void toy_closed(struct toy *t, uint16_t code, const char *reason)
{
    if (!toy_next(t))
        fail_msg("the end came, wanted close %u", code);
    if (t->opcode != WS_CLOSE || t->close_code != code ||
        strncmp(t->close_reason, reason, strlen(reason)) != 0)
        fail_msg("got opcode %d '%.300s' close %u '%s', wanted %u '%s'", t->opcode, t->text,
                 t->close_code, t->close_reason, code, reason);
    uint8_t answer[2] = {(uint8_t)(code >> 8), (uint8_t)code};
    toy_send(t, WS_CLOSE, true, answer, sizeof answer);
    if (toy_next(t))
        fail_msg("something came behind the close frame: %d '%s'", t->opcode, t->text);
}

void toy_settle(struct toy *t)
{
    toy_send(t, WS_PING, true, "settle", 6);
    do
        assert_true(toy_next(t));
    while (t->opcode == WS_PING); /* the server's own heartbeat, on a slow machine */
    assert_int_equal(t->opcode, WS_PONG);
    assert_string_equal(t->text, "settle");
}
