/* A program that answers, in lines of JSON: {"id", "text", …} and {"cancel"} to it, {"id", "text",
 * "done"} or {"id", "error"} from it. One or several of it live on the first loop; the others hand
 * them their lines, and get theirs, through the loops' inboxes. An id is "LOOP-NUMBER". A toy with
 * its child is always asked of the same worker, which may remember it. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "ops/log.h"
#include "process/answer.h"
#include "process/asked.h"
#include "process/caller.h"
#include "process/exec_child.h"
#include "process/processors.h"
#include "proto/text.h"
#include "proto/writer.h"

#define LOOPS_MAX   64
#define ID_MAX      32
#define END_MS      2000 /* from the end of their stdin to SIGKILL, at the server's end */
#define GARBAGE_MAX 100  /* lines of one life of the program that were no answers */

struct exec;

/* One loop's end. */
struct exec_loop {
    struct caller caller;
    struct exec *of;
    uint64_t last; /* number of a call */
};

/* The first loop's. */
struct exec_worker {
    struct exec_child child;
    struct exec *of;
    struct buffer room;
    unsigned garbage;
    unsigned failures; /* to read or to answer in time, since its last answer */
};

struct exec {
    struct exec_worker *workers;
    unsigned worker_count;
    uint32_t patience_ms; /* how long it may take to answer */
    bool stopped;         /* written when no loop runs */
    struct process_config config;
    struct loop *home, *loops[LOOPS_MAX];
    struct exec_loop *ends[LOOPS_MAX];
    char key[33]; /* of the names it knows toys by */
};

struct exec_session {
    struct call call;
    struct process_session who;
    struct exec_loop *at;
    unsigned worker; /* who is asked */
    uint64_t number; /* of the call under way */
};

/* From one loop to another. */
struct note {
    struct loop_task task;
    struct exec *exec;
    unsigned worker;
    uint64_t number; /* of a call; 0: none of them or all */
    bool done, error;
    size_t len;
    char text[];
};

static struct exec_session *session_of(struct call *call)
{
    return CONTAINER(call, struct exec_session, call);
}

static bool note_post(struct exec *x, struct loop *to, uint64_t number, struct span text,
                      struct note head, void (*run)(struct loop *loop, struct loop_task *task))
{
    struct note *n = x->stopped ? NULL : malloc(sizeof *n + text.len);
    if (!n)
        return false;
    *n = head;
    n->task.run = run;
    n->exec = x;
    n->number = number;
    n->len = text.len;
    if (text.len)
        memcpy(n->text, text.p, text.len);
    loop_post(to, &n->task);
    return true;
}

static void note_free(struct note *n)
{
    wipe(n->text, n->len);
    free(n);
}

static const struct span NONE = {"", 0};

/* ---- on a call's own loop */

/* NULL: it has been given up meanwhile. */
static struct exec_session *find(struct exec_loop *at, uint64_t number)
{
    for (struct backend_call *c = at->caller.backend.running.first; c; c = c->next) {
        struct exec_session *s = session_of(CONTAINER(c, struct call, place));
        if (s->number == number)
            return s;
    }
    return NULL;
}

static void on_answer(struct loop *loop, struct loop_task *task)
{
    struct note *n = CONTAINER(task, struct note, task);
    struct exec_session *s = find(n->exec->ends[loop_index(loop)], n->number);
    struct span text = {n->text, n->len};
    if (s && n->error)
        call_fail(&s->call, BACKEND_ERROR, "the program answered with an error", BACKEND_FAILED);
    else if (s && n->done && text.len == 0 && !s->call.place.spoke)
        call_fail(&s->call, BACKEND_ERROR, "its answer was empty", BACKEND_NEITHER);
    else if (s && n->done)
        call_done(&s->call, text);
    else if (s && !call_say(&s->call, text))
        s = NULL; /* it is over, and has been given up */
    note_free(n);
}

static void on_refused(struct loop *loop, struct loop_task *task)
{
    struct note *n = CONTAINER(task, struct note, task);
    struct exec_session *s = find(n->exec->ends[loop_index(loop)], n->number);
    if (s)
        call_fail(&s->call, BACKEND_ERROR, "the program does not run or does not read",
                  BACKEND_FAILED);
    note_free(n);
}

/* The first call under way that the worker was asked, up to that number. */
static struct call *asked_of(const struct exec_loop *at, unsigned worker, uint64_t last)
{
    for (struct backend_call *c = at->caller.backend.running.first; c; c = c->next) {
        struct call *call = CONTAINER(c, struct call, place);
        if (session_of(call)->worker == worker && session_of(call)->number <= last)
            return call;
    }
    return NULL;
}

/* All that it was asked before: what is asked while this is told begins behind them. */
static void on_gone(struct loop *loop, struct loop_task *task)
{
    struct note *n = CONTAINER(task, struct note, task);
    struct exec_loop *at = n->exec->ends[loop_index(loop)];
    uint64_t last = at->last;
    for (struct call *call; (call = asked_of(at, n->worker, last)) != NULL;)
        call_fail(call, BACKEND_ERROR, "the program ended", BACKEND_FAILED);
    note_free(n);
}

