#include "admin/import.h"

#include <stdlib.h>
#include <string.h>

#include "proto/ids.h"
#include "proto/text.h"
#include "store/batches.h"

#define COLUMNS_MAX 64

struct layout {
    unsigned id, secret, count; /* columns */
    bool named;                 /* by the first line */
};

struct fields {
    struct span at[COLUMNS_MAX];
    unsigned count;
};

static void bad_pair(struct import *i, unsigned line, const char *what, unsigned other)
{
    if (i->error_count < IMPORT_ERRORS_MAX)
        i->errors[i->error_count] = (struct import_error){line, what, other};
    i->error_count++;
}

static void bad(struct import *i, unsigned line, const char *what)
{
    bad_pair(i, line, what, 0);
}

static struct span behind(struct span s, size_t n)
{
    return (struct span){s.p + n, s.len - n};
}

static struct span trim(struct span s)
{
    while (s.len > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = behind(s, 1);
    while (s.len > 0 && (s.p[s.len - 1] == ' ' || s.p[s.len - 1] == '\t' || s.p[s.len - 1] == '\r'))
        s.len--;
    return s;
}

/* The bytes up to the quote that ends a field, behind the one that began it; a doubled one is the
 * field's own. */
static bool quoted(struct span s, size_t *len)
{
    for (size_t at = 0; at < s.len; at++) {
        if (s.p[at] != '"')
            continue;
        if (at + 1 < s.len && s.p[at + 1] == '"') {
            at++;
            continue;
        }
        *len = at;
        return true;
    }
    return false;
}

/* Takes a field and the comma behind it, *last when there is none. False: its quotes are wrong. */
static bool take_field(struct span *rest, struct span *out, bool *last)
{
    struct span s = trim(*rest);
    size_t len = 0;

    if (s.len > 0 && s.p[0] == '"') {
        if (!quoted(behind(s, 1), &len))
            return false;
        *out = (struct span){s.p + 1, len};
        s = trim(behind(s, len + 2));
        if (s.len > 0 && s.p[0] != ',')
            return false;
        len = 0;
    } else {
        const char *comma = s.len > 0 ? memchr(s.p, ',', s.len) : NULL;
        len = comma != NULL ? (size_t)(comma - s.p) : s.len;
        *out = trim((struct span){s.p, len});
    }
    *last = len == s.len;
    *rest = *last ? (struct span){s.p + len, 0} : behind(s, len + 1);
    return true;
}

/* What is wrong, or NULL. */
static const char *split(struct span text, struct fields *f)
{
    bool last = false;

    f->count = 0;
    while (!last) {
        if (f->count == COLUMNS_MAX)
            return "has more than 64 columns";
        if (!take_field(&text, &f->at[f->count], &last))
            return "has a quote that is not closed, or in the middle of a field";
        f->count++;
    }
    return NULL;
}

/* Whether the first line names the columns. */
static bool read_header(const struct fields *f, struct layout *layout)
{
    bool id = false, secret = false;
    struct layout found = {.count = f->count, .named = true};

    for (unsigned n = 0; n < f->count; n++) {
        if (!id && span_is(f->at[n], "device_id")) {
            found.id = n;
            id = true;
        } else if (!secret && span_is(f->at[n], "oob_secret")) {
            found.secret = n;
            secret = true;
        }
    }
    if (id && secret)
        *layout = found;
    return id && secret;
}

static const char *read_row(struct import_row *row, const struct fields *f,
                            const struct layout *layout, const char *prefix)
{
    struct span id, prefix_text = span_of(prefix);

    if (f->count != layout->count)
        return layout->named ? "has another number of columns than the first line"
                             : "is not device_id,oob_secret";
    id = f->at[layout->id];
    if (!id_ok(id))
        return "device_id is not 1 to 64 of A-Z a-z 0-9 _ -";
    if (id.len < prefix_text.len || memcmp(id.p, prefix, prefix_text.len) != 0)
        return "device_id does not begin with the prefix";
    if (hex_decode(f->at[layout->secret], row->secret, sizeof row->secret) != TEDDY_OK)
        return "oob_secret is not 64 hex digits";
    memcpy(row->device_id, id.p, id.len);
    row->device_id[id.len] = '\0';
    return NULL;
}

static void parse_line(struct import *i, struct span text, unsigned line, struct layout *layout,
                       const char *prefix)
{
    struct import_row *row = &i->rows[i->count];
    struct fields f;
    const char *wrong = split(text, &f);

    if (wrong == NULL && line == 1 && read_header(&f, layout))
        return;
    if (wrong == NULL)
        wrong = read_row(row, &f, layout, prefix);
    if (wrong != NULL) {
        bad(i, line, wrong);
        return;
    }
    row->line = line;
    i->count++;
}

static void parse_lines(struct import *i, struct span csv, const char *prefix)
{
    struct layout layout = {.id = 0, .secret = 1, .count = 2};
    unsigned line = 0;

    if (csv.len >= 3 && memcmp(csv.p, "\xEF\xBB\xBF", 3) == 0)
        csv = behind(csv, 3);
    while (csv.len > 0) {
        const char *end = memchr(csv.p, '\n', csv.len);
        size_t len = end != NULL ? (size_t)(end - csv.p) : csv.len;
        struct span text = trim((struct span){csv.p, len});
        line++;
        if (text.len > 0)
            parse_line(i, text, line, &layout, prefix);
        csv = behind(csv, len + (end != NULL));
    }
    if (i->count == 0 && i->error_count == 0)
        bad(i, line, "there is no device in the file");
}

static size_t count_lines(struct span csv)
{
    size_t n = 1;

    for (size_t at = 0; at < csv.len; at++)
        n += csv.p[at] == '\n';
    return n;
}

/* No row is shorter than its secret, so that many short lines cannot ask for much memory. */
static size_t rows_at_most(struct span csv)
{
    size_t lines = count_lines(csv), by_size = csv.len / (2 * LIMIT_SECRET_LEN) + 1;

    return (lines < by_size ? lines : by_size) + 1;
}

/* ---- Rows that say the same, found by sorting ---- */

/* A row with the beginning of its secret, so that sorting seldom has to look at the row. */
struct key {
    uint64_t secret;
    const struct import_row *row;
};

static int by_line(const struct import_row *a, const struct import_row *b)
{
    return a->line < b->line ? -1 : a->line > b->line;
}

static int by_id(const void *a, const void *b)
{
    const struct key *x = a, *y = b;
    int order = strcmp(x->row->device_id, y->row->device_id);

    return order != 0 ? order : by_line(x->row, y->row);
}

static int by_secret(const void *a, const void *b)
{
    const struct key *x = a, *y = b;
    int order;

    if (x->secret != y->secret)
        return x->secret < y->secret ? -1 : 1;
    order = memcmp(x->row->secret, y->row->secret, sizeof x->row->secret);
    return order != 0 ? order : by_line(x->row, y->row);
}

static bool ascending(const struct import *i)
{
    for (size_t n = 1; n < i->count; n++)
        if (strcmp(i->rows[n - 1].device_id, i->rows[n].device_id) >= 0)
            return false;
    return true;
}

static void find_same_ids(struct import *i, struct key *keys)
{
    if (ascending(i))
        return;
    qsort(keys, i->count, sizeof *keys, by_id);
    for (size_t n = 1; n < i->count; n++)
        if (strcmp(keys[n].row->device_id, keys[n - 1].row->device_id) == 0)
            bad_pair(i, keys[n].row->line, "device_id is that of line", keys[n - 1].row->line);
}

static void find_same_secrets(struct import *i, struct key *keys)
{
    qsort(keys, i->count, sizeof *keys, by_secret);
    for (size_t n = 1; n < i->count; n++)
        if (keys[n].secret == keys[n - 1].secret &&
            memcmp(keys[n].row->secret, keys[n - 1].row->secret, sizeof keys[n].row->secret) == 0)
            bad_pair(i, keys[n].row->line, "oob_secret is that of line", keys[n - 1].row->line);
}

/* Here, and not by the database: what it is asked keeps its writer from claims. */
static bool find_twice(struct import *i)
{
    struct key *keys = calloc(i->count + 1, sizeof *keys);

    if (keys == NULL)
        return false;
    for (size_t n = 0; n < i->count; n++) {
        keys[n].row = &i->rows[n];
        memcpy(&keys[n].secret, i->rows[n].secret, sizeof keys[n].secret);
    }
    find_same_ids(i, keys);
    find_same_secrets(i, keys);
    wipe(keys, i->count * sizeof *keys);
    free(keys);
    return true;
}

struct import *import_parse(struct span csv, const char *prefix)
{
    struct import *i = calloc(1, sizeof *i);

