/* One line of a list as atoms in the trie. A pattern is parts that follow each other, at once or
 * with a gap between; a part is every wording that its alternatives allow, each of which is an
 * atom. */
#include "safety/internal.h"

#include "proto/writer.h"

#define WORDINGS_MANY 64   /* of a part: what follows becomes a part of its own */
#define WORDINGS_MAX  4000 /* of a part */
#define WORDING_LEN   256  /* bytes */
#define NESTED_MAX    12   /* groups of one part */
#define GAP_NEAR      8    /* half words: `*` */
#define GAP_FAR       24   /* `**` */

struct adding {
    struct safety *s;
    uint32_t pattern;
    const char *why;
    unsigned count; /* wordings of the part */
};

static bool wrong(struct adding *a, const char *why)
{
    a->why = why;
    return false;
}

/* --- a wording becomes a path of the trie --- */

/* Of small Latin letters, as most are, which fold into themselves. 0: it is not. */
static size_t fold_plain(struct span words, uint32_t *out)
{
    size_t len = 0;

    for (size_t i = 0; i < words.len; i++) {
        if (words.p[i] >= 'a' && words.p[i] <= 'z')
            out[len++] = (uint8_t)words.p[i];
        else if (words.p[i] != ' ')
            return 0;
        else if (len > 0 && out[len - 1] != ' ')
            out[len++] = ' ';
    }
    return len > 0 && out[len - 1] == ' ' ? len - 1 : len;
}

static size_t fold_wording(struct adding *a, struct span words, uint32_t *out)
{
    union {
        struct folded f;
        char room[sizeof(struct folded) + WORDING_LEN * sizeof(struct glyph)];
    } text;
    struct folded *f = &text.f;
    size_t len = words.len <= WORDING_LEN ? fold_plain(words, out) : 0;
    bool space = false;

    if (len > 0)
        return len;
    if (!fold_text(&a->s->map, words, f, WORDING_LEN)) {
        wrong(a, "too long for one part of a pattern");
        return 0;
    }
    for (size_t i = 0; i < f->count; i++) {
        if (f->g[i].kind == GLYPH_SEP) {
            space = len > 0;
            continue;
        }
        if (space && !(f->g[i].kind == GLYPH_HAN && is_han(out[len - 1])))
            out[len++] = ' ';
        out[len++] = f->g[i].cp;
        space = false;
    }
    if (len == 0)
        wrong(a, "no letter, digit or sign in it");
    return len;
}

/* The words of a wording, so that they are known when they are misspelt; not one that goes on. */
static bool note_words(struct adding *a, const uint32_t *cps, size_t len, bool prefix)
{
    char word[2 * WORDING_LEN];
    size_t n = 0;
    bool latin = true;

    for (size_t i = 0; i <= len; i++) {
        if (i < len && cps[i] != ' ') {
            latin &= spelled_letter(cps[i]);
            word[n++] = (char)cps[i];
            continue;
        }
        if (latin && !(prefix && i == len) &&
            !spelling_add(&a->s->spelling, SPELLED_LISTED, (struct span){word, n},
                          (struct span){NULL, 0}))
            return wrong(a, NULL);
        n = 0;
        latin = true;
    }
    return true;
}

static bool insert(struct adding *a, struct span words)
{
    struct pattern *p = &a->s->patterns[a->pattern];
    struct trie *t = &a->s->trie;
    uint32_t cps[2 * WORDING_LEN];
    struct trie_mark mark = {.pattern = a->pattern, .slot = p->slots};
    uint32_t node = p->lexicon ? TRIE_LEXICON : TRIE_WORD;

    if (words.p[0] == '*') {
        if (p->lexicon || p->slots > 0)
            return wrong(a, "only a pattern may begin within a word");
        node = TRIE_INSIDE;
        words = (struct span){words.p + 1, words.len - 1};
    }
    if (words.len > 0 && words.p[words.len - 1] == '*') {
        mark.prefix = true;
        words.len--;
    }
    if (memchr(words.p, '*', words.len))
        return wrong(a, "a * stands at an end of what stands together, or alone");
    size_t len = fold_wording(a, words, cps);
    if (len == 0)
        return false;
    for (size_t i = 0; i < len && node; i++)
        node = trie_grow(t, node, cps[i]);
    if (!node || !trie_mark(t, node, mark))
        return wrong(a, NULL);
    a->s->atoms++;
    return p->lexicon || p->does & DOES_ALLOW || note_words(a, cps, len, mark.prefix);
}

