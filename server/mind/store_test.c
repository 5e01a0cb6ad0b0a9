/* A store that is slow or stuck: an alert is written before the toy answers, nothing that the store
 * keeps waiting leaves the toy silent, and what waits is bounded. */
#include <semaphore.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "mind/alerts.h"
#include "mind/internal.h"
#include "proto/text.h"
#include "store/children.h"
#include "store/test_store.h"

static struct place place;
static struct store *store;
static struct loop *loop;
static struct safety *safety;
static struct alerts *alerts;
static struct minds *minds;
static struct mind *mind;
static const struct process_session who = {"toy", "kid"};
static struct process_sink sink;
static char heard[1024];
static unsigned ends;

/* ---- Who answers, and who hears ---- */

static int session_new(void *shared, struct loop *l, const struct process_session *whose,
                       void **session)
{
    (void)shared;
    (void)l;
    (void)whose;
    *session = heard;
    return TEDDY_OK;
}

static void nothing(void *session)
{
    (void)session;
}

static void utter(void *session, const struct process_turn *turn, struct process_sink *to)
{
    (void)session;
    (void)turn;
    to->reply(to, span_of("Hello there."), true);
}

static const struct processor BACKEND = {.name = "chat",
                                         .session_new = session_new,
                                         .session_free = nothing,
                                         .utter = utter,
                                         .cancel = nothing};
static const struct process backend = {&BACKEND, NULL};
static const struct processor ECHO_ONLY = {.name = "echo", .echo_only = true};
static const struct process echo = {&ECHO_ONLY, NULL};

static void on_reply(struct process_sink *s, struct span text, bool done)
{
    (void)s;
    assert_int_equal(ends, 0);
    strncat(heard, text.p, text.len);
    ends += done;
}

static void on_fail(struct process_sink *s, const char *code, const char *detail)
{
    (void)s;
    (void)code;
    fail_msg("%s", detail);
}

static void say(const char *words)
{
    heard[0] = '\0';
    ends = 0;
    mind_utter(mind, span_of(words), false, &sink);
}

/* ---- What holds the store up ---- */

struct hold {
    struct store_job job;
    sem_t begun, end;
};

static int run_hold(struct store_tx *tx, struct store_job *job)
{
    struct hold *h = (struct hold *)job;
    (void)tx;
    sem_post(&h->begun);
    sem_wait(&h->end);
    return TEDDY_OK;
}

static void held(struct store_job *job)
{
    (void)job;
}

static void hold(struct hold *h, int (*queue)(struct store *s, struct store_job *job))
{
    *h = (struct hold){.job = {.run = run_hold, .done = held}};
    sem_init(&h->begun, 0, 0);
    sem_init(&h->end, 0, 0);
    assert_int_equal(queue(store, &h->job), TEDDY_OK);
    sem_wait(&h->begun);
}

/* ---- Time ---- */

static bool (*awaited)(void);

static void look(struct loop *l, struct loop_timer *timer)
{
    if (awaited())
        loop_stop(l);
    else
        loop_timer_set(l, timer, loop_now_ms(l) + 1);
}

static void until(bool (*what)(void))
{
    struct loop_timer timer = {.fire = look};
    awaited = what;
    loop_timer_set(loop, &timer, loop_now_ms(loop) + 1);
    loop_run(loop);
}

static bool has_ended(void)
{
    return ends == 1;
}

static bool waits_for_alert(void)
{
    return mind->alert != NULL || ends == 1;
}

static void patience_ends(void)
{
    assert_non_null(mind->later.prev);
    loop_timer_set(loop, &mind->later, loop_now_ms(loop));
}

static int bind_body(struct store_tx *tx, void *arg)
{
    uint8_t secret[LIMIT_SECRET_LEN];
    (void)arg;
    secret_of(1, secret);
    assert_int_equal(store_device_add(tx, who.device, secret, 1), TEDDY_OK);
    return bind_child(tx, who.device, who.child, 0x70, 100);
}

