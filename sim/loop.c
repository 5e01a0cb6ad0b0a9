/* The one thread's loop: waits for sockets and moments, steps the toys that something happened to,
 * and knows when all is over. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "sim/sim.h"

#define EVENTS_MAX 256
#define LOOK_MS    100 /* between two looks at whether all has settled */

static volatile sig_atomic_t interrupted, cut_by;

static void on_signal(int number)
{
    if (interrupted++ > 0)
        cut_by = number;
}

int loop_cut_by(void)
{
    return cut_by;
}

static struct toy *toy_of(struct timer *timer)
{
    return (struct toy *)(void *)((char *)timer - offsetof(struct toy, timer));
}

static uint64_t when(uint64_t began, uint64_t n, uint32_t per_s)
{
    return began + n * 1000 / per_s;
}

static uint64_t say_total(const struct sim *sim)
{
    return (uint64_t)sim->args->devices * sim->args->say;
}

static void start_due(struct sim *sim)
{
    const struct sim_args *a = sim->args;

    while (sim->stats.started < a->devices &&
           when(sim->began, sim->stats.started, a->start_rate) <= sim->now) {
        struct toy *t = &sim->toys[sim->stats.started++];
        t->started = true;
        timers_add(&sim->timers, &t->timer, sim->now);
    }
}

static void say_due(struct sim *sim)
{
    while (sim->phase == SIM_TALK && sim->ticks < say_total(sim) &&
           when(sim->began, sim->ticks, sim->args->rate) <= sim->now) {
        struct toy *t = &sim->toys[sim->ticks++ % sim->args->devices];
        t->owed++;
        if (t->started)
            timers_move(&sim->timers, &t->timer, sim->now);
    }
}

static bool posting_over(struct sim *sim)
{
    return atomic_load(&sim->posters_done) == sim->poster_count;
}

static bool all_settled(struct sim *sim)
{
    if (sim->stats.online < sim->args->devices || !posting_over(sim))
        return false;
    for (uint32_t i = 0; i < sim->args->devices; i++)
        if (!toy_settled(&sim->toys[i]))
            return false;
    return true;
}

static void settle_begin(struct sim *sim)
{
    faults_run(sim); /* the last that came due: their number must not depend on how busy we are */
    sim->phase = SIM_SETTLE;
    sim->ends_at = sim->now + (uint64_t)sim->args->settle_s * 1000;
    faults_end(sim);
}

/* All has arrived, and for a while nothing more: over. */
static void look(struct sim *sim)
{
    if (sim->phase == SIM_TALK) {
        if (sim->now >= sim->ends_at || interrupted)
            settle_begin(sim);
        return;
    }
    if (!all_settled(sim))
        sim->quiet_since = 0;
    else if (sim->quiet_since == 0)
        sim->quiet_since = sim->now;
    sim->settled = sim->quiet_since != 0 && sim->now - sim->quiet_since >= SIM_QUIET_MS;
    if (sim->settled || sim->now >= sim->ends_at || interrupted > 1)
        sim->phase = SIM_OVER;
}

static int until_next(const struct sim *sim, uint64_t look_at)
{
    const struct sim_args *a = sim->args;
    const struct timer *first = timers_first(&sim->timers);
    uint64_t at = look_at, other = faults_next(sim);

    at = other < at ? other : at;
    at = first != NULL && first->due_ms < at ? first->due_ms : at;
    other = when(sim->began, sim->stats.started, a->start_rate);
    at = sim->stats.started < a->devices && other < at ? other : at;
    other = when(sim->began, sim->ticks, a->rate);
    at = sim->phase == SIM_TALK && sim->ticks < say_total(sim) && other < at ? other : at;
    return at > sim->now ? (int)(at - sim->now) : 0;
}

static void step_due(struct sim *sim)
{
    uint64_t now = sim->now; /* those due after this wait for the next round, sockets first */
    struct timer *first;

    while ((first = timers_first(&sim->timers)) != NULL && first->due_ms <= now)
        toy_step(toy_of(first));
}

/* Without --duration: as long as it takes to start all and to say and post everything. */
static uint64_t talk_ms(const struct sim_args *a)
{
    uint64_t start = when(0, a->devices, a->start_rate);
    uint64_t each = a->say > a->down ? a->say : a->down;
    uint64_t talk = when(0, (uint64_t)a->devices * each, a->rate);

    if (a->duration_s > 0)
        return (uint64_t)a->duration_s * 1000;
    return (start > talk ? start : talk) + 1000;
}

static bool loop_begin(struct sim *sim)
{
    struct sigaction act = {.sa_handler = on_signal};

    (void)sigaction(SIGINT, &act, NULL);
    (void)sigaction(SIGTERM, &act, NULL);
    sim->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (sim->epoll < 0) {
        fprintf(stderr, "teddy-sim: epoll: %s\n", strerror(errno));
        return false;
    }
    sim->began = sim->now = teddy_posix_now_ms();
    sim->ends_at = sim->began + talk_ms(sim->args);
    faults_begin(sim);
    return true;
}

bool loop_run(struct sim *sim)
{
    bool terminal = isatty(STDERR_FILENO) != 0, show = terminal || sim->args->progress;
    uint64_t look_at, show_at;

    if (!loop_begin(sim))
        return false;
    look_at = show_at = sim->began;
    while (sim->phase != SIM_OVER) {
        struct epoll_event events[EVENTS_MAX];
        int n = epoll_wait(sim->epoll, events, EVENTS_MAX, until_next(sim, look_at));
        for (int i = 0; i < n; i++)
            toy_step(events[i].data.ptr);
        sim->now = teddy_posix_now_ms();
        start_due(sim);
        say_due(sim);
        faults_run(sim);
        step_due(sim);
        if (sim->now >= look_at) {
            look(sim);
            look_at = sim->now + LOOK_MS;
        }
        if (show && sim->now >= show_at) {
            report_progress(sim, terminal);
            show_at = sim->now + 1000;
        }
    }
    if (show)
        report_progress(sim, terminal);
    if (terminal)
        fputc('\n', stderr);
    close(sim->epoll);
    return true;
}