static bool wording(struct adding *a, const char *text, size_t len)
{
    while (len > 0 && *text == ' ') {
        text++;
        len--;
    }
    while (len > 0 && text[len - 1] == ' ')
        len--;
    if (++a->count > WORDINGS_MAX)
        return wrong(a, "stands for more than 4000 wordings: split it");
    return len > 0 ? insert(a, (struct span){text, len})
                   : wrong(a, "a part of it may be nothing at all");
}

/* --- alternatives --- */

/* The place of the ) that belongs to the ( at text.p[0], or 0. */
static size_t closing(struct span text)
{
    unsigned depth = 0;

    for (size_t i = 0; i < text.len; i++) {
        depth += text.p[i] == '(';
        if (text.p[i] == ')' && --depth == 0)
            return i;
    }
    return 0;
}

/* The end of the first alternative of what stands in parentheses. */
static size_t alternative(struct span text)
{
    unsigned depth = 0;
    size_t i = 0;

    for (; i < text.len && (depth > 0 || text.p[i] != '|'); i++) {
        depth += text.p[i] == '(';
        depth -= text.p[i] == ')';
    }
    return i;
}

/* Every wording of text: its first group gives way to each of its alternatives, and so on. */
static bool expand(struct adding *a, struct span text, unsigned depth)
{
    const char *open = memchr(text.p, '(', text.len);

    if (!open) {
        if (memchr(text.p, '|', text.len) || memchr(text.p, ')', text.len))
            return wrong(a, "a ) or | without its (");
        return wording(a, text.p, text.len);
    }
    struct span before = {text.p, (size_t)(open - text.p)};
    struct span group = {open, text.len - before.len};
    size_t close = closing(group);
    if (close == 0)
        return wrong(a, "a ( without its )");
    if (depth == NESTED_MAX)
        return wrong(a, "more than 12 groups in one part");
    struct span behind = {group.p + close + 1, group.len - close - 1};
    group = (struct span){group.p + 1, close - 1};
    while (true) {
        char buf[DATA_LINE_MAX + 8];
        struct writer w = writer_on(buf, sizeof buf);
        size_t one = alternative(group);
        writer_span(&w, before);
        writer_bytes(&w, group.p, one);
        writer_span(&w, behind);
        if (w.overflow || !expand(a, (struct span){buf, w.len}, depth + 1))
            return w.overflow ? wrong(a, "too long") : false;
        if (one == group.len)
            return true;
        group = (struct span){group.p + one + 1, group.len - one - 1};
    }
}

/* What the wordings of a text are, without writing them down. */
struct tally {
    unsigned count;
    unsigned groups; /* that give way on the way to one of them, at most */
    bool empty;      /* one of them is nothing */
};

static bool tally(struct adding *a, struct span text, unsigned depth, struct tally *t);

static bool tally_group(struct adding *a, struct span group, unsigned depth, struct tally *t)
{
    struct tally all = {0};

    if (depth == NESTED_MAX)
        return wrong(a, "more than 12 groups in one part");
    for (;;) {
        struct tally one;
        size_t len = alternative(group);
        if (!tally(a, (struct span){group.p, len}, depth + 1, &one))
            return false;
        all.count += one.count;
        all.groups = one.groups > all.groups ? one.groups : all.groups;
        all.empty |= one.empty;
        if (len == group.len)
            break;
        group = (struct span){group.p + len + 1, group.len - len - 1};
    }
    t->groups += 1 + all.groups;
    t->empty &= all.empty;
    if (t->groups + depth > NESTED_MAX)
        return wrong(a, "more than 12 groups in one part");
    if (all.count > WORDINGS_MAX || t->count * all.count > WORDINGS_MAX)
        return wrong(a, "stands for more than 4000 wordings: split it");
    t->count *= all.count;
    return true;
}

