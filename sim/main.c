/* teddy-sim: thousands of toys in one process, made of the SDK's own core. */
#include <curl/curl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "proto/text.h"
#include "sim/people.h"
#include "sim/sim.h"

#define DESCRIPTORS_BESIDE 64 /* those that are not a toy's */

/* A descriptor for each toy. */
static bool raise_limit(uint32_t devices)
{
    struct rlimit files;
    rlim_t want = (rlim_t)devices + DESCRIPTORS_BESIDE;

    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return false;
    if (files.rlim_max != RLIM_INFINITY && files.rlim_max < want) {
        fprintf(stderr,
                "teddy-sim: %u toys need %llu descriptors, and this shell allows %llu: ulimit -Hn "
                "as root, or fewer toys\n",
                devices, (unsigned long long)want, (unsigned long long)files.rlim_max);
        return false;
    }
    files.rlim_cur = files.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &files) == 0;
}

static bool get_people(const struct sim_args *args, struct person *people)
{
    if (args->secrets != NULL)
        return people_read(args->secrets, people, args->devices);
    for (uint32_t i = 0; i < args->devices; i++)
        if (!person_make(args, i, &people[i]))
            return false;
    return true;
}

static bool make_toys(struct sim *sim)
{
    uint32_t count = sim->args->devices;
    struct person *people = calloc(count, sizeof *people);
    bool good = people != NULL && get_people(sim->args, people);

    sim->stats.rss_before = report_rss();
    sim->toys = good ? calloc(count, sizeof *sim->toys) : NULL;
    good = sim->toys != NULL && timers_init(&sim->timers, count);
    for (uint32_t i = 0; good && i < count; i++)
        good = toy_init(&sim->toys[i], sim, i, people[i].id, people[i].secret) == TEDDY_OK;
    if (people != NULL)
        wipe(people, count * sizeof *people);
    free(people);
    return good;
}

static int run(struct sim *sim)
{
    char why[256] = "";
    int status = EXIT_FAILED;

    /* Once for all of them, also where all are plain: a port without would load its own. */
    if (teddy_posix_trust_load(&sim->trust, sim->args->ca, why, sizeof why) != TEDDY_OK) {
        fprintf(stderr, "teddy-sim: %s\n", why);
        return EXIT_FAILED;
    }
    if (make_toys(sim)) {
        bool good = admin_start(sim) && loop_run(sim);
        admin_join(sim);
        samples_sort(&sim->stats.reconnects);
        if (good)
            status = report_end(sim);
    }
    for (uint32_t i = 0; sim->toys != NULL && i < sim->args->devices; i++)
        toy_fini(&sim->toys[i]);
    free(sim->toys);
    timers_fini(&sim->timers);
    samples_fini(&sim->stats.reconnects);
    teddy_posix_trust_free(sim->trust);
    return status;
}

int main(int argc, char **argv)
{
    struct sim_args args;
    struct sim sim = {.args = &args};
    uint32_t run_number;
    int status = EXIT_FAILED;

    if (!args_parse(argc, argv, &args, &status))
        return status;
    if (args.write_csv != NULL)
        return people_write(&args) ? EXIT_DONE : EXIT_FAILED;
    if (teddy_posix_port.random(NULL, (uint8_t *)&run_number, sizeof run_number) != TEDDY_OK)
        return EXIT_FAILED;
    snprintf(sim.run, sizeof sim.run, "sim %08x ", run_number);
    if (!args.has_seed && teddy_posix_port.random(NULL, (uint8_t *)&args.seed, 4) != TEDDY_OK)
        return EXIT_FAILED;
    (void)signal(SIGPIPE, SIG_IGN);
    if (!raise_limit(args.devices) || curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
        return EXIT_FAILED;
    status = run(&sim);
    curl_global_cleanup();
    if (loop_cut_by() != 0 && fflush(stdout) == 0) { /* who waits for us is told so */
        (void)signal(loop_cut_by(), SIG_DFL);
        (void)raise(loop_cut_by());
    }
    return status;
}
