/* What is kept of conversations: limits are the child's, with whichever toy it plays, and all else
 * a pair's; words that were blocked are few; and what was kept last is known. */
#include "store/talk.h"

#include "store/children.h"
#include "store/erasures.h"
#include "store/test_opened.h"

static int bind_body(struct store_tx *tx, void *arg)
{
    static const char *const ids[] = {"a", "b", "c"};
    uint8_t secret[LIMIT_SECRET_LEN];
    (void)arg;
    for (unsigned i = 0; i < 3; i++) {
        secret_of(i, secret);
        assert_int_equal(store_device_add(tx, ids[i], secret, 1), TEDDY_OK);
        assert_int_equal(
            bind_child(tx, ids[i], i < 2 ? "kid" : "another", (uint8_t)(0x70 + i), 100), TEDDY_OK);
    }
    return TEDDY_OK;
}

static int setup_bound(void **state)
{
    (void)setup(state);
    run(bind_body, NULL);
    return 0;
}

static struct talk_pair pair_of(struct store_tx *tx, const char *device, struct profile_row *out)
{
    struct talk_pair pair;
    const char *child = device[0] == 'c' ? "another" : "kid";
    assert_int_equal(store_profile_get(tx, device, child, &pair, out), TEDDY_OK);
    return pair;
}

static int limits_body(struct store_tx *tx, void *arg)
{
    struct profile_row p = {.memory = PROFILE_OFF,
                            .name = "Mia",
                            .language = "es",
                            .age = 6,
                            .zone = "Europe/Madrid",
                            .quiet_from = 1200,
                            .quiet_to = 420,
                            .minutes = 30,
                            .alert_words = true};
    struct profile_row found;
    (void)arg;
    struct talk_pair a = pair_of(tx, "a", &found), b;
    assert_int_equal(store_profile_put(tx, &a, "kid", &p, 50), TEDDY_OK);

    b = pair_of(tx, "b", &found); /* it has no profile of its own */
    assert_int_equal(found.minutes, 30);
    assert_int_equal(found.quiet_from, 1200);
    assert_int_equal(found.quiet_to, 420);
    assert_string_equal(found.zone, "Europe/Madrid");
    assert_int_equal(found.age, 6);
    assert_string_equal(found.language, "es");
    assert_int_equal(found.memory, PROFILE_OFF);
    assert_string_equal(found.name, ""); /* whoever says the child's id is not told its name */
    assert_false(found.alert_words);

    (void)pair_of(tx, "c", &found);
    assert_int_equal(found.minutes, 0);
    assert_int_equal(found.memory, PROFILE_DEFAULT);

    p.memory = PROFILE_ON;
    assert_int_equal(store_profile_put(tx, &a, "kid", &p, 51), TEDDY_OK);
    (void)pair_of(tx, "b", &found);
    assert_int_equal(found.memory, PROFILE_DEFAULT); /* it is only ever switched off by another */

    struct profile_row of_b = {.memory = PROFILE_ON, .age = 9, .minutes = 20};
    assert_int_equal(store_profile_put(tx, &b, "kid", &of_b, 52), TEDDY_OK);
    (void)pair_of(tx, "a", &found);
    assert_int_equal(found.minutes, 20);
    assert_int_equal(found.quiet_from, found.quiet_to);
    assert_int_equal(found.age, 6);
    assert_string_equal(found.name, "Mia");

    /* With the toy that it was set on, the limit does not go. */
    assert_int_equal(store_device_release(tx, "b"), TEDDY_OK);
    (void)pair_of(tx, "a", &found);
    assert_int_equal(found.minutes, 20);
    assert_int_equal(store_limits_get(tx, "kid", &found), TEDDY_OK);
    assert_int_equal(found.minutes, 20);
    assert_int_equal(store_limits_get(tx, "another", &found), TEDDY_ENOTFOUND);
    return TEDDY_OK;
}

static void limits_are_the_childs(void **state)
{
    (void)state;
    run(limits_body, NULL);
}

