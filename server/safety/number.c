/* Numbers that lead to somebody: telephones, cards, accounts; in digits of any script, or said in
 * words. Not counting, sums, dates, years, decimals. */
#include "safety/internal.h"

#define DIGITS_MAX 40
#define GROUPS_MAX 40
#define NEAR       48 /* glyphs before a number in which a word says that it is to be called */

struct number {
    unsigned digits, groups;
    uint8_t digit[DIGITS_MAX];
    uint8_t len[GROUPS_MAX]; /* digits of each group */
    char sep[GROUPS_MAX];    /* before it: ' ', '-', '.', ',', '/', ')' */
    bool plus;               /* begins with + or 00 */
    bool words;              /* some of it in words */
    bool full;               /* longer than any number that is looked for */
    size_t till;
};

static bool digit_glyph(const struct folded *f, size_t i)
{
    return i < f->count && f->g[i].kind == GLYPH_DIGIT;
}

static void add_digit(struct number *n, uint8_t digit)
{
    if (n->digits == DIGITS_MAX) {
        n->full = true;
        return;
    }
    n->digit[n->digits++] = digit;
    n->len[n->groups - 1]++;
}

static bool begin_group(struct number *n, char sep)
{
    if (n->groups == GROUPS_MAX) {
        n->full = true;
        return false;
    }
    n->sep[n->groups] = sep;
    n->len[n->groups++] = 0;
    return true;
}

/* One digit in words at i, perhaps "double" before it; its end, or 0. Scripts without spaces may
 * write them without any between. */
static size_t spoken_digit(const struct safety *s, const struct folded *f, size_t i, uint8_t *digit,
                           uint8_t *times)
{
    size_t end = lexicon_at(s, f, i, LEXICON_REPEAT, times);

    if (end) {
        while (end < f->count && f->g[end].kind == GLYPH_SEP)
            end++;
        if (digit_glyph(f, end) && word_ends(f, end + 1)) {
            *digit = (uint8_t)(f->g[end].cp - '0');
            return end + 1;
        }
    } else {
        *times = 1;
        end = i;
    }
    return lexicon_at(s, f, end, LEXICON_DIGIT, digit);
}

/* A number of two digits in words at i, "forty two" or "eleven"; its end, or 0. */
static size_t spoken_pair(const struct safety *s, const struct folded *f, size_t i, uint8_t *value)
{
    uint8_t ones = 0;
    size_t end = lexicon_at(s, f, i, LEXICON_TENS, value), behind = end + 1;

    if (!end || *value % 10 != 0 || *value < 20 || behind >= f->count ||
        f->g[end].kind != GLYPH_SEP)
        return end;
    behind = lexicon_at(s, f, behind, LEXICON_DIGIT, &ones);
    if (!behind || ones == 0)
        return end;
    *value = (uint8_t)(*value + ones);
    return behind;
}

/* What lies between two groups: at most three of these characters; *sep: the one that says most. */
static size_t between_groups(const struct folded *f, size_t i, char *sep)
{
    size_t n = 0;

    *sep = 0;
    while (i + n < f->count && n < 4 && f->g[i + n].kind == GLYPH_SEP) {
        uint32_t cp = f->g[i + n].cp;
        if (cp == 0x2010 || cp == 0x2011 || cp == 0x2012 || cp == 0x2013)
            cp = '-';
        if (cp == 0x60C || cp == 0x3001)
            cp = ',';
        if (cp == 0 || cp >= 0x80 || !strchr(" -.,/()", (int)cp))
            return f->count + 1;
        if (*sep == 0 || *sep == ' ')
            *sep = (char)cp;
        n++;
    }
    return n > 3 ? f->count + 1 : i + n;
}

