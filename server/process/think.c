#include "process/think.h"

static const char OPEN[] = "<think>", CLOSE[] = "</think>";

enum { BEFORE, OPENING, INSIDE, SAYING };

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* One byte while it is not sure that the answer has begun; true: it is said. */
static bool step(struct think *t, char c)
{
    switch (t->state) {
    case BEFORE:
        if (is_space(c))
            return false;
        t->state = c == OPEN[0] ? OPENING : SAYING;
        t->matched = 1;
        return t->state == SAYING;
    case OPENING:
        if (c != OPEN[t->matched]) {
            t->state = SAYING;
            return true;
        }
        if (++t->matched == sizeof OPEN - 1) {
            t->state = INSIDE;
            t->matched = 0;
        }
        return false;
    case INSIDE:
        t->matched = (uint8_t)(c == CLOSE[t->matched] ? t->matched + 1 : c == CLOSE[0]);
        if (t->matched == sizeof CLOSE - 1) {
            t->state = BEFORE;
            t->matched = 0;
        }
        return false;
    default:
        return true;
    }
}

int think_feed(struct think *t, struct span piece, struct buffer *out, size_t max)
{
    size_t at = 0;
    for (; t->state != SAYING && at < piece.len; at++) {
        bool opening = t->state == OPENING;
        if (!step(t, piece.p[at]))
            continue;
        int rc = opening ? buffer_add(out, (struct span){OPEN, t->matched}, max) : TEDDY_OK;
        if (rc != TEDDY_OK)
            return rc;
        break; /* this byte is said with the rest */
    }
    return buffer_add(out, (struct span){piece.p + at, piece.len - at}, max);
}

int think_end(struct think *t, struct buffer *out, size_t max)
{
    bool opening = t->state == OPENING;
    t->state = SAYING;
    return opening ? buffer_add(out, (struct span){OPEN, t->matched}, max) : TEDDY_OK;
}
