/* Lines of the corpus in disguise: by rule and the same each time, so that what is measured with
 * them owes nothing to who wrote the lists. */
#ifndef TESTS_SAFETY_DISGUISE_H
#define TESTS_SAFETY_DISGUISE_H

#include "corpus.h"

enum disguise {
    DISGUISE_LOOKALIKE, /* Cyrillic letters for Latin ones */
    DISGUISE_LEET,      /* digits for letters */
    DISGUISE_SIGNS,     /* @ $ ! for letters */
    DISGUISE_APART,     /* k i l l, and spaces between Chinese characters */
    DISGUISE_DOTTED,    /* k.i.l.l */
    DISGUISE_REPEAT,    /* kiiiill, and Arabic's tatweel */
    DISGUISE_INVISIBLE, /* zero-width characters and soft hyphens */
    DISGUISE_MARKS,     /* combining marks, and Arabic's vowel signs */
    DISGUISE_FULLWIDTH,
    DISGUISE_BOLD, /* mathematical letters */
    DISGUISE_REVERSED,
    DISGUISE_CUT,      /* a space within each longer word */
    DISGUISE_LINES,    /* each word on a line of its own */
    DISGUISE_MISSPELT, /* a letter left out, doubled, changed or swapped in each longer word */
    DISGUISE_COUNT
};

const char *disguise_name(enum disguise d);
/* The line in disguise, NUL-terminated, to be freed; NULL: this disguise does nothing to a text of
 * that language. */
char *disguise(enum disguise d, const struct corpus_line *l);

#endif
