/* What a child may say to what answers, and what that may say to the child: deny-lists by category
 * and language, personal data, links, signs of a child in danger. Text in, verdict out: no I/O but
 * reading data files at open, no clock, no store. docs/safety.md describes the data files and says
 * what is caught and what is not. Whatever goes wrong inside counts as blocked. */
#ifndef SAFETY_SAFETY_H
#define SAFETY_SAFETY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/span.h"
#include "teddy/err.h"

#define SAFETY_IN_MAX       8192 /* bytes of an utterance; a longer one is blocked */
#define SAFETY_SENTENCE_MAX 512  /* bytes of one sentence of an answer; a longer one is cut */
#define SAFETY_TAIL_MAX     384  /* bytes of what came before that a sentence is judged with */
#define SAFETY_LINE_MAX     256  /* bytes of a replacement */
/* Bytes that one sentence can become: what is left out is replaced by words that may be longer. */
#define SAFETY_SPOKEN_MAX (2 * SAFETY_SENTENCE_MAX)

/* Order matters: of several found, the first decides what is said instead. */
#define SAFETY_CATEGORIES(X)                                                                       \
    X(SELF_HARM, self_harm)                                                                        \
    X(SEXUAL, sexual)                                                                              \
    X(VIOLENCE, violence)                                                                          \
    X(MEDICINE, medicine)                                                                          \
    X(DRUGS, drugs)                                                                                \
    X(HATE, hate)                                                                                  \
    X(PERSONAL_DATA, personal_data)                                                                \
    X(INJECTION, injection)                                                                        \
    X(LINK, link)                                                                                  \
    X(OTHER, other)

enum safety_category {
#define X(id, name) SAFETY_##id,
    SAFETY_CATEGORIES(X)
#undef X
        SAFETY_CATEGORY_COUNT
};
#define SAFETY_BIT(category) (1u << (category))

/* "self_harm" …: the stable word of events, metrics and file names. Static. */
const char *safety_category_name(enum safety_category category);
/* SAFETY_CATEGORY_COUNT: there is none of that name. */
enum safety_category safety_category_find(struct span name);

struct safety_config {
    const char *dir;      /* the operator's data files, added to those built in; NULL: none */
    const char *language; /* of a child whose profile names none; NULL: "en" */
    bool allow_uncovered; /* text in a script or for a child of a language that no list covers
                             passes; otherwise it is blocked */
    bool no_builtin;      /* the operator's files alone */
};

/* Whom it is about. */
struct safety_who {
    struct span language; /* "en", "es-MX", or empty */
    unsigned age;         /* years; 0: not known, so every age rule applies */
};

struct safety_verdict {
    uint16_t categories;      /* SAFETY_BIT of each found */
    uint16_t danger;          /* of those that are signs of a child in danger: raise an alert */
    uint16_t redactions;      /* pieces replaced */
    bool blocked;             /* do not ask, do not say: use safety_line */
    enum safety_category why; /* of blocked or danger: the one that decides what is said */
};

struct safety;

/* Reads the data files. What is built in was read when the program was built; it is read again only
 * when there is a directory to add to it. Errors (err gets a sentence): TEDDY_EINVAL with
 * "FILE:LINE: what is wrong", TEDDY_EIO: a file or the directory cannot be read, TEDDY_ENOMEM.
 * Threads: any; afterwards it is only read, by any number of threads at once. Blocks: on files.
 * Allocates: yes. */
TEDDY_MUST_CHECK int safety_open(const struct safety_config *config, struct safety **out, char *err,
                                 size_t cap);
void safety_close(struct safety *s);

/* What was read: for a line in the log at start. */
struct safety_counts {
    unsigned languages, patterns, atoms, lines;
    size_t
        bytes; /* allocated: the built-in lists, with nothing added, lie in the program instead */
};
struct safety_counts safety_counts(const struct safety *s);

/* True when there are lists for that language (its primary subtag counts). */
bool safety_covers(const struct safety *s, struct span language);

