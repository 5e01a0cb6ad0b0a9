/* Words of the lists that are written otherwise: misspelt, as they sound, backwards, shortened. A
 * word that no list and no language knows is read as those it comes from; what is known is itself.
 *
 * One table holds what each word of the lists can be found by: itself, its sound, itself with each
 * letter left out. Two words that differ in one letter, or in the order of two, have such a rest in
 * common. */
#include "safety/internal.h"

#include <stdlib.h>

#define LISTED_MIN 4 /* letters of a list's word that is kept: of shorter ones `@ word` tells */
#define LETTER_MIN 6 /* of one that is found with a letter too many, too few, or another */

enum way { WAY_EXACT, WAY_BACK, WAY_SOUND, WAY_REST };

/* An entry of the text: kind, length, letters; of SPELLED_READS, then length and letters of what
 * it is read as. */
struct entry {
    uint8_t kind;
    struct span word, reads;
};

static struct entry entry_at(const struct spelling *s, uint32_t at)
{
    const char *p = s->text + at;
    struct entry e = {.kind = (uint8_t)p[0], .word = {p + 2, (uint8_t)p[1]}};

    e.reads = e.word;
    if (e.kind == SPELLED_READS)
        e.reads = (struct span){p + 3 + e.word.len, (uint8_t)p[2 + e.word.len]};
    return e;
}

static uint32_t hash_of(enum way way, const char *w, size_t n, size_t without)
{
    uint32_t h = 2166136261u + (uint32_t)way;

    for (size_t i = 0; i < n; i++)
        if (i != without)
            h = (h ^ (uint8_t)w[i]) * 16777619u;
    h ^= h >> 15;
    return h ? h : 1; /* 0: a free slot */
}

static bool slot_put(struct spelling *s, uint32_t hash, uint32_t at)
{
    if ((s->count + 1) * 2 > s->slot_cap) {
        struct spelling old = *s;
        s->slot_cap = old.slot_cap ? old.slot_cap * 2 : 1024;
        s->slots = calloc(s->slot_cap, sizeof *s->slots);
        if (!s->slots) {
            *s = old;
            return false;
        }
        s->count = 0;
        for (size_t i = 0; i < old.slot_cap; i++)
            if (old.slots[i].hash)
                slot_put(s, old.slots[i].hash, old.slots[i].at);
        free(old.slots);
    }
    size_t i = hash & (s->slot_cap - 1);
    while (s->slots[i].hash)
        i = (i + 1) & (s->slot_cap - 1);
    s->slots[i] = (struct spelling_slot){hash, at};
    s->count++;
    return true;
}

/* The next slot with that hash from *i on, *i then behind it; false: there is none. */
static bool slot_next(const struct spelling *s, uint32_t hash, size_t *i, uint32_t *at)
{
    while (s->slot_cap && s->slots[*i & (s->slot_cap - 1)].hash) {
        const struct spelling_slot *slot = &s->slots[(*i)++ & (s->slot_cap - 1)];
        if (slot->hash != hash)
            continue;
        *at = slot->at;
        return true;
    }
    return false;
}

static bool exact(const struct spelling *s, struct span word, struct entry *e)
{
    uint32_t at, hash = hash_of(WAY_EXACT, word.p, word.len, SIZE_MAX);

    for (size_t i = hash; slot_next(s, hash, &i, &at);) {
        *e = entry_at(s, at);
        if (e->word.len == word.len && memcmp(e->word.p, word.p, word.len) == 0)
            return true;
    }
    return false;
}

bool spelling_known(const struct spelling *s, struct span word)
{
    struct entry e;

    return exact(s, word, &e) && e.kind != SPELLED_READS;
}

/* --- how a word sounds, roughly, in English and Spanish --- */

static bool soft_vowel(char c)
{
    return c == 'e' || c == 'i' || c == 'y';
}

static char sound_of(const char *w, size_t n, size_t i, size_t *more)
{
    char c = w[i], next = i + 1 < n ? w[i + 1] : '\0';

    if (c == 'p' && next == 'h') {
        *more = 1;
        return 'f';
    }
    if (c == 'q' && next == 'u')
        *more = 1;
    if (c == 'c' && next != 'h')
        return soft_vowel(next) ? 's' : 'k';
    if (c == 'h' && i > 0 && (w[i - 1] == 'c' || w[i - 1] == 's' || w[i - 1] == 't'))
        return 'h';
    switch (c) {
    case 'q':
        return 'k';
    case 'z':
        return 's';
    case 'v':
        return 'b';
    case 'y':
        return 'i';
    case 'h':
        return '\0';
    default:
        return c;
    }
}

/* At most n letters in out. */
static size_t sound(const char *w, size_t n, char *out)
{
    size_t len = 0;

    for (size_t i = 0; i < n; i++) {
        size_t more = 0;
        char c = sound_of(w, n, i, &more);
        i += more;
        if (c && (len == 0 || out[len - 1] != c))
            out[len++] = c;
    }
    return len;
}

/* --- whether two words are near --- */

/* One letter too many in a. */
static bool has_one_more(struct span a, struct span b)
{
    size_t i = 0;

    while (i < b.len && a.p[i] == b.p[i])
        i++;
    return memcmp(a.p + i + 1, b.p + i, b.len - i) == 0;
}