static void read_number(const struct safety *s, const struct folded *f, size_t i, struct number *n)
{
    char sep = 0;

    while (i < f->count) {
        uint8_t digit = 0, times = 0;
        size_t end;
        if (digit_glyph(f, i)) {
            if (!begin_group(n, sep))
                return;
            for (; digit_glyph(f, i); i++)
                add_digit(n, (uint8_t)(f->g[i].cp - '0'));
            if (i < f->count && f->g[i].kind == GLYPH_LETTER)
                return; /* 12th, 3d: not a number's group */
        } else {
            end = spoken_pair(s, f, i, &digit);
            if (end && !begin_group(n, sep))
                return;
            if (end) {
                add_digit(n, digit / 10);
                digit = digit % 10;
                times = 1;
            } else {
                end = spoken_digit(s, f, i, &digit, &times);
                if (!end || !begin_group(n, sep))
                    return;
            }
            while (times--)
                add_digit(n, digit);
            n->words = true;
            i = end;
        }
        n->till = i;
        i = between_groups(f, i, &sep);
    }
}

/* 1 2 3 4 …, 10 20 30 …, nine eight seven …: a constant step. */
static bool counting(const struct number *n)
{
    long last = 0, diff = 0;
    size_t at = 0;

    for (unsigned g = 0; g < n->groups; g++) {
        long value = 0;
        if (n->len[g] > 9)
            return false;
        for (unsigned k = 0; k < n->len[g]; k++)
            value = value * 10 + n->digit[at++];
        if (g > 1 && value - last != diff)
            return false;
        diff = value - last;
        last = value;
    }
    return n->groups >= 3;
}

static bool seps_are(const struct number *n, const char *set)
{
    for (unsigned g = 1; g < n->groups; g++)
        if (!strchr(set, n->sep[g]))
            return false;
    return true;
}

static bool year(const struct number *n, unsigned group)
{
    size_t at = 0;

    for (unsigned g = 0; g < group; g++)
        at += n->len[g];
    return n->len[group] == 4 &&
           (n->digit[at] == 1 || (n->digit[at] == 2 && n->digit[at + 1] == 0));
}

/* 1,000,000 and 3.14159 and 2024-05-12 and 1914-1918. */
static bool plain_number(const struct number *n)
{
    if (n->groups == 2 && year(n, 0) && year(n, 1))
        return true;
    if (n->groups == 3 && seps_are(n, "-/.") &&
        ((year(n, 0) && n->len[1] <= 2 && n->len[2] <= 2) ||
         (year(n, 2) && n->len[1] <= 2 && n->len[0] <= 2)))
        return true;
    if (n->groups == 2 && (n->sep[1] == '.' || n->sep[1] == ',') &&
        (n->len[0] <= 2 || n->len[1] > 4))
        return true;
    bool thousands = n->groups >= 2 && n->len[0] <= 3 && !n->plus;
    bool zeros = true;
    size_t at = n->len[0];
    for (unsigned g = 1; g < n->groups; g++, at += 3) {
        thousands = thousands && n->len[g] == 3;
        for (unsigned k = 0; k < 3 && thousands; k++)
            zeros = zeros && n->digit[at + k] == 0;
    }
    return thousands && (seps_are(n, ",") || zeros);
}

static bool called(const struct safety *s, const struct folded *f, size_t i)
{
    for (size_t k = i > NEAR ? i - NEAR : 0; k < i; k++)
        if (f->g[k].flags & GLYPH_START && lexicon_at(s, f, k, LEXICON_PHONE, NULL))
            return true;
    return false;
}

static bool block_of_digits(const struct number *n, bool is_called)
{
    unsigned zeros = 0;

    for (unsigned k = n->digits; k > 0 && n->digit[k - 1] == 0; k--)
        zeros++;
    return zeros < 5 && (n->digits >= 9 || is_called);
}

/* Groups as telephone numbers have them, when only spaces or commas stand between. */
static bool phone_groups(const struct number *n)
{
    bool singles = true, pairs = n->groups >= 4, wide = n->groups >= 2;

    for (unsigned g = 0; g < n->groups; g++) {
        singles = singles && n->len[g] == 1;
        pairs = pairs && n->len[g] == 2;
        wide = wide && (n->len[g] >= 3 || g == 0);
    }
    return singles || wide || (n->digit[0] == 0) || (pairs && n->digit[0] == 0);
}

