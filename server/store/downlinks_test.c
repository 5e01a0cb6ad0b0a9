/* Messages to toys: the queue's order, bounds and ends, the epochs of its ids, and what an older
 * database becomes. */

#include "store/children.h"
#include "store/test_opened.h"

#define MAX 64

struct seen {
    unsigned count;
    struct downlink_row rows[MAX];
    char words[MAX][40];
};

static int64_t add_device(struct store_tx *tx, const char *id, unsigned n, const char *child)
{
    uint8_t secret[LIMIT_SECRET_LEN];
    struct device_row row;
    secret_of(n, secret);
    assert_int_equal(store_device_add(tx, id, secret, 100), TEDDY_OK);
    assert_int_equal(store_device_get(tx, id, &row), TEDDY_OK);
    if (child[0])
        assert_int_equal(bind_child(tx, id, child, 1, 100), TEDDY_OK);
    return row.row;
}

static int try_send(struct store_tx *tx, const char *device, const char *words, uint64_t now_s,
                    uint64_t expires_s, unsigned max, struct downlink_row *d, uint64_t *expired)
{
    *d = (struct downlink_row){
        .queued_s = now_s, .expires_s = expires_s, .body = {words, strlen(words)}};
    return store_downlink_add(tx, device, d, max, expired);
}

static struct downlink_id queue(struct store_tx *tx, const char *device, const char *words)
{
    struct downlink_row d;
    uint64_t expired;
    assert_int_equal(try_send(tx, device, words, 100, 1000, MAX, &d, &expired), TEDDY_OK);
    return d.id;
}

static void see(void *arg, const struct downlink_row *row)
{
    struct seen *s = arg;
    assert_true(s->count < MAX);
    s->rows[s->count] = *row;
    if (row->body.p)
        snprintf(s->words[s->count], sizeof s->words[0], "%.*s", (int)row->body.len, row->body.p);
    s->count++;
}

static struct seen window(struct store_tx *tx, const char *device, const char *child,
                          struct downlink_id after, uint64_t now_s, unsigned n)
{
    struct seen s = {0};
    assert_int_equal(store_downlink_window(tx, device, child, &after, now_s, n, see, &s), TEDDY_OK);
    return s;
}

static unsigned waiting(struct store_tx *tx, const char *device)
{
    struct seen s = {0};
    assert_int_equal(store_downlink_list(tx, device, 100, see, &s), TEDDY_OK);
    for (unsigned i = 0; i < s.count; i++)
        assert_null(s.rows[i].body.p);
    return s.count;
}

static void assert_id(struct downlink_id id, uint64_t epoch, uint64_t n)
{
    assert_int_equal(id.epoch, epoch);
    assert_int_equal(id.n, n);
}

static const struct downlink_id none = {0, 0};

static int order_body(struct store_tx *tx, void *arg)
{
    (void)arg;
    char words[8];
    add_device(tx, "a", 1, "c");
    add_device(tx, "b", 2, "c");
    assert_int_equal(store_epoch_open(tx, 50), TEDDY_OK);
    for (unsigned i = 1; i <= 12; i++) {
        snprintf(words, sizeof words, "w%u", i);
        assert_id(queue(tx, "a", words), 50, i);
    }
    assert_id(queue(tx, "b", "other"), 50, 1);

    struct seen s = window(tx, "a", "c", none, 100, 8);
    assert_int_equal(s.count, 8);
    for (unsigned i = 0; i < 8; i++) {
        snprintf(words, sizeof words, "w%u", i + 1);
        assert_string_equal(s.words[i], words);
        assert_id(s.rows[i].id, 50, i + 1);
        assert_int_equal(s.rows[i].expires_s, 1000);
        assert_int_equal(s.rows[i].queued_s, 100);
        assert_int_equal(s.rows[i].body.len, 2);
    }
    /* What is sent already counts for the window, but is not read again. */
    s = window(tx, "a", "c", (struct downlink_id){50, 5}, 100, 8);
    assert_int_equal(s.count, 3);
    assert_id(s.rows[0].id, 50, 6);
    assert_int_equal(window(tx, "a", "c", (struct downlink_id){50, 8}, 100, 8).count, 0);
    assert_int_equal(window(tx, "a", "other", none, 100, 8).count, 0);
    assert_int_equal(window(tx, "nobody", "c", none, 100, 8).count, 0);
    assert_int_equal(waiting(tx, "a"), 12);
    assert_int_equal(waiting(tx, "b"), 1);
    return TEDDY_OK;
}

