/* The session: saying and saying again, heartbeat, refresh in session, bad frames.
 */
#include <stdio.h>
#include <string.h>

#include "world.h"

static struct world world;

static int online(void **state)
{
    (void)state;
    world_init(&world);
    world_until(&world, TEDDY_STATE_ONLINE, 1000);
    return 0;
}

static int fresh(void **state)
{
    (void)state;
    world_init(&world);
    return 0;
}

static void says_in_order_one_at_a_time(void **state)
{
    (void)state;
    struct world *w = &world;
    for (unsigned i = 0; i < 40; i++) {
        char text[16];
        uint64_t id;
        snprintf(text, sizeof text, "number %u", i);
        assert_int_equal(teddy_client_say(&w->client, text, strlen(text), NULL, &id), TEDDY_OK);
    }
    assert_int_equal(teddy_client_pending(&w->client), 40);
    world_run(w, 200);
    assert_int_equal(teddy_client_pending(&w->client), 0);
    assert_int_equal(w->says, 40);
    unsigned n = 0;
    for (size_t i = 0; i < w->seen_count; i++) {
        if (w->seen[i].type == TEDDY_EVENT_ECHO) {
            char text[16];
            snprintf(text, sizeof text, "number %u", n);
            assert_string_equal(w->seen[i].text, text);
            assert_string_equal(w->seen[i].id, w->said_ids[n++]);
        }
    }
    assert_int_equal(n, 40);
}

static void every_frame_is_masked_afresh(void **state)
{
    (void)state;
    struct world *w = &world;
    for (unsigned i = 0; i < 30; i++) {
        world_say(w, "x");
    }
    world_run(w, 200);
    assert_true(w->frames > 30);
    assert_int_equal(w->same_masks, 0);
}

static void any_text_arrives_as_it_was_said(void **state)
{
    (void)state;
    struct world *w = &world;
    static char text[4096];
    static const char *const hard[] = {"\"",
                                       "\\",
                                       "\n\t\r\b\f",
                                       "\x01\x1f\x7f",
                                       "{\"type\":\"hello\"}",
                                       "gr\xc3\xbc\xc3\x9f dich \xf0\x9f\xa7\xb8",
                                       " "};
    for (size_t i = 0; i < sizeof hard / sizeof hard[0]; i++) {
        world_say(w, hard[i]);
        world_run(w, 20);
        assert_string_equal(w->said_text, hard[i]);
        assert_string_equal(world_last(w, TEDDY_EVENT_ECHO)->text, hard[i]);
    }
    for (size_t len = 1; len <= 4096; len += len < 600 ? 1 : 97) {
        memset(text, len % 3 == 0 ? '"' : 'a', len);
        if (len % 3 != 0 || len < 2000) {
            assert_int_equal(teddy_client_say(&w->client, text, len, NULL, NULL), TEDDY_OK);
            world_run(w, 20);
            assert_int_equal(teddy_client_pending(&w->client), 0);
        }
    }
}

static void say_checks_what_it_is_given(void **state)
{
    (void)state;
    struct world *w = &world;
    static char text[4097];
    uint64_t first, second;
    memset(text, 'a', sizeof text);
    assert_int_equal(teddy_client_say(&w->client, text, 4097, NULL, NULL), TEDDY_ETOOBIG);
    assert_int_equal(teddy_client_say(&w->client, "", 0, NULL, NULL), TEDDY_EINVAL);
    assert_int_equal(teddy_client_say(&w->client, "\xff", 1, NULL, NULL), TEDDY_EUTF8);
    assert_int_equal(teddy_client_say(&w->client, "\xc3", 1, NULL, NULL), TEDDY_EUTF8);
    assert_int_equal(teddy_client_say(&w->client, text, 4000, NULL, &first), TEDDY_OK);
    assert_int_equal(teddy_client_say(&w->client, text, 4000, NULL, &second), TEDDY_OK);
    assert_int_equal(teddy_client_say(&w->client, text, 4000, NULL, NULL), TEDDY_EFULL);
    assert_true(second == first + 1);
}

