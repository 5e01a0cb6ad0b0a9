/* Addresses: of mail, of the web, of houses. */
#include "safety/internal.h"

#define LABELS_MAX 12
#define LABEL_LEN  64 /* RFC 1035, and one */
#define NAME_WORDS 5  /* of a street */

/* One of these signs: letters and digits are not asked for. */
static bool cp_is(const struct folded *f, size_t i, const char *set)
{
    if (i >= f->count || f->g[i].kind != GLYPH_SEP)
        return false;
    while (*set && (uint8_t)*set != f->g[i].cp)
        set++;
    return *set != '\0';
}

static bool ascii_word(const struct folded *f, size_t i)
{
    return i < f->count && glyph_in_word(&f->g[i]) && f->g[i].cp < 0x80;
}

static size_t skip_spaces(const struct folded *f, size_t i)
{
    while (cp_is(f, i, " \t"))
        i++;
    return i;
}

/* "." without spaces, or said, or dressed up: " dot ", "(dot)", "[.]", " . ". *spaced: not plainly
 * written. Its end, or 0. */
static size_t dot_at(const struct safety *s, const struct folded *f, size_t i, bool *spaced)
{
    size_t k = i;

    *spaced = false;
    if (cp_is(f, i, ".") || (i < f->count && f->g[i].cp == 0x3002))
        if (i + 1 < f->count && glyph_in_word(&f->g[i + 1]))
            return i + 1;
    *spaced = true;
    while (cp_is(f, k, " ([{"))
        k++;
    if (k == f->count)
        return 0;
    size_t end = cp_is(f, k, ".,") ? k + 1 : lexicon_at(s, f, k, LEXICON_DOT, NULL);
    if (!end)
        return 0;
    while (cp_is(f, end, " )]}"))
        end++;
    return end < f->count && end > i ? end : 0;
}

static size_t label_end(const struct folded *f, size_t i)
{
    size_t most = i + LABEL_LEN;

    while (i < f->count && i < most &&
           (glyph_in_word(&f->g[i]) ||
            (cp_is(f, i, "-_") && i > 0 && i + 1 < f->count && glyph_in_word(&f->g[i + 1]))))
        i++;
    return i;
}

/* "It is late.Go home" is no domain: one in plain writing is not capitalised behind its dot. */
static bool capital(const struct folded *f, size_t i)
{
    char c = f->source.p[f->g[i].from];

    return c >= 'A' && c <= 'Z';
}

/* label dot label …, the last of them a known ending unless sure. Its end, or 0. */
static size_t domain_at(const struct safety *s, const struct folded *f, size_t i, bool sure)
{
    size_t end = label_end(f, i), best = 0;
    bool spaced, any_spaced = false;

    if (end == i)
        return 0;
    for (unsigned n = 0; n < LABELS_MAX; n++) {
        uint8_t strong = 0;
        size_t next = dot_at(s, f, end, &spaced);
        if (!next || (!glyph_in_word(&f->g[next]) && f->g[next].kind != GLYPH_HAN))
            break;
        any_spaced |= spaced;
        size_t tld = lexicon_at(s, f, next, LEXICON_TLD, &strong);
        bool shouting = capital(f, next) && !capital(f, i);
        if (tld && (strong || !any_spaced) && (!shouting || sure))
            best = tld;
        end = label_end(f, next);
        if (end == next)
            break;
        if (sure && !spaced && end - next >= 2)
            best = best > end ? best : end;
    }
    return best;
}

/* Port, path, query: up to a space or a character that no address has. */
static size_t path_end(const struct folded *f, size_t i)
{
    if (!cp_is(f, i, "/:?#"))
        return i;
    while (i < f->count && f->g[i].cp > ' ' && f->g[i].cp < 0x80 && !cp_is(f, i, "<>\"()"))
        i++;
    while (i > 0 && cp_is(f, i - 1, ".,!?;:'"))
        i--;
    return i;
}

static bool word_is(const struct folded *f, size_t i, const char *word)
{
    size_t n = 0;

    while (word[n] && i + n < f->count && f->g[i + n].cp == (uint8_t)word[n])
        n++;
    return word[n] == '\0';
}

