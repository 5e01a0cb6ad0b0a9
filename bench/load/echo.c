/* Echo: each connection has --in-flight messages under way, a new one for each that came back; or,
 * with --rate, messages are due at their moments, whatever became of those before. With --turns the
 * connections are kept, and rest between turns: whoever compares servers opens them once. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bench/load/cpu.h"
#include "bench/load/fleet.h"
#include "bench/load/modes.h"
#include "bench/load/payload.h"
#include "bench/load/run.h"

struct echo {
    struct source input; /* first */
    struct fleet fleet;
    struct measure measure;
    struct payload payload;
    struct run run;
    uint64_t *stamps; /* when each message under way began: in_flight of each connection */
    uint32_t next;    /* whose turn it is, at a rate */
    uint64_t under_way;
    bool resting; /* between turns: what comes back is not followed by another */
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
    e->under_way++;
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

static bool issue(void *arg, uint64_t due_ns)
{
    struct echo *e = arg;
    struct session *s = in_turn(e);

    if (s != NULL)
        say(e, s, due_ns);
    return s != NULL;
}

static void say_all(struct echo *e)
{
    const struct options *o = e->fleet.options;

    for (uint32_t k = 0; o->rate == 0 && k < o->in_flight; k++)
        for (uint32_t i = 0; i < e->fleet.count; i++)
            say(e, &e->fleet.sessions[i], clock_ns());
}

static void report(const struct echo *e, int *status)
{
    const struct options *o = e->fleet.options;
    char more[64];

    snprintf(more, sizeof more, ",\"size\":%u,\"in_flight\":%u", o->size, o->in_flight);
    *status = measure_report(&e->measure, more);
}

/* A turn is told when its last message is back, so that nothing of it falls into the next. */
static void rest_told(struct echo *e)
{
    int ignored;

    if (e->resting && e->under_way == 0)
        report(e, &ignored);
}

static void on_over(void *arg)
{
    struct echo *e = arg;

    e->resting = true;
    rest_told(e);
}

static void on_input(struct source *s, uint32_t events)
{
    struct echo *e = (struct echo *)(void *)s;
    char line[16];

    (void)events;
    if (read(STDIN_FILENO, line, sizeof line) <= 0) {
        e->fleet.loop.stop = true;
    } else if (e->resting && e->under_way == 0) {
        e->resting = false;
        run_begin_again(&e->run);
        say_all(e);
    }
}

static void begin(struct echo *e)
{
    if (!e->fleet.options->turns) {
        run_begin(&e->run);
        say_all(e);
        return;
    }
    printf("{\"opened\":%u}\n", e->fleet.open);
    e->resting = true;
    e->run.over = on_over;
    e->fleet.loop.stop = !loop_add(&e->fleet.loop, STDIN_FILENO, EPOLLIN, &e->input);
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
    e->under_way--;
    measure_add(&e->measure, now - *stamp(e, s, n));
    if (e->fleet.options->rate == 0 && !e->resting)
        say(e, s, now);
    else
        rest_told(e);
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
    e->run = (struct run){o, &e->fleet.loop, &e->measure, issue, e, NULL, 0, 0, 0};
    return e->stamps != NULL;
}

int echo_run(const struct options *o)
{
    struct echo e = {.input.ready = on_input};
    int status = EXIT_FAILED;

    if (init(&e, o)) {
        fleet_open_more(&e.fleet);
        loop_run(&e.fleet.loop);
        measure_end(&e.measure);
        if (!o->turns)
            report(&e, &status);
        else
            status = e.measure.errors == 0 ? EXIT_DONE : EXIT_FAILED;
    }
    free(e.stamps);
    payload_fini(&e.payload);
    fleet_fini(&e.fleet);
    return status;
}
