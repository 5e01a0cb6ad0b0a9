/* The one thread's loop: sockets, moments in milliseconds (a timer each), and one alarm in
 * nanoseconds. */
#ifndef LOAD_LOOP_H
#define LOAD_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/timers.h"

/* What epoll tells of; the first member of who wants to know. */
struct source {
    void (*ready)(struct source *s, uint32_t events);
};

struct loop {
    int epoll;
    bool stop;
    struct timers timers;
    void (*due)(struct timer *t); /* one of timers; the loop has moved it to never */
    uint64_t alarm_ns;            /* of clock_ns; 0: none */
    void (*alarm)(void *arg);     /* may set the next */
    void *alarm_arg;
};

/* Room for so many timers. False: out of memory or descriptors. */
bool loop_init(struct loop *l, uint32_t timers);
void loop_fini(struct loop *l);
bool loop_add(struct loop *l, int fd, uint32_t events, struct source *s);
void loop_change(struct loop *l, int fd, uint32_t events, struct source *s);
/* No more events of it; closing does the same. */
void loop_drop(struct loop *l, int fd);
/* Until stop is set. */
void loop_run(struct loop *l);
/* In so many milliseconds; the timer was added at init with loop_timer_add. */
void loop_wake(struct loop *l, struct timer *t, uint64_t in_ms);
void loop_timer_add(struct loop *l, struct timer *t);

#endif
