/* An answer on its way out. What is judged is a sentence with the tail of what came before it;
 * where sentences end depends on the text alone, never on how it arrived. */
#include "safety/internal.h"

#include <stdlib.h>
#include <utf8proc.h>

#define SECRET_WORDS 8 /* in a row */

void safety_out_init(struct safety_out *o, const struct safety *safety,
                     const struct safety_who *who, uint32_t turn)
{
    o->safety = safety;
    o->who = *who;
    o->turn = turn;
    o->tail = o->len = o->seen = 0;
    o->blocked = o->ended = false;
    o->secret = NULL;
}

/* --- what is not to be said: runs of words of the system prompt --- */

struct safety_secret {
    unsigned count;
    uint32_t runs[]; /* hashes, sorted */
};

/* Hashes of each run of SECRET_WORDS words; returns how many. */
static unsigned hash_runs(const struct folded *f, uint32_t *out, unsigned max)
{
    uint32_t words[SECRET_WORDS];
    unsigned seen = 0, count = 0;

    for (size_t i = 0, till; i < f->count && count < max; i = till) {
        uint32_t h = 2166136261u; /* FNV-1a */
        till = i + 1;
        if (!glyph_in_word(&f->g[i]) && f->g[i].kind != GLYPH_HAN)
            continue;
        h = (h ^ f->g[i].cp) * 16777619u;
        for (; glyph_in_word(&f->g[i]) && till < f->count && glyph_in_word(&f->g[till]); till++)
            h = (h ^ f->g[till].cp) * 16777619u;
        words[seen++ % SECRET_WORDS] = h;
        if (seen < SECRET_WORDS)
            continue;
        uint32_t run = 2166136261u;
        for (unsigned k = 0; k < SECRET_WORDS; k++)
            run = (run ^ words[(seen + k) % SECRET_WORDS]) * 16777619u;
        out[count++] = run;
    }
    return count;
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

void safety_out_secret(struct safety_out *o, const struct safety_secret *secret)
{
    o->secret = secret;
}

struct safety_secret *safety_secret_new(const struct safety *safety, struct span text)
{
    struct safety_secret *secret;
    uint32_t runs[SAFETY_SENTENCE_MAX];
    unsigned count = 0;
    union {
        struct folded f;
        char room[sizeof(struct folded) + GLYPHS_MAX * sizeof(struct glyph)];
    } store;

    if (text.len > SAFETY_IN_MAX)
        text.len = SAFETY_IN_MAX;
    while (text.len > 0 && text.len == SAFETY_IN_MAX && ((uint8_t)text.p[text.len - 1] & 0x80))
        text.len--; /* not in the middle of a character */
    if (fold_text(&safety->map, text, &store.f, GLYPHS_MAX))
        count = hash_runs(&store.f, runs, SAFETY_SENTENCE_MAX);
    secret = malloc(sizeof *secret + count * sizeof *runs);
    if (!secret)
        return NULL;
    secret->count = count;
    memcpy(secret->runs, runs, count * sizeof *runs);
    qsort(secret->runs, count, sizeof *runs, by_value);
    return secret;
}

static bool tells_secret(const struct safety_out *o, const struct folded *f)
{
    uint32_t runs[SAFETY_TAIL_MAX + SAFETY_SENTENCE_MAX];
    const struct safety_secret *secret = o->secret;
    unsigned count = secret ? hash_runs(f, runs, sizeof runs / sizeof *runs) : 0;

    for (unsigned i = 0; i < count; i++)
        if (bsearch(&runs[i], secret->runs, secret->count, sizeof *runs, by_value))
            return true;
    return false;
}

bool safety_audible(struct span text)
{
    utf8proc_int32_t cp;

    for (size_t at = 0; at < text.len;) {
        utf8proc_ssize_t n =
            utf8proc_iterate((const uint8_t *)text.p + at, (utf8proc_ssize_t)(text.len - at), &cp);
        if (n < 1)
            return true; /* whatever it is, it is not nothing */
        utf8proc_category_t c = utf8proc_category(cp);
        if ((c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_LO) ||
            (c >= UTF8PROC_CATEGORY_ND && c <= UTF8PROC_CATEGORY_NO) ||
            (c >= UTF8PROC_CATEGORY_SM && c <= UTF8PROC_CATEGORY_SO))
            return true;
        at += (size_t)n;
    }
    return false;
}

/* --- where a sentence ends --- */

enum end_kind { END_NONE, END_SPACE /* ends one when a space follows */, END_ALWAYS, END_NOW };

static enum end_kind end_kind(utf8proc_int32_t cp)
{
    switch (cp) {
    case '\n':
        return END_NOW;
    case '.':
    case '!':
    case '?':
    case 0x2026: /* … */
    case 0x61F:  /* ؟ */
    case 0x6D4:  /* ۔ */
        return END_SPACE;
    case 0x3002: /* 。 */
    case 0xFF01: /* ！ */
    case 0xFF1F: /* ？ */
        return END_ALWAYS;
    default:
        return END_NONE;
    }
}

static bool closes(utf8proc_int32_t cp)
{
    switch (cp) {
    case '"':
    case '\'':
    case ')':
    case ']':
    case 0x2019:
    case 0x201D:
    case 0xBB:
    case 0x300D:
    case 0x300F:
    case 0xFF09:
        return true;
    default:
        return false;
    }
}

static bool is_space(utf8proc_int32_t cp)
{
    return cp == ' ' || cp == '\t' || cp == '\n' || cp == '\r' || cp == 0xA0 || cp == 0x3000;
}

/* One character of the sentence at `at`; 0: it is not whole yet. What is not UTF-8 counts as a
 * character: the judge refuses it later. */
static size_t char_at(const struct safety_out *o, size_t at, utf8proc_int32_t *cp)
{
    const uint8_t *p = (const uint8_t *)o->buf + o->tail + at;
    size_t left = o->len - at;
    size_t need = *p < 0x80 ? 1 : *p < 0xE0 ? 2 : *p < 0xF0 ? 3 : 4;

    *cp = -1;
    if (need > left)
        return 0;
    if (utf8proc_iterate(p, (utf8proc_ssize_t)need, cp) < 1)
        return 1;
    return need;
}

/* Bytes of the first sentence, or 0: its end is not there yet. */
static size_t sentence_end(struct safety_out *o)
{
    enum end_kind ended = END_NONE;
    size_t at = o->seen, n;
    utf8proc_int32_t cp;

    for (; at < o->len && (n = char_at(o, at, &cp)) > 0; at += n) {
        enum end_kind kind = end_kind(cp);
        if (kind == END_NOW)
            return at + n;
        if (kind != END_NONE) {
            ended = kind > ended ? kind : ended;
        } else if (ended != END_NONE && !closes(cp)) {
            if (ended == END_ALWAYS || is_space(cp))
                return at;
            ended = END_NONE;
        }
    }
    if (ended == END_NONE)
        o->seen = (uint16_t)at;
    return 0;
}

/* A sentence that does not end is cut behind its last space, else between characters. */
static size_t cut(const struct safety_out *o)
{
    size_t at = o->len;
    const char *text = o->buf + o->tail;

    while (at > 0 && text[at - 1] != ' ')
        at--;
    if (at > 0)
        return at;
    for (at = o->len; at > 1 && ((uint8_t)text[at - 1] & 0xC0) == 0x80; at--)
        ;
    return at > 1 ? at - 1 : o->len; /* the last character may be half */
}

/* --- what becomes of it --- */

static void instead(struct safety_out *o, struct safety_sentence *out)
{
    o->blocked = true;
    out->say = SAFETY_SAY_INSTEAD;
    out->text = safety_line(o->safety, &o->who, SAFETY_MOMENT_OUT, out->verdict.why, o->turn);
}

/* Whether the tail may begin there: not within a word, or its rest would be read as one, nor within
 * a character. */
static bool may_begin(const struct safety_out *o, size_t at)
{
    uint8_t before = (uint8_t)o->buf[at - 1], first = (uint8_t)o->buf[at];

    if (before < 0x80)
        return (first & 0xC0) != 0x80 && !(before >= '0' && before <= '9') &&
               !((before | 0x20) >= 'a' && (before | 0x20) <= 'z');
    return first >= 0xE0; /* of three bytes or more: mostly scripts without spaces */
}

/* The sentence, now judged, becomes part of what came before. */
static void shift(struct safety_out *o, size_t len)
{
    size_t end = o->tail + len, from = end > SAFETY_TAIL_MAX ? end - SAFETY_TAIL_MAX : 0;

    while (from > 0 && from < end && !may_begin(o, from))
        from++;
    if (from == end && end > SAFETY_TAIL_MAX) /* one long word: then from between two characters */
        for (from = end - SAFETY_TAIL_MAX; ((uint8_t)o->buf[from] & 0xC0) == 0x80; from++)
            ;
    memmove(o->buf, o->buf + from, end + (o->len - len) - from);
    o->tail = (uint16_t)(end - from);
    o->len = (uint16_t)(o->len - len);
    o->seen = 0;
}

static void judge_sentence(struct safety_out *o, size_t len, struct safety_sentence *out)
{
    union {
        struct folded f;
        char room[sizeof(struct folded) +
                  2 * (SAFETY_TAIL_MAX + SAFETY_SENTENCE_MAX) * sizeof(struct glyph)];
    } store;
    struct pieces pieces = {0};
    struct span window = {o->buf, o->tail + len};

    out->verdict = (struct safety_verdict){.why = SAFETY_OTHER};
    out->say = SAFETY_SAY_PASS;
    bool folded =
        fold_text(&o->safety->map, window, &store.f, 2 * (SAFETY_TAIL_MAX + SAFETY_SENTENCE_MAX));
    if (folded)
        judge(o->safety, &o->who, &store.f, o->tail, DOES_OUT, &out->verdict, &pieces);
    size_t said = 0;
    if (!folded || !rewrite(window, o->tail, &pieces, DOES_OUT, o->said, sizeof o->said, &said)) {
        out->verdict.categories |= SAFETY_BIT(SAFETY_OTHER);
        out->verdict.blocked = true;
    } else if (tells_secret(o, &store.f)) {
        out->verdict.categories |= SAFETY_BIT(SAFETY_INJECTION);
        out->verdict.why = out->verdict.blocked ? out->verdict.why : SAFETY_INJECTION;
        out->verdict.blocked = true;
    }
    if (out->verdict.blocked) {
        instead(o, out);
        return;
    }
    if (pieces.count > 0 || said != len)
        out->say = SAFETY_SAY_CHANGED;
    out->text = (struct span){o->said, said};
    shift(o, len);
}

int safety_out_next(struct safety_out *o, struct span *rest, bool end,
                    struct safety_sentence *sentence)
{
    size_t len = 0;

    while (!o->blocked) {
        size_t room = SAFETY_SENTENCE_MAX - o->len;
        size_t take = rest->len < room ? rest->len : room;
        memcpy(o->buf + o->tail + o->len, rest->p, take);
        o->len = (uint16_t)(o->len + take);
        *rest = (struct span){rest->p + take, rest->len - take};
        len = sentence_end(o);
        if (len == 0 && o->len == SAFETY_SENTENCE_MAX)
            len = cut(o);
        if (len == 0 && end && rest->len == 0)
            len = o->len;
        if (len == 0)
            return TEDDY_AGAIN;
        judge_sentence(o, len, sentence);
        return TEDDY_OK;
    }
    *rest = (struct span){rest->p + rest->len, 0};
    return TEDDY_AGAIN;
}

static void run(struct safety_out *o, struct span rest, bool end, safety_emit *emit, void *ctx)
{
    struct safety_sentence sentence;

    while (safety_out_next(o, &rest, end, &sentence) == TEDDY_OK)
        emit(ctx, &sentence);
}

void safety_out_feed(struct safety_out *o, struct span chunk, safety_emit *emit, void *ctx)
{
    run(o, chunk, false, emit, ctx);
}

void safety_out_end(struct safety_out *o, safety_emit *emit, void *ctx)
{
    run(o, (struct span){"", 0}, true, emit, ctx);
}
