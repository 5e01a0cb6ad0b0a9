/* The messages of the server's queue: offered, taken, kept, acked, in this order. What a power cut
 * between these does is in power_test.c. */
#include <stdio.h>
#include <string.h>

#include "world.h"

static struct world world;

static int fresh(void **state)
{
    (void)state;
    world_init(&world);
    return 0;
}

static int online(void **state)
{
    (void)state;
    world_init(&world);
    world_until(&world, TEDDY_STATE_ONLINE, 1000);
    return 0;
}

static void reconnect(struct world *w)
{
    server_drop(w);
    world_until(w, TEDDY_STATE_WAITING, 100);
    world_until(w, TEDDY_STATE_ONLINE, 80000);
}

static void check_taken(const struct world *w, unsigned n, const char *id, const char *text)
{
    assert_int_equal(w->taken, n);
    assert_string_equal(w->taken_id[(n - 1) % 64], id);
    assert_string_equal(w->taken_text[(n - 1) % 64], text);
}

struct form {
    const char *members, *text;
    bool is_data;
    uint64_t expires_s;
};

static void text_and_data_are_handed_on_as_they_are(void **state)
{
    (void)state;
    static const struct form forms[] = {
        {"\"text\":\"good night\"", "good night", false, 0},
        {"\"text\":\"\"", "", false, 0},
        {"\"text\":\"\\u00fc \\\"q\\\" \\n\"", "\xc3\xbc \"q\" \n", false, 0},
        {"\"text\":\"x\",\"expires\":1800000100", "x", false, 1800000100},
        {"\"expires\":4294967296,\"text\":\"y\"", "y", false, 4294967295u},
        {"\"text\":\"z\",\"expires\":-1", "z", false, 0},
        {"\"data\":{\"volume\":[1,{\"b\":null}]}", "{\"volume\":[1,{\"b\":null}]}", true, 0},
        {"\"data\":[1, 2 ]", "[1, 2 ]", true, 0},
        {"\"data\":\"s\\\"\\u0041\"", "\"s\\\"\\u0041\"", true, 0},
        {"\"data\":-12.5e3", "-12.5e3", true, 0},
        {"\"data\" : 7 ,\"expires\":5", "7", true, 5},
        {"\"data\":true", "true", true, 0},
        {"\"data\":null", "null", true, 0},
    };
    struct world *w = &world;
    for (unsigned i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        char id[32];
        snprintf(id, sizeof id, "1.%u", i + 1);
        server_queue(w, id, forms[i].members);
        world_run(w, 10);
        check_taken(w, i + 1, id, forms[i].text);
        assert_int_equal(w->taken_data[i % 64], forms[i].is_data);
        assert_true(w->taken_expires == forms[i].expires_s);
        assert_string_equal(w->acked, id);
    }
    assert_int_equal(w->acks, w->taken);
    assert_int_equal(w->lasts, w->taken);
}

static void the_largest_message_is_taken_and_nothing_of_it_stays(void **state)
{
    (void)state;
    struct world *w = &world;
    static char big[4096];
    static const char head[] = "{\"type\":\"message\",\"id\":\"1.1\",\"text\":\"";
    size_t len = w->rx_len - 160;
    memset(big, 's', sizeof big);
    memcpy(big, head, sizeof head - 1);
    memcpy(big + len - 2, "\"}", 2);
    server_frame(w, WS_TEXT, true, big, len);
    server_frame(w, WS_PING, true, "p", 1);
    world_run(w, 10);
    assert_int_equal(w->taken, 1);
    assert_int_equal(w->pongs, 1);
    assert_string_equal(w->acked, "1.1");
    assert_null(memmem(w->rx, sizeof w->rx, "ssss", 4));
    assert_null(memmem(&w->client, sizeof w->client, "ssss", 4));
}

static void in_pieces_and_with_a_slow_port(void **state)
{
    (void)state;
    struct world *w = &world;
    w->piece = 1;
    w->again = 2;
    server_queue(w, "1.1", "\"text\":\"one\"");
    server_queue(w, "1.2", "\"data\":[2]");
    world_until(w, TEDDY_STATE_ONLINE, 10000);
    world_run(w, 2000);
    check_taken(w, 2, "1.2", "[2]");
    assert_int_equal(w->queued, 0);
}

