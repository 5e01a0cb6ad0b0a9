/* What a child says, on its way out of the server. */
#include "fuzz.h"
#include "proto/utf8.h"
#include "safety_any.h"

/* Nothing that cannot be seen is left in it. */
static void check_clean(const char *text, size_t len)
{
    HOLDS(utf8_ok(text, len));
    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)text[i];

        HOLDS((c >= 0x20 || c == '\n' || c == '\t') && c != 0x7F);
        if (i + 2 < len && c == 0xE2 && (uint8_t)text[i + 1] == 0x80) {
            uint8_t last = (uint8_t)text[i + 2];
            HOLDS(last != 0x8B && last != 0x8E && last != 0x8F && !(last >= 0xAA && last <= 0xAE));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct safety_who who = {{"en", 2}, size > 0 ? data[0] % 16u : 0};
    size_t cap = 2 * size + 64;
    char *text = (char *)heap_copy(data, size), *out = malloc(cap), *again = malloc(cap);
    struct safety_verdict v, w;

    HOLDS(out != NULL && again != NULL);
    size_t len = safety_in(safety_any(), &who, (struct span){text, size}, out, cap, &v);
    HOLDS(len <= cap && (v.danger & ~v.categories) == 0);
    HOLDS(!v.blocked || v.categories != 0);
    HOLDS(utf8_ok(text, size) || (v.blocked && len == 0));
    check_clean(out, len);
    HOLDS(safety_in(safety_any(), &who, (struct span){text, size}, again, cap, &w) == len);
    HOLDS(memcmp(out, again, len) == 0 && v.categories == w.categories && v.blocked == w.blocked);
    free(text);
    free(out);
    free(again);
    return 0;
}
