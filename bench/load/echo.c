/* Echo: each connection has --in-flight messages under way, a new one for each that came back; or,
 * with --rate, messages are due at their moments, whatever became of those before. */
#include <stdio.h>
#include <stdlib.h>

#include "load/cpu.h"
#include "load/fleet.h"
#include "load/modes.h"
#include "load/payload.h"

#define WARM_NS  300000000u /* runs uncounted before */
#define RETRY_NS 500000u    /* all connections are busy with what was due before */
#define NS_PER_S 1000000000u

struct echo {
    struct fleet fleet;
    struct measure measure;
    struct payload payload;
    uint64_t *stamps;   /* when each message under way began: in_flight of each connection */
    uint64_t phase_end; /* of warming up, then of the run */
    uint64_t pace_began, issued;
    uint32_t next; /* whose turn it is, at a rate */
};

static struct echo *echo_of(const struct session *s)
{
    return s->fleet->mode;
}

static uint64_t *stamp(struct echo *e, const struct session *s, uint64_t n)
{
    uint32_t k = e->fleet.options->in_flight;

    return &e->stamps[(uint64_t)s->index * k + n % k];
}

static void say(struct echo *e, struct session *s, uint64_t began_ns)
{
    uint64_t n = ++s->sent;

    *stamp(e, s, n) = began_ns;
    (void)session_send(s, WS_TEXT, payload_make(&e->payload, s->index, n), e->payload.size);
}

static bool has_room(const struct echo *e, const struct session *s)
{
    return s->sent - s->received < e->fleet.options->in_flight;
}

/* The next connection in turn that has room, or NULL. */
static struct session *in_turn(struct echo *e)
{
    for (uint32_t i = 0; i < e->fleet.count; i++) {
        struct session *s = &e->fleet.sessions[e->next];
        e->next = e->next + 1 < e->fleet.count ? e->next + 1 : 0;
        if (has_room(e, s))
            return s;
    }
    return NULL;
}

static uint64_t due(const struct echo *e)
{
    return e->pace_began + e->issued * NS_PER_S / e->fleet.options->rate;
}

/* Says what is due; returns when to look again. */
static uint64_t keep_pace(struct echo *e, uint64_t now)
{
    while (due(e) <= now) {
        struct session *s = in_turn(e);
        if (s == NULL)
            return now + RETRY_NS;
        say(e, s, due(e));
        e->issued++;
    }
    return due(e);
}

static void on_alarm(void *arg)
{
    struct echo *e = arg;
    uint64_t now = clock_ns(), at;

    if (now >= e->phase_end && e->measure.running) {
        measure_end(&e->measure);
        e->fleet.loop.stop = true;
        return;
    }
    if (now >= e->phase_end) {
        measure_begin(&e->measure);
        e->phase_end = clock_ns() + (uint64_t)e->fleet.options->seconds * NS_PER_S;
    }
    at = e->fleet.options->rate > 0 ? keep_pace(e, now) : e->phase_end;
    e->fleet.loop.alarm_ns = at < e->phase_end ? at : e->phase_end;
}

static void begin(struct echo *e)
{
    const struct options *o = e->fleet.options;

    e->pace_began = clock_ns();
    e->phase_end = e->pace_began + WARM_NS;
    e->fleet.loop.alarm_ns = o->rate > 0 ? e->pace_began : e->phase_end;
    for (uint32_t k = 0; o->rate == 0 && k < o->in_flight; k++)
        for (uint32_t i = 0; i < e->fleet.count; i++)
            say(e, &e->fleet.sessions[i], clock_ns());
}

static void on_open(struct session *s)
{
    struct echo *e = echo_of(s);

    if (fleet_opened(&e->fleet))
        begin(e);
}

static void on_message(struct session *s, uint8_t opcode, struct span data)
{
    struct echo *e = echo_of(s);
    uint64_t n = s->received + 1, now = clock_ns();

    if (n > s->sent || opcode != WS_TEXT ||
        !payload_is(&e->payload, s->index, n, e->fleet.options->teddy, data)) {
        e->measure.wrong_bytes += data.len > 0 ? data.len : 1;
        fleet_failed(&e->fleet, s, "not what was said came back", data);
        return;
    }
    s->received = n;
    measure_add(&e->measure, now - *stamp(e, s, n));
    if (e->fleet.options->rate == 0)
        say(e, s, now);
}

static void on_pong(struct session *s, struct span data)
{
    fleet_failed(s->fleet, s, "a pong that nobody asked for", data);
}

static void on_closed(struct session *s, unsigned code, struct span text)
{
    char what[32];

    snprintf(what, sizeof what, "closed, %u", code);
    fleet_failed(s->fleet, s, what, text);
}

static bool init(struct echo *e, const struct options *o)
{
    static const struct session_events events = {on_open, on_message, on_pong, on_closed};

    measure_init(&e->measure, o);
    if (!fleet_init(&e->fleet, o, &e->measure, &events, 0) || !payload_init(&e->payload, o->size))
        return false;
    e->stamps = calloc((size_t)o->connections * o->in_flight, sizeof *e->stamps);
    e->fleet.mode = e;
    e->fleet.loop.alarm = on_alarm;
    e->fleet.loop.alarm_arg = e;
    return e->stamps != NULL;
}

int echo_run(const struct options *o)
{
    struct echo e = {0};
    int status = EXIT_FAILED;
    char more[64];

    if (init(&e, o)) {
        fleet_open_more(&e.fleet);
        loop_run(&e.fleet.loop);
        measure_end(&e.measure);
        snprintf(more, sizeof more, ",\"size\":%u,\"in_flight\":%u", o->size, o->in_flight);
        status = measure_report(&e.measure, more);
    }
    free(e.stamps);
    payload_fini(&e.payload);
    fleet_fini(&e.fleet);
    return status;
}
