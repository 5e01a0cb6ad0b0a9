/* A data file of the guard. Input: one byte that chooses which, then its text. */
#include "fuzz.h"
#include "safety/internal.h"

static const char *const names[] = {"en/other.txt",    "en/lexicon.txt",  "en/lines.txt",
                                    "confusables.txt", "zh/violence.txt", "en/spelling.txt"};

/* What was read is used: on its own text, which has every word of it. */
static void use(struct safety *s, struct span text)
{
    struct safety_who who = {{"en", 2}, 6};
    struct safety_verdict v;
    size_t cap = 2 * text.len + 64;
    char *out = malloc(cap);

    HOLDS(out != NULL);
    s->allow_uncovered = true;
    (void)safety_in(s, &who, text, out, cap, &v);
    for (unsigned c = 0; c < SAFETY_CATEGORY_COUNT; c++)
        HOLDS(safety_line(s, &who, SAFETY_MOMENT_OUT, (enum safety_category)c, 3).len > 0);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *name = names[(size > 0 ? data[0] : 0) % (sizeof names / sizeof *names)];
    struct span text = {(const char *)data + (size > 0), size - (size > 0)};
    struct safety *s = calloc(1, sizeof *s);
    char *copy = (char *)heap_copy(text.p, text.len);
    char err[256] = "";

    HOLDS(s != NULL && trie_init(&s->trie));
    HOLDS(language_index(s, span_of("en"), true) == 0);
    int rc = data_read(s, name, name, (struct span){copy, text.len}, err, sizeof err);
    HOLDS(rc == TEDDY_OK || rc == TEDDY_EINVAL);
    HOLDS(rc == TEDDY_OK || strncmp(err, name, strlen(name)) == 0);
    if (rc == TEDDY_OK)
        use(s, (struct span){copy, text.len});
    safety_close(s);
    free(copy);
    return 0;
}
