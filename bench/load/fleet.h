/* The sessions of a run, opened a bounded number at a time. */
#ifndef LOAD_FLEET_H
#define LOAD_FLEET_H

#include "bench/load/loop.h"
#include "bench/load/measure.h"
#include "bench/load/options.h"
#include "bench/load/session.h"

struct fleet {
    const struct options *options;
    struct measure *measure;
    struct loop loop;
    struct dialer dialer;
    struct people people; /* session i presents line i; of none when there is no such file */
    char *bearer;         /* for all, or NULL */
    struct session *sessions;
    uint32_t count, begun, open;
    void *mode; /* of who runs it */
};

#define OPENING_AT_ONCE 64

/* Rows of sessions that are not open yet, a timer each and `timers` more. False: said on stderr. */
bool fleet_init(struct fleet *f, const struct options *o, struct measure *m,
                const struct session_events *events, uint32_t timers);
void fleet_fini(struct fleet *f);
/* Begins as many as may be under way; again when one of them is open. */
void fleet_open_more(struct fleet *f);
/* One more is open: opens more; true when it was the last. */
bool fleet_opened(struct fleet *f);
struct session *fleet_of_timer(struct timer *t);
/* Stops the run: something that must not happen did. Said on stderr, the first time in full. */
void fleet_failed(struct fleet *f, const struct session *s, const char *what, struct span detail);

#endif
