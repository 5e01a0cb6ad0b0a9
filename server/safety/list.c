/* The data files, as docs/safety.md describes them. Operators write them too: every error says
 * file, line and what is wrong. */
#include "safety/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <utf8proc.h>

#include "proto/line.h"
#include "proto/text.h"
#include "proto/utf8.h"

#define CONFUSABLES_MAX 4096
#define PATTERNS_MAX    20000
#define LINES_MAX       4096
#define AGE_MAX         99

enum file_kind { FILE_LIST, FILE_LEXICON, FILE_LINES, FILE_CONFUSABLES, FILE_SPELLING };

struct reader {
    struct safety *s;
    const char *shown;
    unsigned number; /* of the line */
    enum file_kind kind;
    uint8_t language;
    struct pattern like; /* lists and lexicons: what the lines are */
    bool ready;          /* a directive said so */
    enum spelled spelled;
    uint8_t moment, category;
    char *err;
    size_t cap;
};

__attribute__((format(printf, 2, 3))) static int wrong(struct reader *r, const char *format, ...)
{
    char what[160];
    va_list args;

    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    snprintf(r->err, r->cap, "%s:%u: %s", r->shown, r->number, what);
    return TEDDY_EINVAL;
}

static int no_memory(struct reader *r)
{
    snprintf(r->err, r->cap, "%s: out of memory", r->shown);
    return TEDDY_ENOMEM;
}

static bool small_number(struct span s, unsigned max, uint8_t *out)
{
    uint64_t n;

    if (s.len == 0 || s.len > 3 || u64_parse(s, &n) != TEDDY_OK || n > max)
        return false;
    *out = (uint8_t)n;
    return true;
}

#define SHOWN(s) (int)((s).len > 30 ? 30 : (s).len), (s).p

/* @ in out block alert below=N own */
static int list_directive(struct reader *r, struct span rest)
{
    struct pattern p = {.category = r->category};

    while (rest.len > 0) {
        struct span word = line_word(&rest);
        if (span_is(word, "in"))
            p.does |= DOES_IN;
        else if (span_is(word, "out"))
            p.does |= DOES_OUT;
        else if (span_is(word, "block"))
            p.does |= DOES_BLOCK;
        else if (span_is(word, "alert"))
            p.does |= DOES_ALERT;
        else if (span_is(word, "own"))
            p.language = (uint8_t)(r->language + 1);
        else if (word.len <= 6 || memcmp(word.p, "below=", 6) != 0 ||
                 !small_number((struct span){word.p + 6, word.len - 6}, AGE_MAX, &p.below) ||
                 p.below == 0)
            return wrong(r, "'%.*s' is none of in, out, block, alert, own, below=1 to 99",
                         SHOWN(word));
    }
    if (!(p.does & (DOES_IN | DOES_OUT)) || !(p.does & (DOES_BLOCK | DOES_ALERT)))
        return wrong(r, "say in or out or both, and block or alert or both");
    if (p.does & DOES_ALERT && p.does & DOES_OUT)
        return wrong(r, "only what comes in can raise an alert");
    r->like = p;
    r->ready = true;
    return TEDDY_OK;
}

static const struct {
    const char *name;
    enum lexicon lexicon;
    uint8_t max; /* of its value; 0: it has none */
} lexicons[] = {
    {"tens", LEXICON_TENS, 99},  {"digit", LEXICON_DIGIT, 9},   {"repeat", LEXICON_REPEAT, 3},
    {"phone", LEXICON_PHONE, 0}, {"at", LEXICON_AT, 0},         {"dot", LEXICON_DOT, 0},
    {"tld", LEXICON_TLD, 1},     {"street", LEXICON_STREET, 1}, {"calle", LEXICON_CALLE, 0},
    {"hao", LEXICON_HAO, 0},     {"house", LEXICON_HOUSE, 0},   {"plain", LEXICON_PLAIN, 0},
};

/* @ digit 5, @ phone, @ script latin */
static int lexicon_directive(struct reader *r, struct span rest)
{
    struct span word = line_word(&rest);

    if (span_is(word, "script")) {
        enum script script = script_find(rest);
        if (script == SCRIPT_NONE)
            return wrong(r, "'%.*s' is no script", SHOWN(rest));
        r->s->scripts |= 1u << script;
        r->ready = false;
        return TEDDY_OK;
    }
    for (size_t i = 0; i < sizeof lexicons / sizeof *lexicons; i++) {
        uint8_t value = 0;
        if (!span_is(word, lexicons[i].name))
            continue;
        if (lexicons[i].max ? !small_number(rest, lexicons[i].max, &value) : rest.len > 0)
            return wrong(r, "'%s' takes %s", lexicons[i].name,
                         lexicons[i].max ? "a number" : "nothing behind it");
        r->like = (struct pattern){.lexicon = (uint8_t)lexicons[i].lexicon, .value = value};
        r->ready = true;
        return TEDDY_OK;
    }
    return wrong(r, "'%.*s' is no kind of word", SHOWN(word));
}

