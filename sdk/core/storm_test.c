/* Nothing is tried in a tight loop, ever: each failure of each step, for simulated hours, with a
 * bound on what the server sees and on how often the caller is woken. */
#include <stdio.h>
#include <string.h>

#include "world.h"

#define HOUR_MS (3600u * 1000)
#define HOURS   5

static struct world world;

/* Full jitter under a cap of a minute is an attempt per half a minute; the claim and the session of
 * one attempt may be two connections, and the first minutes are quicker. */
#define CONNECTS_PER_HOUR 300
#define REFUSED_PER_HOUR  16

static void run_hours(const char *what, unsigned per_hour)
{
    struct world *w = &world;
    for (unsigned hour = 0; hour < HOURS; hour++) {
        unsigned connects = w->connects, saves = w->saves;
        uint64_t steps = w->steps;
        w->seen_count = 0;
        world_run(w, HOUR_MS);
        if (w->connects - connects > per_hour || w->steps - steps > 20000 ||
            w->saves - saves > per_hour) {
            fail_msg("%s, hour %u: %u connections, %u saves, %llu steps", what, hour,
                     w->connects - connects, w->saves - saves,
                     (unsigned long long)(w->steps - steps));
        }
    }
}

static void comes_back(const char *what)
{
    struct world *w = &world;
    w->plan = (struct plan){0};
    w->resolve_rc = w->connect_rc = w->send_rc = w->hmac_rc = w->sha1_rc = w->save_rc = w->load_rc =
        TEDDY_OK;
    w->rng_broken = false;
    w->seen_count = 0;
    for (unsigned i = 0; i < 1300 && teddy_client_state(&w->client) != TEDDY_STATE_ONLINE; i++) {
        world_run(w, 1000);
    }
    if (teddy_client_state(&w->client) != TEDDY_STATE_ONLINE) {
        fail_msg("%s: not back after 1300 s", what);
    }
}

static void every_failure_of_the_port(void **state)
{
    (void)state;
    struct world *w = &world;
    int *const calls[] = {&w->resolve_rc, &w->connect_rc, &w->send_rc, &w->hmac_rc,
                          &w->sha1_rc,    &w->save_rc,    &w->load_rc};
    static const int codes[] = {TEDDY_EIO,    TEDDY_EDNS,    TEDDY_ETLS,  TEDDY_ECERT,
                                TEDDY_ECLOCK, TEDDY_ECLOSED, TEDDY_AGAIN, -99};
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        for (size_t k = 0; k < sizeof codes / sizeof codes[0]; k++) {
            char what[64];
            snprintf(what, sizeof what, "call %zu, result %d", i, codes[k]);
            world_init(w);
            *calls[i] = codes[k];
            /* A call that says AGAIN is polled: that is the caller's time, not the server's. */
            if (codes[k] == TEDDY_AGAIN) {
                unsigned connects = w->connects;
                world_run(w, HOUR_MS);
                assert_true(w->connects - connects <= CONNECTS_PER_HOUR);
                assert_true(w->steps <= 3600 * 1000 / 20 + 1000);
            } else {
                run_hours(what, CONNECTS_PER_HOUR);
            }
            comes_back(what);
        }
    }
}

static void no_randomness(void **state)
{
    (void)state;
    world_init(&world);
    world.rng_broken = true;
    run_hours("no randomness", CONNECTS_PER_HOUR);
    comes_back("no randomness");
}

static void every_status(void **state)
{
    (void)state;
    struct world *w = &world;
    static const int statuses[] = {200, 204, 301, 302, 400, 401, 403, 404, 405, 408, 409, 411, 413,
                                   415, 418, 422, 426, 429, 500, 502, 503, 504, 599, 600, 999};
    for (unsigned goal = 0; goal < 3; goal++) {
        for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
            char what[64];
            if (goal < 2 && statuses[i] == 200) {
                continue;
            }
            snprintf(what, sizeof what, "goal %u, status %d", goal, statuses[i]);
            world_init(w);
            w->plan.fields = i % 2 == 0 ? "Retry-After: 0\r\n" : NULL;
            if (goal == 0) {
                w->plan.claim_status = statuses[i];
            } else if (goal == 1) {
                w->plan.refresh_status = statuses[i];
                w->plan.close_code = 1008;
                w->plan.close_reason = "token_expired";
            } else {
                w->plan.upgrade_status = statuses[i];
            }
            run_hours(what, CONNECTS_PER_HOUR);
            comes_back(what);
        }
    }
}

static void refusals_are_tried_for_minutes_apart(void **state)
{
    (void)state;
    static const int statuses[] = {401, 403, 404};
    for (size_t i = 0; i < 3; i++) {
        world_init(&world);
        world.plan.claim_status = statuses[i];
        run_hours("refused claim", REFUSED_PER_HOUR);
    }
}

static const char *const reasons[] = {
    "token_expired", "bad_token",       "token_revoked",           "no_token", "superseded",
    "wrong_device",  "device_disabled", "rate_limited retry_ms=1", "nonsense", ""};

