#include "bench/load/fleet.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool who(struct fleet *f, const struct options *o)
{
    if (o->tokens_file != NULL)
        return people_read(&f->people, o->tokens_file);
    if (o->bearer_file == NULL)
        return true;
    f->bearer = first_line(o->bearer_file);
    return f->bearer != NULL;
}

bool fleet_init(struct fleet *f, const struct options *o, struct measure *m,
                const struct session_events *events, uint32_t timers)
{
    *f = (struct fleet){.options = o, .measure = m, .count = o->connections};
    if (!loop_init(&f->loop, f->count + timers) || !dialer_init(&f->dialer, &f->loop, o) ||
        !who(f, o))
        return false;
    f->sessions = calloc(f->count, sizeof *f->sessions);
    if (f->sessions == NULL)
        return false;
    for (uint32_t i = 0; i < f->count; i++)
        session_init(&f->sessions[i], &f->dialer, events, f, i);
    return true;
}

void fleet_fini(struct fleet *f)
{
    for (uint32_t i = 0; f->sessions != NULL && i < f->count; i++)
        session_fini(&f->sessions[i]);
    free(f->sessions);
    dialer_fini(&f->dialer);
    loop_fini(&f->loop);
    people_fini(&f->people);
    free(f->bearer);
}

void fleet_open_more(struct fleet *f)
{
    uint32_t at_once = f->options->concurrency > 0 ? f->options->concurrency : OPENING_AT_ONCE;

    while (f->begun < f->count && f->begun - f->open < at_once) {
        struct session *s = &f->sessions[f->begun++];
        if (session_open(s))
            continue;
        fleet_failed(f, s, "cannot connect", span_of(strerror(errno)));
        return;
    }
}

bool fleet_opened(struct fleet *f)
{
    f->open++;
    fleet_open_more(f);
    return f->open == f->count;
}

struct session *fleet_of_timer(struct timer *t)
{
    return (struct session *)(void *)((char *)t - offsetof(struct session, timer));
}

void fleet_failed(struct fleet *f, const struct session *s, const char *what, struct span detail)
{
    if (f->measure->errors++ == 0)
        fprintf(stderr, "teddy-load: connection %u: %s: %.*s\n", s->index, what,
                (int)(detail.len < 200 ? detail.len : 200), detail.p);
    f->loop.stop = true;
}
