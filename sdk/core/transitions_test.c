/* Each state, and each thing that can happen in it: where that leads, how long it waits, and what
 * the toy asks for next when all is well again. What the statuses and close codes mean one by one
 * is in client_test.c; here each class of them stands once. */
#include <stdio.h>
#include <string.h>

#include "world.h"

#define HOUR_MS (3600u * 1000)
#define DAY_MS  (24u * HOUR_MS)

static struct world world;

enum thing {
    ENDS,    /* the transport */
    SILENCE, /* nothing comes any more */
    TRY,     /* the server is busy or restarts: 503, 1012 */
    PEOPLE,  /* only people can change it: 404, 4001 */
    DENIED,  /* the token is no good: 401, 1008 token_revoked */
    EXPIRED, /* 1008 token_expired */
    STOP,
    FORGET,
    TWO_HOURS, /* go by, in which the access token expires */
    DAYS,      /* go by at once: the chip slept */
    MONTHS,    /* more than half of 32 bits of milliseconds: ahead looks like behind */
    BACK,      /* the clock, by an hour */
};

enum goal { CLAIM, REFRESH, SESSION };

enum wait {
    NO_WAIT,
    SHORT, /* the first backoff */
    LONG,  /* a minute and up to a quarter more */
    ANY
};

struct row {
    enum teddy_state from;
    enum thing thing;
    enum teddy_state to;
    enum wait wait;
    enum goal next;
};

#define IDLE       TEDDY_STATE_IDLE
#define CLAIMING   TEDDY_STATE_CLAIMING
#define REFRESHING TEDDY_STATE_REFRESHING
#define CONNECTING TEDDY_STATE_CONNECTING
#define ONLINE     TEDDY_STATE_ONLINE
#define WAITING    TEDDY_STATE_WAITING

