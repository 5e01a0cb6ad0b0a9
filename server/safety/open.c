/* A guard from its opening to its end. */
#include "safety/internal.h"

#include <stdio.h>
#include <stdlib.h>

static int choose_language(struct safety *s, const char *language, char *err, size_t cap)
{
    int index = language_find(s, span_of(language));

    if (index < 0) {
        snprintf(err, cap, "there are no lists for the language '%.20s'", language);
        return TEDDY_EINVAL;
    }
    s->language = (uint8_t)index;
    return TEDDY_OK;
}

/* What is built in alone needs no reading. */
static int fill(struct safety *s, const struct safety_config *config, char *err, size_t cap)
{
    struct span image = safety_image();

    if (config->dir || config->no_builtin || !image_is_current(image))
        return safety_read(s, config, err, cap);
    snprintf(err, cap, "the built-in lists are not this program's");
    return image_open(s, image);
}

int safety_open(const struct safety_config *config, struct safety **out, char *err, size_t cap)
{
    struct safety *s = calloc(1, sizeof *s);
    int rc = TEDDY_ENOMEM;

    snprintf(err, cap, "out of memory");
    if (s)
        rc = fill(s, config, err, cap);
    if (rc == TEDDY_OK)
        rc = choose_language(s, config->language ? config->language : "en", err, cap);
    if (rc != TEDDY_OK) {
        safety_close(s);
        return rc;
    }
    s->allow_uncovered = config->allow_uncovered;
    *out = s;
    return TEDDY_OK;
}

void safety_close(struct safety *s)
{
    if (s && !s->in_place) {
        free(s->said);
        free(s->lines);
        free(s->patterns);
        free(s->map.pairs);
        trie_fini(&s->trie);
        spelling_fini(&s->spelling);
    }
    free(s);
}

static size_t owned(const struct safety *s)
{
    const struct trie *t = &s->trie;

    return t->edge_cap * sizeof *t->edges + t->node_cap * sizeof *t->nodes +
           t->mark_cap * sizeof *t->marks + s->pattern_cap * sizeof *s->patterns +
           s->line_cap * sizeof *s->lines + s->said_cap + s->map.cap * sizeof *s->map.pairs +
           s->spelling.cap + s->spelling.slot_cap * sizeof *s->spelling.slots;
}

struct safety_counts safety_counts(const struct safety *s)
{
    return (struct safety_counts){
        .languages = s->language_count,
        .patterns = (unsigned)s->pattern_count,
        .atoms = s->atoms,
        .lines = (unsigned)s->line_count,
        .bytes = sizeof *s + (s->in_place ? 0 : owned(s)),
    };
}
