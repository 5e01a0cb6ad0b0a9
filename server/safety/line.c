/* What is said instead. */
#include "safety/internal.h"

/* The n-th line for it, counted around; count: how many there are. */
static struct span nth_line(const struct safety *s, int language, enum safety_moment moment,
                            unsigned category, uint32_t n)
{
    for (uint32_t pass = 0, seen = 0, count = 0; pass < 2; pass++, count = seen, seen = 0) {
        if (pass == 1 && count == 0)
            break;
        for (size_t i = 0; i < s->line_count; i++) {
            const struct line *l = &s->lines[i];
            if (l->language != language || l->moment != moment || l->category != category)
                continue;
            if (pass == 1 && seen == n % count)
                return (struct span){s->said + l->at, l->len};
            seen++;
        }
    }
    return (struct span){NULL, 0};
}

struct span safety_line(const struct safety *s, const struct safety_who *who,
                        enum safety_moment moment, enum safety_category category, uint32_t turn)
{
    int wanted = language_find(s, who->language);
    const int languages[] = {wanted, s->language};

    for (size_t i = wanted < 0; i < 2; i++) {
        struct span line = nth_line(s, languages[i], moment, category, turn);
        if (!line.p)
            line = nth_line(s, languages[i], moment, SAFETY_CATEGORY_COUNT, turn);
        if (line.p)
            return line;
    }
    return moment == SAFETY_MOMENT_ALERT
               ? span_of("That sounds important. Please tell a grown-up you trust, right now.")
               : span_of("Let's talk about something else!");
}
