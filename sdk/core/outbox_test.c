/* The outbox's policies: what is refused, dropped or expires, and that the application is told; and
 * reports. All of it together: outbox_model_test.c. */
#include <stdio.h>
#include <string.h>

#include "proto/limits.h"
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

static const struct teddy_say oldest = {TEDDY_DROP_OLDEST, 0};
static char letters[4096];

/* Says len times the letter. */
static int say(struct world *w, char letter, size_t len, const struct teddy_say *how, uint64_t *id)
{
    memset(letters, letter, sizeof letters);
    return teddy_client_say(&w->client, letters, len, how, id);
}

static int say_for(struct world *w, const char *text, uint32_t expires_ms, uint64_t *id)
{
    const struct teddy_say how = {TEDDY_DROP_NEWEST, expires_ms};
    return teddy_client_say(&w->client, text, strlen(text), &how, id);
}

static struct teddy_outbox_state outbox(const struct world *w)
{
    struct teddy_outbox_state o;
    teddy_client_outbox(&w->client, &o);
    return o;
}

static bool was_dropped(const struct world *w, uint64_t id, const char *code)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)id);
    for (size_t i = 0; i < w->seen_count; i++) {
        const struct seen *s = &w->seen[i];
        if (s->type == TEDDY_EVENT_DROPPED && strcmp(s->id, text) == 0) {
            assert_string_equal(s->code, code);
            return true;
        }
    }
    return false;
}

static void the_figures_are_those_of_the_outbox(void **state)
{
    (void)state;
    struct world *w = &world;
    uint64_t first, second;
    size_t cap = sizeof w->outbox;
    struct teddy_outbox_state o = outbox(w);
    assert_int_equal(o.count, 0);
    assert_int_equal(o.room, LIMIT_UTTERANCE);
    assert_true(o.oldest_id == 0);
    assert_int_equal(say(w, 'a', 4000, NULL, &first), TEDDY_OK);
    assert_int_equal(say(w, 'b', 3000, NULL, &second), TEDDY_OK);
    o = outbox(w);
    assert_int_equal(o.count, 2);
    assert_true(o.oldest_id == first);
    assert_int_equal(o.room, cap - 7000 - 3 * TEDDY_OUTBOX_ENTRY);
    assert_int_equal(say(w, 'c', o.room + 1, NULL, NULL), TEDDY_EFULL);
    assert_int_equal(say(w, 'c', o.room, NULL, NULL), TEDDY_OK);
    assert_int_equal(outbox(w).room, 0);
    assert_int_equal(teddy_client_report(&w->client, "{\"a\":1}", 7), TEDDY_EFULL);
    assert_int_equal(teddy_client_pending(&w->client), 3);
    world_until(w, TEDDY_STATE_ONLINE, 1000);
    world_run(w, 100);
    assert_int_equal(outbox(w).count, 0);
    assert_int_equal(outbox(w).room, LIMIT_UTTERANCE);
}

static void the_newest_is_refused_and_room_is_told_once(void **state)
{
    (void)state;
    struct world *w = &world;
    w->plan.no_echo = true;
    assert_int_equal(say(w, 'a', 4096, NULL, NULL), TEDDY_OK);
    assert_int_equal(say(w, 'b', 1000, NULL, NULL), TEDDY_OK);
    assert_int_equal(say(w, 'c', 2000, NULL, NULL), TEDDY_OK);
    assert_int_equal(say(w, 'd', 3000, NULL, NULL), TEDDY_EFULL);
    world_run(w, 9000);
    assert_int_equal(world_count(w, TEDDY_EVENT_ROOM), 0);
    assert_int_equal(world_count(w, TEDDY_EVENT_DROPPED), 0);
    w->plan.no_echo = false;
    world_run(w, 2000); /* said again, and echoed */
    assert_int_equal(w->says, 4);
    assert_int_equal(world_count(w, TEDDY_EVENT_ROOM), 1);
    assert_int_equal(say(w, 'd', 3000, NULL, NULL), TEDDY_OK);
    world_run(w, 60000);
    assert_int_equal(world_count(w, TEDDY_EVENT_ROOM), 1);
}

