#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <string.h>

#include "process/backend.h"

static const struct backend_limits LIMITS = {
    .first_token_ms = 8000, .idle_ms = 3000, .total_ms = 60000, .concurrency = 2, .queue_max = 4};

static struct backend b;
static struct backend_call calls[64];

static int setup(void **state)
{
    (void)state;
    backend_init(&b, &LIMITS, 7);
    memset(calls, 0, sizeof calls);
    return 0;
}

static enum backend_verdict ask(unsigned call, const char *device, uint64_t now)
{
    return backend_submit(&b, &calls[call], device, now);
}

/* "start 3", "late 0", … or "" */
static const char *turn(uint64_t now)
{
    static const char *const WORDS[] = {[BACKEND_START] = "start",
                                        [BACKEND_LATE] = "late",
                                        [BACKEND_UNSERVED] = "unserved",
                                        [BACKEND_NOT_ASKED] = "not asked"};
    static char text[32];
    enum backend_verdict what;
    struct backend_call *c = backend_turn(&b, now, &what);
    snprintf(text, sizeof text, c ? "%s %d" : "", c ? WORDS[what] : "", c ? (int)(c - calls) : 0);
    return text;
}

static void a_few_at_once(void **state)
{
    (void)state;
    assert_int_equal(ask(0, "a", 1), BACKEND_START);
    assert_int_equal(ask(1, "b", 1), BACKEND_START);
    for (unsigned i = 2; i < 6; i++) {
        const char *devices[] = {"c", "d", "e", "f"};
        assert_int_equal(ask(i, devices[i - 2], 2), BACKEND_WAITS);
    }
    assert_int_equal(ask(6, "g", 3), BACKEND_UNSERVED);
    assert_int_equal(calls[6].state, CALL_IDLE);
    assert_string_equal(turn(4), "");
    backend_end(&b, &calls[1], BACKEND_OK, 5);
    assert_string_equal(turn(5), "start 2");
    assert_string_equal(turn(5), "");
    backend_end(&b, &calls[4], BACKEND_NEITHER, 6); /* left while it waited */
    backend_end(&b, &calls[0], BACKEND_NEITHER, 6);
    backend_end(&b, &calls[2], BACKEND_OK, 6);
    assert_string_equal(turn(6), "start 3");
    assert_string_equal(turn(6), "start 5");
    assert_string_equal(turn(6), "");
    assert_int_equal(b.waiting.count, 0);
    assert_int_equal(b.running.count, 2);
}

/* One device has asked five times before three others asked once. */
static void devices_take_turns(void **state)
{
    char order[128] = "";
    (void)state;
    b.limits.concurrency = 1;
    b.limits.queue_max = 20;
    assert_int_equal(ask(0, "chatty", 1), BACKEND_START);
    for (unsigned i = 1; i < 5; i++)
        assert_int_equal(ask(i, "chatty", 1), BACKEND_WAITS);
    assert_int_equal(ask(5, "x", 2), BACKEND_WAITS);
    assert_int_equal(ask(6, "y", 2), BACKEND_WAITS);
    assert_int_equal(ask(7, "x", 3), BACKEND_WAITS);
    assert_int_equal(ask(8, "z", 3), BACKEND_WAITS);
    backend_end(&b, &calls[0], BACKEND_OK, 4);
    for (const char *now; *(now = turn(5));) {
        snprintf(order + strlen(order), sizeof order - strlen(order), "%s;", now + 6);
        backend_end(&b, b.running.first, BACKEND_OK, 5);
    }
    assert_string_equal(order, "1;5;6;8;2;7;3;4;");
}

/* It says itself when it wants to be asked again; that is believed within bounds. */
static void a_backend_that_asks_for_time_gets_it(void **state)
{
    (void)state;
    backend_wait(&b, 0, 1000);
    assert_int_equal(ask(0, "a", 1000), BACKEND_START);
    assert_int_equal(ask(1, "b", 1000), BACKEND_START);
    assert_int_equal(ask(2, "c", 1000), BACKEND_WAITS);
    backend_end(&b, &calls[0], BACKEND_FAILED, 1000);
    backend_wait(&b, 3000, 1000);
    assert_true(backend_is_down(&b));
    assert_string_equal(turn(1000), "not asked 2");
    assert_int_equal(ask(3, "d", 3999), BACKEND_NOT_ASKED);
    assert_int_equal(ask(3, "d", 4000), BACKEND_START); /* the probe */
    assert_int_equal(ask(4, "e", 4000), BACKEND_NOT_ASKED);
    backend_end(&b, &calls[3], BACKEND_FAILED, 4000);
    backend_wait(&b, UINT64_MAX, 4000);
    assert_int_equal(b.open_until_ms, 4000 + BACKEND_BACKOFF_MAX_MS);
    backend_wait(&b, 1, 4001); /* never sooner */
    assert_int_equal(b.open_until_ms, 4000 + BACKEND_BACKOFF_MAX_MS);
    assert_int_equal(ask(3, "d", b.open_until_ms), BACKEND_START);
    backend_end(&b, &calls[3], BACKEND_OK, b.open_until_ms);
    assert_false(backend_is_down(&b));
}

