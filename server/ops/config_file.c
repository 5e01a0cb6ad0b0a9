/* The configuration file, read by inih. Our own reader hands it one line at a time, so that the
 * line an error names is known, and refuses what inih would quietly do otherwise: split a long
 * line, continue an indented one, end at a NUL, keep sections. */
#include <errno.h>
#include <ini.h>
#include <string.h>

#include "ops/config_keys.h"

struct reading {
    struct config_load *load;
    FILE *file;
    unsigned line; /* of the text last handed out, from 1 */
    unsigned bad_line;
};

/* The first thing wrong stays. */
static void wrong(struct reading *r, const char *what, const char *detail)
{
    if (r->bad_line != 0)
        return;
    r->bad_line = r->line;
    (void)snprintf(r->load->err, r->load->cap, "%s:%u: %s%s", r->load->file, r->line, what, detail);
}

/* A line into text, without its end; false at the end of the file. */
static bool read_line(struct reading *r, char *text, size_t cap)
{
    size_t len = 0;
    int ch;

    while ((ch = fgetc(r->file)) != EOF && ch != '\n') {
        if (ch == '\0') {
            wrong(r, "holds a NUL byte; this is not a text file", "");
            return false;
        }
        if (len + 1 >= cap) {
            char most[80];
            (void)snprintf(most, sizeof most, "%zu bytes; set such a value by flag or environment",
                           cap - 1);
            wrong(r, "the line is longer than ", most);
            return false;
        }
        text[len++] = (char)ch;
    }
    text[len] = '\0';
    return len > 0 || ch != EOF;
}

static char *next_line(char *text, int cap, void *stream)
{
    struct reading *r = stream;
    const char *start;

    if (r->bad_line != 0 || feof(r->file))
        return NULL;
    r->line++;
    if (!read_line(r, text, (size_t)cap))
        return NULL;
    if (r->line == 1 && strncmp(text, "\xEF\xBB\xBF", 3) == 0)
        memmove(text, text + 3, strlen(text + 3) + 1);
    start = text + strspn(text, " \t");
    if (*start == '[') {
        wrong(r, "sections are not used; remove the line", "");
        return NULL;
    }
    /* inih takes an indented line for the continuation of the one above. */
    memmove(text, start, strlen(start) + 1);
    return text;
}

static int take(void *user, const char *section, const char *name, const char *value)
{
    struct reading *r = user;
    struct config_load *l = r->load;
    char why[320], shown[68], hint[112];
    int key = config_find(name);

    (void)section;
    if (key < 0) {
        config_printable(name, shown);
        config_suggest(name, FROM_FILE, hint, sizeof hint);
        (void)snprintf(why, sizeof why, "'%s'%s", shown, hint);
        wrong(r, "unknown key ", why);
        return 0;
    }
    if (l->from[key] == FROM_FILE) {
        (void)snprintf(why, sizeof why, "%s is there already, on line %u", name, l->line[key]);
        wrong(r, why, "");
        return 0;
    }
    if (!config_set(l->c, (unsigned)key, value, why, sizeof why)) {
        char what[80];
        (void)snprintf(what, sizeof what, "%s: ", name);
        wrong(r, what, why);
        return 0;
    }
    l->from[key] = FROM_FILE;
    l->line[key] = r->line;
    return 1;
}

int config_read_file(struct config_load *l)
{
    struct reading r = {.load = l, .file = fopen(l->file, "re")};
    int rc, failed;

    if (r.file == NULL) {
        (void)snprintf(l->err, l->cap, "%s: cannot be read: %s", l->file, strerror(errno));
        return TEDDY_EPROTO;
    }
    rc = ini_parse_stream(next_line, &r, take, &r);
    failed = ferror(r.file) ? errno : 0;
    (void)fclose(r.file);
    if (failed != 0) {
        (void)snprintf(l->err, l->cap, "%s: cannot be read: %s", l->file, strerror(failed));
        return TEDDY_EPROTO;
    }
    if (rc > 0 && (r.bad_line == 0 || (unsigned)rc < r.bad_line))
        (void)snprintf(l->err, l->cap, "%s:%d: expected KEY = VALUE", l->file, rc);
    return rc == 0 && r.bad_line == 0 ? TEDDY_OK : TEDDY_EPROTO;
}
