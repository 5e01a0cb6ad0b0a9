/* The page cache keeps to SQLite's contract, also for the one page that it knows under another
 * number. */
#include "store/internal.h"
#include "store/test_store.h"

#define LOCK_BYTE_PAGE 262145

static sqlite3_pcache_methods2 methods;

static int setup(void **state)
{
    (void)state;
    page_cache_set_up();
    return sqlite3_config(SQLITE_CONFIG_GETPCACHE2, &methods) == SQLITE_OK &&
                   sqlite3_initialize() == SQLITE_OK
               ? 0
               : -1;
}

static void put(sqlite3_pcache *cache, unsigned key)
{
    sqlite3_pcache_page *page = methods.xFetch(cache, key, 2);
    assert_non_null(page);
    memcpy(page->pBuf, &key, sizeof key);
    methods.xUnpin(cache, page, 0);
}

static bool has(sqlite3_pcache *cache, unsigned key)
{
    sqlite3_pcache_page *page = methods.xFetch(cache, key, 0);
    unsigned found = 0;
    if (page == NULL)
        return false;
    memcpy(&found, page->pBuf, sizeof found);
    assert_int_equal(found, key);
    methods.xUnpin(cache, page, 0);
    return true;
}

static void test_truncate(void **state)
{
    static const unsigned keys[] = {1, 2, LOCK_BYTE_PAGE - 1, LOCK_BYTE_PAGE, LOCK_BYTE_PAGE + 1};
    (void)state;
    for (size_t i = 0; i < 5; i++) {
        sqlite3_pcache *cache = methods.xCreate(512, 64, 1);
        assert_non_null(cache);
        methods.xCachesize(cache, 100);
        for (size_t k = 0; k < 5; k++)
            put(cache, keys[k]);
        for (size_t k = 0; k < 5; k++)
            assert_true(has(cache, keys[k]));
        methods.xTruncate(cache, keys[i]);
        for (size_t k = 0; k < 5; k++)
            if (has(cache, keys[k]) != (k < i))
                fail_msg("page %u after a truncation at %u", keys[k], keys[i]);
        put(cache, LOCK_BYTE_PAGE);
        methods.xDestroy(cache);
    }
}

static void test_rekey(void **state)
{
    (void)state;
    sqlite3_pcache *cache = methods.xCreate(512, 64, 1);
    sqlite3_pcache_page *page;
    assert_non_null(cache);
    methods.xCachesize(cache, 100);
    page = methods.xFetch(cache, 7, 2);
    methods.xRekey(cache, page, 7, LOCK_BYTE_PAGE);
    assert_false(has(cache, 7));
    methods.xRekey(cache, page, LOCK_BYTE_PAGE, 9);
    methods.xUnpin(cache, page, 0);
    put(cache, 9);
    assert_true(has(cache, 9));
    assert_false(has(cache, LOCK_BYTE_PAGE));
    methods.xDestroy(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_truncate),
        cmocka_unit_test(test_rekey),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
