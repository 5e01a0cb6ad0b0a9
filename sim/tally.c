#include "sim/tally.h"

#include <stdlib.h>

bool tally_init(struct tally *t, uint32_t cap)
{
    *t = (struct tally){.cap = cap};
    t->bits = calloc(cap / 8 + 1, 1);
    return t->bits != NULL;
}

void tally_fini(struct tally *t)
{
    free(t->bits);
    *t = (struct tally){0};
}

bool tally_has(const struct tally *t, uint32_t n)
{
    return n < t->cap && (t->bits[n / 8] >> n % 8 & 1) != 0;
}

enum tally_verdict tally_take(struct tally *t, uint32_t n)
{
    if (n >= t->cap)
        return TALLY_UNKNOWN;
    if (tally_has(t, n))
        return TALLY_DOUBLED;
    t->bits[n / 8] = (uint8_t)(t->bits[n / 8] | 1u << n % 8);
    t->count++;
    if (n < t->next)
        return TALLY_LATE;
    t->next = n + 1;
    return TALLY_FIRST;
}

void samples_add(struct samples *s, uint64_t ms)
{
    if (s->count == s->cap) {
        size_t cap = s->cap * 2 + 256;
        uint32_t *more = realloc(s->ms, cap * sizeof *more);
        if (more == NULL)
            return; /* a figure less */
        s->ms = more;
        s->cap = cap;
    }
    s->ms[s->count++] = ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

void samples_sort(struct samples *s)
{
    if (s->count > 0)
        qsort(s->ms, s->count, sizeof *s->ms, compare);
}

uint32_t samples_percentile(const struct samples *s, unsigned percent)
{
    size_t rank = (s->count * percent + 99) / 100;

    return s->count == 0 ? 0 : s->ms[rank > 0 ? rank - 1 : 0];
}

void samples_fini(struct samples *s)
{
    free(s->ms);
    *s = (struct samples){0};
}