/* @ out self_harm, @ in any */
static int lines_directive(struct reader *r, struct span rest)
{
    struct span moment = line_word(&rest);
    enum safety_category category = safety_category_find(rest);

    if (span_is(moment, "in"))
        r->moment = SAFETY_MOMENT_IN;
    else if (span_is(moment, "out"))
        r->moment = SAFETY_MOMENT_OUT;
    else if (span_is(moment, "alert"))
        r->moment = SAFETY_MOMENT_ALERT;
    else
        return wrong(r, "'%.*s' is none of in, out, alert", SHOWN(moment));
    if (category == SAFETY_CATEGORY_COUNT && !span_is(rest, "any"))
        return wrong(r, "'%.*s' is no category", SHOWN(rest));
    r->category = (uint8_t)category;
    r->ready = true;
    return TEDDY_OK;
}

/* @ word, @ reads */
static int spelling_directive(struct reader *r, struct span rest)
{
    r->ready = span_is(rest, "word") || span_is(rest, "reads");
    r->spelled = span_is(rest, "word") ? SPELLED_KNOWN : SPELLED_READS;
    return r->ready ? TEDDY_OK : wrong(r, "'%.*s' is neither word nor reads", SHOWN(rest));
}

static int directive(struct reader *r, struct span rest)
{
    if (span_is(rest, "replace"))
        return r->number == 1 ? TEDDY_OK : wrong(r, "`@ replace` belongs on the first line");
    switch (r->kind) {
    case FILE_LIST:
        return list_directive(r, rest);
    case FILE_LEXICON:
        return lexicon_directive(r, rest);
    case FILE_LINES:
        return lines_directive(r, rest);
    case FILE_SPELLING:
        return spelling_directive(r, rest);
    default:
        return wrong(r, "only `@ replace` can stand here");
    }
}

static int pattern_line(struct reader *r, struct span line)
{
    struct pattern like = r->like;
    const char *why;

    if (*line.p == '!') {
        line = line_trim((struct span){line.p + 1, line.len - 1});
        like = (struct pattern){.does = DOES_IN | DOES_OUT | DOES_ALLOW, .category = r->category};
        if (r->kind == FILE_LEXICON || line.len == 0)
            return wrong(r, "a ! needs words behind it, in a list");
    }
    if (r->s->pattern_count >= PATTERNS_MAX)
        return wrong(r, "more than %d patterns in all", PATTERNS_MAX);
    switch (pattern_add(r->s, line, like, &why)) {
    case TEDDY_OK:
        return TEDDY_OK;
    case TEDDY_EINVAL:
        return wrong(r, "%s", why);
    default:
        return no_memory(r);
    }
}

static int lines_line(struct reader *r, struct span text)
{
    struct safety *s = r->s;

    if (text.len > SAFETY_LINE_MAX)
        return wrong(r, "longer than %d bytes", SAFETY_LINE_MAX);
    if (s->line_count >= LINES_MAX)
        return wrong(r, "more than %d lines to say in all", LINES_MAX);
    struct line *line = grow((void **)&s->lines, &s->line_cap, s->line_count, sizeof *line);
    if (!line)
        return no_memory(r);
    if (s->said_len + text.len > s->said_cap) {
        size_t cap = s->said_cap ? s->said_cap * 2 : 16384;
        char *more = realloc(s->said, cap);
        if (!more)
            return no_memory(r);
        s->said = more;
        s->said_cap = cap;
    }
    *line = (struct line){(uint32_t)s->said_len, (uint16_t)text.len, r->language, r->moment,
                          r->category};
    memcpy(s->said + s->said_len, text.p, text.len);
    s->said_len += text.len;
    s->line_count++;
    return TEDDY_OK;
}

static bool map_add(struct fold_map *m, uint32_t from, uint32_t to)
{
    size_t at = 0;

    if (from < sizeof m->ascii / sizeof *m->ascii)
        m->ascii[from] = to;
    while (at < m->count && m->pairs[at].from < from)
        at++;
    if (at < m->count && m->pairs[at].from == from) {
        m->pairs[at].to = to;
        return true;
    }
    if (!grow((void **)&m->pairs, &m->cap, m->count, sizeof *m->pairs))
        return false;
    memmove(&m->pairs[at + 1], &m->pairs[at], (m->count - at) * sizeof *m->pairs);
    m->pairs[at] = (struct fold_pair){from, to};
    m->count++;
    return true;
}

/* A character, then those that look like it. */
static int confusables_line(struct reader *r, struct span line)
{
    uint32_t to = 0;

    while (line.len > 0) {
        utf8proc_int32_t cp;
        utf8proc_ssize_t n =
            utf8proc_iterate((const uint8_t *)line.p, (utf8proc_ssize_t)line.len, &cp);
        if (n < 1)
            return wrong(r, "not UTF-8");
        line = (struct span){line.p + n, line.len - (size_t)n};
        if (cp == ' ' || cp == '\t')
            continue;
        if (r->s->map.count >= CONFUSABLES_MAX)
            return wrong(r, "more than %d look-alikes", CONFUSABLES_MAX);
        if (to == 0)
            to = (uint32_t)cp;
        else if (!map_add(&r->s->map, (uint32_t)cp, to))
            return no_memory(r);
    }
    return TEDDY_OK;
}