/* ---- on the program's loop */

/* Only one that has had the time to answer: it may have been started again meanwhile. */
static void count_failure(struct exec_worker *w, uint64_t now_ms)
{
    if (++w->failures < BACKEND_FAILURES_MAX || !w->child.pid ||
        now_ms - w->child.started_ms <= w->of->patience_ms)
        return;
    LOG(LOG_WARN, "exec_killed", LOG_N("pid", w->child.pid),
        LOG_S("why", "it does not answer as it should"));
    exec_child_kill(&w->child);
}

static void on_ask(struct loop *loop, struct loop_task *task)
{
    struct note *n = CONTAINER(task, struct note, task);
    struct exec *x = n->exec;
    unsigned from = (unsigned)(n->number % LOOPS_MAX);
    struct exec_worker *w = &x->workers[n->worker];
    bool written = exec_child_write(&w->child, (struct span){n->text, n->len});
    if (!written && n->number)
        count_failure(w, loop_now_ms(loop));
    if (!written && n->number)
        (void)!note_post(x, x->loops[from], n->number / LOOPS_MAX, NONE, (struct note){.len = 0},
                         on_refused);
    note_free(n);
}

static void on_late(struct loop *loop, struct loop_task *task)
{
    struct note *n = CONTAINER(task, struct note, task);
    count_failure(&n->exec->workers[n->worker], loop_now_ms(loop));
    note_free(n);
}

static bool parse_id(const char *id, const struct exec *x, unsigned *loop, uint64_t *number)
{
    const char *dash = id ? strchr(id, '-') : NULL;
    uint64_t index;
    if (!dash || u64_parse((struct span){id, (size_t)(dash - id)}, &index) != TEDDY_OK ||
        u64_parse(span_of(dash + 1), number) != TEDDY_OK || index >= LOOPS_MAX || !x->loops[index])
        return false;
    *loop = (unsigned)index;
    return true;
}

static void garbage(struct exec_worker *w, size_t len)
{
    if (++w->garbage == 1)
        LOG(LOG_WARN, "exec_garbage", LOG_N("bytes", len),
            LOG_S("do", "the program must write nothing but answers to stdout"));
    if (w->garbage > GARBAGE_MAX) {
        LOG(LOG_WARN, "exec_killed", LOG_S("why", "what it writes are no answers"));
        exec_child_kill(&w->child);
    }
}

static void on_line(struct exec_child *child, struct span line)
{
    struct exec_worker *w = CONTAINER(child, struct exec_worker, child);
    struct exec *x = w->of;
    struct reply r;
    unsigned loop;
    uint64_t number;
    if (line.len == 0)
        return;
    if (reply_read(line, &w->room, &r) != TEDDY_OK) {
        garbage(w, line.len);
        return;
    }
    if (parse_id(r.id, x, &loop, &number)) {
        child->backoff_ms = 0;
        w->failures = 0;
        (void)!note_post(x, x->loops[loop], number, r.text,
                         (struct note){.done = r.done, .error = r.error}, on_answer);
    } else {
        garbage(w, line.len);
    }
    reply_fini(&r);
}

static void on_child_gone(struct exec_child *child)
{
    struct exec_worker *w = CONTAINER(child, struct exec_worker, child);
    struct exec *x = w->of;
    w->garbage = 0;
    w->failures = 0;
    for (unsigned i = 0; i < LOOPS_MAX; i++)
        if (x->loops[i])
            (void)!note_post(x, x->loops[i], 0, NONE,
                             (struct note){.worker = (unsigned)(w - x->workers)}, on_gone);
}

static const struct exec_handler HANDLER = {on_line, on_child_gone};

/* ---- asking */

static void id_of(const struct exec_session *s, char out[ID_MAX])
{
    snprintf(out, ID_MAX, "%u-%llu", loop_index(s->at->caller.loop), (unsigned long long)s->number);
}

/* To the program; the sender is told when it does not get there, if it gives a number. */
static bool post_line(struct exec_session *s, uint64_t number, const char *line)
{
    struct exec *x = s->at->of;
    uint64_t from = number ? number * LOOPS_MAX + loop_index(s->at->caller.loop) : 0;
    return note_post(x, x->home, from, span_of(line), (struct note){.worker = s->worker}, on_ask);
}

/* A name is as good as a random number. */
static unsigned worker_of(const struct exec *x, const char *speaker)
{
    unsigned n = 0;
    for (unsigned i = 0; i < 4; i++)
        n = n << 4 | (unsigned)(speaker[i] <= '9' ? speaker[i] - '0' : speaker[i] - 'a' + 10);
    return n % x->worker_count;
}

