#include "session/recent.h"

#include <stdlib.h>

#include "proto/limits.h"
#include "proto/text.h"

#define BUCKETS 4096u

struct recent_device {
    struct recent_device *next;          /* in its bucket */
    struct recent_device *newer, *older; /* by last use */
    uint64_t hash;
    char device[LIMIT_ID_LEN + 1], child[LIMIT_ID_LEN + 1];
    uint8_t at; /* where the next id goes */
    uint64_t ids[RECENT_IDS];
    uint64_t latest; /* whose answer this is; 0: none */
    bool too_long;
    uint16_t answer_len;
    char *answer; /* RECENT_ANSWER_MAX bytes, made when there is one */
};

static uint64_t hash_of(const struct recent *r, struct span s)
{
    uint64_t h = 14695981039346656037u ^ r->seed; /* FNV-1a */
    for (size_t i = 0; i < s.len; i++)
        h = (h ^ (uint8_t)s.p[i]) * 1099511628211u;
    return h ^ h >> 29;
}

uint64_t recent_id(const struct recent *r, struct span id)
{
    uint64_t h = hash_of(r, id);
    return h ? h : 1;
}

void recent_init(struct recent *r, uint64_t seed, size_t bytes_max)
{
    *r = (struct recent){.seed = seed, .bytes_max = bytes_max};
}

static void drop_answer(struct recent *r, struct recent_device *d)
{
    if (!d->answer)
        return;
    wipe(d->answer, d->answer_len);
    free(d->answer);
    d->answer = NULL;
    d->answer_len = 0;
    r->bytes -= RECENT_ANSWER_MAX;
}

static void unlink_age(struct recent *r, struct recent_device *d)
{
    *(d->newer ? &d->newer->older : &r->newest) = d->older;
    *(d->older ? &d->older->newer : &r->oldest) = d->newer;
}

static void link_newest(struct recent *r, struct recent_device *d)
{
    d->newer = NULL;
    d->older = r->newest;
    *(r->newest ? &r->newest->newer : &r->oldest) = d;
    r->newest = d;
}

static void drop(struct recent *r, struct recent_device *d)
{
    struct recent_device **at = &r->buckets[d->hash % BUCKETS];
    while (*at != d)
        at = &(*at)->next;
    *at = d->next;
    unlink_age(r, d);
    drop_answer(r, d);
    r->bytes -= sizeof *d;
    wipe(d, sizeof *d);
    free(d);
}

void recent_fini(struct recent *r)
{
    while (r->oldest)
        drop(r, r->oldest);
    free(r->buckets);
    r->buckets = NULL;
}

static struct recent_device *find_device(struct recent *r, const char *device)
{
    if (!r->buckets)
        return NULL;
    uint64_t hash = hash_of(r, span_of(device));
    struct recent_device *d = r->buckets[hash % BUCKETS];
    while (d && (d->hash != hash || strcmp(d->device, device) != 0))
        d = d->next;
    return d;
}

/* The pair's, now the newest. What a former child of the device said is dropped. */
static struct recent_device *find(struct recent *r, const char *device, const char *child)
{
    struct recent_device *d = find_device(r, device);
    if (!d)
        return NULL;
    if (strcmp(d->child, child) != 0) {
        drop(r, d);
        return NULL;
    }
    unlink_age(r, d);
    link_newest(r, d);
    return d;
}

/* Makes room for more bytes, at the cost of those longest silent but not of `but`. */
static bool make_room(struct recent *r, size_t bytes, const struct recent_device *but)
{
    while (r->bytes + bytes > r->bytes_max && r->oldest && r->oldest != but)
        drop(r, r->oldest);
    return r->bytes + bytes <= r->bytes_max;
}

static struct recent_device *find_or_add(struct recent *r, const char *device, const char *child)
{
    struct recent_device *d = find(r, device, child);
    if (d)
        return d;
    if (!r->buckets)
        r->buckets = calloc(BUCKETS, sizeof *r->buckets);
    if (!r->buckets || !make_room(r, sizeof *d, NULL) || !(d = calloc(1, sizeof *d)))
        return NULL;
    memcpy(d->device, device, strnlen(device, LIMIT_ID_LEN));
    memcpy(d->child, child, strnlen(child, LIMIT_ID_LEN));
    d->hash = hash_of(r, span_of(d->device));
    struct recent_device **bucket = &r->buckets[d->hash % BUCKETS];
    d->next = *bucket;
    *bucket = d;
    link_newest(r, d);
    r->bytes += sizeof *d;
    return d;
}

static int place_of(const struct recent_device *d, uint64_t id)
{
    for (int i = 0; i < RECENT_IDS; i++)
        if (d->ids[i] == id)
            return i;
    return -1;
}

bool recent_seen(struct recent *r, const char *device, const char *child, uint64_t id)
{
    const struct recent_device *d = find(r, device, child);
    return d && place_of(d, id) >= 0;
}

bool recent_known(struct recent *r, const char *device, const char *child)
{
    const struct recent_device *d = find(r, device, child);
    for (int i = 0; d && i < RECENT_IDS; i++)
        if (d->ids[i])
            return true;
    return false;
}

void recent_add(struct recent *r, const char *device, const char *child, uint64_t id)
{
    struct recent_device *d = find_or_add(r, device, child);
    if (!d)
        return;
    d->ids[d->at] = id;
    d->at = (uint8_t)((d->at + 1) % RECENT_IDS);
}

void recent_forget(struct recent *r, const char *device, const char *child, uint64_t id)
{
    struct recent_device *d = find(r, device, child);
    int i = d ? place_of(d, id) : -1;
    if (i >= 0)
        d->ids[i] = 0;
}

void recent_drop_child(struct recent *r, const char *child)
{
    for (struct recent_device *d = r->newest, *older; d; d = older) {
        older = d->older;
        if (strcmp(d->child, child) == 0)
            drop(r, d);
    }
}

void recent_drop(struct recent *r, const char *device)
{
    struct recent_device *d = find_device(r, device);
    if (d)
        drop(r, d);
}

void recent_answer_begin(struct recent *r, const char *device, const char *child, uint64_t id)
{
    struct recent_device *d = find(r, device, child);
    if (!d)
        return;
    drop_answer(r, d);
    d->latest = id;
    d->too_long = false;
}

void recent_answer_add(struct recent *r, const char *device, const char *child, struct span text)
{
    struct recent_device *d = find(r, device, child);
    if (!d || !d->latest || d->too_long || text.len == 0)
        return;
    if (!d->answer && make_room(r, RECENT_ANSWER_MAX, d) && (d->answer = malloc(RECENT_ANSWER_MAX)))
        r->bytes += RECENT_ANSWER_MAX;
    if (!d->answer || text.len > RECENT_ANSWER_MAX - (size_t)d->answer_len) {
        /* Half an answer is worse than none. */
        drop_answer(r, d);
        d->too_long = true;
        return;
    }
    memcpy(d->answer + d->answer_len, text.p, text.len);
    d->answer_len = (uint16_t)(d->answer_len + text.len);
}

void recent_answer_drop(struct recent *r, const char *device, const char *child)
{
    struct recent_device *d = find(r, device, child);
    if (!d)
        return;
    drop_answer(r, d);
    d->latest = 0;
}

struct span recent_answer(struct recent *r, const char *device, const char *child, uint64_t id)
{
    const struct recent_device *d = find(r, device, child);
    if (!d || d->latest != id || !d->answer)
        return (struct span){"", 0};
    return (struct span){d->answer, d->answer_len};
}
