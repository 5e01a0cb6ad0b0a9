/* The command line of teddy-sim. */
#ifndef SIM_ARGS_H
#define SIM_ARGS_H

#include <stdbool.h>
#include <stdint.h>

#include "teddy/client.h"
#include "tools/cmdline.h"

struct sim_args {
    const char *server, *tls_server, *ca; /* tls_server: of the first `tls` toys; NULL: none */
    const char *admin, *tls_admin;        /* data directories; NULL: no operator */
    const char *prefix, *child, *secrets, *write_csv, *restart_command;
    uint32_t devices, tls, say, down, rate, start_rate;
    uint32_t duration_s, settle_s;
    uint32_t fault_rate, restarts;
    uint32_t faults; /* a bit each of enum sim_fault */
    struct teddy_times times;
    uint64_t seed;
    bool has_seed, progress, json;
};

/* False when the program ends now, with *status: help was printed, or what is wrong. */
bool args_parse(int argc, char **argv, struct sim_args *out, int *status);

/* True for a URL of this very machine's loopback, whose toys get addresses of their own. */
bool args_loopback(const char *url);

#endif
