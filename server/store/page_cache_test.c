/* The page cache keeps to SQLite's contract, also for the one page that it knows under another
 * number. */
#include "store/internal.h"
#include "store/test_store.h"

/* The page at the first GiB's end. */
static const struct {
    int page_len;
    unsigned number;
} sizes[] = {{2048, 524289}, {4096, 262145}};

static sqlite3_pcache_methods2 methods;

static int setup(void **state)
{
    struct log_vfs first;
    (void)state;
    if (log_vfs_add(&first, NULL) != TEDDY_OK) /* as where a database is looked at, and its store
                                                  opened later */
        return -1;
    log_vfs_remove(&first);
    return sqlite3_shutdown() == SQLITE_OK && /* it says its methods only then */
                   sqlite3_config(SQLITE_CONFIG_GETPCACHE2, &methods) == SQLITE_OK &&
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

static void truncate_all(int page_len, unsigned number)
{
    const unsigned keys[] = {1, 2, number - 1, number, number + 1};
    for (size_t i = 0; i < 5; i++) {
        sqlite3_pcache *cache = methods.xCreate(page_len, 64, 1);
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
        put(cache, number);
        methods.xDestroy(cache);
    }
}

static void test_truncate(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        truncate_all(sizes[i].page_len, sizes[i].number);
}

static void rekey_one(int page_len, unsigned number)
{
    sqlite3_pcache *cache = methods.xCreate(page_len, 64, 1);
    sqlite3_pcache_page *page;
    assert_non_null(cache);
    methods.xCachesize(cache, 100);
    page = methods.xFetch(cache, 7, 2);
    methods.xRekey(cache, page, 7, number);
    assert_false(has(cache, 7));
    methods.xRekey(cache, page, number, 9);
    methods.xUnpin(cache, page, 0);
    put(cache, 9);
    assert_true(has(cache, 9));
    assert_false(has(cache, number));
    methods.xDestroy(cache);
}

static void test_rekey(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        rekey_one(sizes[i].page_len, sizes[i].number);
}

/* It stands at 0; a page that has another size's number is a page like others. */
static void test_sizes_differ(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        sqlite3_pcache *cache = methods.xCreate(sizes[i].page_len, 64, 1);
        assert_non_null(cache);
        methods.xCachesize(cache, 100);
        put(cache, sizes[i].number);
        put(cache, sizes[1 - i].number);
        assert_true(has(cache, sizes[i].number));
        assert_true(has(cache, sizes[1 - i].number));
        sqlite3_pcache_page *page = methods.xFetch(cache, 0, 0);
        assert_non_null(page);
        assert_memory_equal(page->pBuf, &sizes[i].number, sizeof sizes[i].number);
        methods.xUnpin(cache, page, 0);
        assert_int_equal(methods.xPagecount(cache), 2);
        methods.xDestroy(cache);
    }
}

/* The count would take a lock for each piece. */
static void test_memory_not_counted(void **state)
{
    void *piece = sqlite3_malloc(1000);
    (void)state;
    assert_non_null(piece);
    assert_int_equal(sqlite3_memory_used(), 0);
    sqlite3_free(piece);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_truncate),
        cmocka_unit_test(test_rekey),
        cmocka_unit_test(test_sizes_differ),
        cmocka_unit_test(test_memory_not_counted),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
