/* The database file as the writer's connection sees it. With secure_delete SQLite zeroes what is
 * deleted, but where it moves rows to another page, because theirs is full, copies of them can stay
 * behind in the room between a page's directory and its rows, and live on when the rows are
 * deleted. So that room is zeroed in every page on its way from the log into the file. It means
 * nothing to SQLite, and the file has no checksums. Everything else is the real VFS's own. */
#include <string.h>

#include "store/internal.h"

#define FIRST_HEAD  100 /* bytes before the first page's own head */
#define LEAF_HEAD   8
#define INNER_HEAD  12
#define INDEX_INNER 2 /* the four kinds of pages of a tree */
#define TABLE_INNER 5
#define INDEX_LEAF  10
#define TABLE_LEAF  13
/* Other pages begin with the number of another page, whose first byte is none of the kinds in a
 * file below this. */
#define FILE_BYTES_MAX ((sqlite3_int64)64 << 30)

static size_t number_at(const uint8_t *p)
{
    return (size_t)(p[0] << 8 | p[1]);
}

static size_t head_len(uint8_t kind)
{
    return kind == INDEX_LEAF || kind == TABLE_LEAF     ? LEAF_HEAD
           : kind == INDEX_INNER || kind == TABLE_INNER ? INNER_HEAD
                                                        : 0;
}

/* The free room of a tree's page: from *begin to its end; false: it is no such page. */
static bool free_room(const uint8_t *page, size_t len, size_t head, size_t *begin, size_t *end)
{
    size_t own = head_len(page[head]);
    if (own == 0)
        return false;
    *begin = head + own + 2 * number_at(page + head + 3);
    *end = number_at(page + head + 5);
    return *begin <= *end && *end <= len;
}

static struct log_vfs *vfs_of(sqlite3_file *f)
{
    return (struct log_vfs *)((char *)(uintptr_t)f->pMethods - offsetof(struct log_vfs, database));
}

static int database_write(sqlite3_file *f, const void *data, int len, sqlite3_int64 at)
{
    const sqlite3_io_methods *real = vfs_of(f)->database_real;
    uint8_t page[PAGE_LEN_FORMER];
    size_t begin, end;
    if ((len != PAGE_LEN && len != PAGE_LEN_FORMER) || at >= FILE_BYTES_MAX ||
        !free_room(data, (size_t)len, at == 0 ? FIRST_HEAD : 0, &begin, &end))
        return real->xWrite(f, data, len, at);
    memcpy(page, data, (size_t)len);
    memset(page + begin, 0, end - begin);
    return real->xWrite(f, page, len, at);
}

void database_file_watch(struct log_vfs *v, sqlite3_file *f)
{
    if (v->database_real == NULL) {
        v->database_real = f->pMethods;
        v->database = *f->pMethods;
        v->database.xWrite = database_write;
    }
    if (f->pMethods == v->database_real)
        f->pMethods = &v->database;
}
