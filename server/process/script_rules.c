#include "process/script_rules.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/line.h"
#include "proto/text.h"
#include "proto/utf8.h"

struct parser {
    struct rules *rules;
    const char *file;
    uint32_t line;
    struct rule
        *rule; /* the one being read; NULL before the first. Its place moves when rules grow */
    bool has_fallback;
    uint64_t pause_ms; /* said by `pause`, for the next part */
    bool has_pause;
    char *err;
    size_t cap;
};

__attribute__((format(printf, 2, 3))) static int fail(struct parser *p, const char *format, ...)
{
    char what[256];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    snprintf(p->err, p->cap, "%s:%u: %s", p->file, p->line, what);
    return TEDDY_EINVAL;
}

static int out_of_memory(struct parser *p)
{
    snprintf(p->err, p->cap, "%s: out of memory", p->file);
    return TEDDY_ENOMEM;
}

static void *list_add(struct list *l, size_t size)
{
    if (l->count == l->cap) {
        uint32_t cap = l->cap ? l->cap * 2 : 64;
        void *items = reallocarray(l->items, cap, size);
        if (!items)
            return NULL;
        l->items = items;
        l->cap = cap;
    }
    void *item = (char *)l->items + l->count++ * size;
    memset(item, 0, size);
    return item;
}

#define SHOWN(s) (int)((s).len > 40 ? 40 : (s).len), (s).p

static bool name_ok(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!((s.p[i] >= 'a' && s.p[i] <= 'z') || s.p[i] == '_'))
            return false;
    return s.len > 0 && s.len <= RULES_NAME_LEN;
}

int rules_name(const struct rules *r, struct span name)
{
    for (unsigned i = 0; i < r->name_count; i++)
        if (span_eq(r->names[i].name, name))
            return (int)i;
    return -1;
}

static int add_name(struct parser *p, struct span name, int *index)
{
    if (!name_ok(name))
        return fail(p, "'%.*s' is no name: use 1 to %d of a-z and _", SHOWN(name), RULES_NAME_LEN);
    *index = rules_name(p->rules, name);
    if (*index >= 0)
        return TEDDY_OK;
    if (p->rules->name_count == RULES_NAMES_MAX)
        return fail(p, "more than %d names to remember", RULES_NAMES_MAX);
    *index = (int)p->rules->name_count++;
    p->rules->names[*index] = (struct name){.name = name};
    return TEDDY_OK;
}

static int read_unknown(struct parser *p, struct span rest)
{
    int index;
    int rc = add_name(p, line_word(&rest), &index);
    if (rc != TEDDY_OK)
        return rc;
    if (p->rules->names[index].unknown.p)
        return fail(p, "a second `unknown` for this name");
    if (rest.len == 0 || rest.len > RULES_QUOTE_MAX)
        return fail(p, "`unknown` needs 1 to %d bytes of text behind the name", RULES_QUOTE_MAX);
    p->rules->names[index].unknown = rest;
    return TEDDY_OK;
}

static int read_lost(struct parser *p, struct span rest)
{
    if (p->rules->lost.p)
        return fail(p, "a second `lost`");
    if (rest.len == 0 || memchr(rest.p, '{', rest.len))
        return fail(p, "`lost` needs text, without {names}");
    p->rules->lost = rest;
    return TEDDY_OK;
}

/* What can be told of the rule read so far, now that it ends. */
static int end_rule(struct parser *p)
{
    if (p->has_pause)
        return fail(p, "`pause` has no `then` behind it");
    if (!p->rule)
        return TEDDY_OK;
    bool fallback = p->has_fallback && p->rules->fallback == p->rules->rules.count - 1;
    if (p->rule->hear_count == 0 && !fallback)
        return fail(p, "the rule before this line hears nothing: give it a `hear`");
    if (p->rule->say_count == 0)
        return fail(p, "the rule before this line says nothing: give it a `say`");
    return TEDDY_OK;
}

