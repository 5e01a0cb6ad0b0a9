/* The session: heartbeat, refresh in session, bad frames.
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

static void pings_are_answered_and_silence_is_probed(void **state)
{
    (void)state;
    struct world *w = &world;
    server_frame(w, WS_PING, true, "abc", 3);
    world_run(w, 10);
    assert_int_equal(w->pongs, 1);
    world_run(w, 36000);
    assert_int_equal(w->pings, 0);
    world_run(w, 2000);
    assert_int_equal(w->pings, 1);
    world_run(w, 600 * 1000);
    assert_in_range(w->pings, 15, 17);
    assert_int_equal(teddy_client_state(&w->client), TEDDY_STATE_ONLINE);
}

static void a_dead_peer_is_given_up(void **state)
{
    (void)state;
    struct world *w = &world;
    w->plan.no_pong = true;
    uint64_t from = w->now;
    world_until(w, TEDDY_STATE_WAITING, 80000);
    assert_in_range(w->now - from, 74900, 75100);
    assert_int_equal(w->pings, 1);
    assert_int_equal(world_waiting(w)->err, TEDDY_ETIMEOUT);
    w->plan.heartbeat_s = 4;
    world_until(w, TEDDY_STATE_ONLINE, 2000);
    from = w->now;
    world_until(w, TEDDY_STATE_WAITING, 80000);
    assert_in_range(w->now - from, 9900, 10100);
}

static void a_peer_that_does_not_read_is_given_up(void **state)
{
    (void)state;
    struct world *w = &world;
    w->send_rc = TEDDY_AGAIN;
    world_say(w, "stuck");
    uint64_t from = w->now;
    world_until(w, TEDDY_STATE_WAITING, 80000);
    assert_in_range(w->now - from, 15000, 15200);
    assert_int_equal(world_waiting(w)->err, TEDDY_ETIMEOUT);
}

/* What comes while a request or the goodbye cannot leave is not read, so it must not wake anybody.
 */
static void what_is_not_read_wakes_nobody(void **state)
{
    (void)state;
    struct world *w = &world;
    w->send_rc = TEDDY_AGAIN;
    server_close(w, 1012, "restart");
    world_step(w);
    server_text(w, "{}");
    assert_int_equal(teddy_client_wants(&w->client), TEDDY_WANTS_WRITE);
    uint64_t steps = w->steps;
    world_until(w, TEDDY_STATE_WAITING, 3000);
    assert_in_range(w->steps - steps, 1, 20);
    assert_int_equal(world_waiting(w)->close, 1012);
    world_until(w, TEDDY_STATE_CONNECTING, 2000);
    server_text(w, "{}");
    assert_int_equal(teddy_client_wants(&w->client), TEDDY_WANTS_WRITE);
    steps = w->steps;
    world_until(w, TEDDY_STATE_WAITING, 16000);
    assert_in_range(w->steps - steps, 1, 20);
    w->send_rc = TEDDY_OK;
    world_until(w, TEDDY_STATE_ONLINE, 3000);
}

static void refreshes_in_session_at_four_fifths(void **state)
{
    (void)state;
    struct world *w = &world;
    char first[64];
    memcpy(first, w->refresh, sizeof first);
    world_run(w, 2870 * 1000);
    assert_int_equal(w->inband, 0);
    world_run(w, 20 * 1000);
    assert_int_equal(w->inband, 1);
    assert_string_equal(w->spent, first);
    assert_int_equal(w->saves, 2);
    assert_non_null(memmem(w->records[0], w->record_len[0], w->refresh, strlen(w->refresh)));
    assert_int_equal(world_count(w, TEDDY_EVENT_REFRESHED), 1);
    world_run(w, 24 * 3600 * 1000);
    assert_int_equal(w->upgrades, 1);
    assert_int_equal(w->claims, 1);
    assert_int_equal(w->refreshes, 0);
    assert_in_range(w->inband, 29, 32);
}

