/* The command line of teddy-device, with the environment behind it. */
#ifndef DEVICE_ARGS_H
#define DEVICE_ARGS_H

#include <stdbool.h>
#include <stdint.h>

#include "teddy/client.h"
#include "tools/cmdline.h"

enum output { OUTPUT_PEOPLE, OUTPUT_QUIET, OUTPUT_JSON };

struct args {
    bool verify;
    const char *server, *ca, *id, *child, *secret_file, *state, *bind, *firmware;
    const char *claim_endpoint, *ws_endpoint;
    enum output output;
    bool allow_plain, verbose;
    struct teddy_times times;
    uint32_t linger_s, ahead;
};

/* True: run with *out. False: end with *status; what there was to say has been said. */
bool args_parse(int argc, char **argv, struct args *out, int *status);

#endif
