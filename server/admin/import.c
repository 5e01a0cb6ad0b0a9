#include <stdlib.h>

#include "admin/command.h"
#include "proto/ids.h"
#include "proto/text.h"

static void bad(struct import *i, unsigned line, const char *what)
{
    if (i->error_count < ADMIN_ERRORS_MAX)
        i->errors[i->error_count] = (struct import_error){line, what};
    i->error_count++;
}

static struct span trim(struct span s)
{
    while (s.len > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = (struct span){s.p + 1, s.len - 1};
    while (s.len > 0 && (s.p[s.len - 1] == ' ' || s.p[s.len - 1] == '\t' || s.p[s.len - 1] == '\r'))
        s.len--;
    return s;
}

/* A field as spreadsheets write it: perhaps in quotes, never with one inside (neither column may
 * hold one). */
static struct span field(struct span s)
{
    s = trim(s);
    if (s.len >= 2 && s.p[0] == '"' && s.p[s.len - 1] == '"')
        s = (struct span){s.p + 1, s.len - 2};
    return s;
}

static void parse_line(struct import *i, struct span text, unsigned line)
{
    const char *comma = memchr(text.p, ',', text.len);
    struct import_row *row = &i->rows[i->count];

    if (comma == NULL || memchr(comma + 1, ',', (size_t)(text.p + text.len - comma) - 1) != NULL) {
        bad(i, line, "is not device_id,oob_secret");
        return;
    }
    struct span id = field((struct span){text.p, (size_t)(comma - text.p)});
    struct span secret = field((struct span){comma + 1, (size_t)(text.p + text.len - comma) - 1});
    if (line == 1 && span_is(id, "device_id") && span_is(secret, "oob_secret"))
        return;
    if (!id_ok(id)) {
        bad(i, line, "device_id is not 1 to 64 of A-Z a-z 0-9 _ -");
        return;
    }
    if (hex_decode(secret, row->secret, sizeof row->secret) != TEDDY_OK) {
        bad(i, line, "oob_secret is not 64 hex digits");
        return;
    }
    memcpy(row->device_id, id.p, id.len);
    row->device_id[id.len] = '\0';
    row->line = line;
    i->count++;
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

struct import *import_parse(struct span csv)
{
    struct import *i = calloc(1, sizeof *i);
    unsigned line = 0;

    if (i == NULL)
        return NULL;
    i->rows = calloc(rows_at_most(csv), sizeof *i->rows);
    if (i->rows == NULL) {
        free(i);
        return NULL;
    }
    if (csv.len >= 3 && memcmp(csv.p, "\xEF\xBB\xBF", 3) == 0)
        csv = (struct span){csv.p + 3, csv.len - 3};
    while (csv.len > 0) {
        const char *end = memchr(csv.p, '\n', csv.len);
        size_t len = end != NULL ? (size_t)(end - csv.p) : csv.len;
        struct span text = trim((struct span){csv.p, len});
        line++;
        if (text.len > 0)
            parse_line(i, text, line);
        len += end != NULL;
        csv = (struct span){csv.p + len, csv.len - len};
    }
    if (i->count == 0 && i->error_count == 0)
        bad(i, line, "there is no device in the file");
    i->errors_before = i->error_count;
    return i;
}

void import_free(struct import *i)
{
    if (i == NULL)
        return;
    wipe(i->rows, i->count * sizeof *i->rows);
    free(i->rows);
    free(i);
}

/* What keeps the writer for some 10 ms. */
#define PIECE 256

static size_t piece_end(const struct import *i)
{
    size_t all = i->undoing ? i->added : i->count;
    return all - i->at < PIECE ? all : i->at + PIECE;
}

static int add_row(struct store_tx *tx, struct import *i, struct import_row *row, uint64_t now_s)
{
    struct device_row there;
    int rc = store_device_get(tx, row->device_id, &there);
    bool same = false;
    if (rc == TEDDY_OK && store_device_has_secret(tx, &there, row->secret, &same) != TEDDY_OK)
        return TEDDY_ESTORE;
    row->added = false;
    if (same)
        return TEDDY_OK;
    if (rc == TEDDY_OK) {
        bad(i, row->line, "device_id is registered already, or twice in this file");
        return TEDDY_OK;
    }
    if (rc == TEDDY_ENOTFOUND)
        rc = store_device_add(tx, row->device_id, row->secret, now_s);
    row->added = rc == TEDDY_OK;
    if (rc == TEDDY_EDUP)
        bad(i, row->line, "another device has this oob_secret");
    return rc == TEDDY_EDUP ? TEDDY_OK : rc;
}

/* Of this id somebody may have removed it since, and registered another. */
static int remove_row(struct store_tx *tx, const struct import_row *row)
{
    struct device_row there;
    if (!row->added)
        return TEDDY_OK;
    int rc = store_device_get(tx, row->device_id, &there);
    bool same = false;
    if (rc == TEDDY_OK)
        rc = store_device_has_secret(tx, &there, row->secret, &same);
    if (same)
        rc = store_device_remove(tx, row->device_id);
    return rc == TEDDY_ENOTFOUND ? TEDDY_OK : rc;
}

int import_run(struct store_tx *tx, struct import *i, uint64_t now_s)
{
    size_t end = piece_end(i);

    if (!i->undoing)
        i->error_count = i->errors_before; /* a group that is repeated runs this again */
    for (size_t n = i->at; n < end; n++) {
        int rc = i->undoing ? remove_row(tx, &i->rows[n]) : add_row(tx, i, &i->rows[n], now_s);
        if (rc != TEDDY_OK)
            return rc;
    }
    return !i->undoing && i->error_count > 0 ? TEDDY_EPROTO : TEDDY_OK;
}

bool import_more(struct import *i, int *result)
{
    if (*result != TEDDY_OK && *result != TEDDY_EPROTO)
        return false;
    i->at = piece_end(i);
    i->errors_before = i->error_count;
    if (i->undoing) {
        *result = TEDDY_EPROTO;
        return i->at < i->added;
    }
    if (*result == TEDDY_OK)
        i->added = i->at;
    if (i->at < i->count)
        return true;
    i->undoing = i->error_count > 0;
    i->at = 0;
    return i->undoing && i->added > 0;
}