static void said_again_with_the_same_id_after_a_reconnect(void **state)
{
    (void)state;
    struct world *w = &world;
    w->plan.no_echo = true;
    world_say(w, "lost");
    world_run(w, 100);
    assert_int_equal(w->says, 1);
    server_drop(w);
    world_until(w, TEDDY_STATE_WAITING, 100);
    assert_int_equal(teddy_client_pending(&w->client), 1);
    w->plan.no_echo = false;
    world_until(w, TEDDY_STATE_ONLINE, 2000);
    world_run(w, 100);
    assert_int_equal(w->says, 2);
    assert_string_equal(w->said_ids[0], w->said_ids[1]);
    assert_int_equal(world_count(w, TEDDY_EVENT_ECHO), 1);
    assert_int_equal(teddy_client_pending(&w->client), 0);
}

static void said_again_when_no_echo_comes(void **state)
{
    (void)state;
    struct world *w = &world;
    w->plan.no_echo = true;
    world_say(w, "hm");
    world_run(w, 9000);
    assert_int_equal(w->says, 1);
    world_run(w, 2000);
    assert_int_equal(w->says, 2);
    world_run(w, 20000);
    assert_int_equal(w->says, 3);
    for (unsigned i = 1; i < w->says; i++) {
        assert_string_equal(w->said_ids[0], w->said_ids[i]);
    }
    /* Two answers to the two of them: the second is nobody's. */
    char echo[128];
    snprintf(echo, sizeof echo, "{\"type\":\"echo\",\"seq\":1,\"id\":\"%.23s\",\"text\":\"hm\"}",
             w->said_ids[0]);
    server_text(w, "{\"type\":\"echo\",\"seq\":1,\"id\":\"17\",\"text\":\"hm\"}");
    server_text(w, "{\"type\":\"echo\",\"seq\":1,\"text\":\"hm\"}");
    world_run(w, 100);
    assert_int_equal(world_count(w, TEDDY_EVENT_ECHO), 0);
    server_text(w, echo);
    server_text(w, echo);
    world_run(w, 60000);
    assert_int_equal(world_count(w, TEDDY_EVENT_ECHO), 1);
    assert_int_equal(w->says, 3);
}

/* The echo comes while the utterance is half said again: the frame is finished all the same. */
static void an_echo_in_the_middle_of_saying_again(void **state)
{
    (void)state;
    struct world *w = &world;
    static char text[3000], next[3000];
    char echo[128];
    memset(text, 'b', sizeof text);
    memset(next, 'c', sizeof next);
    w->plan.no_echo = true;
    assert_int_equal(teddy_client_say(&w->client, text, sizeof text, NULL, NULL), TEDDY_OK);
    assert_int_equal(teddy_client_say(&w->client, next, sizeof next, NULL, NULL), TEDDY_OK);
    world_run(w, 100);
    assert_int_equal(w->says, 1);
    w->now += 10000;
    w->send_rc = TEDDY_OK;
    w->piece = 700; /* some of the frame leaves, then the transport is full */
    w->again = 1;
    for (unsigned i = 0; i < 4; i++) {
        world_step(w);
    }
    assert_true(teddy_client_wants(&w->client) & TEDDY_WANTS_WRITE);
    assert_int_equal(w->says, 1);
    w->plan.no_echo = false;
    snprintf(echo, sizeof echo, "{\"type\":\"echo\",\"seq\":1,\"id\":\"%.23s\",\"text\":\"b\"}",
             w->said_ids[0]);
    server_text(w, echo);
    world_run(w, 1000);
    assert_int_equal(w->says, 3);
    assert_string_equal(w->said_ids[0], w->said_ids[1]);
    assert_true(w->said_sums[0] == w->said_sums[1]);
    assert_int_equal(w->said_text[0], 'c');
    assert_int_equal(teddy_client_pending(&w->client), 0);
    assert_int_equal(world_count(w, TEDDY_EVENT_ECHO), 2);
}

static void ids_differ_across_restarts(void **state)
{
    (void)state;
    struct world *w = &world;
    world_say(w, "one");
    world_run(w, 100);
    world_reboot(w);
    world_say(w, "two");
    world_until(w, TEDDY_STATE_ONLINE, 1000);
    world_run(w, 100);
    assert_int_equal(w->says, 2);
    assert_string_not_equal(w->said_ids[0], w->said_ids[1]);
}

