#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "ops/metrics.h"

static char text[16384];

static unsigned count_of(const char *needle)
{
    unsigned n = 0;
    for (const char *p = text; (p = strstr(p, needle)) != NULL; p += strlen(needle))
        n++;
    return n;
}

static void scrape(void)
{
    size_t len = metrics_write(text, sizeof text - 1);
    text[len] = '\0';
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
    assert_non_null(strstr(text, "_sum{backend=\"exec\"} 40.101\n"));
    assert_non_null(strstr(text, "_count{backend=\"exec\"} 3\n"));
}

static void cut_at_whole_samples(void **state)
{
    char small[300];
    (void)state;
    for (size_t cap = 0; cap < sizeof small; cap++) {
        size_t len = metrics_write(small, cap);
        assert_true(len <= cap);
        assert_true(len == 0 || small[len - 1] == '\n');
    }
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
        cmocka_unit_test(cut_at_whole_samples),     cmocka_unit_test(counts_of_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
