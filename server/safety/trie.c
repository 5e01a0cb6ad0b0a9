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

static uint32_t first_from(const struct trie *t, uint32_t low, uint32_t high, uint32_t cp)
{
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (t->nodes[mid].cp < cp)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

uint32_t trie_find(const struct trie *t, uint32_t node, uint32_t cp)
{
    uint32_t at = t->nodes[node].first, end = t->nodes[node + 1].first;

    if (node < TRIE_ROOTS && cp < TRIE_ASCII)
        return t->from_root[node][cp];
    if (end - at > 32)
        at = first_from(t, at, end, cp);
    while (at < end && t->nodes[at].cp < cp)
        at++;
    return at < end && t->nodes[at].cp == cp ? at : 0;
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
    uint32_t child = t->edges[edge_slot(t, node, cp)].child;

    if (child)
        return child;
    if (t->edge_count * 2 >= t->edge_cap && !edges_double(t))
        return 0;
    if (!grow((void **)&t->nodes, &t->node_cap, t->node_count, sizeof *t->nodes))
        return 0;
    child = (uint32_t)t->node_count++;
    t->edges[edge_slot(t, node, cp)] = (struct trie_edge){node, cp, child};
    t->edge_count++;
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

/* --- sealing --- */

struct sealing {
    struct trie_edge *by_node; /* each node's behind each other, by cp */
    uint32_t *first;           /* of each node, and behind the last */
    uint32_t *old;             /* what each new node was */
    struct trie_node *nodes;   /* and one behind the last */
    struct trie_mark *marks;
};

static int by_cp(const void *a, const void *b)
{
    uint32_t x = ((const struct trie_edge *)a)->cp, y = ((const struct trie_edge *)b)->cp;

    return x < y ? -1 : x > y;
}

static void sort_edges(const struct trie *t, struct sealing *s)
{
    uint32_t *filled = s->old; /* for now */

    for (size_t i = 0; i < t->edge_cap; i++)
        if (t->edges[i].child)
            s->first[t->edges[i].node + 1]++;
    for (size_t n = 0; n < t->node_count; n++) {
        s->first[n + 1] += s->first[n];
        filled[n] = s->first[n];
    }
    for (size_t i = 0; i < t->edge_cap; i++)
        if (t->edges[i].child) {
            uint32_t n = t->edges[i].node;
            s->by_node[filled[n]++] = t->edges[i];
        }
    for (size_t n = 0; n < t->node_count; n++)
        if (s->first[n + 1] - s->first[n] > 1)
            qsort(s->by_node + s->first[n], s->first[n + 1] - s->first[n], sizeof *s->by_node,
                  by_cp);
}

/* Its marks behind each other, in their order; returns what the node has of them. */
static uint32_t lay_marks(const struct trie *t, uint32_t from, struct trie_mark *to,
                          uint32_t *count)
{
    uint32_t begin = *count;

    for (uint32_t i = from; i; i = t->marks[i - 1].next) {
        to[*count] = t->marks[i - 1];
        ++*count;
        to[*count - 1].next = t->marks[i - 1].next ? *count + 1 : 0;
    }
    return from ? begin + 1 : 0;
}

static void lay_nodes(const struct trie *t, struct sealing *s)
{
    uint32_t count = TRIE_ROOTS, marks = 0;

    for (uint32_t n = 0; n < TRIE_ROOTS; n++)
        s->old[n] = n;
    for (uint32_t n = 0; n < count; n++) {
        struct trie_node *node = &s->nodes[n];
        uint32_t was = s->old[n];
        node->first = count;
        node->marks = lay_marks(t, t->nodes[was].marks, s->marks, &marks);
        for (uint32_t i = s->first[was]; i < s->first[was + 1]; i++) {
            node->ways |= 1u << s->by_node[i].cp % 32;
            s->nodes[count].cp = s->by_node[i].cp;
            s->old[count++] = s->by_node[i].child;
        }
    }
    s->nodes[count].first = count;
}

static void index_roots(struct trie *t)
{
    for (uint32_t root = 0; root < TRIE_ROOTS; root++)
        for (uint32_t n = t->nodes[root].first; n < t->nodes[root + 1].first; n++)
            if (t->nodes[n].cp < TRIE_ASCII)
                t->from_root[root][t->nodes[n].cp] = n;
}

bool trie_seal(struct trie *t)
{
    struct sealing s = {
        .by_node = calloc(t->edge_count + 1, sizeof *s.by_node),
        .first = calloc(t->node_count + 1, sizeof *s.first),
        .old = calloc(t->node_count, sizeof *s.old),
        .nodes = calloc(t->node_count + 1, sizeof *s.nodes),
        .marks = calloc(t->mark_count + 1, sizeof *s.marks),
    };
    bool ok = s.by_node && s.first && s.old && s.nodes && s.marks;

    if (ok) {
        sort_edges(t, &s);
        lay_nodes(t, &s);
        trie_fini(&(struct trie){.edges = t->edges, .nodes = t->nodes, .marks = t->marks});
        *t = (struct trie){.nodes = s.nodes,
                           .node_count = t->node_count + 1,
                           .node_cap = t->node_count + 1,
                           .marks = s.marks,
                           .mark_count = t->mark_count,
                           .mark_cap = t->mark_count + 1};
        index_roots(t);
    } else {
        free(s.nodes);
        free(s.marks);
    }
    free(s.by_node);
    free(s.first);
    free(s.old);
    return ok;
}
