/* What keeps a backend within bounds: so many calls at once, a fair queue behind them, time limits,
 * and a breaker that stops asking one that fails. Pure state, told the time; one per loop and
 * processor, so it needs no lock. It does no work itself: backend_turn says what is to be done with
 * which call. */
#ifndef PROCESS_BACKEND_H
#define PROCESS_BACKEND_H

#include <stdbool.h>
#include <stdint.h>

#define BACKEND_FAILURES_MAX   5     /* in a row: the breaker opens */
#define BACKEND_WINDOW         20    /* results; more than half of them failures, too */
#define BACKEND_WINDOW_MS      60000 /* when they lie within */
#define BACKEND_BACKOFF_MIN_MS 1000
#define BACKEND_BACKOFF_MAX_MS 60000
#define BACKEND_BUCKETS        256

enum call_state { CALL_IDLE, CALL_WAITING, CALL_RUNNING };

/* One utterance's place; embedded in its owner. All zero is idle. */
struct backend_call {
    struct backend_call *next, *prev; /* of those that wait, or of those that run */
    struct backend_call *neighbour;   /* in the bucket of its device */
    const char *device;
    uint64_t began_ms, token_ms; /* began to wait; its last token, or began_ms */
    uint32_t round;
    uint8_t state; /* enum call_state */
    bool spoke;    /* there was a token */
    bool probe;    /* the one that tries a backend again */
};

struct backend_limits {
    uint32_t first_token_ms, idle_ms, total_ms; /* from the moment it was asked for */
    unsigned concurrency, queue_max;
};

struct backend {
    struct backend_limits limits;
    struct backend_list {
        struct backend_call *first, *last;
        unsigned count;
    } waiting, running;
    struct backend_call *buckets[BACKEND_BUCKETS]; /* all of both, by device */
    uint64_t due_ms;                               /* nothing is late before */
    uint32_t round;                                /* of the queue, see backend_submit */

    unsigned failures; /* in a row */
    struct {
        uint64_t at_ms;
        bool failed;
    } results[BACKEND_WINDOW]; /* at_ms 0: none yet */
    unsigned result_at;
    uint64_t open_until_ms; /* 0: closed */
    uint32_t backoff_ms;
    bool probing;
    uint64_t random; /* of the jitter */
};

enum backend_verdict {
    BACKEND_START,     /* its turn has come: ask, then backend_end */
    BACKEND_LATE,      /* it ran, and its time is over: give it up; it has ended as a failure */
    BACKEND_UNSERVED,  /* it waited too long or finds no place to wait; it is idle again */
    BACKEND_NOT_ASKED, /* the breaker is open; it is idle again */
    BACKEND_WAITS,     /* of backend_submit only */
};

enum backend_result {
    BACKEND_OK,
    BACKEND_FAILED,
    BACKEND_NEITHER, /* says nothing of the backend: cancelled, or the request's own fault */
};

void backend_init(struct backend *b, const struct backend_limits *limits, uint64_t seed);

/* A device asks. device: its id, while the call is not idle. Devices take turns: a call goes behind
 * those of the others that are in the same round, a device's second call into the round after its
 * first, so that many of one device hold nobody up; and a device has one running at most. */
enum backend_verdict backend_submit(struct backend *b, struct backend_call *call,
                                    const char *device, uint64_t now_ms);
/* Part of the answer has come. */
void backend_token(struct backend *b, struct backend_call *call, uint64_t now_ms);
/* A call that runs or waits is over. */
void backend_end(struct backend *b, struct backend_call *call, enum backend_result result,
                 uint64_t now_ms);
/* The backend itself says that it is not to be asked for so long: the breaker opens at once, for
 * BACKEND_BACKOFF_MAX_MS at most. Behind backend_end. */
void backend_wait(struct backend *b, uint64_t ms, uint64_t now_ms);
/* The next call that something is to be done with, or NULL; until then to be called again, after
 * each of the above and at backend_due_ms. */
struct backend_call *backend_turn(struct backend *b, uint64_t now_ms, enum backend_verdict *what);
/* No limit is reached before; UINT64_MAX: there is none. */
uint64_t backend_due_ms(const struct backend *b);
/* The breaker is open, or tries whether it may close. */
static inline bool backend_is_down(const struct backend *b)
{
    return b->open_until_ms != 0;
}

#endif