static void every_close(void **state)
{
    (void)state;
    struct world *w = &world;
    static const uint16_t codes[] = {1000, 1001, 1002, 1003, 1007, 1008,
                                     1009, 1011, 1012, 1013, 4001, 4999};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        for (size_t k = 0; k < (codes[i] == 1008 ? sizeof reasons / sizeof reasons[0] : 1); k++) {
            char what[64];
            snprintf(what, sizeof what, "close %u %s", codes[i], reasons[k]);
            world_init(w);
            w->plan.close_code = codes[i];
            w->plan.close_reason = codes[i] == 1008 ? reasons[k] : "x retry_ms=1";
            run_hours(what, CONNECTS_PER_HOUR);
            comes_back(what);
        }
    }
}

static void accepted_then_dropped(void **state)
{
    (void)state;
    struct world *w = &world;
    for (unsigned lasts = 1; lasts < 60000; lasts = lasts * 3 + 1) {
        for (unsigned drop = 0; drop < 2; drop++) {
            world_init(w);
            w->plan.close_code = 1011;
            w->plan.lasts_ms = lasts;
            w->plan.drop = drop != 0;
            run_hours("accepted, then dropped", CONNECTS_PER_HOUR);
        }
    }
    /* An echo first does not make it better: utterances do not excuse a loop. */
    world_init(w);
    w->plan.close_code = 1011;
    w->plan.close_on_say = true;
    world_say(w, "poison");
    run_hours("dropped for each utterance", CONNECTS_PER_HOUR);
    assert_int_equal(teddy_client_pending(&w->client), 1);
    comes_back("dropped for each utterance");
}

/* Two toys of one identity: each session is replaced as soon as the other comes back. */
static void replaced_over_and_over(void **state)
{
    (void)state;
    struct world *w = &world;
    world_init(w);
    w->plan.close_code = 4001;
    w->plan.close_reason = "replaced";
    w->plan.lasts_ms = 5 * 60000;
    world_run(w, HOUR_MS);
    run_hours("replaced", 4);
}

static void refreshed_but_always_expired(void **state)
{
    (void)state;
    struct world *w = &world;
    world_init(w);
    w->plan.expires_in = 1;
    w->plan.close_code = 1008;
    w->plan.close_reason = "token_expired";
    run_hours("always expired", CONNECTS_PER_HOUR);
    comes_back("always expired");
}

static void a_long_outage_ends_within_the_cap(void **state)
{
    (void)state;
    struct world *w = &world;
    world_init(w);
    world_until(w, TEDDY_STATE_ONLINE, 1000);
    w->connect_rc = TEDDY_EIO;
    server_drop(w);
    world_say(w, "kept through it all");
    uint32_t counted = UINT8_MAX;
    for (unsigned day = 0; day < 10; day++) {
        unsigned connects = w->connects;
        w->seen_count = 0;
        world_run(w, 24u * HOUR_MS);
        assert_in_range(w->connects - connects, 1440, 24 * 150);
        assert_true(w->client.attempts > counted); /* above all not from 0 again */
        counted = w->client.attempts;
    }
    w->connect_rc = TEDDY_OK;
    w->seen_count = 0;
    world_until(w, TEDDY_STATE_ONLINE, 61000 + 61000);
    world_run(w, 1000);
    assert_int_equal(teddy_client_pending(&w->client), 0);
    assert_int_equal(w->claims, 1);
}

static void a_session_that_lasted_clears_the_backoff(void **state)
{
    (void)state;
    struct world *w = &world;
    world_init(w);
    w->connect_rc = TEDDY_EIO;
    world_run(w, 600000);
    w->connect_rc = TEDDY_OK;
    world_until(w, TEDDY_STATE_ONLINE, 61000);
    world_run(w, 59000);
    server_drop(w);
    world_until(w, TEDDY_STATE_WAITING, 100);
    assert_true(w->client.attempts > 5);
    world_until(w, TEDDY_STATE_ONLINE, 61000);
    world_run(w, 61000);
    server_drop(w);
    world_until(w, TEDDY_STATE_WAITING, 100);
    assert_in_range(world_waiting(w)->wait_ms, 250, 1000);
}

static void a_flood_from_the_server_does_not_hold_a_step(void **state)
{
    (void)state;
    struct world *w = &world;
    world_init(w);
    world_until(w, TEDDY_STATE_ONLINE, 1000);
    w->piece = 10;
    for (unsigned i = 0; i < 2000; i++) {
        server_frame(w, WS_PING, true, "12345678", 8);
    }
    size_t before = w->out_at;
    world_step(w);
    assert_int_equal(w->wait_ms, 0);
    assert_true(w->out_at - before <= 16 * 10);
    world_run(w, 5000);
    assert_true(w->pongs > 0);
    assert_int_equal(teddy_client_state(&w->client), TEDDY_STATE_ONLINE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failure_of_the_port),
        cmocka_unit_test(no_randomness),
        cmocka_unit_test(every_status),
        cmocka_unit_test(refusals_are_tried_for_minutes_apart),
        cmocka_unit_test(every_close),
        cmocka_unit_test(accepted_then_dropped),
        cmocka_unit_test(replaced_over_and_over),
        cmocka_unit_test(refreshed_but_always_expired),
        cmocka_unit_test(a_long_outage_ends_within_the_cap),
        cmocka_unit_test(a_session_that_lasted_clears_the_backoff),
        cmocka_unit_test(a_flood_from_the_server_does_not_hold_a_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
