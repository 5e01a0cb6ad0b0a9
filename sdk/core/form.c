/* Texts of the wire that have gaps, the numbers that go into them, and lists of its words. */
#include "core.h"

void sdk_write(struct writer *w, const char *form, const char *const *parts)
{
    for (; *form != '\0'; form++) {
        if (*form == '%') {
            writer_text(w, *parts++);
        } else {
            writer_bytes(w, form, 1);
        }
    }
}

void sdk_decimal(uint64_t n, char out[21])
{
    struct writer w = writer_on(out, 21);
    writer_u64(&w, n);
    (void)writer_end(&w);
}

unsigned sdk_word(const char *words, const char *word)
{
    unsigned n = 0;
    for (; *words != '\0' && strcmp(words, word) != 0; n++) {
        words += strlen(words) + 1;
    }
    return n;
}
