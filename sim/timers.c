#include "sim/timers.h"

#include <stdlib.h>

bool timers_init(struct timers *h, uint32_t cap)
{
    *h = (struct timers){.cap = cap};
    h->heap = calloc(cap > 0 ? cap : 1, sizeof *h->heap);
    return h->heap != NULL;
}

void timers_fini(struct timers *h)
{
    free(h->heap);
    *h = (struct timers){0};
}

static void put(struct timers *h, uint32_t at, struct timer *t)
{
    h->heap[at] = t;
    t->at = at;
}

static void up(struct timers *h, struct timer *t)
{
    uint32_t at = t->at;

    for (; at > 0 && h->heap[(at - 1) / 2]->due_ms > t->due_ms; at = (at - 1) / 2)
        put(h, at, h->heap[(at - 1) / 2]);
    put(h, at, t);
}

static void down(struct timers *h, struct timer *t)
{
    uint32_t at = t->at;

    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child + 1 < h->count && h->heap[child + 1]->due_ms < h->heap[child]->due_ms)
            child++;
        if (child >= h->count || h->heap[child]->due_ms >= t->due_ms)
            break;
        put(h, at, h->heap[child]);
        at = child;
    }
    put(h, at, t);
}

void timers_add(struct timers *h, struct timer *t, uint64_t due_ms)
{
    if (h->count == h->cap)
        return;
    t->due_ms = due_ms;
    put(h, h->count++, t);
    up(h, t);
}

void timers_move(struct timers *h, struct timer *t, uint64_t due_ms)
{
    bool sooner = due_ms < t->due_ms;

    t->due_ms = due_ms;
    if (sooner)
        up(h, t);
    else
        down(h, t);
}

struct timer *timers_first(const struct timers *h)
{
    return h->count > 0 ? h->heap[0] : NULL;
}