static void a_refused_message_is_offered_until_it_is_taken(void **state)
{
    (void)state;
    struct world *w = &world;
    w->refuses = true;
    server_queue(w, "1.1", "\"text\":\"wait\"");
    server_text(w, "{\"type\":\"reply\",\"seq\":1,\"text\":\"behind it\",\"done\":true}");
    world_run(w, 10);
    uint64_t steps = w->steps;
    size_t unread = w->out_len - w->out_at;
    world_say(w, "meanwhile");
    world_run(w, 9000);
    assert_in_range(w->offers, 45, 47);
    assert_true(w->steps - steps < 110);
    assert_false(teddy_client_wants(&w->client) & TEDDY_WANTS_READ);
    assert_int_equal(w->says, 1); /* what we have to say is said */
    assert_true(w->out_len - w->out_at >= unread);
    assert_int_equal(world_count(w, TEDDY_EVENT_REPLY) + world_count(w, TEDDY_EVENT_ECHO), 0);
    assert_int_equal(w->lasts + w->acks, 0);
    w->refuses = false;
    world_run(w, 210);
    check_taken(w, 1, "1.1", "wait");
    assert_int_equal(w->acks, 1);
    assert_true(teddy_client_wants(&w->client) & TEDDY_WANTS_READ);
    assert_int_equal(world_count(w, TEDDY_EVENT_REPLY), 2);
    assert_int_equal(world_count(w, TEDDY_EVENT_ECHO), 1);
    assert_int_equal(w->upgrades, 1);
}

/* Refused for longer than the server's patience: the session ends, and it comes again. */
static void a_message_refused_for_too_long_comes_again(void **state)
{
    (void)state;
    struct world *w = &world;
    w->refuses = true;
    server_queue(w, "1.1", "\"text\":\"later\"");
    world_run(w, 74000);
    assert_int_equal(teddy_client_state(&w->client), TEDDY_STATE_ONLINE);
    world_until(w, TEDDY_STATE_WAITING, 2000);
    assert_int_equal(world_waiting(w)->err, TEDDY_ETIMEOUT);
    world_until(w, TEDDY_STATE_ONLINE, 2000);
    assert_string_equal(w->last, "");
    unsigned offers = w->offers;
    world_run(w, 1000);
    assert_in_range(w->offers - offers, 4, 7);
    w->refuses = false;
    world_run(w, 210);
    check_taken(w, 1, "1.1", "later");
    assert_int_equal(w->queued, 0);
}

static void what_nobody_takes_stays_in_the_queue(void **state)
{
    (void)state;
    struct world *w = &world;
    teddy_client_on_message(&w->client, NULL);
    server_queue(w, "1.1", "\"text\":\"later\"");
    world_run(w, 10);
    assert_int_equal(w->taken + w->acks, 0);
    assert_int_equal(w->queued, 1);
    world_reboot(w);
    world_until(w, TEDDY_STATE_ONLINE, 1000);
    world_run(w, 10);
    check_taken(w, 1, "1.1", "later");
    assert_string_equal(w->acked, "1.1");
}

static void the_id_is_kept_before_the_ack_leaves(void **state)
{
    (void)state;
    struct world *w = &world;
    w->last_rc = TEDDY_AGAIN;
    server_queue(w, "1.1", "\"text\":\"kept\"");
    server_frame(w, WS_PING, true, "p", 1);
    world_run(w, 10);
    uint64_t steps = w->steps;
    world_run(w, 5000);
    assert_true(w->steps - steps <= 5000 / 20 + 10);
    assert_int_equal(w->taken, 1);
    assert_int_equal(w->acks + w->pongs, 0);
    assert_false(teddy_client_wants(&w->client) & TEDDY_WANTS_READ);
    w->last_rc = TEDDY_OK;
    world_run(w, 30);
    assert_int_equal(w->lasts, 1);
    assert_int_equal(w->acks, 1);
    assert_int_equal(w->pongs, 1);
    assert_int_equal(w->offers, 1);
}

static void the_ack_names_the_last_for_all_before(void **state)
{
    (void)state;
    struct world *w = &world;
    w->send_rc = TEDDY_AGAIN;
    server_queue(w, "1.1", "\"text\":\"one\"");
    server_queue(w, "1.2", "\"text\":\"two\"");
    server_queue(w, "1.3", "\"text\":\"three\"");
    world_run(w, 100);
    check_taken(w, 3, "1.3", "three");
    assert_string_equal(w->taken_text[0], "one");
    assert_string_equal(w->taken_text[1], "two");
    w->send_rc = TEDDY_OK;
    world_run(w, 10);
    assert_in_range(w->acks, 1, 2); /* one may have been on its way already */
    assert_string_equal(w->acked, "1.3");
    assert_int_equal(w->queued, 0);
}

