/* A hierarchical timer wheel: five levels of 64 slots, the lowest 16 ms wide, so that setting and
 * unsetting cost the same for one timer and for a hundred thousand. Private to the loop. */
#ifndef NET_WHEEL_H
#define NET_WHEEL_H

#include "net/loop.h"

enum { WHEEL_TICK_MS = 16, WHEEL_BITS = 6, WHEEL_SLOTS = 1 << WHEEL_BITS, WHEEL_LEVELS = 5 };

struct wheel {
    uint64_t tick;               /* the last one swept */
    uint64_t used[WHEEL_LEVELS]; /* a bit for each slot that may hold a timer */
    struct loop_timer *slots[WHEEL_LEVELS][WHEEL_SLOTS];
};

void wheel_init(struct wheel *w, uint64_t now_ms);
void wheel_set(struct wheel *w, struct loop_timer *timer, uint64_t at_ms);
void wheel_unset(struct loop_timer *timer);
/* Fires what is due. */
void wheel_advance(struct wheel *w, struct loop *loop, uint64_t now_ms);
/* When it wants to be advanced next (maybe only to move timers down a level), UINT64_MAX for never.
 */
uint64_t wheel_next_ms(const struct wheel *w);

#endif
