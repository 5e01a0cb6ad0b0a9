/* What an application may do from within its callbacks, and with them. */
#include <stdio.h>
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

/* Each event within another's callback has memory of its own. */
static char outer_id[24];
static unsigned dropped;

static void say_when_echoed(struct world *w, const struct teddy_event *e)
{
    static char big[4000];
    memset(big, 'x', sizeof big);
    if (e->type == TEDDY_EVENT_DROPPED) {
        dropped++;
        assert_string_equal(e->code, "outbox_full");
        assert_string_not_equal(e->id, outer_id);
        assert_string_equal(e->text, "");
        return;
    }
    if (e->type != TEDDY_EVENT_ECHO || dropped != 0) {
        return;
    }
    struct teddy_event before = *e;
    snprintf(outer_id, sizeof outer_id, "%s", e->id);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(teddy_client_say(&w->client, big, sizeof big,
                                          &(struct teddy_say){TEDDY_DROP_OLDEST, 0}, NULL),
                         TEDDY_OK);
    }
    assert_int_equal(dropped, 1);
    assert_memory_equal(e, &before, sizeof before);
    assert_string_equal(e->id, outer_id);
    assert_string_equal(e->text, "echoed");
    assert_string_equal(e->code, "");
}

static void an_event_outlasts_those_within_its_callback(void **state)
{
    (void)state;
    struct world *w = &world;
    w->on_event = say_when_echoed;
    world_say(w, "echoed");
    world_run(w, 100);
    assert_int_equal(dropped, 1);
}

/* A stopped toy may be told otherwise who takes its messages, and that nobody does. */
static void nobody_takes_the_messages_any_more(void **state)
{
    (void)state;
    struct world *w = &world;
    server_queue(w, "1.1", "\"text\":\"taken\"");
    world_run(w, 100);
    assert_int_equal(w->taken, 1);
    teddy_client_stop(&w->client);
    teddy_client_on_message(&w->client, NULL);
    world_until(w, TEDDY_STATE_ONLINE, 1000);
    server_queue(w, "1.2", "\"text\":\"not taken\"");
    world_say(w, "still here");
    world_run(w, 100);
    assert_int_equal(w->offers, 1);
    assert_int_equal(w->says, 1);
    assert_int_equal(w->queued, 1); /* it stays with the server */
    assert_int_equal(teddy_client_pending(&w->client), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stop_from_within_the_callback),
        cmocka_unit_test_setup(say_and_report_from_within_the_callback, online),
        cmocka_unit_test_setup(an_event_outlasts_those_within_its_callback, online),
        cmocka_unit_test_setup(nobody_takes_the_messages_any_more, online),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
