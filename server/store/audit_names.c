/* The pseudonyms that the writer has computed, so that a toy that claims again costs neither a
 * look-up of its child's key nor an HMAC. A child is found by a keyed hash of its id: neither id
 * nor key is in here. */
#include <openssl/rand.h>
#include <stdlib.h>

#include "proto/text.h"
#include "store/audit.h"
#include "store/internal.h"

#define WAYS      4u         /* places that a child may have */
#define SLOTS_MIN 1024u      /* powers of 2 */
#define SLOTS_MAX (1u << 19) /* 16 MiB */

struct name {
    uint8_t tag[AUDIT_CHILD_LEN]; /* all 0: free */
    uint8_t child[AUDIT_CHILD_LEN];
};

struct audit_names {
    uint8_t key[AUDIT_CHILD_LEN];
    struct name *slot; /* NULL: none yet */
    size_t slots;
};

struct audit_names *audit_names_new(void)
{
    struct audit_names *n = calloc(1, sizeof *n);
    if (n == NULL || RAND_bytes(n->key, sizeof n->key) == 1)
        return n;
    free(n);
    return NULL;
}

void audit_names_clear(struct audit_names *n)
{
    if (n->slot != NULL)
        wipe(n->slot, n->slots * sizeof *n->slot);
    free(n->slot);
    n->slot = NULL;
    n->slots = 0;
}

void audit_names_free(struct audit_names *n)
{
    if (n == NULL)
        return;
    audit_names_clear(n);
    free(n);
}

bool audit_names_tag(const struct audit_names *n, struct audit_hasher *h, const char *child_id,
                     uint8_t tag[AUDIT_CHILD_LEN])
{
    uint8_t hash[AUDIT_HASH_LEN];
    if (!audit_keyed_hash(h, n->key, span_of(child_id), hash))
        return false;
    memcpy(tag, hash, AUDIT_CHILD_LEN);
    return true;
}

static struct name *ways_of(struct name *slot, size_t slots, const uint8_t tag[AUDIT_CHILD_LEN])
{
    uint64_t at;
    memcpy(&at, tag, sizeof at);
    return slot + (at & (slots - 1) & ~(size_t)(WAYS - 1));
}

static struct name *way_of(const struct audit_names *n, const uint8_t tag[AUDIT_CHILD_LEN])
{
    struct name *ways = n->slot != NULL ? ways_of(n->slot, n->slots, tag) : NULL;
    for (unsigned i = 0; ways != NULL && i < WAYS; i++)
        if (memcmp(ways[i].tag, tag, AUDIT_CHILD_LEN) == 0)
            return &ways[i];
    return NULL;
}

const uint8_t *audit_names_find(const struct audit_names *n, const uint8_t tag[AUDIT_CHILD_LEN])
{
    const struct name *way = way_of(n, tag);
    return way != NULL ? way->child : NULL;
}

static struct name *free_way(struct name *slot, size_t slots, const uint8_t tag[AUDIT_CHILD_LEN])
{
    static const uint8_t none[AUDIT_CHILD_LEN];
    struct name *ways = ways_of(slot, slots, tag);
    for (unsigned i = 0; i < WAYS; i++)
        if (memcmp(ways[i].tag, none, sizeof none) == 0)
            return &ways[i];
    return NULL;
}

/* Those of one group of ways come into two. */
static void grow(struct audit_names *n)
{
    size_t slots = n->slots > 0 ? 2 * n->slots : SLOTS_MIN;
    struct name *slot = slots <= SLOTS_MAX ? calloc(slots, sizeof *slot) : NULL;
    if (slot == NULL)
        return;
    for (size_t i = 0; i < n->slots; i++) {
        struct name *way = free_way(slot, slots, n->slot[i].tag);
        if (way != NULL)
            *way = n->slot[i];
    }
    audit_names_clear(n);
    n->slot = slot;
    n->slots = slots;
}

void audit_names_put(struct audit_names *n, const uint8_t tag[AUDIT_CHILD_LEN],
                     const uint8_t child[AUDIT_CHILD_LEN])
{
    struct name *way = n->slot != NULL ? free_way(n->slot, n->slots, tag) : NULL;
    if (way == NULL) {
        grow(n);
        if (n->slot == NULL)
            return;
        way = free_way(n->slot, n->slots, tag);
    }
    if (way == NULL) /* somebody has to go */
        way = ways_of(n->slot, n->slots, tag) + tag[AUDIT_CHILD_LEN - 1] % WAYS;
    memcpy(way->tag, tag, AUDIT_CHILD_LEN);
    memcpy(way->child, child, AUDIT_CHILD_LEN);
}

void audit_names_forget(struct audit_names *n, const uint8_t tag[AUDIT_CHILD_LEN])
{
    struct name *way = way_of(n, tag);
    if (way != NULL)
        wipe(way, sizeof *way);
}
