#include "corpus.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static void refuse(const char *path, size_t number, const char *why)
{
    fprintf(stderr, "%s:%zu: %s\n", path, number, why);
    exit(2);
}

static const char *member(json_t *o, const char *name, const char *path, size_t number)
{
    const char *text = json_string_value(json_object_get(o, name));

    if (!text)
        refuse(path, number, name);
    return text;
}

static void join_chunks(json_t *chunks, struct corpus_line *l)
{
    size_t i;
    json_t *chunk;

    json_array_foreach(chunks, i, chunk)
    {
        size_t len = json_string_length(chunk);
        l->text = realloc(l->text, l->len + len + 1);
        memcpy(l->text + l->len, json_string_value(chunk), len + 1);
        l->len += len;
        if (l->cut_count < sizeof l->cuts / sizeof *l->cuts)
            l->cuts[l->cut_count++] = l->len;
    }
}

static void read_line(json_t *o, struct corpus_line *l, const char *path, size_t number)
{
    static const char *const expects[] = {"pass", "redact", "block", "alert"};
    json_t *chunks = json_object_get(o, "chunks");
    const char *expect = member(o, "expect", path, number);
    const char *category = member(o, "category", path, number);
    int e = 0;

    while (e < 4 && strcmp(expects[e], expect) != 0)
        e++;
    if (e == 4)
        refuse(path, number, "expect");
    l->expect = (enum expect)e;
    if (strcmp(category, "benign") != 0 &&
        safety_category_find(span_of(category)) == SAFETY_CATEGORY_COUNT)
        refuse(path, number, "category");
    snprintf(l->lang, sizeof l->lang, "%s", member(o, "lang", path, number));
    snprintf(l->category, sizeof l->category, "%s", category);
    const char *technique = json_string_value(json_object_get(o, "technique"));
    snprintf(l->technique, sizeof l->technique, "%s", technique ? technique : "");
    l->out = strcmp(member(o, "direction", path, number), "out") == 0;
    l->age = 6;
    if (json_object_get(o, "age"))
        l->age = (unsigned)json_integer_value(json_object_get(o, "age"));
    if (chunks) {
        join_chunks(chunks, l);
    } else {
        l->text = strdup(member(o, "text", path, number));
        l->len = strlen(l->text);
    }
}

struct corpus corpus_read(const char *path)
{
    struct corpus c = {0};
    FILE *f = fopen(path, "rbe");
    char *text = NULL;
    size_t cap = 0;

    if (!f)
        refuse(path, 0, "cannot be opened");
    while (getline(&text, &cap, f) > 0) {
        json_error_t error;
        json_t *o = json_loads(text, 0, &error);
        if (!o)
            refuse(path, c.count + 1, error.text);
        c.lines = reallocarray(c.lines, c.count + 1, sizeof *c.lines);
        c.lines[c.count] = (struct corpus_line){0};
        read_line(o, &c.lines[c.count], path, c.count + 1);
        c.count++;
        json_decref(o);
    }
    free(text);
    fclose(f);
    return c;
}

void corpus_free(struct corpus *c)
{
    for (size_t i = 0; i < c->count; i++)
        free(c->lines[i].text);
    free(c->lines);
}
