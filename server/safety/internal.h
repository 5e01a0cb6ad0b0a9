/* Between the files of this room: text folded to what it is compared as, the trie of what is looked
 * for, and the findings. */
#ifndef SAFETY_INTERNAL_H
#define SAFETY_INTERNAL_H

#include <stdio.h>

#include "safety/safety.h"

/* --- folded text (fold.c) --- */

enum script {
    SCRIPT_NONE,
    SCRIPT_LATIN,
    SCRIPT_ARABIC,
    SCRIPT_HAN,
    SCRIPT_CYRILLIC,
    SCRIPT_GREEK,
    SCRIPT_HEBREW,
    SCRIPT_DEVANAGARI,
    SCRIPT_KANA,
    SCRIPT_HANGUL,
    SCRIPT_THAI,
    SCRIPT_OTHER,
};
enum script script_find(struct span name); /* SCRIPT_NONE: unknown */

enum glyph_kind { GLYPH_SEP, GLYPH_LETTER, GLYPH_DIGIT, GLYPH_HAN, GLYPH_SYMBOL };

enum glyph_flag {
    GLYPH_START = 1,     /* a word may begin here */
    GLYPH_SOFT = 2,      /* a separator that may be overlooked: k-i-l-l */
    GLYPH_LEET = 4,      /* may stand for a letter: h3llo */
    GLYPH_REPEAT = 8,    /* like the one before, in a run that no word has: helllo */
    GLYPH_REPEATED = 16, /* the third of such a run and on */
    /* of match.c, about a single space between two words, and about a word's first letter */
    GLYPH_CUT = 32,     /* one of the words is none: fu ck */
    GLYPH_JOIN = 64,    /* both may be: a long word may still be cut there */
    GLYPH_MISREAD = 128 /* it has readings */
};

/* One character as it is compared. */
struct glyph {
    uint32_t cp;
    uint16_t from, till; /* bytes of the source */
    uint16_t word;       /* 2 a word, 1 a character of a script without spaces */
    uint16_t lexicons;   /* 1 << enum lexicon of those that begin here, see lexicons_mark */
    uint8_t kind, flags;
};

#define GLYPHS_MAX SAFETY_IN_MAX

struct folded {
    struct span source;
    size_t count;
    uint32_t scripts; /* 1 << enum script of words of which at least two letters are of it */
    struct glyph g[]; /* storage of the caller: GLYPHS_MAX, or that of a sentence */
};

struct fold_pair {
    uint32_t from, to;
};
struct fold_map { /* characters that are compared as another: look-alikes, variants */
    struct fold_pair *pairs;
    size_t count, cap;
    uint32_t ascii[128]; /* of those; 0: itself */
};
uint32_t fold_map_get(const struct fold_map *m, uint32_t cp);

/* False: not UTF-8, or more than max glyphs. */
bool fold_text(const struct fold_map *map, struct span source, struct folded *f, size_t max);
/* Characters that neither leave the server nor reach the child: control, bidirectional, zero-width,
 * not assigned. Line feed and tab are not among them. */
bool unspeakable(uint32_t cp);
/* The text from its end to its beginning. */
void fold_reverse(const struct folded *f, struct folded *out);
bool is_han(uint32_t cp); /* of a script without spaces */
/* Where the glyph at i ends a word; i - 1 must exist. */
bool word_ends(const struct folded *f, size_t i);
static inline bool glyph_in_word(const struct glyph *g)
{
    return g->kind == GLYPH_LETTER || g->kind == GLYPH_DIGIT;
}

/* --- what is looked for (trie.c, pattern.c) --- */

struct trie_edge {
    uint32_t node, cp, child; /* child 0: free */
};
struct trie_node {
    uint32_t cp;    /* that leads here */
    uint32_t first; /* child; the others follow, by cp, up to the first of the next node */
    uint32_t ways;  /* bits of the characters that lead on: most do not, and need no search */
    uint32_t marks; /* index of the first + 1 */
};
struct trie_mark { /* an atom that ends at a node; a chain */
    uint32_t pattern, next;
    uint8_t slot;
    bool prefix;     /* the word may go on */
    uint16_t unused; /* 0, where padding would be anything */
};
enum { TRIE_WORD = 1, TRIE_INSIDE = 2, TRIE_LEXICON = 3, TRIE_ROOTS = 4 }; /* nodes */
#define TRIE_ASCII 128
struct trie {
    struct trie_edge *edges;     /* NULL once it is sealed */
    size_t edge_count, edge_cap; /* cap: a power of two */
    struct trie_node *nodes;
    size_t node_count, node_cap; /* once it is sealed, with one behind the last */
    struct trie_mark *marks;
    size_t mark_count, mark_cap;
    uint32_t from_root[TRIE_ROOTS][TRIE_ASCII]; /* children, once it is sealed */
};

