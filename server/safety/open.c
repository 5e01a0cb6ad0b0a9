#include "safety/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES_MAX 512
#define PATH_LEN  1024

const char *safety_category_name(enum safety_category category)
{
    static const char *const names[] = {
#define X(id, name) #name,
        SAFETY_CATEGORIES(X)
#undef X
    };

    return category < SAFETY_CATEGORY_COUNT ? names[category] : "none";
}

enum safety_category safety_category_find(struct span name)
{
    int i = 0;

    while (i < SAFETY_CATEGORY_COUNT &&
           !span_is(name, safety_category_name((enum safety_category)i)))
        i++;
    return (enum safety_category)i;
}

/* "es" of "es-MX". */
static struct span primary(struct span language)
{
    size_t n = 0;

    while (n < language.len && language.p[n] != '-' && language.p[n] != '_')
        n++;
    return (struct span){language.p, n};
}

int language_find(const struct safety *s, struct span language)
{
    struct span want = primary(language);

    for (unsigned i = 0; i < s->language_count; i++) {
        const char *have = s->languages[i];
        size_t n = 0;
        while (n < want.len && have[n] && (want.p[n] | 0x20) == have[n])
            n++;
        if (n == want.len && !have[n])
            return (int)i;
    }
    return -1;
}

int language_index(struct safety *s, struct span language, bool add)
{
    int i = language_find(s, language);

    if (i >= 0 || !add)
        return i;
    if (language.len < 2 || language.len > 3 || s->language_count == LANGUAGES_MAX)
        return -1;
    for (size_t k = 0; k < language.len; k++)
        if (language.p[k] < 'a' || language.p[k] > 'z')
            return -1;
    memcpy(s->languages[s->language_count], language.p, language.len);
    return (int)s->language_count++;
}

bool safety_covers(const struct safety *s, struct span language)
{
    return language_find(s, language) >= 0;
}

/* --- the operator's directory --- */

struct own_file {
    char name[LANGUAGE_LEN + 64]; /* within the directory */
    struct span text;             /* owned by safety.texts */
};
struct own {
    const char *dir;
    struct own_file *files;
    size_t count;
    char *err;
    size_t cap;
};

static int failed(struct own *o, const char *what, const char *name)
{
    snprintf(o->err, o->cap, "%s/%s: %s", o->dir, name, what);
    return TEDDY_EIO;
}

