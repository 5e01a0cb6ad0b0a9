#include "safety/internal.h"

#include <utf8proc.h>

#include "proto/writer.h"

#define SPOKEN_GAP "\xE2\x80\xA6" /* an ellipsis: a voice pauses there */
#define WORD_MAX   60             /* letters and digits in a row */

static void note(struct safety_verdict *v, const struct pattern *p, uint8_t direction)
{
    enum safety_category category = (enum safety_category)p->category;

    v->categories |= (uint16_t)SAFETY_BIT(category);
    if (p->does & DOES_BLOCK)
        v->blocked = true;
    if (direction == DOES_IN && p->does & DOES_ALERT)
        v->danger |= (uint16_t)SAFETY_BIT(category);
}

static void block(struct safety_verdict *v, enum safety_category category)
{
    v->categories |= (uint16_t)SAFETY_BIT(category);
    v->blocked = true;
}

/* What raises an alert decides before what is only refused. */
static enum safety_category first_of(const struct safety_verdict *v)
{
    unsigned bits = v->danger ? v->danger : v->categories;
    int i = 0;

    while (i < SAFETY_OTHER && !(bits & SAFETY_BIT(i)))
        i++;
    return (enum safety_category)i;
}

static void judge_matches(const struct safety *s, struct folded *f, size_t from, uint8_t direction,
                          const struct safety_who *who, struct safety_verdict *v)
{
    struct matches m;

    match_all(s, f, direction, who, &m);
    for (size_t i = 0; i < m.count; i++)
        if (f->g[m.m[i].till - 1].till > from)
            note(v, &s->patterns[m.m[i].pattern], direction);
    if (m.overflow)
        block(v, SAFETY_OTHER);
}

/* Pieces that lie in what was judged before are gone; one that reaches over is cut. */
static void judge_pieces(struct pieces *p, size_t from, struct safety_verdict *v)
{
    size_t kept = 0;

    for (size_t i = 0; i < p->count; i++) {
        struct piece_out piece = p->p[i];
        if (piece.till <= from)
            continue;
        if (piece.from < from)
            piece.from = (uint16_t)from;
        p->p[kept++] = piece;
        v->categories |=
            (uint16_t)(piece.contact == CONTACT_LINK ? SAFETY_BIT(SAFETY_LINK)
                                                     : SAFETY_BIT(SAFETY_PERSONAL_DATA));
    }
    p->count = kept;
    v->redactions = (uint16_t)kept;
    if (p->overflow)
        block(v, SAFETY_PERSONAL_DATA);
}

/* A word longer than any: not language, so nothing can be told of it. */
static bool unreadable(const struct folded *f)
{
    unsigned run = 0;

    for (size_t i = 0; i < f->count; i++) {
        run = glyph_in_word(&f->g[i]) ? run + !(f->g[i].flags & GLYPH_REPEATED) : 0;
        if (run > WORD_MAX)
            return true;
    }
    return false;
}

void judge(const struct safety *s, const struct safety_who *who, struct folded *f, size_t from,
           uint8_t direction, struct safety_verdict *v, struct pieces *pieces)
{
    judge_matches(s, f, from, direction, who, v);
    contact_find(s, f, pieces);
    judge_pieces(pieces, from, v);
    bool covered = who->language.len == 0 || safety_covers(s, who->language);
    if (!s->allow_uncovered && (!covered || (f->scripts & ~s->scripts)))
        block(v, SAFETY_OTHER);
    if (unreadable(f))
        block(v, SAFETY_OTHER);
    if (encoded(f->source))
        block(v, SAFETY_INJECTION);
    if (v->blocked || v->danger)
        v->why = first_of(v);
}

static const char *said_for(uint8_t contact)
{
    switch (contact) {
    case CONTACT_PHONE:
        return "[phone number]";
    case CONTACT_CARD:
        return "[card number]";
    case CONTACT_IBAN:
        return "[account number]";
    case CONTACT_MAIL:
        return "[e-mail]";
    case CONTACT_HOME:
        return "[address]";
    default:
        return "[link]";
    }
}

/* The bytes from..till without what is unspeakable. The joiner stays between emoji alone. */
static void write_clean(struct writer *w, struct span source, size_t from, size_t till)
{
    utf8proc_int32_t before = 0;

    while (from < till) {
        size_t plain = from;
        while (plain < till && (uint8_t)source.p[plain] < 0x80 &&
               !unspeakable((uint8_t)source.p[plain]))
            plain++;
        writer_bytes(w, source.p + from, plain - from);
        before = plain > from ? 0 : before;
        from = plain;
        if (from == till)
            return;
        utf8proc_int32_t cp;
        utf8proc_ssize_t n = utf8proc_iterate((const uint8_t *)source.p + from,
                                              (utf8proc_ssize_t)(till - from), &cp);
        if (n < 1) {
            w->overflow = true;
            return;
        }
        if (!unspeakable((uint32_t)cp) && (cp != 0x200D || before >= 0x2190))
            writer_bytes(w, source.p + from, (size_t)n);
        before = cp;
        from += (size_t)n;
    }
}

bool rewrite(struct span source, size_t from, const struct pieces *pieces, uint8_t direction,
             char *out, size_t cap, size_t *len)
{
    struct writer w = writer_on(out, cap);

    for (size_t i = 0; i < pieces->count; i++) {
        write_clean(&w, source, from, pieces->p[i].from);
        writer_text(&w, direction == DOES_IN ? said_for(pieces->p[i].contact) : SPOKEN_GAP);
        from = pieces->p[i].till;
    }
    write_clean(&w, source, from, source.len);
    *len = w.len;
    return !w.overflow;
}

size_t safety_in(const struct safety *s, const struct safety_who *who, struct span text, char *out,
                 size_t cap, struct safety_verdict *v)
{
    union {
        struct folded f;
        char room[sizeof(struct folded) + GLYPHS_MAX * sizeof(struct glyph)];
    } store;
    struct pieces pieces;
    size_t len = 0;

    *v = (struct safety_verdict){.why = SAFETY_OTHER};
    if (!fold_text(&s->map, text, &store.f, GLYPHS_MAX)) {
        block(v, SAFETY_OTHER);
        return 0;
    }
    judge(s, who, &store.f, 0, DOES_IN, v, &pieces);
    if (!rewrite(text, 0, &pieces, DOES_IN, out, cap, &len)) {
        block(v, SAFETY_OTHER);
        return 0;
    }
    return len;
}
