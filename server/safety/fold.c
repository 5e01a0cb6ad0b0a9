#include "safety/internal.h"

#include <stdlib.h>
#include <utf8proc.h>

#include "proto/utf8.h"

#define N_TILDE         0xF1
#define COMBINING_TILDE 0x303
#define TATWEEL         0x640

uint32_t fold_map_get(const struct fold_map *m, uint32_t cp)
{
    size_t low = 0, high = m->count;

    if (cp < sizeof m->ascii / sizeof *m->ascii)
        return m->ascii[cp] ? m->ascii[cp] : cp;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (m->pairs[mid].from < cp)
            low = mid + 1;
        else
            high = mid;
    }
    return low < m->count && m->pairs[low].from == cp ? m->pairs[low].to : cp;
}

/* Blocks of scripts; what is in none of them is SCRIPT_OTHER. */
static const struct {
    uint32_t from, till;
    enum script script;
} blocks[] = {
    {0x41, 0x2AF, SCRIPT_LATIN},     {0x370, 0x3FF, SCRIPT_GREEK},
    {0x400, 0x52F, SCRIPT_CYRILLIC}, {0x590, 0x5FF, SCRIPT_HEBREW},
    {0x600, 0x6FF, SCRIPT_ARABIC},   {0x750, 0x77F, SCRIPT_ARABIC},
    {0x8A0, 0x8FF, SCRIPT_ARABIC},   {0x900, 0x97F, SCRIPT_DEVANAGARI},
    {0xE00, 0xE7F, SCRIPT_THAI},     {0x1100, 0x11FF, SCRIPT_HANGUL},
    {0x1D00, 0x1DBF, SCRIPT_LATIN},  {0x1E00, 0x1EFF, SCRIPT_LATIN},
    {0x1F00, 0x1FFF, SCRIPT_GREEK},  {0x2C60, 0x2C7F, SCRIPT_LATIN},
    {0x2E80, 0x2FDF, SCRIPT_HAN},    {0x3005, 0x3007, SCRIPT_HAN},
    {0x3040, 0x30FF, SCRIPT_KANA},   {0x3400, 0x4DBF, SCRIPT_HAN},
    {0x4E00, 0x9FFF, SCRIPT_HAN},    {0xA720, 0xA7FF, SCRIPT_LATIN},
    {0xAC00, 0xD7AF, SCRIPT_HANGUL}, {0xF900, 0xFAFF, SCRIPT_HAN},
    {0xFB50, 0xFDFF, SCRIPT_ARABIC}, {0xFE70, 0xFEFE, SCRIPT_ARABIC},
    {0x20000, 0x3134F, SCRIPT_HAN},
};

static enum script script_of(uint32_t cp)
{
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks && cp >= blocks[i].from; i++)
        if (cp <= blocks[i].till)
            return blocks[i].script;
    return SCRIPT_OTHER;
}

enum script script_find(struct span name)
{
    static const char *const names[] = {"none",     "latin",  "arabic", "han",
                                        "cyrillic", "greek",  "hebrew", "devanagari",
                                        "kana",     "hangul", "thai"};

    for (size_t i = 1; i < sizeof names / sizeof *names; i++)
        if (span_is(name, names[i]))
            return (enum script)i;
    return SCRIPT_NONE;
}

bool unspeakable(uint32_t cp)
{
    if (cp < 0x80)
        return (cp < 0x20 && cp != '\n' && cp != '\t') || cp == 0x7F;
    if (cp == 0x200D) /* joins emoji; between letters it is left out of what is compared */
        return false;
    switch (utf8proc_category((utf8proc_int32_t)cp)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        return true;
    default:
        return false;
    }
}

static enum glyph_kind kind_of(uint32_t cp)
{
    if (cp < 0x80) {
        if (cp >= '0' && cp <= '9')
            return GLYPH_DIGIT;
        return (cp | 0x20) >= 'a' && (cp | 0x20) <= 'z' ? GLYPH_LETTER : GLYPH_SEP;
    }
    switch (utf8proc_category((utf8proc_int32_t)cp)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_NL:
        return script_of(cp) == SCRIPT_HAN || script_of(cp) == SCRIPT_KANA ? GLYPH_HAN
                                                                           : GLYPH_LETTER;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NO:
        return GLYPH_LETTER; /* digits proper were folded to ASCII */
    case UTF8PROC_CATEGORY_SO:
    case UTF8PROC_CATEGORY_SM:
    case UTF8PROC_CATEGORY_SK:
        return GLYPH_SYMBOL;
    default:
        return GLYPH_SEP;
    }
}

