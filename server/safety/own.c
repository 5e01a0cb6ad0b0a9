/* The data files in the operator's directory: those in it, and those in the directories in it. */
#include "safety/internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define FILES_MAX 512
#define PATH_LEN  1024

static int failed(struct own *o, const char *what, const char *name)
{
    snprintf(o->err, o->cap, "%s/%s: %s", o->dir, name, what);
    return TEDDY_EIO;
}

/* Up to one byte more than a data file may have, so that one that is longer is told. */
static int read_text(struct own *o, struct own_file *file, FILE *f)
{
    char *text = malloc(DATA_FILE_MAX + 1);

    if (!text)
        return TEDDY_ENOMEM;
    file->len = fread(text, 1, DATA_FILE_MAX + 1, f);
    char *fitted = realloc(text, file->len + 1);
    file->text = fitted ? fitted : text;
    o->count++;
    return ferror(f) ? failed(o, "cannot be read", file->name) : TEDDY_OK;
}

static int read_file(struct own *o, const char *name)
{
    char path[PATH_LEN];
    struct stat st;
    int rc, n = snprintf(path, sizeof path, "%s/%s", o->dir, name);
    struct own_file *file = grow((void **)&o->files, &o->files_cap, o->count, sizeof *file);

    if (!file)
        return TEDDY_ENOMEM;
    if (n < 0 || n >= PATH_LEN || o->count == FILES_MAX || strlen(name) >= sizeof file->name)
        return failed(o, "too long a path, or too many files", name);
    memcpy(file->name, name, strlen(name) + 1);
    FILE *f = fopen(path, "rbe");
    if (!f || fstat(fileno(f), &st) != 0 || !S_ISREG(st.st_mode))
        rc = failed(o, f ? "not a regular file" : strerror(errno), name);
    else
        rc = read_text(o, file, f);
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
static int read_dir(struct own *o, const char *below)
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
            rc = read_dir(o, name);
        else
            rc = read_file(o, name);
    next:
        free(entries[i]);
    }
    free(entries);
    return rc;
}

int own_read(struct own *o)
{
    return read_dir(o, "");
}

bool own_replaces(const struct own *o, const char *name)
{
    for (size_t i = 0; i < o->count; i++)
        if (strcmp(o->files[i].name, name) == 0 &&
            data_replaces((struct span){o->files[i].text, o->files[i].len}))
            return true;
    return false;
}

void own_free(struct own *o)
{
    for (size_t i = 0; i < o->count; i++)
        free(o->files[i].text);
    free(o->files);
}
