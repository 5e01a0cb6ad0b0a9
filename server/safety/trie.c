#include "safety/internal.h"

#include <stdlib.h>

void *grow(void **items, size_t *cap, size_t count, size_t size)
{
    if (count == *cap) {
        size_t more = *cap ? *cap * 2 : 64;
        void *p = reallocarray(*items, more, size);

        if (!p)
            return NULL;
        *items = p;
        *cap = more;
    }
    return memset((char *)*items + count * size, 0, size);
}

static size_t edge_slot(const struct trie *t, uint32_t node, uint32_t cp)
{
    uint64_t h = ((uint64_t)node << 21 | cp) * 0x9E3779B97F4A7C15u;
    size_t i = (size_t)(h >> 32) & (t->edge_cap - 1);

    while (t->edges[i].child && (t->edges[i].node != node || t->edges[i].cp != cp))
        i = (i + 1) & (t->edge_cap - 1);
    return i;
}

uint32_t trie_find(const struct trie *t, uint32_t node, uint32_t cp)
{
    return t->edges[edge_slot(t, node, cp)].child;
}

bool trie_init(struct trie *t)
{
    *t = (struct trie){.edge_cap = 1024};
    t->edges = calloc(t->edge_cap, sizeof *t->edges);
    for (t->node_count = 0; t->node_count < TRIE_ROOTS; t->node_count++)
        if (!grow((void **)&t->nodes, &t->node_cap, t->node_count, sizeof *t->nodes))
            return false;
    return t->edges != NULL;
}

void trie_fini(struct trie *t)
{
    free(t->edges);
    free(t->nodes);
    free(t->marks);
    *t = (struct trie){0};
}

static bool edges_double(struct trie *t)
{
    struct trie old = *t;

    t->edge_cap *= 2;
    t->edges = calloc(t->edge_cap, sizeof *t->edges);
    if (!t->edges) {
        *t = old;
        return false;
    }
    for (size_t i = 0; i < old.edge_cap; i++)
        if (old.edges[i].child)
            t->edges[edge_slot(t, old.edges[i].node, old.edges[i].cp)] = old.edges[i];
    free(old.edges);
    return true;
}

uint32_t trie_grow(struct trie *t, uint32_t node, uint32_t cp)
{
    uint32_t child = trie_child(t, node, cp);

    if (child)
        return child;
    if (t->edge_count * 2 >= t->edge_cap && !edges_double(t))
        return 0;
    if (!grow((void **)&t->nodes, &t->node_cap, t->node_count, sizeof *t->nodes))
        return 0;
    child = (uint32_t)t->node_count++;
    t->edges[edge_slot(t, node, cp)] = (struct trie_edge){node, cp, child};
    t->edge_count++;
    t->nodes[node].ways |= 1u << cp % 32;
    return child;
}

bool trie_mark(struct trie *t, uint32_t node, struct trie_mark mark)
{
    for (uint32_t i = t->nodes[node].marks; i; i = t->marks[i - 1].next) {
        const struct trie_mark *m = &t->marks[i - 1];
        if (m->pattern == mark.pattern && m->slot == mark.slot && m->prefix == mark.prefix)
            return true;
    }
    struct trie_mark *m = grow((void **)&t->marks, &t->mark_cap, t->mark_count, sizeof *m);

    if (!m)
        return false;
    *m = mark;
    m->next = t->nodes[node].marks;
    t->nodes[node].marks = (uint32_t)++t->mark_count;
    return true;
}
