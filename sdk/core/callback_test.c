/* What an application may do from within on_message. */
#include <string.h>

#include "world.h"

static struct world world;
static bool takes;

static int online(void **state)
{
    (void)state;
    world_init(&world);
    world_until(&world, TEDDY_STATE_ONLINE, 1000);
    return 0;
}

static void stop_when_offered(struct world *w, const struct teddy_message *m)
{
    (void)m;
    w->refuses = !takes;
    teddy_client_stop(&w->client);
}

static void stop_from_within_the_callback(void **state)
{
    (void)state;
    struct world *w = &world;
    for (unsigned i = 0; i < 3; i++) {
        online(NULL);
        takes = i > 0;
        w->last_rc = i == 2 ? TEDDY_AGAIN : TEDDY_OK;
        w->on_message = stop_when_offered;
        server_queue(w, "1.1", "\"text\":\"stop\"");
        world_step(w);
        assert_int_equal(teddy_client_state(&w->client), TEDDY_STATE_IDLE);
        assert_int_equal(w->wait_ms, UINT32_MAX);
        assert_int_equal(w->toy_close, 1000);
        assert_int_equal(w->offers, 1);
        assert_int_equal(w->lasts, i == 1);
        w->on_message = NULL;
        w->refuses = false;
        w->last_rc = TEDDY_OK;
        world_until(w, TEDDY_STATE_ONLINE, 1000);
        world_run(w, 100);
        assert_string_equal(w->last, takes ? "1.1" : "");
        assert_int_equal(w->taken, 1);
        assert_int_equal(w->lasts, 1);
        assert_int_equal(w->queued, 0);
    }
}

static void talk_when_offered(struct world *w, const struct teddy_message *m)
{
    struct teddy_outbox_state outbox;
    assert_string_equal(m->text, "talk");
    world_say(w, "talking");
    assert_int_equal(teddy_client_report(&w->client, "{\"at\":1}", 8), TEDDY_OK);
    teddy_client_outbox(&w->client, &outbox);
    assert_int_equal(outbox.count, 1);
    assert_int_equal(w->client.outbox.count, 2);
    assert_int_equal(teddy_client_pending(&w->client), 1);
    assert_int_equal(teddy_client_state(&w->client), TEDDY_STATE_ONLINE);
    assert_string_equal(m->text, "talk"); /* still there */
}

static void say_and_report_from_within_the_callback(void **state)
{
    (void)state;
    struct world *w = &world;
    w->on_message = talk_when_offered;
    server_queue(w, "1.1", "\"text\":\"talk\"");
    world_run(w, 100);
    assert_int_equal(w->says, 1);
    assert_string_equal(w->said_text, "talking");
    assert_string_equal(w->report, "{\"type\":\"telemetry\",\"at\":1}");
    assert_string_equal(w->acked, "1.1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stop_from_within_the_callback),
        cmocka_unit_test_setup(say_and_report_from_within_the_callback, online),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
