/* Idle: connections that do nothing but live, each shown alive by one ping when all are open. */
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bench/load/fleet.h"
#include "bench/load/modes.h"

struct idle {
    struct source input; /* first */
    struct fleet fleet;
    struct measure measure;
    uint32_t alive;
    bool hold;
};

static void on_open(struct session *s)
{
    (void)session_send(s, WS_PING, &s->index, sizeof s->index);
}

static void on_pong(struct session *s, struct span data)
{
    struct idle *i = s->fleet->mode;

    if (data.len != sizeof s->index || memcmp(data.p, &s->index, data.len) != 0) {
        i->measure.wrong_bytes += data.len + 1;
        fleet_failed(s->fleet, s, "not what was pinged came back", data);
        return;
    }
    i->alive++;
    if (!fleet_opened(s->fleet))
        return;
    printf("{\"opened\":%u}\n", i->alive);
    measure_begin(&i->measure);
    i->fleet.loop.stop = !i->hold;
}

static void on_message(struct session *s, uint8_t opcode, struct span data)
{
    (void)opcode;
    fleet_failed(s->fleet, s, "a message that nobody asked for", data);
}

static void on_closed(struct session *s, unsigned code, struct span text)
{
    char what[32];

    snprintf(what, sizeof what, "closed, %u", code);
    fleet_failed(s->fleet, s, what, text);
}

static void on_input(struct source *s, uint32_t events)
{
    struct idle *i = (struct idle *)(void *)s;
    char ignored[256];

    (void)events;
    if (read(STDIN_FILENO, ignored, sizeof ignored) > 0)
        return;
    i->hold = false;
    loop_drop(&i->fleet.loop, STDIN_FILENO);
    i->fleet.loop.stop = i->alive == i->fleet.count; /* first they are all opened */
}

int idle_run(const struct options *o)
{
    static const struct session_events events = {on_open, on_message, on_pong, on_closed};
    struct idle i = {.input.ready = on_input};
    int status = EXIT_FAILED;

    measure_init(&i.measure, o);
    if (fleet_init(&i.fleet, o, &i.measure, &events, 0)) {
        i.fleet.mode = &i;
        /* What epoll does not take (a file, /dev/null) is at its end already. */
        i.hold = loop_add(&i.fleet.loop, STDIN_FILENO, EPOLLIN, &i.input);
        fleet_open_more(&i.fleet);
        loop_run(&i.fleet.loop);
        measure_end(&i.measure);
        i.measure.operations = i.alive;
        status = measure_report(&i.measure, "");
    }
    fleet_fini(&i.fleet);
    return status;
}
