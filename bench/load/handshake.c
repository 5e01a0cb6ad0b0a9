/* Handshakes: --concurrency connections that each connect, upgrade, close, and begin again, always
 * from another address. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bench/load/cpu.h"
#include "bench/load/fleet.h"
#include "bench/load/modes.h"
#include "bench/load/run.h"

struct handshake {
    struct fleet fleet;
    struct measure measure;
    struct run run;
    uint64_t resumed, begun;
};

/* sent: the moment this connection was begun; received: it was upgraded. */
static void begin(struct session *s)
{
    struct handshake *h = s->fleet->mode;

    s->index = (uint32_t)h->begun++; /* the next toy's turn */
    s->sent = clock_ns();
    s->received = 0;
    if (!session_open(s))
        fleet_failed(s->fleet, s, "cannot connect", span_of(strerror(errno)));
}

static void on_timer(struct timer *t)
{
    begin(fleet_of_timer(t));
}

static void on_open(struct session *s)
{
    s->received = 1;
    session_send_close(s);
}

static void on_message(struct session *s, uint8_t opcode, struct span data)
{
    (void)opcode;
    fleet_failed(s->fleet, s, "a message that nobody asked for", data);
}

static void on_pong(struct session *s, struct span data)
{
    fleet_failed(s->fleet, s, "a pong that nobody asked for", data);
}

/* Our close is answered with the same code, or, by a server that spares itself that, with the end
 * of the connection. */
static void on_closed(struct session *s, unsigned code, struct span text)
{
    struct handshake *h = s->fleet->mode;
    char what[48];

    if (s->received == 0 || (code != WS_CLOSE_NORMAL && code != 0)) {
        snprintf(what, sizeof what, "closed, %u", code);
        fleet_failed(s->fleet, s, what, text);
        return;
    }
    measure_add(&h->measure, clock_ns() - s->sent);
    h->resumed += h->measure.running && s->transport.resumed;
    loop_wake(&s->fleet->loop, &s->timer, 0);
}

int handshake_run(const struct options *o)
{
    static const struct session_events events = {on_open, on_message, on_pong, on_closed};
    struct handshake h = {0};
    int status = EXIT_FAILED;
    char more[64];

    measure_init(&h.measure, o);
    if (fleet_init(&h.fleet, o, &h.measure, &events, 0)) {
        h.fleet.mode = &h;
        h.fleet.loop.due = on_timer;
        h.run = (struct run){o, &h.fleet.loop, &h.measure, NULL, NULL, NULL, 0, 0, 0};
        for (uint32_t i = 0; i < h.fleet.count && !h.fleet.loop.stop; i++)
            begin(&h.fleet.sessions[i]);
        run_begin(&h.run);
        loop_run(&h.fleet.loop);
        measure_end(&h.measure);
        snprintf(more, sizeof more, ",\"resumed\":%llu", (unsigned long long)h.resumed);
        status = measure_report(&h.measure, more);
    }
    fleet_fini(&h.fleet);
    return status;
}