static void what_comes_again_is_acked_but_not_offered(void **state)
{
    (void)state;
    static const struct {
        const char *id;
        bool newer;
    } rows[] = {
        {"2.9", true},  {"2.9", false},         {"2.8", false}, {"1.4000", false}, {"2.10", true},
        {"2.9", false}, {"2.11", true},         {"10.0", true}, {"2.12", false},   {"9.99", false},
        {"10.1", true}, {"4294967294.0", true}, {"0.0", false}, {"11.1", false},   {"10.1", false},
    };
    struct world *w = &world;
    const char *last = "";
    unsigned taken = 0, acks = 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[128];
        snprintf(text, sizeof text, "{\"type\":\"message\",\"id\":\"%s\",\"text\":\"m\"}",
                 rows[i].id);
        server_text(w, text);
        world_run(w, 10);
        taken += rows[i].newer;
        last = rows[i].newer ? rows[i].id : last;
        assert_int_equal(w->taken, taken);
        assert_int_equal(w->offers, taken);
        assert_int_equal(w->acks, ++acks);
        assert_string_equal(w->acked, last);
    }
    assert_int_equal(w->lasts, taken);
}

static void hello_tells_the_last_after_a_reconnect_and_a_reboot(void **state)
{
    (void)state;
    struct world *w = &world;
    assert_string_equal(w->last, "");
    server_queue(w, "3.7", "\"text\":\"m\"");
    world_run(w, 10);
    reconnect(w);
    assert_string_equal(w->last, "3.7");
    world_reboot(w);
    world_until(w, TEDDY_STATE_ONLINE, 1000);
    assert_string_equal(w->last, "3.7");
    server_text(w, "{\"type\":\"message\",\"id\":\"3.7\",\"text\":\"m\"}");
    world_run(w, 10);
    assert_int_equal(w->offers, 1);
    assert_int_equal(w->acks, 2);
    teddy_client_stop(&w->client);
    world_until(w, TEDDY_STATE_ONLINE, 1000);
    assert_string_equal(w->last, "3.7");
    assert_int_equal(teddy_client_forget(&w->client), TEDDY_OK);
    world_until(w, TEDDY_STATE_ONLINE, 1000);
    assert_string_equal(w->last, "");
}

static void a_failed_save_is_logged_and_acked(void **state)
{
    (void)state;
    struct world *w = &world;
    server_queue(w, "1.1", "\"text\":\"m\"");
    world_run(w, 10);
    w->last_rc = TEDDY_EIO;
    w->log[0] = '\0';
    server_queue(w, "1.2", "\"text\":\"m\"");
    world_run(w, 10);
    assert_int_equal(w->acks, 2);
    assert_non_null(strstr(w->log, "could not be saved"));
    reconnect(w);
    assert_string_equal(w->last, "1.2"); /* known until the power goes */
    world_reboot(w);
    world_until(w, TEDDY_STATE_ONLINE, 1000);
    assert_string_equal(w->last, "1.1");
    assert_int_equal(w->taken, 2);
}

static void a_save_that_never_ends_is_given_up_and_acked(void **state)
{
    (void)state;
    struct world *w = &world;
    w->last_rc = TEDDY_AGAIN;
    server_queue(w, "1.1", "\"text\":\"m\"");
    world_run(w, 14900);
    assert_int_equal(w->acks, 0);
    world_run(w, 200);
    assert_int_equal(w->acks, 1);
    assert_int_equal(w->taken, 1);
    assert_int_equal(w->upgrades, 1);
}

/* The session breaks while the flash is busy: the id is kept before the next one opens. */
static void an_unfinished_save_is_finished_between_sessions(void **state)
{
    (void)state;
    struct world *w = &world;
    for (unsigned ends = 0; ends < 2; ends++) {
        online(NULL);
        w->last_rc = TEDDY_AGAIN;
        server_queue(w, "1.1", "\"text\":\"m\"");
        world_run(w, 1000);
        server_drop(w);
        world_run(w, 500); /* nothing is read meanwhile, so that only silence or a say tells */
        world_say(w, "anybody?");
        w->send_rc = TEDDY_ECLOSED;
        world_until(w, TEDDY_STATE_WAITING, 100);
        w->send_rc = TEDDY_OK;
        world_run(w, 5000);
        assert_int_equal(w->upgrades, 1);
        assert_int_equal(w->lasts, 0);
        w->last_rc = ends == 0 ? TEDDY_OK : TEDDY_AGAIN;
        world_until(w, TEDDY_STATE_ONLINE, 20000);
        assert_int_equal(w->lasts, ends == 0);
        assert_string_equal(w->last, "1.1");
        world_run(w, 100);
        assert_int_equal(w->offers, 1);
    }
}

