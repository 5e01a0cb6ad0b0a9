/* Private to the events' files: who listens, and what is going on for them. All of the one loop. */
#ifndef CONSOLE_EVENTS_H
#define CONSOLE_EVENTS_H

#include <jansson.h>
#include <stdatomic.h>

#include "admin/gate.h"
#include "console/console.h"
#include "ops/metrics.h"

#define EVENTS_LISTENERS_MAX 32u          /* at once; */
#define EVENTS_OF_ONE_MAX    8u           /* of one token */
#define EVENTS_AHEAD         (32u * 1024) /* bytes unsent, from which on nothing more is added */
#define EVENTS_BATCH         128          /* audit events of one look into the store */
#define EVENTS_RESUME_MAX    500          /* audit events that who comes again is told */
#define EVENTS_BEHIND_MAX    1000         /* audit events: who is further behind, misses some */
#define EVENTS_TICK_MS       250
#define EVENTS_TICK_LOOKS    4 /* into the store: a storm is not told whole */
#define EVENTS_STATE_TICKS   4
#define EVENTS_BEAT_TICKS    60

struct listener_of_events {
    struct listener_of_events *next;
    struct console_events *of;
    struct conn *conn;
    uint64_t number;
    struct admin_caller who;
    int64_t after; /* the audit event that it has been told last, or that it may not see; -1: none
                      are told */
    bool leaving;
};

/* feed.c: reads behind the slowest who can take more. */
struct audit_line {
    int64_t n;
    char device_id[LIMIT_ID_LEN + 1];
    char *json;
};

struct audit_feed {
    struct store_job job;
    struct loop_task task;
    bool busy;
    int64_t from, end; /* end: of the trail, as of the last look */
    int64_t found;     /* the same, by the look that is under way */
    uint64_t commits;  /* of the store, before the last look */
    unsigned looks;    /* since the last tick */
    unsigned count;
    struct audit_line line[EVENTS_BATCH];
};

/* figures.c: what a token for some devices is shown takes a visit to each loop. */
struct scoped_round {
    struct loop_task task;
    bool busy;
    unsigned at, count;
    struct {
        uint64_t number; /* of the listener */
        char prefix[LIMIT_ID_LEN + 1];
        uint64_t online;
    } of[EVENTS_LISTENERS_MAX];
};

struct figures {
    uint64_t at_ms, claims, messages, refusals;
};

struct console_events {
    const struct admin_context *context;
    struct loop *loop;
    struct loop_timer timer;
    struct listener_of_events *first;
    unsigned count, ticks;
    uint64_t last; /* number given */
    atomic_bool stopped;
    bool ending;
    struct figures before;
    struct audit_feed feed;
    struct scoped_round round;
};

/* events.c: one event to one listener, unless it has too much unsent already: false. n 0: it has no
 * number. data is one line. */
bool events_tell(struct listener_of_events *l, const char *event, int64_t n, const char *data);
/* Goes on behind event `to` of the trail, and says so. */
void events_skip(struct listener_of_events *l, int64_t to);
/* Says why, and closes. */
void events_dismiss(struct listener_of_events *l, const char *reason);

/* feed.c */
void feed_look(struct console_events *e);
void feed_stop(struct console_events *e);

/* figures.c: once a second, while somebody listens. */
void figures_tell(struct console_events *e);

#endif
