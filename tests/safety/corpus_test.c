/* safety_corpus_test RATES CORPUS…: judges every line, prints what is caught and what is blamed by
 * corpus, language and category, and fails when a rate is worse than RATES records. `--list` also
 * prints the lines judged otherwise than expected; `--write` prints what RATES would be now.
 * `--docs=PAGE` also fails when the tables of that page are not what was measured. */
#include <stdio.h>
#include <stdlib.h>

#include "corpus.h"
#include "disguise.h"

#define CHUNKINGS 12 /* of each line that goes out, besides its own */
#define OUT_MAX   8192
#define ROWS_MAX  512

#define DISGUISED "disguised" /* the set of held-out lines in disguise */
#define HELD_OUT  "held_out"

/* What a line came to. */
struct result {
    struct safety_verdict verdict;
    size_t len;
    char text[OUT_MAX];
};

struct row {
    char set[48], lang[24], category[16]; /* lang: of DISGUISED and HOW, how it is disguised */
    unsigned right, total;                /* of benign: passed; of others: caught */
};

static struct row rows[ROWS_MAX];
static size_t row_count;
static bool list, list_disguised;
static unsigned failures;

static struct row *row_for(const char *set, const char *lang, const char *category)
{
    for (size_t i = 0; i < row_count; i++)
        if (strcmp(rows[i].set, set) == 0 && strcmp(rows[i].lang, lang) == 0 &&
            strcmp(rows[i].category, category) == 0)
            return &rows[i];
    if (row_count == ROWS_MAX)
        exit(2);
    struct row *r = &rows[row_count++];
    snprintf(r->set, sizeof r->set, "%s", set);
    snprintf(r->lang, sizeof r->lang, "%s", lang);
    snprintf(r->category, sizeof r->category, "%s", category);
    return r;
}

static void gather(void *ctx, const struct safety_sentence *s)
{
    struct result *r = ctx;

    if (s->text.len > OUT_MAX - r->len)
        exit(2);
    memcpy(r->text + r->len, s->text.p, s->text.len);
    r->len += s->text.len;
    r->verdict.categories |= s->verdict.categories;
    r->verdict.redactions = (uint16_t)(r->verdict.redactions + s->verdict.redactions);
    r->verdict.blocked |= s->verdict.blocked;
}

/* The line through the guard, in chunks that end at cuts. */
static void say(const struct safety *s, const struct corpus_line *l, const size_t *cuts,
                unsigned count, struct result *r)
{
    struct safety_who who = {span_of(l->lang), l->age};
    struct safety_out o;
    size_t at = 0;

    memset(r, 0, offsetof(struct result, text));
    safety_out_init(&o, s, &who, 0);
    for (unsigned i = 0; i < count; i++) {
        safety_out_feed(&o, (struct span){l->text + at, cuts[i] - at}, gather, r);
        at = cuts[i];
    }
    safety_out_feed(&o, (struct span){l->text + at, l->len - at}, gather, r);
    safety_out_end(&o, gather, r);
}

static bool same(const struct result *a, const struct result *b)
{
    return a->len == b->len && memcmp(a->text, b->text, a->len) == 0 &&
           a->verdict.blocked == b->verdict.blocked &&
           a->verdict.categories == b->verdict.categories &&
           a->verdict.redactions == b->verdict.redactions;
}

static unsigned seed = 12345;
static unsigned chance(unsigned n)
{
    seed = seed * 1103515245u + 12345u;
    return (seed >> 16) % n;
}

/* Chunks of `most` bytes or fewer, anywhere, also within a character. */
static void check_chunkings(const struct safety *s, const struct corpus_line *l,
                            const struct result *whole)
{
    static struct result r;
    size_t *cuts = malloc((l->len + 1) * sizeof *cuts);

    for (unsigned n = 0; n < CHUNKINGS; n++) {
        unsigned count = 0, most = 1 + n * n;
        for (size_t at = n == 0 ? 1 : chance(most + 1); at < l->len; at += 1 + chance(most))
            cuts[count++] = at;
        say(s, l, cuts, count, &r);
        if (!same(&r, whole)) {
            printf("CHUNKS CHANGE IT: %s\n", l->text);
            failures++;
        }
    }
    if (l->cut_count) {
        say(s, l, l->cuts, l->cut_count, &r);
        failures += !same(&r, whole);
    }
    free(cuts);
}

/* What is said would be said again, unchanged: nothing that is blocked is left in it. */
static void check_said(const struct safety *s, const struct corpus_line *l,
                       const struct result *whole)
{
    static struct result again;
    struct corpus_line said = *l;

    said.text = (char *)(uintptr_t)whole->text;
    said.len = whole->len;
    say(s, &said, NULL, 0, &again);
    if (again.verdict.blocked || again.verdict.redactions) {
        printf("STILL IN WHAT IS SAID: %.*s\n", (int)whole->len, whole->text);
        failures++;
    }
}

