#include "tools/roff.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/span.h"
#include "proto/text.h"
#include "teddy/err.h"

static void page_date(char out[16])
{
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    time_t t = time(NULL);
    struct tm utc;
    uint64_t n;

    if (epoch != NULL && u64_parse(span_of(epoch), &n) == TEDDY_OK)
        t = (time_t)n;
    if (gmtime_r(&t, &utc) == NULL || strftime(out, 16, "%Y-%m-%d", &utc) == 0)
        out[0] = '\0';
}

/* One character of UTF-8, as roff writes what is not ASCII; how many bytes it has. */
static int put_character(FILE *out, const char *p)
{
    const unsigned char *u = (const unsigned char *)p;
    int more = u[0] >= 0xF0 ? 3 : u[0] >= 0xE0 ? 2 : u[0] >= 0xC0 ? 1 : 0;
    unsigned code = more == 0 ? u[0] : u[0] & (0x3Fu >> more);

    for (int i = 1; i <= more; i++) {
        if ((u[i] & 0xC0) != 0x80)
            return 1;
        code = code << 6 | (u[i] & 0x3Fu);
    }
    if (code >= 0x80)
        (void)fprintf(out, "\\[u%04X]", code);
    else if (code == '\\')
        (void)fputs("\\e", out);
    else if (code == '-')
        (void)fputs("\\-", out);
    else
        (void)fputc((int)code, out);
    return more + 1;
}

/* fills: the page's reader breaks the lines, so that here they may be broken at any space. */
static void put_part(FILE *out, const char *text, size_t len, bool fills)
{
    size_t begun = 0;

    for (size_t i = 0; i < len;) {
        if (i == begun && (text[i] == '.' || text[i] == '\''))
            (void)fputs("\\&", out);
        if (fills && text[i] == ' ' && i + 1 < len && text[i + 1] == ' ') {
            i++;
        } else if (fills && text[i] == ' ' && i - begun > 40) {
            (void)fputc('\n', out);
            begun = ++i;
        } else {
            i += (size_t)put_character(out, text + i);
        }
    }
}

void roff_text(FILE *out, const char *text)
{
    put_part(out, text, strlen(text), true);
    (void)fputc('\n', out);
}

void roff_begin(FILE *out, const char *name, int section, const char *version, const char *about)
{
    char date[16];

    page_date(date);
    (void)fputs(".TH ", out);
    for (const char *p = name; *p != '\0'; p++)
        (void)fputc(toupper((unsigned char)*p), out);
    (void)fprintf(out, " %d %s \"teddy %s\"\n", section, date, version);
    roff_section(out, "NAME");
    put_part(out, name, strlen(name), false);
    (void)fputs(" \\- ", out);
    roff_text(out, about);
}

void roff_section(FILE *out, const char *title)
{
    (void)fprintf(out, ".SH %s\n", title);
}

void roff_lines(FILE *out, const char *text)
{
    bool kept = false, gap = false, any = false;

    while (*text != '\0') {
        size_t len = strcspn(text, "\n");
        bool keep = len > 1 && text[0] == ' ' && text[1] == ' ';
        if (len > 0 && gap && any)
            (void)fputs(kept ? ".fi\n.PP\n" : ".PP\n", out);
        else if (len > 0 && kept && !keep)
            (void)fputs(".fi\n", out);
        if (len > 0 && gap)
            kept = false;
        if (len > 0 && keep != kept && keep)
            (void)fputs(".nf\n", out);
        if (len > 0) {
            size_t skip = keep ? 2 : 0;
            put_part(out, text + skip, len - skip, !keep);
            (void)fputc('\n', out);
            kept = keep;
            any = true;
        }
        gap = len == 0;
        text += len + (text[len] == '\n');
    }
    if (kept)
        (void)fputs(".fi\n", out);
}

void roff_item(FILE *out, const char *tag, const char *text)
{
    (void)fputs(".TP\n.B ", out);
    for (const char *p = tag; *p != '\0';)
        p += put_character(out, p);
    (void)fputc('\n', out);
    roff_text(out, text);
}

void roff_see_also(FILE *out, const char *names)
{
    roff_section(out, "SEE ALSO");
    roff_text(out, names);
}
