#include "process/caller.h"

#include <stdlib.h>
#include <sys/random.h>

#include "ops/log.h"
#include "ops/metrics.h"

/* As METRIC_MAP has them, for each kind. */
enum result { R_OK, R_CUT, R_TIMEOUT, R_DOWN, R_ERROR, R_BUSY, R_CANCELLED, R_COUNT };

static const char *const NAMES[] = {"chat", "webhook", "exec"};

static void count(const struct caller *c, enum metric of_chat, uint64_t n)
{
    metric_add(loop_index(c->loop), (enum metric)((unsigned)of_chat + (unsigned)c->kind), n);
}

static void count_result(const struct caller *c, enum result r)
{
    unsigned first = METRIC_BACKEND_CHAT_OK + (unsigned)c->kind * R_COUNT;
    metric_add(loop_index(c->loop), (enum metric)(first + r), 1);
}

static enum result result_of(const char *code)
{
    if (strcmp(code, BACKEND_TIMEOUT) == 0)
        return R_TIMEOUT;
    if (strcmp(code, BACKEND_DOWN) == 0)
        return R_DOWN;
    return strcmp(code, BACKEND_BUSY) == 0 ? R_BUSY : R_ERROR;
}

/* ---- telling whoever waits */

static void tell_failure(struct call *call, const char *code, const char *detail)
{
    count_result(call->caller, result_of(code));
    call->sink->fail(call->sink, code, detail);
}

/* Of those that were asked; what is not asked is counted only. */
static void log_failure(const struct call *call, const char *code, const char *what)
{
    LOG(LOG_WARN, "backend_failed", LOG_S("backend", NAMES[call->caller->kind]),
        LOG_S("device", call->who->device), LOG_S("code", code), LOG_S("error", what));
}

/* The gauges follow the counts of the backend. */
static void count_places(const struct caller *c, unsigned running, unsigned waiting)
{
    count(c, METRIC_BACKEND_CHAT_INFLIGHT, (uint64_t)c->backend.running.count - running);
    count(c, METRIC_BACKEND_CHAT_QUEUE, (uint64_t)c->backend.waiting.count - waiting);
}

static void note_breaker(struct caller *c, const char *what)
{
    bool down = backend_is_down(&c->backend);
    if (down == c->was_down)
        return;
    c->was_down = down;
    count(c, METRIC_BACKEND_CHAT_OPEN, down ? 1 : METRIC_LESS);
    if (down)
        LOG(LOG_WARN, "backend_down", LOG_S("backend", NAMES[c->kind]), LOG_S("error", what),
            LOG_N("loop", loop_index(c->loop)),
            LOG_S("do", "the fallback answers until the backend does again"));
    else
        LOG(LOG_INFO, "backend_up", LOG_S("backend", NAMES[c->kind]),
            LOG_N("loop", loop_index(c->loop)));
}

static void set_timer(struct caller *c)
{
    uint64_t due = backend_due_ms(&c->backend);
    if (due == UINT64_MAX || c->stopped)
        loop_timer_unset(c->loop, &c->timer);
    else if (!c->timer.prev || c->timer.at_ms != due)
        loop_timer_set(c->loop, &c->timer, due);
}

static void act(struct call *call, enum backend_verdict what)
{
    switch (what) {
    case BACKEND_START:
        call->caller->ops->ask(call);
        break;
    case BACKEND_LATE:
        call->caller->ops->give_up(call);
        if (call->caller->ops->late)
            call->caller->ops->late(call);
        log_failure(call, BACKEND_TIMEOUT, "it took too long");
        note_breaker(call->caller, "it takes too long to answer");
        tell_failure(call, BACKEND_TIMEOUT, "The answer took too long.");
        break;
    case BACKEND_UNSERVED:
        tell_failure(call, BACKEND_BUSY, "Too many are asking at once.");
        break;
    case BACKEND_NOT_ASKED:
        tell_failure(call, BACKEND_DOWN, "What answers is down.");
        break;
    case BACKEND_WAITS:
        break;
    }
}

/* What is to be done now, one after the other: whoever is told may begin or cancel calls. */
static void turn(struct caller *c)
{
    if (c->turning)
        return;
    c->turning = true;
    for (;;) {
        unsigned running = c->backend.running.count, waiting = c->backend.waiting.count;
        enum backend_verdict what;
        struct backend_call *place = backend_turn(&c->backend, loop_now_ms(c->loop), &what);
        count_places(c, running, waiting);
        if (!place)
            break;
        act(CONTAINER(place, struct call, place), what);
    }
    c->turning = false;
    set_timer(c);
}

static void on_timer(struct loop *loop, struct loop_timer *timer)
{
    (void)loop;
    turn(CONTAINER(timer, struct caller, timer));
}

