#include "sim/args.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/ids.h"
#include "proto/text.h"
#include "sim/sim.h"
#include "teddy/version.h"
#include "tools/cmdline.h"

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

static bool usage(int *status, const char *what, const char *which)
{
    return cmdline_wrong("teddy-sim", status, what, which);
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

/* Of --seed and --faults; NULL: not given. */
static bool take_words(struct sim_args *out, const char *seed, const char *faults, int *status)
{
    out->has_seed = seed != NULL;
    if (seed != NULL && u64_parse(span_of(seed), &out->seed) != TEDDY_OK)
        return usage(status, "not a number within its bounds: --", "seed");
    if (faults != NULL && !take_faults(&out->faults, faults))
        return usage(status, "no such fault in --faults ", faults);
    return true;
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
    const char *seed = NULL, *faults = NULL;
    int rest;
    const struct cmdline_row rows[] = {
        {"server", "URL", "https://host[:port], or http:// on loopback   (environment: SERVER_URL)",
         CMDLINE_TEXT, &a->server, 0, 0},
        {"ca", "FILE", "the authority to trust, PEM, instead of the system's", CMDLINE_TEXT, &a->ca,
         0, 0},
        {"devices", "N", "toys; default 100", CMDLINE_NUMBER, &a->devices, 1, 1000000},
        {"tls", "N", "so many of them go to --tls-server, the others to --server", CMDLINE_NUMBER,
         &a->tls, 1, 1000000},
        {"tls-server", "URL", "a second server, for those", CMDLINE_TEXT, &a->tls_server, 0, 0},
        {"say", "K", "utterances of each toy, each of its own text; default 1", CMDLINE_NUMBER,
         &a->say, 0, 1000000},
        {"rate", "R", "utterances a second of all toys, and messages posted; default 100",
         CMDLINE_NUMBER, &a->rate, 1, 1000000},
        {"start-rate", "R", "toys that begin each second; default 200", CMDLINE_NUMBER,
         &a->start_rate, 1, 1000000},
        {"down", "K", "messages posted to each toy, in order, through --admin; default 0",
         CMDLINE_NUMBER, &a->down, 0, 100000},
        {"admin", "DIR", "the server's data directory: its admin socket is there", CMDLINE_TEXT,
         &a->admin, 0, 0},
        {"tls-admin", "DIR", "the same of --tls-server", CMDLINE_TEXT, &a->tls_admin, 0, 0},
        {"faults", "LIST", "of cut,stall,slow,truncate,skew,expiry,reboot,storage,restart, or all",
         CMDLINE_TEXT, &faults, 0, 0},
        {"fault-rate", "R", "faults a second; default: one per toy in 100 s, at least 1",
         CMDLINE_NUMBER, &a->fault_rate, 1, 100000},
        {"restart-command", "CMD", "a shell command that kills the server and starts it again",
         CMDLINE_TEXT, &a->restart_command, 0, 0},
        {"restarts", "N", "how often, for the fault restart (not in all); default 1",
         CMDLINE_NUMBER, &a->restarts, 1, 100000},
        {"duration", "S", "seconds of faults and talk; default: until all is said", CMDLINE_NUMBER,
         &a->duration_s, 1, 30 * day},
        {"settle", "S", "seconds for all to arrive afterwards; default 120", CMDLINE_NUMBER,
         &a->settle_s, 1, day},
        {"seed", "S", "of the secrets, and of the order of faults: repeats a run", CMDLINE_TEXT,
         &seed, 0, 0},
        {"secrets", "FILE", "device_id,oob_secret a line, instead of secrets from the seed",
         CMDLINE_TEXT, &a->secrets, 0, 0},
        {"write-csv", "FILE", "write the toys and their secrets for teddyctl import, and end",
         CMDLINE_TEXT, &a->write_csv, 0, 0},
        {"prefix", "P", "device ids are P-000001 and so on; default sim", CMDLINE_TEXT, &a->prefix,
         0, 0},
        {"child", "C", "their child_id; default sim-child", CMDLINE_TEXT, &a->child, 0, 0},
        {"backoff-floor-ms", "N",
         "the shortest wait of a toy after a failure; defaults as in the SDK", CMDLINE_NUMBER,
         &a->times.backoff_floor_ms, 1, hour},
        {"backoff-base-ms", "N", "the bound of the first wait, doubling", CMDLINE_NUMBER,
         &a->times.backoff_base_ms, 1, hour},
        {"backoff-cap-ms", "N", "the longest", CMDLINE_NUMBER, &a->times.backoff_cap_ms, 1, hour},
        {"backoff-refused-ms", "N", "the first after a refusal that people must mend",
         CMDLINE_NUMBER, &a->times.backoff_refused_ms, 1, hour},
        {"step-timeout-ms", "N", "for connecting, or an answer", CMDLINE_NUMBER,
         &a->times.step_timeout_ms, 1, hour},
        {"echo-timeout-ms", "N", "before an utterance is said again", CMDLINE_NUMBER,
         &a->times.echo_timeout_ms, 1, hour},
        {"progress", "", "a line of progress each second, also when stderr is no terminal",
         CMDLINE_FLAG, &a->progress, 0, 0},
        {"json", "", "the report as JSON", CMDLINE_FLAG, &a->json, 0, 0},
    };
    const struct cmdline line = {.program = "teddy-sim",
                                 .version = TEDDY_SDK_VERSION,
                                 .intro = intro,
                                 .outro = outro,
                                 .width = 26,
                                 .rows = rows,
                                 .count = sizeof rows / sizeof rows[0],
                                 .page = "thousands of simulated toys against a Teddy server",
                                 .see = "teddyd(8), teddyctl(1), teddy-device(1)"};

    defaults(a);
    if (!cmdline_parse(&line, argc, argv, &rest, status))
        return false;
    if (rest != argc)
        return usage(status, "unexpected: ", argv[rest]);
    if (!take_words(a, seed, faults, status))
        return false;
    if (a->fault_rate == 0)
        a->fault_rate = a->devices < 100 ? 1 : a->devices / 100;
    return check(a, status);
}