/* Judges an utterance. out gets what may leave the server: the text without control, bidirectional
 * and zero-width characters, personal data replaced by [phone number], [e-mail], [address],
 * [card number], [account number] or [link]. Returns its length; no NUL is added. cap of
 * 2 * text.len + 64 is always enough; when it is not, or when text is not UTF-8 or over
 * SAFETY_IN_MAX, v->blocked is set and 0 returned. Threads: any. Blocks: no. Allocates: no (200 KB
 * of stack). */
size_t safety_in(const struct safety *s, const struct safety_who *who, struct span text, char *out,
                 size_t cap, struct safety_verdict *v);

/* What is said instead, in the child's language, else the configured one, else English; never
 * empty. turn chooses among several. Static as long as s. */
enum safety_moment {
    SAFETY_MOMENT_IN,    /* the child asked for what is not answered */
    SAFETY_MOMENT_OUT,   /* the answer said what is not said */
    SAFETY_MOMENT_ALERT, /* the child may be in danger */
};
struct span safety_line(const struct safety *s, const struct safety_who *who,
                        enum safety_moment moment, enum safety_category category, uint32_t turn);

/* Whether there is anything to be heard in it: a letter, a digit or a sign, not blanks and
 * punctuation alone. */
bool safety_audible(struct span text);

/* An answer on its way out, sentence by sentence. */

enum safety_say {
    SAFETY_SAY_PASS,    /* as it came */
    SAFETY_SAY_CHANGED, /* something was taken out */
    SAFETY_SAY_INSTEAD, /* text is a replacement; the rest of the answer is dropped */
};
struct safety_sentence {
    struct span text; /* valid until the next call for this safety_out */
    enum safety_say say;
    struct safety_verdict verdict;
};

struct safety_secret;

/* One answer's state, in the caller's storage; its members are private. */
struct safety_out {
    const struct safety *safety;
    struct safety_who who;
    uint32_t turn;
    uint16_t tail, len; /* bytes of buf: what was judged before, then the sentence being gathered */
    uint16_t seen;      /* of the sentence: bytes in which no end was found */
    bool blocked;
    bool ended;
    const struct safety_secret *secret; /* NULL: none */
    char buf[SAFETY_TAIL_MAX + SAFETY_SENTENCE_MAX];
    char said[SAFETY_SPOKEN_MAX];
};

/* who->language and safety must outlive o. turn varies replacements. */
void safety_out_init(struct safety_out *o, const struct safety *safety,
                     const struct safety_who *who, uint32_t turn);
/* The system prompt, or anything else of which no eight words in a row may be said; text need not
 * outlive the call. Up to SAFETY_SENTENCE_MAX runs are kept. To be free()d; NULL: out of memory. */
struct safety_secret *safety_secret_new(const struct safety *safety, struct span text);
/* It is not said. Call it before the first text; secret must outlive o. */
void safety_out_secret(struct safety_out *o, const struct safety_secret *secret);

/* Takes from *rest, as much as it can use, and gives one sentence when it has one: TEDDY_OK, call
 * again with the same rest; TEDDY_AGAIN: all is taken, more text is needed. A sentence that awaits
 * a slower judge can thus be held by simply not calling on. end: nothing follows; TEDDY_AGAIN then
 * means that all was given. How the text was cut into chunks changes nothing. The sentences of an
 * answer that passes, one after another, are the answer. Threads: one at a time. Blocks: no.
 * Allocates: no (80 KB of stack). */
TEDDY_MUST_CHECK int safety_out_next(struct safety_out *o, struct span *rest, bool end,
                                     struct safety_sentence *sentence);
/* True when something was blocked: what follows is dropped, so the backend can be stopped. */
static inline bool safety_out_blocked(const struct safety_out *o)
{
    return o->blocked;
}

/* The same, handing each sentence to emit. */
typedef void safety_emit(void *ctx, const struct safety_sentence *sentence);
void safety_out_feed(struct safety_out *o, struct span chunk, safety_emit *emit, void *ctx);
void safety_out_end(struct safety_out *o, safety_emit *emit, void *ctx);

#endif
