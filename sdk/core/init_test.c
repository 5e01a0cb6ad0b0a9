/* What teddy_client_init refuses, and what a toy without randomness does. */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(init_refuses_what_is_not_valid),
        cmocka_unit_test(without_randomness_nothing_is_claimed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
