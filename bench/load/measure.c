#include "bench/load/measure.h"

#include <stdio.h>
#include <string.h>

#include "bench/load/cpu.h"

#define BUSY     0.9  /* of one core: no room left */
#define SHORTEST 0.01 /* seconds that say something about a rate */

static uint32_t server_pid(const struct options *o)
{
    return o->pid_file != NULL ? cpu_read_pid(o->pid_file) : o->server_pid;
}

void measure_init(struct measure *m, const struct options *o)
{
    *m = (struct measure){.options = o};
}

void measure_begin(struct measure *m)
{
    m->operations = 0;
    memset(&m->latency, 0, sizeof m->latency);
    m->server_pid = server_pid(m->options);
    m->server_known = m->server_pid != 0 && cpu_of_process(m->server_pid, &m->server_ns);
    m->own_ns = cpu_own();
    m->began_ns = clock_ns();
    m->running = true;
}

/* A server that was restarted meanwhile began at 0. */
static void end_server(struct measure *m)
{
    uint32_t pid = server_pid(m->options);
    uint64_t before = pid == m->server_pid ? m->server_ns : 0, now;

    m->server_known = m->server_known && cpu_of_process(pid, &now);
    if (m->server_known)
        m->server_ns = now > before ? now - before : 0;
}

void measure_end(struct measure *m)
{
    if (!m->running)
        return;
    m->running = false;
    m->took_ns = clock_ns() - m->began_ns;
    m->own_ns = cpu_own() - m->own_ns;
    end_server(m);
}

void measure_add(struct measure *m, uint64_t took_ns)
{
    if (!m->running)
        return;
    m->operations++;
    histogram_add(&m->latency, took_ns);
}

static double seconds(uint64_t ns)
{
    return (double)ns / 1e9;
}

static double us(uint64_t ns)
{
    return (double)ns / 1e3;
}

int measure_report(const struct measure *m, const char *more)
{
    double took = seconds(m->took_ns), own = seconds(m->own_ns), server = seconds(m->server_ns);
    bool bottleneck =
        took > SHORTEST && own > BUSY * took && !(m->server_known && server > BUSY * took);
    char known[32] = "null";

    if (m->server_known)
        snprintf(known, sizeof known, "%.6f", server);
    printf("{\"mode\":\"%s\",\"connections\":%u,\"operations\":%llu,\"errors\":%llu,"
           "\"wrong_bytes\":%llu,\"seconds\":%.6f,\"load_cpu_s\":%.6f,\"server_cpu_s\":%s,"
           "\"p50_us\":%.1f,\"p99_us\":%.1f,\"max_us\":%.1f,\"bottleneck\":%s%s}\n",
           load_mode_names[m->options->mode], m->options->connections,
           (unsigned long long)m->operations, (unsigned long long)m->errors,
           (unsigned long long)m->wrong_bytes, took, own, known, us(histogram_at(&m->latency, 500)),
           us(histogram_at(&m->latency, 990)), us(m->latency.max_ns), bottleneck ? "true" : "false",
           more);
    return m->errors == 0 && m->wrong_bytes == 0 ? EXIT_DONE : EXIT_FAILED;
}
