#include "sim/args.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/ids.h"
#include "proto/text.h"
#include "sim/sim.h"
#include "teddy/version.h"

static const char intro[] =
    "usage: teddy-sim --server URL --devices N (--seed S | --secrets FILE) [options]\n"
    "       teddy-sim --devices N --seed S --write-csv FILE\n"
    "\n"
    "Thousands of toys in one process, made of the SDK's own core, against a server: they claim,\n"
    "connect, talk, get messages, and find their way back when things break. Afterwards "
    "everything\n"
    "said must have been echoed once, in order, and everything posted must have been received\n"
    "once, in order.\n"
    "\n"
    "  teddy-sim --devices 1000 --seed 7 --write-csv toys.csv\n"
    "  teddyctl --data DIR import toys.csv\n"
    "  teddy-sim --server https://127.0.0.1:8443 --ca DIR/ca.crt --devices 1000 --seed 7 \\\n"
    "            --say 5 --rate 200 --down 2 --admin DIR --faults all --duration 60\n"
    "\n"
    "Secrets made from a seed are for simulation alone: whoever knows the seed knows them all.\n"
    "\n";

static const char outro[] =
    "\n"
    "Exit status: 0 done; 1 something was lost, doubled or out of order, or not every toy came\n"
    "online in time; 2 wrong usage.\n";

enum option_kind { TEXT, NUMBER, LONG, FLAG, FAULTS };

struct option_row {
    const char *name, *value, *help;
    enum option_kind kind;
    void *to;
    uint32_t min, max;
};

#define ROWS_MAX 40

static bool usage(int *status, const char *what, const char *which)
{
    fprintf(stderr, "teddy-sim: %s%s; see teddy-sim --help\n", what, which);
    *status = EXIT_USAGE;
    return false;
}

static void print_help(const struct option_row *rows, size_t count)
{
    char left[64];

    fputs(intro, stdout);
    for (size_t i = 0; i < count; i++) {
        snprintf(left, sizeof left, "--%s%s%s", rows[i].name, rows[i].value[0] ? " " : "",
                 rows[i].value);
        printf("  %-26s %s\n", left, rows[i].help);
    }
    fputs(outro, stdout);
}

/* A name's bit; 0: there is no such fault. */
static uint32_t fault_bit(struct span name)
{
    if (span_is(name, "all"))
        return (1u << FAULT_NONE) - 1 - (1u << FAULT_RESTART); /* that one wants a command */
    for (unsigned i = 0; i < FAULT_NONE; i++)
        if (span_is(name, sim_fault_names[i]))
            return 1u << i;
    return 0;
}

static bool take_faults(uint32_t *out, const char *list)
{
    while (*list != '\0') {
        size_t len = strcspn(list, ",");
        uint32_t bit = fault_bit((struct span){list, len});
        if (bit == 0)
            return false;
        *out |= bit;
        list += len + (list[len] == ',');
    }
    return *out != 0;
}

static bool take(const struct option_row *row, const char *value, int *status)
{
    uint64_t n;

    switch (row->kind) {
    case TEXT:
        *(const char **)row->to = value;
        return true;
    case FLAG:
        *(bool *)row->to = true;
        return true;
    case FAULTS:
        return take_faults(row->to, value) || usage(status, "no such fault in --faults ", value);
    case NUMBER:
    case LONG:
        break;
    }
    if (u64_parse(span_of(value), &n) != TEDDY_OK ||
        (row->kind == NUMBER && (n < row->min || n > row->max)))
        return usage(status, "not a number within its bounds: --", row->name);
    if (row->kind == LONG)
        *(uint64_t *)row->to = n;
    else
        *(uint32_t *)row->to = (uint32_t)n;
    return true;
}