/* Room for a smaller one is not room for what was refused. */
static void room_is_told_when_it_is_enough(void **state)
{
    (void)state;
    struct world *w = &world;
    w->connect_rc = TEDDY_EIO;
    uint64_t id;
    assert_int_equal(say(w, 'a', 4000, NULL, &id), TEDDY_OK);
    assert_int_equal(say_for(w, "short lived", 2000, NULL), TEDDY_OK);
    const struct teddy_say for_5_s = {TEDDY_DROP_NEWEST, 5000};
    assert_int_equal(say(w, 'b', 4000, &for_5_s, NULL), TEDDY_OK);
    assert_int_equal(say(w, 'c', 4000, NULL, NULL), TEDDY_EFULL);
    world_run(w, 3000);
    assert_int_equal(world_count(w, TEDDY_EVENT_DROPPED), 1);
    assert_int_equal(world_count(w, TEDDY_EVENT_ROOM), 0);
    world_run(w, 2100);
    assert_int_equal(world_count(w, TEDDY_EVENT_DROPPED), 2);
    assert_int_equal(world_count(w, TEDDY_EVENT_ROOM), 1);
    assert_int_equal(say(w, 'c', 4000, NULL, NULL), TEDDY_OK);
    assert_true(outbox(w).oldest_id == id);
}

static void the_oldest_make_room_in_order(void **state)
{
    (void)state;
    struct world *w = &world;
    uint64_t ids[5];
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(say(w, (char)('a' + i), 2000, NULL, &ids[i]), TEDDY_OK);
    }
    assert_int_equal(say(w, 'x', 3000, &oldest, &ids[4]), TEDDY_OK); /* needs two of them */
    assert_true(was_dropped(w, ids[0], "outbox_full"));
    assert_true(was_dropped(w, ids[1], "outbox_full"));
    assert_int_equal(world_count(w, TEDDY_EVENT_DROPPED), 2);
    assert_int_equal(outbox(w).count, 3);
    assert_true(outbox(w).oldest_id == ids[2]);
    assert_int_equal(say(w, 'y', 4096, &oldest, NULL), TEDDY_OK);
    world_until(w, TEDDY_STATE_ONLINE, 1000);
    world_run(w, 100);
    assert_int_equal(w->says, 2); /* x and y */
    assert_int_equal(w->said_text[0], 'y');
    assert_int_equal(world_count(w, TEDDY_EVENT_DROPPED), 4);
    assert_int_equal(world_count(w, TEDDY_EVENT_ROOM), 0);
}

static void never_the_one_on_its_way(void **state)
{
    (void)state;
    struct world *w = &world;
    uint64_t ids[3];
    w->plan.no_echo = true;
    assert_int_equal(say(w, 'a', 4000, NULL, &ids[0]), TEDDY_OK);
    world_run(w, 100);
    assert_int_equal(w->says, 1);
    assert_int_equal(say(w, 'b', 3000, NULL, &ids[1]), TEDDY_OK);
    assert_int_equal(say(w, 'c', 4000, &oldest, &ids[2]), TEDDY_OK);
    assert_false(was_dropped(w, ids[0], ""));
    assert_true(was_dropped(w, ids[1], "outbox_full"));
    /* Nor when a part of its frame left; but a session later it is not on its way any more. */
    w->plan.no_echo = false;
    server_drop(w);
    world_until(w, TEDDY_STATE_WAITING, 100);
    assert_int_equal(say(w, 'd', 4096, &oldest, NULL), TEDDY_OK);
    assert_true(was_dropped(w, ids[0], "outbox_full"));
    world_until(w, TEDDY_STATE_ONLINE, 2000);
    world_run(w, 100);
    assert_int_equal(w->says, 3);
    assert_int_equal(teddy_client_pending(&w->client), 0);
}

static void nor_when_half_of_its_frame_has_left(void **state)
{
    (void)state;
    struct world *w = &world;
    uint64_t id;
    assert_int_equal(say(w, 'a', 4000, NULL, &id), TEDDY_OK);
    w->piece = 300;
    w->again = 1;
    while ((teddy_client_wants(&w->client) & TEDDY_WANTS_WRITE) == 0) {
        world_step(w);
    }
    world_step(w);
    w->send_rc = TEDDY_AGAIN;
    assert_int_equal(say(w, 'b', 4000, &oldest, NULL), TEDDY_OK);
    assert_int_equal(say(w, 'c', 4000, &oldest, NULL), TEDDY_OK);
    assert_true(outbox(w).oldest_id == id);
    w->send_rc = TEDDY_OK;
    world_run(w, 1000);
    assert_int_equal(w->says, 2); /* the real server reads whole frames, or fails */
    assert_int_equal(w->said_text[0], 'c');
    assert_int_equal(teddy_client_pending(&w->client), 0);
}

