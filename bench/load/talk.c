/* Talk: each connection says something, waits for the whole reply, and after a short pause says the
 * next. The pause is random: toys that all wait for the same 500 ms would stay in step for ever
 * once something has held them up together. What answers is chat_backend (peers/), whose last word
 * is how long it took by its own clock, in microseconds. The rest of the time is the server's, and
 * is what is measured. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load/cpu.h"
#include "bench/load/fleet.h"
#include "bench/load/modes.h"
#include "bench/load/random.h"
#include "bench/load/run.h"
#include "proto/json.h"
#include "proto/text.h"

#define PAUSE_MS 500 /* at most, before the first words, too */

/* As children talk: what is said is judged. */
static const char *const SAID[] = {
    "What do bears eat when they wake up in the morning?",
    "I saw a big red bus today and it was so loud!",
    "Can you tell me a story about a rabbit who wants to fly to the moon?",
    "My favourite colour is blue. What is yours?",
    "Why is the sky dark at night?",
    "Let's play a game where we guess animals.",
    "Do you like pancakes? We had pancakes with honey and my brother ate five of them.",
};

struct talk {
    struct fleet fleet;
    struct measure measure;
    struct run run;
    struct turn {
        uint64_t began_ns, backend_us;
    } * turns; /* of each connection */
};

static struct talk *talk_of(const struct session *s)
{
    return s->fleet->mode;
}

static void say(struct session *s)
{
    struct talk *t = talk_of(s);

    t->turns[s->index] = (struct turn){clock_ns(), 0};
    const char *words = SAID[(s->index + ++s->sent) % (sizeof SAID / sizeof SAID[0])];
    (void)session_send(s, WS_TEXT, words, strlen(words));
}

static void rest(struct session *s)
{
    loop_wake(&talk_of(s)->fleet.loop, &s->timer, random_below(PAUSE_MS));
}

static void on_due(struct timer *timer)
{
    say(fleet_of_timer(timer));
}

static void on_open(struct session *s)
{
    struct talk *t = talk_of(s);

    if (!fleet_opened(&t->fleet))
        return;
    run_begin(&t->run);
    t->run.phase_end += PAUSE_MS * (uint64_t)3000000; /* all are in the midst of it */
    t->fleet.loop.alarm_ns = t->run.phase_end;
    for (uint32_t i = 0; i < t->fleet.count; i++)
        rest(&t->fleet.sessions[i]);
}

/* False: it is no reply of chat_backend's. */
static bool take_reply(struct turn *turn, const struct json_object *json, bool *done)
{
    const struct json_member *text = json_find(json, "text"), *end = json_find(json, "done");
    uint64_t us;

    if (text == NULL || end == NULL || text->type != JSON_STRING)
        return false;
    *done = span_is(end->value, "true");
    /* The number is the last word. */
    size_t at = text->value.len;
    while (at > 0 && text->value.p[at - 1] != ' ')
        at--;
    struct span last = {text->value.p + at, text->value.len - at};
    if (u64_parse(last, &us) == TEDDY_OK)
        turn->backend_us = us;
    return true;
}

static void on_message(struct session *s, uint8_t opcode, struct span data)
{
    struct talk *t = talk_of(s);
    struct turn *turn = &t->turns[s->index];
    struct json_object json;
    const struct json_member *type =
        opcode == WS_TEXT && json_parse(data, &json) == TEDDY_OK ? json_find(&json, "type") : NULL;
    uint64_t took_ns = clock_ns() - turn->began_ns;
    bool done = false;

    if (type != NULL && span_is(type->value, "echo"))
        return;
    if (type == NULL || !span_is(type->value, "reply") || !take_reply(turn, &json, &done) ||
        (done && (turn->backend_us == 0 || turn->backend_us * 1000 > took_ns))) {
        t->measure.wrong_bytes += data.len;
        fleet_failed(&t->fleet, s, "no reply of the backend's", data);
        return;
    }
    if (!done)
        return;
    measure_add(&t->measure, took_ns - turn->backend_us * 1000);
    rest(s);
}

static void on_pong(struct session *s, struct span data)
{
    fleet_failed(s->fleet, s, "a pong that nobody asked for", data);
}

static void on_closed(struct session *s, unsigned code, struct span text)
{
    (void)code;
    fleet_failed(s->fleet, s, "closed", text);
}

static bool init(struct talk *t, const struct options *o)
{
    static const struct session_events events = {on_open, on_message, on_pong, on_closed};

    measure_init(&t->measure, o);
    if (!fleet_init(&t->fleet, o, &t->measure, &events, 0))
        return false;
    t->turns = calloc(o->connections, sizeof *t->turns);
    t->fleet.mode = t;
    t->fleet.loop.due = on_due;
    t->run = (struct run){o, &t->fleet.loop, &t->measure, NULL, t, NULL, 0, 0, 0};
    return t->turns != NULL;
}

int talk_run(const struct options *o)
{
    struct talk t = {.turns = NULL};
    int status = EXIT_FAILED;

    if (init(&t, o)) {
        fleet_open_more(&t.fleet);
        loop_run(&t.fleet.loop);
        measure_end(&t.measure);
        status = measure_report(&t.measure, "");
    }
    free(t.turns);
    fleet_fini(&t.fleet);
    return status;
}