bool is_han(uint32_t cp)
{
    return kind_of(cp) == GLYPH_HAN;
}

static bool is_apostrophe(uint32_t cp)
{
    if (cp < 0x80)
        return cp == '\'' || cp == '`';
    return cp == 0xB4 || cp == 0x2018 || cp == 0x2019 || cp == 0x2BC;
}

struct folding {
    const struct fold_map *map;
    struct folded *f;
    size_t max;
    enum script run; /* script of the last letters, and how many of them in a row */
    unsigned run_count;
};

/* Counts scripts as they were written, before look-alikes became Latin. */
static void note_script(struct folding *n, uint32_t cp, enum glyph_kind kind)
{
    if (kind == GLYPH_SEP || kind == GLYPH_SYMBOL) {
        n->run_count = 0;
        return;
    }
    if (kind == GLYPH_DIGIT)
        return;
    enum script script = script_of(cp);

    n->run_count = script == n->run ? n->run_count + 1 : 1;
    n->run = script;
    if (n->run_count == 2 || kind == GLYPH_HAN)
        n->f->scripts |= 1u << script;
}

static bool put(struct folding *n, uint32_t cp, size_t from, size_t till)
{
    if (n->f->count == n->max)
        return false;
    enum glyph_kind kind = kind_of(cp);

    note_script(n, cp, kind);
    if (cp >= 0x80 || kind == GLYPH_SEP) {
        cp = fold_map_get(n->map, cp);
        kind = kind_of(cp);
    }
    n->f->g[n->f->count++] = (struct glyph){
        .cp = cp, .from = (uint16_t)from, .till = (uint16_t)till, .kind = (uint8_t)kind};
    return true;
}

/* The same of most characters: a letter, which is its own script's and compared as itself. */
static bool put_letter(struct folding *n, uint32_t cp, size_t at)
{
    if (n->f->count == n->max)
        return false;
    n->run_count = n->run == SCRIPT_LATIN ? n->run_count + 1 : 1;
    n->run = SCRIPT_LATIN;
    if (n->run_count == 2)
        n->f->scripts |= 1u << SCRIPT_LATIN;
    n->f->g[n->f->count++] = (struct glyph){
        .cp = cp, .from = (uint16_t)at, .till = (uint16_t)(at + 1), .kind = GLYPH_LETTER};
    return true;
}

/* A character beyond ASCII: what it is compatible with, in lower case, without marks. */
static bool put_decomposed(struct folding *n, uint32_t cp, size_t from, size_t till)
{
    utf8proc_int32_t to[32];
    int boundary = 0;

    if (cp == N_TILDE || cp == 0xD1) /* año is not ano */
        return put(n, N_TILDE, from, till);
    if (cp == COMBINING_TILDE && n->f->count && n->f->g[n->f->count - 1].cp == 'n') {
        n->f->g[n->f->count - 1].cp = N_TILDE;
        return true;
    }
    if (cp == TATWEEL || unspeakable(cp) || cp == 0x200D)
        return true;
    utf8proc_ssize_t count =
        utf8proc_decompose_char((utf8proc_int32_t)cp, to, 32,
                                UTF8PROC_COMPAT | UTF8PROC_DECOMPOSE | UTF8PROC_CASEFOLD |
                                    UTF8PROC_IGNORE | UTF8PROC_STRIPMARK,
                                &boundary);
    if (count < 0 || count > 32)
        return false;
    for (utf8proc_ssize_t i = 0; i < count; i++)
        if (!unspeakable((uint32_t)to[i]) && !put(n, (uint32_t)to[i], from, till))
            return false;
    return true;
}

/* don't is dont, but 'this' is a word in quotes. */
static void drop_apostrophes(struct folded *f)
{
    size_t out = 0;

    for (size_t i = 0; i < f->count; i++) {
        if (is_apostrophe(f->g[i].cp) && out > 0 && f->g[out - 1].kind == GLYPH_LETTER &&
            i + 1 < f->count && f->g[i + 1].kind == GLYPH_LETTER)
            continue;
        if (out < i)
            f->g[out] = f->g[i];
        out++;
    }
    f->count = out;
}

