/* A block per loop, on cache lines of its own: counting shares nothing with other loops. */
#include "ops/metrics.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct block {
    _Alignas(64) _Atomic uint64_t counts[METRIC_COUNT];
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

void metric_add(unsigned loop, enum metric m, uint64_t n)
{
    atomic_fetch_add_explicit(&blocks[loop % METRIC_LOOPS_MAX].counts[m], n, memory_order_relaxed);
}

uint64_t metric_read(enum metric m)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < METRIC_LOOPS_MAX; i++)
        sum += atomic_load_explicit(&blocks[i].counts[m], memory_order_relaxed);
    return sum;
}

/* One sample, with its family's head if `first`. Whole or not at all: half a line would be a wrong
 * number. */
static bool write_sample(char *out, size_t cap, size_t *len, const struct family *f, bool first,
                         uint64_t value)
{
    char text[512];
    size_t used = 0;
    bool labels = f->labels[0] != '\0';

    if (first)
        used += (size_t)snprintf(text, sizeof text, "# HELP %s %s\n# TYPE %s counter\n", f->name,
                                 f->help, f->name);
    if (used < sizeof text)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s%s%s %llu\n", f->name,
                                 labels ? "{" : "", f->labels, labels ? "}" : "",
                                 (unsigned long long)value);
    if (used >= sizeof text || used > cap - *len)
        return false;
    memcpy(out + *len, text, used);
    *len += used;
    return true;
}

size_t metrics_write(char *out, size_t cap)
{
    size_t len = 0;

    for (unsigned i = 0; i < METRIC_COUNT; i++) {
        bool first = i == 0 || strcmp(families[i].name, families[i - 1].name) != 0;
        if (!write_sample(out, cap, &len, &families[i], first, metric_read((enum metric)i)))
            break;
    }
    return len;
}
