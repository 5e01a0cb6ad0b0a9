#include "tools/cmdline.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/text.h"
#include "teddy/err.h"
#include "tools/roff.h"

bool cmdline_wrong(const char *program, int *status, const char *what, const char *which)
{
    fprintf(stderr, "%s: %s%s; see %s --help\n", program, what, which, program);
    *status = EXIT_USAGE;
    return false;
}

static void print_help(const struct cmdline *c)
{
    char left[64];

    fputs(c->intro, stdout);
    for (size_t i = 0; i < c->count; i++) {
        const struct cmdline_row *row = &c->rows[i];
        snprintf(left, sizeof left, "--%s%s%s", row->name, row->value[0] ? " " : "", row->value);
        printf("  %-*s %s\n", c->width, left, row->help);
    }
    fputs(c->outro, stdout);
}

/* The intro begins with the lines of usage, up to an empty one. */
static void print_page(const struct cmdline *c)
{
    const char *rest = strstr(c->intro, "\n\n");
    char tag[64];

    roff_begin(stdout, c->program, 1, c->version != NULL ? c->version : "", c->page);
    roff_section(stdout, "SYNOPSIS");
    fputs(".nf\n", stdout);
    for (const char *p = c->intro; p != NULL && p < rest;) {
        size_t skip = strlen("usage: "), len = strcspn(p, "\n");
        fprintf(stdout, "%.*s\n", len > skip ? (int)(len - skip) : 0, p + (len > skip ? skip : 0));
        p += len + 1;
    }
    fputs(".fi\n", stdout);
    roff_section(stdout, "DESCRIPTION");
    roff_lines(stdout, rest != NULL ? rest + 2 : c->intro);
    roff_section(stdout, "OPTIONS");
    for (size_t i = 0; i < c->count; i++) {
        const struct cmdline_row *row = &c->rows[i];
        snprintf(tag, sizeof tag, "--%s%s%s", row->name, row->value[0] ? " " : "", row->value);
        roff_item(stdout, tag, row->help);
    }
    roff_section(stdout, "NOTES");
    roff_lines(stdout, c->outro);
    if (c->see != NULL)
        roff_see_also(stdout, c->see);
}

static bool take_seconds(const struct cmdline_row *row, const char *value)
{
    char *end;
    double s = strtod(value, &end);

    if (end == value || *end != '\0' || !(s * 1000 >= row->min && s * 1000 <= row->max))
        return false;
    *(uint32_t *)row->to = (uint32_t)(s * 1000 + 0.5);
    return true;
}

static bool take_number(const struct cmdline_row *row, const char *value)
{
    uint64_t n;

    if (u64_parse(span_of(value), &n) != TEDDY_OK || n < row->min || n > row->max)
        return false;
    *(uint32_t *)row->to = (uint32_t)n;
    return true;
}

static bool take(const struct cmdline_row *row, const char *value)
{
    switch (row->kind) {
    case CMDLINE_TEXT:
        *(const char **)row->to = value;
        return true;
    case CMDLINE_FLAG:
        *(bool *)row->to = true;
        return true;
    case CMDLINE_SECONDS:
        return take_seconds(row, value);
    case CMDLINE_NUMBER:
        break;
    }
    return take_number(row, value);
}

static void make_options(const struct cmdline *c, struct option *out)
{
    size_t i;

    for (i = 0; i < c->count; i++)
        out[i] = (struct option){c->rows[i].name,
                                 c->rows[i].kind == CMDLINE_FLAG ? no_argument : required_argument,
                                 NULL, 256 + (int)i};
    out[i++] = (struct option){"help", no_argument, NULL, 'h'};
    if (c->version != NULL)
        out[i++] = (struct option){"version", no_argument, NULL, 'V'};
    if (c->page != NULL)
        out[i++] = (struct option){"help-man", no_argument, NULL, 'M'};
    out[i] = (struct option){0};
}

bool cmdline_parse(const struct cmdline *c, int argc, char **argv, int *rest, int *status)
{
    struct option options[CMDLINE_ROWS_MAX + 4];
    int found;

    if (c->count > CMDLINE_ROWS_MAX)
        abort();
    make_options(c, options);
    while ((found = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (found == 'h' || found == 'V' || found == 'M') {
            if (found == 'h')
                print_help(c);
            else if (found == 'M')
                print_page(c);
            else
                printf("%s %s\n", c->program, c->version);
            *status = EXIT_DONE;
            return false;
        }
        if (found == '?')
            return cmdline_wrong(c->program, status, "wrong usage", "");
        if (!take(&c->rows[found - 256], optarg))
            return cmdline_wrong(c->program, status, "not a number within its bounds: --",
                                 c->rows[found - 256].name);
    }
    *rest = optind;
    return true;
}
