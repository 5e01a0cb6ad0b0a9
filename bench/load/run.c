#include "bench/load/run.h"

#include "bench/load/cpu.h"

#define WARM_NS   200000000u
#define AGAIN_NS  100000000u
#define EACH_NS   20000u  /* and for each connection: two messages bring it into the caches */
#define RETRY_NS  500000u /* when all connections are busy with what was due before */
#define NS_PER_MS 1000000u
#define NS_PER_S  1000000000u

static uint64_t due(const struct run *r)
{
    return r->pace_began + r->issued * NS_PER_S / r->options->rate;
}

/* Begins what is due; returns when to look again. */
static uint64_t keep_pace(struct run *r, uint64_t now)
{
    while (due(r) <= now) {
        if (!r->issue(r->arg, due(r)))
            return now + RETRY_NS;
        r->issued++;
    }
    return due(r);
}

static void on_alarm(void *arg)
{
    struct run *r = arg;
    uint64_t now = clock_ns(), at;

    if (now >= r->phase_end && r->measure->running) {
        measure_end(r->measure);
        if (r->over != NULL)
            r->over(r->arg);
        else
            r->loop->stop = true;
        return;
    }
    if (now >= r->phase_end) {
        measure_begin(r->measure);
        r->phase_end = clock_ns() + (uint64_t)r->options->lasts_ms * NS_PER_MS;
    }
    at = r->options->rate > 0 ? keep_pace(r, now) : r->phase_end;
    r->loop->alarm_ns = at < r->phase_end ? at : r->phase_end;
}

static void begin(struct run *r, uint64_t phase_end)
{
    r->pace_began = clock_ns();
    r->issued = 0;
    r->phase_end = phase_end;
    r->loop->alarm = on_alarm;
    r->loop->alarm_arg = r;
    r->loop->alarm_ns = r->options->rate > 0 ? r->pace_began : phase_end;
}

void run_begin(struct run *r)
{
    begin(r, clock_ns() + WARM_NS);
}

void run_begin_again(struct run *r)
{
    begin(r, clock_ns() + AGAIN_NS + (uint64_t)r->options->connections * EACH_NS);
}

void run_begin_open(struct run *r)
{
    measure_begin(r->measure);
    begin(r, UINT64_MAX);
}
