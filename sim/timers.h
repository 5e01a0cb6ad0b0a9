/* Who is to be woken when: a binary heap whose members know their place, so that each can be moved.
 * A member is a struct timer inside the caller's own. */
#ifndef SIM_TIMERS_H
#define SIM_TIMERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TIMER_NEVER UINT64_MAX

struct timer {
    uint64_t due_ms;
    uint32_t at; /* place in the heap */
};

struct timers {
    struct timer **heap;
    uint32_t count, cap;
};

bool timers_init(struct timers *h, uint32_t cap);
void timers_fini(struct timers *h);
/* t's storage stays the caller's; at most cap of them. */
void timers_add(struct timers *h, struct timer *t, uint64_t due_ms);
void timers_move(struct timers *h, struct timer *t, uint64_t due_ms);
/* The first to be woken, NULL when there are none. It stays in. */
struct timer *timers_first(const struct timers *h);

#endif
