/* A run in time: a moment of warming up that is not counted, then --seconds that are; with --rate,
 * what is due when. */
#ifndef LOAD_RUN_H
#define LOAD_RUN_H

#include "bench/load/loop.h"
#include "bench/load/measure.h"
#include "bench/load/options.h"

struct run {
    const struct options *options;
    struct loop *loop;
    struct measure *measure;
    /* With --rate: begins one operation that was due then; false: all connections are busy. */
    bool (*issue)(void *arg, uint64_t due_ns);
    void *arg;
    void (*over)(void *arg); /* the time is over; NULL: the loop stops */
    uint64_t phase_end, pace_began, issued;
};

/* The members above phase_end are the caller's. */
void run_begin(struct run *r);
/* The same with less of a warm-up, for connections that have been warm before. */
void run_begin_again(struct run *r);
/* The same, counted from now on, without an end: the caller stops the loop. */
void run_begin_open(struct run *r);

#endif
