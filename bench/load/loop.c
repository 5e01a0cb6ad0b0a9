#include "bench/load/loop.h"

#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "bench/load/cpu.h"

#define EVENTS_MAX 512
#define NS_PER_MS  1000000u

bool loop_init(struct loop *l, uint32_t timers)
{
    *l = (struct loop){.epoll = epoll_create1(EPOLL_CLOEXEC)};
    return timers_init(&l->timers, timers) && l->epoll >= 0;
}

void loop_fini(struct loop *l)
{
    timers_fini(&l->timers);
    if (l->epoll >= 0)
        close(l->epoll);
}

bool loop_add(struct loop *l, int fd, uint32_t events, struct source *s)
{
    struct epoll_event ev = {.events = events, .data.ptr = s};

    return epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &ev) == 0;
}

void loop_change(struct loop *l, int fd, uint32_t events, struct source *s)
{
    struct epoll_event ev = {.events = events, .data.ptr = s};

    (void)epoll_ctl(l->epoll, EPOLL_CTL_MOD, fd, &ev);
}

void loop_drop(struct loop *l, int fd)
{
    (void)epoll_ctl(l->epoll, EPOLL_CTL_DEL, fd, NULL);
}

void loop_timer_add(struct loop *l, struct timer *t)
{
    timers_add(&l->timers, t, TIMER_NEVER);
}

void loop_wake(struct loop *l, struct timer *t, uint64_t in_ms)
{
    timers_move(&l->timers, t, clock_ns() / NS_PER_MS + in_ms);
}

/* How long the loop may sleep; NULL: until a socket wakes it. */
static const struct timespec *until_next(const struct loop *l, struct timespec *out)
{
    const struct timer *first = timers_first(&l->timers);
    uint64_t at = l->alarm_ns != 0 ? l->alarm_ns : UINT64_MAX, now = clock_ns();

    if (first != NULL && first->due_ms < at / NS_PER_MS)
        at = first->due_ms * NS_PER_MS;
    if (at == UINT64_MAX)
        return NULL;
    at = at > now ? at - now : 0;
    *out = (struct timespec){.tv_sec = (time_t)(at / 1000000000u),
                             .tv_nsec = (long)(at % 1000000000u)};
    return out;
}

static void run_timers(struct loop *l)
{
    uint64_t now_ms = clock_ns() / NS_PER_MS;
    struct timer *first;

    while ((first = timers_first(&l->timers)) != NULL && first->due_ms <= now_ms && !l->stop) {
        timers_move(&l->timers, first, TIMER_NEVER);
        l->due(first);
    }
}

void loop_run(struct loop *l)
{
    struct epoll_event events[EVENTS_MAX];
    struct timespec wait;

    while (!l->stop) {
        int n = epoll_pwait2(l->epoll, events, EVENTS_MAX, until_next(l, &wait), NULL);
        for (int i = 0; i < n && !l->stop; i++) {
            struct source *s = events[i].data.ptr;
            s->ready(s, events[i].events);
        }
        run_timers(l);
        if (!l->stop && l->alarm_ns != 0 && clock_ns() >= l->alarm_ns) {
            l->alarm_ns = 0;
            l->alarm(l->alarm_arg);
        }
    }
}
