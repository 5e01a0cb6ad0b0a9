/* What is read, and in which order. */
#include "safety/internal.h"

#include <stdio.h>

static bool is_confusables(const char *name)
{
    return strchr(name, '/') == NULL;
}

/* Look-alikes come first: the patterns are folded by them. */
static int read_all(struct safety *s, const struct own *o, bool builtin, bool confusables)
{
    int rc = TEDDY_OK;

    for (const struct data_file *f = safety_builtin; builtin && f->name && rc == TEDDY_OK; f++)
        if (is_confusables(f->name) == confusables && !own_replaces(o, f->name))
            rc = data_read(s, f->name, f->name, (struct span){(const char *)f->data, f->len},
                           o->err, o->cap);
    for (size_t i = 0; i < o->count && rc == TEDDY_OK; i++) {
        const struct own_file *f = &o->files[i];
        char shown[1024];
        if (is_confusables(f->name) != confusables)
            continue;
        snprintf(shown, sizeof shown, "%s/%s", o->dir, f->name);
        rc = data_read(s, f->name, shown, (struct span){f->text, f->len}, o->err, o->cap);
    }
    return rc;
}

int safety_read(struct safety *s, const struct safety_config *config, char *err, size_t cap)
{
    struct own o = {.dir = config->dir, .err = err, .cap = cap};
    int rc = trie_init(&s->trie) ? TEDDY_OK : TEDDY_ENOMEM;

    if (rc == TEDDY_OK && config->dir)
        rc = own_read(&o);
    if (rc == TEDDY_OK)
        rc = read_all(s, &o, !config->no_builtin, true);
    if (rc == TEDDY_OK)
        rc = read_all(s, &o, !config->no_builtin, false);
    if (rc == TEDDY_OK && !trie_seal(&s->trie))
        rc = TEDDY_ENOMEM;
    own_free(&o);
    return rc;
}
