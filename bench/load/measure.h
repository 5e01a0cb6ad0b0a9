/* What a run counts, and the line that says it. */
#ifndef LOAD_MEASURE_H
#define LOAD_MEASURE_H

#include <stdbool.h>

#include "bench/load/histogram.h"
#include "bench/load/options.h"

struct measure {
    const struct options *options;
    uint64_t operations, errors, wrong_bytes;
    struct histogram latency;
    bool running;
    uint64_t began_ns, took_ns;
    uint64_t own_ns, server_ns; /* CPU: at the begin, then of the run */
    uint32_t server_pid;
    bool server_known;
};

void measure_init(struct measure *m, const struct options *o);
/* All counts but the errors begin anew. */
void measure_begin(struct measure *m);
void measure_end(struct measure *m);
/* One more operation, done now; counted only between begin and end. */
void measure_add(struct measure *m, uint64_t took_ns);
/* The result on stdout; more: members of the mode's own with a comma ahead, or "". Returns the
 * program's exit status. */
int measure_report(const struct measure *m, const char *more);

#endif