static int setup(void **state)
{
    uint8_t sid[STORE_JTI_LEN];
    memset(sid, 0x70, sizeof sid);
    struct safety_config own = {NULL, NULL, false, false};
    char err[256];
    (void)state;
    place_make(&place);
    store = must_open(&(struct store_options){.path = place.path, .unsafe_no_sync = true});
    assert_int_equal(in_write(store, bind_body, NULL), TEDDY_OK);
    assert_int_equal(loop_new(&loop, 0), TEDDY_OK);
    assert_int_equal(safety_open(&own, &safety, err, sizeof err), TEDDY_OK);
    char secret[96];
    snprintf(secret, sizeof secret, "%s/secret", place.dir);
    FILE *f = fopen(secret, "w");
    assert_non_null(f);
    assert_int_equal(fchmod(fileno(f), 0600), 0);
    fputs("the-secret-of-alerts", f);
    fclose(f);
    /* Nobody is there. */
    struct alerts_config to = {.store = store, .url = "http://127.0.0.1:1/", .secret_file = secret};
    assert_int_equal(alerts_open(&to, &alerts, err, sizeof err), TEDDY_OK);
    unlink(secret);
    assert_int_equal(alerts_start(alerts, loop), TEDDY_OK);
    struct mind_config config = {
        .process = &backend, .safety = safety, .store = store, .alerts = alerts};
    assert_int_equal(minds_open(&config, &minds, err, sizeof err), TEDDY_OK);
    assert_int_equal(mind_new(minds, loop, &who, sid, &mind), TEDDY_OK);
    sink = (struct process_sink){.reply = on_reply, .fail = on_fail};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mind_free(mind);
    alerts_stop(alerts);
    store_close(store);
    minds_stop(minds, loop);
    loop_free(loop);
    minds_close(minds);
    alerts_close(alerts);
    safety_close(safety);
    place_remove(&place);
    return 0;
}

/* ---- Tests ---- */

static void an_alert_is_written_first(void **state)
{
    static struct hold h;
    (void)state;
    hold(&h, store_write);
    say("i want to kill myself");
    until(waits_for_alert);
    assert_int_equal(ends, 0);
    sem_post(&h.end);
    until(has_ended);
    assert_non_null(strstr(heard, "grown-up"));
    say("hello");
    until(has_ended);
    assert_string_equal(heard, "Hello there.");
}

static void but_not_for_ever(void **state)
{
    static struct hold h;
    (void)state;
    hold(&h, store_write);
    say("i want to kill myself");
    until(waits_for_alert);
    patience_ends();
    until(has_ended);
    assert_non_null(strstr(heard, "grown-up"));
    sem_post(&h.end);
}

static void a_toy_that_leaves_meanwhile(void **state)
{
    static struct hold h;
    (void)state;
    hold(&h, store_write);
    say("i want to kill myself");
    until(waits_for_alert);
    mind_cancel(mind);
    sem_post(&h.end);
    say("hello");
    until(has_ended);
    assert_string_equal(heard, "Hello there.");
}

static void outbox_holds(int rows, int more, int words)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    assert_int_equal(sqlite3_open(place.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db,
                                        "SELECT count(*), sum(more), sum(words <> '') FROM alert",
                                        -1, &st, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int(st, 0), rows);
    assert_int_equal(sqlite3_column_int(st, 1), more);
    assert_int_equal(sqlite3_column_int(st, 2), words);
    sqlite3_finalize(st);
    sqlite3_close(db);
}

static bool all_written(void)
{
    return minds->loops[0].posts_count == 0;
}

/* What was counted meanwhile is told, as nobody is there to write it. */
static void the_server_stops(void **state)
{
    static struct hold h;
    uint64_t dropped = metric_read(METRIC_ALERTS_DROPPED);
    struct span said = span_of("i want to kill myself");
    (void)state;
    hold(&h, store_write);
    for (unsigned i = 0; i < 3; i++)
        (void)record_alert(mind, SAFETY_SELF_HARM, said, false);
    minds_stop(minds, loop);
    (void)record_alert(mind, SAFETY_VIOLENCE, said, false);
    assert_int_equal(metric_read(METRIC_ALERTS_DROPPED), dropped + 1);
    sem_post(&h.end);
    until(all_written);
    assert_int_equal(metric_read(METRIC_ALERTS_DROPPED), dropped + 3);
    outbox_holds(1, 0, 0);
}

/* It is heard also when the toy left, or wants no answer, before its turn has come. */
static void what_is_not_answered_is_heard(void **state)
{
    static struct hold h;
    uint64_t raised = metric_read(METRIC_ALERTS_RAISED);
    (void)state;
    hold(&h, store_read);
    say("i want to kill myself");
    assert_false(mind_overhear(mind, span_of("i like bears")));
    minds->config.process = &echo; /* whom this toy may not have, which is not known yet */
    assert_true(mind_overhear(mind, span_of("my uncle hits me")));
    minds->config.process = &backend;
    assert_int_equal(metric_read(METRIC_ALERTS_RAISED), raised + 1);
    mind_cancel(mind);
    assert_int_equal(metric_read(METRIC_ALERTS_RAISED), raised + 2);
    sem_post(&h.end);
    until(all_written);
    outbox_holds(2, 0, 0);
    heard[0] = '\0';
    ends = 0;
    mind_utter(mind, span_of("my uncle hits me"), true, &sink);
    until(has_ended);
    assert_non_null(strstr(heard, "grown-up"));
    assert_int_equal(metric_read(METRIC_ALERTS_RAISED), raised + 2);
}