static void messages_wait_in_order(void **state)
{
    (void)state;
    run(order_body, NULL);
}

static int ack_body(struct store_tx *tx, void *arg)
{
    (void)arg;
    uint64_t count;
    bool overtaken, behind;
    add_device(tx, "a", 1, "c");
    add_device(tx, "b", 2, "c");
    assert_int_equal(store_epoch_open(tx, 9), TEDDY_OK);
    queue(tx, "a", "1");
    assert_int_equal(store_epoch_open(tx, 10), TEDDY_OK);
    for (unsigned i = 0; i < 4; i++)
        queue(tx, "a", "x");
    queue(tx, "b", "1");
    struct downlink_id at = {10, 2};

    assert_int_equal(store_downlink_behind(tx, "a", "c", &none, &behind), TEDDY_OK);
    assert_false(behind);
    assert_int_equal(store_downlink_behind(tx, "a", "c", &at, &behind), TEDDY_OK);
    assert_true(behind);
    assert_int_equal(store_downlink_ack(tx, "a", "other", &at, &count, &overtaken),
                     TEDDY_ENOTFOUND);
    assert_int_equal(waiting(tx, "a"), 5);
    assert_int_equal(store_downlink_ack(tx, "a", "c", &at, &count, &overtaken), TEDDY_OK);
    assert_int_equal(count, 3); /* of both epochs */
    assert_false(overtaken);
    assert_int_equal(waiting(tx, "a"), 2);
    assert_int_equal(waiting(tx, "b"), 1);
    assert_id(window(tx, "a", "c", none, 100, 8).rows[0].id, 10, 3);
    assert_int_equal(store_downlink_behind(tx, "a", "c", &at, &behind), TEDDY_OK);
    assert_false(behind);
    /* The last one issued is not ahead of anything, even when nothing waits. */
    at.n = 4;
    assert_int_equal(store_downlink_ack(tx, "a", "c", &at, &count, &overtaken), TEDDY_OK);
    assert_int_equal(store_downlink_behind(tx, "a", "c", &at, &behind), TEDDY_OK);
    assert_false(behind || overtaken);
    assert_id(queue(tx, "a", "next"), 10, 5); /* ids outlive their messages */
    at.n = 5;
    assert_int_equal(store_downlink_drop(tx, "a", "other", &at), TEDDY_ENOTFOUND);
    assert_int_equal(store_downlink_drop(tx, "a", "c", &at), TEDDY_OK);
    assert_int_equal(store_downlink_drop(tx, "a", "c", &at), TEDDY_ENOTFOUND);
    return TEDDY_OK;
}

static void acks_are_cumulative_and_the_devices_own(void **state)
{
    (void)state;
    run(ack_body, NULL);
}

static int bound_body(struct store_tx *tx, void *arg)
{
    (void)arg;
    struct downlink_row d;
    uint64_t expired = 7, count;
    add_device(tx, "a", 1, "c");
    assert_int_equal(try_send(tx, "nobody", "x", 100, 200, 3, &d, &expired), TEDDY_ENOTFOUND);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(try_send(tx, "a", "x", 100, 200 + i, 3, &d, &expired), TEDDY_OK);
    assert_int_equal(try_send(tx, "a", "x", 199, 300, 3, &d, &expired), TEDDY_EFULL);
    assert_int_equal(expired, 0);
    assert_int_equal(try_send(tx, "a", "y", 201, 300, 3, &d, &expired), TEDDY_OK);
    assert_int_equal(expired, 2);
    /* Expired at their second, and not a second before. */
    assert_int_equal(window(tx, "a", "c", none, 201, 8).count, 2);
    assert_int_equal(window(tx, "a", "c", none, 202, 8).count, 1);
    assert_int_equal(store_downlink_clear(tx, "a", &count), TEDDY_OK);
    assert_int_equal(count, 2);
    assert_int_equal(waiting(tx, "a"), 0);
    assert_int_equal(store_downlink_clear(tx, "nobody", &count), TEDDY_ENOTFOUND);
    return TEDDY_OK;
}