    if (i == NULL)
        return NULL;
    i->rows = calloc(rows_at_most(csv), sizeof *i->rows);
    if (i->rows != NULL)
        parse_lines(i, csv, prefix);
    if (i->rows == NULL || !find_twice(i)) {
        import_free(i);
        return NULL;
    }
    i->parse_errors = i->error_count;
    return i;
}

void import_free(struct import *i)
{
    if (i == NULL)
        return;
    if (i->rows != NULL)
        wipe(i->rows, i->count * sizeof *i->rows);
    free(i->rows);
    free(i);
}

/* ---- Into the registry ---- */

/* Whether the registry has room for the row: TEDDY_OK also when it has not, and then there is an
 * error; or when it is there already. */
static int look_up(struct store_tx *tx, struct import *i, const struct import_row *row)
{
    struct device_row there;
    int rc = store_device_get(tx, row->device_id, &there);
    bool same = false;

    if (rc == TEDDY_OK)
        rc = store_device_has_secret(tx, &there, row->secret, &same);
    if (same)
        i->already++;
    else if (rc == TEDDY_OK)
        bad(i, row->line, "device_id is registered already");
    if (rc != TEDDY_ENOTFOUND)
        return rc;
    rc = store_secret_unused(tx, row->secret);
    if (rc == TEDDY_EDUP)
        bad(i, row->line, "another device has this oob_secret");
    return rc == TEDDY_EDUP ? TEDDY_OK : rc;
}

static int look_at_all(struct store_tx *tx, struct import *i)
{
    int rc = TEDDY_OK;

    for (size_t n = 0; n < i->count && rc == TEDDY_OK; n++)
        rc = look_up(tx, i, &i->rows[n]);
    return rc;
}

/* After the first row that is refused the others are only looked at: nothing will stay. */
static int add_all(struct store_tx *tx, struct import *i, uint64_t now_s)
{
    int rc = TEDDY_OK;

    for (size_t n = 0; n < i->count && rc == TEDDY_OK; n++) {
        const struct import_row *row = &i->rows[n];
        if (i->error_count == 0)
            rc = store_device_add(tx, row->device_id, row->secret, now_s);
        if (rc == TEDDY_EDUP || i->error_count > 0)
            rc = look_up(tx, i, row);
        if (i->watch != NULL && (n % 256 == 255 || n + 1 == i->count))
            i->watch(i->arg, n + 1, i->count);
    }
    return rc;
}

/* What is bad costs the writer no writing where that is known: by the text, or because this runs
 * once more after a row was refused. */
int import_run(struct store_tx *tx, struct import *i, uint64_t now_s)
{
    int rc = TEDDY_OK;

    i->error_count = i->parse_errors;
    i->already = 0;
    if (i->parse_errors > 0 || i->refused)
        rc = look_at_all(tx, i);
    if (rc == TEDDY_OK && i->error_count == 0) {
        i->already = 0;
        rc = add_all(tx, i, now_s);
    }
    if (rc != TEDDY_OK || i->error_count == 0)
        return rc;
    i->refused = true;
    return TEDDY_EPROTO;
}