static unsigned said_again;

static void say_again_when_dropped(struct world *w, const struct teddy_event *e)
{
    if (e->type == TEDDY_EVENT_DROPPED) {
        assert_true(++said_again < 100); /* or it would go on for ever */
        (void)!teddy_client_say(&w->client, "again and again", 15,
                                said_again % 2 == 0 ? &oldest : NULL, NULL);
    }
}

/* Allowed, and not wise: it ends all the same. */
static void says_from_within_a_drop_end(void **state)
{
    (void)state;
    struct world *w = &world;
    said_again = 0;
    assert_int_equal(teddy_client_init(&w->client, &w->config, &world_port, w, w->rx, w->rx_len,
                                       w->outbox, 10 * (15 + TEDDY_OUTBOX_ENTRY)),
                     TEDDY_OK);
    w->on_event = say_again_when_dropped;
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(say(w, 'a', 15, NULL, NULL), TEDDY_OK);
    }
    (void)!say(w, 'b', 40, &oldest, NULL);
    assert_in_range(said_again, 1, 12);
    said_again = 0;
    (void)!say(w, 'b', 200, &oldest, NULL);
    assert_in_range(said_again, 1, 24);
    assert_true(outbox(w).count <= 10);
}

/* When even all of them would not do, none goes. */
static void drops_that_would_not_be_enough_do_not_begin(void **state)
{
    (void)state;
    struct world *w = &world;
    uint64_t id;
    w->plan.no_echo = true;
    assert_int_equal(say(w, 'a', 4096, NULL, NULL), TEDDY_OK);
    world_run(w, 100);
    assert_int_equal(say(w, 'b', 3000, NULL, &id), TEDDY_OK);
    assert_int_equal(say(w, 'c', 4090, &oldest, NULL), TEDDY_EFULL);
    assert_int_equal(world_count(w, TEDDY_EVENT_DROPPED), 0);
    size_t most = sizeof w->outbox - 4096 - 2 * TEDDY_OUTBOX_ENTRY;
    assert_int_equal(say(w, 'c', most + 1, &oldest, NULL), TEDDY_EFULL);
    assert_int_equal(say(w, 'c', most, &oldest, NULL), TEDDY_OK);
    assert_true(was_dropped(w, id, "outbox_full"));
}

static void the_oldest_is_the_oldest_speech(void **state)
{
    (void)state;
    struct world *w = &world;
    uint64_t id;
    assert_int_equal(teddy_client_report(&w->client, "{\"a\":1}", 7), TEDDY_OK);
    assert_true(outbox(w).oldest_id == 0);
    assert_int_equal(say(w, 'a', 10, NULL, &id), TEDDY_OK);
    assert_true(outbox(w).oldest_id == id);
}

/* By the step that made it: nothing else may happen for half a minute. */
static void room_is_told_at_once(void **state)
{
    (void)state;
    struct world *w = &world;
    w->plan.no_echo = true;
    assert_int_equal(say(w, 'a', 4096, NULL, NULL), TEDDY_OK);
    assert_int_equal(say(w, 'b', 4000, NULL, NULL), TEDDY_OK);
    world_run(w, 100);
    assert_int_equal(say(w, 'c', 4000, NULL, NULL), TEDDY_EFULL);
    char echo[128];
    snprintf(echo, sizeof echo, "{\"type\":\"echo\",\"seq\":1,\"id\":\"%.23s\",\"text\":\"x\"}",
             w->said_ids[0]);
    server_text(w, echo);
    world_step(w);
    assert_int_equal(world_count(w, TEDDY_EVENT_ECHO), 1);
    assert_int_equal(world_count(w, TEDDY_EVENT_ROOM), 1);
}

