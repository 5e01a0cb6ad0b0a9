/* A block per loop, on cache lines of its own: counting shares nothing with other loops. */
#include "ops/metrics.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct block {
    _Alignas(64) _Atomic uint64_t counts[METRIC_COUNT];
    _Atomic uint64_t buckets[HISTOGRAM_COUNT][HISTOGRAM_BUCKETS];
    _Atomic uint64_t sums_ms[HISTOGRAM_COUNT];
};

static struct block blocks[METRIC_LOOPS_MAX];

struct family {
    const char *name, *labels, *help;
};

static const struct family families[METRIC_COUNT] = {
#define METRIC_ROW(id, name, labels, help) {name, labels, help},
    METRIC_MAP(METRIC_ROW)
#undef METRIC_ROW
};

static const struct family histograms[HISTOGRAM_COUNT] = {
#define HISTOGRAM_ROW(id, name, labels, help) {name, labels, help},
    HISTOGRAM_MAP(HISTOGRAM_ROW)
#undef HISTOGRAM_ROW
};

static const uint32_t bounds_ms[HISTOGRAM_BUCKETS - 1] = {HISTOGRAM_BOUNDS_MS};

void metric_add(unsigned loop, enum metric m, uint64_t n)
{
    atomic_fetch_add_explicit(&blocks[loop % METRIC_LOOPS_MAX].counts[m], n, memory_order_relaxed);
}

void histogram_add(unsigned loop, enum histogram h, uint64_t ms)
{
    struct block *b = &blocks[loop % METRIC_LOOPS_MAX];
    unsigned at = 0;

    while (at < HISTOGRAM_BUCKETS - 1 && ms > bounds_ms[at])
        at++;
    atomic_fetch_add_explicit(&b->buckets[h][at], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&b->sums_ms[h], ms, memory_order_relaxed);
}

uint64_t metric_read(enum metric m)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < METRIC_LOOPS_MAX; i++)
        sum += atomic_load_explicit(&blocks[i].counts[m], memory_order_relaxed);
    return sum;
}

static const char *type_of(const struct family *f)
{
    size_t len = strlen(f->name);

    return len > 6 && strcmp(f->name + len - 6, "_total") == 0 ? "counter" : "gauge";
}

/* Whole or not at all: half a line would be a wrong number. */
__attribute__((format(printf, 4, 5))) static bool write_line(char *out, size_t cap, size_t *len,
                                                             const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    int used = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (used < 0 || (size_t)used >= sizeof text || (size_t)used > cap - *len)
        return false;
    memcpy(out + *len, text, (size_t)used);
    *len += (size_t)used;
    return true;
}

static bool write_family(char *out, size_t cap, size_t *len, const struct family *f,
                         const char *type)
{
    return write_line(out, cap, len, "# HELP %s %s\n# TYPE %s %s\n", f->name, f->help, f->name,
                      type);
}

static bool write_sample(char *out, size_t cap, size_t *len, const struct family *f, uint64_t value)
{
    bool labels = f->labels[0] != '\0';

    return write_line(out, cap, len, "%s%s%s%s %lld\n", f->name, labels ? "{" : "", f->labels,
                      labels ? "}" : "", (long long)value);
}

static bool write_histogram(char *out, size_t cap, size_t *len, enum histogram h)
{
    const struct family *f = &histograms[h];
    uint64_t count = 0, sum_ms = 0;

    for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++) {
        char le[16] = "+Inf";
        for (unsigned i = 0; i < METRIC_LOOPS_MAX; i++)
            count += atomic_load_explicit(&blocks[i].buckets[h][b], memory_order_relaxed);
        if (b < HISTOGRAM_BUCKETS - 1)
            (void)snprintf(le, sizeof le, "%g", bounds_ms[b] / 1000.0);
        if (!write_line(out, cap, len, "%s_bucket{%s,le=\"%s\"} %llu\n", f->name, f->labels, le,
                        (unsigned long long)count))
            return false;
    }
    for (unsigned i = 0; i < METRIC_LOOPS_MAX; i++)
        sum_ms += atomic_load_explicit(&blocks[i].sums_ms[h], memory_order_relaxed);
    return write_line(out, cap, len, "%s_sum{%s} %llu.%03u\n%s_count{%s} %llu\n", f->name,
                      f->labels, (unsigned long long)sum_ms / 1000, (unsigned)(sum_ms % 1000),
                      f->name, f->labels, (unsigned long long)count);
}

/* A family's first row has its head. */
static bool is_first(const struct family *all, unsigned i)
{
    return i == 0 || strcmp(all[i].name, all[i - 1].name) != 0;
}

size_t metrics_write(char *out, size_t cap)
{
    size_t len = 0, whole = 0;

    for (unsigned i = 0; i < METRIC_COUNT; i++, whole = len)
        if ((is_first(families, i) &&
             !write_family(out, cap, &len, &families[i], type_of(&families[i]))) ||
            !write_sample(out, cap, &len, &families[i], metric_read((enum metric)i)))
            return whole;
    for (unsigned i = 0; i < HISTOGRAM_COUNT; i++, whole = len)
        if ((is_first(histograms, i) &&
             !write_family(out, cap, &len, &histograms[i], "histogram")) ||
            !write_histogram(out, cap, &len, (enum histogram)i))
            return whole;
    return len;
}
