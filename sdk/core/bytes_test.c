/* The same walk in every bad weather of a transport: byte by byte, AGAIN from every call, framings
 * of an answer, and an end at every single byte of what the server sends. */
#include <stdio.h>
#include <string.h>

#include "world.h"

static struct world world;

static void talk(struct world *w, uint64_t within_ms)
{
    world_until(w, TEDDY_STATE_ONLINE, within_ms);
    world_say(w, "how are you?");
    uint64_t until = w->now + within_ms;
    while (teddy_client_pending(&w->client) > 0 && w->now < until) {
        world_run(w, 10);
    }
    world_run(w, 10);
    assert_string_equal(world_last(w, TEDDY_EVENT_ECHO)->text, "how are you?");
    assert_string_equal(world_last(w, TEDDY_EVENT_REPLY)->text, "how are you?");
}

static void pieces_of_any_size(void **state)
{
    (void)state;
    struct world *w = &world;
    for (size_t piece = 1; piece < 40; piece++) {
        world_init(w);
        w->piece = piece;
        talk(w, 5000);
        assert_int_equal(w->claims, 1);
        assert_int_equal(w->upgrades, 1);
    }
}

static void again_from_every_call(void **state)
{
    (void)state;
    struct world *w = &world;
    for (unsigned again = 1; again < 4; again++) {
        for (size_t piece = 0; piece < 4; piece++) {
            world_init(w);
            w->again = again;
            w->piece = piece;
            talk(w, 30000);
            assert_int_equal(w->claims, 1);
            assert_int_equal(w->upgrades, 1);
            assert_int_equal(w->saves, 1);
        }
    }
}

static void every_framing_of_an_answer(void **state)
{
    (void)state;
    struct world *w = &world;
    for (unsigned way = 0; way < 8; way++) {
        world_init(w);
        w->plan.until_close = (way & 1) != 0;
        w->plan.interim = (way & 2) != 0;
        w->piece = (way & 4) != 0 ? 1 : 0;
        world_until(w, TEDDY_STATE_CONNECTING, 1000);
        assert_int_equal(w->claims, 1);
        w->plan = (struct plan){0};
        talk(w, 3000);
        assert_int_equal(w->claims, 1);
    }
}

static size_t cut_session_at;

/* The cut is of the session's connection: the claim's went well. */
static void cut_session(struct world *w, const struct teddy_event *e)
{
    if (e->type == TEDDY_EVENT_CONNECTED && strcmp(e->purpose, "session") == 0) {
        w->plan.cut_at = cut_session_at;
    }
}

static void recovers_from_cut(size_t claim_cut, size_t session_cut, bool stall)
{
    struct world *w = &world;
    world_init(w);
    w->plan.cut_at = claim_cut;
    w->plan.stall = stall;
    cut_session_at = session_cut;
    w->on_event = session_cut != 0 ? cut_session : NULL;
    world_say(w, "how are you?");
    world_until(w, TEDDY_STATE_WAITING, 200000);
    assert_int_equal(w->claims, 1);
    w->plan = (struct plan){0};
    w->on_event = NULL;
    world_until(w, TEDDY_STATE_ONLINE, 3000);
    world_run(w, 20000);
    /* What was answered was kept; what was not is done again; nothing is said under two ids. */
    assert_int_equal(w->claims, claim_cut != 0 ? 2 : 1);
    assert_int_equal(teddy_client_pending(&w->client), 0);
    assert_int_equal(world_count(w, TEDDY_EVENT_ECHO), 1);
    for (unsigned i = 1; i < w->says; i++) {
        /* Without a welcome the first session takes the server for an older one, which knows no
         * ids. */
        assert_true(w->said_ids[i - 1][0] == '\0' ||
                    strcmp(w->said_ids[i - 1], w->said_ids[i]) == 0);
    }
}

static void recovers_from_an_end_at_every_byte(void **state)
{
    (void)state;
    struct world *w = &world;
    world_init(w);
    talk(w, 1000);
    size_t claim = w->claim_len, session = w->total_out;
    assert_true(claim > 100 && session > 200);
    for (size_t cut = 1; cut < claim; cut++) {
        recovers_from_cut(cut, 0, false);
        recovers_from_cut(cut, 0, true);
    }
    for (size_t cut = 1; cut < session; cut++) {
        recovers_from_cut(0, cut, false);
        recovers_from_cut(0, cut, true);
    }
}

/* The power goes at every byte as well: what was presented was saved before, and the toy goes on
 * from it. */
static void recovers_from_a_reboot_at_every_byte(void **state)
{
    (void)state;
    struct world *w = &world;
    for (unsigned steps = 1; steps < 1500; steps += 3) {
        world_init(w);
        w->piece = 1;
        for (unsigned i = 0; i < steps; i++) {
            world_step(w);
            w->now += w->wait_ms == 0 || w->out_at < w->out_len ? 0 : 1;
        }
        unsigned claims = w->claims, saves = w->saves;
        world_reboot(w);
        w->piece = 0;
        world_until(w, TEDDY_STATE_ONLINE, 3000);
        assert_int_equal(w->claims, saves > 0 ? claims : claims + 1);
    }
}

static const char *const bad_answers[] = {
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"a\":1}",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
    "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n{}",
    "HTTP/1.1 200 OK\r\nContent-Length: 4294967297\r\n\r\n{}",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n{}",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\nContent-Length: 2\n\n{}",
    "HTTP/2 200\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n",
    "SSH-2.0-OpenSSH_9.2\r\n",
    "\r\n\r\n",
    "",
};