static void a_queue_has_a_bound_and_messages_an_end(void **state)
{
    (void)state;
    run(bound_body, NULL);
}

static int epoch_body(struct store_tx *tx, void *arg)
{
    (void)arg;
    add_device(tx, "a", 1, "c");
    add_device(tx, "b", 2, "c");
    assert_int_equal(store_epoch_open(tx, 1000), TEDDY_OK);
    assert_id(queue(tx, "a", "x"), 1000, 1);
    assert_int_equal(store_epoch_open(tx, 900), TEDDY_OK); /* the clock is back */
    assert_id(queue(tx, "a", "x"), 1001, 1);
    assert_id(queue(tx, "a", "x"), 1001, 2);
    assert_id(queue(tx, "b", "x"), 1001, 1);
    assert_int_equal(store_epoch_open(tx, 5000), TEDDY_OK);
    assert_id(queue(tx, "b", "x"), 5000, 1);
    return TEDDY_OK;
}

static void each_start_opens_an_epoch(void **state)
{
    (void)state;
    run(epoch_body, NULL);
}

static int overtake_body(struct store_tx *tx, void *arg)
{
    (void)arg;
    uint64_t count;
    bool overtaken, behind;
    add_device(tx, "a", 1, "c");
    add_device(tx, "b", 2, "c");
    assert_int_equal(store_epoch_open(tx, 10), TEDDY_OK);
    queue(tx, "a", "old");
    assert_int_equal(store_epoch_open(tx, 11), TEDDY_OK);
    queue(tx, "a", "one");
    queue(tx, "a", "two");
    queue(tx, "b", "other");
    struct downlink_id last = {11, 3}; /* the very next one: heard from a server that is gone */
    assert_int_equal(store_downlink_behind(tx, "a", "c", &last, &behind), TEDDY_OK);
    assert_true(behind);
    last = (struct downlink_id){20, 7};
    assert_int_equal(store_downlink_ack(tx, "a", "c", &last, &count, &overtaken), TEDDY_OK);
    assert_true(overtaken);
    assert_int_equal(count, 0);
    struct seen s = window(tx, "a", "c", last, 100, 8);
    assert_int_equal(s.count, 3);
    assert_string_equal(s.words[0], "old");
    assert_string_equal(s.words[2], "two");
    for (unsigned i = 0; i < 3; i++)
        assert_id(s.rows[i].id, 21, i + 1);
    assert_id(queue(tx, "a", "three"), 21, 4);
    assert_id(queue(tx, "b", "x"), 11, 2); /* nobody else's epoch moves */
    assert_int_equal(store_downlink_behind(tx, "a", "c", &last, &behind), TEDDY_OK);
    assert_false(behind);
    /* The server's epoch passes it in time. */
    assert_int_equal(store_epoch_open(tx, 30), TEDDY_OK);
    assert_id(queue(tx, "a", "four"), 30, 1);
    return TEDDY_OK;
}

static void a_toy_ahead_of_its_server_loses_nothing(void **state)
{
    (void)state;
    run(overtake_body, NULL);
}

static int last_epoch_body(struct store_tx *tx, void *arg)
{
    (void)arg;
    uint64_t count;
    bool overtaken;
    struct downlink_id last = {DOWNLINK_PART_MAX, 5};
    add_device(tx, "a", 1, "c");
    queue(tx, "a", "x");
    assert_int_equal(store_downlink_ack(tx, "a", "c", &last, &count, &overtaken), TEDDY_OK);
    assert_true(overtaken);
    assert_id(window(tx, "a", "c", last, 100, 8).rows[0].id, DOWNLINK_PART_MAX, 6);
    last.n = 50;
    assert_int_equal(store_downlink_ack(tx, "a", "c", &last, &count, &overtaken), TEDDY_OK);
    assert_id(window(tx, "a", "c", last, 100, 8).rows[0].id, DOWNLINK_PART_MAX, 51);
    return TEDDY_OK;
}