static int played_body(struct store_tx *tx, void *arg)
{
    struct profile_row p;
    uint64_t seconds;
    (void)arg;
    struct talk_pair a = pair_of(tx, "a", &p), b = pair_of(tx, "b", &p), c = pair_of(tx, "c", &p);
    assert_int_equal(store_played_add(tx, &a, "kid", 7, 100), TEDDY_OK);
    assert_int_equal(store_played_add(tx, &b, "kid", 7, 20), TEDDY_OK);
    assert_int_equal(store_played_add(tx, &b, "kid", 8, 3), TEDDY_OK);
    assert_int_equal(store_played_add(tx, &c, "another", 7, 4000), TEDDY_OK);
    assert_int_equal(store_played_get(tx, "kid", 7, &seconds), TEDDY_OK);
    assert_int_equal(seconds, 120);
    assert_int_equal(store_played_get(tx, "kid", 8, &seconds), TEDDY_OK);
    assert_int_equal(seconds, 3);
    assert_int_equal(store_played_get(tx, "kid", 9, &seconds), TEDDY_OK);
    assert_int_equal(seconds, 0);
    return TEDDY_OK;
}

static void minutes_are_those_of_all_toys(void **state)
{
    (void)state;
    run(played_body, NULL);
}

struct found {
    unsigned count;
    char first[32], last[32];
};

static bool each_words(void *arg, const struct talk_words *w)
{
    struct found *f = arg;
    snprintf(f->count == 0 ? f->first : f->last, sizeof f->first, "%s %.*s", w->device_id,
             (int)w->words.len, w->words.p);
    f->count++;
    return true;
}

static int words_body(struct store_tx *tx, void *arg)
{
    struct profile_row p;
    struct found f = {0};
    char words[16];
    (void)arg;
    struct talk_pair a = pair_of(tx, "a", &p), b = pair_of(tx, "b", &p);
    for (unsigned i = 1; i <= BLOCKED_WORDS_KEPT + 5; i++) {
        snprintf(words, sizeof words, "words %u", i);
        assert_int_equal(store_blocked_words_add(tx, &a, "kid", "violence",
                                                 (struct span){words, strlen(words)},
                                                 86400 * 3 + i),
                         TEDDY_OK);
    }
    assert_int_equal(
        store_blocked_words_add(tx, &b, "kid", "other", (struct span){"b's", 3}, 86400 * 4),
        TEDDY_OK);
    assert_int_equal(store_report_words(tx, "kid", NULL, 3, each_words, &f), TEDDY_OK);
    assert_int_equal(f.count, BLOCKED_WORDS_KEPT + 1);
    assert_string_equal(f.first, "a words 6");
    assert_string_equal(f.last, "b b's");
    f.count = 0;
    assert_int_equal(store_report_words(tx, "kid", "a", 4, each_words, &f), TEDDY_OK);
    assert_int_equal(f.count, 0);
    assert_int_equal(store_report_words(tx, "another", NULL, 0, each_words, &f), TEDDY_OK);
    assert_int_equal(f.count, 0);
    assert_int_equal(store_device_release(tx, "b"), TEDDY_OK);
    assert_int_equal(store_report_words(tx, "kid", NULL, 4, each_words, &f), TEDDY_OK);
    assert_int_equal(f.count, 0);
    return TEDDY_OK;
}

static void blocked_words_are_few(void **state)
{
    (void)state;
    run(words_body, NULL);
}

static void in_sql(const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(place.path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    sqlite3_close(db);
}

static enum alert_fate raise_alert(struct store_tx *tx, const char *device, const char *category,
                                   uint64_t at_s, uint64_t more)
{
    struct profile_row p;
    struct talk_pair pair = pair_of(tx, device, &p);
    struct alert_new alert = {category, {"words", 5}, at_s, more, at_s + more};
    enum alert_fate fate = (enum alert_fate)99;
    assert_int_equal(
        store_alert_add(tx, &pair, device[0] == 'c' ? "another" : "kid", &alert, &fate), TEDDY_OK);
    return fate;
}

static void is_next(struct store_tx *tx, int64_t n, uint64_t at_s, uint64_t more, uint64_t last_s)
{
    struct alert_row row;
    assert_int_equal(store_alert_next(tx, &row), TEDDY_OK);
    assert_int_equal(row.n, n);
    assert_int_equal(row.at_s, at_s);
    assert_int_equal(row.more, more);
    assert_int_equal(row.last_s, last_s);
}

/* The first are kept; what comes behind them is counted, and no other's are in the way. */
static int alike_body(struct store_tx *tx, void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < ALERTS_ALIKE; i++)
        assert_int_equal(raise_alert(tx, "a", "self_harm", 100 + i, 0), ALERT_KEPT);
    assert_int_equal(raise_alert(tx, "a", "self_harm", 200, 0), ALERT_COUNTED);
    assert_int_equal(raise_alert(tx, "a", "self_harm", 300, 2), ALERT_COUNTED);
    assert_int_equal(raise_alert(tx, "a", "violence", 310, 0), ALERT_KEPT);
    assert_int_equal(raise_alert(tx, "b", "self_harm", 320, 0), ALERT_KEPT);
    assert_int_equal(raise_alert(tx, "c", "self_harm", 330, 0), ALERT_KEPT);
    for (int64_t n = 1; n < ALERTS_ALIKE; n++) {
        is_next(tx, n, 99 + (uint64_t)n, 0, 99 + (uint64_t)n);
        assert_int_equal(store_alert_drop(tx, n, 0), TEDDY_OK);
    }
    is_next(tx, ALERTS_ALIKE, 99 + ALERTS_ALIKE, 4, 302);
    /* It was told when three had been counted; the fourth follows. */
    assert_int_equal(store_alert_drop(tx, ALERTS_ALIKE, 3), TEDDY_OK);
    is_next(tx, ALERTS_ALIKE + 4, 302, 0, 302);
    assert_int_equal(store_alert_drop(tx, ALERTS_ALIKE + 4, 0), TEDDY_OK);
    is_next(tx, ALERTS_ALIKE + 1, 310, 0, 310);
    return TEDDY_OK;
}

