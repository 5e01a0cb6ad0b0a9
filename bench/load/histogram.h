/* Counts of durations: 32 buckets an octave, so that a percentile is at most 3% off. */
#ifndef LOAD_HISTOGRAM_H
#define LOAD_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BUCKETS 1920

struct histogram {
    uint64_t total, max_ns;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *h, uint64_t ns);
/* The duration that so many of a thousand did not exceed, in nanoseconds; 0 of none. */
uint64_t histogram_at(const struct histogram *h, unsigned per_mille);

#endif
