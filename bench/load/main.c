/* teddy-load: load on a server, and what it cost. */
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

#include "bench/load/cpu.h"
#include "bench/load/modes.h"
#include "bench/load/options.h"

#define DESCRIPTORS_BESIDE 32

/* A descriptor for each connection. */
static bool raise_limit(uint32_t connections)
{
    struct rlimit files;
    rlim_t want = (rlim_t)connections + DESCRIPTORS_BESIDE;

    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= want)
        return true;
    if (files.rlim_max != RLIM_INFINITY && files.rlim_max < want) {
        fprintf(stderr, "teddy-load: %u connections need %llu descriptors, %llu are allowed\n",
                connections, (unsigned long long)want, (unsigned long long)files.rlim_max);
        return false;
    }
    files.rlim_cur = want;
    return setrlimit(RLIMIT_NOFILE, &files) == 0;
}

int main(int argc, char **argv)
{
    static int (*const modes[LOAD_MODES])(const struct options *) = {
        [LOAD_ECHO] = echo_run,     [LOAD_IDLE] = idle_run,   [LOAD_HANDSHAKE] = handshake_run,
        [LOAD_CLAIMS] = claims_run, [LOAD_STORM] = storm_run, [LOAD_TALK] = talk_run,
    };
    struct options o;
    int status;

    if (!options_parse(argc, argv, &o, &status))
        return status;
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!raise_limit(o.connections))
        return EXIT_FAILED;
    if (o.cpu != NO_CPU && !cpu_pin(o.cpu)) {
        fprintf(stderr, "teddy-load: no such core: --cpu %u\n", o.cpu);
        return EXIT_FAILED;
    }
    return modes[o.mode](&o);
}