static void a_device_has_one_at_a_time(void **state)
{
    (void)state;
    assert_int_equal(ask(0, "a", 1), BACKEND_START);
    assert_int_equal(ask(1, "a", 1), BACKEND_WAITS);
    assert_string_equal(turn(1), "");
    assert_int_equal(ask(2, "b", 1), BACKEND_WAITS);
    assert_string_equal(turn(1), "start 2"); /* it passes the one that may not run yet */
    backend_end(&b, &calls[0], BACKEND_OK, 2);
    assert_string_equal(turn(2), "start 1");
}

static void time_is_limited(void **state)
{
    (void)state;
    assert_int_equal(ask(0, "a", 1000), BACKEND_START);
    assert_int_equal(backend_due_ms(&b), 9000);
    assert_string_equal(turn(8999), "");
    assert_string_equal(turn(9000), "late 0");
    assert_int_equal(b.failures, 1);
    assert_int_equal(ask(0, "a", 10000), BACKEND_START);
    backend_token(&b, &calls[0], 17000);
    assert_string_equal(turn(19999), "");
    assert_string_equal(turn(20000), "late 0");
    assert_int_equal(b.failures, 2);
    assert_int_equal(ask(0, "a", 30000), BACKEND_START);
    for (uint64_t at = 31000; at < 90000; at += 1000) {
        backend_token(&b, &calls[0], at);
        assert_string_equal(turn(at), "");
    }
    assert_string_equal(turn(90000), "late 0");
    assert_int_equal(b.failures, 2); /* it talked all the while: it is alive */
    assert_string_equal(turn(90000), "");
    assert_int_equal(backend_due_ms(&b), UINT64_MAX);
}

static void waiting_counts_as_time(void **state)
{
    (void)state;
    ask(0, "a", 0);
    ask(1, "b", 0);
    ask(2, "c", 500);
    backend_token(&b, &calls[0], 7000);
    backend_token(&b, &calls[1], 7000);
    assert_string_equal(turn(8499), "");
    assert_string_equal(turn(8500), "unserved 2");
    assert_int_equal(b.failures, 0);
    assert_string_equal(turn(8500), "");
}

static void fails(uint64_t now)
{
    assert_int_equal(ask(0, "a", now), BACKEND_START);
    backend_end(&b, &calls[0], BACKEND_FAILED, now);
}

static void a_breaker_opens_and_closes(void **state)
{
    uint64_t now = 1;
    (void)state;
    for (int i = 0; i < BACKEND_FAILURES_MAX - 1; i++)
        fails(now);
    assert_false(backend_is_down(&b));
    fails(now);
    assert_true(backend_is_down(&b));
    for (uint32_t backoff = 1000, i = 0; i < 9;
         i++, backoff = backoff < 60000 ? backoff * 2 : backoff) {
        backoff = backoff < 60000 ? backoff : 60000;
        assert_in_range(b.open_until_ms - now, backoff / 2, backoff);
        assert_int_equal(ask(0, "a", b.open_until_ms - 1), BACKEND_NOT_ASKED);
        now = b.open_until_ms;
        assert_int_equal(ask(0, "a", now), BACKEND_START);
        assert_int_equal(ask(1, "b", now), BACKEND_NOT_ASKED); /* one tries */
        if (i == 4) { /* whoever tries may leave: the next one tries */
            backend_end(&b, &calls[0], BACKEND_NEITHER, now);
            assert_int_equal(ask(0, "a", now), BACKEND_START);
        }
        backend_end(&b, &calls[0], BACKEND_FAILED, now);
    }
    now = b.open_until_ms;
    assert_int_equal(ask(0, "a", now), BACKEND_START);
    backend_end(&b, &calls[0], BACKEND_OK, now);
    assert_false(backend_is_down(&b));
    for (int i = 0; i < BACKEND_FAILURES_MAX; i++)
        fails(now);
    assert_in_range(b.open_until_ms - now, 500, 1000); /* the backoff begins anew */
}

