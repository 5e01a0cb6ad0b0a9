/* Delivery of messages to a toy against a real store: whose they are, what a store that cannot
 * costs, and jobs that end later than their session. What a toy sees of it is tested over TLS, too
 * (tests/integration/test_downlink.py). */
#include <semaphore.h>
#include <sqlite3.h>

#include "ops/log.h"
#include "session/testing.h"
#include "store/test_store.h"

static struct place place;
static struct store *store;
static struct house house;
static unsigned devices;

static void open_house(uint32_t ping_ms)
{
    struct session_config c = house_config();
    c.store = store;
    c.downlink_max = 1024;
    c.ping_ms = ping_ms;
    house_open(&house, &c);
}

static int setup(void **state)
{
    (void)state;
    place_make(&place);
    store = must_open(&(struct store_options){.path = place.path, .unsafe_no_sync = true});
    house = (struct house){0};
    return 0;
}

static void nothing(struct loop *loop, void *arg)
{
    (void)loop;
    (void)arg;
}

/* As the server ends: the store first, so that its jobs are done on a loop that is there; it has
 * returned from its last call of the store. */
static int teardown(void **state)
{
    (void)state;
    testing_on_loop(&house.net, nothing, NULL);
    store_close(store);
    house_close(&house);
    place_remove(&place);
    return 0;
}

static int add_body(struct store_tx *tx, void *arg)
{
    uint8_t secret[LIMIT_SECRET_LEN];
    struct family_row f = {.child_id = "c"};
    secret_of(++devices, secret);
    int rc = store_device_add(tx, arg, secret, 1);
    return rc != TEDDY_OK ? rc : claim_by(tx, arg, "nonce-one", 1, &f, 1);
}

static void add_device(const char *id)
{
    assert_int_equal(in_write(store, add_body, (void *)(uintptr_t)id), TEDDY_OK);
}

struct letter {
    const char *device, *words;
};

static int queue_body(struct store_tx *tx, void *arg)
{
    const struct letter *l = arg;
    uint64_t expired;
    struct downlink_row d = {
        .queued_s = 1, .expires_s = UINT32_MAX, .body = {l->words, strlen(l->words)}};
    return store_downlink_add(tx, l->device, &d, 64, &expired);
}

/* Ids are 0.1, 0.2, …: no epoch was opened. */
static void queue(const char *device, const char *words)
{
    struct letter l = {device, words};
    assert_int_equal(in_write(store, queue_body, &l), TEDDY_OK);
    hub_post_downlink(house.hub, device);
}

static void see(void *arg, const struct downlink_row *row)
{
    (void)row;
    ++*(unsigned *)arg;
}

static int count_body(struct store_tx *tx, void *arg)
{
    return store_downlink_list(tx, "d", 1, see, arg);
}

static unsigned waiting(void)
{
    unsigned n = 0;
    assert_int_equal(in_read(store, count_body, &n), TEDDY_OK);
    return n;
}