static void busy_is_said_again_after_a_pause(void **state)
{
    (void)state;
    struct world *w = &world;
    w->plan.said_error = "busy";
    world_say(w, "again please");
    world_run(w, 60 * 60 * 1000);
    assert_in_range(w->says, 40, 400);
    assert_int_equal(teddy_client_pending(&w->client), 1);
    w->plan.said_error = NULL;
    world_run(w, 120000);
    assert_int_equal(teddy_client_pending(&w->client), 0);
    assert_string_equal(world_last(w, TEDDY_EVENT_ERROR)->code, "busy");
    assert_string_equal(world_last(w, TEDDY_EVENT_ERROR)->text, "no");
}

static void refused_for_good_is_dropped_with_an_event(void **state)
{
    (void)state;
    struct world *w = &world;
    static const char *const codes[] = {"too_big", "bad_message", "internal"};
    for (size_t i = 0; i < 3; i++) {
        w->plan.said_error = codes[i];
        world_say(w, "bad");
        world_run(w, 100);
        assert_int_equal(teddy_client_pending(&w->client), 0);
        const struct seen *s = world_last(w, TEDDY_EVENT_ERROR);
        assert_string_equal(s->code, codes[i]);
        assert_string_equal(s->id, w->said_ids[w->says - 1]);
    }
    w->plan.said_error = NULL;
    world_say(w, "good");
    world_run(w, 100);
    assert_string_equal(world_last(w, TEDDY_EVENT_ECHO)->text, "good");
}

static void errors_of_others_touch_nothing(void **state)
{
    (void)state;
    struct world *w = &world;
    world_say(w, "echoed");
    world_run(w, 100);
    w->plan.no_echo = true;
    world_say(w, "waiting");
    world_run(w, 100);
    server_text(w, "{\"type\":\"error\",\"seq\":1,\"code\":\"internal\",\"detail\":\"late\"}");
    server_text(w, "{\"type\":\"error\",\"id\":\"4\",\"code\":\"too_big\",\"detail\":\"other\"}");
    server_text(w, "{\"type\":\"error\",\"code\":\"unknown_type\",\"detail\":\"hm\"}");
    world_run(w, 100);
    assert_int_equal(world_count(w, TEDDY_EVENT_ERROR), 3);
    assert_string_equal(world_last(w, TEDDY_EVENT_ERROR)->id, "");
    assert_int_equal(teddy_client_pending(&w->client), 1);
    server_text(w, "{\"type\":\"error\",\"seq\":2,\"code\":\"internal\",\"detail\":\"yours\"}");
    world_run(w, 100);
    assert_int_equal(teddy_client_pending(&w->client), 0);
}

/* What a server closes the session for is not said in the next one as well. */
static void an_utterance_that_closes_the_session_is_dropped(void **state)
{
    (void)state;
    struct world *w = &world;
    w->plan.close_code = 1009;
    w->plan.close_reason = "too_big";
    w->plan.close_on_say = true;
    world_say(w, "huge");
    world_until(w, TEDDY_STATE_WAITING, 1000);
    assert_int_equal(teddy_client_pending(&w->client), 0);
    assert_string_equal(world_last(w, TEDDY_EVENT_ERROR)->code, "too_big");
    world_until(w, TEDDY_STATE_ONLINE, 2000);
    world_run(w, 1000);
    assert_int_equal(w->says, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(says_in_order_one_at_a_time, online),
        cmocka_unit_test_setup(every_frame_is_masked_afresh, online),
        cmocka_unit_test_setup(any_text_arrives_as_it_was_said, online),
        cmocka_unit_test_setup(say_checks_what_it_is_given, fresh),
        cmocka_unit_test_setup(said_again_with_the_same_id_after_a_reconnect, online),
        cmocka_unit_test_setup(said_again_when_no_echo_comes, online),
        cmocka_unit_test_setup(an_echo_in_the_middle_of_saying_again, online),
        cmocka_unit_test_setup(ids_differ_across_restarts, online),
        cmocka_unit_test_setup(busy_is_said_again_after_a_pause, online),
        cmocka_unit_test_setup(refused_for_good_is_dropped_with_an_event, online),
        cmocka_unit_test_setup(errors_of_others_touch_nothing, online),
        cmocka_unit_test_setup(an_utterance_that_closes_the_session_is_dropped, online),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