static bool tally(struct adding *a, struct span text, unsigned depth, struct tally *t)
{
    *t = (struct tally){.count = 1, .empty = true};
    for (size_t i = 0; i < text.len; i++) {
        struct span rest = {text.p + i, text.len - i};
        if (*rest.p == '|' || *rest.p == ')')
            return wrong(a, "a ) or | without its (");
        t->empty &= *rest.p == ' ' || *rest.p == '(';
        if (*rest.p != '(')
            continue;
        size_t close = closing(rest);
        if (close == 0)
            return wrong(a, "a ( without its )");
        if (!tally_group(a, (struct span){rest.p + 1, close - 1}, depth, t))
            return false;
        i += close;
    }
    return true;
}

/* How many wordings text has; *empty: one of them is nothing. 0: it is wrong. */
static unsigned count_wordings(struct adding *a, struct span text, bool *empty)
{
    struct tally t;
    bool ok = tally(a, text, 0, &t);

    *empty = ok && t.empty;
    return ok ? t.count : 0;
}

/* --- parts --- */

static bool part_end(struct adding *a, struct span part)
{
    struct pattern *p = &a->s->patterns[a->pattern];
    bool empty;

    if (part.len == 0)
        return wrong(a, "a gap needs words on both sides");
    if (p->slots > 0 && count_wordings(a, part, &empty) > 0 && empty)
        return true; /* what may be left out at an end says nothing */
    if (p->slots == PATTERN_SLOTS)
        return wrong(a, "too many parts: split it");
    if (p->lexicon && p->slots > 0)
        return wrong(a, "a lexicon has no gaps");
    a->count = 0;
    if (!expand(a, part, 0))
        return false;
    p->slots++;
    return true;
}

static bool gap(struct adding *a, uint8_t half_words)
{
    struct pattern *p = &a->s->patterns[a->pattern];

    if (p->slots == PATTERN_SLOTS)
        return wrong(a, "too many parts: split it");
    p->gap[p->slots] = half_words;
    return true;
}

/* The next piece of a line: a word or a group, with what is written on to it. */
static struct span take(struct span *line)
{
    size_t n = 0;
    unsigned depth = 0;

    while (line->len > 0 && *line->p == ' ') {
        line->p++;
        line->len--;
    }
    for (; n < line->len && (depth > 0 || line->p[n] != ' '); n++) {
        depth += line->p[n] == '(';
        depth -= line->p[n] == ')' && depth > 0;
    }
    struct span piece = {line->p, n};
    *line = (struct span){line->p + n, line->len - n};
    return piece;
}

static bool add_parts(struct adding *a, struct span line)
{
    struct span part = {line.p, 0};

    for (struct span piece = take(&line); piece.len > 0; piece = take(&line)) {
        bool near = span_is(piece, "*"), empty = false;
        if (near || span_is(piece, "**")) {
            if (!part_end(a, part) || !gap(a, near ? GAP_NEAR : GAP_FAR))
                return false;
            part = (struct span){line.p, 0};
            continue;
        }
        struct span both = {part.p, (size_t)(piece.p + piece.len - part.p)};
        unsigned many = count_wordings(a, both, &empty);
        if ((many == 0 || many > WORDINGS_MANY) && part.len > 0 && *piece.p == '(' &&
            count_wordings(a, part, &empty) > 0 && !empty) {
            if (!part_end(a, part) || !gap(a, 0))
                return false;
            both = piece;
        } else if (many == 0) {
            return false;
        }
        part = both;
    }
    return part_end(a, part);
}

int pattern_add(struct safety *s, struct span line, struct pattern like, const char **why)
{
    struct pattern *p = grow((void **)&s->patterns, &s->pattern_cap, s->pattern_count, sizeof *p);
    struct adding a = {.s = s, .pattern = (uint32_t)s->pattern_count};

    *why = NULL;
    if (!p)
        return TEDDY_ENOMEM;
    *p = like;
    p->slots = 0;
    s->pattern_count++;
    bool ok = add_parts(&a, line);
    *why = a.why;
    return ok ? TEDDY_OK : a.why ? TEDDY_EINVAL : TEDDY_ENOMEM;
}