static bool is_phone(const struct safety *s, const struct folded *f, size_t i,
                     const struct number *n)
{
    bool is_called = called(s, f, i);

    if (n->digits < 7 || n->digits > 15 || counting(n))
        return false;
    if (n->words || n->plus)
        return true;
    if (n->groups == 1)
        return block_of_digits(n, is_called);
    if (plain_number(n))
        return false;
    if (seps_are(n, " ,/"))
        return is_called || (!seps_are(n, ",/") && phone_groups(n));
    return n->len[n->groups - 1] >= 2;
}

static bool luhn(const struct number *n)
{
    unsigned sum = 0;

    for (unsigned k = 0; k < n->digits; k++) {
        unsigned d = n->digit[n->digits - 1 - k];
        if (k % 2 == 1)
            d = d * 2 > 9 ? d * 2 - 9 : d * 2;
        sum += d;
    }
    return sum % 10 == 0;
}

size_t number_at(const struct safety *s, const struct folded *f, size_t i, enum contact *what)
{
    size_t start = i;

    if (f->g[i].kind == GLYPH_LETTER &&
        !lexicon_may(&f->g[i], 1u << LEXICON_DIGIT | 1u << LEXICON_TENS | 1u << LEXICON_REPEAT))
        return 0;
    struct number n = {0};
    if (f->g[i].cp == '(' || f->g[i].cp == '+') {
        n.plus = f->g[i].cp == '+';
        start = i + 1 < f->count && f->g[i + 1].cp == ' ' ? i + 2 : i + 1;
        if (!digit_glyph(f, start))
            return 0;
    } else if (!(f->g[i].flags & GLYPH_START)) {
        return 0;
    }
    read_number(s, f, start, &n);
    if (n.full || n.digits < 7)
        return 0;
    n.plus = n.plus || (n.digit[0] == 0 && n.digit[1] == 0 && n.len[0] >= 2);
    *what = CONTACT_CARD;
    if (n.digits >= 13 && n.digits <= 19 && luhn(&n) && !counting(&n) && n.digit[0] != 0)
        return n.till;
    *what = CONTACT_PHONE;
    return is_phone(s, f, i, &n) ? n.till : 0;
}

/* ISO 13616: two letters, two check digits, 11 to 30 of either; what they say modulo 97 is 1. */
size_t iban_at(const struct folded *f, size_t i)
{
    char text[40];
    size_t len = 0, till = i;

    if (!(f->g[i].flags & GLYPH_START))
        return 0;
    for (size_t k = i; k < f->count && len < 34; k++) {
        uint32_t cp = f->g[k].cp;
        bool digit = cp >= '0' && cp <= '9', letter = cp >= 'a' && cp <= 'z';
        if ((len < 2 && !letter) || ((len == 2 || len == 3) && !digit)) {
            if (!((cp == ' ' || cp == '-') && len == 2))
                return 0;
            continue;
        }
        if (digit || letter) {
            text[len++] = (char)cp;
            till = k + 1;
        } else if ((cp != ' ' && cp != '-') || k != till) {
            break;
        }
    }
    /* Words may follow: the longest beginning that is one. */
    for (; len >= 15; len--) {
        unsigned rest = 0;
        for (size_t k = 0; k < len; k++) {
            char c = text[(k + 4) % len];
            rest = c >= 'a' ? (rest * 100 + (unsigned)(c - 'a') + 10) % 97
                            : (rest * 10 + (unsigned)(c - '0')) % 97;
        }
        if (rest == 1 && word_ends(f, till))
            return till;
        while (till > i && !glyph_in_word(&f->g[till - 1]))
            till--;
        till -= till > i;
        while (till > i && !glyph_in_word(&f->g[till - 1]))
            till--;
    }
    return 0;
}
