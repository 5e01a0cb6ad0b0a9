/* What is printed: JSON, "key: value" lines, tables. */
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utf8proc.h>

#include "cli/ctl.h"

#define COLUMNS_MAX 12

/* What toys and servers say may not steer the terminal: control characters, and those that turn
 * the direction of what follows or cannot be seen. Two of them cannot be told apart then. */
static bool steers(utf8proc_int32_t c)
{
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        return true;
    default:
        return false;
    }
}

/* Puts '?' for each such character, and for each byte that is not UTF-8. */
static void clean(char *text)
{
    char *to = text;

    for (const char *p = text; *p != '\0';) {
        utf8proc_int32_t c;
        utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)p, -1, &c);
        if (n < 1 || steers(c)) {
            *to++ = '?';
            p += n < 1 ? 1 : n;
            continue;
        }
        memmove(to, p, (size_t)n);
        to += n;
        p += n;
    }
    *to = '\0';
}

char *print_clean(const char *text)
{
    char *copy = text != NULL ? strdup(text) : NULL;

    if (copy != NULL)
        clean(copy);
    return copy;
}

/* In columns of a terminal. */
static int width_of(const char *text)
{
    int width = 0;

    while (*text != '\0') {
        utf8proc_int32_t c;
        utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)text, -1, &c);
        width += n < 1 ? 1 : utf8proc_charwidth(c);
        text += n < 1 ? 1 : n;
    }
    return width;
}

static bool wants_colour(FILE *out)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

    return isatty(fileno(out)) == 1 && (no == NULL || no[0] == '\0') &&
           (term == NULL || strcmp(term, "dumb") != 0);
}

const char *print_colour(FILE *out, enum print_colour colour)
{
    static const char *const codes[] = {
        [COLOUR_NONE] = "\033[0m",   [COLOUR_TITLE] = "\033[1m",  [COLOUR_GOOD] = "\033[32m",
        [COLOUR_WARNS] = "\033[33m", [COLOUR_WRONG] = "\033[31m",
    };

    return wants_colour(out) ? codes[colour] : "";
}

static void say(const char *format, va_list args)
{
    char *text = NULL;

    if (vasprintf(&text, format, args) < 0)
        return;
    clean(text);
    (void)fprintf(stderr, "%steddyctl:%s %s\n", print_colour(stderr, COLOUR_WRONG),
                  print_colour(stderr, COLOUR_NONE), text);
    free(text);
}

int fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say(format, args);
    va_end(args);
    return CTL_FAILED;
}

int usage(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say(format, args);
    va_end(args);
    return CTL_USAGE;
}

static bool only_shows;

void print_only_shows(bool only)
{
    only_shows = only;
}

/* Who has seen enough of a list, as head(1) has, closed the pipe: that needs no words. */
static bool reader_left(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO};

    return poll(&out, 1, 0) == 1 && (out.revents & POLLERR) != 0;
}

/* Output that nobody got is a failure: the secret on it may be the only copy. */
static int flushed(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return CTL_DONE;
    if (only_shows)
        return reader_left() ? CTL_FAILED : fail("the output could not be written");
    return fail("the output could not be written, but the command was done; "
                "if it showed a secret, make a new one with device rotate-secret");
}

int print_json(const json_t *json)
{
    if (json_dumpf(json, stdout, JSON_COMPACT | JSON_REAL_PRECISION(15)) != 0 && !ferror(stdout))
        return fail("out of memory");
    (void)putchar('\n');
    return flushed();
}

int print_text(const struct ctl *ctl, const char *member, void (*print)(FILE *out))
{
    char *text = NULL;
    size_t len = 0;
    FILE *out;
    json_t *json;
    int rc;

    if (!ctl->json) {
        print(stdout);
        return flushed();
    }
    out = open_memstream(&text, &len);
    if (out == NULL)
        return fail("out of memory");
    print(out);
    json = fclose(out) == 0 ? json_pack("{s:s%}", member, text, len) : NULL;
    rc = json != NULL ? print_json(json) : fail("out of memory");
    json_decref(json);
    free(text);
    return rc;
}

