/* From each place where a word may begin, the trie is walked as far as the text allows; where a
 * character may stand for several (h3llo, helllo, h-e-l-l-o), each is tried, and so is what a
 * misspelt word may stand for. What looks as if it were written backwards is walked both ways. */
#include "safety/internal.h"

#define STEPS_MAX   2048 /* of one walk: only text made to be slow comes near */
#define STEPS_ALL   8192 /* of all of them, and STEPS_GLYPH more for each character */
#define STEPS_GLYPH 16
#define REACHED     64 /* segments waiting for their next, the latest of them */

/* A segment of a pattern with gaps, found with all before it. */
struct reached {
    uint32_t pattern;
    uint16_t from, till; /* from: where its first segment began */
    uint8_t slot;
};

/* How a walk came where it is, besides letter by letter. */
enum how {
    HOW_SOFT = 1, /* over what is between letters kept apart */
    HOW_CUT = 2,  /* over a space beside which one word is none */
    HOW_JOIN = 4, /* over a space between what may be two words */
};

#define JOINED_MIN 7 /* letters of what is found over such a space */
#define CUT_MIN    4 /* and over one beside what is no word */
#define BACKWARD_MAX                                                                               \
    2048 /* glyphs that are turned round; a longer text that asks for it is blocked */

struct walk {
    const struct safety *s;
    const struct survey *survey;
    const struct folded *f;
    const struct safety_who *who;
    int language;
    uint8_t direction;
    size_t from;
    unsigned steps;
    size_t left; /* steps of all walks */
    struct matches *out;
    struct reached reached[REACHED];
    unsigned reached_count; /* ever; the ring holds the last REACHED */
    uint64_t reached_of;    /* bits of their patterns: most that go on have not begun */
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

static uint64_t bit_of(uint32_t pattern)
{
    return UINT64_C(1) << pattern % 64;
}

static void atom_found(struct walk *w, const struct trie_mark *m, size_t from, size_t till)
{
    const struct pattern *p = &w->s->patterns[m->pattern];
    size_t begin = from;

    if (m->slot > 0 && !(w->reached_of & bit_of(m->pattern)))
        return;
    if (!applies(w, p) || (m->slot > 0 && !follows(w, p, m->pattern, m->slot, from, &begin)))
        return;
    if (m->slot + 1 == p->slots)
        found(w, m->pattern, begin, from, till);
    else {
        w->reached[w->reached_count++ % REACHED] =
            (struct reached){m->pattern, (uint16_t)begin, (uint16_t)till, m->slot};
        w->reached_of |= bit_of(m->pattern);
    }
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

static size_t letters_in(const struct folded *f, size_t from, size_t till)
{
    size_t letters = 0;

    for (size_t i = from; i < till; i++)
        letters += glyph_in_word(&f->g[i]);
    return letters;
}

/* In a word that is spelled out a short finding must be the whole of it: "E-s-s-e-x" is a county.
 * What was joined must be long. */
static bool how_ok(const struct folded *f, size_t from, size_t till, unsigned how)
{
    bool cut = (from > 0 && f->g[from - 1].flags & GLYPH_SOFT) ||
               (till < f->count && f->g[till].flags & GLYPH_SOFT);

    if (how & HOW_JOIN && (letters_in(f, from, till) < JOINED_MIN || !word_ends(f, till)))
        return false;
    if (how & HOW_CUT && letters_in(f, from, till) < CUT_MIN)
        return false;
    if (!(how & HOW_SOFT) || !cut)
        return true;
    return f->g[from].kind == GLYPH_HAN || letters_in(f, from, till) >= 4;
}

static void marks_at(struct walk *w, uint32_t node, size_t at, unsigned how)
{
    const struct trie *t = &w->s->trie;
    uint32_t i = t->nodes[node].marks;

    if (!i)
        return;
    bool ends = word_ends(w->f, at) || (at - w->from >= 3 && arabic_suffix(w->f, at));
    for (; i; i = t->marks[i - 1].next)
        if ((ends || t->marks[i - 1].prefix) && (how == 0 || how_ok(w->f, w->from, at, how)))
            atom_found(w, &t->marks[i - 1], w->from, at);
}

static void step(struct walk *w, uint32_t node, size_t at, unsigned how);

static void step_letter(struct walk *w, uint32_t node, size_t at, uint32_t cp, unsigned how)
{
    uint32_t child = trie_child(&w->s->trie, node, cp);

    if (child)
        step(w, child, at + 1, how);
}

static void step_space(struct walk *w, uint32_t node, size_t at, unsigned how)
{
    uint32_t child = trie_child(&w->s->trie, node, ' ');

    if (!child)
        return;
    while (at < w->f->count && (w->f->g[at].kind == GLYPH_SEP || w->f->g[at].kind == GLYPH_SYMBOL))
        at++;
    step(w, child, at, how);
}

/* What the misspelt word at `at` may stand for. */
static void step_readings(struct walk *w, uint32_t node, size_t at, unsigned how)
{
    const struct survey *v = w->survey;
    size_t low = 0, high = v->count;

    while (low < high) {
        size_t mid = (low + high) / 2;
        if (v->r[mid].from < at)
            low = mid + 1;
        else
            high = mid;
    }
    for (; low < v->count && v->r[low].from == at; low++) {
        uint32_t to = node;
        for (size_t i = 0; i < v->r[low].reads.len && to; i++)
            to = trie_child(&w->s->trie, to, (uint8_t)v->r[low].reads.p[i]);
        if (to)
            step(w, to, v->r[low].till, how);
    }
}

static void step_sign(struct walk *w, uint32_t node, size_t at, unsigned how)
{
    const struct folded *f = w->f;
    size_t behind = at;

    step_space(w, node, at, how);
    while (behind < f->count && f->g[behind].flags & GLYPH_SOFT)
        behind++;
    if (behind > at && at > w->from)
        step(w, node, behind, how | HOW_SOFT);
    else if (f->g[at].flags & GLYPH_JOIN && at > w->from)
        step_letter(w, node, at + 1, f->g[at + 1].cp,
                    how | (f->g[at].flags & GLYPH_CUT ? HOW_CUT : HOW_JOIN));
}

/* What a character may be besides itself. */
static void step_aside(struct walk *w, uint32_t node, size_t at, unsigned how)
{
    const struct glyph *g = &w->f->g[at];

    if (g->flags & (GLYPH_REPEAT | GLYPH_REPEATED) && at > w->from)
        step(w, node, at + 1, how);
    if (g->flags & GLYPH_LEET)
        for (const char *c = stands_for(g->cp); *c; c++)
            step_letter(w, node, at, (uint32_t)*c, how);
}

static void step(struct walk *w, uint32_t node, size_t at, unsigned how)
{
    const struct folded *f = w->f;

    for (;; at++) {
        if (++w->steps > STEPS_MAX || w->left == 0) {
            w->out->overflow = true;
            return;
        }
        w->left--;
        if (at > w->from)
            marks_at(w, node, at, how);
        if (at == f->count)
            return;
        const struct glyph *g = &f->g[at];
        if (g->kind == GLYPH_SEP || g->kind == GLYPH_SYMBOL)
            step_sign(w, node, at, how);
        if (g->flags & GLYPH_MISREAD)
            step_readings(w, node, at, how);
        uint32_t child = g->kind != GLYPH_SEP && !(g->flags & GLYPH_REPEATED)
                             ? trie_child(&w->s->trie, node, g->cp)
                             : 0;
        if (g->flags & (GLYPH_REPEAT | GLYPH_REPEATED | GLYPH_LEET)) {
            if (child)
                step(w, child, at + 1, how);
            step_aside(w, node, at, how);
            return;
        }
        if (!child)
            return;
        node = child;
    }
}

static void walk_from(struct walk *w, uint32_t root, size_t at)
{
    const struct glyph *g = &w->f->g[at];

    w->from = at;
    w->steps = 0;
    if (g->kind == GLYPH_LETTER && !(g->flags & (GLYPH_MISREAD | GLYPH_LEET | GLYPH_REPEATED)) &&
        w->left > 0 && !trie_child(&w->s->trie, root, g->cp))
        w->left--; /* the one step that it would be */
    else
        step(w, root, at, 0);
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

static void walk_all(struct walk *w)
{
    const struct folded *f = w->f;

    w->reached_count = 0;
    w->reached_of = 0;
    w->left = STEPS_ALL + STEPS_GLYPH * f->count;
    for (size_t i = 0; i < f->count && w->left > 0; i++) {
        const struct glyph *g = &f->g[i];
        bool sign =
            g->flags & GLYPH_LEET && !glyph_in_word(g) && (i == 0 || !glyph_in_word(&f->g[i - 1]));
        if (g->flags & GLYPH_START || sign)
            walk_from(w, TRIE_WORD, i);
        if (glyph_in_word(g) || g->kind == GLYPH_HAN)
            walk_from(w, TRIE_INSIDE, i);
    }
}

/* The text from its end, and where what is found there lies in the text as it is. */
static void walk_backwards(struct walk *w, struct survey *v)
{
    union {
        struct folded f;
        char room[sizeof(struct folded) + BACKWARD_MAX * sizeof(struct glyph)];
    } turned;
    const struct folded *f = w->f;
    struct matches *out = w->out;
    size_t first = out->count;

    if (f->count > BACKWARD_MAX) {
        out->overflow = true;
        return;
    }
    fold_reverse(f, &turned.f);
    survey(&w->s->spelling, &turned.f, v);
    w->f = &turned.f;
    walk_all(w);
    w->f = f;
    for (size_t i = first; i < out->count; i++) {
        struct match *m = &out->m[i];
        size_t from = f->count - m->till, till = f->count - m->from;
        *m = (struct match){m->pattern, (uint16_t)from, (uint16_t)from, (uint16_t)till};
    }
}

void match_all(const struct safety *s, struct folded *f, uint8_t direction,
               const struct safety_who *who, struct matches *out)
{
    struct survey v;
    struct walk w = {.s = s, .survey = &v, .f = f, .who = who, .direction = direction, .out = out};

    out->count = 0;
    w.language = language_find(s, who->language);
    survey(&s->spelling, f, &v);
    out->overflow = v.overflow;
    bool backwards = v.backwards;
    walk_all(&w);
    if (backwards)
        walk_backwards(&w, &v);
    drop_allowed(s, out);
}

/* Of the entries at glyph `at`: the lexicons they are of, as bits; of that of `kind`, LEXICON_NONE
 * for none, where the longest ends and its value. */
static uint16_t lexicon_walk(const struct safety *s, const struct folded *f, size_t at,
                             enum lexicon kind, size_t *best, uint8_t *value)
{
    const struct trie *t = &s->trie;
    uint32_t node = TRIE_LEXICON;
    uint16_t all = 1u << LEXICON_NONE;

    for (size_t i = at; i < f->count && node;) {
        bool space = f->g[i].kind == GLYPH_SEP;
        node = trie_child(t, node, space ? ' ' : f->g[i].cp);
        while (space && i < f->count && f->g[i].kind == GLYPH_SEP)
            i++;
        i += !space;
        for (uint32_t k = node ? t->nodes[node].marks : 0; k; k = t->marks[k - 1].next) {
            const struct pattern *p = &s->patterns[t->marks[k - 1].pattern];
            if (!t->marks[k - 1].prefix && !word_ends(f, i))
                continue;
            all |= (uint16_t)(1u << p->lexicon);
            if (p->lexicon == kind) {
                *best = i;
                *value = p->value;
            }
        }
    }
    return all;
}

void lexicons_mark(const struct safety *s, struct folded *f)
{
    size_t best;
    uint8_t value;

    for (size_t i = 0; i < f->count; i++)
        if (f->g[i].flags & GLYPH_START)
            f->g[i].lexicons = lexicon_walk(s, f, i, LEXICON_NONE, &best, &value);
}

size_t lexicon_find(const struct safety *s, const struct folded *f, size_t at, enum lexicon kind,
                    uint8_t *value)
{
    size_t best = 0;
    uint8_t of_best = 0;

    (void)lexicon_walk(s, f, at, kind, &best, &of_best);
    if (best && value)
        *value = of_best;
    return best;
}
