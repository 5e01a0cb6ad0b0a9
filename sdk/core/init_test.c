/* What teddy_client_init refuses, what it makes of odd times, and what a toy does that starts
 * without randomness or with records of another time. */
#include <string.h>

#include "world.h"

static struct world world;

static void init_refuses_what_is_not_valid(void **state)
{
    (void)state;
    struct world *w = &world;
    world_init(w);
    struct teddy_client_config bad[10];
    for (size_t i = 0; i < 10; i++) {
        bad[i] = w->config;
    }
    bad[0].device_id = "no spaces";
    bad[1].child_id = "";
    bad[2].server_url = NULL;
    bad[3].server_url = "http://teddy.example";
    bad[4].claim_endpoint = "api";
    bad[5].ws_endpoint = "/ws?x";
    bad[6].firmware = "a firmware's name of more than thirty-two";
    bad[7].firmware = "line\nfeed";
    bad[8].firmware = "a \"name\"";
    bad[9].device_id = NULL;
    for (size_t i = 0; i < 10; i++) {
        w->log[0] = '\0';
        assert_int_equal(teddy_client_init(&w->client, &bad[i], &world_port, w, w->rx, sizeof w->rx,
                                           w->outbox, sizeof w->outbox),
                         TEDDY_EINVAL);
        assert_string_not_equal(w->log, "");
    }
    assert_int_equal(teddy_client_init(&w->client, &w->config, &world_port, w, w->rx,
                                       TEDDY_BUFFER_MIN - 1, w->outbox, 10),
                     TEDDY_EINVAL);
    w->rng_broken = true;
    assert_int_equal(teddy_client_init(&w->client, &w->config, &world_port, w, w->rx, sizeof w->rx,
                                       w->outbox, 10),
                     TEDDY_EIO);
}

static void without_randomness_nothing_is_claimed(void **state)
{
    (void)state;
    struct world *w = &world;
    world_init(w);
    w->rng_broken = true;
    world_until(w, TEDDY_STATE_WAITING, 100);
    assert_int_equal(w->claims, 0);
    assert_int_equal(world_waiting(w)->err, TEDDY_EIO);
    w->rng_broken = false;
    world_until(w, TEDDY_STATE_ONLINE, 2000);
}

/* A server that cannot be reached is tried again as seldom as by default, and an utterance that is
 * not echoed is not said again at once. */
static void times_of_zero_are_the_defaults(void **state)
{
    (void)state;
    struct world *w = &world;
    world_init(w);
    w->config.times = &(const struct teddy_times){.backoff_cap_ms = 60000};
    world_reboot(w);
    w->connect_rc = TEDDY_EIO;
    world_run(w, 600 * 1000);
    assert_in_range(w->connects, 10, 60);
    w->connect_rc = TEDDY_OK;
    w->plan.no_echo = true;
    w->again = 2;
    world_until(w, TEDDY_STATE_ONLINE, 80000);
    world_say(w, "once");
    world_run(w, 9000);
    assert_int_equal(w->says, 1);
    world_run(w, 3000);
    assert_int_equal(w->says, 2);
}

static void times_over_the_bound_are_the_bound(void **state)
{
    (void)state;
    struct world *w = &world;
    const uint32_t most = UINT32_MAX;
    world_init(w);
    w->config.times = &(const struct teddy_times){most, most, most, most, most, most};
    world_reboot(w);
    w->again = 2; /* nothing has timed out yet */
    world_until(w, TEDDY_STATE_ONLINE, 1000);
    w->plan.no_echo = true;
    world_say(w, "once");
    world_run(w, 3600 * 1000);
    assert_int_equal(w->says, 1);
    server_drop(w);
    world_run(w, 1000);
    assert_int_equal(world_waiting(w)->wait_ms, TEDDY_RETRY_MAX_MS);
}

/* What a firmware kept before the records had their present form: it is not believed, and nothing
 * worse comes of it than a claim. */
static void records_of_earlier_versions_are_not_believed(void **state)
{
    (void)state;
    static const char tokens[][40] = {
        "\x01"
        "Z"
        "ownerxxx"
        "access.a.a\0refresh.b.b",
        "\x02"
        "Z"
        "ownerxxx"
        "access.a.a\0refresh.b.b",
        "\x02\xa5"
        "ownerxxx"
        "refresh.b.b\0access.a.a",
    };
    static const char last[25] = "\x01"
                                 "ownerxxx"
                                 "\1\0\0\0\0\0\0\0"
                                 "\5\0\0\0\0\0\0";
    struct world *w = &world;
    for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
        world_init(w);
        w->record_len[TEDDY_RECORD_TOKENS] = 10 + 11 + 12;
        memcpy(w->records[TEDDY_RECORD_TOKENS], tokens[i], 10 + 11 + 12);
        w->record_len[TEDDY_RECORD_LAST] = sizeof last;
        memcpy(w->records[TEDDY_RECORD_LAST], last, sizeof last);
        server_queue(w, "1.5", "\"text\":\"anew\"");
        world_until(w, TEDDY_STATE_ONLINE, 1000);
        world_run(w, 100);
        assert_int_equal(w->claims, 1);
        assert_int_equal(w->refreshes, 0);
        assert_string_equal(w->last, "");
        assert_string_equal(w->acked, "1.5");
        assert_int_equal(w->taken, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(init_refuses_what_is_not_valid),
        cmocka_unit_test(without_randomness_nothing_is_claimed),
        cmocka_unit_test(times_of_zero_are_the_defaults),
        cmocka_unit_test(records_of_earlier_versions_are_not_believed),
        cmocka_unit_test(times_over_the_bound_are_the_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
