/* The rule file of processor `script`: read into tables once, then only looked at. The format is
 * described in docs/rules.md. */
#ifndef PROCESS_SCRIPT_RULES_H
#define PROCESS_SCRIPT_RULES_H

#include "process/script_words.h"
#include "teddy/err.h"

#define RULES_FILE_MAX   262144 /* bytes */
#define RULES_LINE_MAX   1024
#define RULES_MAX        512
#define RULES_HEARS_MAX  64 /* patterns of one rule */
#define RULES_TOKENS_MAX 24 /* of one pattern */
#define RULES_ALTS_MAX   24 /* words that one place of a pattern allows */
#define RULES_SAYS_MAX   32 /* replies of one rule */
#define RULES_PARTS_MAX  16 /* of one reply */
#define RULES_NAMES_MAX  16 /* of things remembered */
#define RULES_NAME_LEN   24
#define RULES_CAPTURES   4     /* of one pattern */
#define RULES_QUOTE_MAX  48    /* bytes of a capture said back or remembered */
#define RULES_SPOKEN_MAX 1024  /* bytes of one part, its placeholders at their longest */
#define RULES_PAUSE_MAX  60000 /* ms */

enum token_kind { TOKEN_WORD, TOKEN_ANY /* * */, TOKEN_SOME /* + */ };

struct alt {
    uint32_t hash;
    struct span word; /* folded */
};

struct token {
    uint8_t kind;
    uint8_t alt_count;
    uint32_t alt_first;
};

struct pattern {
    uint32_t token_first;
    uint8_t token_count;
    uint8_t captures;
    uint8_t some; /* bit n: capture n is a +, so never empty */
};

struct keep {
    uint8_t name;    /* index of struct name */
    uint8_t capture; /* from 0 */
};

struct part {
    struct span text;
    uint32_t pause_ms; /* before it */
    uint32_t line;
};

struct say {
    uint32_t part_first;
    uint8_t part_count;
};

struct rule {
    struct span name;
    uint32_t line;
    uint32_t hear_first, keep_first, say_first;
    uint8_t hear_count, keep_count, say_count;
};

/* Something remembered: {name} in a reply. */
struct name {
    struct span name;
    struct span
        unknown; /* what it reads as when nothing is remembered; p NULL: no `unknown` line */
};

struct list {
    void *items;
    uint32_t count, cap;
};

struct rules {
    char *text;  /* the file; spans point into it */
    char *folds; /* folded words of the patterns */
    size_t folds_len;
    struct list rules, hears, tokens, alts, keeps, says, parts;
    struct name names[RULES_NAMES_MAX];
    unsigned name_count;
    struct span lost;  /* said when another's answer broke off; p NULL: no `lost` line */
    uint32_t fallback; /* index of the rule `default` */
};

#define RULES_AT(r, list, type, i) ((const struct type *)(r)->list.items + (i))

struct capture {
    unsigned first, count; /* words */
};

/* Reads the rules in text; `file` is what errors call it. TEDDY_EINVAL: err is "FILE:LINE: what is
 * wrong"; TEDDY_ENOMEM. */
TEDDY_MUST_CHECK int rules_parse(const char *file, struct span text, struct rules **out, char *err,
                                 size_t cap);
/* The same from a file; also TEDDY_EIO: it cannot be read. */
TEDDY_MUST_CHECK int rules_load(const char *path, struct rules **out, char *err, size_t cap);
void rules_free(struct rules *r);

/* The first rule that hears the utterance, or the default; captures (of the pattern that fitted)
 * are set. Time: the patterns' tokens times the utterance's words at most, however many captures a
 * pattern has. */
const struct rule *rules_match(const struct rules *r, const struct words *w,
                               struct capture captures[RULES_CAPTURES]);

/* A reply's text in pieces. */
enum piece_kind { PIECE_TEXT, PIECE_CAPTURE, PIECE_NAME, PIECE_END, PIECE_BAD };
struct piece {
    enum piece_kind kind;
    struct span text; /* PIECE_TEXT, PIECE_NAME */
    unsigned capture; /* PIECE_CAPTURE, from 0 */
};
/* The piece at *at, which moves behind it. */
struct piece rules_piece(struct span text, size_t *at);
int rules_name(const struct rules *r, struct span name); /* its index, or -1 */

#endif