static int new_rule(struct parser *p, struct span name)
{
    int rc = end_rule(p);
    if (rc != TEDDY_OK)
        return rc;
    if (p->rules->rules.count == RULES_MAX)
        return fail(p, "more than %d rules", RULES_MAX);
    p->rule = list_add(&p->rules->rules, sizeof *p->rule);
    if (!p->rule)
        return out_of_memory(p);
    *p->rule = (struct rule){
        .name = name,
        .line = p->line,
        .hear_first = p->rules->hears.count,
        .keep_first = p->rules->keeps.count,
        .say_first = p->rules->says.count,
    };
    return TEDDY_OK;
}

static int read_rule(struct parser *p, struct span rest)
{
    if (rest.len == 0)
        return fail(p, "a rule needs a name");
    return new_rule(p, rest);
}

static int read_default(struct parser *p, struct span rest)
{
    if (rest.len > 0)
        return fail(p, "nothing may follow `default`");
    if (p->has_fallback)
        return fail(p, "a second `default`");
    int rc = new_rule(p, span_of("default"));
    p->has_fallback = rc == TEDDY_OK;
    p->rules->fallback = p->rules->rules.count - 1;
    return rc;
}

/* One of the words that a place of a pattern allows, folded as utterances are. */
static int add_alt(struct parser *p, struct span text)
{
    static _Thread_local struct words w; /* 10 KiB: too much for this stack */
    words_split(&w, text);
    if (w.count != 1)
        return fail(p, "'%.*s' is not one word as it is heard (punctuation parts words)",
                    SHOWN(text));
    struct alt *alt = list_add(&p->rules->alts, sizeof *alt);
    if (!alt)
        return out_of_memory(p);
    char *fold = p->rules->folds + p->rules->folds_len; /* folded is never longer than the file */
    memcpy(fold, w.fold + w.word[0].at, w.word[0].len);
    p->rules->folds_len += w.word[0].len;
    *alt = (struct alt){w.word[0].hash, {fold, w.word[0].len}};
    return TEDDY_OK;
}

static int add_words(struct parser *p, struct token *t, struct span word)
{
    t->kind = TOKEN_WORD;
    t->alt_first = p->rules->alts.count;
    for (size_t from = 0, i = 0; i <= word.len; i++) {
        if (i < word.len && word.p[i] != '|')
            continue;
        if (t->alt_count == RULES_ALTS_MAX)
            return fail(p, "more than %d words joined by |", RULES_ALTS_MAX);
        int rc = add_alt(p, (struct span){word.p + from, i - from});
        if (rc != TEDDY_OK)
            return rc;
        t->alt_count++;
        from = i + 1;
    }
    return TEDDY_OK;
}

static int add_capture(struct parser *p, struct pattern *h, struct token *t, char sign)
{
    if (h->captures == RULES_CAPTURES)
        return fail(p, "more than %d of * and + in one pattern", RULES_CAPTURES);
    t->kind = sign == '+' ? TOKEN_SOME : TOKEN_ANY;
    if (sign == '+')
        h->some = (uint8_t)(h->some | 1u << h->captures);
    h->captures++;
    return TEDDY_OK;
}