static void ask(struct call *call)
{
    struct exec_session *s = session_of(call);
    char id[ID_MAX], speaker[SPEAKER_LEN + 1];
    s->number = ++s->at->last;
    id_of(s, id);
    speaker_name(s->at->of->key, &s->who, speaker);
    s->worker = worker_of(s->at->of, speaker);
    char *line = asked_turn(id, speaker, call->turn);
    if (!line || !post_line(s, s->number, line))
        call_fail(call, BACKEND_ERROR, "out of memory", BACKEND_NEITHER);
    asked_free(line);
}

static void give_up(struct call *call)
{
    struct exec_session *s = session_of(call);
    char id[ID_MAX], line[ID_MAX + 16];
    id_of(s, id);
    snprintf(line, sizeof line, "{\"cancel\":\"%s\"}", id);
    (void)!post_line(s, 0, line);
}

static void late(struct call *call)
{
    struct exec_session *s = session_of(call);
    struct exec *x = s->at->of;
    (void)!note_post(x, x->home, 0, NONE, (struct note){.worker = s->worker}, on_late);
}

static const struct caller_ops OPS = {ask, give_up, late};

/* ---- the processor */

static void exec_close(void *shared)
{
    struct exec *x = shared;
    for (unsigned i = 0; i < LOOPS_MAX; i++)
        free(x->ends[i]);
    for (unsigned i = 0; i < x->worker_count; i++) {
        buffer_fini(&x->workers[i].room);
        exec_child_fini(&x->workers[i].child);
    }
    free(x->workers);
    free(x);
}

static int open_workers(struct exec *x, const struct process_config *config, char *err, size_t cap)
{
    unsigned count = config->exec.workers ? config->exec.workers : 1;
    int rc = TEDDY_OK;
    x->workers = calloc(count, sizeof *x->workers);
    if (!x->workers)
        return TEDDY_ENOMEM;
    while (rc == TEDDY_OK && x->worker_count < count) {
        struct exec_worker *w = &x->workers[x->worker_count++];
        w->of = x;
        rc = exec_child_init(&w->child, config->exec.command, &HANDLER, err, cap);
    }
    return rc;
}

static int exec_open(const struct process_config *config, void **shared, char *err, size_t cap)
{
    uint8_t random[16];
    struct exec *x = calloc(1, sizeof *x);
    if (!x)
        return TEDDY_ENOMEM;
    struct writer w = writer_on(x->key, sizeof x->key);
    int rc = open_workers(x, config, err, cap);
    x->config = *config;
    x->patience_ms = config->backend.first_token_ms;
    if (rc == TEDDY_OK && getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        rc = TEDDY_EIO;
    writer_hex(&w, random, sizeof random);
    if (rc == TEDDY_OK)
        rc = writer_end(&w);
    if (rc != TEDDY_OK)
        exec_close(x);
    else
        *shared = x;
    return rc;
}

static int exec_start(void *shared, struct loop *loop)
{
    struct exec *x = shared;
    unsigned i = loop_index(loop);
    struct exec_loop *at = calloc(1, sizeof *at);
    if (!at)
        return TEDDY_ENOMEM;
    at->of = x;
    caller_init(&at->caller, loop, CALLER_EXEC, &OPS, &x->config);
    x->ends[i] = at;
    x->loops[i] = loop;
    if (i == 0) {
        x->home = loop;
        for (unsigned n = 0; n < x->worker_count; n++)
            exec_child_start(&x->workers[n].child, loop);
    }
    return TEDDY_OK;
}

static void exec_stop(void *shared, struct loop *loop)
{
    struct exec *x = shared;
    unsigned i = loop_index(loop);
    int patience_ms = END_MS; /* with all of them together */
    x->stopped = true;
    if (x->ends[i])
        caller_stop(&x->ends[i]->caller);
    for (unsigned n = 0; i == 0 && n < x->worker_count; n++)
        exec_child_hang_up(&x->workers[n].child);
    for (unsigned n = 0; i == 0 && n < x->worker_count; n++)
        exec_child_stop(&x->workers[n].child, &patience_ms);
}

static int exec_session_new(void *shared, struct loop *loop, const struct process_session *who,
                            void **session)
{
    struct exec *x = shared;
    struct exec_session *s = calloc(1, sizeof *s);
    if (!s)
        return TEDDY_ENOMEM;
    s->at = x->ends[loop_index(loop)];
    s->who = *who;
    *session = s;
    return TEDDY_OK;
}

static void exec_cancel(void *session)
{
    struct exec_session *s = session;
    call_cancel(&s->call);
}

static void exec_session_free(void *session)
{
    if (session)
        exec_cancel(session);
    free(session);
}

static void exec_utter(void *session, const struct process_turn *turn, struct process_sink *sink)
{
    struct exec_session *s = session;
    call_begin(&s->call, &s->at->caller, &s->who, turn, sink);
}

const struct processor processor_exec = {
    .name = "exec",
    .open = exec_open,
    .start = exec_start,
    .stop = exec_stop,
    .close = exec_close,
    .session_new = exec_session_new,
    .session_free = exec_session_free,
    .utter = exec_utter,
    .cancel = exec_cancel,
};
