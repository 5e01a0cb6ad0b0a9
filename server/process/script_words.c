#include "process/script_words.h"

/* The next character of valid UTF-8; returns its bytes. */
static size_t next_char(const char *p, size_t len, uint32_t *cp)
{
    const uint8_t *u = (const uint8_t *)p;
    size_t need = u[0] < 0x80 ? 1 : u[0] < 0xE0 ? 2 : u[0] < 0xF0 ? 3 : 4;
    if (need > len) { /* cannot happen in valid text; never read past the end for it */
        *cp = 0xFFFD;
        return len;
    }
    if (need == 1) {
        *cp = u[0];
        return 1;
    }
    uint32_t c = u[0] & (0x7Fu >> need);
    for (size_t i = 1; i < need; i++) {
        c = c << 6 | (u[i] & 0x3Fu);
    }
    *cp = c;
    return need;
}

static size_t put_char(char *out, uint32_t cp)
{
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(0xC0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 0x3F));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (char)(0xE0 | cp >> 12);
        out[1] = (char)(0x80 | (cp >> 6 & 0x3F));
        out[2] = (char)(0x80 | (cp & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | cp >> 18);
    out[1] = (char)(0x80 | (cp >> 12 & 0x3F));
    out[2] = (char)(0x80 | (cp >> 6 & 0x3F));
    out[3] = (char)(0x80 | (cp & 0x3F));
    return 4;
}

/* Lower case, of the same or fewer bytes in UTF-8. */
static uint32_t fold(uint32_t c)
{
    if ((c >= 'A' && c <= 'Z') || (c >= 0xC0 && c <= 0xDE && c != 0xD7)) {
        return c + 0x20;
    }
    if (c == 0x178) {
        return 0xFF;
    }
    /* Latin Extended-A: pairs, upper case even in these two runs and odd in the others. */
    if ((c >= 0x100 && c <= 0x12F) || (c >= 0x132 && c <= 0x137) || (c >= 0x14A && c <= 0x177)) {
        return c | 1;
    }
    if ((c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17E)) {
        return c + (c & 1);
    }
    if ((c >= 0x391 && c <= 0x3A9 && c != 0x3A2) || (c >= 0x410 && c <= 0x42F)) {
        return c + 0x20;
    }
    if (c >= 0x400 && c <= 0x40F) {
        return c + 0x50;
    }
    return c;
}

/* Inside a word, and not there: "don't" is "dont". */
static bool is_dropped(uint32_t c)
{
    return c == '\'' || c == 0x2019 || c == 0x2018 || c == 0x02BC || c == 0xAD || c == 0x200C ||
           c == 0x200D || (c >= 0xFE00 && c <= 0xFE0F);
}

static bool in(uint32_t c, uint32_t low, uint32_t high)
{
    return c >= low && c <= high;
}

static bool is_letter(uint32_t c)
{
    if (c < 0x80) {
        return in(c | 0x20, 'a', 'z') || in(c, '0', '9');
    }
    if (in(c, 0x80, 0xBF)) {
        return c == 0xAA || c == 0xB5 || c == 0xBA;
    }
    return !(c == 0xD7 || c == 0xF7 || in(c, 0x2000, 0x2BFF) || in(c, 0x2E00, 0x2E7F) ||
             in(c, 0x3000, 0x303F) || in(c, 0xFE10, 0xFE6F) || c == 0xFEFF ||
             in(c, 0xFF00, 0xFF0F) || in(c, 0xFF1A, 0xFF20) || in(c, 0xFFF0, 0xFFFF) ||
             in(c, 0x1F000, 0x1FAFF) || in(c, 0xE0000, 0x10FFFF));
}

static uint32_t words_hash(struct span folded)
{
    uint32_t h = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < folded.len; i++) {
        h = (h ^ (uint8_t)folded.p[i]) * 16777619u;
    }
    return h;
}

void words_split(struct words *w, struct span text)
{
    w->text = text;
    w->count = 0;
    size_t folded = 0, at = 0;
    struct word *now = NULL;
    while (at < text.len) {
        uint32_t cp;
        size_t n = next_char(text.p + at, text.len - at, &cp);
        if (at + n > WORDS_BYTES) {
            break;
        }
        if (is_letter(cp)) {
            if (!now) {
                if (w->count == WORDS_MAX) {
                    break;
                }
                now = &w->word[w->count++];
                *now = (struct word){.at = (uint16_t)folded, .from = (uint16_t)at};
            }
            folded += put_char(w->fold + folded, fold(cp));
            now->len = (uint16_t)(folded - now->at);
            now->till = (uint16_t)(at + n);
        } else if (!is_dropped(cp)) {
            now = NULL;
        }
        at += n;
    }
    for (unsigned i = 0; i < w->count; i++) {
        w->word[i].hash = words_hash((struct span){w->fold + w->word[i].at, w->word[i].len});
    }
}

/* Control characters, and those that would change how the text around them is shown. */
static bool is_unspeakable(uint32_t c)
{
    return c < 0x20 || in(c, 0x7F, 0x9F) || c == 0x061C || in(c, 0x200B, 0x200F) ||
           in(c, 0x2028, 0x202E) || in(c, 0x2060, 0x206F) || c == 0xFEFF || in(c, 0xFFF0, 0xFFFF) ||
           in(c, 0xE0000, 0x10FFFF);
}

size_t words_quote(const struct words *w, unsigned first, unsigned count, char *out, size_t cap)
{
    size_t len = 0;
    size_t at = count ? w->word[first].from : 0;
    size_t till = count ? w->word[first + count - 1].till : 0;
    while (at < till) {
        uint32_t cp;
        size_t n = next_char(w->text.p + at, till - at, &cp);
        if (is_unspeakable(cp)) {
            cp = ' ';
        }
        at += n;
        if (cp == ' ' && len > 0 && out[len - 1] == ' ') {
            continue;
        }
        if (len + n >= cap) {
            break;
        }
        len += put_char(out + len, cp);
    }
    while (len > 0 && out[len - 1] == ' ') {
        len--;
    }
    out[len] = '\0';
    return len;
}
