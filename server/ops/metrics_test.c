#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ops/metrics.h"
#include "ops/process_stats.h"

static char *text;

static unsigned count_of(const char *needle)
{
    unsigned n = 0;
    for (const char *p = text; (p = strstr(p, needle)) != NULL; p += strlen(needle))
        n++;
    return n;
}

static void scrape(void)
{
    size_t len;
    free(text);
    FILE *f = open_memstream(&text, &len);
    assert_non_null(f);
    metrics_write(f);
    process_stats_write(f);
    assert_int_equal(fclose(f), 0);
}

/* Prometheus refuses a family that is announced twice or whose samples stand apart. */
static void families_stand_together(void **state)
{
    static const char *const names[] = {
#define NAME(id, name, labels, help) name,
        METRIC_MAP(NAME)
#undef NAME
    };
    (void)state;
    scrape();
    for (size_t i = 0; i < METRIC_COUNT; i++) {
        char line[256];
        bool total = strlen(names[i]) > 6 && strcmp(strchr(names[i], '\0') - 6, "_total") == 0;
        (void)snprintf(line, sizeof line, "# TYPE %s %s\n", names[i], total ? "counter" : "gauge");
        assert_int_equal(count_of(line), 1);
        (void)snprintf(line, sizeof line, "# HELP %s ", names[i]);
        assert_int_equal(count_of(line), 1);
    }
    assert_int_equal(text[strlen(text) - 1], '\n');
}

static void sums_over_loops(void **state)
{
    (void)state;
    uint64_t before = metric_read(METRIC_CLAIMS);
    metric_add(0, METRIC_CLAIMS, 2);
    metric_add(63, METRIC_CLAIMS, 3);
    assert_int_equal(metric_read(METRIC_CLAIMS), before + 5);
    assert_int_equal(metric_read(METRIC_CLAIMS_REFUSED), 0);
    scrape();
    assert_non_null(strstr(text, "teddy_claims_total{result=\"accepted\"} 5\n"));
    assert_non_null(strstr(text, "teddy_claims_total{result=\"refused\"} 0\n"));
    assert_non_null(strstr(text, "\nteddy_connections_total 0\n"));
}

static void a_gauge_goes_up_and_down(void **state)
{
    (void)state;
    metric_add(0, METRIC_BACKEND_CHAT_QUEUE, 1);
    metric_add(1, METRIC_BACKEND_CHAT_QUEUE, 1);
    metric_add(1, METRIC_BACKEND_CHAT_QUEUE, METRIC_LESS);
    scrape();
    assert_non_null(strstr(text, "\nteddy_backend_queue{backend=\"chat\"} 1\n"));
}

static void a_histogram_adds_up(void **state)
{
    (void)state;
    histogram_add(0, HISTOGRAM_EXEC_FIRST_TOKEN, 50);
    histogram_add(1, HISTOGRAM_EXEC_FIRST_TOKEN, 51);
    histogram_add(2, HISTOGRAM_EXEC_FIRST_TOKEN, 40000);
    scrape();
    assert_int_equal(count_of("# TYPE teddy_backend_first_token_seconds histogram\n"), 1);
    assert_non_null(strstr(text, "_bucket{backend=\"exec\",le=\"0.05\"} 1\n"));
    assert_non_null(strstr(text, "_bucket{backend=\"exec\",le=\"0.1\"} 2\n"));
    assert_non_null(strstr(text, "_bucket{backend=\"exec\",le=\"32\"} 2\n"));
    assert_non_null(strstr(text, "_bucket{backend=\"exec\",le=\"+Inf\"} 3\n"));
    assert_non_null(strstr(text, "_sum{backend=\"exec\"} 40.101000\n"));
    assert_non_null(strstr(text, "_count{backend=\"exec\"} 3\n"));
}

/* The largest numbers that there can be take no line away. */
static void nothing_is_cut(void **state)
{
    unsigned lines = 0, longer = 0;
    (void)state;
    scrape();
    for (const char *p = text; (p = strchr(p, '\n')) != NULL; p++)
        lines++;
    uint64_t counts[METRIC_COUNT];
    for (unsigned m = 0; m < METRIC_COUNT; m++) {
        counts[m] = metric_read((enum metric)m);
        metric_add(0, (enum metric)m, INT64_MAX - counts[m]);
    }
    scrape();
    for (const char *p = text; (p = strchr(p, '\n')) != NULL; p++)
        longer++;
    assert_int_equal(longer, lines);
    assert_int_equal(count_of(" 9223372036854775807\n"), METRIC_COUNT);
    for (unsigned m = 0; m < METRIC_COUNT; m++)
        metric_add(0, (enum metric)m, counts[m] - INT64_MAX);
}