static void what_never_fits_drops_nothing(void **state)
{
    (void)state;
    struct world *w = &world;
    assert_int_equal(teddy_client_init(&w->client, &w->config, &world_port, w, w->rx, w->rx_len,
                                       w->outbox, 1000),
                     TEDDY_OK);
    assert_int_equal(say(w, 'a', 500, NULL, NULL), TEDDY_OK);
    assert_int_equal(say(w, 'b', 1000 - TEDDY_OUTBOX_ENTRY + 1, &oldest, NULL), TEDDY_ETOOBIG);
    assert_int_equal(teddy_client_pending(&w->client), 1);
    assert_int_equal(say(w, 'c', 1000 - TEDDY_OUTBOX_ENTRY, &oldest, NULL), TEDDY_OK);
    assert_int_equal(teddy_client_pending(&w->client), 1);
    assert_int_equal(world_count(w, TEDDY_EVENT_DROPPED), 1);
}

static void expiry_is_timed_from_the_say(void **state)
{
    (void)state;
    struct world *w = &world;
    uint64_t early, late;
    w->connect_rc = TEDDY_EIO;
    world_run(w, 500);
    uint64_t from = w->now;
    assert_int_equal(say_for(w, "early", 4000, &early), TEDDY_OK);
    world_run(w, 1000);
    assert_int_equal(say_for(w, "late", 4000, &late), TEDDY_OK);
    world_run(w, from + 3990 - w->now);
    assert_int_equal(world_count(w, TEDDY_EVENT_DROPPED), 0);
    world_run(w, 20);
    assert_true(was_dropped(w, early, "expired"));
    assert_in_range(world_last(w, TEDDY_EVENT_DROPPED)->at, from + 4000, from + 4001);
    assert_true(outbox(w).oldest_id == late);
    world_run(w, 970);
    assert_int_equal(world_count(w, TEDDY_EVENT_DROPPED), 1);
    world_run(w, 1000);
    assert_true(was_dropped(w, late, "expired"));
    assert_in_range(world_last(w, TEDDY_EVENT_DROPPED)->at, from + 5000, from + 5021);
    w->connect_rc = TEDDY_OK;
    world_until(w, TEDDY_STATE_ONLINE, 60000);
    world_run(w, 100);
    assert_int_equal(w->says, 0);
}

/* Nobody has told the client the time yet: the first step counts. */
static void said_before_the_first_step(void **state)
{
    (void)state;
    struct world *w = &world;
    w->now = 50ull * 24 * 3600 * 1000; /* a machine that is up for long */
    w->connect_rc = TEDDY_EIO;
    assert_int_equal(say_for(w, "early", 1000, NULL), TEDDY_OK);
    world_run(w, 900);
    assert_int_equal(world_count(w, TEDDY_EVENT_DROPPED), 0);
    world_run(w, 200);
    assert_int_equal(world_count(w, TEDDY_EVENT_DROPPED), 1);
}

static void some_expire_in_hours_offline_and_some_never(void **state)
{
    (void)state;
    struct world *w = &world;
    uint64_t ids[4];
    w->connect_rc = TEDDY_EDNS;
    assert_int_equal(say_for(w, "never", 0, &ids[0]), TEDDY_OK);
    assert_int_equal(say_for(w, "three hours", 3 * 3600 * 1000, &ids[1]), TEDDY_OK);
    assert_int_equal(say_for(w, "a minute", 60 * 1000, &ids[2]), TEDDY_OK);
    assert_int_equal(say_for(w, "longest", UINT32_MAX, &ids[3]), TEDDY_OK);
    world_run(w, 3600 * 1000);
    w->seen_count = 0;
    world_run(w, 2 * 3600 * 1000 - 10000);
    assert_false(was_dropped(w, ids[1], ""));
    w->seen_count = 0;
    world_run(w, 20000);
    assert_true(was_dropped(w, ids[1], "expired"));
    assert_int_equal(teddy_client_pending(&w->client), 2);
    w->connect_rc = TEDDY_OK;
    world_until(w, TEDDY_STATE_ONLINE, 61000);
    world_run(w, 100);
    assert_int_equal(w->says, 2);
    assert_string_equal(w->said_text, "longest");
}

static void the_one_in_flight_expires_too(void **state)
{
    (void)state;
    struct world *w = &world;
    uint64_t id;
    char echo[128];
    w->plan.no_echo = true;
    assert_int_equal(say_for(w, "in flight", 3000, &id), TEDDY_OK);
    world_say(w, "next");
    world_run(w, 2900);
    assert_int_equal(w->says, 1);
    world_run(w, 200);
    assert_true(was_dropped(w, id, "expired"));
    assert_int_equal(w->says, 2);
    assert_string_equal(w->said_text, "next");
    /* Its echo, late, is nobody's. */
    snprintf(echo, sizeof echo, "{\"type\":\"echo\",\"seq\":1,\"id\":\"%.23s\",\"text\":\"x\"}",
             w->said_ids[0]);
    server_text(w, echo);
    world_run(w, 100);
    assert_int_equal(world_count(w, TEDDY_EVENT_ECHO), 0);
    assert_int_equal(teddy_client_pending(&w->client), 1);
}