/* http://…, hxxps://…, also with spaces between. */
static size_t scheme_at(const struct folded *f, size_t i)
{
    static const char *const schemes[] = {"http", "hxxp", "ftp", "file"};

    for (size_t k = 0; k < sizeof schemes / sizeof *schemes; k++) {
        if (!word_is(f, i, schemes[k]))
            continue;
        size_t at = i + strlen(schemes[k]);
        at += word_is(f, at, "s");
        at = skip_spaces(f, at);
        if (!cp_is(f, at, ":"))
            continue;
        at = skip_spaces(f, at + 1);
        if (!cp_is(f, at, "/\\"))
            continue;
        while (cp_is(f, at, "/\\ "))
            at++;
        return at;
    }
    return 0;
}

static size_t link_at(const struct safety *s, const struct folded *f, size_t i)
{
    size_t at = scheme_at(f, i);

    if (at) {
        size_t end = domain_at(s, f, at, true);
        if (!end)
            end = label_end(f, at);
        size_t far = path_end(f, end);
        return far > i ? far : at;
    }
    if (word_is(f, i, "www") && word_ends(f, i + 3)) {
        size_t end = domain_at(s, f, i, true);
        return end ? path_end(f, end) : i + 3;
    }
    size_t end = domain_at(s, f, i, false);
    return end ? path_end(f, end) : 0;
}

/* What stands before an @, written or said: name, name.name, name dot name. */
static size_t local_end(const struct safety *s, const struct folded *f, size_t i)
{
    size_t end = label_end(f, i);
    bool spaced;

    for (unsigned n = 0; end > i && n < LABELS_MAX; n++) {
        size_t next = cp_is(f, end, ".+%-_") ? end + 1 : dot_at(s, f, end, &spaced);
        size_t till = next ? label_end(f, next) : 0;
        if (!next || till == next)
            break;
        end = till;
    }
    return end;
}

static size_t at_sign(const struct safety *s, const struct folded *f, size_t i)
{
    size_t k = i;

    while (cp_is(f, k, " ([{"))
        k++;
    if (k == f->count)
        return 0;
    size_t end = f->g[k].cp == '@' ? k + 1 : lexicon_at(s, f, k, LEXICON_AT, NULL);
    while (end && cp_is(f, end, " )]}"))
        end++;
    return end < f->count ? end : 0;
}

/* A word that names neither street nor mailbox: "2 dogs cross the road". */
static bool plain(const struct safety *s, const struct folded *f, size_t i)
{
    return lexicon_at(s, f, i, LEXICON_PLAIN, NULL) != 0;
}

static size_t mail_at(const struct safety *s, const struct folded *f, size_t i)
{
    size_t local = local_end(s, f, i), host;

    if (local == i || !(host = at_sign(s, f, local)))
        return 0;
    bool written = false;
    for (size_t k = local; k < host; k++)
        written |= f->g[k].cp == '@';
    if (!written && plain(s, f, i)) /* "look at teddy.com" */
        return 0;
    return domain_at(s, f, host, written);
}

/* @name of some network. */
static size_t handle_at(const struct folded *f, size_t i)
{
    size_t end = i + 1;

    if (f->g[i].cp != '@' || (i > 0 && glyph_in_word(&f->g[i - 1])))
        return 0;
    while (ascii_word(f, end) || cp_is(f, end, "_"))
        end++;
    return end - i >= 5 ? end : 0;
}

/* --- houses --- */

static size_t word_end(const struct folded *f, size_t i)
{
    while (i < f->count && glyph_in_word(&f->g[i]))
        i++;
    return i;
}

static size_t next_word(const struct folded *f, size_t i)
{
    size_t n = 0;

    while (i < f->count && f->g[i].kind == GLYPH_SEP && n < 3) {
        if (cp_is(f, i, "!?;:\n"))
            return f->count;
        i++;
        n++;
    }
    return i < f->count && glyph_in_word(&f->g[i]) ? i : f->count;
}

/* 12, 12b, or a digit in words; its end, or 0. */
static size_t house_number(const struct safety *s, const struct folded *f, size_t i)
{
    size_t end = i;

    while (end < f->count && f->g[end].kind == GLYPH_DIGIT)
        end++;
    if (end > i && end - i <= 5) {
        if (end < f->count && f->g[end].kind == GLYPH_LETTER && word_ends(f, end + 1))
            end++;
        return word_ends(f, end) ? end : 0;
    }
    return end > i ? 0 : lexicon_at(s, f, i, LEXICON_DIGIT, NULL);
}

/* 18 Maple Street */
static size_t street_at(const struct safety *s, const struct folded *f, size_t i)
{
    size_t at = house_number(s, f, i);

    for (unsigned n = 0; at && at < f->count && n <= NAME_WORDS; n++) {
        size_t word = next_word(f, at);
        if (word == f->count)
            return 0;
        uint8_t weak = 0;
        size_t end = n > 0 ? lexicon_at(s, f, word, LEXICON_STREET, &weak) : 0;
        if (end && (!weak || capital(f, word)))
            return end;
        if (plain(s, f, word))
            return 0;
        at = word_end(f, word);
    }
    return 0;
}

