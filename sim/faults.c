/* What goes wrong, with whom and when. All of it is drawn in one order from the seed, whatever the
 * toys are doing: the same seed makes the same faults at the same moments. */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim/sim.h"

extern char **environ;

const char *const sim_fault_names[FAULT_NONE] = {
    [FAULT_CUT] = "cut",           [FAULT_STALL] = "stall",     [FAULT_SLOW] = "slow",
    [FAULT_TRUNCATE] = "truncate", [FAULT_SKEW] = "skew",       [FAULT_EXPIRY] = "expiry",
    [FAULT_REBOOT] = "reboot",     [FAULT_STORAGE] = "storage", [FAULT_RESTART] = "restart",
};

static void link_fault(struct toy *t, enum sim_fault kind, uint64_t a, uint64_t b)
{
    struct sim_link_fault *f = &t->fault;

    *f = (struct sim_link_fault){.kind = kind};
    switch (kind) {
    case FAULT_CUT:
        f->bytes = (uint32_t)(a % (a >> 32 & 1 ? 512 : 4096)); /* soon, or after a reconnect too */
        f->until_ms = t->sim->now + SIM_FORCED_MS;
        break;
    case FAULT_TRUNCATE:
        f->bytes = 1 + (uint32_t)(a % 512);
        f->until_ms = t->sim->now + SIM_FORCED_MS;
        break;
    case FAULT_SLOW:
        f->bytes = 1 + (uint32_t)(a % 16);
        f->breaks = (a >> 32 & 1) != 0;
        f->until_ms = t->sim->now + 500 + b % 4500;
        break;
    default:
        f->until_ms = t->sim->now + 200 + b % 8000;
        break;
    }
}

/* Gone, or damaged as by a power cut while it was written; both records, or one of them. */
static void storage_loss(struct toy *t, uint64_t a)
{
    for (size_t i = 0; i < TEDDY_RECORDS; i++) {
        if (a % 4 == i + 2)
            continue; /* this one survives */
        sim_record_lose(&t->records[i]);
        t->records[i].damaged = (a >> 8 & 1) != 0;
        if (i == TEDDY_RECORD_LAST)
            t->down_lost_at = t->down.next;
    }
    toy_reboot(t);
}

static void strike(struct sim *sim, enum sim_fault kind, struct toy *t, uint64_t a, uint64_t b)
{
    sim->stats.faults[kind]++;
    switch (kind) {
    case FAULT_SKEW: /* up to a year, either way */
        t->skew_s = (int64_t)(a % (2 * 31536000)) - 31536000;
        break;
    case FAULT_EXPIRY:
        t->jump_ms += ((uint64_t)t->life_s + 1) * 1000;
        break;
    case FAULT_REBOOT:
        toy_reboot(t);
        break;
    case FAULT_STORAGE:
        storage_loss(t, a);
        break;
    default:
        link_fault(t, kind, a, b);
        break;
    }
    timers_move(&sim->timers, &t->timer, sim->now);
}

static uint64_t gap_us(struct sim *sim)
{
    uint64_t mean = 1000000 / sim->args->fault_rate;

    return mean / 2 + sim_draw(&sim->fault_draw) % (mean + 1);
}

/* By the plan, not by the fact: a late round of the loop must not change what is struck. */
static bool started_by(const struct sim *sim, uint64_t index, uint64_t at_us)
{
    return sim->began * 1000 + index * 1000000 / sim->args->start_rate <= at_us;
}

/* Every draw is made, also when nothing comes of it: the order must not depend on the toys. */
static void draw_one(struct sim *sim)
{
    uint32_t wanted = sim->args->faults & ~(1u << FAULT_RESTART);
    uint64_t kind = sim_draw(&sim->fault_draw) % (unsigned)__builtin_popcount(wanted);
    uint64_t who = sim_draw(&sim->fault_draw) % sim->args->devices;
    uint64_t a = sim_draw(&sim->fault_draw), b = sim_draw(&sim->fault_draw);

    for (unsigned i = 0; i < FAULT_NONE; i++) {
        if ((wanted >> i & 1) == 0 || kind-- != 0)
            continue;
        if (started_by(sim, who, sim->fault_at_us) && sim->toys[who].started)
            strike(sim, (enum sim_fault)i, &sim->toys[who], a, b);
        return;
    }
}

/* The moments of restarts: one in each equal part of the talk, somewhere in its middle half. */
static uint64_t restart_at(const struct sim *sim)
{
    uint64_t part = (sim->ends_at - sim->began) / sim->args->restarts;
    uint64_t draw = sim->args->seed + sim->restarts_begun;

    if ((sim->args->faults >> FAULT_RESTART & 1) == 0 || sim->restarts_begun == sim->args->restarts)
        return TIMER_NEVER;
    return sim->began + part * sim->restarts_begun + part / 4 + sim_draw(&draw) % (part / 2 + 1);
}

static void restart_begin(struct sim *sim)
{
    const char *argv[] = {"sh", "-c", sim->args->restart_command, NULL};
    pid_t pid;
    int err = posix_spawn(&pid, "/bin/sh", NULL, NULL, (char **)(uintptr_t)argv, environ);

    sim->restarts_begun++;
    sim->stats.faults[FAULT_RESTART]++;
    if (err == 0) {
        sim->restart_pid = pid;
        return;
    }
    fprintf(stderr, "teddy-sim: /bin/sh: %s\n", strerror(err));
    sim->stats.restarts_failed++;
}

static void restart_reap(struct sim *sim, int flags)
{
    int status = 0;

    if (sim->restart_pid == 0 || waitpid(sim->restart_pid, &status, flags) != sim->restart_pid)
        return;
    sim->restart_pid = 0;
    if (status != 0) {
        fprintf(stderr, "teddy-sim: --restart-command failed with wait status %d\n", status);
        sim->stats.restarts_failed++;
    }
}

void faults_begin(struct sim *sim)
{
    uint32_t wanted = sim->args->faults & ~(1u << FAULT_RESTART);

    sim->fault_draw = sim->args->seed ^ UINT64_C(0x7465646479);
    sim->fault_at_us = wanted != 0 ? sim->began * 1000 + gap_us(sim) : TIMER_NEVER;
}

void faults_run(struct sim *sim)
{
    restart_reap(sim, WNOHANG);
    if (sim->phase != SIM_TALK)
        return;
    while (sim->fault_at_us <= sim->now * 1000 && sim->fault_at_us < sim->ends_at * 1000) {
        draw_one(sim);
        sim->fault_at_us += gap_us(sim);
    }
    if (sim->restart_pid == 0 && restart_at(sim) <= sim->now)
        restart_begin(sim);
}

uint64_t faults_next(const struct sim *sim)
{
    uint64_t restart = sim->restart_pid == 0 ? restart_at(sim) : sim->now + 100;

    uint64_t fault = sim->fault_at_us / 1000 + 1;

    if (sim->fault_at_us >= sim->ends_at * 1000)
        fault = TIMER_NEVER;
    return restart < fault ? restart : fault;
}

void faults_end(struct sim *sim)
{
    sim->fault_at_us = TIMER_NEVER;
    sim->restarts_begun = sim->args->restarts;
    for (uint32_t i = 0; i < sim->args->devices; i++) {
        struct toy *t = &sim->toys[i];
        t->fault.kind = FAULT_NONE;
        t->skew_s = 0;
        if (t->started)
            timers_move(&sim->timers, &t->timer, sim->now);
    }
}
