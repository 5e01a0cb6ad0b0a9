/* From each place where a word may begin, the trie is walked as far as the text allows; where a
 * character may stand for several (h3llo, helllo, h-e-l-l-o), each is tried. */
#include "safety/internal.h"

#define STEPS_MAX 2048 /* of one walk: only text made to be slow comes near */
#define REACHED   64   /* segments waiting for their next, the latest of them */

/* A segment of a pattern with gaps, found with all before it. */
struct reached {
    uint32_t pattern;
    uint16_t from, till; /* from: where its first segment began */
    uint8_t slot;
};

struct walk {
    const struct safety *s;
    const struct folded *f;
    const struct safety_who *who;
    int language;
    uint8_t direction;
    size_t from;
    unsigned steps;
    struct matches *out;
    struct reached reached[REACHED];
    unsigned reached_count; /* ever; the ring holds the last REACHED */
};

static const char *stands_for(uint32_t cp)
{
    switch (cp) {
    case '0':
        return "o";
    case '1':
        return "il";
    case '3':
        return "e";
    case '4':
        return "a";
    case '5':
        return "s";
    case '6':
        return "g";
    case '7':
        return "t";
    case '8':
        return "b";
    case '9':
        return "g";
    case '@':
        return "a";
    case '$':
        return "s";
    case '!':
        return "i";
    case '|':
        return "il";
    case '+':
        return "t";
    case '(':
        return "c";
    case 'v':
        return "u";
    case 'z':
        return "s";
    case 0x20AC:
        return "e";
    case 0xA3:
        return "l";
    case '*':
    case '#':
        return "aeioucgkhlnrst";
    default:
        return "";
    }
}

static bool applies(const struct walk *w, const struct pattern *p)
{
    if (!(p->does & w->direction))
        return false;
    if (p->below && w->who->age >= p->below)
        return false;
    return p->language == 0 || p->language == w->language + 1;
}

static void found(struct walk *w, uint32_t pattern, size_t from, size_t last, size_t till)
{
    struct matches *out = w->out;

    for (size_t i = out->count; i > 0 && out->m[i - 1].from == from; i--)
        if (out->m[i - 1].pattern == pattern && out->m[i - 1].till == till &&
            out->m[i - 1].last == last)
            return;
    if (out->count == MATCHES_MAX) {
        out->overflow = true;
        return;
    }
    out->m[out->count++] = (struct match){pattern, (uint16_t)from, (uint16_t)last, (uint16_t)till};
}

/* Whether segment `slot`, found at from, follows its predecessor closely enough; *begin: where the
 * whole began. */
static bool follows(const struct walk *w, const struct pattern *p, uint32_t pattern, uint8_t slot,
                    size_t from, size_t *begin)
{
    unsigned n = w->reached_count < REACHED ? w->reached_count : REACHED;

    for (unsigned i = 1; i <= n; i++) {
        const struct reached *r = &w->reached[(w->reached_count - i) % REACHED];
        if (r->pattern != pattern || r->slot + 1 != slot || r->till > from)
            continue;
        if (w->f->g[from].word > w->f->g[r->till - 1].word + p->gap[slot] + 2)
            continue;
        *begin = r->from;
        return true;
    }
    return false;
}

static void atom_found(struct walk *w, const struct trie_mark *m, size_t from, size_t till)
{
    const struct pattern *p = &w->s->patterns[m->pattern];
    size_t begin = from;

    if (!applies(w, p) || (m->slot > 0 && !follows(w, p, m->pattern, m->slot, from, &begin)))
        return;
    if (m->slot + 1 == p->slots)
        found(w, m->pattern, begin, from, till);
    else
        w->reached[w->reached_count++ % REACHED] =
            (struct reached){m->pattern, (uint16_t)begin, (uint16_t)till, m->slot};
}

static bool spans(const struct folded *f, size_t from, size_t till, const uint32_t *cps)
{
    size_t n = 0;

    while (cps[n] && from + n < till && f->g[from + n].cp == cps[n])
        n++;
    return cps[n] == 0 && from + n == till;
}

/* Arabic writes objects and possessors on to the word: kill-you, friend-my. */
static bool arabic_suffix(const struct folded *f, size_t at)
{
    static const uint32_t suffixes[][4] = {
        {0x643},        {0x647},        {0x647, 0x627}, {0x647, 0x645},
        {0x647, 0x646}, {0x643, 0x645}, {0x643, 0x646}, {0x646, 0x627},
        {0x646, 0x64A}, {0x64A},        {0x648, 0x627}, {0x648, 0x646},
        {0x64A, 0x646}, {0x627, 0x646}, {0x627, 0x62A}, {0x648, 0x627, 0x62A}};
    size_t end = at;

    if (f->g[at].cp < 0x600 || f->g[at].cp > 0x6FF)
        return false;
    while (end < f->count && glyph_in_word(&f->g[end]))
        end++;
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
        if (spans(f, at, end, suffixes[i]))
            return true;
    return false;
}

/* In a word that is spelled out a short finding must be the whole of it: "E-s-s-e-x" is a county.
 */
static bool soft_ok(const struct folded *f, size_t from, size_t till, bool softened)
{
    bool cut = (from > 0 && f->g[from - 1].flags & GLYPH_SOFT) ||
               (till < f->count && f->g[till].flags & GLYPH_SOFT);
    size_t letters = 0;

    if (!softened || !cut)
        return true;
    for (size_t i = from; i < till; i++)
        letters += glyph_in_word(&f->g[i]);
    return letters >= 4 || f->g[from].kind == GLYPH_HAN;
}

