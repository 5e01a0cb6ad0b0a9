#include "net/wheel.h"

#include <string.h>

static const uint64_t reach = (uint64_t)1 << (WHEEL_BITS * WHEEL_LEVELS);

void wheel_init(struct wheel *w, uint64_t now_ms)
{
    memset(w, 0, sizeof *w);
    w->tick = now_ms / WHEEL_TICK_MS;
}

static unsigned slot_of(uint64_t tick, unsigned level)
{
    return (unsigned)(tick >> (WHEEL_BITS * level)) & (WHEEL_SLOTS - 1);
}

/* earliest is the first tick whose slot is still to be swept. */
static void put(struct wheel *w, struct loop_timer *timer, uint64_t earliest)
{
    /* Rounded up: late, never early. */
    uint64_t tick = timer->at_ms / WHEEL_TICK_MS + (timer->at_ms % WHEEL_TICK_MS != 0);
    if (tick < earliest)
        tick = earliest;
    uint64_t delta = tick - w->tick;
    if (delta >=
        reach) { /* waits in the last slot and is put again from its at_ms when that comes down */
        delta = reach - 1;
        tick = w->tick + delta;
    }
    unsigned level = 0;
    while (delta >> (WHEEL_BITS * (level + 1)) != 0)
        level++;
    unsigned slot = slot_of(tick, level);
    struct loop_timer **head = &w->slots[level][slot];
    timer->next = *head;
    timer->prev = head;
    if (timer->next)
        timer->next->prev = &timer->next;
    *head = timer;
    w->used[level] |= (uint64_t)1 << slot;
}

void wheel_set(struct wheel *w, struct loop_timer *timer, uint64_t at_ms)
{
    wheel_unset(timer);
    timer->at_ms = at_ms;
    put(w, timer, w->tick + 1);
}

void wheel_unset(struct loop_timer *timer)
{
    if (!timer->prev)
        return;
    *timer->prev = timer->next;
    if (timer->next)
        timer->next->prev = timer->prev;
    timer->next = NULL;
    timer->prev = NULL;
}

/* Takes a slot's list; what it holds may still be unset while the list is worked off. */
static void take(struct wheel *w, unsigned level, unsigned slot, struct loop_timer **list)
{
    *list = w->slots[level][slot];
    w->slots[level][slot] = NULL;
    w->used[level] &= ~((uint64_t)1 << slot);
    if (*list)
        (*list)->prev = list;
}

static void cascade(struct wheel *w, unsigned level)
{
    struct loop_timer *list;
    take(w, level, slot_of(w->tick, level), &list);
    while (list) {
        struct loop_timer *timer = list;
        wheel_unset(timer);
        put(w, timer, w->tick);
    }
}

void wheel_advance(struct wheel *w, struct loop *loop, uint64_t now_ms)
{
    uint64_t now = now_ms / WHEEL_TICK_MS;
    while (w->tick < now) {
        w->tick++;
        for (unsigned level = 1; level < WHEEL_LEVELS && slot_of(w->tick, level - 1) == 0; level++)
            cascade(w, level);
        struct loop_timer *list;
        take(w, 0, slot_of(w->tick, 0), &list);
        while (list) {
            struct loop_timer *timer = list;
            wheel_unset(timer);
            timer->fire(loop, timer);
        }
    }
}

uint64_t wheel_next_ms(const struct wheel *w)
{
    uint64_t next = UINT64_MAX;
    for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
        if (!w->used[level])
            continue;
        /* The used slots in the order in which their turn comes, the present one last. */
        unsigned first = (slot_of(w->tick, level) + 1) & (WHEEL_SLOTS - 1);
        uint64_t turned = w->used[level] >> first;
        if (first)
            turned |= w->used[level] << (WHEEL_SLOTS - first);
        uint64_t slots = (uint64_t)__builtin_ctzll(turned) + 1;
        uint64_t tick = ((w->tick >> (WHEEL_BITS * level)) + slots) << (WHEEL_BITS * level);
        if (tick < next)
            next = tick;
    }
    return next == UINT64_MAX ? next : next * WHEEL_TICK_MS;
}
