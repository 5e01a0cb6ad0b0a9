#include <stdio.h>
#include <string.h>

#include "cli/table.h"

#define WORD_MAX 40
#define FAR      99u

/* Edits from one word to the other, of which swapping two neighbours is one. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[3][WORD_MAX + 1] = {{0}}, *before = row[0], *last = row[1], *now = row[2];
    size_t m = strlen(a), n = strlen(b);

    if (m > WORD_MAX || n > WORD_MAX)
        return FAR;
    for (unsigned j = 0; j <= n; j++)
        last[j] = j;
    for (unsigned i = 1; i <= m; i++) {
        now[0] = i;
        for (unsigned j = 1; j <= n; j++) {
            unsigned best = last[j - 1] + (a[i - 1] != b[j - 1]);
            if (last[j] + 1 < best)
                best = last[j] + 1;
            if (now[j - 1] + 1 < best)
                best = now[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            now[j] = best;
        }
        unsigned *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[n];
}

struct near near_begin(const char *word)
{
    return (struct near){.word = word, .distance = FAR};
}

void near_try(struct near *n, const char *name)
{
    unsigned d = distance(n->word, name);

    if (d < n->distance) {
        n->distance = d;
        n->best = name;
    }
}

/* A third of the word may be wrong, and of a short one a letter. */
void near_say(const struct near *n, char out[128])
{
    size_t len = strlen(n->word);
    unsigned most = len < 6 ? 1 + (len > 3) : (unsigned)(len / 3);

    if (n->best != NULL && len > 1 && n->distance <= most)
        (void)snprintf(out, 128, "; did you mean '%s'? See", n->best);
    else
        (void)snprintf(out, 128, "; see");
}
