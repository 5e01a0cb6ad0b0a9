/* The built-in lists as they are once they were read: one block without a pointer in it. make_image
 * writes it when the program is built; linked into the program, it is used where it lies. A head,
 * then the arrays, each behind its size. Only the build that wrote a block opens it, so it is in
 * the byte order and the layout of this machine. */
#include "safety/internal.h"

#include <stdio.h>
#include <utf8proc.h>

#define IMAGE_ALIGN 16

/* Neither has room between its members, nor has what the arrays consist of: the same lists are the
 * same bytes. */
struct head {
    uint32_t size; /* its own */
    uint32_t scripts, atoms, language_count;
    char unicode[IMAGE_ALIGN]; /* version of the tables that the patterns were folded by */
    char languages[LANGUAGES_MAX][LANGUAGE_LEN];
    uint32_t ascii[128];
    uint32_t from_root[TRIE_ROOTS][TRIE_ASCII];
};
struct array {
    uint64_t size, count; /* of one; of them */
};
_Static_assert(sizeof(struct head) ==
                   4 * 4 + IMAGE_ALIGN + LANGUAGES_MAX * LANGUAGE_LEN + (1 + TRIE_ROOTS) * 128 * 4,
               "no padding");
_Static_assert(sizeof(struct head) % IMAGE_ALIGN == 0 && sizeof(struct array) == IMAGE_ALIGN,
               "aligned");
_Static_assert(sizeof(struct trie_node) == 4 * 4 && sizeof(struct trie_mark) == 2 * 4 + 2 + 2,
               "no padding");
_Static_assert(sizeof(struct spelling_slot) == 2 * 4 && sizeof(struct fold_pair) == 2 * 4,
               "no padding");
_Static_assert(sizeof(struct pattern) == 7 + PATTERN_SLOTS && sizeof(struct line) == 4 + 4 * 2,
               "no padding");

#define ARRAYS(X)                                                                                  \
    X(trie.nodes, trie.node_count)                                                                 \
    X(trie.marks, trie.mark_count)                                                                 \
    X(spelling.text, spelling.len)                                                                 \
    X(spelling.slots, spelling.slot_cap)                                                           \
    X(map.pairs, map.count)                                                                        \
    X(patterns, pattern_count)                                                                     \
    X(lines, line_count)                                                                           \
    X(said, said_len)

static size_t padding(size_t bytes)
{
    return (IMAGE_ALIGN - bytes % IMAGE_ALIGN) % IMAGE_ALIGN;
}

static bool put(FILE *f, const void *items, size_t size, size_t count)
{
    static const char zeros[IMAGE_ALIGN];
    struct array a = {size, count};
    size_t pad = padding(size * count);

    return fwrite(&a, sizeof a, 1, f) == 1 && fwrite(items, size, count, f) == count &&
           fwrite(zeros, 1, pad, f) == pad;
}

bool image_write(const struct safety *s, FILE *f)
{
    struct head h = {.size = sizeof h,
                     .scripts = s->scripts,
                     .atoms = s->atoms,
                     .language_count = s->language_count};

    snprintf(h.unicode, sizeof h.unicode, "%s", utf8proc_unicode_version());
    memcpy(h.languages, s->languages, sizeof h.languages);
    memcpy(h.ascii, s->map.ascii, sizeof h.ascii);
    memcpy(h.from_root, s->trie.from_root, sizeof h.from_root);
    if (fwrite(&h, sizeof h, 1, f) != 1)
        return false;
#define X(items, count)                                                                            \
    if (!put(f, s->items, sizeof *s->items, s->count))                                             \
        return false;
    ARRAYS(X)
#undef X
    return true;
}

/* Where the next array lies, behind which *rest then begins; NULL: there is none of that size. */
static void *take(struct span *rest, size_t size, size_t *count)
{
    struct array a;

    if (rest->len < sizeof a)
        return NULL;
    memcpy(&a, rest->p, sizeof a);
    const char *items = rest->p + sizeof a;
    size_t left = rest->len - sizeof a;
    if (a.size != size || a.count > left / size || padding(size * a.count) > left - size * a.count)
        return NULL;
    size_t bytes = size * a.count + padding(size * a.count);
    *rest = (struct span){items + bytes, left - bytes};
    *count = a.count;
    return (void *)(uintptr_t)items; /* nobody writes where it is not owned */
}

int image_open(struct safety *s, struct span image)
{
    struct head h;

    s->in_place = true;
    if (image.len < sizeof h || (uintptr_t)image.p % IMAGE_ALIGN != 0)
        return TEDDY_EINVAL;
    memcpy(&h, image.p, sizeof h);
    if (h.size != sizeof h || h.language_count > LANGUAGES_MAX)
        return TEDDY_EINVAL;
    s->scripts = h.scripts;
    s->atoms = h.atoms;
    s->language_count = h.language_count;
    memcpy(s->languages, h.languages, sizeof h.languages);
    memcpy(s->map.ascii, h.ascii, sizeof h.ascii);
    memcpy(s->trie.from_root, h.from_root, sizeof h.from_root);
    struct span rest = {image.p + sizeof h, image.len - sizeof h};
#define X(items, count)                                                                            \
    s->items = take(&rest, sizeof *s->items, &s->count);                                           \
    if (!s->items)                                                                                 \
        return TEDDY_EINVAL;
    ARRAYS(X)
#undef X
    return rest.len == 0 ? TEDDY_OK : TEDDY_EINVAL;
}

bool image_is_current(struct span image)
{
    struct head h;

    if (image.len < sizeof h)
        return true; /* image_open refuses it */
    memcpy(&h, image.p, sizeof h);
    return strncmp(h.unicode, utf8proc_unicode_version(), sizeof h.unicode) == 0;
}