/* calle Mayor 15 */
static size_t calle_at(const struct safety *s, const struct folded *f, size_t i)
{
    size_t at = lexicon_at(s, f, i, LEXICON_CALLE, NULL);

    for (unsigned n = 0; at && at < f->count && n <= NAME_WORDS; n++) {
        size_t word = next_word(f, at);
        if (word == f->count)
            return 0;
        size_t end = n > 0 ? house_number(s, f, word) : 0;
        if (end)
            return end;
        if (plain(s, f, word))
            return 0;
        at = word_end(f, word);
    }
    return 0;
}

/* 建国路88号: from the street's name, of which two characters are taken, to what follows the
 * number. */
static size_t hao_at(const struct safety *s, const struct folded *f, size_t i)
{
    size_t at = 0;

    for (size_t k = i; k < f->count && k < i + 5 && !at; k++)
        if (f->g[k].kind == GLYPH_HAN && k > i)
            at = lexicon_at(s, f, k, LEXICON_HAO, NULL);
        else if (f->g[k].kind != GLYPH_HAN)
            return 0;
    if (!at)
        return 0;
    size_t end = skip_spaces(f, at), digits = 0;
    while (end < f->count && digits < 6) {
        size_t next =
            f->g[end].kind == GLYPH_DIGIT ? end + 1 : lexicon_at(s, f, end, LEXICON_DIGIT, NULL);
        if (!next)
            break;
        end = next;
        digits++;
    }
    if (!digits)
        return 0;
    size_t house = lexicon_at(s, f, skip_spaces(f, end), LEXICON_HOUSE, NULL);
    return house ? house : 0;
}

static size_t home_at(const struct safety *s, const struct folded *f, size_t i)
{
    if (f->g[i].kind == GLYPH_HAN)
        return hao_at(s, f, i);
    size_t end = street_at(s, f, i);

    return end ? end : calle_at(s, f, i);
}

/* --- all of them --- */

/* Most words: the next follows behind a space and is neither "at" nor "dot", or none follows. No
 * address of mail or of the web begins with such a word, but "www". */
static bool stands_alone(const struct folded *f, size_t i)
{
    size_t end = label_end(f, i), next = end + 1;

    return end == f->count ||
           (f->g[end].cp == ' ' && next < f->count && glyph_in_word(&f->g[next]) &&
            !lexicon_may(&f->g[next], 1u << LEXICON_AT | 1u << LEXICON_DOT));
}

static size_t any_at(const struct safety *s, const struct folded *f, size_t i, enum contact *what)
{
    const struct glyph *g = &f->g[i];
    bool word = g->flags & GLYPH_START && g->kind != GLYPH_SYMBOL;
    size_t end;

    if (!word && !cp_is(f, i, "(+@"))
        return 0;
    if ((end = handle_at(f, i))) {
        *what = CONTACT_MAIL;
        return end;
    }
    if (word && g->kind == GLYPH_LETTER && i + 2 < f->count && f->g[i + 2].kind != GLYPH_LETTER &&
        (end = iban_at(f, i))) {
        *what = CONTACT_IBAN;
        return end;
    }
    if ((end = number_at(s, f, i, what)))
        return end;
    if (!word)
        return 0;
    bool address = g->kind != GLYPH_HAN && (g->cp == 'w' || !stands_alone(f, i));
    *what = CONTACT_MAIL;
    if (address && (end = mail_at(s, f, i)))
        return end;
    *what = CONTACT_LINK;
    if (address && (end = link_at(s, f, i)))
        return end;
    *what = CONTACT_HOME;
    return home_at(s, f, i);
}

void contact_find(const struct safety *s, struct folded *f, struct pieces *out)
{
    out->count = 0;
    out->overflow = false;
    lexicons_mark(s, f);
    for (size_t i = 0; i < f->count;) {
        enum contact what = CONTACT_LINK;
        size_t end = any_at(s, f, i, &what);
        if (!end) {
            i++;
            continue;
        }
        if (out->count == PIECES_MAX) {
            out->overflow = true;
            return;
        }
        out->p[out->count++] = (struct piece_out){f->g[i].from, f->g[end - 1].till, (uint8_t)what};
        i = end;
    }
}
