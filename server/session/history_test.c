/* What sessions leave is bounded, is written in batches, and is not written of whom was forgotten.
 */
#include "ops/metrics.h"
#include "session/history.h"
#include "store/test_store.h"

static struct place place;
static struct store *store;
static struct loop *loop;
static struct history *history;

static const uint8_t sid[STORE_JTI_LEN] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

static int toys_body(struct store_tx *tx, void *arg)
{
    static const char *const ids[] = {"a", "b"};
    uint8_t secret[LIMIT_SECRET_LEN];
    (void)arg;
    for (unsigned i = 0; i < 2; i++) {
        secret_of(i, secret);
        assert_int_equal(store_device_add(tx, ids[i], secret, 1), TEDDY_OK);
        assert_int_equal(bind_child(tx, ids[i], i == 0 ? "kid" : "other", 1, 100), TEDDY_OK);
    }
    return TEDDY_OK;
}

static int setup(void **state)
{
    (void)state;
    place_make(&place);
    store = must_open(&(struct store_options){.path = place.path});
    assert_int_equal(in_write(store, toys_body, NULL), TEDDY_OK);
    assert_int_equal(loop_new(&loop, 0), TEDDY_OK);
    history = history_new(loop, store, &(struct telemetry_bounds){1, 10});
    assert_non_null(history);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    store_close(store);
    loop_free(loop);
    history_free(history);
    place_remove(&place);
    return 0;
}

static void ended(const char *device_id, const char *child_id, uint64_t closed_s)
{
    history_session(history, &(struct history_owner){device_id, child_id, sid},
                    &(struct past_session){.opened_s = 1, .closed_s = closed_s});
}

struct seen {
    const char *device_id;
    unsigned count;
    uint64_t first_s;
};

static bool see(void *arg, const struct past_session *p)
{
    struct seen *s = arg;
    s->first_s = s->count++ == 0 ? p->closed_s : s->first_s;
    return true;
}

static int seen_body(struct store_tx *tx, void *arg)
{
    struct seen *s = arg;
    return store_session_list(tx, s->device_id, see, s);
}

static struct seen seen_of(const char *device_id)
{
    struct seen s = {.device_id = device_id};
    assert_int_equal(in_read(store, seen_body, &s), TEDDY_OK);
    return s;
}

static void what_is_too_much_is_dropped_and_counted(void **state)
{
    uint64_t dropped = metric_read(METRIC_HISTORY_DROPPED_SESSIONS);
    uint64_t written = metric_read(METRIC_HISTORY_WRITTEN_SESSIONS);
    (void)state;
    for (unsigned i = 1; i <= HISTORY_WAITING_MAX + 5; i++)
        ended("a", "kid", i);
    assert_int_equal(metric_read(METRIC_HISTORY_DROPPED_SESSIONS) - dropped, 5);
    history_flush(history);
    assert_int_equal(metric_read(METRIC_HISTORY_WRITTEN_SESSIONS) - written, HISTORY_WAITING_MAX);
    struct seen s = seen_of("a");
    assert_int_equal(s.count, SESSIONS_KEPT);
    assert_int_equal(s.first_s, HISTORY_WAITING_MAX); /* in their order */
    ended("a", "kid", 1);                             /* behind the end */
    assert_int_equal(metric_read(METRIC_HISTORY_DROPPED_SESSIONS) - dropped, 6);
}

static void what_waits_of_the_forgotten_is_not_written(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        ended("a", "kid", 10 + i);
        ended("b", "other", 20 + i);
        if (i == 0)
            history_forget(history, NULL, "kid");
    }
    history_forget(history, "b", NULL);
    history_flush(history);
    assert_int_equal(seen_of("b").count, 0);
    assert_int_equal(seen_of("a").count, 1); /* what came behind */
    assert_int_equal(seen_of("a").first_s, 11);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(what_is_too_much_is_dropped_and_counted),
        T(what_waits_of_the_forgotten_is_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
