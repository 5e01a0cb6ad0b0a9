/* Calls to a backend: what chat, webhook and exec have in common. A caller is one loop's end of one
 * processor: it gives calls their turn, watches their time, counts, and says in the log when the
 * backend goes down and comes up. How a backend is asked is in struct caller_ops. */
#ifndef PROCESS_CALLER_H
#define PROCESS_CALLER_H

#include "net/loop.h"
#include "process/backend.h"
#include "process/process.h"

struct caller;
struct call;

struct caller_ops {
    /* The call's turn has come: ask. It ends with call_done or call_fail, later or at once. */
    void (*ask)(struct call *call);
    /* What was asked is not wanted any more; nothing more is said for it. */
    void (*give_up)(struct call *call);
    /* It took too long, and has been given up. NULL: never mind. */
    void (*late)(struct call *call);
};

/* Indices of the metrics. */
enum caller_kind { CALLER_CHAT, CALLER_WEBHOOK, CALLER_EXEC };

struct caller {
    struct loop *loop;
    const struct caller_ops *ops;
    enum caller_kind kind;
    size_t reply_max;
    struct backend backend;
    struct loop_timer timer;
    bool turning, stopped, was_down;
};

/* One session's: at most one utterance at a time. All zero is idle. */
struct call {
    struct backend_call place;
    struct caller *caller;
    const struct process_session *who;
    const struct process_turn *turn;
    struct process_sink *sink;
    size_t left;      /* bytes that may still be said */
    uint32_t number;  /* of the session's calls: tells the next one from this */
    uint64_t wait_ms; /* set before call_fail: the backend is not to be asked for so long */
};

static inline bool call_active(const struct call *call)
{
    return call->place.state != CALL_IDLE;
}

/* The limits in config are shared by its loops. */
void caller_init(struct caller *c, struct loop *loop, enum caller_kind kind,
                 const struct caller_ops *ops, const struct process_config *config);
/* Gives all calls up; those that come are refused. */
void caller_stop(struct caller *c);

/* The processor's side. */
void call_begin(struct call *call, struct caller *c, const struct process_session *who,
                const struct process_turn *turn, struct process_sink *sink);
void call_cancel(struct call *call); /* idle: nothing */

/* The backend's side, of a call that was asked. text: valid UTF-8. */
/* More of the answer. False: the call is over, cancelled by who heard it or as long as answers may
 * be; what was asked has been given up. */
TEDDY_MUST_CHECK bool call_say(struct call *call, struct span text);
/* The last of it. The call is idle before the sink hears, which may begin the next. */
void call_done(struct call *call, struct span text);
/* code: BACKEND_TIMEOUT, …; what: for the log, nobody's words; result: what it says of the backend.
 */
void call_fail(struct call *call, const char *code, const char *what, enum backend_result result);

/* The length of the longest beginning of text of at most max bytes that splits no character. */
size_t utf8_cut(struct span text, size_t max);

#endif
