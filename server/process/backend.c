#include "process/backend.h"

#include <stddef.h>
#include <string.h>

void backend_init(struct backend *b, const struct backend_limits *limits, uint64_t seed)
{
    *b = (struct backend){.limits = *limits, .due_ms = UINT64_MAX, .random = seed | 1};
}

/* ---- the breaker */

static uint32_t jitter(struct backend *b, uint32_t ms)
{
    b->random ^= b->random << 13;
    b->random ^= b->random >> 7;
    b->random ^= b->random << 17;
    return ms / 2 + (uint32_t)(b->random % (ms / 2 + 1));
}

static void open_breaker(struct backend *b, uint64_t now_ms)
{
    uint32_t backoff = b->backoff_ms ? b->backoff_ms * 2 : BACKEND_BACKOFF_MIN_MS;
    b->backoff_ms = backoff < BACKEND_BACKOFF_MAX_MS ? backoff : BACKEND_BACKOFF_MAX_MS;
    b->open_until_ms = now_ms + jitter(b, b->backoff_ms);
}

static void close_breaker(struct backend *b)
{
    memset(b->results, 0, sizeof b->results);
    b->failures = 0;
    b->backoff_ms = 0;
    b->open_until_ms = 0;
}

static bool fails_mostly(const struct backend *b, uint64_t now_ms)
{
    unsigned failed = 0;
    for (unsigned i = 0; i < BACKEND_WINDOW; i++)
        if (b->results[i].at_ms != 0 && now_ms - b->results[i].at_ms < BACKEND_WINDOW_MS)
            failed += b->results[i].failed;
    return failed > BACKEND_WINDOW / 2;
}

static void judge(struct backend *b, bool probe, bool failed, uint64_t now_ms)
{
    if (b->open_until_ms != 0) {
        if (probe && failed)
            open_breaker(b, now_ms);
        else if (probe)
            close_breaker(b);
        return; /* what else ends now was begun before it opened */
    }
    b->results[b->result_at].at_ms = now_ms ? now_ms : 1;
    b->results[b->result_at].failed = failed;
    b->result_at = (b->result_at + 1) % BACKEND_WINDOW;
    b->failures = failed ? b->failures + 1 : 0;
    if (b->failures >= BACKEND_FAILURES_MAX || fails_mostly(b, now_ms))
        open_breaker(b, now_ms);
}

/* A probe may be started now. */
static bool may_probe(const struct backend *b, uint64_t now_ms)
{
    return b->open_until_ms != 0 && !b->probing && now_ms >= b->open_until_ms;
}

/* ---- the lists */

static void put_behind(struct backend_list *list, struct backend_call *at,
                       struct backend_call *call)
{
    call->prev = at;
    call->next = at ? at->next : list->first;
    *(call->next ? &call->next->prev : &list->last) = call;
    *(at ? &at->next : &list->first) = call;
    list->count++;
}

static void take(struct backend_list *list, struct backend_call *call)
{
    *(call->next ? &call->next->prev : &list->last) = call->prev;
    *(call->prev ? &call->prev->next : &list->first) = call->next;
    list->count--;
}

static struct backend_call **bucket(struct backend *b, const char *device)
{
    uint32_t hash = 2166136261u;
    for (; *device; device++)
        hash = (hash ^ (uint8_t)*device) * 16777619u;
    return &b->buckets[hash % BACKEND_BUCKETS];
}

static bool is_running(struct backend *b, const char *device)
{
    for (const struct backend_call *c = *bucket(b, device); c; c = c->neighbour)
        if (c->state == CALL_RUNNING && strcmp(c->device, device) == 0)
            return true;
    return false;
}

/* Rounds are compared by their distance, so that they may wrap. */
static bool is_after(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) > 0;
}

static void enter(struct backend *b, struct backend_call *call)
{
    struct backend_call **at = bucket(b, call->device);
    call->neighbour = *at;
    *at = call;
}

static void enqueue(struct backend *b, struct backend_call *call)
{
    struct backend_call *at = b->waiting.last;
    call->round = b->round;
    for (const struct backend_call *c = *bucket(b, call->device); c; c = c->neighbour)
        if (c->state == CALL_WAITING && strcmp(c->device, call->device) == 0 &&
            !is_after(call->round, c->round))
            call->round = c->round + 1;
    while (at && is_after(at->round, call->round))
        at = at->prev;
    put_behind(&b->waiting, at, call);
    call->state = CALL_WAITING;
    enter(b, call);
}

static void leave(struct backend *b, struct backend_call *call)
{
    struct backend_call **at = bucket(b, call->device);
    take(call->state == CALL_RUNNING ? &b->running : &b->waiting, call);
    while (*at != call)
        at = &(*at)->neighbour;
    *at = call->neighbour;
    call->state = CALL_IDLE;
}

