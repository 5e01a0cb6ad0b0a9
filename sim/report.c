/* What is shown meanwhile, and what came of it all. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "sim/sim.h"

void cause_count(struct sim_stats *s, const char *purpose, const char *what)
{
    char name[sizeof s->causes[0].what];

    snprintf(name, sizeof name, "%s: %s", purpose, what);
    for (size_t i = 0; i < SIM_CAUSES; i++) {
        struct sim_cause *c = &s->causes[i];
        if (c->count == 0 || i + 1 == SIM_CAUSES) /* the last one takes what finds no room */
            snprintf(c->what, sizeof c->what, "%s", c->count == 0 ? name : "others");
        else if (strcmp(c->what, name) != 0)
            continue;
        c->count++;
        return;
    }
}

uint64_t report_rss(void)
{
    unsigned long long size, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    char line[128], *end;

    if (f == NULL)
        return 0;
    if (fgets(line, sizeof line, f) != NULL) {
        size = strtoull(line, &end, 10);
        resident = strtoull(end, NULL, 10);
        (void)size;
    }
    fclose(f);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* On a terminal in one line, cut where the terminal ends. */
void report_progress(const struct sim *sim, bool on_one_line)
{
    const struct sim_stats *s = &sim->stats;
    unsigned long long faults = 0;

    for (unsigned i = 0; i < FAULT_NONE; i++)
        faults += s->faults[i];
    fprintf(stderr,
            "%s%6.1f s %s  online %u/%u  claims %llu  said %llu echoed %llu  posted %llu received "
            "%llu  faults %llu reconnects %zu%s",
            on_one_line ? "\r\033[?7l" : "", (double)(sim->now - sim->began) / 1000,
            sim->phase == SIM_TALK ? "talk  " : "settle", s->online, sim->args->devices,
            (unsigned long long)s->claims, (unsigned long long)s->said,
            (unsigned long long)s->echoed, (unsigned long long)sim->posted,
            (unsigned long long)s->received, faults, s->reconnects.count,
            on_one_line ? "\033[K\033[?7h" : "\n");
    fflush(stderr);
}

struct totals {
    uint64_t lost_up, lost_down, offline;
};

static struct totals totals_of(const struct sim *sim)
{
    struct totals sum = {0};

    for (uint32_t i = 0; i < sim->args->devices; i++) {
        sum.lost_up += toy_lost_up(&sim->toys[i]);
        sum.lost_down += toy_lost_down(&sim->toys[i]);
        sum.offline += !sim->toys[i].online;
    }
    return sum;
}

static bool verdict(const struct sim *sim, const struct totals *sum)
{
    const struct sim_stats *s = &sim->stats;

    return sim->settled && sum->lost_up + sum->lost_down + sum->offline == 0 &&
           s->up_doubled + s->down_doubled + s->up_disordered + s->down_disordered + s->strange ==
               0 &&
           sim->refused_posts == 0 && s->restarts_failed == 0;
}

static double cpu_s(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)u.ru_utime.tv_sec + (double)u.ru_stime.tv_sec +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* What all that came with the toys takes, shared by them; 0: they were never online all at once. */
static uint64_t bytes_per_toy(const struct sim *sim)
{
    const struct sim_stats *s = &sim->stats;

    return s->rss_online > s->rss_before ? (s->rss_online - s->rss_before) / sim->args->devices : 0;
}

static uint32_t tls_devices(const struct sim_args *a)
{
    bool first = strncmp(a->server, "https:", 6) == 0;
    bool second = a->tls_server != NULL && strncmp(a->tls_server, "https:", 6) == 0;

    return (first ? a->devices - a->tls : 0) + (second ? a->tls : 0);
}

static json_t *faults_json(const struct sim *sim)
{
    json_t *o = json_object();

    for (unsigned i = 0; i < FAULT_NONE; i++)
        if ((sim->args->faults >> i & 1) != 0)
            (void)json_object_set_new(o, sim_fault_names[i],
                                      json_integer((json_int_t)sim->stats.faults[i]));
    return o;
}

static json_t *causes_json(const struct sim_stats *s)
{
    json_t *o = json_object();

    for (size_t i = 0; i < SIM_CAUSES && s->causes[i].count > 0; i++)
        (void)json_object_set_new(o, s->causes[i].what,
                                  json_integer((json_int_t)s->causes[i].count));
    return o;
}

#define INT(x) ((json_int_t)(x))

static json_t *report_json(const struct sim *sim, const struct totals *sum, bool ok)
{
    const struct sim_stats *s = &sim->stats;
    const struct samples *r = &s->reconnects;

    return json_pack(
        "{s:b, s:b, s:I, s:I, s:I, s:f, s:f, s:I,"
        " s:I, s:I, s:I, s:I, s:I, s:I, s:I,"
        " s:{s:I, s:I, s:I, s:I, s:I, s:I}, s:{s:I, s:I, s:I, s:I, s:I, s:I, s:I}, s:I, s:I, s:I, "
        "s:I,"
        " s:{s:I, s:I, s:I, s:I}, s:o, s:I, s:o}",
        "ok", ok, "settled", sim->settled, "seed", INT(sim->args->seed), "devices",
        INT(sim->args->devices), "tls_devices", INT(tls_devices(sim->args)), "seconds",
        (double)(sim->now - sim->began) / 1000, "cpu_seconds", cpu_s(), "bytes_per_toy",
        INT(bytes_per_toy(sim)), "online", INT(s->online), "connections", INT(s->connections),
        "resumed", INT(s->resumed), "claims", INT(s->claims), "refreshes", INT(s->refreshes),
        "sessions", INT(s->sessions), "clock_events", INT(s->clock_events), "up", "said",
        INT(s->said), "echoed", INT(s->echoed), "lost", INT(sum->lost_up), "doubled",
        INT(s->up_doubled), "out_of_order", INT(s->up_disordered), "forgotten_at_reboot",
        INT(s->forgotten), "down", "posted", INT(sim->posted), "received", INT(s->received), "lost",
        INT(sum->lost_down), "doubled", INT(s->down_doubled), "out_of_order",
        INT(s->down_disordered), "doubled_after_storage_loss", INT(s->down_again),
        "post_without_answer", INT(sim->unanswered), "strange", INT(s->strange),
        "messages_of_others", INT(s->others), "overtaken_by_own_claim", INT(s->overtaken),
        "revoked_by_others", INT(s->revoked), "reconnect_ms", "count", INT(r->count), "p50",
        INT(samples_percentile(r, 50)), "p99", INT(samples_percentile(r, 99)), "max",
        INT(samples_percentile(r, 100)), "faults", faults_json(sim), "restarts_failed",
        INT(s->restarts_failed), "waits", causes_json(s));
}

static void row(const char *name, json_t *value)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(4));

    printf("  %-33s %s\n", name, text != NULL ? text : "?");
    free(text);
}