static void the_last_epoch_has_no_next(void **state)
{
    (void)state;
    run(last_epoch_body, NULL);
}

static int bindings_body(struct store_tx *tx, void *arg)
{
    (void)arg;
    struct child_erased erased;
    add_device(tx, "a", 1, "");
    add_device(tx, "b", 2, "c");
    add_device(tx, "x", 3, "other");
    queue(tx, "x", "stays");
    queue(tx, "a", "welcome");
    assert_int_equal(bind_child(tx, "a", "c", 1, 100), TEDDY_OK);
    assert_int_equal(waiting(tx, "a"), 1); /* for whoever comes first */
    assert_int_equal(bind_child(tx, "a", "c", 1, 100), TEDDY_OK);
    assert_int_equal(waiting(tx, "a"), 1); /* the same child */
    assert_int_equal(bind_child(tx, "a", "d", 1, 100), TEDDY_OK);
    assert_int_equal(waiting(tx, "a"), 0);
    struct downlink_id id = queue(tx, "a", "for d");
    assert_int_equal(id.n, 2);
    assert_int_equal(store_device_release(tx, "a"), TEDDY_OK);
    assert_int_equal(waiting(tx, "a"), 0);

    assert_int_equal(bind_child(tx, "a", "c", 1, 100), TEDDY_OK);
    queue(tx, "a", "for c");
    queue(tx, "b", "for c");
    assert_int_equal(store_child_forget(tx, "c", UINT64_MAX, &erased), TEDDY_OK);
    assert_int_equal(waiting(tx, "a"), 0);
    assert_int_equal(waiting(tx, "b"), 0);
    assert_int_equal(bind_child(tx, "b", "c", 1, 100), TEDDY_OK);
    queue(tx, "b", "gone with the toy");
    assert_int_equal(store_device_remove(tx, "b"), TEDDY_OK);
    add_device(tx, "b", 4, "c");
    assert_int_equal(waiting(tx, "b"), 0);
    assert_int_equal(waiting(tx, "x"), 1);
    return TEDDY_OK;
}

static void messages_end_with_what_they_were_for(void **state)
{
    (void)state;
    run(bindings_body, NULL);
}