/* A word of small letters a to z and ñ, one byte each; false: it is none. */
static bool plain_word(struct span word, char *out, size_t *len)
{
    *len = 0;
    for (size_t i = 0; i < word.len && *len < SPELLED_LEN; i++) {
        bool n_tilde = word.len - i >= 2 && memcmp(word.p + i, "\xC3\xB1", 2) == 0;
        if (!n_tilde && (word.p[i] < 'a' || word.p[i] > 'z'))
            return false;
        out[(*len)++] = n_tilde ? '\xF1' : word.p[i];
        i += n_tilde;
    }
    return *len < SPELLED_LEN;
}

/* `@ word`: words. `@ reads`: what is read, then what is written for it. */
static int spelling_line(struct reader *r, struct span line)
{
    char first[SPELLED_LEN], text[SPELLED_LEN];
    struct span reads = {NULL, 0};

    while (line.len > 0) {
        struct span word = line_word(&line);
        bool target = r->spelled == SPELLED_READS && !reads.p;
        size_t len;
        if (!plain_word(word, target ? first : text, &len))
            return wrong(r, "'%.*s' is no word of small letters", SHOWN(word));
        if (target)
            reads = (struct span){first, len};
        else if (!spelling_add(&r->s->spelling, r->spelled, (struct span){text, len}, reads))
            return no_memory(r);
    }
    return TEDDY_OK;
}

static int read_line(struct reader *r, struct span line)
{
    if (line.len > DATA_LINE_MAX)
        return wrong(r, "longer than %d bytes", DATA_LINE_MAX);
    line = line_trim(line);
    if (line.len == 0 || *line.p == '#')
        return TEDDY_OK;
    if (!utf8_ok(line.p, line.len) || memchr(line.p, 0, line.len))
        return wrong(r, "not UTF-8");
    if (*line.p == '@' && line.len > 1 && line.p[1] == ' ')
        return directive(r, line_trim((struct span){line.p + 1, line.len - 1}));
    if (r->kind == FILE_CONFUSABLES)
        return confusables_line(r, line);
    if (r->ready && r->kind == FILE_SPELLING)
        return spelling_line(r, line);
    if (!r->ready)
        return wrong(r, "an `@` line must say first what the lines are");
    return r->kind == FILE_LINES ? lines_line(r, line) : pattern_line(r, line);
}

/* LANG/CATEGORY.txt, LANG/lexicon.txt, LANG/lines.txt, LANG/spelling.txt, confusables.txt */
static int read_name(struct reader *r, const char *name)
{
    const char *slash = strchr(name, '/');
    struct span base = span_of(slash ? slash + 1 : name);

    if (base.len <= 4 || memcmp(base.p + base.len - 4, ".txt", 4) != 0)
        return wrong(r, "a data file's name ends with .txt");
    base.len -= 4;
    if (!slash) {
        r->kind = FILE_CONFUSABLES;
        return span_is(base, "confusables") ? TEDDY_OK : wrong(r, "no data file has this name");
    }
    r->category = (uint8_t)safety_category_find(base);
    r->kind = span_is(base, "lexicon")    ? FILE_LEXICON
              : span_is(base, "lines")    ? FILE_LINES
              : span_is(base, "spelling") ? FILE_SPELLING
                                          : FILE_LIST;
    if (r->kind == FILE_LIST && r->category == SAFETY_CATEGORY_COUNT)
        return wrong(r,
                     "named neither for a category nor lexicon.txt nor lines.txt nor spelling.txt");
    int language = language_index(r->s, (struct span){name, (size_t)(slash - name)}, true);
    if (language < 0)
        return wrong(r, "'%.*s' is no language of two or three letters, or there are over %d",
                     (int)(slash - name), name, LANGUAGES_MAX);
    r->language = (uint8_t)language;
    return TEDDY_OK;
}

int data_read(struct safety *s, const char *name, const char *shown, struct span text, char *err,
              size_t cap)
{
    struct reader r = {.s = s, .shown = shown, .err = err, .cap = cap};
    int rc = read_name(&r, name);

    if (rc == TEDDY_OK && text.len > DATA_FILE_MAX)
        rc = wrong(&r, "longer than %d bytes", DATA_FILE_MAX);
    while (rc == TEDDY_OK && text.len > 0) {
        const char *end = memchr(text.p, '\n', text.len);
        struct span line = {text.p, end ? (size_t)(end - text.p) : text.len};
        r.number++;
        rc = read_line(&r, line);
        text = (struct span){text.p + line.len, text.len - line.len};
        if (end)
            text = (struct span){text.p + 1, text.len - 1};
    }
    return rc;
}

bool data_replaces(struct span text)
{
    static const char first[] = "@ replace";

    return text.len >= sizeof first - 1 && memcmp(text.p, first, sizeof first - 1) == 0 &&
           (text.len == sizeof first - 1 || text.p[sizeof first - 1] == '\n' ||
            text.p[sizeof first - 1] == '\r');
}