static void marks_at(struct walk *w, uint32_t node, size_t at, bool softened)
{
    const struct trie *t = &w->s->trie;
    uint32_t i = t->node_marks[node];

    if (!i)
        return;
    bool ends = word_ends(w->f, at) || (at - w->from >= 3 && arabic_suffix(w->f, at));
    for (; i; i = t->marks[i - 1].next)
        if ((ends || t->marks[i - 1].prefix) && soft_ok(w->f, w->from, at, softened))
            atom_found(w, &t->marks[i - 1], w->from, at);
}

static void step(struct walk *w, uint32_t node, size_t at, bool softened);

static void step_letter(struct walk *w, uint32_t node, size_t at, uint32_t cp, bool softened)
{
    uint32_t child = trie_child(&w->s->trie, node, cp);

    if (child)
        step(w, child, at + 1, softened);
}

static void step_space(struct walk *w, uint32_t node, size_t at, bool softened)
{
    uint32_t child = trie_child(&w->s->trie, node, ' ');

    if (!child)
        return;
    while (at < w->f->count && (w->f->g[at].kind == GLYPH_SEP || w->f->g[at].kind == GLYPH_SYMBOL))
        at++;
    step(w, child, at, softened);
}

static void step(struct walk *w, uint32_t node, size_t at, bool softened)
{
    const struct folded *f = w->f;

    if (++w->steps > STEPS_MAX) {
        w->out->overflow = true;
        return;
    }
    if (at > w->from)
        marks_at(w, node, at, softened);
    if (at == f->count)
        return;
    const struct glyph *g = &f->g[at];
    if (g->kind == GLYPH_SEP || g->kind == GLYPH_SYMBOL) {
        step_space(w, node, at, softened);
        size_t behind = at;
        while (behind < f->count && f->g[behind].flags & GLYPH_SOFT)
            behind++;
        if (behind > at && at > w->from)
            step(w, node, behind, true);
    }
    if (g->kind != GLYPH_SEP && !(g->flags & GLYPH_REPEATED))
        step_letter(w, node, at, g->cp, softened);
    if (g->flags & (GLYPH_REPEAT | GLYPH_REPEATED) && at > w->from)
        step(w, node, at + 1, softened);
    if (g->flags & GLYPH_LEET)
        for (const char *c = stands_for(g->cp); *c; c++)
            step_letter(w, node, at, (uint32_t)*c, softened);
}

static void walk_from(struct walk *w, uint32_t root, size_t at)
{
    w->from = at;
    w->steps = 0;
    step(w, root, at, false);
}

/* A finding of which the last part lies within one that is allowed, of the same category, is none:
 * "how to make a bath bomb". */
static void drop_allowed(const struct safety *s, struct matches *m)
{
    bool keep[MATCHES_MAX];
    size_t kept = 0;

    for (size_t i = 0; i < m->count; i++) {
        const struct pattern *p = &s->patterns[m->m[i].pattern];
        keep[i] = !(p->does & DOES_ALLOW);
        for (size_t k = 0; k < m->count && keep[i]; k++) {
            const struct pattern *q = &s->patterns[m->m[k].pattern];
            if (q->does & DOES_ALLOW && q->category == p->category &&
                m->m[k].from <= m->m[i].last && m->m[k].till >= m->m[i].till)
                keep[i] = false;
        }
    }
    for (size_t i = 0; i < m->count; i++)
        if (keep[i])
            m->m[kept++] = m->m[i];
    m->count = kept;
}

void match_all(const struct safety *s, const struct folded *f, uint8_t direction,
               const struct safety_who *who, struct matches *out)
{
    struct walk w = {.s = s, .f = f, .who = who, .direction = direction, .out = out};

    out->count = 0;
    out->overflow = false;
    w.language = language_find(s, who->language);
    for (size_t i = 0; i < f->count; i++) {
        const struct glyph *g = &f->g[i];
        bool sign =
            g->flags & GLYPH_LEET && !glyph_in_word(g) && (i == 0 || !glyph_in_word(&f->g[i - 1]));
        if (g->flags & GLYPH_START || sign)
            walk_from(&w, TRIE_WORD, i);
        if (glyph_in_word(g) || g->kind == GLYPH_HAN)
            walk_from(&w, TRIE_INSIDE, i);
    }
    drop_allowed(s, out);
}

size_t lexicon_at(const struct safety *s, const struct folded *f, size_t at, enum lexicon kind,
                  uint8_t *value)
{
    const struct trie *t = &s->trie;
    uint32_t node = TRIE_LEXICON;
    size_t best = 0;

    for (size_t i = at; i < f->count && node;) {
        bool space = f->g[i].kind == GLYPH_SEP;
        node = trie_child(t, node, space ? ' ' : f->g[i].cp);
        while (space && i < f->count && f->g[i].kind == GLYPH_SEP)
            i++;
        i += !space;
        for (uint32_t k = node ? t->node_marks[node] : 0; k; k = t->marks[k - 1].next) {
            const struct pattern *p = &s->patterns[t->marks[k - 1].pattern];
            if (p->lexicon == kind && (t->marks[k - 1].prefix || word_ends(f, i))) {
                best = i;
                if (value)
                    *value = p->value;
            }
        }
    }
    return best;
}