/* The frame is finished all the same, or the server would lose its place. */
static void expiry_in_the_middle_of_a_frame(void **state)
{
    (void)state;
    struct world *w = &world;
    uint64_t id;
    const struct teddy_say how = {TEDDY_DROP_NEWEST, 1000};
    w->plan.no_echo = true;
    assert_int_equal(say(w, 'a', 4000, &how, &id), TEDDY_OK);
    world_say(w, "next");
    w->piece = 300;
    w->again = 1;
    while (w->frames < 2) { /* hello, and the head of this one */
        world_step(w);
    }
    w->send_rc = TEDDY_AGAIN;
    world_run(w, 2000);
    assert_int_equal(w->says, 0);
    w->send_rc = TEDDY_OK;
    uint64_t from = w->now;
    world_run(w, 200);
    assert_true(was_dropped(w, id, "expired"));
    assert_in_range(world_last(w, TEDDY_EVENT_DROPPED)->at, from, from + 100);
    world_run(w, 100);
    assert_int_equal(w->says, 2);
    assert_string_equal(w->said_text, "next");
}

static void dropped_is_told_of_speech_alone(void **state)
{
    (void)state;
    struct world *w = &world;
    assert_int_equal(teddy_client_report(&w->client, "{\"a\":1}", 7), TEDDY_OK);
    assert_int_equal(say(w, 'a', 4096, &oldest, NULL), TEDDY_OK);
    assert_int_equal(say(w, 'b', 4030, &oldest, NULL), TEDDY_OK); /* the report made room */
    assert_int_equal(outbox(w).count, 2);
    assert_int_equal(world_count(w, TEDDY_EVENT_DROPPED), 0);
}

static void a_report_is_sent_once_with_its_type_first(void **state)
{
    (void)state;
    struct world *w = &world;
    world_say(w, "before");
    assert_int_equal(teddy_client_report(&w->client, "{\"heap\":81234,\"rssi\":-61}", 25),
                     TEDDY_OK);
    world_say(w, "after");
    assert_int_equal(w->client.outbox.count, 3);
    assert_int_equal(teddy_client_pending(&w->client), 2);
    world_until(w, TEDDY_STATE_ONLINE, 1000);
    world_run(w, 1000);
    assert_int_equal(w->telemetry, 1);
    assert_string_equal(w->report, "{\"type\":\"telemetry\",\"heap\":81234,\"rssi\":-61}");
    assert_int_equal(w->says, 2);
    assert_int_equal(w->client.outbox.count, 0);
    server_drop(w);
    world_until(w, TEDDY_STATE_WAITING, 100);
    world_run(w, 3600 * 1000);
    assert_int_equal(w->telemetry, 1);
}

static void a_report_that_waits_is_replaced(void **state)
{
    (void)state;
    struct world *w = &world;
    world_say(w, "first");
    assert_int_equal(teddy_client_report(&w->client, "{\"n\":1}", 7), TEDDY_OK);
    assert_int_equal(teddy_client_report(&w->client, "{\"n\":22}", 8), TEDDY_OK);
    world_say(w, "second");
    assert_int_equal(teddy_client_report(&w->client, "{\"n\":333}", 9), TEDDY_OK);
    assert_int_equal(w->client.outbox.count, 3);
    world_until(w, TEDDY_STATE_ONLINE, 1000);
    world_run(w, 100);
    assert_int_equal(w->telemetry, 1);
    assert_string_equal(w->report, "{\"type\":\"telemetry\",\"n\":333}");
    assert_int_equal(w->says, 2);
}

/* A report whose frame has begun and is not whole yet. */
static void begin_a_report(struct world *w)
{
    char big[TEDDY_REPORT_MAX + 2] = "{\"a\":\"";
    memset(big + 6, 'z', 200);
    memcpy(big + 206, "\"}", 3);
    w->piece = 50;
    w->again = 1;
    unsigned frames = w->frames;
    assert_int_equal(teddy_client_report(&w->client, big, 208), TEDDY_OK);
    while (w->frames == frames) {
        world_step(w);
    }
}

