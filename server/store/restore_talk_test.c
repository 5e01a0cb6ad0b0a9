/* A restore: what conversations left with a child, and what protects it, afterwards. */
#include "store/children.h"
#include "store/internal.h"
#include "store/talk.h"
#include "store/test_restore.h"

struct said {
    const char *device, *words;
    uint64_t at_s;
    enum profile_switch memory;
    unsigned minutes;
};

static struct talk_pair pair_of(struct store_tx *tx, const char *device, struct profile_row *p)
{
    struct talk_pair pair;
    assert_int_equal(store_profile_get(tx, device, "kid", &pair, p), TEDDY_OK);
    return pair;
}

static int bind_body(struct store_tx *tx, void *arg)
{
    assert_int_equal(bind_child(tx, arg, "kid", 1, 100), TEDDY_OK);
    return TEDDY_OK;
}

static int bind_again_body(struct store_tx *tx, void *arg)
{
    assert_int_equal(bind_child(tx, arg, "kid", 2, 300), TEDDY_OK);
    return TEDDY_OK;
}

static int turn_body(struct store_tx *tx, void *arg)
{
    const struct said *s = arg;
    struct profile_row p;
    struct span words = {s->words, strlen(s->words)};
    struct talk_pair pair = pair_of(tx, s->device, &p);
    assert_int_equal(
        store_turn_add(tx, &pair, "kid",
                       &(struct talk_turn){.at_s = s->at_s, .heard = words, .said = words},
                       &(struct talk_bounds){2, 900}),
        TEDDY_OK);
    assert_int_equal(store_blocked_words_add(tx, &pair, "kid", "other", words, s->at_s), TEDDY_OK);
    return TEDDY_OK;
}

static int profile_body(struct store_tx *tx, void *arg)
{
    const struct said *s = arg;
    struct profile_row p;
    struct talk_pair pair = pair_of(tx, s->device, &p);
    snprintf(p.name, sizeof p.name, "%s", s->words);
    p.memory = s->memory;
    p.minutes = s->minutes;
    assert_int_equal(store_profile_put(tx, &pair, "kid", &p, s->at_s), TEDDY_OK);
    return TEDDY_OK;
}

static int forget_body(struct store_tx *tx, void *arg)
{
    struct child_erased erased;
    (void)arg;
    assert_int_equal(erasures_append(tx, "kid", 200), TEDDY_OK);
    assert_int_equal(store_child_forget(tx, "kid", UINT64_MAX, &erased), TEDDY_OK);
    return TEDDY_OK;
}

static void each_turn(void *arg, const struct talk_turn *turn)
{
    strncat(arg, turn->heard.p, turn->heard.len);
}

struct expected {
    const char *turns, *name;
    unsigned minutes;
    enum profile_switch memory;
};

static int is_body(struct store_tx *tx, void *arg)
{
    const struct expected *e = arg;
    char turns[256] = "";
    struct profile_row p;
    struct talk_pair pair = pair_of(tx, "toy", &p);
    assert_int_equal(store_turn_list(tx, &pair, "kid", each_turn, turns), TEDDY_OK);
    assert_string_equal(turns, e->turns);
    assert_string_equal(p.name, e->name);
    assert_int_equal(p.minutes, e->minutes);
    assert_int_equal(p.memory, e->memory);
    return TEDDY_OK;
}

static void conversations_until_the_backup(void)
{
    add(place.path, "toy", 1, 100);
    in_store(place.path, bind_body, "toy");
    in_store(place.path, profile_body, &(struct said){"toy", "Mia", 110, PROFILE_ON, 30});
    in_store(place.path, turn_body, &(struct said){"toy", "one,", 120, 0, 0});
    in_store(place.path, turn_body, &(struct said){"toy", "two,", 130, 0, 0});
    back_up();
}

/* Without the former one, all is as in the backup; with it, what was set since stays, and words
 * that were let go since do not come back. */
static void test_conversations(void **state)
{
    (void)state;
    conversations_until_the_backup();
    (void)must_restore();
    in_store(copy, is_body, &(struct expected){"one,two,", "Mia", 30, PROFILE_ON});
    in_store(place.path, turn_body, &(struct said){"toy", "three,", 140, 0, 0});
    in_store(place.path, profile_body, &(struct said){"toy", "Zoe", 150, PROFILE_ON, 10});
    (void)must_restore();
    in_store(copy, is_body, &(struct expected){"two,", "Zoe", 10, PROFILE_ON});
}