static bool parse(int argc, char **argv, struct sim_args *out, const struct option_row *rows,
                  size_t count, int *status)
{
    struct option longs[ROWS_MAX + 3] = {{0}};
    size_t i;
    int c;

    for (i = 0; i < count; i++)
        longs[i] =
            (struct option){rows[i].name, rows[i].kind == FLAG ? no_argument : required_argument,
                            NULL, 256 + (int)i};
    longs[i++] = (struct option){"help", no_argument, NULL, 'h'};
    longs[i] = (struct option){"version", no_argument, NULL, 'V'};
    while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
        if (c == 'h' || c == 'V') {
            if (c == 'h')
                print_help(rows, count);
            else
                puts("teddy-sim " TEDDY_SDK_VERSION);
            *status = EXIT_DONE;
            return false;
        }
        if (c == '?')
            return usage(status, "wrong usage", "");
        if (!take(&rows[c - 256], optarg, status))
            return false;
        out->has_seed |= rows[c - 256].to == &out->seed;
    }
    return optind == argc || usage(status, "unexpected: ", argv[optind]);
}

bool args_loopback(const char *url)
{
    static const char *const hosts[] = {"127.", "localhost:", "localhost/", "[::1]"};
    const char *host = strstr(url, "://");

    if (host == NULL)
        return false;
    host += 3;
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++)
        if (strncmp(host, hosts[i], strlen(hosts[i])) == 0)
            return true;
    return strcmp(host, "localhost") == 0;
}

static bool url_ok(const char *url, int *status)
{
    if (strncmp(url, "https://", 8) == 0 || (strncmp(url, "http://", 7) == 0 && args_loopback(url)))
        return true;
    return usage(status, "a server is https://host[:port], or http:// on this machine: ", url);
}

static bool check_load(const struct sim_args *a, int *status)
{
    uint32_t restart = 1u << FAULT_RESTART;

    if (a->down > 0 && (a->admin == NULL || (a->tls_server != NULL && a->tls_admin == NULL)))
        return usage(status, "--down takes --admin, and --tls-admin with --tls-server", "");
    if ((a->faults & restart) != 0 && a->restart_command == NULL)
        return usage(status, "the fault restart takes --restart-command", "");
    if (a->times.backoff_cap_ms != 0 && a->times.backoff_floor_ms > a->times.backoff_cap_ms)
        return usage(status, "--backoff-floor-ms is over --backoff-cap-ms", "");
    return true;
}

static bool check(const struct sim_args *a, int *status)
{
    if (!id_ok(span_of(a->prefix)) || strlen(a->prefix) > 40 || !id_ok(span_of(a->child)))
        return usage(status, "--prefix (to 40) and --child are of A-Z a-z 0-9 _ -", "");
    if (a->write_csv != NULL)
        return a->has_seed || usage(status, "--write-csv takes --seed", "");
    if (a->server == NULL || !a->has_seed == (a->secrets == NULL))
        return usage(status,
                     a->server == NULL ? "missing: --server URL (or SERVER_URL)"
                                       : "whose secrets: --seed S or --secrets FILE",
                     "");
    if (!url_ok(a->server, status) || (a->tls_server != NULL && !url_ok(a->tls_server, status)))
        return false;
    if (a->tls > a->devices || (a->tls > 0) != (a->tls_server != NULL))
        return usage(status, "--tls N, of --devices, goes with --tls-server", "");
    return check_load(a, status);
}

static void defaults(struct sim_args *out)
{
    const char *server = getenv("SERVER_URL");

    *out = (struct sim_args){
        .server = server != NULL && server[0] != '\0' ? server : NULL,
        .prefix = "sim",
        .child = "sim-child",
        .devices = 100,
        .say = 1,
        .rate = 100,
        .start_rate = 200,
        .settle_s = 120,
        .restarts = 1,
    };
}