static int read_hear(struct parser *p, struct span rest)
{
    if (p->rule->say_count || p->rule->keep_count)
        return fail(p, "`hear` comes before `keep` and `say`");
    if (p->has_fallback && p->rules->fallback == p->rules->rules.count - 1)
        return fail(p, "`default` answers what no rule hears: no `hear` here");
    if (p->rule->hear_count == RULES_HEARS_MAX)
        return fail(p, "more than %d patterns in one rule", RULES_HEARS_MAX);
    if (rest.len == 0)
        return fail(p, "`hear` needs a pattern");
    struct pattern h = {.token_first = p->rules->tokens.count};
    while (rest.len > 0) {
        struct span word = line_word(&rest);
        if (h.token_count == RULES_TOKENS_MAX)
            return fail(p, "a pattern of more than %d words", RULES_TOKENS_MAX);
        struct token *t = list_add(&p->rules->tokens, sizeof *t);
        if (!t)
            return out_of_memory(p);
        bool capture = span_is(word, "*") || span_is(word, "+");
        int rc = capture ? add_capture(p, &h, t, *word.p) : add_words(p, t, word);
        if (rc != TEDDY_OK)
            return rc;
        h.token_count++;
    }
    struct pattern *added = list_add(&p->rules->hears, sizeof *added);
    if (!added)
        return out_of_memory(p);
    *added = h;
    p->rule->hear_count++;
    return TEDDY_OK;
}

/* A capture that a rule uses must be there, and never empty, whichever of its patterns fits. */
static int check_capture(struct parser *p, unsigned capture)
{
    if (p->rule->hear_count == 0)
        return fail(p, "there is no capture %u in `default`", capture + 1);
    for (unsigned i = 0; i < p->rule->hear_count; i++) {
        const struct pattern *h = RULES_AT(p->rules, hears, pattern, p->rule->hear_first + i);
        if (capture >= h->captures)
            return fail(p, "capture %u: a `hear` of this rule has only %u", capture + 1,
                        h->captures);
        if (!(h->some >> capture & 1))
            return fail(p, "capture %u may be empty in a `hear` of this rule: write + for *",
                        capture + 1);
    }
    return TEDDY_OK;
}

static int read_keep(struct parser *p, struct span rest)
{
    int index;
    int rc = add_name(p, line_word(&rest), &index);
    if (rc != TEDDY_OK)
        return rc;
    if (rest.len != 1 || *rest.p < '1' || *rest.p > '0' + RULES_CAPTURES)
        return fail(p, "`keep` needs a name and the number of a capture, 1 to %d", RULES_CAPTURES);
    unsigned capture = (unsigned)(*rest.p - '1');
    rc = check_capture(p, capture);
    if (rc != TEDDY_OK)
        return rc;
    if (p->rule->keep_count == RULES_NAMES_MAX)
        return fail(p, "more than %d times `keep` in one rule", RULES_NAMES_MAX);
    struct keep *k = list_add(&p->rules->keeps, sizeof *k);
    if (!k)
        return out_of_memory(p);
    *k = (struct keep){(uint8_t)index, (uint8_t)capture};
    p->rule->keep_count++;
    return TEDDY_OK;
}

struct piece rules_piece(struct span text, size_t *at)
{
    const char *p = text.p + *at;
    size_t left = text.len - *at;
    if (left == 0)
        return (struct piece){.kind = PIECE_END};
    if (*p == '{' || *p == '}') {
        if (left > 1 && p[1] == *p) { /* doubled: itself */
            *at += 2;
            return (struct piece){.kind = PIECE_TEXT, .text = {p, 1}};
        }
        const char *end = *p == '{' ? memchr(p, '}', left) : NULL;
        if (!end)
            return (struct piece){.kind = PIECE_BAD};
        struct span inner = {p + 1, (size_t)(end - p) - 1};
        *at += inner.len + 2;
        if (inner.len == 1 && *inner.p >= '1' && *inner.p <= '0' + RULES_CAPTURES)
            return (struct piece){.kind = PIECE_CAPTURE, .capture = (unsigned)(*inner.p - '1')};
        return (struct piece){.kind = name_ok(inner) ? PIECE_NAME : PIECE_BAD, .text = inner};
    }
    size_t n = 0;
    while (n < left && p[n] != '{' && p[n] != '}')
        n++;
    *at += n;
    return (struct piece){.kind = PIECE_TEXT, .text = {p, n}};
}