/* The one whose frame has begun stays as it is; a bad one replaces nothing. */
static void a_report_on_its_way_is_not_replaced(void **state)
{
    (void)state;
    struct world *w = &world;
    begin_a_report(w);
    assert_int_equal(teddy_client_report(&w->client, "{", 1), TEDDY_EPROTO);
    assert_int_equal(teddy_client_report(&w->client, "{\"n\":2}", 7), TEDDY_OK);
    assert_int_equal(w->client.outbox.count, 2);
    while (w->telemetry == 0) {
        world_step(w);
    }
    assert_non_null(strstr(w->report, "zzz"));
    world_run(w, 100);
    assert_int_equal(w->telemetry, 2);
    assert_string_equal(w->report, "{\"type\":\"telemetry\",\"n\":2}");
}

static void a_report_that_ends_the_session_is_not_sent_again(void **state)
{
    (void)state;
    struct world *w = &world;
    begin_a_report(w);
    server_close(w, 1009, "too_big");
    world_until(w, TEDDY_STATE_WAITING, 1000);
    assert_int_equal(w->client.outbox.count, 0);
}

static void bad_reports_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "{}",
        "[1]",
        "7",
        "\"a\"",
        "{\"a\":1",
        "{\"a\":}",
        "{a:1}",
        "null",
        " {\"a\":1}",
        "{\"a\":1}{}",
        "{\"type\":\"hello\"}",
        "{\"a\":1,\"a\":2}",
        "{\"a\":\"\xff\"}",
        "{\"a\":1,\"t\\u0079pe\":2}",
    };
    struct world *w = &world;
    char big[TEDDY_REPORT_MAX + 2];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(teddy_client_report(&w->client, bad[i], strlen(bad[i])), TEDDY_EPROTO);
    }
    memset(big, ' ', sizeof big);
    memcpy(big, "{\"a\":1", 6);
    big[TEDDY_REPORT_MAX - 1] = big[TEDDY_REPORT_MAX] = '}';
    assert_int_equal(teddy_client_report(&w->client, big, TEDDY_REPORT_MAX + 1), TEDDY_ETOOBIG);
    assert_int_equal(w->client.outbox.count, 0);
    assert_int_equal(teddy_client_report(&w->client, big, TEDDY_REPORT_MAX), TEDDY_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_figures_are_those_of_the_outbox, fresh),
        cmocka_unit_test_setup(the_newest_is_refused_and_room_is_told_once, online),
        cmocka_unit_test_setup(room_is_told_when_it_is_enough, fresh),
        cmocka_unit_test_setup(the_oldest_make_room_in_order, fresh),
        cmocka_unit_test_setup(never_the_one_on_its_way, online),
        cmocka_unit_test_setup(nor_when_half_of_its_frame_has_left, online),
        cmocka_unit_test_setup(says_from_within_a_drop_end, fresh),
        cmocka_unit_test_setup(drops_that_would_not_be_enough_do_not_begin, online),
        cmocka_unit_test_setup(the_oldest_is_the_oldest_speech, fresh),
        cmocka_unit_test_setup(room_is_told_at_once, online),
        cmocka_unit_test_setup(what_never_fits_drops_nothing, fresh),
        cmocka_unit_test_setup(expiry_is_timed_from_the_say, fresh),
        cmocka_unit_test_setup(said_before_the_first_step, fresh),
        cmocka_unit_test_setup(some_expire_in_hours_offline_and_some_never, fresh),
        cmocka_unit_test_setup(the_one_in_flight_expires_too, online),
        cmocka_unit_test_setup(expiry_in_the_middle_of_a_frame, fresh),
        cmocka_unit_test_setup(dropped_is_told_of_speech_alone, fresh),
        cmocka_unit_test_setup(a_report_is_sent_once_with_its_type_first, fresh),
        cmocka_unit_test_setup(a_report_that_waits_is_replaced, fresh),
        cmocka_unit_test_setup(a_report_on_its_way_is_not_replaced, online),
        cmocka_unit_test_setup(a_report_that_ends_the_session_is_not_sent_again, online),
        cmocka_unit_test_setup(bad_reports_are_refused, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
