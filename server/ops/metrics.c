/* A block per loop, on cache lines of its own: counting shares nothing with other loops. */
#include "ops/metrics.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

enum { BLOCKS = METRIC_LOOPS_MAX + 1, US_PER_MS = 1000, PERMILLE = 1000 };

struct block {
    _Alignas(64) _Atomic uint64_t counts[METRIC_COUNT];
    _Atomic uint64_t buckets[HISTOGRAM_COUNT][HISTOGRAM_BUCKETS];
    _Atomic uint64_t sums_us[HISTOGRAM_COUNT];
};

static struct block blocks[BLOCKS];

static const uint32_t bounds_ms[HISTOGRAM_BUCKETS - 1] = {HISTOGRAM_BOUNDS_MS};

static struct block *block_of(unsigned loop)
{
    return &blocks[loop < BLOCKS ? loop : 0];
}

void metric_add(unsigned loop, enum metric m, uint64_t n)
{
    atomic_fetch_add_explicit(&block_of(loop)->counts[m], n, memory_order_relaxed);
}

/* Of one writer, which needs no locked instruction. */
static void add_alone(_Atomic uint64_t *to, uint64_t n)
{
    atomic_store_explicit(to, atomic_load_explicit(to, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

void histogram_add_us(unsigned loop, enum histogram h, uint64_t us)
{
    struct block *b = block_of(loop);
    unsigned at = 0;

    while (at < HISTOGRAM_BUCKETS - 1 && us > (uint64_t)bounds_ms[at] * US_PER_MS)
        at++;
    add_alone(&b->buckets[h][at], 1);
    add_alone(&b->sums_us[h], us);
}

void histogram_add(unsigned loop, enum histogram h, uint64_t ms)
{
    histogram_add_us(loop, h, ms * US_PER_MS);
}

void metric_answered_at_once(unsigned loop)
{
    struct block *b = block_of(loop);
    add_alone(&b->buckets[HISTOGRAM_REPLY_FIRST][0], 1);
    add_alone(&b->buckets[HISTOGRAM_REPLY_DONE][0], 1);
}

/* ---- refusals ---- */

static const struct {
    const char *labels;
    enum metric metric;
} refused[] = {
#define REFUSED_ROW(id, name, labels, help) {labels, METRIC_##id},
    METRIC_REFUSED_MAP(REFUSED_ROW)
#undef REFUSED_ROW
};

/* Whether labels are what="WHAT",reason="REASON", of the event "WHAT.refused". */
static bool is_row(const char *labels, const char *event, const char *reason)
{
    char wanted[96];
    const char *dot = strchr(event, '.');

    if (!dot || strcmp(dot, ".refused") != 0)
        return false;
    int len = snprintf(wanted, sizeof wanted, "what=\"%.*s\",reason=\"%s\"", (int)(dot - event),
                       event, reason);
    return len > 0 && (size_t)len < sizeof wanted && strcmp(labels, wanted) == 0;
}

void metric_refused(unsigned loop, const char *event, const char *reason)
{
    const char *const tries[] = {reason, "other"};

    for (size_t t = 0; t < 2; t++)
        for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
            if (is_row(refused[i].labels, event, tries[t])) {
                metric_add(loop, refused[i].metric, 1);
                return;
            }
}

/* ---- sums ---- */

uint64_t metric_read(enum metric m)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < BLOCKS; i++)
        sum += atomic_load_explicit(&blocks[i].counts[m], memory_order_relaxed);
    return sum;
}

static void read_histogram(enum histogram h, struct histogram_totals *out)
{
    *out = (struct histogram_totals){.sum_us = 0};
    for (unsigned i = 0; i < BLOCKS; i++) {
        for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++)
            out->buckets[b] += atomic_load_explicit(&blocks[i].buckets[h][b], memory_order_relaxed);
        out->sum_us += atomic_load_explicit(&blocks[i].sums_us[h], memory_order_relaxed);
    }
}

void metrics_totals(struct metrics_totals *out)
{
    for (unsigned m = 0; m < METRIC_COUNT; m++)
        out->counts[m] = metric_read((enum metric)m);
    for (unsigned h = 0; h < HISTOGRAM_COUNT; h++)
        read_histogram((enum histogram)h, &out->times[h]);
}

static uint64_t in_bucket(const struct metrics_totals *now, const struct metrics_totals *before,
                          enum histogram h, unsigned b)
{
    return now->times[h].buckets[b] - (before ? before->times[h].buckets[b] : 0);
}

uint64_t histogram_count(const struct metrics_totals *now, const struct metrics_totals *before,
                         enum histogram h)
{
    uint64_t count = 0;

    for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++)
        count += in_bucket(now, before, h, b);
    return count;
}

/* Those of a bucket are taken as spread evenly over it, as Prometheus' histogram_quantile has it.
 */
uint64_t histogram_quantile_us(const struct metrics_totals *now,
                               const struct metrics_totals *before, enum histogram h,
                               unsigned permille)
{
    uint64_t rank = histogram_count(now, before, h) * permille; /* in thousandths of one */
    uint64_t from_us = 0;

    if (rank == 0)
        return 0;
    for (unsigned b = 0; b < HISTOGRAM_BUCKETS - 1; b++) {
        uint64_t here = in_bucket(now, before, h, b) * PERMILLE;
        uint64_t to_us = (uint64_t)bounds_ms[b] * US_PER_MS;
        if (rank <= here)
            return from_us + (to_us - from_us) * rank / here;
        rank -= here;
        from_us = to_us;
    }
    return from_us;
}
