/* The database's pages on their way to the file. When rows move between pages, SQLite leaves their
 * bytes in the unused middle of the page that they left, whatever secure_delete says; a row that is
 * erased later would live on there. So that middle is filled with zeros here, at the one place that
 * every page passes. What the write-ahead log still has of it goes when the log is copied back and
 * begun anew. */
#include <string.h>

#include "store/internal.h"

#define PAGE_MIN 512

static size_t number(const uint8_t *p)
{
    return (size_t)p[0] << 8 | p[1];
}

/* Where the unused middle of a page of a tree begins; 0: it is no such page, or has none. Other
 * pages begin with the number of a page, whose first byte is a tree's type only where the file has
 * over 33 million of them. */
static size_t gap(const uint8_t *page, size_t len, size_t head, size_t *end)
{
    const uint8_t *h = page + head;
    bool leaf = h[0] == 0x0d || h[0] == 0x0a, inner = h[0] == 0x05 || h[0] == 0x02;
    size_t first_free = number(h + 1), cells = number(h + 3), content = number(h + 5);
    size_t begin = head + (leaf ? 8 : 12) + 2 * cells;

    content = content == 0 ? 65536 : content;
    if (!(leaf || inner) || begin >= content || content > len ||
        (first_free != 0 && first_free < content))
        return 0;
    *end = content;
    return begin;
}

static int write_page(sqlite3_file *f, const void *data, int len, sqlite3_int64 at)
{
    struct page_filter *p = (struct page_filter *)(void *)(uintptr_t)f->pMethods;
    size_t size = (size_t)len, begin = 0, end = 0;

    if (size >= PAGE_MIN && size <= sizeof p->page && (size & (size - 1)) == 0 && at % len == 0)
        begin = gap(data, size, at == 0 ? 100 : 0, &end);
    if (begin == 0)
        return p->write(f, data, len, at);
    memcpy(p->page, data, size);
    memset(p->page + begin, 0, end - begin);
    return p->write(f, p->page, len, at);
}

void pages_filter(struct page_filter *p, sqlite3_file *f)
{
    p->write = f->pMethods->xWrite;
    p->methods = *f->pMethods;
    p->methods.xWrite = write_page;
    f->pMethods = &p->methods;
}
