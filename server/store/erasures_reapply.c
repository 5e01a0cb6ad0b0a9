#include "store/erasures_reapply.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/text.h"
#include "store/internal.h"

#define MARK         "v1 "
#define HEX_LEN      ((size_t)(2 * SEAL_MAC_LEN))
#define LINE_MAX_LEN 128

struct mac {
    uint8_t bytes[SEAL_MAC_LEN];
};

struct list {
    struct mac *mac;
    size_t count, cap;
};

struct child {
    char id[LIMIT_ID_LEN + 1];
};

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct mac));
}

/* One more of size bytes. NULL: out of memory, and *array is as it was. */
static void *grow(void **array, size_t *cap, size_t count, size_t size)
{
    if (count == *cap) {
        size_t more = *cap == 0 ? 64 : 2 * *cap;
        void *p = realloc(*array, more * size);
        if (p == NULL)
            return NULL;
        *array = p;
        *cap = more;
    }
    return (char *)*array + count * size;
}

/* line is without its end. */
static bool read_line(const char *line, size_t len, struct mac *out)
{
    const size_t mark = sizeof MARK - 1;
    uint64_t at_s;
    return len > mark + HEX_LEN + 1 && memcmp(line, MARK, mark) == 0 &&
           hex_decode((struct span){line + mark, HEX_LEN}, out->bytes, sizeof out->bytes) ==
               TEDDY_OK &&
           line[mark + HEX_LEN] == ' ' &&
           u64_parse((struct span){line + mark + HEX_LEN + 1, len - mark - HEX_LEN - 1}, &at_s) ==
               TEDDY_OK;
}

/* The beginning of a line, which a crash has cut short: it was never answered for. */
static bool torn(const char *line, size_t len)
{
    const size_t mark = sizeof MARK - 1;
    return len <= mark ? memcmp(line, MARK, len) == 0
                       : len < mark + HEX_LEN + 2 && memcmp(line, MARK, mark) == 0;
}

static int read_lines(FILE *f, const char *path, struct list *list, char *err, size_t cap)
{
    char line[LINE_MAX_LEN];
    for (size_t n = 1; fgets(line, sizeof line, f) != NULL; n++) {
        size_t len = strcspn(line, "\n");
        bool whole = line[len] == '\n';
        struct mac *mac = grow((void **)&list->mac, &list->cap, list->count, sizeof *list->mac);
        if (mac == NULL) {
            snprintf(err, cap, "%s: out of memory", path);
            return TEDDY_ENOMEM;
        }
        if (read_line(line, len, mac)) {
            list->count++;
        } else if (!torn(line, len) && (whole || !feof(f))) {
            snprintf(err, cap,
                     "%s:%zu: this is no line of an erasure; put the file back as it was, so that "
                     "no forgotten child comes back",
                     path, n);
            return TEDDY_EPROTO;
        }
    }
    if (ferror(f)) {
        snprintf(err, cap, "%s: cannot be read: %s", path, strerror(errno));
        return TEDDY_EIO;
    }
    if (list->count > 0)
        qsort(list->mac, list->count, sizeof *list->mac, compare);
    return TEDDY_OK;
}

static int read_list(const char *path, struct list *list, char *err, size_t cap)
{
    FILE *f = fopen(path, "re");
    if (f == NULL && errno == ENOENT)
        return TEDDY_OK;
    if (f == NULL) {
        snprintf(err, cap, "%s: cannot be read: %s", path, strerror(errno));
        return TEDDY_EIO;
    }
    int rc = read_lines(f, path, list, err, cap);
    (void)fclose(f);
    return rc;
}

/* The children of the database that are listed. */
static int find_children(struct store_tx *tx, const struct list *list, struct child **children,
                         size_t *count)
{
    sqlite3_stmt *st = NULL;
    size_t room = 0;
    struct mac mac;
    int rc;
    if (sqlite3_prepare_v2(tx->db,
                           "SELECT child_id FROM device WHERE child_id != ''"
                           " UNION SELECT child_id FROM child",
                           -1, &st, NULL) != SQLITE_OK)
        return TEDDY_ESTORE;
    while ((rc = tx_row(tx, st)) == TEDDY_OK) {
        struct child *c = grow((void **)children, &room, *count, sizeof **children);
        rc = c == NULL ? TEDDY_ENOMEM : column_text(tx, st, 0, c->id, sizeof c->id);
        if (rc == TEDDY_OK)
            rc = store_seal_erasure(tx, c->id, strlen(c->id), mac.bytes);
        if (rc != TEDDY_OK)
            break;
        if (bsearch(&mac, list->mac, list->count, sizeof mac, compare) != NULL)
            ++*count;
    }
    sqlite3_finalize(st);
    return rc == TEDDY_ENOTFOUND ? TEDDY_OK : rc;
}

int erasures_reapply(struct store_tx *tx, const char *path, uint64_t *listed, uint64_t *forgotten,
                     char *err, size_t cap)
{
    struct child *children = NULL;
    struct list list = {0};
    size_t count = 0;
    uint64_t devices;
    *listed = *forgotten = 0;
    if (read_list(path, &list, err, cap) != TEDDY_OK) {
        free(list.mac);
        return TEDDY_ESTORE;
    }
    int rc = list.count > 0 ? find_children(tx, &list, &children, &count) : TEDDY_OK;
    for (size_t i = 0; rc == TEDDY_OK && i < count; i++)
        rc = store_child_forget(tx, children[i].id, NULL, NULL, &devices);
    *listed = list.count;
    *forgotten = count;
    free(children);
    free(list.mac);
    if (rc == TEDDY_OK)
        return rc;
    snprintf(err, cap, "%s: it cannot be reapplied: %s", path, sqlite3_errmsg(tx->db));
    return TEDDY_ESTORE;
}
