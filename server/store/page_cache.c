/* SQLite's own page cache, but for one page's number. When SQLite splits a page of a tree, it may
 * give one for a moment the number of the lock-byte page, which no page of a database has: the
 * 524,289th of 2 KiB. The cache keeps the highest number that it has seen, so that each commit
 * behind such a split looks at all its pages for those behind the database's end, thousands that
 * are in no processor's cache. Here that number is 0, which no page has either. */
#include <pthread.h>
#include <stdlib.h>

#include "store/internal.h"

#define LOCK_BYTE 0x40000000u

static sqlite3_pcache_methods2 real;

/* What SQLite has for a cache. */
struct cache {
    sqlite3_pcache *of;
    unsigned lock_byte_page; /* numbered from 1 */
};

static struct cache *cache_of(sqlite3_pcache *cache)
{
    return (struct cache *)(void *)cache;
}

static unsigned number_of(const struct cache *c, unsigned key)
{
    return key == c->lock_byte_page ? 0 : key;
}

static sqlite3_pcache *create(int page_len, int extra, int purgeable)
{
    struct cache *c = malloc(sizeof *c);
    if (c == NULL)
        return NULL;
    c->lock_byte_page = LOCK_BYTE / (unsigned)page_len + 1;
    c->of = real.xCreate(page_len, extra, purgeable);
    if (c->of != NULL)
        return (sqlite3_pcache *)(void *)c;
    free(c);
    return NULL;
}

static void destroy(sqlite3_pcache *cache)
{
    real.xDestroy(cache_of(cache)->of);
    free(cache);
}

static void set_size(sqlite3_pcache *cache, int pages)
{
    real.xCachesize(cache_of(cache)->of, pages);
}

static int count(sqlite3_pcache *cache)
{
    return real.xPagecount(cache_of(cache)->of);
}

static sqlite3_pcache_page *fetch(sqlite3_pcache *cache, unsigned key, int create_it)
{
    const struct cache *c = cache_of(cache);
    return real.xFetch(c->of, number_of(c, key), create_it);
}

static void unpin(sqlite3_pcache *cache, sqlite3_pcache_page *page, int discard)
{
    real.xUnpin(cache_of(cache)->of, page, discard);
}

static void rekey(sqlite3_pcache *cache, sqlite3_pcache_page *page, unsigned from, unsigned to)
{
    const struct cache *c = cache_of(cache);
    real.xRekey(c->of, page, number_of(c, from), number_of(c, to));
}

static void truncate_at(sqlite3_pcache *cache, unsigned limit)
{
    const struct cache *c = cache_of(cache);
    sqlite3_pcache_page *page = limit <= c->lock_byte_page ? real.xFetch(c->of, 0, 0) : NULL;
    if (page != NULL)
        real.xUnpin(c->of, page, 1);
    real.xTruncate(c->of, limit);
}

static void shrink(sqlite3_pcache *cache)
{
    real.xShrink(cache_of(cache)->of);
}

static void set_up(void)
{
    sqlite3_pcache_methods2 ours;
    /* Without its count of memory SQLite takes no lock to allocate. */
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    if (sqlite3_config(SQLITE_CONFIG_GETPCACHE2, &real) != SQLITE_OK)
        return; /* SQLite is in use already: it goes without */
    ours = real;
    ours.xCreate = create;
    ours.xDestroy = destroy;
    ours.xCachesize = set_size;
    ours.xPagecount = count;
    ours.xFetch = fetch;
    ours.xUnpin = unpin;
    ours.xRekey = rekey;
    ours.xTruncate = truncate_at;
    ours.xShrink = shrink;
    (void)sqlite3_config(SQLITE_CONFIG_PCACHE2, &ours);
}

void sqlite_set_up(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_up);
}
