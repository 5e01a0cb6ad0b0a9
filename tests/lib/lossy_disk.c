#include "tests/lib/lossy_disk.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR 512

/* A deleted name whose directory was not synced; the file waits aside. */
struct ghost {
    struct ghost *next;
    char *path, *aside;
};

static struct disk_file *files;
static struct ghost *ghosts;
static uint64_t random_state;

static void *must(void *p)
{
    if (p == NULL)
        abort();
    return p;
}

static uint64_t next_random(void) /* splitmix64 */
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static bool same_directory(const char *a, const char *b)
{
    const char *end_a = strrchr(a, '/'), *end_b = strrchr(b, '/');
    size_t len_a = end_a == NULL ? 0 : (size_t)(end_a - a),
           len_b = end_b == NULL ? 0 : (size_t)(end_b - b);
    return len_a == len_b && memcmp(a, b, len_a) == 0;
}

static void reserve(struct disk_file *f, size_t size)
{
    if (size <= f->cap)
        return;
    size_t cap = f->cap < 4096 ? 4096 : f->cap;
    while (cap < size)
        cap *= 2;
    f->image = must(realloc(f->image, cap));
    f->cap = cap;
}

static void resize(struct disk_file *f, size_t size)
{
    reserve(f, size);
    if (size > f->size)
        memset(f->image + f->size, 0, size - f->size);
    f->size = size;
}

static void load(struct disk_file *f)
{
    struct stat st;
    if (fstat(f->fd, &st) != 0)
        abort();
    resize(f, (size_t)st.st_size);
    for (size_t at = 0; at < f->size;) {
        ssize_t n = pread(f->fd, f->image + at, f->size - at, (off_t)at);
        if (n <= 0)
            abort();
        at += (size_t)n;
    }
}

struct disk_file *disk_find(const char *path)
{
    for (struct disk_file *f = files; f != NULL; f = f->next)
        if (strcmp(f->path, path) == 0)
            return f;
    return NULL;
}

struct disk_file *disk_open(const char *path, bool existed)
{
    struct disk_file *f = disk_find(path);
    if (f != NULL)
        return f;
    f = must(calloc(1, sizeof *f));
    f->path = must(strdup(path));
    f->last = &f->first;
    f->named = existed;
    f->next = files;
    files = f;
    f->fd = open(path, O_RDWR | O_CLOEXEC);
    if (f->fd < 0)
        abort();
    load(f);
    return f;
}

static void add_change(struct disk_file *f, uint64_t offset, const void *data, size_t len)
{
    struct disk_change *c = must(calloc(1, sizeof *c));
    c->offset = offset;
    c->len = len;
    if (data != NULL) {
        c->data = must(malloc(len + 1));
        memcpy(c->data, data, len);
    }
    *f->last = c;
    f->last = &c->next;
}

void disk_write(struct disk_file *f, uint64_t offset, const void *data, size_t len)
{
    size_t end = (size_t)offset + len;
    if (end > f->size)
        resize(f, end);
    memcpy(f->image + offset, data, len);
    add_change(f, offset, data, len);
}

void disk_truncate(struct disk_file *f, uint64_t size)
{
    resize(f, (size_t)size);
    add_change(f, size, NULL, 0);
}

static void forget_changes(struct disk_file *f)
{
    while (f->first != NULL) {
        struct disk_change *c = f->first;
        f->first = c->next;
        free(c->data);
        free(c);
    }
    f->last = &f->first;
}

static bool write_all(int fd, const uint8_t *data, size_t len, uint64_t offset)
{
    while (len > 0) {
        ssize_t n = pwrite(fd, data, len, (off_t)offset);
        if (n <= 0)
            return false;
        data += n;
        len -= (size_t)n;
        offset += (uint64_t)n;
    }
    return true;
}

/* Each sector of the change with a probability of chance / 256. */
static bool put_change(int fd, const struct disk_change *c, unsigned chance)
{
    if (c->data == NULL)
        return next_random() % 256 >= chance || ftruncate(fd, (off_t)c->offset) == 0;
    for (size_t at = 0; at < c->len;) {
        size_t room = SECTOR - (size_t)((c->offset + at) % SECTOR);
        size_t piece = c->len - at < room ? c->len - at : room;
        if (next_random() % 256 < chance && !write_all(fd, c->data + at, piece, c->offset + at))
            return false;
        at += piece;
    }
    return true;
}

bool disk_sync(struct disk_file *f)
{
    for (const struct disk_change *c = f->first; c != NULL; c = c->next)
        if (!put_change(f->fd, c, 256))
            return false;
    forget_changes(f);
    return true;
}

static void bury(struct ghost **at)
{
    struct ghost *g = *at;
    *at = g->next;
    unlink(g->aside);
    free(g->path);
    free(g->aside);
    free(g);
}

void disk_sync_directory(const char *path)
{
    for (struct disk_file *f = files; f != NULL; f = f->next)
        if (same_directory(f->path, path))
            f->named = true;
    for (struct ghost **at = &ghosts; *at != NULL;) {
        if (same_directory((*at)->path, path))
            bury(at);
        else
            at = &(*at)->next;
    }
}

static void forget(struct disk_file **at)
{
    struct disk_file *f = *at;
    *at = f->next;
    forget_changes(f);
    close(f->fd);
    free(f->image);
    free(f->path);
    free(f);
}

static bool set_aside(const char *path)
{
    static unsigned number;
    char aside[4096];
    struct ghost *g = must(malloc(sizeof *g));
    if (snprintf(aside, sizeof aside, "%s.deleted-%u", path, number++) >= (int)sizeof aside)
        abort();
    *g = (struct ghost){ghosts, must(strdup(path)), must(strdup(aside))};
    ghosts = g;
    return rename(path, aside) == 0;
}

bool disk_delete(const char *path)
{
    struct disk_file *f = disk_find(path);
    bool done = f != NULL && !f->named ? unlink(path) == 0 : set_aside(path);
    for (struct disk_file **at = &files; *at != NULL; at = &(*at)->next)
        if (*at == f) {
            forget(at);
            break;
        }
    return done;
}

static void settle_file(struct disk_file *f, enum lossy_mode mode)
{
    char shm[4096];
    if (snprintf(shm, sizeof shm, "%s-shm", f->path) >= (int)sizeof shm)
        abort();
    unlink(shm);
    if (!f->named && (mode == LOSSY_DROP || next_random() % 2 == 0)) {
        unlink(f->path);
        return;
    }
    unsigned chance =
        mode == LOSSY_DROP ? 0 : (unsigned)(next_random() % 257); /* all and nothing happen too */
    for (const struct disk_change *c = f->first; c != NULL; c = c->next)
        if (!put_change(f->fd, c, chance))
            abort();
}

void disk_power_cut(enum lossy_mode mode, uint64_t seed)
{
    random_state = seed;
    while (files != NULL) {
        settle_file(files, mode);
        forget(&files);
    }
    while (ghosts != NULL) {
        if ((mode == LOSSY_DROP || next_random() % 2 == 0) && access(ghosts->path, F_OK) != 0 &&
            rename(ghosts->aside, ghosts->path) != 0)
            abort();
        bury(&ghosts);
    }
}