/* Another program's doing. */
static void raw_sql(const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(place.path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 10000);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static struct toy *join_and_hello(const char *device)
{
    struct toy *t = toy_join(&house, device);
    toy_say(t, "{\"type\":\"hello\"}");
    toy_hears_part(t, "\"welcome\"");
    return t;
}

static void messages_are_what_was_queued(void **state)
{
    (void)state;
    open_house(30000);
    add_device("d");
    struct toy *t = join_and_hello("d");
    queue("d", "say \"hi\"");
    toy_hears(t, "{\"type\":\"message\",\"id\":\"0.1\",\"text\":\"say \\\"hi\\\"\","
                 "\"expires\":4294967295}");
    toy_free(t);
}

static void a_session_of_another_child_gets_none(void **state)
{
    (void)state;
    open_house(30000);
    add_device("d");
    queue("d", "for c");
    struct toy *t = toy_open(&house, "session d another 1");
    toy_say(t, "{\"type\":\"hello\",\"last\":\"9.9\"}");
    toy_hears_part(t, "\"welcome\"");
    queue("d", "for c, too");
    toy_settle(t);
    unsigned reads = waiting(); /* on the reader that the session's jobs are on, behind them */
    toy_settle(t);
    assert_int_equal(reads, 2);
    toy_free(t);
    t = join_and_hello("d");
    toy_hears_part(t, "\"for c\"");
    toy_hears_part(t, "\"for c, too\"");
    toy_free(t);
}

static void acks_that_come_together_are_few_writes(void **state)
{
    (void)state;
    uint64_t commits, before, after;
    unsigned left;
    char ack[64];
    open_house(30000);
    add_device("d");
    for (int i = 0; i < 8; i++)
        queue("d", "x");
    struct toy *t = join_and_hello("d");
    for (int i = 0; i < 8; i++)
        toy_hears_part(t, "\"message\"");
    store_stats(store, &commits, &before, &left);
    for (int n = 0; n < 3; n++)
        for (int i = 1; i <= 8; i++) { /* all are said thrice: only what is new is written */
            snprintf(ack, sizeof ack, "{\"type\":\"ack\",\"id\":\"0.%d\"}", i);
            toy_say(t, ack);
        }
    toy_settle(t);
    queue("d", "barrier");
    toy_hears_part(t, "\"barrier\"");
    store_stats(store, &commits, &after, &left);
    assert_int_equal(waiting(), 1);
    assert_true(after - before <= 9);                /* eight acks at worst, and the barrier */
    toy_say(t, "{\"type\":\"ack\",\"id\":\"0.3\"}"); /* an old one again: nothing */
    toy_settle(t);
    queue("d", "barrier");
    toy_hears_part(t, "\"barrier\"");
    store_stats(store, &commits, &before, &left);
    assert_int_equal(before - after, 1);
    toy_free(t);
}

static void a_store_that_cannot_is_asked_again(void **state)
{
    (void)state;
    open_house(100);
    add_device("d");
    struct toy *t = join_and_hello("d");
    queue("d", "one");
    toy_hears_part(t, "\"one\"");
    raw_sql("ALTER TABLE downlink RENAME TO away");
    toy_say(t, "{\"type\":\"ack\",\"id\":\"0.1\"}");
    toy_settle(t);
    raw_sql("ALTER TABLE away RENAME TO downlink");
    while (waiting() > 0) { /* a ping asks again; each is answered, or the session would end */
        assert_true(toy_next(t));
        assert_int_equal(t->opcode, WS_PING);
        toy_send(t, WS_PONG, true, t->text, t->text_len);
    }
    queue("d", "two");
    do
        assert_true(toy_next(t));
    while (t->opcode == WS_PING);
    assert_non_null(strstr(t->text, "\"two\""));
    toy_free(t);
}

static sem_t reached, go_on;

/* Holds its thread of the store; what comes behind it in one batch reads the state of this moment.
 */
static int run_wait(struct store_tx *tx, struct store_job *job)
{
    unsigned n = 0;
    (void)job;
    int rc = store_downlink_list(tx, "d", 1, see, &n);
    sem_post(&reached);
    sem_wait(&go_on);
    return rc;
}

static void done_wait(struct store_job *job)
{
    (void)job;
}

static void count_sessions(struct loop *loop, void *arg)
{
    (void)loop;
    *(unsigned *)arg = hub_sessions(house.hub);
}

static void a_job_may_end_later_than_its_session(void **state)
{
    (void)state;
    struct store_job blocking = {.run = run_wait, .done = done_wait};
    unsigned sessions = 1;
    open_house(30000);
    add_device("d");
    sem_init(&reached, 0, 0);
    sem_init(&go_on, 0, 0);
    struct toy *t = join_and_hello("d");
    queue("d", "one");
    toy_hears_part(t, "\"one\"");
    assert_int_equal(store_write(store, &blocking), TEDDY_OK);
    sem_wait(&reached);
    toy_say(t, "{\"type\":\"ack\",\"id\":\"0.1\"}");
    toy_settle(t); /* its write waits behind ours */
    toy_free(t);
    while (sessions > 0)
        testing_on_loop(&house.net, count_sessions, &sessions);
    sem_post(&go_on);
    queue("d", "barrier"); /* written behind the ack */
    assert_int_equal(waiting(), 1);
    t = join_and_hello("d");
    toy_hears_part(t, "\"barrier\"");
    toy_free(t);
    sem_destroy(&reached);
    sem_destroy(&go_on);
}

static void what_is_queued_during_a_look_is_seen(void **state)
{
    (void)state;
    struct store_job first = {.run = run_wait, .done = done_wait}, second = first;
    open_house(30000);
    add_device("d");
    sem_init(&reached, 0, 0);
    sem_init(&go_on, 0, 0);
    struct toy *t = toy_join(&house, "d");
    assert_int_equal(store_read(store, &first), TEDDY_OK);
    sem_wait(&reached);
    assert_int_equal(store_read(store, &second), TEDDY_OK);
    toy_say(t, "{\"type\":\"hello\"}");
    toy_hears_part(t, "\"welcome\"");
    toy_settle(t); /* it looks, behind the second */
    sem_post(&go_on);
    sem_wait(&reached);
    queue("d", "one"); /* not there yet where it looks */
    toy_settle(t);
    sem_post(&go_on);
    toy_hears_part(t, "\"one\"");
    toy_free(t);
    sem_destroy(&reached);
    sem_destroy(&go_on);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(messages_are_what_was_queued, setup, teardown),
        cmocka_unit_test_setup_teardown(a_session_of_another_child_gets_none, setup, teardown),
        cmocka_unit_test_setup_teardown(acks_that_come_together_are_few_writes, setup, teardown),
        cmocka_unit_test_setup_teardown(a_store_that_cannot_is_asked_again, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_queued_during_a_look_is_seen, setup, teardown),
        cmocka_unit_test_setup_teardown(a_job_may_end_later_than_its_session, setup, teardown),
    };
    log_setup(LOG_ERROR, LOG_LOGFMT);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    testing_fini();
    return failed;
}