static void alerts_alike_are_counted(void **state)
{
    (void)state;
    run(alike_body, NULL);
}

static int full_body(struct store_tx *tx, void *arg)
{
    const bool *full = arg;
    for (unsigned i = 0; i < ALERTS_ALIKE; i++)
        assert_int_equal(raise_alert(tx, "b", "other", 100, 0),
                         *full && i + 1 == ALERTS_ALIKE ? ALERT_DROPPED : ALERT_KEPT);
    return *full ? TEDDY_OK : TEDDY_EINVAL;
}

static int silenced_body(struct store_tx *tx, void *arg)
{
    struct profile_row p;
    struct alert_row row;
    struct talk_pair a = pair_of(tx, "a", &p), b = pair_of(tx, "b", &p);
    (void)arg;
    p.alert_words = true;
    assert_int_equal(store_profile_put(tx, &a, "kid", &p, 50), TEDDY_OK);
    assert_int_equal(store_profile_put(tx, &b, "kid", &p, 50), TEDDY_OK);
    assert_int_equal(raise_alert(tx, "a", "other", 100, 0), ALERT_KEPT);
    assert_int_equal(raise_alert(tx, "b", "other", 101, 0), ALERT_KEPT);
    assert_int_equal(store_profile_put(tx, &a, "kid", &p, 51), TEDDY_OK);
    assert_int_equal(store_alert_next(tx, &row), TEDDY_OK);
    assert_string_equal(row.words, "words");
    p.alert_words = false;
    assert_int_equal(store_profile_put(tx, &a, "kid", &p, 52), TEDDY_OK);
    assert_int_equal(store_alert_next(tx, &row), TEDDY_OK);
    assert_string_equal(row.device_id, "a");
    assert_string_equal(row.words, "");
    assert_int_equal(store_alert_drop(tx, row.n, 0), TEDDY_OK);
    assert_int_equal(store_alert_next(tx, &row), TEDDY_OK);
    assert_string_equal(row.words, "words"); /* the other toy's */
    return TEDDY_OK;
}

static void words_that_wait_go_with_the_permission(void **state)
{
    (void)state;
    run(silenced_body, NULL);
}

static void the_outbox_is_bounded(void **state)
{
    char sql[512];
    bool full = false;
    (void)state;
    snprintf(sql, sizeof sql,
             "WITH RECURSIVE i (k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM i WHERE k < %d)"
             " INSERT INTO alert (device_row, child_id, category, words, at_s, due_s, tries)"
             " SELECT row, 'child' || k, 'other', '', 1, 1, 0 FROM i, device"
             " WHERE device_id = 'a'",
             ALERTS_MAX - ALERTS_ALIKE);
    in_sql(sql);
    assert_int_equal(in_write(store, full_body, &full), TEDDY_EINVAL);
    full = true;
    in_sql("INSERT INTO alert (device_row, child_id, category, words, at_s, due_s, tries)"
           " SELECT row, 'one', 'other', '', 1, 1, 0 FROM device WHERE device_id = 'a'");
    run(full_body, &full);
}