bool trie_init(struct trie *t);
void trie_fini(struct trie *t);
uint32_t trie_find(const struct trie *t, uint32_t node, uint32_t cp);
static inline uint32_t trie_child(const struct trie *t, uint32_t node, uint32_t cp) /* 0: none */
{
    return t->nodes[node].ways >> (cp % 32) & 1 ? trie_find(t, node, cp) : 0;
}
/* The node there, made when it is not; 0: out of memory. Before it is sealed, as trie_mark. */
uint32_t trie_grow(struct trie *t, uint32_t node, uint32_t cp);
bool trie_mark(struct trie *t, uint32_t node, struct trie_mark mark);
/* All is in it: put close together, level by level, as it is searched from now on. Only then has
 * it children. False: out of memory. */
bool trie_seal(struct trie *t);

enum pattern_does { DOES_IN = 1, DOES_OUT = 2, DOES_BLOCK = 4, DOES_ALERT = 8, DOES_ALLOW = 16 };

#define PATTERN_SLOTS 10

struct pattern {
    uint8_t does, category, below; /* below: ages under it; 0: all */
    uint8_t slots;
    uint8_t gap[PATTERN_SLOTS]; /* before slot n: half words that may lie between */
    uint8_t language;           /* own: only for children of that language, index + 1; 0: for all */
    uint8_t lexicon, value;     /* of a lexicon's entry */
};

enum lexicon {
    LEXICON_NONE,   /* as a bit of a glyph: it was walked from */
    LEXICON_DIGIT,  /* value: 0 to 9 */
    LEXICON_TENS,   /* value: 10 to 99 */
    LEXICON_REPEAT, /* value: how often the next digit */
    LEXICON_PHONE,  /* a number near it is one to call */
    LEXICON_AT,
    LEXICON_DOT,
    LEXICON_TLD,    /* value 1: also when a space stands before it */
    LEXICON_STREET, /* number, name, this; value 1: only when written with a capital */
    LEXICON_PLAIN,  /* in no street's and no mailbox's name */
    LEXICON_CALLE,  /* this, name, number */
    LEXICON_HAO,    /* this, number, 号 */
    LEXICON_HOUSE,  /* what follows the number there */
};

/* --- words written otherwise (spelling.c) --- */

#define SPELLED_LEN     32 /* letters of a word, and one more; longer ones are only themselves */
#define READINGS_OF_ONE 4

enum spelled {
    SPELLED_LISTED, /* a word of a list */
    SPELLED_KNOWN,  /* another word, of which nothing else is read */
    SPELLED_READS,  /* always read as another */
};
struct spelling_slot {
    uint32_t hash, at;
};
struct spelling { /* letters are bytes: ASCII in lower case, and 0xF1 */
    char *text;
    size_t len, cap;
    struct spelling_slot *slots;
    size_t count, slot_cap; /* a power of two */
};
static inline bool spelled_letter(uint32_t cp)
{
    return (cp >= 'a' && cp <= 'z') || cp == 0xF1;
}
/* False: out of memory. reads: of SPELLED_READS alone. What a list has stays that. */
bool spelling_add(struct spelling *s, enum spelled kind, struct span word, struct span reads);
void spelling_fini(struct spelling *s);
bool spelling_known(const struct spelling *s, struct span word);
/* What word may stand for, up to READINGS_OF_ONE of them, that live as long as s. *known: it is a
 * word. */
size_t spelling_read(const struct spelling *s, struct span word, bool *known, struct span *out);

/* --- the words of a text (survey.c) --- */

#define READINGS_MAX 256

struct reading_at {
    uint16_t from, till; /* glyphs of the word */
    struct span reads;
};
struct survey {
    size_t count;
    bool overflow;                     /* more misspelt words than can be told */
    bool backwards;                    /* more words are known when they are turned round */
    struct reading_at r[READINGS_MAX]; /* by from */
};
/* Also marks the glyphs: GLYPH_CUT, GLYPH_JOIN, GLYPH_MISREAD. */
void survey(const struct spelling *s, struct folded *f, struct survey *v);

/* --- data files (list.c, own.c, read.c) --- */

#define LANGUAGES_MAX 32
#define LANGUAGE_LEN  8

struct line {                                 /* to say */
    uint32_t at;                              /* of safety.said */
    uint16_t len, language, moment, category; /* category SAFETY_CATEGORY_COUNT: any */
};

struct safety {
    bool allow_uncovered;
    bool in_place;    /* no array here is owned, nor can grow: they are those of an image */
    uint8_t language; /* the configured one */
    uint32_t scripts;
    char languages[LANGUAGES_MAX][LANGUAGE_LEN];
    unsigned language_count;
    struct fold_map map;
    struct trie trie;
    struct spelling spelling;
    struct pattern *patterns;
    size_t pattern_count, pattern_cap;
    struct line *lines;
    size_t line_count, line_cap;
    char *said; /* the lines' texts */
    size_t said_len, said_cap;
    unsigned atoms;
};

/* A data file: its name within the directory ("en/violence.txt") says what it holds. */
struct data_file {
    const char *name;
    const unsigned char *data;
    size_t len;
};
extern const struct data_file safety_builtin[]; /* ends with a NULL name */

#define DATA_FILE_MAX 262144 /* bytes */
#define DATA_LINE_MAX 1024