static void a_profile_that_does_not_come(void **state)
{
    static struct hold h;
    (void)state;
    hold(&h, store_read);
    say("hello");
    assert_int_equal(ends, 0);
    patience_ends();
    until(has_ended);
    assert_true(heard[0] != '\0');
    assert_null(strstr(heard, "Hello there."));
    sem_post(&h.end);
    say("hello");
    until(has_ended);
    assert_string_equal(heard, "Hello there.");
}

static int words_body(struct store_tx *tx, void *arg)
{
    struct talk_pair pair;
    struct profile_row p;
    (void)arg;
    assert_int_equal(store_profile_get(tx, who.device, who.child, &pair, &p), TEDDY_OK);
    p.alert_words = true;
    return store_profile_put(tx, &pair, who.child, &p, 1);
}

/* However often it is said while the store is stuck, little waits, and none of it is lost. */
static void what_waits_is_bounded(void **state)
{
    static struct hold h;
    uint64_t dropped = metric_read(METRIC_ALERTS_DROPPED);
    struct span said = span_of("i want to kill myself");
    char toys[POSTS_MAX + 1][16];
    (void)state;
    assert_int_equal(in_write(store, words_body, NULL), TEDDY_OK);
    hold(&h, store_write);
    assert_true(record_alert(mind, SAFETY_SELF_HARM, said, true));
    record_unawait(mind);
    for (unsigned i = 0; i < 9; i++)
        assert_false(record_alert(mind, SAFETY_SELF_HARM, said, true));
    assert_int_equal(minds->loops[0].posts_count, 1);
    for (unsigned i = 0; i < POSTS_MAX; i++) { /* other toys, that nobody knows */
        snprintf(toys[i], sizeof toys[i], "toy-%u", i);
        mind->who.device = toys[i];
        (void)record_alert(mind, SAFETY_OTHER, said, false);
    }
    mind->who.device = who.device;
    assert_int_equal(minds->loops[0].posts_count, POSTS_MAX);
    assert_int_equal(metric_read(METRIC_ALERTS_DROPPED), dropped + 1);
    sem_post(&h.end);
    until(all_written);
    outbox_holds(2, 8, 1);
}

static int run_again(struct store_tx *tx, struct store_job *job)
{
    struct child_erased erased;
    (void)job;
    assert_int_equal(store_child_forget(tx, who.child, UINT64_MAX, &erased), TEDDY_OK);
    assert_int_equal(bind_child(tx, who.device, who.child, 0x60, 100), TEDDY_OK);
    return words_body(tx, NULL);
}

/* Words that wait are not told for another child that has got the name meanwhile. */
static void words_of_a_forgotten_child(void **state)
{
    static struct hold h;
    static struct store_job again;
    (void)state;
    assert_int_equal(in_write(store, words_body, NULL), TEDDY_OK);
    hold(&h, store_write);
    again = (struct store_job){.run = run_again, .done = held};
    assert_int_equal(store_write(store, &again), TEDDY_OK);
    (void)record_alert(mind, SAFETY_SELF_HARM, span_of("i want to kill myself"), false);
    sem_post(&h.end);
    until(all_written);
    outbox_holds(1, 0, 0);
}

/* Of what is too long to be judged, the beginning is heard, whether it is answered or refused. */
static void the_beginning_of_what_is_too_long(void **state)
{
    static char text[SAFETY_IN_MAX + 4096];
    static const char danger[] = "my uncle hits me. ";
    uint64_t raised = metric_read(METRIC_ALERTS_RAISED);
    (void)state;
    for (size_t i = 0; i + 5 < sizeof text; i += 5)
        memcpy(text + i, "bear ", 6);
    say(text);
    until(has_ended);
    assert_null(strstr(heard, "grown-up"));
    assert_null(strstr(heard, "Hello there."));
    memcpy(text, danger, sizeof danger - 1);
    assert_true(mind_overhear(mind, span_of(text)));
    assert_int_equal(metric_read(METRIC_ALERTS_RAISED), raised + 1);
    say(text);
    until(has_ended);
    assert_non_null(strstr(heard, "grown-up"));
    assert_int_equal(metric_read(METRIC_ALERTS_RAISED), raised + 2);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {T(an_alert_is_written_first),
                                       T(but_not_for_ever),
                                       T(a_toy_that_leaves_meanwhile),
                                       T(what_waits_is_bounded),
                                       T(the_server_stops),
                                       T(what_is_not_answered_is_heard),
                                       T(a_profile_that_does_not_come),
                                       T(words_of_a_forgotten_child),
                                       T(the_beginning_of_what_is_too_long)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
