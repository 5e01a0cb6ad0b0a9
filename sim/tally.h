/* Which of a toy's numbered messages have come, in which order, and how long things took. */
#ifndef SIM_TALLY_H
#define SIM_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tally_verdict { TALLY_FIRST, TALLY_LATE, TALLY_DOUBLED, TALLY_UNKNOWN };

/* Numbers 0 to cap - 1, a bit each. */
struct tally {
    uint8_t *bits;
    uint32_t cap;
    uint32_t count; /* bits set */
    uint32_t next;  /* the highest that came, plus 1 */
};

bool tally_init(struct tally *t, uint32_t cap);
void tally_fini(struct tally *t);
bool tally_has(const struct tally *t, uint32_t n);
/* TALLY_FIRST; TALLY_LATE: for the first time too, but after a later one. */
enum tally_verdict tally_take(struct tally *t, uint32_t n);

struct samples {
    uint32_t *ms;
    size_t count, cap;
};

void samples_add(struct samples *s, uint64_t ms);
void samples_sort(struct samples *s);
/* Of sorted ones, nearest rank; 0 when there are none. */
uint32_t samples_percentile(const struct samples *s, unsigned percent);
void samples_fini(struct samples *s);

#endif