/* What a character of ASCII may be, besides itself. */
enum {
    SPELLS = 1,  /* between the letters of a word that is spelled out */
    INSIDE = 2,  /* between two letters of a word */
    EITHER = 4,  /* for a letter, beside one */
    BEHIND = 8,  /* for a letter, behind one */
    WITHIN = 16, /* for a letter, between two */
    SINGLE = 32, /* a letter that no word of the covered languages doubles */
};
static const uint8_t uses[128] = {
    [' '] = SPELLS,
    ['\t'] = SPELLS,
    [','] = SPELLS,
    ['.'] = SPELLS | INSIDE,
    ['-'] = SPELLS | INSIDE,
    ['_'] = SPELLS | INSIDE,
    ['*'] = SPELLS | INSIDE | BEHIND,
    ['~'] = SPELLS | INSIDE,
    ['/'] = SPELLS | INSIDE,
    ['='] = SPELLS | INSIDE,
    ['+'] = SPELLS | INSIDE | WITHIN,
    [':'] = SPELLS | INSIDE,
    ['|'] = SPELLS | INSIDE | WITHIN,
    ['@'] = EITHER,
    ['$'] = EITHER | BEHIND,
    ['#'] = BEHIND,
    ['!'] = WITHIN,
    ['('] = WITHIN,
    ['a'] = SINGLE,
    ['h'] = SINGLE,
    ['i'] = SINGLE,
    ['j'] = SINGLE,
    ['k'] = SINGLE,
    ['q'] = SINGLE,
    ['u'] = SINGLE,
    ['v'] = SINGLE,
    ['w'] = SINGLE,
    ['x'] = SINGLE,
    ['y'] = SINGLE,
};

static bool is_for(uint32_t cp, uint8_t use)
{
    return cp < 0x80 && uses[cp] & use;
}

bool word_ends(const struct folded *f, size_t i)
{
    return i >= f->count || !glyph_in_word(&f->g[i]) || !glyph_in_word(&f->g[i - 1]);
}

/* A single letter between separators, as in k-i-l-l and "k i l l". */
static bool lone(const struct folded *f, size_t i)
{
    return i < f->count && glyph_in_word(&f->g[i]) && (i == 0 || f->g[i - 1].kind == GLYPH_SEP) &&
           (i + 1 == f->count || f->g[i + 1].kind == GLYPH_SEP);
}

static bool between_letters(const struct folded *f, size_t i)
{
    return i > 0 && i + 1 < f->count && glyph_in_word(&f->g[i - 1]) && glyph_in_word(&f->g[i + 1]);
}

/* Marks separators that may be overlooked: single ones inside a word, those of a word that is
 * spelled out, and spaces between characters of a script that has none. */
static void mark_soft(struct folded *f)
{
    for (size_t i = 1; i < f->count; i++) {
        struct glyph *g = &f->g[i];
        size_t till = i;

        if (g->kind != GLYPH_SEP)
            continue;
        while (till < f->count && till - i <= 3 && f->g[till].kind == GLYPH_SEP &&
               is_for(f->g[till].cp, SPELLS))
            till++;
        if (till == i || till == f->count || till - i > 3)
            continue;
        bool han = f->g[i - 1].kind == GLYPH_HAN || f->g[till].kind == GLYPH_HAN;
        bool spelled = lone(f, i - 1) && lone(f, till);
        bool inside = till - i == 1 && between_letters(f, i) && is_for(g->cp, INSIDE);
        for (; i < till; i++)
            if (han || spelled || inside)
                f->g[i].flags |= GLYPH_SOFT;
    }
}

/* Digits and signs that stand for letters: only in a word that has letters, or alone for a word of
 * one: "1 h4te y0u". */
static void mark_leet(struct folded *f, size_t from, size_t till)
{
    uint32_t first = f->g[from].cp;
    bool letters = till - from == 1 && (first == '1' || first == '4');

    for (size_t i = from; i < till; i++)
        letters |= f->g[i].kind == GLYPH_LETTER;
    for (size_t i = from; i < till && letters; i++)
        if (f->g[i].kind == GLYPH_DIGIT || f->g[i].cp == 'v' || f->g[i].cp == 'z')
            f->g[i].flags |= GLYPH_LEET;
}

static void mark_signs(struct folded *f)
{
    for (size_t i = 0; i < f->count; i++) {
        struct glyph *g = &f->g[i];
        bool before = i > 0 && (f->g[i - 1].kind == GLYPH_LETTER || f->g[i - 1].flags & GLYPH_LEET);
        bool behind = i + 1 < f->count && glyph_in_word(&f->g[i + 1]);

        if (g->kind == GLYPH_LETTER || g->kind == GLYPH_DIGIT || g->kind == GLYPH_HAN)
            continue;
        if (is_for(g->cp, EITHER) && (before || (behind && f->g[i + 1].kind == GLYPH_LETTER)))
            g->flags |= GLYPH_LEET;
        else if (is_for(g->cp, BEHIND) && before)
            g->flags |= GLYPH_LEET;
        else if (before && (behind || (i + 1 < f->count && is_for(f->g[i + 1].cp, WITHIN))) &&
                 (is_for(g->cp, WITHIN) || g->cp == 0x20AC || g->cp == 0xA3))
            g->flags |= GLYPH_LEET;
    }
}

