#include "bench/load/histogram.h"

#define LINEAR_BITS 5 /* 2^5 buckets an octave; below 2^6 a bucket for each value */

static unsigned octave_of(uint64_t ns)
{
    unsigned top = 63 - (unsigned)__builtin_clzll(ns | 1);

    return top > LINEAR_BITS ? top - LINEAR_BITS : 0;
}

/* The largest value of a bucket. */
static uint64_t upper(unsigned bucket)
{
    unsigned octave = bucket >> LINEAR_BITS;
    uint64_t within = bucket & ((1u << LINEAR_BITS) - 1);

    if (octave == 0)
        return within;
    octave--;
    return (((1ull << LINEAR_BITS) + within + 1) << octave) - 1;
}

void histogram_add(struct histogram *h, uint64_t ns)
{
    unsigned octave = octave_of(ns);
    uint64_t bucket = ((uint64_t)octave << LINEAR_BITS) + (ns >> octave);

    h->buckets[bucket]++;
    h->total++;
    if (ns > h->max_ns)
        h->max_ns = ns;
}

uint64_t histogram_at(const struct histogram *h, unsigned per_mille)
{
    uint64_t want = (h->total * per_mille + 999) / 1000, seen = 0;

    if (want == 0)
        return 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen >= want)
            return upper(i) < h->max_ns ? upper(i) : h->max_ns;
    }
    return h->max_ns;
}