static int check_text(struct parser *p, struct span text)
{
    size_t spoken = 1; /* the space before a later part */
    struct piece piece;
    for (size_t at = 0; (piece = rules_piece(text, &at)).kind != PIECE_END;) {
        int rc = TEDDY_OK;
        if (piece.kind == PIECE_BAD)
            return fail(
                p, "{ and } hold a name or a capture's number; doubled they stand for themselves");
        if (piece.kind == PIECE_CAPTURE)
            rc = check_capture(p, piece.capture);
        if (rc != TEDDY_OK)
            return rc;
        spoken += piece.kind == PIECE_TEXT ? piece.text.len : RULES_QUOTE_MAX;
    }
    if (spoken >= RULES_SPOKEN_MAX)
        return fail(p, "a part that may be longer than %d bytes when said", RULES_SPOKEN_MAX - 1);
    return TEDDY_OK;
}

static int add_part(struct parser *p, struct span text)
{
    if (text.len == 0)
        return fail(p, "nothing to say");
    int rc = check_text(p, text);
    if (rc != TEDDY_OK)
        return rc;
    struct part *part = list_add(&p->rules->parts, sizeof *part);
    if (!part)
        return out_of_memory(p);
    *part = (struct part){text, (uint32_t)p->pause_ms, p->line};
    p->pause_ms = 0;
    p->has_pause = false;
    struct say *say = (struct say *)p->rules->says.items + p->rules->says.count - 1;
    say->part_count++;
    return TEDDY_OK;
}

static int read_say(struct parser *p, struct span rest)
{
    if (p->has_pause)
        return fail(p, "`pause` stands before a `then`, not before a `say`");
    if (p->rule->say_count == RULES_SAYS_MAX)
        return fail(p, "more than %d replies in one rule", RULES_SAYS_MAX);
    struct say *say = list_add(&p->rules->says, sizeof *say);
    if (!say)
        return out_of_memory(p);
    *say = (struct say){.part_first = p->rules->parts.count};
    p->rule->say_count++;
    return add_part(p, rest);
}

static int read_then(struct parser *p, struct span rest)
{
    if (p->rule->say_count == 0)
        return fail(p, "`then` goes on with a `say`, and there is none before it");
    const struct say *say = RULES_AT(p->rules, says, say, p->rules->says.count - 1);
    if (say->part_count == RULES_PARTS_MAX)
        return fail(p, "more than %d parts in one reply", RULES_PARTS_MAX);
    return add_part(p, rest);
}

static int read_pause(struct parser *p, struct span rest)
{
    if (p->rule->say_count == 0)
        return fail(p, "`pause` stands between a `say` and a `then`");
    if (p->has_pause)
        return fail(p, "a second `pause` before the same part");
    if (u64_parse(rest, &p->pause_ms) != TEDDY_OK || p->pause_ms > RULES_PAUSE_MAX)
        return fail(p, "`pause` needs milliseconds, 0 to %d", RULES_PAUSE_MAX);
    p->has_pause = true;
    return TEDDY_OK;
}

static const struct {
    const char *word;
    bool in_rule;
    int (*read)(struct parser *p, struct span rest);
} LINES[] = {
    {"unknown", false, read_unknown}, {"rule", false, read_rule},  {"default", false, read_default},
    {"hear", true, read_hear},        {"keep", true, read_keep},   {"say", true, read_say},
    {"then", true, read_then},        {"pause", true, read_pause}, {"lost", false, read_lost},
};

static int read_line(struct parser *p, struct span line)
{
    if (line.len > RULES_LINE_MAX)
        return fail(p, "a line of more than %d bytes", RULES_LINE_MAX);
    if (!utf8_ok(line.p, line.len))
        return fail(p, "not valid UTF-8");
    line = line_trim(line);
    for (size_t i = 0; i < line.len; i++)
        if (((uint8_t)line.p[i] < 0x20 && line.p[i] != '\t') || line.p[i] == 0x7F)
            return fail(p, "a control character");
    if (line.len == 0 || *line.p == '#')
        return TEDDY_OK;
    struct span word = line_word(&line);
    for (size_t i = 0; i < sizeof LINES / sizeof LINES[0]; i++) {
        if (!span_is(word, LINES[i].word))
            continue;
        if (LINES[i].in_rule && !p->rule)
            return fail(p, "`%s` outside of a rule: start one with `rule NAME`", LINES[i].word);
        return LINES[i].read(p, line);
    }
    return fail(p,
                "'%.*s' begins no kind of line: use rule, hear, keep, say, then, pause, default, "
                "unknown, lost or #",
                SHOWN(word));
}