static void refreshes_when_told_but_not_in_a_loop(void **state)
{
    (void)state;
    struct world *w = &world;
    server_text(w, "{\"type\":\"token_expiring\",\"expires_in\":120}");
    world_run(w, 100);
    assert_int_equal(w->inband, 1);
    for (unsigned i = 0; i < 100; i++) {
        server_text(w, "{\"type\":\"token_expiring\",\"expires_in\":0}");
        world_run(w, 100);
    }
    assert_in_range(w->inband, 2, 4);
    w->plan.expires_in = 1;
    world_run(w, 3600 * 1000);
    assert_in_range(w->inband, 100, 730);
}

static void an_unanswered_refresh_is_asked_over_http(void **state)
{
    (void)state;
    struct world *w = &world;
    char first[64];
    memcpy(first, w->refresh, sizeof first);
    w->plan.no_tokens = true;
    server_text(w, "{\"type\":\"token_expiring\",\"expires_in\":120}");
    world_run(w, 100 * 1000);
    assert_in_range(w->inband, 3, 5);
    server_close(w, 1008, "token_expired");
    world_run(w, 2000);
    assert_int_equal(w->refreshes, 1);
    assert_string_equal(w->spent, first);
    assert_int_equal(teddy_client_state(&w->client), TEDDY_STATE_ONLINE);
    /* The same when the session just breaks. */
    server_text(w, "{\"type\":\"token_expiring\",\"expires_in\":120}");
    world_run(w, 6000);
    server_drop(w);
    world_run(w, 3000);
    assert_int_equal(w->refreshes, 2);
    assert_int_equal(w->claims, 1);
}

/* The port is still busy saving when the session breaks: the new pair is not presented before. */
static void a_save_in_session_may_take_its_time(void **state)
{
    (void)state;
    struct world *w = &world;
    for (unsigned ends = 0; ends < 2; ends++) {
        world_init(w);
        world_until(w, TEDDY_STATE_ONLINE, 1000);
        w->save_rc = TEDDY_AGAIN;
        server_text(w, "{\"type\":\"token_expiring\",\"expires_in\":120}");
        world_run(w, 1000);
        assert_int_equal(w->inband, 1);
        assert_int_equal(world_count(w, TEDDY_EVENT_REFRESHED), 0);
        server_drop(w);
        world_run(w, 5000);
        assert_int_equal(w->upgrades, 1);
        w->save_rc = ends == 0 ? TEDDY_OK : TEDDY_AGAIN;
        world_run(w, 40000);
        assert_int_equal(w->upgrades, 2);
        assert_int_equal(w->saves, ends == 0 ? 2 : 1);
        assert_int_equal(world_last(w, TEDDY_EVENT_REFRESHED)->err,
                         ends == 0 ? TEDDY_OK : TEDDY_ETIMEOUT);
        /* What is stored is spent, and what is not stored is gone with the session: pair anew. */
        assert_int_equal(w->claims, ends == 0 ? 1 : 2);
    }
}

static void tokens_that_were_not_asked_for_are_not_taken(void **state)
{
    (void)state;
    struct world *w = &world;
    server_text(w,
                "{\"type\":\"tokens\",\"access\":\"evil\",\"refresh\":\"evil\",\"expires_in\":1}");
    world_run(w, 100);
    assert_int_equal(w->saves, 1);
    assert_null(memmem(&w->client, sizeof w->client, "evil", 4));
}

#define TOKEN_150                                                                                  \
    "0123456789abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMNOPQRSTUVWXYZ.0123456789abcdefghijklmnop"   \
    "qrstuvwxyz-ABCDEFGHIJKLMNOPQRSTUVWXYZ.0123456789abcdefghijkl"

/* Bytes of it, as long as they say something. */
static bool in_buffer(const struct world *w, const char *token)
{
    for (size_t at = 0; at + 12 <= strlen(token); at++) {
        if (memmem(w->rx, w->rx_len, token + at, 12) != NULL) {
            return true;
        }
    }
    return false;
}

