#include "process/asking.h"

#include <stdio.h>
#include <stdlib.h>

#include "net/outgoing.h"
#include "ops/log.h"
#include "process/asked.h"
#include "proto/text.h"

/* One loop's end. It outlives the loop: sessions name it until they are freed. */
struct asking_loop {
    struct caller caller;
    struct asking *of;
    struct outgoing *outgoing;
};

struct exchange;

struct asking_session {
    struct call call;
    struct process_session who;
    struct asking_loop *at;
    struct exchange *exchange; /* while a call runs */
};

struct exchange {
    struct transfer *transfer;
    bool has_head;
    struct answer answer;
};

static struct asking_session *session_of(struct call *call)
{
    return CONTAINER(call, struct asking_session, call);
}

static void exchange_free(struct asking_session *s)
{
    struct exchange *x = s->exchange;
    s->exchange = NULL;
    if (x->has_head)
        answer_fini(&x->answer);
    free(x);
}

static void give_up(struct call *call)
{
    struct asking_session *s = session_of(call);
    if (s->exchange && s->exchange->transfer)
        transfer_cancel(s->exchange->transfer);
    if (s->exchange)
        exchange_free(s);
}

static void fail(struct asking_session *s, const char *what, enum backend_result result)
{
    give_up(&s->call);
    call_fail(&s->call, BACKEND_ERROR, what, result);
}

/* Says what was read. The text is taken off first: whoever hears it may end the exchange. */
static void hand_on(struct asking_session *s)
{
    struct answer *a = &s->exchange->answer;
    struct buffer text = a->text;
    struct span words = {text.p ? text.p : "", text.len};
    a->text = (struct buffer){NULL, 0, 0};
    if (a->state == ANSWER_FAILED) { /* what was not said yet is not begun with, either */
        char what[64];
        enum backend_result result = a->result;
        snprintf(what, sizeof what, "%s", a->what);
        fail(s, what, result);
    } else if (a->state == ANSWER_DONE) {
        if (s->exchange->transfer)
            transfer_let_go(s->exchange->transfer);
        exchange_free(s);
        call_done(&s->call, words);
    } else if (!call_say(&s->call, words)) {
        /* it has been given up */
    }
    buffer_fini(&text);
}

static uint64_t retry_after_ms(const struct transfer *t)
{
    uint64_t s = transfer_retry_after_s(t);
    return s < UINT32_MAX ? s * 1000 : UINT32_MAX;
}

static bool on_head(void *user, long status, const char *type)
{
    struct asking_session *s = user;
    struct exchange *x = s->exchange;
    x->has_head = true;
    if (status == 429 || status == 503)
        s->call.wait_ms = retry_after_ms(x->transfer);
    answer_init(&x->answer, s->at->of->answers, status, type);
    return x->answer.state == ANSWER_OPEN;
}

static void on_data(void *user, struct span bytes)
{
    struct asking_session *s = user;
    answer_feed(&s->exchange->answer, bytes);
    hand_on(s);
}

static void on_end(void *user, enum outgoing_end why, const char *what)
{
    struct asking_session *s = user;
    struct exchange *x = s->exchange;
    x->transfer = NULL;
    if (why == OUTGOING_TOO_BIG)
        what = "its answer was too long";
    if (why != OUTGOING_WHOLE || !x->has_head) {
        fail(s, what, BACKEND_FAILED);
        return;
    }
    answer_end(&x->answer);
    hand_on(s);
}

static const struct outgoing_handler HANDLER = {on_head, on_data, on_end};

static int start(struct asking_session *s)
{
    struct asking *a = s->at->of;
    struct asking_request r = {.body = NULL};
    if (!a->write(a, &s->who, s->call.turn, &r))
        return TEDDY_ENOMEM;
    struct outgoing_request request = {.url = a->url,
                                       .headers = r.headers,
                                       .body = span_of(r.body),
                                       .answer_max = ANSWER_BYTES_MAX};
    int rc = outgoing_start(s->at->outgoing, &request, &HANDLER, s, &s->exchange->transfer);
    asked_free(r.body);
    wipe(r.room, sizeof r.room);
    return rc;
}

static void ask(struct call *call)
{
    struct asking_session *s = session_of(call);
    s->exchange = calloc(1, sizeof *s->exchange);
    if (!s->exchange || start(s) != TEDDY_OK)
        fail(s, "it could not be asked", BACKEND_NEITHER);
}

static const struct caller_ops OPS = {ask, give_up, NULL};

static bool is_here(const char *host)
{
    return strncmp(host, "127.", 4) == 0 || strncmp(host, "localhost", 9) == 0 ||
           strncmp(host, "[::1]", 5) == 0;
}

int asking_open(struct asking *a, const struct process_config *config, char *err, size_t cap)
{
    a->config = *config;
    if (strncmp(a->url, "http://", 7) == 0 && !is_here(a->url + 7))
        LOG(LOG_WARN, "backend_in_the_clear",
            LOG_S("backend", a->kind == CALLER_CHAT ? "chat" : "webhook"),
            LOG_S("do", "use https beyond this machine: children's words are in it"));
    if (outgoing_init() == TEDDY_OK)
        return TEDDY_OK;
    snprintf(err, cap, "libcurl cannot be used");
    return TEDDY_EIO;
}

void asking_close(struct asking *a)
{
    for (unsigned i = 0; i < ASKING_LOOPS_MAX; i++)
        free(a->loops[i]);
    free(a->url);
}

void asking_stop(void *shared, struct loop *loop)
{
    struct asking *a = shared;
    struct asking_loop *at = a->loops[loop_index(loop)];
    if (!at)
        return;
    caller_stop(&at->caller);
    outgoing_free(at->outgoing);
    at->outgoing = NULL;
}

int asking_start(void *shared, struct loop *loop)
{
    struct asking *a = shared;
    const struct process_config *c = &a->config;
    struct asking_loop *at = calloc(1, sizeof *at);
    if (!at)
        return TEDDY_ENOMEM;
    at->of = a;
    a->loops[loop_index(loop)] = at;
    caller_init(&at->caller, loop, a->kind, &OPS, c);
    struct outgoing_options options = {.ca_file = c->backend.ca_file,
                                       .proxy = c->backend.proxy,
                                       .connect_ms = c->backend.first_token_ms,
                                       .transfers = at->caller.backend.limits.concurrency};
    return outgoing_new(loop, &options, &at->outgoing);
}

int asking_session_new(void *shared, struct loop *loop, const struct process_session *who,
                       void **session)
{
    struct asking *a = shared;
    struct asking_session *s = calloc(1, sizeof *s);
    if (!s)
        return TEDDY_ENOMEM;
    s->at = a->loops[loop_index(loop)];
    s->who = *who;
    *session = s;
    return TEDDY_OK;
}

void asking_session_free(void *session)
{
    if (session)
        asking_cancel(session);
    free(session);
}

void asking_utter(void *session, const struct process_turn *turn, struct process_sink *sink)
{
    struct asking_session *s = session;
    call_begin(&s->call, &s->at->caller, &s->who, turn, sink);
}

void asking_cancel(void *session)
{
    struct asking_session *s = session;
    call_cancel(&s->call);
}
