/* A server gone mad, or somebody in its place: random and mutated bytes at every point, seeded. The
 * toy must not crash, read or write outside, lose its way, or ask more often than it should. */
#include <stdio.h>
#include <string.h>

#include "world.h"

static struct world world;
static uint64_t seed;

static uint32_t dice(uint32_t sides)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % sides;
}

static void random_bytes_instead_of_an_answer(void **state)
{
    (void)state;
    struct world *w = &world;
    static char answer[512];
    for (unsigned i = 0; i < 3000; i++) {
        seed = i;
        size_t len = dice(sizeof answer - 1);
        for (size_t k = 0; k < len; k++) {
            answer[k] = (char)(1 + dice(255));
        }
        answer[len] = '\0';
        world_init(w);
        w->plan.raw_answer = answer;
        world_until(w, TEDDY_STATE_WAITING, 16000);
        w->plan.raw_answer = NULL;
        world_until(w, TEDDY_STATE_ONLINE, 80000);
    }
}

static void mutated_answers(void **state)
{
    (void)state;
    static const char good[] =
        "HTTP/1.1 200 OK\r\nDate: Fri, 15 Jan 2027 08:00:00 GMT\r\nContent-Type: "
        "application/json\r\n"
        "Content-Length: 76\r\n\r\n{\"access\":\"a.b.c\",\"refresh\":\"d.e.f\","
        "\"token_type\":\"Bearer\",\"expires_in\":3600}";
    static char answer[sizeof good];
    struct world *w = &world;
    unsigned taken = 0;
    for (unsigned i = 0; i < 6000; i++) {
        seed = i;
        memcpy(answer, good, sizeof good);
        for (uint32_t k = dice(4); i > 0 && k < 4; k++) {
            answer[dice(sizeof good - 1)] = (char)(1 + dice(255));
        }
        world_init(w);
        w->plan.raw_answer = answer;
        world_run(w, 100);
        taken += w->saves;
        assert_true(w->saves <= 1);
        assert_int_equal(w->connects, 1 + w->saves);
    }
    assert_true(taken > 100 && taken < 5000);
}

static void session_bytes(struct world *w, unsigned kind)
{
    static uint8_t bytes[600];
    size_t len = 1 + dice(sizeof bytes);
    for (size_t k = 0; k < len; k++) {
        bytes[k] = (uint8_t)dice(256);
    }
    if (kind == 0) {
        server_bytes(w, bytes, len);
        return;
    }
    static const uint8_t opcodes[] = {0, 1, 2, 8, 9, 10};
    static const char letters[] = "{}[]\",:\\u00truefalsn0123-. \ttypechoidxseqrplyko";
    for (size_t k = 0; k < len; k++) {
        bytes[k] = (uint8_t)letters[dice(sizeof letters - 1)];
    }
    server_frame(w, kind == 1 ? WS_TEXT : opcodes[dice(6)], dice(4) != 0, bytes,
                 kind == 2 ? dice(130) : len);
}

static void random_bytes_in_a_session(void **state)
{
    (void)state;
    struct world *w = &world;
    for (unsigned i = 0; i < 4000; i++) {
        seed = i + 77;
        world_init(w);
        w->rx_len = i % 2 == 0 ? TEDDY_BUFFER_MIN : sizeof w->rx;
        world_reboot(w);
        w->piece = i % 5;
        world_until(w, TEDDY_STATE_ONLINE, 3000);
        w->plan.no_echo = true;
        world_say(w, "hello?");
        for (unsigned k = 0; k < 20 && w->open && !w->gone; k++) {
            session_bytes(w, i % 3);
            world_run(w, 20);
        }
        assert_true(w->connects <= 3);
        w->plan.no_echo = false;
        server_drop(w);
        world_run(w, 100);
        world_until(w, TEDDY_STATE_ONLINE, 200000);
    }
}

static void mutated_messages(void **state)
{
    (void)state;
    static const char *const good[] = {
        "{\"type\":\"welcome\",\"session\":\"s\",\"heartbeat_s\":30,\"time\":1800000000,"
        "\"resumed\":true}",
        "{\"type\":\"echo\",\"seq\":1,\"id\":\"4711\",\"text\":\"a\\u00e4\\ud83e\\uddf8\\n\","
        "\"done\":true}",
        "{\"type\":\"reply\",\"seq\":1,\"id\":\"4711\",\"text\":\"\\\\\\\"\",\"done\":false}",
        "{\"type\":\"error\",\"seq\":2,\"code\":\"busy\",\"detail\":\"later\"}",
        "{\"type\":\"token_expiring\",\"expires_in\":120}",
        "{\"type\":\"tokens\",\"access\":\"a.b.c\",\"refresh\":\"d.e.f\",\"expires_in\":3600}",
    };
    struct world *w = &world;
    char text[200];
    world_init(w);
    world_until(w, TEDDY_STATE_ONLINE, 1000);
    for (unsigned i = 0; i < 60000; i++) {
        seed = i;
        if (teddy_client_state(&w->client) != TEDDY_STATE_ONLINE) {
            w->seen_count = 0;
            world_until(w, TEDDY_STATE_ONLINE, 200000);
        }
        snprintf(text, sizeof text, "%s", good[i % 6]);
        for (uint32_t k = 0; k <= dice(3); k++) {
            text[dice((uint32_t)strlen(text))] = (char)(0x20 + dice(0x5f));
        }
        server_text(w, text);
        world_step(w);
        w->now++;
    }
    assert_true(w->connects < 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_bytes_instead_of_an_answer),
        cmocka_unit_test(mutated_answers),
        cmocka_unit_test(random_bytes_in_a_session),
        cmocka_unit_test(mutated_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