/* Whether they were asked for or not, and however they came: here half of them behind a message. */
static void no_token_stays_in_the_buffer(void **state)
{
    (void)state;
    struct world *w = &world;
    static const char reply[] = "{\"type\":\"reply\",\"seq\":1,\"text\":\"%0*d\",\"done\":true}";
    static const char tokens[] = "{\"type\":\"tokens\",\"access\":\"" TOKEN_150
                                 "\",\"refresh\":\"" TOKEN_150 "\",\"expires_in\":3600}";
    char before[600];
    w->plan.no_tokens = true;
    snprintf(before, sizeof before, reply, 250, 7);
    for (unsigned asked = 0; asked < 2; asked++) {
        if (asked == 1) {
            server_text(w, "{\"type\":\"token_expiring\",\"expires_in\":120}");
            world_run(w, 100);
            assert_int_equal(w->inband, 1);
        }
        server_text(w, before);
        server_text(w, tokens);
        w->piece = strlen(before) + strlen(tokens) - 40;
        world_step(w);
        world_run(w, 100);
        w->piece = 0;
        assert_int_equal(w->saves, 1 + asked);
        assert_false(in_buffer(w, TOKEN_150));
        assert_int_equal(teddy_client_state(&w->client), TEDDY_STATE_ONLINE);
    }
}

/* What is stored then is another pair, which was spent or revoked: the session ends with its own,
 * and the toy claims anew. */
static void a_pair_that_was_not_saved_lasts_for_one_session(void **state)
{
    (void)state;
    struct world *w = &world;
    w->save_rc = TEDDY_EIO;
    server_close(w, 1008, "token_revoked");
    world_until(w, TEDDY_STATE_WAITING, 100);
    world_until(w, TEDDY_STATE_ONLINE, 80000);
    assert_int_equal(w->claims, 2);
    assert_int_equal(world_last(w, TEDDY_EVENT_CLAIMED)->err, TEDDY_EIO);
    world_run(w, 3500 * 1000);
    server_text(w, "{\"type\":\"token_expiring\",\"expires_in\":100}");
    world_run(w, 90 * 1000);
    assert_int_equal(w->inband, 0);
    w->save_rc = TEDDY_OK;
    server_close(w, 1008, "token_expired");
    world_until(w, TEDDY_STATE_WAITING, 100);
    world_until(w, TEDDY_STATE_ONLINE, 80000);
    assert_int_equal(w->claims, 3);
    assert_int_equal(w->refreshes, 0);
}

static void bad_tokens_leave_the_old_pair_whole(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{\"type\":\"tokens\",\"access\":\"evil\",\"expires_in\":1}",
        "{\"type\":\"tokens\",\"access\":\"evil\",\"refresh\":\"\",\"expires_in\":1}",
        "{\"type\":\"tokens\",\"access\":\"ev il\",\"refresh\":\"evil\",\"expires_in\":1}",
        "{\"type\":\"tokens\",\"access\":\"evil\\r\\nX: y\",\"refresh\":\"evil\",\"expires_in\":1}",
        "{\"type\":\"tokens\",\"access\":\"evil\",\"refresh\":\"evil\",\"expires_in\":-1}",
        "{\"type\":\"tokens\",\"access\":\"evil\",\"refresh\":\"evil\"}",
        "{\"type\":\"tokens\",\"access\":7,\"refresh\":\"evil\",\"expires_in\":1}",
    };
    struct world *w = &world;
    w->plan.no_tokens = true;
    server_text(w, "{\"type\":\"token_expiring\",\"expires_in\":120}");
    world_run(w, 100);
    assert_int_equal(w->inband, 1);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        server_text(w, bad[i]);
        world_run(w, 10);
        assert_int_equal(w->saves, 1);
        assert_int_equal(teddy_client_state(&w->client), TEDDY_STATE_ONLINE);
    }
}