bool args_parse(int argc, char **argv, struct sim_args *a, int *status)
{
    const uint32_t hour = 3600000, day = 86400;
    const struct option_row rows[] = {
        {"server", "URL", "https://host[:port], or http:// on loopback   (environment: SERVER_URL)",
         TEXT, &a->server, 0, 0},
        {"ca", "FILE", "the authority to trust, PEM, instead of the system's", TEXT, &a->ca, 0, 0},
        {"devices", "N", "toys; default 100", NUMBER, &a->devices, 1, 1000000},
        {"tls", "N", "so many of them go to --tls-server, the others to --server", NUMBER, &a->tls,
         1, 1000000},
        {"tls-server", "URL", "a second server, for those", TEXT, &a->tls_server, 0, 0},
        {"say", "K", "utterances of each toy, each of its own text; default 1", NUMBER, &a->say, 0,
         1000000},
        {"rate", "R", "utterances a second of all toys, and messages posted; default 100", NUMBER,
         &a->rate, 1, 1000000},
        {"start-rate", "R", "toys that begin each second; default 200", NUMBER, &a->start_rate, 1,
         1000000},
        {"down", "K", "messages posted to each toy, in order, through --admin; default 0", NUMBER,
         &a->down, 0, 100000},
        {"admin", "DIR", "the server's data directory: its admin socket is there", TEXT, &a->admin,
         0, 0},
        {"tls-admin", "DIR", "the same of --tls-server", TEXT, &a->tls_admin, 0, 0},
        {"faults", "LIST", "of cut,stall,slow,truncate,skew,expiry,reboot,storage,restart, or all",
         FAULTS, &a->faults, 0, 0},
        {"fault-rate", "R", "faults a second; default: one per toy in 100 s, at least 1", NUMBER,
         &a->fault_rate, 1, 100000},
        {"restart-command", "CMD", "a shell command that kills the server and starts it again",
         TEXT, &a->restart_command, 0, 0},
        {"restarts", "N", "how often, for the fault restart (not in all); default 1", NUMBER,
         &a->restarts, 1, 100000},
        {"duration", "S", "seconds of faults and talk; default: until all is said", NUMBER,
         &a->duration_s, 1, 30 * day},
        {"settle", "S", "seconds for all to arrive afterwards; default 120", NUMBER, &a->settle_s,
         1, day},
        {"seed", "S", "of the secrets, and of the order of faults: repeats a run", LONG, &a->seed,
         0, 0},
        {"secrets", "FILE", "device_id,oob_secret a line, instead of secrets from the seed", TEXT,
         &a->secrets, 0, 0},
        {"write-csv", "FILE", "write the toys and their secrets for teddyctl import, and end", TEXT,
         &a->write_csv, 0, 0},
        {"prefix", "P", "device ids are P-000001 and so on; default sim", TEXT, &a->prefix, 0, 0},
        {"child", "C", "their child_id; default sim-child", TEXT, &a->child, 0, 0},
        {"backoff-floor-ms", "N",
         "the shortest wait of a toy after a failure; defaults as in the SDK", NUMBER,
         &a->times.backoff_floor_ms, 1, hour},
        {"backoff-base-ms", "N", "the bound of the first wait, doubling", NUMBER,
         &a->times.backoff_base_ms, 1, hour},
        {"backoff-cap-ms", "N", "the longest", NUMBER, &a->times.backoff_cap_ms, 1, hour},
        {"backoff-refused-ms", "N", "the first after a refusal that people must mend", NUMBER,
         &a->times.backoff_refused_ms, 1, hour},
        {"step-timeout-ms", "N", "for connecting, or an answer", NUMBER, &a->times.step_timeout_ms,
         1, hour},
        {"echo-timeout-ms", "N", "before an utterance is said again", NUMBER,
         &a->times.echo_timeout_ms, 1, hour},
        {"progress", "", "a line of progress each second, also when stderr is no terminal", FLAG,
         &a->progress, 0, 0},
        {"json", "", "the report as JSON", FLAG, &a->json, 0, 0},
    };

    _Static_assert(sizeof rows / sizeof rows[0] <= ROWS_MAX, "ROWS_MAX");
    defaults(a);
    if (!parse(argc, argv, a, rows, sizeof rows / sizeof rows[0], status))
        return false;
    if (a->fault_rate == 0)
        a->fault_rate = a->devices < 100 ? 1 : a->devices / 100;
    return check(a, status);
}
