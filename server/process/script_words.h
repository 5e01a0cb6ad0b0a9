/* An utterance as words: split at white space and punctuation, case folded, so that "Hello, TEDDY!"
 * and "hello teddy" are the same. UTF-8 safe; letters of the Latin, Greek and Cyrillic scripts are
 * folded, all others compared as they are. */
#ifndef PROCESS_SCRIPT_WORDS_H
#define PROCESS_SCRIPT_WORDS_H

#include "proto/span.h"

#define WORDS_MAX   512  /* words of an utterance that are looked at; what follows is ignored */
#define WORDS_BYTES 4096 /* and its bytes */

struct word {
    uint32_t hash;       /* of the folded bytes */
    uint16_t at, len;    /* folded, in struct words' fold */
    uint16_t from, till; /* in the text itself */
};

struct words {
    struct span text; /* the caller's; must outlive this */
    unsigned count;
    struct word word[WORDS_MAX];
    char fold[WORDS_BYTES];
};

/* text must be valid UTF-8. Threads: any. Blocks: no. Allocates: no. */
void words_split(struct words *w, struct span text);

/* What the child said from word `first` on, `count` words long, as it may be said back: control,
 * formatting and line characters become spaces, it is cut to cap - 1 bytes between characters, and
 * terminated. Returns its length. */
size_t words_quote(const struct words *w, unsigned first, unsigned count, char *out, size_t cap);

#endif