static int read_file(struct own *o, struct safety *s, const char *name)
{
    char path[PATH_LEN];
    struct stat st;
    int rc = TEDDY_EIO, n = snprintf(path, sizeof path, "%s/%s", o->dir, name);
    struct own_file *file = &o->files[o->count];

    if (n < 0 || n >= PATH_LEN || o->count == FILES_MAX || strlen(name) >= sizeof file->name)
        return failed(o, "too long a path, or too many files", name);
    FILE *f = fopen(path, "rbe");
    if (!f || fstat(fileno(f), &st) != 0 || !S_ISREG(st.st_mode)) {
        rc = failed(o, f ? "not a regular file" : strerror(errno), name);
        goto out;
    }
    char **slot = grow((void **)&s->texts, &s->text_cap, s->text_count, sizeof *slot);
    char *text = slot ? malloc(DATA_FILE_MAX + 1) : NULL;
    if (!text) {
        rc = TEDDY_ENOMEM;
        goto out;
    }
    s->texts[s->text_count++] = text;
    size_t len = fread(text, 1, DATA_FILE_MAX + 1, f);
    if (ferror(f)) {
        rc = failed(o, "cannot be read", name);
        goto out;
    }
    char *fitted = realloc(text, len + 1);
    if (fitted)
        s->texts[s->text_count - 1] = text = fitted;
    snprintf(file->name, sizeof file->name, "%s", name);
    file->text = (struct span){text, len};
    o->count++;
    rc = TEDDY_OK;
out:
    if (f)
        fclose(f);
    return rc;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int visible(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

/* The files of one directory; at the top, also those of the directories in it. */
static int read_dir(struct own *o, struct safety *s, const char *below)
{
    char path[PATH_LEN];
    struct dirent **entries = NULL;
    int n = snprintf(path, sizeof path, "%s/%s", o->dir, below), rc = TEDDY_OK;
    int count = n < 0 || n >= PATH_LEN ? -1 : scandir(path, &entries, visible, by_name);

    if (count < 0)
        return failed(o, strerror(errno), below);
    for (int i = 0; i < count; i++) {
        char name[512];
        struct stat st;
        n = snprintf(name, sizeof name, "%s%s%s", below, *below ? "/" : "", entries[i]->d_name);
        if (rc != TEDDY_OK || n < 0 || (size_t)n >= sizeof name)
            goto next;
        n = snprintf(path, sizeof path, "%s/%s", o->dir, name);
        if (n < 0 || n >= PATH_LEN || stat(path, &st) != 0)
            rc = failed(o, "cannot be read", name);
        else if (S_ISDIR(st.st_mode) && !*below)
            rc = read_dir(o, s, name);
        else
            rc = read_file(o, s, name);
    next:
        free(entries[i]);
    }
    free(entries);
    return rc;
}

/* --- all of them --- */

static bool replaced(const struct own *o, const char *name)
{
    for (size_t i = 0; i < o->count; i++)
        if (strcmp(o->files[i].name, name) == 0 && data_replaces(o->files[i].text))
            return true;
    return false;
}

static bool is_confusables(const char *name)
{
    return strchr(name, '/') == NULL;
}

/* Look-alikes come first: the patterns are folded by them. */
static int read_all(struct safety *s, const struct own *o, bool builtin, bool confusables)
{
    int rc = TEDDY_OK;

    for (const struct data_file *f = safety_builtin; builtin && f->name && rc == TEDDY_OK; f++)
        if (is_confusables(f->name) == confusables && !replaced(o, f->name))
            rc = data_read(s, f->name, f->name, (struct span){(const char *)f->data, f->len},
                           o->err, o->cap);
    for (size_t i = 0; i < o->count && rc == TEDDY_OK; i++) {
        char shown[PATH_LEN];
        if (is_confusables(o->files[i].name) != confusables)
            continue;
        snprintf(shown, sizeof shown, "%s/%s", o->dir, o->files[i].name);
        rc = data_read(s, o->files[i].name, shown, o->files[i].text, o->err, o->cap);
    }
    return rc;
}

static int read_everything(struct safety *s, const struct safety_config *config, struct own *o)
{
    int rc = TEDDY_OK;

    if (!trie_init(&s->trie))
        return TEDDY_ENOMEM;
    if (config->dir)
        rc = read_dir(o, s, "");
    if (rc == TEDDY_OK)
        rc = read_all(s, o, !config->no_builtin, true);
    if (rc == TEDDY_OK)
        rc = read_all(s, o, !config->no_builtin, false);
    if (rc == TEDDY_OK && !trie_seal(&s->trie))
        rc = TEDDY_ENOMEM;
    if (rc != TEDDY_OK)
        return rc;
    const char *language = config->language ? config->language : "en";
    int index = language_find(s, span_of(language));
    if (index < 0) {
        snprintf(o->err, o->cap, "there are no lists for the language '%.20s'", language);
        return TEDDY_EINVAL;
    }
    s->language = (uint8_t)index;
    return TEDDY_OK;
}

int safety_open(const struct safety_config *config, struct safety **out, char *err, size_t cap)
{
    struct safety *s = calloc(1, sizeof *s);
    struct own o = {.dir = config->dir, .err = err, .cap = cap};
    int rc = TEDDY_ENOMEM;

    o.files = calloc(FILES_MAX, sizeof *o.files);
    snprintf(err, cap, "out of memory");
    if (s && o.files)
        rc = read_everything(s, config, &o);
    free(o.files);
    if (rc != TEDDY_OK) {
        safety_close(s);
        return rc;
    }
    s->allow_uncovered = config->allow_uncovered;
    *out = s;
    return TEDDY_OK;
}

void safety_close(struct safety *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->text_count; i++)
        free(s->texts[i]);
    free(s->texts);
    free(s->lines);
    free(s->patterns);
    free(s->map.pairs);
    trie_fini(&s->trie);
    spelling_fini(&s->spelling);
    free(s);
}

struct safety_counts safety_counts(const struct safety *s)
{
    const struct trie *t = &s->trie;

    return (struct safety_counts){
        .languages = s->language_count,
        .patterns = (unsigned)s->pattern_count,
        .atoms = s->atoms,
        .lines = (unsigned)s->line_count,
        .bytes = sizeof *s + t->edge_cap * sizeof *t->edges + t->node_cap * sizeof *t->nodes +
                 t->mark_cap * sizeof *t->marks + s->pattern_cap * sizeof *s->patterns +
                 s->line_cap * sizeof *s->lines + s->map.cap * sizeof *s->map.pairs +
                 s->spelling.cap + s->spelling.slot_cap * sizeof *s->spelling.slots,
    };
}

/* --- what is said instead --- */

/* The n-th line for it, counted around; count: how many there are. */
static struct span nth_line(const struct safety *s, int language, enum safety_moment moment,
                            unsigned category, uint32_t n)
{
    for (uint32_t pass = 0, seen = 0, count = 0; pass < 2; pass++, count = seen, seen = 0) {
        if (pass == 1 && count == 0)
            break;
        for (size_t i = 0; i < s->line_count; i++) {
            const struct line *l = &s->lines[i];
            if (l->language != language || l->moment != moment || l->category != category)
                continue;
            if (pass == 1 && seen == n % count)
                return l->text;
            seen++;
        }
    }
    return (struct span){NULL, 0};
}

struct span safety_line(const struct safety *s, const struct safety_who *who,
                        enum safety_moment moment, enum safety_category category, uint32_t turn)
{
    int wanted = language_find(s, who->language);
    const int languages[] = {wanted, s->language};

    for (size_t i = wanted < 0; i < 2; i++) {
        struct span line = nth_line(s, languages[i], moment, category, turn);
        if (!line.p)
            line = nth_line(s, languages[i], moment, SAFETY_CATEGORY_COUNT, turn);
        if (line.p)
            return line;
    }
    return moment == SAFETY_MOMENT_ALERT
               ? span_of("That sounds important. Please tell a grown-up you trust, right now.")
               : span_of("Let's talk about something else!");
}
