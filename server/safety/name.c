/* What categories and languages are called. */
#include "safety/internal.h"

const char *safety_category_name(enum safety_category category)
{
    static const char *const names[] = {
#define X(id, name) #name,
        SAFETY_CATEGORIES(X)
#undef X
    };

    return category < SAFETY_CATEGORY_COUNT ? names[category] : "none";
}

enum safety_category safety_category_find(struct span name)
{
    int i = 0;

    while (i < SAFETY_CATEGORY_COUNT &&
           !span_is(name, safety_category_name((enum safety_category)i)))
        i++;
    return (enum safety_category)i;
}

/* "es" of "es-MX". */
static struct span primary(struct span language)
{
    size_t n = 0;

    while (n < language.len && language.p[n] != '-' && language.p[n] != '_')
        n++;
    return (struct span){language.p, n};
}

int language_find(const struct safety *s, struct span language)
{
    struct span want = primary(language);

    for (unsigned i = 0; i < s->language_count; i++) {
        const char *have = s->languages[i];
        size_t n = 0;
        while (n < want.len && have[n] && (want.p[n] | 0x20) == have[n])
            n++;
        if (n == want.len && !have[n])
            return (int)i;
    }
    return -1;
}

int language_index(struct safety *s, struct span language, bool add)
{
    int i = language_find(s, language);

    if (i >= 0 || !add)
        return i;
    if (language.len < 2 || language.len > 3 || s->language_count == LANGUAGES_MAX)
        return -1;
    for (size_t k = 0; k < language.len; k++)
        if (language.p[k] < 'a' || language.p[k] > 'z')
            return -1;
    memcpy(s->languages[s->language_count], language.p, language.len);
    return (int)s->language_count++;
}

bool safety_covers(const struct safety *s, struct span language)
{
    return language_find(s, language) >= 0;
}