static void test_memory_switched_off_since(void **state)
{
    (void)state;
    conversations_until_the_backup();
    in_store(place.path, profile_body, &(struct said){"toy", "Mia", 150, PROFILE_OFF, 30});
    (void)must_restore();
    in_store(copy, is_body, &(struct expected){"", "Mia", 30, PROFILE_OFF});
}

/* Its toy has been claimed for a child of the same id again since: that is another one. */
static void test_forgotten_since(void **state)
{
    (void)state;
    conversations_until_the_backup();
    in_store(place.path, forget_body, NULL);
    in_store(place.path, bind_again_body, "toy");
    (void)must_restore();
    in_store(copy, bind_again_body, "toy");
    in_store(copy, is_body, &(struct expected){"", "", 0, PROFILE_DEFAULT});
}

static int alert_body(struct store_tx *tx, void *arg)
{
    struct profile_row p;
    struct talk_pair pair = pair_of(tx, "toy", &p);
    const struct alert_new alert = {"other", {arg, strlen(arg)}, 140, 0, 140};
    enum alert_fate fate;
    return store_alert_add(tx, &pair, "kid", &alert, &fate);
}

static int delivered_body(struct store_tx *tx, void *arg)
{
    return store_alert_drop(tx, *(int64_t *)arg, 0);
}

static void deliver(const char *path, int64_t n)
{
    in_store(path, delivered_body, &n);
}

static int waits_body(struct store_tx *tx, void *arg)
{
    struct alert_row row;
    int64_t n = *(int64_t *)arg;
    int err = store_alert_next(tx, &row);
    assert_int_equal(err, n > 0 ? TEDDY_OK : TEDDY_ENOTFOUND);
    if (n > 0)
        assert_int_equal(row.n, n);
    return TEDDY_OK;
}

static void waits(int64_t n)
{
    in_store(copy, waits_body, &n);
}

/* Who takes alerts passes one over whose number has come before: it may be of another child. */
static void test_alerts(void **state)
{
    (void)state;
    add(place.path, "toy", 1, 100);
    in_store(place.path, bind_body, "toy");
    in_store(place.path, alert_body, "first");
    back_up();
    deliver(place.path, 1);
    in_store(place.path, alert_body, "second");
    deliver(place.path, 2);
    in_store(place.path, alert_body, "third");
    must_restore();
    waits(3);
    deliver(copy, 3);
    waits(0);
    in_store(copy, alert_body, "fourth");
    waits(4);
    deliver(copy, 4);
    lost = true;
    must_restore();
    in_store(copy, alert_body, "later");
    waits(1000005);
}

static int played_body(struct store_tx *tx, void *arg)
{
    struct profile_row p;
    struct talk_pair pair = pair_of(tx, "toy", &p);
    return store_played_add(tx, &pair, "kid", 5, *(uint64_t *)arg);
}

static int played_is_body(struct store_tx *tx, void *arg)
{
    uint64_t seconds = 0;
    assert_int_equal(store_played_get(tx, "kid", 5, &seconds), TEDDY_OK);
    assert_int_equal(seconds, *(uint64_t *)arg);
    return TEDDY_OK;
}

static void test_no_minutes_are_given_back(void **state)
{
    uint64_t some = 40, all = 100, more = 60;
    (void)state;
    add(place.path, "toy", 1, 100);
    in_store(place.path, bind_body, "toy");
    in_store(place.path, played_body, &some);
    back_up();
    in_store(place.path, played_body, &more);
    must_restore();
    in_store(copy, played_is_body, &all);
}

/* The former one is the older, and does not know the toy. */
static void test_limits_of_a_younger_backup(void **state)
{
    (void)state;
    add(place.path, "another", 1, 100);
    back_up();
    add(copy, "toy", 2, 100);
    in_store(copy, bind_body, "toy");
    in_store(copy, profile_body, &(struct said){"toy", "", 110, PROFILE_ON, 30});
    must_restore();
    in_store(copy, is_body, &(struct expected){"", "", 30, PROFILE_DEFAULT});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_conversations, setup, teardown),
        cmocka_unit_test_setup_teardown(test_memory_switched_off_since, setup, teardown),
        cmocka_unit_test_setup_teardown(test_forgotten_since, setup, teardown),
        cmocka_unit_test_setup_teardown(test_alerts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_minutes_are_given_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limits_of_a_younger_backup, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
