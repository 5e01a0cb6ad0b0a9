/* An answer on its way to a child. Input: two bytes that choose how it is cut, then the answer. */
#include "fuzz.h"
#include "proto/utf8.h"
#include "safety_any.h"

struct said {
    char *text;
    size_t len, cap;
    struct safety_verdict verdict;
    bool changed, instead;
};

static void gather(void *ctx, const struct safety_sentence *s)
{
    struct said *said = ctx;

    HOLDS(!said->instead); /* the rest is dropped */
    HOLDS(s->text.len <= SAFETY_SPOKEN_MAX && said->len + s->text.len <= said->cap);
    HOLDS(utf8_ok(s->text.p, s->text.len));
    HOLDS(s->verdict.blocked == (s->say == SAFETY_SAY_INSTEAD));
    memcpy(said->text + said->len, s->text.p, s->text.len);
    said->len += s->text.len;
    said->verdict.categories |= s->verdict.categories;
    said->verdict.blocked |= s->verdict.blocked;
    said->changed |= s->say != SAFETY_SAY_PASS;
    said->instead |= s->say == SAFETY_SAY_INSTEAD;
}

static struct said say(const char *text, size_t size, size_t step, size_t first)
{
    struct safety_who who = {{"en", 2}, 6};
    struct said said = {.cap = 3 * size + SAFETY_SPOKEN_MAX};
    struct safety_secret *secret =
        safety_secret_new(safety_any(), span_of("one two three four five six seven eight nine"));
    struct safety_out o;
    size_t at = 0;

    HOLDS(secret != NULL);
    said.text = malloc(said.cap);
    HOLDS(said.text != NULL);
    safety_out_init(&o, safety_any(), &who, 0);
    safety_out_secret(&o, secret);
    for (size_t len = first; at < size; at += len, len = step) {
        if (len > size - at || len == 0)
            len = size - at;
        safety_out_feed(&o, (struct span){text + at, len}, gather, &said);
    }
    safety_out_end(&o, gather, &said);
    free(secret);
    return said;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    char *text = (char *)heap_copy(data + 2, size - 2);
    struct said whole = say(text, size - 2, size, size);
    struct said cut = say(text, size - 2, data[0] % 32u + 1, data[1]);

    HOLDS(whole.len == cut.len && memcmp(whole.text, cut.text, whole.len) == 0);
    HOLDS(whole.verdict.categories == cut.verdict.categories);
    HOLDS(whole.verdict.blocked == cut.verdict.blocked);
    HOLDS(whole.changed || (whole.len == size - 2 && memcmp(whole.text, text, whole.len) == 0));
    HOLDS(utf8_ok(text, size - 2) || whole.verdict.blocked);
    free(whole.text);
    free(cut.text);
    free(text);
    return 0;
}
