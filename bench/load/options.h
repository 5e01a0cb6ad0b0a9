/* The command line of teddy-load. */
#ifndef LOAD_OPTIONS_H
#define LOAD_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/cmdline.h"

enum load_mode {
    LOAD_ECHO,
    LOAD_IDLE,
    LOAD_HANDSHAKE,
    LOAD_CLAIMS,
    LOAD_STORM,
    LOAD_TALK,
    LOAD_MODES
};

#define IN_FLIGHT_MAX 64
#define NO_CPU        UINT32_MAX

struct options {
    enum load_mode mode;
    const char *url, *ca, *bearer_file, *tokens_file, *devices_file, *write_tokens, *pid_file;
    uint32_t connections, size, in_flight, concurrency;
    uint32_t lasts_ms;   /* --seconds */
    uint32_t rate;       /* operations a second of all connections; 0: as fast as it goes */
    uint32_t operations; /* claims: ends after so many; 0: when the time is over */
    uint32_t backoff_ms, refresh_percent;
    uint32_t cpu; /* NO_CPU: where the system puts it */
    uint32_t server_pid;
    uint16_t tls_version; /* as OpenSSL numbers them; 0: the newest both know */
    bool resume, spread, teddy;
    bool turns; /* echo: a measured turn for each line of stdin */
};

extern const char *const load_mode_names[LOAD_MODES];

/* False when the program ends now, with *status: help was printed, or what is wrong. */
bool options_parse(int argc, char **argv, struct options *out, int *status);

#endif
