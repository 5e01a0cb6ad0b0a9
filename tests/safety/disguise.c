#include "disguise.h"

#include <ctype.h>
#include <stdlib.h>
#include <utf8proc.h>

#define TEXT_MAX 512 /* characters of a line */

struct text {
    size_t count;
    uint32_t cp[8 * TEXT_MAX];
};

static const char *const names[DISGUISE_COUNT] = {
    "look-alikes", "leet digits",    "leet signs",    "spaced apart", "dotted apart",
    "repeated",    "invisible",      "marks",         "full-width",   "bold letters",
    "reversed",    "cut by a space", "a word a line", "misspelt"};

const char *disguise_name(enum disguise d)
{
    return names[d];
}

static uint32_t state;
static uint32_t dice(uint32_t n)
{
    state = state * 1664525u + 1013904223u;
    return (state >> 16) % n;
}

static void put(struct text *t, uint32_t cp)
{
    if (t->count == sizeof t->cp / sizeof *t->cp)
        exit(2);
    t->cp[t->count++] = cp;
}

static bool is_latin(uint32_t cp)
{
    return (cp < 0x80 && isalpha((int)cp)) || (cp >= 0xC0 && cp < 0x250);
}

static bool is_letter(uint32_t cp)
{
    return is_latin(cp) || (cp >= 0x620 && cp <= 0x64A) || (cp >= 0x4E00 && cp <= 0x9FFF);
}

static uint32_t swapped(uint32_t cp, const char *from, const uint32_t *to)
{
    const char *at = cp && cp < 0x80 ? strchr(from, tolower((int)cp)) : NULL;

    return at ? to[at - from] : cp;
}

static uint32_t letter_in(enum disguise d, uint32_t cp)
{
    static const uint32_t cyrillic[] = {0x430, 0x441, 0x435, 0x456, 0x43E,
                                        0x440, 0x455, 0x445, 0x443};
    static const uint32_t digits[] = {'4', '3', '1', '0', '5', '7'};
    static const uint32_t signs[] = {'@', '$', '!'};

    switch (d) {
    case DISGUISE_LOOKALIKE:
        return swapped(cp, "aceiopsxy", cyrillic);
    case DISGUISE_LEET:
        return swapped(cp, "aeiost", digits);
    case DISGUISE_SIGNS:
        return swapped(cp, "asi", signs);
    case DISGUISE_FULLWIDTH:
        return cp > 0x20 && cp < 0x7F ? cp + 0xFEE0 : cp;
    default: /* bold */
        if (cp >= 'a' && cp <= 'z')
            return 0x1D41A + (cp - 'a');
        return cp >= 'A' && cp <= 'Z' ? 0x1D400 + (cp - 'A') : cp;
    }
}

/* What stands behind a letter that another follows. */
static void between(enum disguise d, uint32_t cp, struct text *out)
{
    static const uint32_t invisible[] = {0x200B, 0xAD, 0x2060, 0x200D};
    bool arabic = cp >= 0x620 && cp <= 0x64A;

    if (d == DISGUISE_APART)
        put(out, arabic ? 0x640 : ' ');
    else if (d == DISGUISE_DOTTED)
        put(out, '.');
    else if (d == DISGUISE_INVISIBLE)
        put(out, invisible[dice(4)]);
    else if (d == DISGUISE_MARKS)
        put(out, arabic ? 0x64E + dice(3) : 0x300 + dice(20));
}

static void misspell(const uint32_t *w, size_t n, struct text *out)
{
    size_t at = 1 + dice((uint32_t)n - 2);
    uint32_t how = dice(4);

    for (size_t i = 0; i < n; i++) {
        if (i == at && how == 0)
            continue;
        if (i == at && how == 1)
            put(out, w[i]);
        if (i == at && how == 2) {
            put(out, w[i] == 'e' ? 'a' : 'e');
            continue;
        }
        if (i == at && how == 3 && i + 1 < n) {
            put(out, w[i + 1]);
            put(out, w[i++]);
            continue;
        }
        put(out, w[i]);
    }
}

static void word(enum disguise d, const uint32_t *w, size_t n, struct text *out)
{
    bool latin = is_latin(w[0]);
    size_t at = n > 2 ? 1 + dice((uint32_t)n - 2) : 0;

    if (d == DISGUISE_MISSPELT && latin && n >= 6) {
        misspell(w, n, out);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        bool one_letter = n < 3 && latin; /* "I" and "to" stay */
        if (d == DISGUISE_CUT && latin && n >= 4 && i == 1 + at % (n - 1))
            put(out, ' ');
        if (d <= DISGUISE_SIGNS || d == DISGUISE_FULLWIDTH || d == DISGUISE_BOLD)
            put(out, one_letter && d <= DISGUISE_SIGNS ? w[i] : letter_in(d, w[i]));
        else
            put(out, w[i]);
        if (i + 1 < n && !(one_letter && d == DISGUISE_APART))
            between(d, w[i], out);
        if (d == DISGUISE_REPEAT && n >= 3 && i == at)
            for (int k = 0; k < 3; k++)
                put(out, latin ? w[i] : 0x640);
    }
}

static bool fits(enum disguise d, const char *lang)
{
    if (strcmp(lang, "en") == 0 || strcmp(lang, "es") == 0)
        return true;
    if (strcmp(lang, "ar") == 0)
        return d == DISGUISE_APART || d == DISGUISE_REPEAT || d == DISGUISE_INVISIBLE ||
               d == DISGUISE_MARKS || d == DISGUISE_LINES;
    return d == DISGUISE_APART || d == DISGUISE_INVISIBLE || d == DISGUISE_DOTTED;
}

static void decode(const struct corpus_line *l, struct text *t)
{
    utf8proc_int32_t cp;

    for (size_t at = 0; at < l->len && t->count < TEXT_MAX;) {
        utf8proc_ssize_t n =
            utf8proc_iterate((const uint8_t *)l->text + at, (utf8proc_ssize_t)(l->len - at), &cp);
        if (n < 1)
            break;
        put(t, (uint32_t)cp);
        at += (size_t)n;
    }
}

static char *encode(const struct text *t)
{
    char *out = malloc(t->count * 4 + 1);
    size_t len = 0;

    for (size_t i = 0; i < t->count; i++)
        len += (size_t)utf8proc_encode_char((utf8proc_int32_t)t->cp[i], (uint8_t *)out + len);
    out[len] = '\0';
    return out;
}

char *disguise(enum disguise d, const struct corpus_line *l)
{
    static struct text plain, out;

    if (!fits(d, l->lang))
        return NULL;
    plain.count = out.count = 0;
    state = 7;
    decode(l, &plain);
    for (size_t i = 0, n; i < plain.count; i += n) {
        for (n = 0; i + n < plain.count && is_letter(plain.cp[i + n]); n++)
            ;
        if (n > 0) {
            word(d, plain.cp + i, n, &out);
            continue;
        }
        bool space = plain.cp[i] == ' ';
        put(&out, space && d == DISGUISE_LINES ? '\n' : plain.cp[i]);
        if (space && d == DISGUISE_APART)
            put(&out, ' ');
        n = 1;
    }
    for (size_t i = 0; d == DISGUISE_REVERSED && i < out.count / 2; i++) {
        uint32_t cp = out.cp[i];
        out.cp[i] = out.cp[out.count - 1 - i];
        out.cp[out.count - 1 - i] = cp;
    }
    return encode(&out);
}