/* ---- a caller */

static unsigned share(uint32_t all, unsigned loops)
{
    unsigned n = (all + loops - 1) / (loops ? loops : 1);
    return n ? n : 1;
}

void caller_init(struct caller *c, struct loop *loop, enum caller_kind kind,
                 const struct caller_ops *ops, const struct process_config *config)
{
    uint64_t seed = 0;
    struct backend_limits limits = {
        .first_token_ms = config->backend.first_token_ms,
        .idle_ms = config->backend.idle_ms,
        .total_ms = config->backend.total_ms,
        .concurrency = share(config->backend.concurrency, config->loops),
        .queue_max =
            config->backend.queue_max ? share(config->backend.queue_max, config->loops) : 0,
    };
    *c = (struct caller){
        .loop = loop, .ops = ops, .kind = kind, .reply_max = config->backend.reply_max};
    c->timer.fire = on_timer;
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) < 0)
        seed = (uint64_t)(uintptr_t)c; /* of a jitter: no secret */
    backend_init(&c->backend, &limits, seed);
}

static void end(struct call *call, enum backend_result result)
{
    struct caller *c = call->caller;
    unsigned running = c->backend.running.count, waiting = c->backend.waiting.count;
    backend_end(&c->backend, &call->place, result, loop_now_ms(c->loop));
    count_places(c, running, waiting);
}

void caller_stop(struct caller *c)
{
    c->stopped = true;
    while (c->backend.running.first)
        call_cancel(CONTAINER(c->backend.running.first, struct call, place));
    while (c->backend.waiting.first)
        call_cancel(CONTAINER(c->backend.waiting.first, struct call, place));
    loop_timer_unset(c->loop, &c->timer);
}

/* ---- a call */

void call_begin(struct call *call, struct caller *c, const struct process_session *who,
                const struct process_turn *said, struct process_sink *sink)
{
    unsigned running = c->backend.running.count, waiting = c->backend.waiting.count;
    call->caller = c;
    call->who = who;
    call->turn = said;
    call->sink = sink;
    call->left = c->reply_max;
    call->wait_ms = 0;
    call->number++;
    enum backend_verdict what =
        c->stopped ? BACKEND_NOT_ASKED
                   : backend_submit(&c->backend, &call->place, who->device, loop_now_ms(c->loop));
    count_places(c, running, waiting);
    if (!c->stopped)
        set_timer(c);
    act(call, what);
}

void call_cancel(struct call *call)
{
    struct caller *c = call->caller;
    if (!call_active(call))
        return;
    bool ran = call->place.state == CALL_RUNNING;
    end(call, BACKEND_NEITHER);
    count_result(c, R_CANCELLED);
    if (ran)
        c->ops->give_up(call);
    if (!c->stopped)
        turn(c);
}

static void heard(struct call *call)
{
    struct caller *c = call->caller;
    uint64_t now = loop_now_ms(c->loop);
    if (!call->place.spoke)
        histogram_add(loop_index(c->loop),
                      (enum histogram)((unsigned)HISTOGRAM_CHAT_FIRST_TOKEN + (unsigned)c->kind),
                      now - call->place.began_ms);
    backend_token(&c->backend, &call->place, now);
}

size_t utf8_cut(struct span text, size_t max)
{
    if (text.len <= max)
        return text.len;
    while (max > 0 && ((uint8_t)text.p[max] & 0xC0) == 0x80)
        max--;
    return max;
}

static void finish(struct call *call, struct span text, enum result result)
{
    struct caller *c = call->caller;
    end(call, BACKEND_OK);
    count_result(c, result);
    note_breaker(c, "");
    call->sink->reply(call->sink, text, true);
    turn(c);
}

bool call_say(struct call *call, struct span text)
{
    if (text.len == 0)
        return true;
    heard(call);
    if (text.len >= call->left) {
        call->caller->ops->give_up(call);
        finish(call, (struct span){text.p, utf8_cut(text, call->left)}, R_CUT);
        return false;
    }
    call->left -= text.len;
    uint32_t number = call->number;
    call->sink->reply(call->sink, text, false);
    return call->place.state == CALL_RUNNING && call->number == number;
}

void call_done(struct call *call, struct span text)
{
    if (text.len > 0)
        heard(call);
    finish(call, (struct span){text.p, utf8_cut(text, call->left)},
           text.len > call->left ? R_CUT : R_OK);
}

void call_fail(struct call *call, const char *code, const char *what, enum backend_result result)
{
    struct caller *c = call->caller;
    end(call, result);
    backend_wait(&c->backend, call->wait_ms, loop_now_ms(c->loop));
    log_failure(call, code, what);
    note_breaker(c, what);
    tell_failure(call, code, "What answers could not.");
    turn(c);
}
