/* The outbox against a simple model of it: random says, reports, expiries, failures and times. */
#include <stdio.h>
#include <string.h>

#include "world.h"

#define OUTBOX_LEN 1500

#ifndef MODEL_ROUNDS /* fewer in an emulator */
#define MODEL_ROUNDS 30
#endif

static struct world world;

static struct teddy_outbox_state outbox(const struct world *w)
{
    struct teddy_outbox_state o;
    teddy_client_outbox(&w->client, &o);
    return o;
}

/* What must be in it, oldest first. */
struct kept {
    uint64_t id, expires_at; /* 0: never; id 0: a report */
    size_t len;
    char letter;
};

static struct kept model[256];
static unsigned held;
static uint64_t seed;
static unsigned model_events;

static uint32_t dice(uint32_t sides)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % sides;
}

static void model_remove(unsigned at)
{
    assert_true(at < held);
    memmove(&model[at], &model[at + 1], (held - at - 1) * sizeof model[0]);
    held--;
}

static unsigned model_find(const char *id)
{
    for (unsigned i = 0; i < held; i++) {
        char text[24];
        snprintf(text, sizeof text, "%llu", (unsigned long long)model[i].id);
        if (strcmp(text, id) == 0) {
            return i;
        }
    }
    fail_msg("%s is not in the outbox", id);
    return 0;
}

static size_t model_used(void)
{
    size_t used = 0;
    for (unsigned i = 0; i < held; i++) {
        used += model[i].len + TEDDY_OUTBOX_ENTRY;
    }
    return used;
}

static void model_event(struct world *w, const struct teddy_event *e)
{
    if (e->type == TEDDY_EVENT_ECHO) {
        unsigned at = model_find(e->id);
        assert_true(at == 0 || model[0].id == 0); /* in order; a report goes without a word */
        assert_int_equal(e->text[0], model[at].letter);
        model_remove(at);
    } else if (e->type == TEDDY_EVENT_DROPPED) {
        unsigned at = model_find(e->id);
        if (strcmp(e->code, "expired") == 0) {
            assert_true(model[at].expires_at != 0 && w->now >= model[at].expires_at);
        } else {
            assert_string_equal(e->code, "outbox_full");
            assert_true(at <= 2); /* the oldest, but for one on its way and a report */
        }
        model_remove(at);
    } else {
        return;
    }
    model_events++;
}

static void model_say(struct world *w)
{
    const struct teddy_say how = {dice(2) == 0 ? TEDDY_DROP_OLDEST : TEDDY_DROP_NEWEST,
                                  dice(3) == 0 ? 1 + dice(30000) : 0};
    char letter = (char)('a' + dice(26));
    size_t len = 1 + dice(dice(4) == 0 ? 700 : 60);
    size_t room = outbox(w).room;
    uint64_t id = 0;
    char text[1024];
    memset(text, letter, sizeof text);
    int rc = teddy_client_say(&w->client, text, len, &how, &id);
    if (len <= room) {
        assert_int_equal(rc, TEDDY_OK);
    } else if (how.when_full == TEDDY_DROP_NEWEST) {
        assert_int_equal(rc, TEDDY_EFULL);
    }
    if (rc == TEDDY_OK) {
        uint64_t at = how.expires_ms != 0 ? w->now + how.expires_ms : 0;
        model[held++] = (struct kept){id, at, len, letter};
    }
}

static void model_report(struct world *w)
{
    size_t room = outbox(w).room;
    int rc = teddy_client_report(&w->client, "{\"r\":1}", 7);
    assert_true(rc == TEDDY_OK || (rc == TEDDY_EFULL && room < 7));
}

/* What the model knows must be what the client says; of reports, only their number. */
static void model_check(const struct world *w)
{
    struct teddy_outbox_state o = outbox(w);
    size_t speech = teddy_client_pending(&w->client);
    assert_int_equal(speech, held);
    assert_int_equal(o.count, held);
    if (w->client.head_done) {
        return; /* echoed already, and still being said again */
    }
    size_t reports = w->client.outbox.count - speech;
    assert_in_range(reports, 0, 3);
    size_t used = model_used() + reports * (7 + TEDDY_OUTBOX_ENTRY);
    size_t left = OUTBOX_LEN - used;
    assert_int_equal(o.room, left > TEDDY_OUTBOX_ENTRY ? left - TEDDY_OUTBOX_ENTRY : 0);
    for (unsigned i = 0; i < held; i++) {
        /* What should be gone is still there only while its frame is being sent. */
        bool over = model[i].expires_at != 0 && w->now > model[i].expires_at + 20;
        assert_true(!over ||
                    (i == 0 && (teddy_client_wants(&w->client) & TEDDY_WANTS_WRITE) != 0) ||
                    w->client.hold != 0);
    }
}

static void shake(struct world *w)
{
    switch (dice(12)) {
    case 0:
        w->connect_rc = dice(2) == 0 ? TEDDY_EIO : TEDDY_OK;
        break;
    case 1:
        server_drop(w);
        break;
    case 2:
        w->plan.no_echo = dice(2) == 0;
        break;
    case 3:
        w->send_rc = dice(2) == 0 ? TEDDY_AGAIN : TEDDY_OK;
        break;
    case 4:
        w->piece = dice(2) == 0 ? 1 + dice(300) : 0;
        break;
    default:
        break;
    }
}

static void everything_together_against_a_model(void **state)
{
    (void)state;
    struct world *w = &world;
    model_events = 0;
    for (unsigned round = 0; round < MODEL_ROUNDS; round++) {
        seed = round;
        held = 0;
        world_init(w);
        assert_int_equal(teddy_client_init(&w->client, &w->config, &world_port, w, w->rx, w->rx_len,
                                           w->outbox, OUTBOX_LEN),
                         TEDDY_OK);
        w->on_event = model_event;
        for (unsigned i = 0; i < 300; i++) {
            w->seen_count = 0;
            for (uint32_t n = dice(4); n > 0; n--) {
                if (dice(6) == 0) {
                    model_report(w);
                } else {
                    model_say(w);
                }
            }
            shake(w);
            world_run(w, dice(2) == 0 ? dice(50) : dice(5000));
            model_check(w);
        }
        w->connect_rc = w->send_rc = TEDDY_OK;
        w->plan.no_echo = false;
        for (unsigned i = 0; i < 300 && outbox(w).count > 0; i++) {
            w->seen_count = 0;
            world_run(w, 1000);
        }
        assert_int_equal(held, 0);
        assert_int_equal(outbox(w).count, 0);
    }
    assert_true(model_events > 50 * MODEL_ROUNDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_together_against_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