/* What was begun before it opened neither closes it nor holds it open longer. */
static void old_results_do_not_count(void **state)
{
    (void)state;
    b.limits.concurrency = 10;
    static const char *const DEVICES[] = {"a", "b", "c", "d", "e", "f", "g"};
    for (unsigned i = 0; i < 7; i++)
        ask(i, DEVICES[i], 1);
    for (unsigned i = 0; i < 5; i++)
        backend_end(&b, &calls[i], BACKEND_FAILED, 2);
    uint64_t until = b.open_until_ms;
    assert_int_not_equal(until, 0);
    backend_end(&b, &calls[5], BACKEND_OK, 3);
    backend_end(&b, &calls[6], BACKEND_FAILED, 3);
    assert_int_equal(b.open_until_ms, until);
}

static void who_waits_is_told_when_it_opens(void **state)
{
    (void)state;
    b.limits.concurrency = 1;
    for (int i = 0; i < BACKEND_FAILURES_MAX - 1; i++)
        fails(1);
    ask(0, "a", 1);
    ask(1, "b", 1);
    ask(2, "c", 1);
    backend_end(&b, &calls[0], BACKEND_FAILED, 2);
    assert_string_equal(turn(2), "not asked 1");
    assert_string_equal(turn(2), "not asked 2");
    assert_string_equal(turn(2), "");
}

static void mostly_failures_open_it_too(void **state)
{
    (void)state;
    for (unsigned i = 0; i < BACKEND_WINDOW; i++) { /* half */
        ask(0, "a", 1);
        backend_end(&b, &calls[0], i % 2 ? BACKEND_FAILED : BACKEND_OK, 1);
        assert_false(backend_is_down(&b));
    }
    ask(0, "a", 1);
    backend_end(&b, &calls[0], BACKEND_NEITHER, 1);
    ask(0, "a", 1);
    backend_end(&b, &calls[0], BACKEND_FAILED, 1); /* takes the place of a good one */
    assert_true(backend_is_down(&b));
    setup(NULL);
    for (unsigned i = 0; i < 4 * BACKEND_WINDOW;
         i++) { /* three of four, but a minute lies between */
        uint64_t now = 1 + (uint64_t)i * 6000;
        ask(0, "a", now);
        backend_end(&b, &calls[0], i % 4 ? BACKEND_FAILED : BACKEND_OK, now);
        assert_false(backend_is_down(&b));
    }
}

/* Whatever happens, in any order, the counts agree and nobody is lost. */
static void at_random(void **state)
{
    static char names[16][4];
    uint64_t r = 88172645463325252u, now = 1;
    (void)state;
    for (int i = 0; i < 16; i++)
        snprintf(names[i], sizeof names[i], "d%d", i);
    b.limits = (struct backend_limits){800, 300, 2000, 5, 12};
    for (int step = 0; step < 200000; step++) {
        r ^= r << 13, r ^= r >> 7, r ^= r << 17;
        struct backend_call *c = &calls[(r >> 8) % 64];
        now += (r >> 40) % 20;
        if (c->state == CALL_IDLE)
            ask((unsigned)(c - calls), names[(c - calls) % 16], now);
        else if ((r >> 16) % 4 == 0)
            backend_end(&b, c, (enum backend_result)((r >> 20) % 3), now);
        else if (c->state == CALL_RUNNING)
            backend_token(&b, c, now);
        while (*turn(now))
            ;
        unsigned running = 0, waiting = 0, of_device[16] = {0};
        for (int i = 0; i < 64; i++) {
            running += calls[i].state == CALL_RUNNING;
            waiting += calls[i].state == CALL_WAITING;
            of_device[i % 16] += calls[i].state == CALL_RUNNING;
        }
        assert_int_equal(running, b.running.count);
        assert_int_equal(waiting, b.waiting.count);
        assert_true(running <= 5 && waiting <= 12);
        for (int i = 0; i < 16; i++)
            assert_true(of_device[i] <= 1);
        if (running + waiting > 0)
            assert_true(backend_due_ms(&b) > now && backend_due_ms(&b) <= now + 2000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_few_at_once, setup),
        cmocka_unit_test_setup(devices_take_turns, setup),
        cmocka_unit_test_setup(a_device_has_one_at_a_time, setup),
        cmocka_unit_test_setup(a_backend_that_asks_for_time_gets_it, setup),
        cmocka_unit_test_setup(time_is_limited, setup),
        cmocka_unit_test_setup(waiting_counts_as_time, setup),
        cmocka_unit_test_setup(a_breaker_opens_and_closes, setup),
        cmocka_unit_test_setup(old_results_do_not_count, setup),
        cmocka_unit_test_setup(who_waits_is_told_when_it_opens, setup),
        cmocka_unit_test_setup(mostly_failures_open_it_too, setup),
        cmocka_unit_test_setup(at_random, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