/* clang-format off */
static const struct row rows[] = {
    {IDLE,       STOP,      IDLE,       NO_WAIT, SESSION},
    {IDLE,       FORGET,    IDLE,       NO_WAIT, CLAIM},
    {IDLE,       TWO_HOURS, ONLINE,     NO_WAIT, SESSION}, /* what is stored is presented */
    {IDLE,       DAYS,      CONNECTING, NO_WAIT, SESSION},
    {IDLE,       MONTHS,    CONNECTING, NO_WAIT, SESSION},
    {IDLE,       BACK,      CONNECTING, NO_WAIT, SESSION},

    {CLAIMING,   ENDS,      WAITING,    SHORT,   CLAIM},
    {CLAIMING,   SILENCE,   WAITING,    SHORT,   CLAIM},
    {CLAIMING,   TRY,       WAITING,    SHORT,   CLAIM},
    {CLAIMING,   PEOPLE,    WAITING,    LONG,    CLAIM},
    {CLAIMING,   DENIED,    WAITING,    LONG,    CLAIM},
    {CLAIMING,   STOP,      IDLE,       NO_WAIT, CLAIM},
    {CLAIMING,   FORGET,    IDLE,       NO_WAIT, CLAIM},
    {CLAIMING,   DAYS,      WAITING,    SHORT,   CLAIM},
    {CLAIMING,   MONTHS,    WAITING,    SHORT,   CLAIM},
    {CLAIMING,   BACK,      CLAIMING,   NO_WAIT, CLAIM},

    {REFRESHING, ENDS,      WAITING,    SHORT,   REFRESH},
    {REFRESHING, SILENCE,   WAITING,    SHORT,   REFRESH},
    {REFRESHING, TRY,       WAITING,    SHORT,   REFRESH},
    {REFRESHING, PEOPLE,    WAITING,    LONG,    CLAIM},
    {REFRESHING, DENIED,    WAITING,    SHORT,   CLAIM},
    {REFRESHING, STOP,      IDLE,       NO_WAIT, REFRESH},
    {REFRESHING, FORGET,    IDLE,       NO_WAIT, CLAIM},
    {REFRESHING, DAYS,      WAITING,    SHORT,   REFRESH},
    {REFRESHING, MONTHS,    WAITING,    SHORT,   REFRESH},
    {REFRESHING, BACK,      REFRESHING, NO_WAIT, REFRESH},

    {CONNECTING, ENDS,      WAITING,    SHORT,   SESSION},
    {CONNECTING, SILENCE,   WAITING,    SHORT,   SESSION},
    {CONNECTING, TRY,       WAITING,    SHORT,   SESSION},
    {CONNECTING, PEOPLE,    WAITING,    LONG,    SESSION},
    {CONNECTING, DENIED,    WAITING,    SHORT,   REFRESH},
    {CONNECTING, STOP,      IDLE,       NO_WAIT, SESSION},
    {CONNECTING, FORGET,    IDLE,       NO_WAIT, CLAIM},
    {CONNECTING, DAYS,      WAITING,    SHORT,   REFRESH},
    {CONNECTING, MONTHS,    WAITING,    SHORT,   REFRESH},
    {CONNECTING, BACK,      CONNECTING, NO_WAIT, SESSION},

    {ONLINE,     ENDS,      WAITING,    SHORT,   SESSION},
    {ONLINE,     SILENCE,   WAITING,    SHORT,   SESSION},
    {ONLINE,     TRY,       WAITING,    SHORT,   SESSION},
    {ONLINE,     PEOPLE,    WAITING,    LONG,    SESSION},
    {ONLINE,     DENIED,    WAITING,    SHORT,   CLAIM},
    {ONLINE,     EXPIRED,   WAITING,    SHORT,   REFRESH},
    {ONLINE,     STOP,      IDLE,       NO_WAIT, SESSION},
    {ONLINE,     FORGET,    IDLE,       NO_WAIT, CLAIM},
    {ONLINE,     TWO_HOURS, ONLINE,     NO_WAIT, SESSION}, /* refreshed in session */
    {ONLINE,     DAYS,      WAITING,    SHORT,   REFRESH},
    {ONLINE,     MONTHS,    WAITING,    SHORT,   REFRESH},
    {ONLINE,     BACK,      ONLINE,     NO_WAIT, SESSION},

    {WAITING,    STOP,      IDLE,       NO_WAIT, SESSION},
    {WAITING,    FORGET,    IDLE,       NO_WAIT, CLAIM},
    {WAITING,    TWO_HOURS, WAITING,    ANY,     REFRESH}, /* no way to the server all the time */
    {WAITING,    DAYS,      REFRESHING, NO_WAIT, REFRESH},
    {WAITING,    MONTHS,    REFRESHING, NO_WAIT, REFRESH},
    {WAITING,    BACK,      WAITING,    NO_WAIT, SESSION},
};
/* clang-format on */

/* A toy in that state: in the middle of its exchange with the server, which does not answer. */
static void bring_to(struct world *w, enum teddy_state state)
{
    world_init(w);
    w->now = DAY_MS;
    if (state != CLAIMING) {
        world_until(w, ONLINE, 1000);
    }
    if (state == ONLINE) {
        return;
    }
    if (state == IDLE) {
        teddy_client_stop(&w->client);
        return;
    }
    if (state == WAITING) {
        w->connect_rc = TEDDY_EIO;
        server_close(w, WS_CLOSE_RESTART, "restart");
        world_until(w, WAITING, 1000);
        return;
    }
    if (state != CLAIMING) {
        bool expired = state == REFRESHING;
        server_close(w, expired ? WS_CLOSE_POLICY : WS_CLOSE_RESTART,
                     expired ? "token_expired" : "restart");
        world_until(w, WAITING, 1000);
    }
    w->plan.raw_answer = "";
    w->plan.stall = true;
    world_until(w, state, 2000);
    world_run(w, 10);
    w->client.attempts = 0; /* the waits of this row are the first ones */
}

static void answer(struct world *w, const char *status, uint16_t close, const char *reason)
{
    char text[64];
    if (teddy_client_state(&w->client) == ONLINE) {
        server_close(w, close, reason);
        return;
    }
    snprintf(text, sizeof text, "HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n", status);
    server_bytes(w, text, strlen(text));
}