static void a_server_that_does_not_welcome_is_left(void **state)
{
    (void)state;
    struct world *w = &world;
    w->plan.mute = true;
    world_say(w, "said once");
    w->plan.no_echo = true;
    server_drop(w);
    world_until(w, TEDDY_STATE_WAITING, 100);
    world_until(w, TEDDY_STATE_CONNECTING, 2000);
    world_run(w, 100);
    server_text(w, "{\"type\":\"reply\",\"seq\":1,\"text\":\"early\",\"done\":true}");
    server_text(w, "{\"type\":\"error\",\"code\":\"bad_message\",\"detail\":\"that hello\"}");
    world_run(w, 100);
    assert_int_equal(teddy_client_state(&w->client), TEDDY_STATE_CONNECTING);
    assert_null(world_last(w, TEDDY_EVENT_REPLY));
    assert_int_equal(world_count(w, TEDDY_EVENT_ERROR), 1); /* so that somebody knows why */
    assert_string_equal(world_last(w, TEDDY_EVENT_ERROR)->code, "bad_message");
    assert_string_equal(world_last(w, TEDDY_EVENT_ERROR)->text, "that hello");
    assert_string_equal(world_last(w, TEDDY_EVENT_ERROR)->id, "");
    assert_int_equal(teddy_client_pending(&w->client), 1);
    world_until(w, TEDDY_STATE_WAITING, 16000);
    assert_int_equal(world_waiting(w)->err, TEDDY_ETIMEOUT);
    assert_int_equal(w->says, 0);
    w->plan.mute = false;
    world_until(w, TEDDY_STATE_ONLINE, 3000);
}

struct bad_frames {
    const char *bytes;
    size_t len;
    uint16_t close;
    int err;
};

#define BAD(bytes, close, err)                                                                     \
    {                                                                                              \
        bytes, sizeof bytes - 1, close, err                                                        \
    }

static void bad_frames_end_the_session_with_the_right_code(void **state)
{
    (void)state;
    static const struct bad_frames rows[] = {
        BAD("\x81\x83\x01\x02\x03\x04"
            "abc",
            1002, TEDDY_EPROTO), /* masked */
        BAD("\xc1\x01"
            "a",
            1002, TEDDY_EPROTO),             /* reserved bit */
        BAD("\x83\x00", 1002, TEDDY_EPROTO), /* reserved opcode */
        BAD("\x80\x01"
            "a",
            1002, TEDDY_EPROTO),                     /* continues nothing */
        BAD("\x09\x00", 1002, TEDDY_EPROTO),         /* fragmented ping */
        BAD("\x89\x7e\x00\x7e", 1002, TEDDY_EPROTO), /* long ping */
        BAD("\x81\x7e\x00\x05"
            "abcde",
            1002, TEDDY_EPROTO),                     /* longer form than needed */
        BAD("\x88\x01\x03", 1002, TEDDY_EPROTO),     /* half a close code */
        BAD("\x88\x02\x03\xed", 1002, TEDDY_EPROTO), /* 1005 on the wire */
        BAD("\x81\x02\xc3\x28", 1007, TEDDY_EUTF8),
        BAD("\x81\x01\xc3", 1007, TEDDY_EUTF8),
        BAD("\x81\x7e\x10\x00", 1009, TEDDY_ETOOBIG),
        BAD("\x82\x7f\x00\x00\x00\x01\x00\x00\x00\x00", 1009, TEDDY_ETOOBIG),
    };
    struct world *w = &world;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        world_init(w);
        world_until(w, TEDDY_STATE_ONLINE, 1000);
        w->toy_close = 0;
        server_bytes(w, rows[i].bytes, rows[i].len);
        world_until(w, TEDDY_STATE_WAITING, 3000);
        const struct seen *s = world_waiting(w);
        assert_int_equal(s->err, rows[i].err);
        assert_int_equal(s->close, rows[i].close);
        assert_int_equal(w->toy_close, rows[i].close);
        assert_in_range(s->wait_ms, 250, 1000);
        world_until(w, TEDDY_STATE_ONLINE, 2000);
    }
}

static void fragments_and_controls_between_them_are_one_message(void **state)
{
    (void)state;
    struct world *w = &world;
    static const char text[] =
        "{\"type\":\"reply\",\"seq\":3,\"text\":\"\\u00e4b\\\"c\\ud83e\\uddf8\",\"done\":false}";
    size_t len = sizeof text - 1;
    for (size_t cut = 0; cut <= len; cut++) {
        server_frame(w, WS_TEXT, false, text, cut);
        server_frame(w, WS_PING, true, "between", 7);
        server_frame(w, WS_CONTINUATION, true, text + cut, len - cut);
        server_frame(w, WS_TEXT, true, "{\"type\":\"later\"}", 16);
        world_run(w, 5);
        const struct seen *s = world_last(w, TEDDY_EVENT_REPLY);
        assert_string_equal(s->text, "\xc3\xa4"
                                     "b\"c\xf0\x9f\xa7\xb8");
        assert_int_equal(s->seq, 3);
        assert_false(s->done);
    }
    assert_int_equal(w->pongs, len + 1);
    assert_int_equal(world_count(w, TEDDY_EVENT_REPLY), len + 1);
    assert_int_equal(teddy_client_state(&w->client), TEDDY_STATE_ONLINE);
}