static void the_record_is_of_this_device_and_server_but_of_any_child(void **state)
{
    (void)state;
    struct world *w = &world;
    server_queue(w, "5.5", "\"text\":\"m\"");
    world_run(w, 10);
    static const struct {
        const char *device_id, *child_id, *server_url, *last;
    } rows[] = {
        {"Teddy-ESP32-0001", "child124", "https://teddy.example:8443", "5.5"},
        {"Teddy-ESP32-0002", "child123", "https://teddy.example:8443", ""},
        {"Teddy-ESP32-000", "1child123", "https://teddy.example:8443", ""},
        {"Teddy-ESP32-0001", "child123", "https://teddy2.example:8443", ""},
        {"Teddy-ESP32-0001", "child123", "https://teddy.example:8444", ""},
        {"Teddy-ESP32-0001", "child123", "https://teddy.example:8443", "5.5"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        w->config.device_id = rows[i].device_id;
        w->config.child_id = rows[i].child_id;
        w->config.server_url = rows[i].server_url;
        world_reboot(w);
        world_until(w, TEDDY_STATE_ONLINE, 1000);
        assert_string_equal(w->last, rows[i].last);
    }
    assert_int_equal(w->lasts, 1);
}

/* Any other length, version or owner, or an id that none can be: as if there were none. */
#define LAST_ID (TEDDY_LAST_LEN - 8)

static void a_damaged_record_is_not_believed(void **state)
{
    (void)state;
    struct world *w = &world;
    server_queue(w, "5.5", "\"text\":\"m\"");
    world_run(w, 10);
    uint8_t good[TEDDY_RECORD_MAX];
    size_t len = w->record_len[TEDDY_RECORD_LAST];
    memcpy(good, w->records[TEDDY_RECORD_LAST], sizeof good);
    assert_int_equal(len, TEDDY_LAST_LEN);
    for (size_t i = 0; i < LAST_ID + 4; i++) {
        uint8_t *record = w->records[TEDDY_RECORD_LAST];
        memcpy(record, good, sizeof good);
        w->record_len[TEDDY_RECORD_LAST] = i == LAST_ID + 2   ? len - 1
                                           : i == LAST_ID + 3 ? len + 1
                                                              : len;
        if (i < LAST_ID) {
            record[i] ^= 0x40;
        } else if (i < LAST_ID + 2) {
            memset(record + LAST_ID + 4 * (i - LAST_ID), 0xff, 4);
        }
        world_reboot(w);
        world_until(w, TEDDY_STATE_ONLINE, 1000);
        assert_string_equal(w->last, "");
    }
}

static void malformed_ids_are_neither_offered_nor_acked(void **state)
{
    (void)state;
    static const char *const ids[] = {
        "\"\"",
        "\"1\"",
        "\"1.\"",
        "\".1\"",
        "\"1.2.3\"",
        "\"01.2\"",
        "\"1.02\"",
        "\"-1.2\"",
        "\"1.2 \"",
        "\" 1.2\"",
        "\"a.b\"",
        "\"1099511627777.1\"",
        "\"1.1099511627777\"",
        "\"18446744073709551617.1\"",
        "\"1.2\\u0000\"",
        "\"+1.2\"",
        "1.2",
        "null",
        "{}",
        "\"1111111111111111111111111111111111111111111.2\"",
        "\"1e1.1\"",
        "\"0x1.1\"",
        "[\"1.2\"]",
        "\"..\"",
    };
    struct world *w = &world;
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        char text[160];
        snprintf(text, sizeof text, "{\"type\":\"message\",\"id\":%s,\"text\":\"m\"}", ids[i]);
        server_text(w, text);
    }
    server_text(w, "{\"type\":\"message\",\"text\":\"no id\"}");
    world_run(w, 10);
    assert_int_equal(w->offers + w->acks + w->lasts, 0);
    server_queue(w, "1.1", "\"text\":\"good\"");
    world_run(w, 10);
    check_taken(w, 1, "1.1", "good");
    assert_int_equal(teddy_client_state(&w->client), TEDDY_STATE_ONLINE);
}

/* One that is nothing but an id must not hold up the queue for ever: it is an empty one. */
static void a_message_without_text_is_an_empty_one(void **state)
{
    (void)state;
    static const char *const members[] = {"\"t\":0", "\"text\":7", "\"text\":\"a\\u0000b\"",
                                          "\"text\":null", "\"text\":{\"a\":1}"};
    struct world *w = &world;
    for (unsigned i = 0; i < sizeof members / sizeof members[0]; i++) {
        char id[32];
        snprintf(id, sizeof id, "1.%u", i + 1);
        server_queue(w, id, members[i]);
        world_run(w, 10);
        check_taken(w, i + 1, id, "");
        assert_false(w->taken_data[i]);
        assert_string_equal(w->acked, id);
    }
}