static bool caught(const struct corpus_line *l, const struct safety_verdict *v)
{
    switch (l->expect) {
    case EXPECT_PASS:
        return !v->blocked && !v->danger && v->redactions == 0;
    case EXPECT_REDACT:
        return v->redactions > 0 || v->blocked;
    case EXPECT_BLOCK:
        return v->blocked;
    default:
        return v->danger != 0;
    }
}

static void judge_once(const struct safety *s, const struct corpus_line *l, struct result *r)
{
    struct safety_who who = {span_of(l->lang), l->age};

    memset(r, 0, offsetof(struct result, text));
    if (l->out)
        say(s, l, NULL, 0, r);
    else
        r->len = safety_in(s, &who, (struct span){l->text, l->len}, r->text, OUT_MAX, &r->verdict);
}

static void count(const char *set, const char *lang, const char *category, bool right)
{
    struct row *row = row_for(set, lang, category);

    row->total++;
    row->right += right;
}

static void show(const struct corpus_line *l, const char *how, const struct result *r)
{
    if (list)
        printf("%s %s %s %s: %s\n    became %.*s\n", l->lang, l->out ? "out" : "in", l->category,
               how, l->text, (int)r->len, r->text);
}

/* The line in every disguise. Numbers and links are not disguised: that makes others of them. */
static void judge_disguised(const struct safety *s, const struct corpus_line *l)
{
    static struct result r;
    bool benign = l->expect == EXPECT_PASS;

    for (int d = 0; d < DISGUISE_COUNT && l->expect != EXPECT_REDACT; d++) {
        struct corpus_line in = *l;
        in.text = disguise((enum disguise)d, l);
        if (!in.text)
            continue;
        in.len = strlen(in.text);
        judge_once(s, &in, &r);
        bool right = caught(l, &r.verdict);
        count(DISGUISED, disguise_name((enum disguise)d), benign ? "benign" : "caught", right);
        if (!right && list_disguised)
            show(&in, disguise_name((enum disguise)d), &r);
        free(in.text);
    }
}

static void judge_line(const struct safety *s, const char *set, const struct corpus_line *l)
{
    static struct result r;

    judge_once(s, l, &r);
    if (l->out) {
        check_chunkings(s, l, &r);
        check_said(s, l, &r);
    }
    bool right = caught(l, &r.verdict);
    char how[48];
    count(set, l->lang, l->category, right);
    snprintf(how, sizeof how, "%s, how", set);
    if (*l->technique)
        count(how, l->technique, "caught", right);
    if (!right)
        show(l, l->technique, &r);
    if (strcmp(set, HELD_OUT) == 0)
        judge_disguised(s, l);
}

/* "tuned" of …/tuned.jsonl */
static const char *set_name(const char *path)
{
    static char name[32];
    const char *base = strrchr(path, '/');

    snprintf(name, sizeof name, "%s", base ? base + 1 : path);
    name[strcspn(name, ".")] = '\0';
    return name;
}

/* A row that is worse than recorded, or that nothing is recorded of. */
static void check_rates(const char *path)
{
    FILE *f = fopen(path, "rbe");
    char line[256];
    size_t seen = 0;

    while (f && fgets(line, sizeof line, f)) {
        char *at = line, *field[5];
        if (*line == '#')
            continue;
        for (int i = 0; i < 5; i++)
            field[i] = strsep(&at, "\t\n");
        if (!field[4])
            exit(2);
        const struct row *r = row_for(field[0], field[1], field[2]);
        unsigned long right = strtoul(field[3], NULL, 10), total = strtoul(field[4], NULL, 10);
        seen++;
        if (r->right < right || r->total != total) {
            printf("WORSE THAN RECORDED: %s %s %s: %u of %u, recorded %lu of %lu\n", r->set,
                   r->lang, r->category, r->right, r->total, right, total);
            failures++;
        }
    }
    if (f)
        fclose(f);
    if (seen != row_count) {
        printf("%zu rates are recorded, %zu measured\n", seen, row_count);
        failures++;
    }
}

/* --- the tables of docs/safety.md --- */

#define SETS 4
static const char *const sets[SETS] = {"tuned", HELD_OUT, "unseen", "evasive"};

/* " right of total" of the rows that fit; lang or category NULL: all. */
static size_t cell(char *out, size_t cap, const char *set, const char *lang, const char *category,
                   bool benign)
{
    unsigned right = 0, total = 0;

    for (size_t i = 0; i < row_count; i++) {
        if (strcmp(rows[i].set, set) != 0 || (lang && strcmp(rows[i].lang, lang) != 0) ||
            (category && strcmp(rows[i].category, category) != 0) ||
            (strcmp(rows[i].category, "benign") == 0) != benign)
            continue;
        right += rows[i].right;
        total += rows[i].total;
    }
    return (size_t)snprintf(out, cap, total ? " %u of %u |" : " - |",
                            benign ? total - right : right, total);
}

