/* SQLite's own page cache, but for one page's number. When SQLite splits a page of a tree, it may
 * give one for a moment the number of the lock-byte page, which no page of a database has: the
 * 262,145th. The cache keeps the highest number that it has seen, so that each commit behind such a
 * split looks at all its pages for those behind the database's end, thousands that are in no
 * processor's cache. Here that number is 0, which no page has either. */
#include <pthread.h>

#include "store/internal.h"

#define LOCK_BYTE_PAGE (0x40000000 / 4096 + 1) /* of pages of 4 KiB, which ours are */

static sqlite3_pcache_methods2 real;

static unsigned number_of(unsigned key)
{
    return key == LOCK_BYTE_PAGE ? 0 : key;
}

static sqlite3_pcache_page *fetch(sqlite3_pcache *cache, unsigned key, int create)
{
    return real.xFetch(cache, number_of(key), create);
}

static void rekey(sqlite3_pcache *cache, sqlite3_pcache_page *page, unsigned from, unsigned to)
{
    real.xRekey(cache, page, number_of(from), number_of(to));
}

/* Where pages are smaller or larger, that number may be a page's like others. */
static void truncate_at(sqlite3_pcache *cache, unsigned limit)
{
    sqlite3_pcache_page *page = limit <= LOCK_BYTE_PAGE ? real.xFetch(cache, 0, 0) : NULL;
    if (page != NULL)
        real.xUnpin(cache, page, 1);
    real.xTruncate(cache, limit);
}

static void set_up(void)
{
    sqlite3_pcache_methods2 ours;
    if (sqlite3_config(SQLITE_CONFIG_GETPCACHE2, &real) != SQLITE_OK)
        return; /* SQLite is in use already: it goes without */
    ours = real;
    ours.xFetch = fetch;
    ours.xRekey = rekey;
    ours.xTruncate = truncate_at;
    (void)sqlite3_config(SQLITE_CONFIG_PCACHE2, &ours);
}

void page_cache_set_up(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_up);
}