/* One line of text, malloc'd and clean; whole, however long. NULL: out of memory. */
static char *cell(const json_t *value)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    if (out == NULL)
        return NULL;
    if (json_is_string(value))
        (void)fputs(json_string_value(value), out);
    else if (json_is_boolean(value))
        (void)fputs(json_is_true(value) ? "yes" : "no", out);
    else if (json_is_real(value))
        (void)fprintf(out, "%.6g", json_real_value(value));
    else if (json_is_null(value) || value == NULL ||
             (json_is_array(value) && json_array_size(value) == 0))
        (void)fputs("-", out);
    else if (json_is_array(value) && json_is_string(json_array_get(value, 0)))
        for (size_t i = 0; i < json_array_size(value); i++) {
            const char *word = json_string_value(json_array_get(value, i));
            (void)fprintf(out, "%s%s", i > 0 ? " " : "", word != NULL ? word : "?");
        }
    else
        (void)json_dumpf(value, out, JSON_COMPACT | JSON_ENCODE_ANY);
    if (fclose(out) != 0)
        return NULL;
    clean(text);
    return text;
}

static void print_member(const char *before, const char *name, const json_t *value)
{
    const char *inner_name;
    json_t *inner;
    char path[256];

    (void)snprintf(path, sizeof path, "%s%s%s", before, before[0] != '\0' ? "." : "", name);
    if (json_is_object(value) && strlen(path) < sizeof path - 1) {
        json_object_foreach((json_t *)(uintptr_t)value, inner_name, inner)
            print_member(path, inner_name, inner);
        return;
    }
    char *text = cell(value);
    (void)printf("%s%s:%s %s\n", print_colour(stdout, COLOUR_TITLE), path,
                 print_colour(stdout, COLOUR_NONE), text != NULL ? text : "?");
    free(text);
}

int print_object(const json_t *object)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)object, name, value) print_member("", name, value);
    return flushed();
}

/* ---- Tables ---- */

static char *row_cell(const json_t *rows, size_t row, const struct print_column *column)
{
    return cell(json_object_get(json_array_get(rows, row), column->member));
}

static void measure(const json_t *rows, const struct print_column *columns, size_t count,
                    int width[COLUMNS_MAX])
{
    for (size_t c = 0; c < count; c++) {
        width[c] = width_of(columns[c].title);
        for (size_t r = 0; r < json_array_size(rows); r++) {
            char *text = row_cell(rows, r, &columns[c]);
            int w = text != NULL ? width_of(text) : 1;
            width[c] = w > width[c] ? w : width[c];
            free(text);
        }
    }
}

/* The last column, width 0, is not filled up. */
static void put_cell(const char *text, int width)
{
    int gap = width - width_of(text);

    (void)printf("%s%*s", text, gap > 0 ? gap : 0, "");
}

int print_rows(const json_t *rows, const struct print_column *columns, size_t count)
{
    bool terminal = isatty(STDOUT_FILENO) == 1;
    int width[COLUMNS_MAX] = {0};

    if (count > COLUMNS_MAX)
        abort();
    if (terminal) {
        measure(rows, columns, count, width);
        width[count - 1] = 0;
        (void)fputs(print_colour(stdout, COLOUR_TITLE), stdout);
        for (size_t c = 0; c < count; c++) {
            put_cell(columns[c].title, width[c]);
            (void)fputs(c + 1 < count ? "  " : print_colour(stdout, COLOUR_NONE), stdout);
        }
        (void)fputc('\n', stdout);
    }
    for (size_t r = 0; r < json_array_size(rows); r++)
        for (size_t c = 0; c < count; c++) {
            char *text = row_cell(rows, r, &columns[c]);
            put_cell(text != NULL ? text : "?", width[c]);
            (void)fputs(c + 1 == count ? "\n" : terminal ? "  " : "\t", stdout);
            free(text);
        }
    return flushed();
}