static void table_row(char *out, size_t cap, const char *name, const char *lang,
                      const char *category, bool with_benign)
{
    size_t n = (size_t)snprintf(out, cap, "| %s |", name);

    for (int s = 0; s < SETS; s++)
        n += cell(out + n, cap - n, sets[s], lang, category, false);
    for (int s = 0; s < SETS && with_benign; s++)
        n += cell(out + n, cap - n, sets[s], lang, "benign", true);
}

static void must_hold(const char *page, const char *path, const char *row)
{
    if (strstr(page, row))
        return;
    printf("NOT IN %s: %s\n", path, row);
    failures++;
}

/* | look-alikes | caught | blamed | */
static void disguise_row(char *out, size_t cap, const char *name)
{
    size_t n = (size_t)snprintf(out, cap, "| %s |", name);

    n += cell(out + n, cap - n, DISGUISED, name, "caught", false);
    cell(out + n, cap - n, DISGUISED, name, "benign", true);
}

/* Every row of the tables, as it is now, stands in the page. */
static void check_docs(const char *path)
{
    static const char *const languages[][2] = {
        {"English", "en"}, {"Spanish", "es"}, {"Arabic", "ar"}, {"Chinese", "zh"}, {"all", NULL}};
    static char page[65536];
    FILE *f = fopen(path, "rbe");
    size_t len = f ? fread(page, 1, sizeof page - 1, f) : 0;
    char row[256];

    page[len] = '\0';
    for (unsigned i = 0; i < SAFETY_CATEGORY_COUNT + 5; i++) {
        const char *category = safety_category_name((enum safety_category)i);
        if (i < SAFETY_CATEGORY_COUNT)
            table_row(row, sizeof row, category, NULL, category, false);
        else
            table_row(row, sizeof row, languages[i - SAFETY_CATEGORY_COUNT][0],
                      languages[i - SAFETY_CATEGORY_COUNT][1], NULL, true);
        must_hold(page, path, row);
    }
    for (int d = 0; d < DISGUISE_COUNT; d++) {
        disguise_row(row, sizeof row, disguise_name((enum disguise)d));
        must_hold(page, path, row);
    }
    for (size_t i = 0; i < row_count; i++) {
        if (strcmp(rows[i].set, "unseen, how") != 0)
            continue;
        snprintf(row, sizeof row, "| %s | %u of %u |", rows[i].lang, rows[i].right, rows[i].total);
        must_hold(page, path, row);
    }
    if (f)
        fclose(f);
}

static int by_name(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    int d = strcmp(x->set, y->set);

    d = d ? d : strcmp(x->lang, y->lang);
    return d ? d : strcmp(x->category, y->category);
}

static void print_rows(const char *separator)
{
    qsort(rows, row_count, sizeof *rows, by_name);
    for (size_t i = 0; i < row_count; i++)
        printf("%s%s%s%s%s%s%u%s%u\n", rows[i].set, separator, rows[i].lang, separator,
               rows[i].category, separator, rows[i].right, separator, rows[i].total);
}

int main(int argc, char **argv)
{
    struct safety_config config = {0};
    struct safety *s;
    char err[256];
    bool write = false;
    const char *docs = NULL;

    for (; argc > 1 && argv[1][0] == '-'; argc--, argv++) {
        list |= strcmp(argv[1], "--list") == 0;
        list_disguised |= strcmp(argv[1], "--disguised") == 0;
        write |= strcmp(argv[1], "--write") == 0;
        if (strncmp(argv[1], "--docs=", 7) == 0)
            docs = argv[1] + 7;
    }
    if (argc < 3 || safety_open(&config, &s, err, sizeof err) != TEDDY_OK) {
        fprintf(stderr, "%s\n", argc < 3 ? "usage: safety_corpus_test RATES CORPUS..." : err);
        return 2;
    }
    for (int i = 2; i < argc; i++) {
        struct corpus c = corpus_read(argv[i]);
        for (size_t k = 0; k < c.count; k++)
            judge_line(s, set_name(argv[i]), &c.lines[k]);
        corpus_free(&c);
    }
    safety_close(s);
    if (write)
        printf("# corpus\tlanguage\tcategory\tright\tof (benign: passed; others: caught)\n");
    print_rows(write ? "\t" : " ");
    if (!write)
        check_rates(argv[1]);
    if (docs)
        check_docs(docs);
    return failures > 0;
}
