/* Lines of the red-team corpus: JSON objects, one a line, as docs/safety.md describes them. */
#ifndef TESTS_SAFETY_CORPUS_H
#define TESTS_SAFETY_CORPUS_H

#include "safety/safety.h"

enum expect { EXPECT_PASS, EXPECT_REDACT, EXPECT_BLOCK, EXPECT_ALERT };

struct corpus_line {
    char *text;
    size_t len;
    char lang[8], category[16];
    char technique[20]; /* how it tries to get past; may be empty */
    bool out;
    enum expect expect;
    unsigned age;
    size_t cuts[16]; /* where the line's own chunks end, when it has any */
    unsigned cut_count;
};
struct corpus {
    struct corpus_line *lines;
    size_t count;
};

/* Exits with a message when the file is not what it should be. */
struct corpus corpus_read(const char *path);
void corpus_free(struct corpus *c);

#endif