/* One letter for another: a vowel, or one that is close to it in the mouth. */
static bool mistakable(char a, char b)
{
    static const char *const together[] = {"aeiouy", "mn", "bp", "dt", "gj", "sc"};

    for (size_t i = 0; i < sizeof together / sizeof *together; i++)
        if (strchr(together[i], a) && strchr(together[i], b))
            return true;
    return false;
}

static bool near(struct span a, struct span b)
{
    size_t i = 0, n = a.len;

    if (a.len != b.len) {
        size_t least = a.len < b.len ? a.len : b.len;
        return least + 1 >= LETTER_MIN && a.p[0] == b.p[0] &&
               (a.len == b.len + 1   ? has_one_more(a, b)
                : b.len == a.len + 1 ? has_one_more(b, a)
                                     : false);
    }
    while (i < n && a.p[i] == b.p[i])
        i++;
    if (i == n || i == 0)
        return false;
    if (i + 1 < n && a.p[i] == b.p[i + 1] && a.p[i + 1] == b.p[i])
        return memcmp(a.p + i + 2, b.p + i + 2, n - i - 2) == 0;
    return n >= LETTER_MIN && mistakable(a.p[i], b.p[i]) &&
           memcmp(a.p + i + 1, b.p + i + 1, n - i - 1) == 0;
}

static bool is_reverse(struct span a, struct span b)
{
    size_t i = 0;

    while (i < a.len && a.len == b.len && a.p[i] == b.p[b.len - 1 - i])
        i++;
    return i == a.len && a.len == b.len;
}

static bool sounds_like(struct span a, struct span b)
{
    char x[SPELLED_LEN], y[SPELLED_LEN];
    size_t n = sound(a.p, a.len, x);

    return n >= 3 && sound(b.p, b.len, y) == n && memcmp(x, y, n) == 0;
}

/* --- adding --- */

static bool index_listed(struct spelling *s, uint32_t at)
{
    struct span w = entry_at(s, at).word;
    char turned[SPELLED_LEN], key[SPELLED_LEN];

    for (size_t i = 0; i < w.len; i++)
        turned[i] = w.p[w.len - 1 - i];
    if (!slot_put(s, hash_of(WAY_BACK, turned, w.len, SIZE_MAX), at))
        return false;
    if (!slot_put(s, hash_of(WAY_SOUND, key, sound(w.p, w.len, key), SIZE_MAX), at))
        return false;
    for (size_t i = 0; i <= w.len; i++) /* i == len: nothing left out */
        if (!slot_put(s, hash_of(WAY_REST, w.p, w.len, i), at))
            return false;
    return true;
}

bool spelling_add(struct spelling *s, enum spelled kind, struct span word, struct span reads)
{
    struct entry have;

    if (word.len < (kind == SPELLED_LISTED ? LISTED_MIN : 1) || word.len >= SPELLED_LEN ||
        reads.len >= SPELLED_LEN)
        return true; /* nothing that could be misspelt */
    if (exact(s, word, &have) && (have.kind == kind || have.kind == SPELLED_LISTED))
        return true;
    size_t need = s->len + 3 + word.len + reads.len;
    if (need > s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 65536;
        char *more = realloc(s->text, cap);
        if (!more)
            return false;
        s->text = more;
        s->cap = cap;
    }
    uint32_t at = (uint32_t)s->len;
    char *p = s->text + at;
    *p++ = (char)kind;
    *p++ = (char)word.len;
    memcpy(p, word.p, word.len);
    p += word.len;
    *p++ = (char)reads.len;
    if (reads.len > 0)
        memcpy(p, reads.p, reads.len);
    s->len = need;
    if (!slot_put(s, hash_of(WAY_EXACT, word.p, word.len, SIZE_MAX), at))
        return false;
    return kind != SPELLED_LISTED || index_listed(s, at);
}

void spelling_fini(struct spelling *s)
{
    free(s->text);
    free(s->slots);
    *s = (struct spelling){0};
}

/* --- reading --- */

struct reading {
    const struct spelling *s;
    struct span word;
    struct span *out;
    size_t count;
};

static void look(struct reading *r, uint32_t hash, bool (*fits)(struct span, struct span))
{
    uint32_t at;

    for (size_t i = hash; r->count < READINGS_OF_ONE && slot_next(r->s, hash, &i, &at);) {
        struct entry e = entry_at(r->s, at);
        size_t k = 0;
        if (e.kind != SPELLED_LISTED || !fits(r->word, e.word))
            continue;
        while (k < r->count && r->out[k].p != e.word.p)
            k++;
        if (k == r->count)
            r->out[r->count++] = e.word;
    }
}

size_t spelling_read(const struct spelling *s, struct span word, bool *known, struct span *out)
{
    struct reading r = {.s = s, .word = word, .out = out};
    struct entry e;
    char key[SPELLED_LEN];

    *known = exact(s, word, &e);
    if (*known) {
        out[0] = e.reads;
        return e.kind == SPELLED_READS;
    }
    if (word.len < 3)
        return 0;
    look(&r, hash_of(WAY_BACK, word.p, word.len, SIZE_MAX), is_reverse);
    look(&r, hash_of(WAY_SOUND, key, sound(word.p, word.len, key), SIZE_MAX), sounds_like);
    for (size_t i = 0; i <= word.len; i++)
        look(&r, hash_of(WAY_REST, word.p, word.len, i), near);
    return r.count;
}