/* A database as the first release made it, with a toy in it. */
static void make_first(void)
{
    static const char sql[] =
        "PRAGMA journal_mode=WAL;"
        "CREATE TABLE device (row INTEGER PRIMARY KEY AUTOINCREMENT,"
        " device_id TEXT NOT NULL UNIQUE,"
        " secret BLOB NOT NULL UNIQUE CHECK (length(secret) = 32),"
        " secret_rev INTEGER NOT NULL DEFAULT 1,"
        " enabled INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),"
        " child_id TEXT NOT NULL DEFAULT '', firmware_version TEXT NOT NULL DEFAULT '',"
        " client_timestamp TEXT NOT NULL DEFAULT '', created_s INTEGER NOT NULL,"
        " claimed_s INTEGER NOT NULL DEFAULT 0, seen_s INTEGER NOT NULL DEFAULT 0) STRICT;"
        "CREATE TABLE claim_key (device_row INTEGER NOT NULL REFERENCES device (row)"
        " ON DELETE CASCADE, kind INTEGER NOT NULL CHECK (kind IN (0, 1)), key BLOB NOT NULL,"
        " accepted_s INTEGER NOT NULL, PRIMARY KEY (device_row, kind, key)) STRICT, WITHOUT ROWID;"
        "CREATE TABLE family (sid BLOB NOT NULL PRIMARY KEY CHECK (length(sid) = 16),"
        " device_row INTEGER NOT NULL REFERENCES device (row) ON DELETE CASCADE,"
        " child_id TEXT NOT NULL, access_jti BLOB NOT NULL CHECK (length(access_jti) = 16),"
        " refresh_jti BLOB NOT NULL CHECK (length(refresh_jti) = 16), iat_s INTEGER NOT NULL,"
        " access_exp_s INTEGER NOT NULL, refresh_exp_s INTEGER NOT NULL,"
        " presented INTEGER NOT NULL DEFAULT 0, spent_jti BLOB CHECK (length(spent_jti) = 16),"
        " spent_s INTEGER NOT NULL DEFAULT 0, revoked INTEGER NOT NULL DEFAULT 0)"
        " STRICT, WITHOUT ROWID;"
        "CREATE INDEX family_device ON family (device_row);"
        "CREATE INDEX family_expiry ON family (refresh_exp_s);"
        "INSERT INTO device (device_id, secret, child_id, created_s)"
        " VALUES ('old', zeroblob(32), 'c', 5), ('released', randomblob(32), '', 5);"
        "INSERT INTO family (sid, device_row, child_id, access_jti, refresh_jti, iat_s,"
        " access_exp_s, refresh_exp_s, presented, spent_jti, spent_s, revoked) VALUES"
        " (x'01000000000000000000000000000000', 1, 'c', zeroblob(16), zeroblob(16), 1, 2, 3, 0, "
        "NULL, 0, 1),"
        " (x'02000000000000000000000000000000', 1, 'c', x'03000000000000000000000000000000', "
        "x'04000000000000000000000000000000', 5, 6, 7,"
        "  1, x'05000000000000000000000000000000', 8, 0),"
        " (x'06000000000000000000000000000000', 2, 'c', zeroblob(16), zeroblob(16), 1, 2, 3, 0, "
        "NULL, 0, 1);"
        "PRAGMA application_id = 1413760089; PRAGMA user_version = 1;";
    sqlite3 *db;
    assert_int_equal(sqlite3_open(place.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

/* What stood in a table of its own: the family in force comes along. */
static void assert_upgraded_families(struct store_tx *tx)
{
    uint8_t sid[STORE_JTI_LEN] = {1};
    struct family_row f;
    assert_int_equal(store_family_get(tx, "old", sid, &f), TEDDY_OK);
    assert_true(f.revoked);
    sid[0] = 2;
    assert_int_equal(store_family_get(tx, "old", sid, &f), TEDDY_OK);
    assert_false(f.revoked);
    assert_string_equal(f.child_id, "c");
    assert_true(f.pair.access_jti[0] == 3 && f.pair.refresh_jti[0] == 4 && f.spent_jti[0] == 5);
    assert_true(f.pair.iat_s == 5 && f.pair.access_exp_s == 6 && f.pair.refresh_exp_s == 7);
    assert_true(f.presented && f.has_spent && f.spent_s == 8);
    sid[0] = 6;
    assert_int_equal(store_family_get(tx, "released", sid, &f), TEDDY_OK);
    assert_true(f.revoked);
}

static int upgraded_body(struct store_tx *tx, void *arg)
{
    (void)arg;
    struct device_row row;
    assert_int_equal(store_device_get(tx, "old", &row), TEDDY_OK);
    assert_string_equal(row.child_id, "c");
    assert_int_equal(row.created_s, 5);
    assert_upgraded_families(tx);
    assert_int_equal(store_epoch_open(tx, 40), TEDDY_OK);
    assert_id(queue(tx, "old", "new words"), 40, 1);
    assert_int_equal(waiting(tx, "old"), 1);
    return TEDDY_OK;
}

static void an_older_database_becomes_a_present_one(void **state)
{
    (void)state;
    store_close(store);
    unlink(place.path);
    make_first();
    store = must_open(&(struct store_options){.path = place.path, .unsafe_no_sync = true});
    run(upgraded_body, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(messages_wait_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(acks_are_cumulative_and_the_devices_own, setup, teardown),
        cmocka_unit_test_setup_teardown(a_queue_has_a_bound_and_messages_an_end, setup, teardown),
        cmocka_unit_test_setup_teardown(each_start_opens_an_epoch, setup, teardown),
        cmocka_unit_test_setup_teardown(a_toy_ahead_of_its_server_loses_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(the_last_epoch_has_no_next, setup, teardown),
        cmocka_unit_test_setup_teardown(messages_end_with_what_they_were_for, setup, teardown),
        cmocka_unit_test_setup_teardown(an_older_database_becomes_a_present_one, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