static void run(struct backend *b, struct backend_call *call)
{
    call->probe = backend_is_down(b);
    b->probing |= call->probe;
    call->state = CALL_RUNNING;
    put_behind(&b->running, b->running.last, call);
    enter(b, call);
}

/* ---- calls */

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t due_ms(const struct backend *b, const struct backend_call *c)
{
    uint64_t total = c->began_ms + b->limits.total_ms;
    uint64_t first = c->began_ms + b->limits.first_token_ms;
    return earlier(total, c->spoke ? c->token_ms + b->limits.idle_ms : first);
}

enum backend_verdict backend_submit(struct backend *b, struct backend_call *call,
                                    const char *device, uint64_t now_ms)
{
    *call = (struct backend_call){.device = device, .began_ms = now_ms, .token_ms = now_ms};
    if (backend_is_down(b) && !may_probe(b, now_ms))
        return BACKEND_NOT_ASKED;
    b->due_ms = earlier(b->due_ms, due_ms(b, call));
    if (b->waiting.count == 0 && b->running.count < b->limits.concurrency &&
        !is_running(b, device)) {
        run(b, call);
        return BACKEND_START;
    }
    if (b->waiting.count >= b->limits.queue_max)
        return BACKEND_UNSERVED;
    enqueue(b, call);
    return BACKEND_WAITS;
}

void backend_token(struct backend *b, struct backend_call *call, uint64_t now_ms)
{
    call->spoke = true;
    call->token_ms = now_ms;
    b->due_ms = earlier(b->due_ms, due_ms(b, call));
}

void backend_end(struct backend *b, struct backend_call *call, enum backend_result result,
                 uint64_t now_ms)
{
    bool ran = call->state == CALL_RUNNING;
    if (call->state == CALL_IDLE)
        return;
    leave(b, call);
    if (call->probe)
        b->probing = false; /* one that says nothing leaves it to the next */
    if (ran && result != BACKEND_NEITHER)
        judge(b, call->probe, result == BACKEND_FAILED, now_ms);
}

void backend_wait(struct backend *b, uint64_t ms, uint64_t now_ms)
{
    uint64_t until = now_ms + earlier(ms, BACKEND_BACKOFF_MAX_MS);
    if (ms == 0 || until <= b->open_until_ms)
        return;
    if (b->backoff_ms == 0)
        b->backoff_ms = BACKEND_BACKOFF_MIN_MS;
    b->open_until_ms = until;
}

/* One that talked until its whole time was up is alive. */
static enum backend_result late(const struct backend *b, const struct backend_call *c,
                                uint64_t now_ms)
{
    return c->spoke && now_ms < c->token_ms + b->limits.idle_ms ? BACKEND_NEITHER : BACKEND_FAILED;
}

static struct backend_call *first_late(const struct backend *b, const struct backend_list *list,
                                       uint64_t now_ms, uint64_t *due)
{
    for (struct backend_call *c = list->first; c; c = c->next) {
        if (now_ms >= due_ms(b, c))
            return c;
        *due = earlier(*due, due_ms(b, c));
    }
    return NULL;
}

/* One whose time is over. All are looked at only when the first of them may be. */
static struct backend_call *take_late(struct backend *b, uint64_t now_ms,
                                      enum backend_verdict *what)
{
    uint64_t due = UINT64_MAX;
    if (now_ms < b->due_ms)
        return NULL;
    struct backend_call *c = first_late(b, &b->running, now_ms, &due);
    if (c) {
        *what = BACKEND_LATE;
        backend_end(b, c, late(b, c, now_ms), now_ms);
        return c;
    }
    c = first_late(b, &b->waiting, now_ms, &due);
    if (c) {
        *what = BACKEND_UNSERVED;
        leave(b, c);
        return c;
    }
    b->due_ms = due;
    return NULL;
}

static struct backend_call *first_to_run(struct backend *b)
{
    for (struct backend_call *c = b->waiting.first; c; c = c->next)
        if (!is_running(b, c->device))
            return c;
    return NULL;
}

struct backend_call *backend_turn(struct backend *b, uint64_t now_ms, enum backend_verdict *what)
{
    struct backend_call *c = take_late(b, now_ms, what);
    if (c)
        return c;
    if (backend_is_down(b) && !may_probe(b, now_ms)) {
        c = b->waiting.first;
        *what = BACKEND_NOT_ASKED;
        if (c)
            leave(b, c);
        return c;
    }
    c = b->running.count < b->limits.concurrency ? first_to_run(b) : NULL;
    if (c) {
        *what = BACKEND_START;
        b->round = c->round;
        leave(b, c);
        run(b, c);
    }
    return c;
}

uint64_t backend_due_ms(const struct backend *b)
{
    return b->due_ms;
}
