/* Counters, gauges and histograms for Prometheus. Each loop counts in a block of its own, so the
 * hot path shares nothing; a scrape adds them up. */
#ifndef OPS_METRICS_H
#define OPS_METRICS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "ops/metric_map.h"

enum metric {
#define METRIC_ENUM(id, name, labels, help) METRIC_##id,
    METRIC_MAP(METRIC_ENUM)
#undef METRIC_ENUM
        METRIC_COUNT
};

enum histogram {
#define HISTOGRAM_ENUM(id, name, labels, help) HISTOGRAM_##id,
    HISTOGRAM_MAP(HISTOGRAM_ENUM)
#undef HISTOGRAM_ENUM
        HISTOGRAM_COUNT
};

#define METRIC_LOOPS_MAX 64
#define METRIC_WRITER    METRIC_LOOPS_MAX /* the block of the store's writer thread */

/* Counts in the block of a loop (loop_index) or of the writer. A gauge goes down again with
 * METRIC_LESS. Threads: any, best its own. */
void metric_add(unsigned loop, enum metric m, uint64_t n);
#define METRIC_LESS UINT64_MAX
/* How long something took. Threads: the block's own alone. */
void histogram_add(unsigned loop, enum histogram h, uint64_t ms);
void histogram_add_us(unsigned loop, enum histogram h, uint64_t us);
/* An answer within the round that heard the utterance, HISTOGRAM_REPLY_FIRST and _DONE: an echo's,
 * whose path is to be short. */
void metric_answered_at_once(unsigned loop);
/* Counts a refusal: event "claim.refused" and the like, of METRIC_REFUSED_MAP; a reason that is not
 * there is counted as "other", an event that is not there is not. */
void metric_refused(unsigned loop, const char *event, const char *reason);
/* The sum over the loops. Threads: any. */
uint64_t metric_read(enum metric m);

/* All there is at one time. */
struct histogram_totals {
    uint64_t buckets[HISTOGRAM_BUCKETS]; /* of each alone */
    uint64_t sum_us;
};

struct metrics_totals {
    uint64_t counts[METRIC_COUNT]; /* a gauge's is as many as there are now */
    struct histogram_totals times[HISTOGRAM_COUNT];
};

/* Threads: any. Some ten microseconds. */
void metrics_totals(struct metrics_totals *out);
/* How many were timed between two totals; before NULL: since the start. */
uint64_t histogram_count(const struct metrics_totals *now, const struct metrics_totals *before,
                         enum histogram h);
/* About how long the fastest `permille` of them took (500: the median, 990: p99), within the bounds
 * of a bucket; of those beyond the last bound, that bound. 0 when there was none. */
uint64_t histogram_quantile_us(const struct metrics_totals *now,
                               const struct metrics_totals *before, enum histogram h,
                               unsigned permille);

/* All families in Prometheus' text format (version 0.0.4). Errors are the stream's. */
void metrics_write(FILE *out);
/* One more family without labels. */
void metric_print(FILE *out, const char *name, const char *help, double value);

#endif