static void a_refusal_has_its_row(void **state)
{
    (void)state;
    metric_refused(1, "claim.refused", "invalid_signature");
    metric_refused(2, "claim.refused", "invalid_signature");
    metric_refused(1, "session.refused", "no_token");
    metric_refused(1, "session.refused", "of a new kind");
    metric_refused(1, "admin.read", "status");
    metric_refused(1, "dance.refused", "no_token");
    assert_int_equal(metric_read(METRIC_REFUSED_CLAIM_INVALID_SIGNATURE), 2);
    assert_int_equal(metric_read(METRIC_REFUSED_SESSION_NO_TOKEN), 1);
    assert_int_equal(metric_read(METRIC_REFUSED_SESSION_OTHER), 1);
    uint64_t all = 0;
#define ADD(id, name, labels, help) all += metric_read(METRIC_##id);
    METRIC_REFUSED_MAP(ADD)
#undef ADD
    assert_int_equal(all, 4);
}

/* What a console reads each second. */
static void totals_of_an_interval(void **state)
{
    static struct metrics_totals before, now;
    (void)state;
    histogram_add(3, HISTOGRAM_CLAIM, 4000);
    metrics_totals(&before);
    assert_int_equal(histogram_quantile_us(&before, &before, HISTOGRAM_CLAIM, 500), 0);
    metric_add(0, METRIC_REFRESHES, 7);
    for (unsigned i = 0; i < 98; i++)
        histogram_add_us(i % 4, HISTOGRAM_CLAIM, 1500);
    histogram_add(METRIC_WRITER, HISTOGRAM_CLAIM, 200);
    histogram_add(0, HISTOGRAM_CLAIM, 900000);
    metrics_totals(&now);
    assert_int_equal(now.counts[METRIC_REFRESHES] - before.counts[METRIC_REFRESHES], 7);
    assert_int_equal(histogram_count(&now, &before, HISTOGRAM_CLAIM), 100);
    assert_int_equal(histogram_count(&now, NULL, HISTOGRAM_CLAIM), 101);
    assert_int_equal(histogram_quantile_us(&now, &before, HISTOGRAM_CLAIM, 490), 1500);
    assert_int_equal(histogram_quantile_us(&now, &before, HISTOGRAM_CLAIM, 990), 250000);
    assert_int_equal(histogram_quantile_us(&now, &before, HISTOGRAM_CLAIM, 1000), 32000000);
    assert_int_equal(now.times[HISTOGRAM_CLAIM].sum_us - before.times[HISTOGRAM_CLAIM].sum_us,
                     98 * 1500 + 200000 + 900000000);
}

static double value_of(const char *name)
{
    char line[80];
    (void)snprintf(line, sizeof line, "\n%s ", name);
    const char *at = strstr(text, line);
    assert_non_null(at);
    return strtod(at + strlen(line), NULL);
}

static void the_process_is_told_of(void **state)
{
    (void)state;
    scrape();
    double fds = value_of("process_open_fds"), started = value_of("process_start_time_seconds");
    assert_true(value_of("process_resident_memory_bytes") > 100000);
    assert_true(value_of("process_virtual_memory_bytes") >
                value_of("process_resident_memory_bytes"));
    assert_true(value_of("process_max_fds") >= fds);
    assert_true(started > 1e9 && started <= (double)time(NULL) + 1);
    (void)value_of("process_cpu_seconds_total");
    int more = dup(0);
    assert_true(more >= 0);
    scrape();
    assert_true(value_of("process_open_fds") == fds + 1);
    assert_true(value_of("process_start_time_seconds") == started);
    (void)close(more);
}

static void *counter(void *arg)
{
    unsigned loop = (unsigned)(uintptr_t)arg;
    for (int i = 0; i < 100000; i++)
        metric_add(loop, METRIC_UTTERANCES, 1);
    return NULL;
}

static void counts_of_threads(void **state)
{
    pthread_t t[4];
    (void)state;
    /* Two of them on one loop's block: no count may be lost even then. */
    for (uintptr_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, counter, (void *)(i / 2)), 0);
    (void)metric_read(METRIC_UTTERANCES);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(t[i], NULL), 0);
    assert_int_equal(metric_read(METRIC_UTTERANCES), 400000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(families_stand_together),  cmocka_unit_test(sums_over_loops),
        cmocka_unit_test(a_gauge_goes_up_and_down), cmocka_unit_test(a_histogram_adds_up),
        cmocka_unit_test(nothing_is_cut),           cmocka_unit_test(a_refusal_has_its_row),
        cmocka_unit_test(totals_of_an_interval),    cmocka_unit_test(the_process_is_told_of),
        cmocka_unit_test(counts_of_threads),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(text);
    return failed;
}