static void time_goes_by(struct world *w, enum thing thing)
{
    if (thing == TWO_HOURS) {
        world_run(w, 2 * HOUR_MS);
        return;
    }
    w->connect_rc = thing == BACK ? w->connect_rc : TEDDY_AGAIN; /* to see what it tries */
    w->now += thing == DAYS ? 3ull * DAY_MS : thing == MONTHS ? 45ull * DAY_MS : 0;
    w->now -= thing == BACK ? HOUR_MS : 0;
    world_step(w);
}

static void happens(struct world *w, enum thing thing)
{
    switch (thing) {
    case ENDS:
        server_drop(w);
        break;
    case SILENCE:
        w->plan.no_pong = true;
        break;
    case TRY:
        answer(w, "503 Busy", WS_CLOSE_RESTART, "restart");
        break;
    case PEOPLE:
        answer(w, "404 Not Found", WS_CLOSE_REPLACED, "replaced");
        break;
    case DENIED:
        answer(w, "401 Unauthorized", WS_CLOSE_POLICY, "token_revoked");
        break;
    case EXPIRED:
        server_close(w, WS_CLOSE_POLICY, "token_expired");
        break;
    case STOP:
        teddy_client_stop(&w->client);
        break;
    case FORGET:
        assert_int_equal(teddy_client_forget(&w->client), TEDDY_OK);
        break;
    case TWO_HOURS:
    case DAYS:
    case MONTHS:
    case BACK:
        time_goes_by(w, thing);
        break;
    }
}

static void check_state(struct world *w, size_t i)
{
    const struct row *row = &rows[i];
    bool timed = row->thing == SILENCE;
    uint64_t from = w->now, by = timed ? 76000 : 100;
    while (teddy_client_state(&w->client) != row->to && w->now - from < by) {
        world_run(w, 1);
    }
    if (teddy_client_state(&w->client) != row->to) {
        fail_msg("row %zu: state %d", i, (int)teddy_client_state(&w->client));
    }
    if (timed) {
        uint32_t patience = row->from == ONLINE ? 75000 : 15000;
        assert_in_range(w->now - from, patience - 100, patience + 100);
    }
    if (row->wait == SHORT || row->wait == LONG) {
        const struct seen *s = world_waiting(w);
        assert_in_range(s->wait_ms, row->wait == SHORT ? 250 : 60000,
                        row->wait == SHORT ? 1000 : 75000);
    }
}

static const char *asked(const struct world *before, const struct world *after)
{
    if (after->claims > before->claims) {
        return "claim";
    }
    return after->refreshes > before->refreshes ? "refresh" : "session";
}

static void check_way_on(struct world *w, size_t i)
{
    static const char *const names[] = {"claim", "refresh", "session"};
    static struct world before;
    const struct row *row = &rows[i];
    w->plan = (struct plan){0};
    w->connect_rc = TEDDY_OK;
    w->now += row->thing == BACK ? HOUR_MS : 0; /* until then no time goes by */
    before = *w;
    world_until(w, ONLINE, row->wait == NO_WAIT || row->wait == SHORT ? 17000 : 80000);
    if (strcmp(asked(&before, w), names[row->next]) != 0) {
        fail_msg("row %zu: asked for a %s", i, asked(&before, w));
    }
    assert_int_equal(w->claims - before.claims, row->next == CLAIM);
    assert_int_equal(w->upgrades - before.upgrades, row->to != ONLINE && row->to != CONNECTING
                                                        ? 1
                                                        : w->upgrades - before.upgrades);
}

static void each_state_and_each_thing(void **state)
{
    (void)state;
    struct world *w = &world;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bring_to(w, rows[i].from);
        w->seen_count = 0;
        happens(w, rows[i].thing);
        check_state(w, i);
        check_way_on(w, i);
    }
}