/* Names may be given their `unknown` anywhere, so they are looked at last. */
static int check_names(struct parser *p)
{
    for (uint32_t i = 0; i < p->rules->parts.count; i++) {
        const struct part *part = RULES_AT(p->rules, parts, part, i);
        struct piece piece;
        for (size_t at = 0; (piece = rules_piece(part->text, &at)).kind != PIECE_END;) {
            if (piece.kind != PIECE_NAME)
                continue;
            int name = rules_name(p->rules, piece.text);
            if (name >= 0 && p->rules->names[name].unknown.p)
                continue;
            p->line = part->line;
            return fail(
                p, "{%.*s} needs a line `unknown %.*s TEXT`: what it reads as before it is known",
                SHOWN(piece.text), SHOWN(piece.text));
        }
    }
    return TEDDY_OK;
}

static int read_lines(struct parser *p, struct span text)
{
    for (size_t at = 0; at < text.len;) {
        const char *nl = memchr(text.p + at, '\n', text.len - at);
        size_t n = nl ? (size_t)(nl - (text.p + at)) : text.len - at;
        p->line++;
        int rc = read_line(p, (struct span){text.p + at, n});
        if (rc != TEDDY_OK)
            return rc;
        at += n + 1;
    }
    int rc = end_rule(p);
    if (rc == TEDDY_OK && !p->has_fallback)
        rc = fail(p, "there is no `default`: say there what is answered when no rule fits");
    return rc == TEDDY_OK ? check_names(p) : rc;
}

int rules_parse(const char *file, struct span text, struct rules **out, char *err, size_t cap)
{
    *out = NULL;
    struct parser p = {.file = file, .err = err, .cap = cap};
    if (text.len > RULES_FILE_MAX)
        return fail(&p, "more than %d bytes", RULES_FILE_MAX);
    p.rules = calloc(1, sizeof *p.rules);
    if (!p.rules)
        return out_of_memory(&p);
    p.rules->text = malloc(text.len + 1);
    p.rules->folds = malloc(text.len + 1);
    int rc = out_of_memory(&p);
    if (p.rules->text && p.rules->folds) {
        memcpy(p.rules->text, text.p, text.len);
        rc = read_lines(&p, (struct span){p.rules->text, text.len});
    }
    if (rc != TEDDY_OK)
        rules_free(p.rules);
    else
        *out = p.rules;
    return rc;
}

int rules_load(const char *path, struct rules **out, char *err, size_t cap)
{
    *out = NULL;
    FILE *f = fopen(path, "re");
    char *text = f ? malloc(RULES_FILE_MAX + 1) : NULL;
    size_t len = text ? fread(text, 1, RULES_FILE_MAX + 1, f) : 0;
    int rc = TEDDY_EIO;
    if (!text || ferror(f))
        snprintf(err, cap, "%s: cannot be read: %s", path, strerror(errno));
    else
        rc = rules_parse(path, (struct span){text, len}, out, err, cap);
    free(text);
    if (f)
        fclose(f);
    return rc;
}

void rules_free(struct rules *r)
{
    if (!r)
        return;
    struct list *lists[] = {&r->rules, &r->hears, &r->tokens, &r->alts,
                            &r->keeps, &r->says,  &r->parts};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        free(lists[i]->items);
    free(r->text);
    free(r->folds);
    free(r);
}