/* The same figures, a line each. */
static void print_rows(const char *before, json_t *o)
{
    const char *key;
    json_t *value;
    char name[128];

    json_object_foreach(o, key, value)
    {
        snprintf(name, sizeof name, "%s%s%s", before, before[0] ? "." : "", key);
        if (json_is_object(value))
            print_rows(name, value);
        else
            row(name, value);
    }
}

int report_end(const struct sim *sim)
{
    struct totals sum = totals_of(sim);
    bool ok = verdict(sim, &sum);
    json_t *o = report_json(sim, &sum, ok);

    if (o == NULL) {
        fprintf(stderr, "teddy-sim: out of memory for the report\n");
        return EXIT_FAILED;
    }
    if (sim->args->json)
        (void)json_dumpf(o, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
    else
        print_rows("", o);
    if (sim->args->json)
        putchar('\n');
    json_decref(o);
    if (!ok)
        fprintf(
            stderr,
            "teddy-sim: failed: lost %llu up %llu down, doubled %llu up %llu down, out of order "
            "%llu, not online %llu; the report's waits say why toys waited\n",
            (unsigned long long)sum.lost_up, (unsigned long long)sum.lost_down,
            (unsigned long long)sim->stats.up_doubled, (unsigned long long)sim->stats.down_doubled,
            (unsigned long long)(sim->stats.up_disordered + sim->stats.down_disordered),
            (unsigned long long)sum.offline);
    return ok ? EXIT_DONE : EXIT_FAILED;
}
