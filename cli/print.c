#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/ctl.h"

#define COLUMNS_MAX 10
#define CELL_MAX    160

/* What toys and servers say may not steer the terminal. */
static void clean(char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < ' ' || (unsigned char)*text >= 0x7F)
            *text = '?';
}

static void say(const char *format, va_list args)
{
    char text[1024];

    (void)vsnprintf(text, sizeof text, format, args);
    clean(text);
    (void)fprintf(stderr, "teddyctl: %s\n", text);
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

/* Output that nobody got is a failure: the secret on it may be the only copy. */
static int flushed(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return CTL_DONE;
    return fail("the output could not be written, but the command was done; "
                "if it showed a secret, make a new one with device rotate-secret");
}

int print_json(const json_t *json)
{
    if (json_dumpf(json, stdout, JSON_COMPACT | JSON_REAL_PRECISION(15)) != 0 ||
        putchar('\n') == EOF)
        return fail("the output could not be written");
    return flushed();
}

/* An array of words. */
static void words(const json_t *array, char out[CELL_MAX])
{
    size_t len = 0;

    for (size_t i = 0; i < json_array_size(array) && len < CELL_MAX; i++) {
        const char *word = json_string_value(json_array_get(array, i));
        int n = snprintf(out + len, CELL_MAX - len, "%s%s", i > 0 ? " " : "",
                         word != NULL ? word : "?");
        len += n > 0 ? (size_t)n : 0;
    }
}

static void cell(const json_t *value, char out[CELL_MAX])
{
    if (json_is_string(value))
        (void)snprintf(out, CELL_MAX, "%s", json_string_value(value));
    else if (json_is_integer(value))
        (void)snprintf(out, CELL_MAX, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value))
        (void)snprintf(out, CELL_MAX, "%.6g", json_real_value(value));
    else if (json_is_boolean(value))
        (void)snprintf(out, CELL_MAX, "%s", json_is_true(value) ? "yes" : "no");
    else if (json_array_size(value) > 0)
        words(value, out);
    else
        (void)snprintf(out, CELL_MAX, "-");
    clean(out);
}

int print_object(const json_t *object)
{
    const char *name, *inner_name;
    json_t *value, *inner;
    char text[CELL_MAX];

    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        if (!json_is_object(value)) {
            cell(value, text);
            (void)printf("%s: %s\n", name, text);
            continue;
        }
        json_object_foreach(value, inner_name, inner)
        {
            cell(inner, text);
            (void)printf("%s.%s: %s\n", name, inner_name, text);
        }
    }
    return flushed();
}

static void measure(const json_t *rows, const struct print_column *columns, size_t count,
                    int width[COLUMNS_MAX])
{
    char text[CELL_MAX];

    for (size_t c = 0; c < count; c++) {
        width[c] = (int)strlen(columns[c].title);
        for (size_t r = 0; r < json_array_size(rows); r++) {
            cell(json_object_get(json_array_get(rows, r), columns[c].member), text);
            width[c] = (int)strlen(text) > width[c] ? (int)strlen(text) : width[c];
        }
    }
}

int print_rows(const json_t *rows, const struct print_column *columns, size_t count)
{
    bool terminal = isatty(STDOUT_FILENO) == 1;
    int width[COLUMNS_MAX] = {0};
    char text[CELL_MAX];

    if (terminal) {
        measure(rows, columns, count, width);
        for (size_t c = 0; c < count; c++)
            (void)printf("%-*s%s", c + 1 < count ? width[c] : 0, columns[c].title,
                         c + 1 < count ? "  " : "\n");
    }
    for (size_t r = 0; r < json_array_size(rows); r++)
        for (size_t c = 0; c < count; c++) {
            bool last = c + 1 == count;
            cell(json_object_get(json_array_get(rows, r), columns[c].member), text);
            (void)printf("%-*s%s", last ? 0 : width[c], text, last ? "\n" : terminal ? "  " : "\t");
        }
    return flushed();
}