static void the_largest_message_fits_and_binary_is_ignored(void **state)
{
    (void)state;
    struct world *w = &world;
    static char big[4096];
    size_t len = w->rx_len - 160;
    memset(big, 'x', sizeof big);
    static const char head[] = "{\"type\":\"reply\",\"seq\":1,\"text\":\"";
    memcpy(big, head, sizeof head - 1);
    memcpy(big + len - 2, "\"}", 2);
    server_frame(w, WS_BINARY, true, big, 200);
    server_frame(w, WS_TEXT, true, big, len);
    server_frame(w, WS_PING, true, big, 125);
    world_run(w, 10);
    assert_int_equal(world_last(w, TEDDY_EVENT_REPLY)->text_len, len - (sizeof head - 1) - 2);
    assert_int_equal(teddy_client_state(&w->client), TEDDY_STATE_ONLINE);
    assert_int_equal(w->pongs, 1);
}

static void nonsense_in_messages_is_ignored(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "{",
        "{}",
        "{\"type\":7}",
        "{\"type\":\"\"}",
        "{\"type\":\"echo\"}",
        "{\"type\":\"welcome\",\"type\":\"echo\"}",
        "{\"type\":\"message\",\"id\":\"1.1\",\"text\":\"later\"}",
        "{\"type\":\"pong\",\"t\":1,\"time\":2}",
        "{\"type\":\"welcome\",\"heartbeat_s\":0}",
        "{\"type\":\"welcome\",\"heartbeat_s\":99999999}",
        "{\"type\":\"error\"}",
        "{\"type\":\"reply\",\"text\":\"a\\u0000b\"}",
        "[1]",
        "plain",
        "{\"type\":\"a_very_long_type_that_fits_no_buffer\"}",
    };
    struct world *w = &world;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        server_text(w, rows[i]);
        world_run(w, 10);
        assert_int_equal(teddy_client_state(&w->client), TEDDY_STATE_ONLINE);
    }
    world_run(w, 60000);
    world_say(w, "still here");
    world_run(w, 100);
    assert_string_equal(world_last(w, TEDDY_EVENT_ECHO)->text, "still here");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(pings_are_answered_and_silence_is_probed, online),
        cmocka_unit_test_setup(a_dead_peer_is_given_up, online),
        cmocka_unit_test_setup(a_peer_that_does_not_read_is_given_up, online),
        cmocka_unit_test_setup(what_is_not_read_wakes_nobody, online),
        cmocka_unit_test_setup(refreshes_in_session_at_four_fifths, online),
        cmocka_unit_test_setup(refreshes_when_told_but_not_in_a_loop, online),
        cmocka_unit_test_setup(an_unanswered_refresh_is_asked_over_http, online),
        cmocka_unit_test_setup(a_save_in_session_may_take_its_time, online),
        cmocka_unit_test_setup(tokens_that_were_not_asked_for_are_not_taken, online),
        cmocka_unit_test_setup(no_token_stays_in_the_buffer, online),
        cmocka_unit_test_setup(a_pair_that_was_not_saved_lasts_for_one_session, online),
        cmocka_unit_test_setup(bad_tokens_leave_the_old_pair_whole, online),
        cmocka_unit_test_setup(bad_frames_end_the_session_with_the_right_code, fresh),
        cmocka_unit_test_setup(a_server_that_does_not_welcome_is_left, online),
        cmocka_unit_test_setup(fragments_and_controls_between_them_are_one_message, online),
        cmocka_unit_test_setup(the_largest_message_fits_and_binary_is_ignored, online),
        cmocka_unit_test_setup(nonsense_in_messages_is_ignored, online),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
