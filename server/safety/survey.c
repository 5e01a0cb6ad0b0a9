/* The words of a text, before anything is looked for in it: which are none, what they may stand
 * for, whether two are one that was cut, and whether the whole runs backwards. */
#include "safety/internal.h"

struct seen_word {
    size_t from, till;
    bool latin, odd; /* odd: no word, and too short or strange to be an unknown one */
};

/* Of words of at least two letters that could be misspelt. */
struct tally {
    unsigned words, forward; /* known, of them */
};

static bool has_vowel(struct span word)
{
    for (size_t i = 0; i < word.len; i++)
        if (strchr("aeiouy", word.p[i]))
            return true;
    return false;
}

/* The word at glyph i as bytes; false: not one that could be misspelt. */
static bool read_word(const struct folded *f, struct seen_word *w, char *out)
{
    size_t len = w->till - w->from;

    w->latin = len < SPELLED_LEN;
    for (size_t i = 0; i < len && w->latin; i++) {
        w->latin = spelled_letter(f->g[w->from + i].cp);
        out[i] = (char)f->g[w->from + i].cp;
    }
    return w->latin;
}

static void add_readings(struct survey *v, struct folded *f, const struct seen_word *w,
                         const struct span *reads, size_t count)
{
    if (count > READINGS_MAX - v->count) {
        v->overflow = true;
        return;
    }
    for (size_t i = 0; i < count; i++)
        v->r[v->count++] = (struct reading_at){(uint16_t)w->from, (uint16_t)w->till, reads[i]};
    if (count > 0)
        f->g[w->from].flags |= GLYPH_MISREAD;
}

static bool spelled_backwards(const struct spelling *s, struct span word)
{
    char turned[SPELLED_LEN];

    for (size_t i = 0; i < word.len; i++)
        turned[i] = word.p[word.len - 1 - i];
    return spelling_known(s, (struct span){turned, word.len});
}

static void look_at_word(const struct spelling *s, struct folded *f, struct seen_word *w,
                         struct survey *v, struct tally *t)
{
    struct span reads[READINGS_OF_ONE];
    char text[SPELLED_LEN];
    bool known;

    if (!read_word(f, w, text))
        return;
    struct span word = {text, w->till - w->from};
    add_readings(v, f, w, reads, spelling_read(s, word, &known, reads));
    w->odd = !known && (word.len <= 3 || !has_vowel(word));
    if (word.len > 1) {
        t->words++;
        t->forward += known;
    }
}

/* Two words with a single space or line feed between them. */
static void look_at_gap(struct folded *f, const struct seen_word *a, const struct seen_word *b)
{
    struct glyph *gap = &f->g[a->till];

    if (!a->latin || !b->latin || b->from != a->till + 1 || (gap->cp != ' ' && gap->cp != '\n'))
        return;
    gap->flags |= a->odd || b->odd ? GLYPH_CUT | GLYPH_JOIN : GLYPH_JOIN;
}

/* The next word from *at on, which is then behind it; false: there is none. */
static bool next_word(const struct folded *f, size_t *at, struct seen_word *w)
{
    size_t i = *at;

    while (i < f->count && !glyph_in_word(&f->g[i]))
        i++;
    *w = (struct seen_word){.from = i, .till = i};
    while (w->till < f->count && glyph_in_word(&f->g[w->till]))
        w->till++;
    *at = w->till;
    return w->till > w->from;
}

/* More words are known backwards than forward. Asked until it is clear: mostly after a few. */
static bool runs_backwards(const struct spelling *s, const struct folded *f, struct tally t)
{
    struct seen_word w;
    char text[SPELLED_LEN];
    unsigned backward = 0;

    for (size_t at = 0; backward + t.words > t.forward && next_word(f, &at, &w);) {
        if (w.till - w.from == 1 || !read_word(f, &w, text))
            continue;
        backward += spelled_backwards(s, (struct span){text, w.till - w.from});
        t.words--;
    }
    return backward > t.forward;
}

void survey(const struct spelling *s, struct folded *f, struct survey *v)
{
    struct seen_word last = {0}, w;
    struct tally t = {0, 0};

    v->count = 0;
    v->overflow = false;
    for (size_t at = 0; next_word(f, &at, &w); last = w) {
        look_at_word(s, f, &w, v, &t);
        if (last.till > 0)
            look_at_gap(f, &last, &w);
    }
    v->backwards = runs_backwards(s, f, t);
}