static void bad_answers_are_failures_that_back_off(void **state)
{
    (void)state;
    struct world *w = &world;
    for (unsigned goal = 0; goal < 2; goal++) {
        for (size_t i = 0; i < sizeof bad_answers / sizeof bad_answers[0]; i++) {
            world_init(w);
            if (goal == 1) {
                world_until(w, TEDDY_STATE_ONLINE, 1000);
                world_reboot(w);
            }
            w->plan.raw_answer = bad_answers[i];
            world_until(w, TEDDY_STATE_WAITING, 1000);
            const struct seen *s = world_waiting(w);
            assert_true(s->err < 0 || s->status == 200);
            w->plan.raw_answer = NULL;
            world_until(w, TEDDY_STATE_ONLINE, 80000);
        }
    }
}

static void answers_too_long_are_refused(void **state)
{
    (void)state;
    struct world *w = &world;
    static char answer[20000];
    static const char *const heads[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 15000\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: ", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3000\r\n"};
    for (size_t i = 0; i < 4; i++) {
        world_init(w);
        memset(answer, 'a', sizeof answer - 1);
        memcpy(answer, heads[i], strlen(heads[i]));
        w->plan.raw_answer = answer;
        world_until(w, TEDDY_STATE_WAITING, 1000);
        assert_int_equal(world_waiting(w)->err, TEDDY_ETOOBIG);
    }
    /* Of a refusal the status is enough, however long it talks. */
    world_init(w);
    snprintf(answer, 100, "HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 15000\r\n\r\n");
    answer[strlen(answer)] = 'a';
    w->plan.raw_answer = answer;
    world_until(w, TEDDY_STATE_WAITING, 1000);
    assert_int_equal(world_waiting(w)->status, 429);
    assert_int_equal(world_waiting(w)->wait_ms, 7000);
}

static void a_wrong_101_is_no_session(void **state)
{
    (void)state;
    struct world *w = &world;
    for (unsigned way = 1; way <= 5; way++) {
        world_init(w);
        w->plan.bad_upgrade = way;
        world_until(w, TEDDY_STATE_WAITING, 1000);
        assert_int_equal(world_waiting(w)->err, TEDDY_EPROTO);
        assert_int_equal(w->hellos, 0);
        w->plan.bad_upgrade = 0;
        world_until(w, TEDDY_STATE_ONLINE, 2000);
    }
}

static void interim_answers_alone_are_none(void **state)
{
    (void)state;
    struct world *w = &world;
    world_init(w);
    w->plan.stall = true;
    w->plan.raw_answer = bad_answers[13];
    world_until(w, TEDDY_STATE_WAITING, TEDDY_STEP_TIMEOUT_MS + 1000);
    assert_int_equal(world_waiting(w)->err, TEDDY_ETIMEOUT);
}

/* Frames that come in one piece with the 101. */
static void the_session_may_begin_with_the_answer(void **state)
{
    (void)state;
    struct world *w = &world;
    world_init(w);
    w->plan.raw_session =
        "\x81\x12{\"type\":\"welcome\"}\x81\x1f{\"type\":\"reply\",\"text\":\"early\"}\x89\x01!";
    w->plan.raw_session_len = 2 + 18 + 2 + 31 + 3;
    world_until(w, TEDDY_STATE_ONLINE, 1000);
    world_run(w, 10);
    assert_string_equal(world_last(w, TEDDY_EVENT_REPLY)->text, "early");
    assert_int_equal(w->pongs, 1);
}

static void then_the_real_server(struct world *w, const struct teddy_event *e)
{
    if (e->type == TEDDY_EVENT_CLAIMED) {
        w->plan.raw_answer = NULL;
    }
}

static void works_with_the_smallest_buffer_and_the_longest_tokens(void **state)
{
    (void)state;
    struct world *w = &world;
    static char answer[3000], token[701];
    memset(token, 'a', 700);
    snprintf(
        answer, sizeof answer,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %u\r\nCache-Control: "
        "no-store\r\nDate: Fri, 15 Jan 2027 08:00:00 GMT\r\n\r\n"
        "{\"access\":\"%s\",\"refresh\":\"%s\",\"token_type\":\"Bearer\",\"expires_in\":3600}and "
        "more than was announced",
        1400 + 66, token, token);
    world_init(w);
    w->rx_len = TEDDY_BUFFER_MIN;
    world_reboot(w);
    w->plan.raw_answer = answer;
    w->on_event = then_the_real_server;
    talk(w, 1000);
    assert_int_equal(w->claims, 0);
    assert_int_equal(w->upgrades, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_of_any_size),
        cmocka_unit_test(again_from_every_call),
        cmocka_unit_test(every_framing_of_an_answer),
        cmocka_unit_test(recovers_from_an_end_at_every_byte),
        cmocka_unit_test(recovers_from_a_reboot_at_every_byte),
        cmocka_unit_test(bad_answers_are_failures_that_back_off),
        cmocka_unit_test(answers_too_long_are_refused),
        cmocka_unit_test(a_wrong_101_is_no_session),
        cmocka_unit_test(interim_answers_alone_are_none),
        cmocka_unit_test(the_session_may_begin_with_the_answer),
        cmocka_unit_test(works_with_the_smallest_buffer_and_the_longest_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