static void nothing_is_taken_before_the_welcome(void **state)
{
    (void)state;
    static const char early[] = "\x81\x28{\"type\":\"message\",\"id\":\"1.1\",\"text\":\"m\"}";
    struct world *w = &world;
    for (unsigned again = 0; again < 2; again++) {
        world_init(w);
        if (again == 1) {
            world_until(w, TEDDY_STATE_ONLINE, 1000);
            server_drop(w);
        }
        w->plan.mute = true;
        w->plan.raw_session = early;
        w->plan.raw_session_len = sizeof early - 1;
        world_run(w, 2000);
        assert_int_equal(w->upgrades, 1 + again);
        assert_int_equal(w->offers + w->acks, 0);
    }
}

static int keeps_the_first_alone(struct world *w, enum teddy_record record, const uint8_t *data,
                                 size_t len)
{
    (void)record, (void)data, (void)len;
    return w->taken == 1 ? TEDDY_OK : TEDDY_AGAIN;
}

static void an_ack_that_was_held_up_is_of_nothing_that_is_not_kept(void **state)
{
    (void)state;
    struct world *w = &world;
    w->send_rc = TEDDY_AGAIN;
    world_say(w, "in the way");
    world_step(w);
    w->on_save = keeps_the_first_alone;
    server_queue(w, "1.1", "\"text\":\"one\"");
    server_queue(w, "1.2", "\"text\":\"two\"");
    world_run(w, 100);
    assert_int_equal(w->taken, 2);
    w->send_rc = TEDDY_OK;
    world_run(w, 100);
    assert_string_not_equal(w->acked, "1.2");
    w->on_save = NULL;
    world_run(w, 100);
    assert_string_equal(w->acked, "1.2");
}

/* A refresh needs the buffer in which the message waits. */
static void a_refresh_waits_until_the_message_is_taken(void **state)
{
    (void)state;
    struct world *w = &world;
    w->refuses = true;
    server_text(w, "{\"type\":\"token_expiring\",\"expires_in\":120}");
    server_queue(w, "1.1", "\"text\":\"first\"");
    world_run(w, 3000);
    assert_true(w->inband <= 1);
    w->refuses = false;
    world_run(w, 1000);
    check_taken(w, 1, "1.1", "first");
    assert_int_equal(w->inband, 1);
    assert_int_equal(w->saves, 2);
    assert_int_equal(w->acks, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(text_and_data_are_handed_on_as_they_are, online),
        cmocka_unit_test_setup(the_largest_message_is_taken_and_nothing_of_it_stays, online),
        cmocka_unit_test_setup(in_pieces_and_with_a_slow_port, fresh),
        cmocka_unit_test_setup(a_refused_message_is_offered_until_it_is_taken, online),
        cmocka_unit_test_setup(a_message_refused_for_too_long_comes_again, online),
        cmocka_unit_test_setup(what_nobody_takes_stays_in_the_queue, online),
        cmocka_unit_test_setup(the_id_is_kept_before_the_ack_leaves, online),
        cmocka_unit_test_setup(the_ack_names_the_last_for_all_before, online),
        cmocka_unit_test_setup(an_ack_that_was_held_up_is_of_nothing_that_is_not_kept, online),
        cmocka_unit_test_setup(what_comes_again_is_acked_but_not_offered, online),
        cmocka_unit_test_setup(hello_tells_the_last_after_a_reconnect_and_a_reboot, online),
        cmocka_unit_test_setup(a_failed_save_is_logged_and_acked, online),
        cmocka_unit_test_setup(a_save_that_never_ends_is_given_up_and_acked, online),
        cmocka_unit_test_setup(an_unfinished_save_is_finished_between_sessions, fresh),
        cmocka_unit_test_setup(the_record_is_of_this_device_and_server_but_of_any_child, online),
        cmocka_unit_test_setup(a_damaged_record_is_not_believed, online),
        cmocka_unit_test_setup(malformed_ids_are_neither_offered_nor_acked, online),
        cmocka_unit_test_setup(a_message_without_text_is_an_empty_one, online),
        cmocka_unit_test_setup(nothing_is_taken_before_the_welcome, fresh),
        cmocka_unit_test_setup(a_refresh_waits_until_the_message_is_taken, online),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