/* Each in a transaction that is undone: the only thing that is late. */
static int latest_body(struct store_tx *tx, void *arg)
{
    const unsigned *which = arg;
    struct profile_row p;
    uint64_t at_s = 0;
    struct span words = {"words", 5};
    struct talk_pair a = pair_of(tx, "a", &p);
    int rc = TEDDY_EINVAL;
    uint64_t expected = 500000;
    switch (*which) {
    case 0:
        rc = store_profile_put(tx, &a, "kid", &p, 500000);
        break;
    case 1:
        rc = store_turn_add(tx, &a, "kid",
                            &(struct talk_turn){.at_s = 500000, .heard = words, .said = words},
                            &(struct talk_bounds){9, 900});
        break;
    case 2:
        rc = store_alert_add(tx, &a, "kid",
                             &(struct alert_new){"self_harm", words, 400000, 1, 500000},
                             &(enum alert_fate){ALERT_DROPPED});
        break;
    case 3:
        rc = store_blocked_words_add(tx, &a, "kid", "other", words, 500000);
        break;
    case 4: /* forgotten is what was played on days that may have begun by then */
        rc = store_played_add(tx, &a, "kid", 7, 1);
        expected = UINT64_C(6) * 86400;
        break;
    case 5:
        rc = store_blocked_add(tx, &a, "kid", 7, "other");
        expected = UINT64_C(6) * 86400;
        break;
    default:
        rc = TEDDY_OK;
        expected = 100;
    }
    assert_int_equal(rc, TEDDY_OK);
    assert_int_equal(store_child_latest(tx, "kid", &at_s), TEDDY_OK);
    if (at_s != expected)
        fail_msg("%u: %llu", *which, (unsigned long long)at_s);
    /* As a list that says so would have it. */
    struct child_erased erased;
    uint64_t rows = 0;
    assert_int_equal(store_child_forget(tx, "kid", at_s, &erased), TEDDY_OK);
    assert_int_equal(store_child_forget(tx, "kid", UINT64_MAX, &erased), TEDDY_OK);
    for (unsigned i = 0; i < CHILD_TABLES; i++)
        rows += erased.rows[i];
    assert_int_equal(rows, 0);
    return TEDDY_EINVAL;
}

static void what_was_kept_last_is_known(void **state)
{
    (void)state;
    for (unsigned i = 0; i <= 6; i++)
        assert_int_equal(in_write(store, latest_body, &i), TEDDY_EINVAL);
}

static int talk_body(struct store_tx *tx, void *arg)
{
    (void)arg;
    talk_with(tx, "a", "kid");
    return TEDDY_OK;
}

/* Listed, and then the power goes before the commit. */
static int listed_body(struct store_tx *tx, void *arg)
{
    (void)arg;
    assert_int_equal(erasures_append(tx, "kid", 100), TEDDY_OK);
    return TEDDY_EINVAL;
}

static int64_t kept_of(const char *table)
{
    char sql[96];
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    snprintf(sql, sizeof sql, "SELECT count(*) FROM %s WHERE child_id = 'kid'", table);
    assert_int_equal(sqlite3_open(place.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    sqlite3_close(db);
    return n;
}

static const char *const tables[] = {"limits",  "profile", "turn",         "played",
                                     "blocked", "alert",   "blocked_words"};
#define TABLES (sizeof tables / sizeof tables[0])

/* Of a listed child that no toy is bound to, and of which one table alone still knows. */
static void what_is_only_in_one_table_is_forgotten(void **state)
{
    char sql[96];
    (void)state;
    for (size_t i = 0; i < TABLES; i++) {
        run(talk_body, NULL);
        in_sql("UPDATE device SET child_id = '' WHERE device_id <> 'c';"
               "DELETE FROM child WHERE child_id = 'kid'");
        for (size_t k = 0; k < TABLES; k++) {
            snprintf(sql, sizeof sql, "DELETE FROM %s WHERE child_id = 'kid'", tables[k]);
            if (k != i)
                in_sql(sql);
        }
        assert_true(kept_of(tables[i]) > 0);
        assert_int_equal(in_write(store, listed_body, NULL), TEDDY_EINVAL);
        reopen();
        assert_int_equal(kept_of(tables[i]), 0);
        in_sql("UPDATE device SET child_id = 'kid' WHERE device_id = 'a'");
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup_bound, teardown)
    const struct CMUnitTest tests[] = {T(limits_are_the_childs),
                                       T(minutes_are_those_of_all_toys),
                                       T(blocked_words_are_few),
                                       T(alerts_alike_are_counted),
                                       T(words_that_wait_go_with_the_permission),
                                       T(the_outbox_is_bounded),
                                       T(what_was_kept_last_is_known),
                                       T(what_is_only_in_one_table_is_forgotten)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