struct data_error {
    char *text;
    size_t cap;
};
/* Reads one file into s, which keeps nothing of text. TEDDY_EINVAL, TEDDY_ENOMEM. shown: how an
 * error calls it. */
int data_read(struct safety *s, const char *name, const char *shown, struct span text, char *err,
              size_t cap);
/* True when the file begins with `@ replace`: what is built in under its name is left out. */
bool data_replaces(struct span text);

/* The operator's directory. */
struct own_file {
    char name[LANGUAGE_LEN + 64]; /* within it */
    char *text;
    size_t len;
};
struct own {
    const char *dir;
    struct own_file *files; /* in the order in which they are read */
    size_t count, files_cap;
    char *err; /* of the caller: what went wrong */
    size_t cap;
};
/* TEDDY_EIO, TEDDY_ENOMEM; call own_free in any case. */
int own_read(struct own *o);
void own_free(struct own *o);
/* One of its files stands for what is built in under that name. */
bool own_replaces(const struct own *o, const char *name);

/* Reads what is configured into s, which is all 0: all of it but the choice of a language. As
 * safety_open; err is left alone when memory is out. Whatever comes of it is safety_close's. */
int safety_read(struct safety *s, const struct safety_config *config, char *err, size_t cap);

/* Index of a language, added when it is not there and add is set; -1: none, or no room. */
int language_index(struct safety *s, struct span language, bool add);
int language_find(const struct safety *s, struct span language);

/* Adds a pattern; what is wrong with it in *why. */
int pattern_add(struct safety *s, struct span line, struct pattern like, const char **why);
void *grow(void **items, size_t *cap, size_t count, size_t size); /* room for one more, or NULL */

/* --- what was read, in the program (image.c) --- */

/* The lists built in, as the build wrote them (image_data.c). */
struct span safety_image(void);
/* Whether it was folded by the tables that text is folded by now. Otherwise read the lists. */
bool image_is_current(struct span image);
/* As safety_read of what is built in, but allocates nothing: s stands on image, which must outlive
 * it. TEDDY_EINVAL: this program did not write it. */
int image_open(struct safety *s, struct span image);
/* s has no file of an operator's in it. False: errno says why. */
bool image_write(const struct safety *s, FILE *f);

/* --- findings (match.c, contact.c, number.c) --- */

struct match {
    uint32_t pattern;
    uint16_t from, last, till; /* glyphs; last: where its last part begins */
};
#define MATCHES_MAX 128
struct matches {
    size_t count;
    bool overflow; /* more than can be told: counts as blocked */
    struct match m[MATCHES_MAX];
};
void match_all(const struct safety *s, struct folded *f, uint8_t direction,
               const struct safety_who *who, struct matches *out);
/* Walks the lexicons once from each glyph that begins a word, so that lexicon_at, asked for many of
 * them there, need not where there is none. */
void lexicons_mark(const struct safety *s, struct folded *f);
/* The longest entry of that lexicon at glyph `at`; its end, or 0. */
size_t lexicon_find(const struct safety *s, const struct folded *f, size_t at, enum lexicon kind,
                    uint8_t *value);
static inline bool lexicon_may(const struct glyph *g, unsigned lexicons) /* bits */
{
    return g->lexicons == 0 || g->lexicons & lexicons;
}
static inline size_t lexicon_at(const struct safety *s, const struct folded *f, size_t at,
                                enum lexicon kind, uint8_t *value)
{
    return at < f->count && lexicon_may(&f->g[at], 1u << kind) ? lexicon_find(s, f, at, kind, value)
                                                               : 0;
}

enum contact {
    CONTACT_PHONE,
    CONTACT_CARD,
    CONTACT_IBAN,
    CONTACT_MAIL,
    CONTACT_LINK,
    CONTACT_HOME
};
struct piece_out {
    uint16_t from, till; /* bytes of the source */
    uint8_t contact;
};
#define PIECES_MAX 64
struct pieces { /* in order, apart from each other */
    size_t count;
    bool overflow;
    struct piece_out p[PIECES_MAX];
};
/* Personal data and links. */
void contact_find(const struct safety *s, struct folded *f, struct pieces *out);
/* Each looks at glyph i for one that begins there; returns the glyph behind it, or 0. */
size_t number_at(const struct safety *s, const struct folded *f, size_t i, enum contact *what);
size_t iban_at(const struct folded *f, size_t i);

/* A word of it is text in base64 or hexadecimal (encoded.c). */
bool encoded(struct span text);

/* Everything about a text; judged from byte `from` of it on: what lies before was judged. */
void judge(const struct safety *s, const struct safety_who *who, struct folded *f, size_t from,
           uint8_t direction, struct safety_verdict *v, struct pieces *pieces);
/* Writes source from byte `from` on without what is unspeakable and with the pieces replaced: on
 * the way in by words, on the way out by an ellipsis. False: out is too small. */
bool rewrite(struct span source, size_t from, const struct pieces *pieces, uint8_t direction,
             char *out, size_t cap, size_t *len);

#endif