/* The clock of a machine that was up for long, or that passes where 32 bits of it wrap. */
static void whatever_the_clock_begins_with(void **state)
{
    (void)state;
    static const uint64_t starts[] = {
        0, 1, 0x7fffff00, 0x80000000, 0x80000000u + 5 * DAY_MS, 0xffffff00, 0x100000000, 1ull << 45,
    };
    struct world *w = &world;
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        world_init(w);
        w->now = starts[i];
        world_until(w, ONLINE, 1000);
        world_run(w, 3 * HOUR_MS);
        if (w->inband != 3) { /* every 48 minutes */
            fail_msg("start %zu: %u refreshes", i, w->inband);
        }
        assert_int_equal(w->upgrades, 1);
        const struct teddy_say how = {TEDDY_DROP_NEWEST, 5000};
        w->plan.no_echo = true;
        assert_int_equal(teddy_client_say(&w->client, "x", 1, &how, NULL), TEDDY_OK);
        world_run(w, 6000);
        assert_int_equal(w->says, 1);
        assert_int_equal(world_count(w, TEDDY_EVENT_DROPPED), 1);
        server_drop(w);
        world_until(w, WAITING, 100);
        world_until(w, ONLINE, 1100);
    }
}

static void a_session_of_months(void **state)
{
    (void)state;
    struct world *w = &world;
    world_init(w);
    world_until(w, ONLINE, 1000);
    for (unsigned day = 0; day < 110; day++) {
        unsigned says = w->says, inband = w->inband;
        world_run(w, DAY_MS);
        world_say(w, "good morning");
        world_run(w, 100);
        assert_int_equal(w->says, says + 1);
        assert_in_range(w->inband - inband, 29, 31);
    }
    assert_int_equal(w->upgrades, 1);
    assert_int_equal(w->claims, 1);
    assert_int_equal(teddy_client_pending(&w->client), 0);
}

/* Off the network for longer than the clock's 32 bits, refused at first: nothing is forgotten. */
static void months_without_a_network(void **state)
{
    (void)state;
    struct world *w = &world;
    world_init(w);
    world_until(w, ONLINE, 1000);
    w->connect_rc = TEDDY_EIO;
    server_close(w, WS_CLOSE_REPLACED, "replaced");
    world_say(w, "still here");
    for (unsigned day = 0; day < 60; day++) {
        uint64_t steps = w->steps;
        world_run(w, DAY_MS);
        assert_true(w->steps - steps < 20000);
    }
    w->connect_rc = TEDDY_OK;
    world_until(w, ONLINE, 61000);
    assert_int_equal(w->refreshes, 1);
    assert_int_equal(w->claims, 1);
    world_run(w, 3 * HOUR_MS);
    assert_string_equal(w->said_text, "still here");
    assert_in_range(w->inband, 3, 4);
    assert_int_equal(teddy_client_pending(&w->client), 0);
}

/* A machine that slept: one step finds months gone. */
static void months_in_one_leap(void **state)
{
    (void)state;
    static const uint64_t leaps[] = {1ull << 31, 1ull << 32, (1ull << 32) + 1, 5ull << 32};
    struct world *w = &world;
    for (size_t i = 0; i < sizeof leaps / sizeof leaps[0]; i++) {
        world_init(w);
        world_until(w, ONLINE, 1000);
        w->connect_rc = TEDDY_EIO;
        server_drop(w);
        world_until(w, WAITING, 100);
        const struct teddy_say how = {TEDDY_DROP_NEWEST, (uint32_t)HOUR_MS};
        assert_int_equal(teddy_client_say(&w->client, "x", 1, &how, NULL), TEDDY_OK);
        world_step(w);
        w->now += leaps[i];
        world_run(w, 10);
        assert_int_equal(world_count(w, TEDDY_EVENT_DROPPED), 1);
        w->connect_rc = TEDDY_OK;
        world_until(w, ONLINE, 61000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_state_and_each_thing),
        cmocka_unit_test(whatever_the_clock_begins_with),
        cmocka_unit_test(months_in_one_leap),
        cmocka_unit_test(a_session_of_months),
        cmocka_unit_test(months_without_a_network),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
