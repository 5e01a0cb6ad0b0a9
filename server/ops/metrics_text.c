/* The families in Prometheus' text format. */
#include <stdbool.h>
#include <string.h>

#include "ops/metrics.h"

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

static const char *type_of(const char *name)
{
    size_t len = strlen(name);

    return len > 6 && strcmp(name + len - 6, "_total") == 0 ? "counter" : "gauge";
}

static void write_head(FILE *out, const struct family *f, const char *type)
{
    (void)fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", f->name, f->help, f->name, type);
}

static void write_sample(FILE *out, const struct family *f, uint64_t value)
{
    bool labels = f->labels[0] != '\0';

    (void)fprintf(out, "%s%s%s%s %lld\n", f->name, labels ? "{" : "", f->labels, labels ? "}" : "",
                  (long long)value);
}

static void write_histogram(FILE *out, const struct family *f, const struct histogram_totals *t)
{
    bool labels = f->labels[0] != '\0';
    const char *open = labels ? "{" : "", *close = labels ? "}" : "";
    uint64_t count = 0;

    for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++) {
        char le[16] = "+Inf";
        if (b < HISTOGRAM_BUCKETS - 1)
            (void)snprintf(le, sizeof le, "%g", bounds_ms[b] / 1000.0);
        count += t->buckets[b];
        (void)fprintf(out, "%s_bucket{%s%sle=\"%s\"} %llu\n", f->name, f->labels, labels ? "," : "",
                      le, (unsigned long long)count);
    }
    (void)fprintf(out, "%s_sum%s%s%s %llu.%06u\n", f->name, open, f->labels, close,
                  (unsigned long long)t->sum_us / 1000000, (unsigned)(t->sum_us % 1000000));
    (void)fprintf(out, "%s_count%s%s%s %llu\n", f->name, open, f->labels, close,
                  (unsigned long long)count);
}

/* A family's first row has its head. */
static bool is_first(const struct family *all, unsigned i)
{
    return i == 0 || strcmp(all[i].name, all[i - 1].name) != 0;
}

void metrics_write(FILE *out)
{
    struct metrics_totals now;

    metrics_totals(&now);
    for (unsigned i = 0; i < METRIC_COUNT; i++) {
        if (is_first(families, i))
            write_head(out, &families[i], type_of(families[i].name));
        write_sample(out, &families[i], now.counts[i]);
    }
    for (unsigned i = 0; i < HISTOGRAM_COUNT; i++) {
        if (is_first(histograms, i))
            write_head(out, &histograms[i], "histogram");
        write_histogram(out, &histograms[i], &now.times[i]);
    }
}

void metric_print(FILE *out, const char *name, const char *help, double value)
{
    write_head(out, &(struct family){name, "", help}, type_of(name));
    (void)fprintf(out, "%s %.16g\n", name, value);
}