/* Where an Arabic word may be said to begin, behind what is written on to it: and, so, by, like,
 * to, the. */
static void mark_prefixes(struct folded *f, size_t from, size_t till)
{
    static const uint32_t wa = 0x648, fa = 0x641, ba = 0x628, ka = 0x643, la = 0x644, sa = 0x633,
                          alef = 0x627;
    size_t i = from;

    if (i + 2 < till && (f->g[i].cp == wa || f->g[i].cp == fa))
        f->g[++i].flags |= GLYPH_START;
    if (i + 2 < till &&
        (f->g[i].cp == ba || f->g[i].cp == ka || f->g[i].cp == la || f->g[i].cp == sa)) {
        bool to = f->g[i].cp == la;
        f->g[++i].flags |= GLYPH_START;
        if (to && i + 2 < till && f->g[i].cp == la)
            f->g[i + 1].flags |= GLYPH_START;
    }
    if (i + 3 < till && f->g[i].cp == alef && f->g[i + 1].cp == la)
        f->g[i + 2].flags |= GLYPH_START;
}

/* A run of three or more of a letter, or of two that no word of the covered languages doubles. */
static void mark_repeats(struct folded *f, size_t from, size_t till)
{
    for (size_t i = from, run; i < till; i += run) {
        for (run = 1; i + run < till && f->g[i + run].cp == f->g[i].cp; run++)
            ;
        bool unusual = run >= 3 || (run == 2 && is_for(f->g[i].cp, SINGLE));
        if (!unusual || f->g[i].kind != GLYPH_LETTER)
            continue;
        for (size_t k = i + 1; k < i + run; k++)
            f->g[k].flags |= k == i + 1 ? GLYPH_REPEAT : GLYPH_REPEATED;
    }
}

static void mark_words(struct folded *f)
{
    unsigned word = 2;

    for (size_t i = 0, till; i < f->count; i = till) {
        for (till = i; till < f->count && glyph_in_word(&f->g[till]); till++)
            f->g[till].word = (uint16_t)word;
        if (till > i) {
            f->g[i].flags |= GLYPH_START;
            mark_leet(f, i, till);
            mark_repeats(f, i, till);
            if (script_of(f->g[i].cp) == SCRIPT_ARABIC)
                mark_prefixes(f, i, till);
            word += 2;
            continue;
        }
        till = i + 1;
        f->g[i].word = (uint16_t)word;
        if (f->g[i].kind == GLYPH_HAN || f->g[i].kind == GLYPH_SYMBOL) {
            f->g[i].flags |= GLYPH_START;
            word += f->g[i].kind == GLYPH_HAN ? 1 : 0;
        }
    }
}

void fold_reverse(const struct folded *f, struct folded *out)
{
    out->source = f->source;
    out->scripts = f->scripts;
    out->count = f->count;
    for (size_t i = 0; i < f->count; i++) {
        out->g[i] = f->g[f->count - 1 - i];
        out->g[i].flags = 0;
        out->g[i].lexicons = 0;
    }
    mark_words(out);
    mark_soft(out);
    mark_signs(out);
}

bool fold_text(const struct fold_map *map, struct span source, struct folded *f, size_t max)
{
    struct folding n = {.map = map, .f = f, .max = max};

    f->source = source;
    f->count = 0;
    f->scripts = 0;
    if (source.len > SAFETY_IN_MAX || !utf8_ok(source.p, source.len))
        return false;
    for (size_t at = 0; at < source.len;) {
        const uint8_t *p = (const uint8_t *)source.p + at;
        uint32_t letter = *p | 0x20u;
        utf8proc_int32_t cp = *p;
        utf8proc_ssize_t len = 1;

        if (letter >= 'a' && letter <= 'z') {
            if (!put_letter(&n, letter, at++))
                return false;
            continue;
        }
        if (*p >= 0x80)
            len = utf8proc_iterate(p, (utf8proc_ssize_t)(source.len - at), &cp);
        if (len < 1)
            return false;
        uint32_t c = (uint32_t)cp;
        size_t till = at + (size_t)len;
        if (c < 0x80 ? !unspeakable(c) && !put(&n, c, at, till) : !put_decomposed(&n, c, at, till))
            return false;
        at = till;
    }
    drop_apostrophes(f);
    mark_words(f);
    mark_soft(f);
    mark_signs(f);
    return true;
}
