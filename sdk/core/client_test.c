/* The walk: each failure of each step, where it leads, and what is kept or dropped on the way. */
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

static void starts_with_nothing_and_talks(void **state)
{
    (void)state;
    struct world *w = &world;
    assert_int_equal(teddy_client_state(&w->client), TEDDY_STATE_IDLE);
    world_say(w, "hello there");
    world_until(w, TEDDY_STATE_ONLINE, 1000);
    world_run(w, 100);
    assert_int_equal(w->claims, 1);
    assert_int_equal(w->upgrades, 1);
    assert_int_equal(w->saves, 1);
    assert_int_equal(w->connects, 2);
    assert_int_equal(teddy_client_pending(&w->client), 0);
    const struct seen *echo = world_last(w, TEDDY_EVENT_ECHO);
    assert_string_equal(echo->text, "hello there");
    assert_int_equal(echo->seq, 1);
    assert_string_equal(echo->id, w->said_ids[0]);
    const struct seen *reply = world_last(w, TEDDY_EVENT_REPLY);
    assert_string_equal(reply->text, "hello there");
    assert_true(reply->done);
    const struct seen *claimed = world_last(w, TEDDY_EVENT_CLAIMED);
    assert_int_equal(claimed->expires_in, 3600);
    assert_int_equal(claimed->err, TEDDY_OK);
}

static void shows_each_state_once_on_the_way(void **state)
{
    (void)state;
    static const enum teddy_state way[] = {TEDDY_STATE_CLAIMING, TEDDY_STATE_CONNECTING,
                                           TEDDY_STATE_ONLINE};
    struct world *w = &world;
    size_t at = 0;
    world_until(w, TEDDY_STATE_ONLINE, 1000);
    for (size_t i = 0; i < w->seen_count; i++) {
        if (w->seen[i].type == TEDDY_EVENT_STATE) {
            assert_true(at < 3);
            assert_int_equal(w->seen[i].state, way[at++]);
        }
    }
    assert_int_equal(at, 3);
    assert_int_equal(world_count(w, TEDDY_EVENT_CONNECTED), 2);
    assert_string_equal(world_last(w, TEDDY_EVENT_CONNECTED)->purpose, "session");
}

static void presents_what_it_has_after_a_reboot(void **state)
{
    (void)state;
    struct world *w = &world;
    world_until(w, TEDDY_STATE_ONLINE, 1000);
    world_reboot(w);
    world_until(w, TEDDY_STATE_ONLINE, 1000);
    assert_int_equal(w->claims, 1);
    assert_int_equal(w->upgrades, 2);
    assert_int_equal(w->refreshes, 0);
}

static void claims_anew_when_the_record_is_anothers(void **state)
{
    (void)state;
    struct world *w = &world;
    world_until(w, TEDDY_STATE_ONLINE, 1000);
    w->config.child_id = "child12";
    world_reboot(w);
    world_until(w, TEDDY_STATE_ONLINE, 1000);
    assert_int_equal(w->claims, 2);
    w->load_rc = TEDDY_EAUTH;
    world_reboot(w);
    world_until(w, TEDDY_STATE_ONLINE, 1000);
    assert_int_equal(w->claims, 3);
    w->load_rc = TEDDY_EIO;
    world_reboot(w);
    world_until(w, TEDDY_STATE_ONLINE, 1000);
    assert_int_equal(w->claims, 4);
}

/* A corrupted record, any byte of it, cut anywhere: never trusted half, never a crash. */
static void survives_a_corrupted_record(void **state)
{
    (void)state;
    struct world *w = &world;
    uint8_t good[TEDDY_RECORD_MAX];
    world_until(w, TEDDY_STATE_ONLINE, 1000);
    size_t len = w->record_len[0], prefix = 5;
    memcpy(good, w->records[0], len);
    for (size_t cut = 1; cut < len; cut++) {
        unsigned claims = w->claims;
        w->record_len[0] = cut;
        world_reboot(w);
        world_until(w, TEDDY_STATE_ONLINE, 1000);
        assert_int_equal(w->claims, claims + 1);
        memcpy(w->records[0], good, len);
    }
    w->records[0][len] = 'x';
    w->record_len[0] = len + 1;
    world_reboot(w);
    unsigned before = w->claims;
    world_until(w, TEDDY_STATE_ONLINE, 1000);
    assert_int_equal(w->claims, before + 1);
    for (size_t i = 0; i < prefix; i++) {
        unsigned claims = w->claims;
        memcpy(w->records[0], good, len);
        w->record_len[0] = len;
        w->records[0][i] ^= 1;
        world_reboot(w);
        world_until(w, TEDDY_STATE_ONLINE, 1000);
        assert_int_equal(w->claims, claims + 1);
    }
}

enum goal { CLAIM, REFRESH, SESSION };

struct answer_row {
    enum goal goal; /* which exchange gets this answer */
    int status;
    const char *fields;
    uint32_t min_ms, max_ms; /* of the first wait */
    enum goal next;
};

/* The transitions over HTTP. min 250 and max 1000: the first backoff; 60000 to 75000: refused. */
static const struct answer_row answers[] = {
    {CLAIM, 400, "", 60000, 75000, CLAIM},
    {CLAIM, 401, "", 60000, 75000, CLAIM},
    {CLAIM, 403, "", 60000, 75000, CLAIM},
    {CLAIM, 404, "", 60000, 75000, CLAIM},
    {CLAIM, 405, "Allow: POST\r\n", 60000, 75000, CLAIM},
    {CLAIM, 409, "", 250, 1000, CLAIM},
    {CLAIM, 413, "", 60000, 75000, CLAIM},
    {CLAIM, 415, "", 60000, 75000, CLAIM},
    {CLAIM, 422, "", 60000, 75000, CLAIM},
    {CLAIM, 429, "", 250, 1000, CLAIM},
    {CLAIM, 429, "Retry-After: 17\r\n", 17000, 17000, CLAIM},
    {CLAIM, 429, "Retry-After: Fri, 31 Dec 2027 23:59:59 GMT\r\n", 250, 1000, CLAIM},
    {CLAIM, 429, "Retry-After: -1\r\n", 250, 1000, CLAIM},
    {CLAIM, 429, "Retry-After: 99999999999\r\n", 86400000, 86400000, CLAIM},
    {CLAIM, 500, "", 250, 1000, CLAIM},
    {CLAIM, 503, "Retry-After: 5\r\n", 5000, 5000, CLAIM},
    {CLAIM, 301, "Location: https://elsewhere.example/\r\n", 60000, 75000, CLAIM},
    {CLAIM, 204, "", 60000, 75000, CLAIM},
    {REFRESH, 401, "", 250, 1000, CLAIM},
    {REFRESH, 400, "", 60000, 75000, CLAIM},
    {REFRESH, 403, "", 60000, 75000, REFRESH},
    {REFRESH, 404, "", 60000, 75000, CLAIM},
    {REFRESH, 422, "", 60000, 75000, CLAIM},
    {REFRESH, 429, "Retry-After: 30\r\n", 30000, 30000, REFRESH},
    {REFRESH, 500, "", 250, 1000, REFRESH},
    {REFRESH, 503, "Retry-After: 3\r\n", 3000, 3000, REFRESH},
    {SESSION, 400, "", 60000, 75000, SESSION},
    {SESSION, 401, "", 250, 1000, REFRESH},
    {SESSION, 403, "", 60000, 75000, REFRESH},
    {SESSION, 404, "", 60000, 75000, SESSION},
    {SESSION, 426, "Sec-WebSocket-Version: 13\r\n", 60000, 75000, SESSION},
    {SESSION, 429, "Retry-After: 9\r\n", 9000, 9000, SESSION},
    {SESSION, 503, "Retry-After: 2\r\n", 2000, 2000, SESSION},
    {SESSION, 200, "", 60000, 75000, SESSION},
};

/* Brings a fresh toy to where its next exchange is of that goal. */
static void bring_to(struct world *w, enum goal goal)
{
    world_init(w);
    if (goal == CLAIM) {
        return;
    }
    world_until(w, TEDDY_STATE_ONLINE, 1000);
    if (goal == REFRESH) {
        w->plan.close_code = WS_CLOSE_POLICY;
        server_close(w, WS_CLOSE_POLICY, "token_expired");
    } else {
        server_close(w, WS_CLOSE_RESTART, "restart");
    }
    world_until(w, TEDDY_STATE_WAITING, 1000);
    w->plan = (struct plan){0};
}

static const char *check_next(const struct world *before, const struct world *after)
{
    if (after->claims > before->claims) {
        return "claim";
    }
    if (after->refreshes > before->refreshes) {
        return "refresh";
    }
    return after->upgrades > before->upgrades ? "session" : "nothing";
}

static void check_way_on(struct world *w, enum goal next, uint32_t wait_ms)
{
    static const char *const names[] = {"claim", "refresh", "session"};
    static struct world before;
    before = *w;
    w->plan = (struct plan){0};
    unsigned connects = w->connects;
    world_run(w, wait_ms > 2 ? wait_ms - 2 : 0);
    assert_int_equal(w->connects, connects);
    while (w->connects == connects) {
        world_run(w, 1);
    }
    world_until(w, TEDDY_STATE_ONLINE, 100);
    assert_string_equal(check_next(&before, w), names[next]);
    assert_int_equal(w->claims - before.claims, next == CLAIM);
}

/* Runs to the very moment of the next failure. */
static const struct seen *next_wait(struct world *w)
{
    size_t before = w->seen_count;
    for (unsigned i = 0; i < 5000; i++) {
        world_step(w);
        for (; before < w->seen_count; before++) {
            const struct seen *s = &w->seen[before];
            if (s->type == TEDDY_EVENT_STATE && s->state == TEDDY_STATE_WAITING) {
                return s;
            }
        }
        w->now++;
    }
    fail_msg("nothing failed");
    return NULL;
}

static void http_answers_lead_where_the_table_says(void **state)
{
    (void)state;
    struct world *w = &world;
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        const struct answer_row *row = &answers[i];
        bring_to(w, row->goal);
        /* The backoff before this exchange counts too: start from none. */
        w->client.attempts = 0;
        w->plan.fields = row->fields;
        w->plan.problem = "some_code";
        *(row->goal == CLAIM     ? &w->plan.claim_status
          : row->goal == REFRESH ? &w->plan.refresh_status
                                 : &w->plan.upgrade_status) = row->status;
        const struct seen *s = next_wait(w);
        if (s->status != row->status || s->wait_ms < row->min_ms || s->wait_ms > row->max_ms) {
            fail_msg("row %zu: status %d, wait %u", i, s->status, s->wait_ms);
        }
        assert_int_equal(s->err, TEDDY_OK);
        if (row->status != 204) {
            assert_string_equal(s->code, "some_code");
        }
        check_way_on(w, row->next, s->wait_ms);
    }
}

struct close_row {
    uint16_t code;
    const char *reason;
    uint32_t min_ms, max_ms;
    enum goal next;
    const char *word;
};

static const struct close_row closes[] = {
    {1008, "token_expired", 250, 1000, REFRESH, "token_expired"},
    {1008, "bad_token", 250, 1000, CLAIM, "bad_token"},
    {1008, "token_revoked", 250, 1000, CLAIM, "token_revoked"},
    {1008, "no_token", 250, 1000, CLAIM, "no_token"},
    {1008, "superseded", 60000, 75000, CLAIM, "superseded"},
    {1008, "wrong_device", 60000, 75000, CLAIM, "wrong_device"},
    {1008, "device_disabled", 60000, 75000, SESSION, "device_disabled"},
    {1008, "rate_limited", 250, 1000, SESSION, "rate_limited"},
    {1008, "rate_limited retry_ms=45678", 45678, 45678, SESSION, "rate_limited"},
    {1008, "Who are you?", 60000, 75000, REFRESH, "Who"},
    {1008, "(no", 60000, 75000, REFRESH, ""},
    {1008, "", 60000, 75000, REFRESH, ""},
    {1011, "internal", 250, 1000, SESSION, "internal"},
    {1001, "going_away retry_ms=20001", 20001, 20001, SESSION, "going_away"},
    {1012, "restart retry_ms=1500", 1500, 1500, SESSION, "restart"},
    {1012, "restart retry_ms=1", 250, 1000, SESSION, "restart"},
    {1012, "restart", 250, 1000, SESSION, "restart"},
    {1013, "overload retry_ms=30000", 30000, 30000, SESSION, "overload"},
    {1013, "overload retry_ms=4294967295", 86400000, 86400000, REFRESH, "overload"},
    {4001, "replaced", 60000, 75000, SESSION, "replaced"},
    {1000, "", 250, 1000, SESSION, ""},
    {1002, "protocol", 250, 1000, SESSION, "protocol"},
    {1003, "unsupported", 250, 1000, SESSION, "unsupported"},
    {1007, "invalid_utf8", 250, 1000, SESSION, "invalid_utf8"},
    {1009, "too_big", 250, 1000, SESSION, "too_big"},
    {4999, "whatever", 250, 1000, SESSION, "whatever"},
    {1005, NULL, 250, 1000, SESSION, ""},
};

static void closes_lead_where_the_table_says(void **state)
{
    (void)state;
    struct world *w = &world;
    for (size_t i = 0; i < sizeof closes / sizeof closes[0]; i++) {
        const struct close_row *row = &closes[i];
        world_init(w);
        world_until(w, TEDDY_STATE_ONLINE, 1000);
        server_close(w, row->code, row->reason);
        world_until(w, TEDDY_STATE_WAITING, 100);
        const struct seen *s = world_waiting(w);
        if (s->close != row->code || s->wait_ms < row->min_ms || s->wait_ms > row->max_ms) {
            fail_msg("row %zu: close %d, wait %u", i, s->close, s->wait_ms);
        }
        assert_string_equal(s->code, row->word);
        assert_int_equal(s->err, TEDDY_OK);
        assert_int_equal(s->status, 0);
        check_way_on(w, row->next, s->wait_ms);
    }
}

struct break_row {
    int *rc;
    int value;
};

static void transport_failures_back_off_and_try_the_same_again(void **state)
{
    (void)state;
    struct world *w = &world;
    const struct break_row rows[] = {
        {&w->resolve_rc, TEDDY_EDNS},  {&w->connect_rc, TEDDY_EIO},    {&w->connect_rc, TEDDY_ETLS},
        {&w->connect_rc, TEDDY_ECERT}, {&w->connect_rc, TEDDY_ECLOCK}, {&w->send_rc, TEDDY_ECLOSED},
        {&w->send_rc, TEDDY_EIO},      {&w->hmac_rc, TEDDY_EIO},       {&w->sha1_rc, TEDDY_EIO},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        world_init(w);
        *rows[i].rc = rows[i].value;
        world_until(w, TEDDY_STATE_WAITING, 1000);
        const struct seen *s = world_waiting(w);
        assert_int_equal(s->err, rows[i].value);
        assert_int_equal(s->status, 0);
        assert_int_equal(s->close, 0);
        assert_in_range(s->wait_ms, 250, 1000);
        assert_false(w->open);
        *rows[i].rc = TEDDY_OK;
        world_until(w, TEDDY_STATE_ONLINE, 2000);
        assert_int_equal(w->claims, 1);
    }
}

static void every_stage_has_a_timeout(void **state)
{
    (void)state;
    struct world *w = &world;
    const struct break_row rows[] = {
        {&w->load_rc, TEDDY_AGAIN},    {&w->hmac_rc, TEDDY_AGAIN}, {&w->resolve_rc, TEDDY_AGAIN},
        {&w->connect_rc, TEDDY_AGAIN}, {&w->send_rc, TEDDY_AGAIN}, {&w->sha1_rc, TEDDY_AGAIN},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        world_init(w);
        *rows[i].rc = rows[i].value;
        world_until(w, TEDDY_STATE_WAITING, 16000);
        assert_in_range(w->now, 1000 + 15000, 1000 + 15100);
        assert_int_equal(world_waiting(w)->err, TEDDY_ETIMEOUT);
        *rows[i].rc = TEDDY_OK;
        world_until(w, TEDDY_STATE_ONLINE, 2000);
    }
    /* The answer that never comes, to each of the two exchanges. */
    for (unsigned claims = 0; claims < 2; claims++) {
        world_init(w);
        if (claims == 1) {
            w->on_event = NULL;
            world_until(w, TEDDY_STATE_CONNECTING, 1000);
        }
        w->plan.raw_answer = "HTTP/1.1 1";
        w->plan.stall = true;
        uint64_t from = w->now;
        world_until(w, claims == 0 ? TEDDY_STATE_WAITING : TEDDY_STATE_ONLINE, 16000);
        if (claims == 0) {
            assert_in_range(w->now - from, 15000, 15100);
            assert_int_equal(world_waiting(w)->err, TEDDY_ETIMEOUT);
        }
    }
}

static void a_failed_save_is_reported_and_survived(void **state)
{
    (void)state;
    struct world *w = &world;
    w->save_rc = TEDDY_EIO;
    world_until(w, TEDDY_STATE_ONLINE, 1000);
    assert_int_equal(world_last(w, TEDDY_EVENT_CLAIMED)->err, TEDDY_EIO);
    world_init(w);
    w->save_rc = TEDDY_AGAIN; /* and one that never ends */
    world_run(w, 5000);
    assert_int_equal(w->connects, 1);
    assert_false(w->open); /* nothing but the time wakes the caller meanwhile */
    world_until(w, TEDDY_STATE_ONLINE, 16000);
    assert_int_equal(world_last(w, TEDDY_EVENT_CLAIMED)->err, TEDDY_ETIMEOUT);
}

static void a_known_expiry_is_refreshed_before_connecting(void **state)
{
    (void)state;
    struct world *w = &world;
    w->plan.expires_in = 600;
    w->plan.no_tokens = true;
    world_until(w, TEDDY_STATE_ONLINE, 1000);
    w->connect_rc = TEDDY_EIO;
    server_drop(w);
    world_run(w, 700 * 1000);
    w->connect_rc = TEDDY_OK;
    world_until(w, TEDDY_STATE_ONLINE, 100000);
    assert_int_equal(w->refreshes, 1);
    assert_int_equal(w->claims, 1);
    assert_int_equal(world_last(w, TEDDY_EVENT_REFRESHED)->expires_in, 600);
    assert_int_equal(w->saves, 2);
}

/* The answer with the successor is lost: the same spent token is presented until the server
 * answers. */
static void a_lost_refresh_answer_is_asked_for_again(void **state)
{
    (void)state;
    struct world *w = &world;
    char spent[64];
    bring_to(w, REFRESH);
    memcpy(spent, w->refresh, sizeof spent);
    w->plan.cut_at = 60;
    world_run(w, 8000);
    assert_true(w->refreshes >= 2);
    assert_string_equal(w->spent, spent);
    assert_int_equal(w->claims, 1);
    w->plan.cut_at = 0;
    world_until(w, TEDDY_STATE_ONLINE, 60000);
    assert_string_equal(w->spent, spent);
    assert_int_equal(w->claims, 1);
}

static void notices_a_wrong_clock(void **state)
{
    (void)state;
    struct world *w = &world;
    world_until(w, TEDDY_STATE_ONLINE, 1000);
    assert_int_equal(world_count(w, TEDDY_EVENT_CLOCK), 0);
    assert_int_equal(w->told, 1800000000);
    world_init(w);
    w->wall = 1800000000 - 86400;
    w->plan.time = 1800000007;
    world_until(w, TEDDY_STATE_ONLINE, 1000);
    assert_int_equal(world_count(w, TEDDY_EVENT_CLOCK), 1);
    assert_int_equal(world_last(w, TEDDY_EVENT_CLOCK)->skew_s, -86407);
    assert_int_equal(w->told, 1800000007);
}

static void stop_forgets_secrets_and_a_step_starts_over(void **state)
{
    (void)state;
    struct world *w = &world;
    world_until(w, TEDDY_STATE_ONLINE, 1000);
    server_text(w, "{\"type\":\"reply\",\"seq\":1,\"text\":\"a private answer\",\"done\":true}");
    world_run(w, 10);
    assert_non_null(memmem(w->rx, sizeof w->rx, "private", 7));
    world_say(w, "kept");
    /* No token is in memory but while it is used. */
    assert_null(memmem(w->rx, sizeof w->rx, "access.1", 8));
    assert_null(memmem(w->rx, sizeof w->rx, "refresh.1", 9));
    teddy_client_stop(&w->client);
    assert_int_equal(w->toy_close, 1000);
    assert_int_equal(teddy_client_state(&w->client), TEDDY_STATE_IDLE);
    assert_null(memmem(&w->client, sizeof w->client, "access.1", 8));
    assert_null(memmem(&w->client, sizeof w->client, "refresh.1", 9));
    assert_null(memmem(w->rx, sizeof w->rx, "access.1", 8));
    assert_null(memmem(w->rx, sizeof w->rx, "private", 7));
    assert_false(w->open);
    world_until(w, TEDDY_STATE_ONLINE, 1000);
    world_run(w, 10);
    assert_int_equal(w->claims, 1);
    assert_int_equal(w->says, 1);
    assert_int_equal(teddy_client_forget(&w->client), TEDDY_OK);
    assert_int_equal(w->record_len[0], 0);
    world_until(w, TEDDY_STATE_ONLINE, 1000);
    assert_int_equal(w->claims, 2);
}

static void nothing_after_the_close(struct world *w, enum world_call call)
{
    assert_false(call == ON_SEND && w->toy_close != 0);
}

static void stop_says_nothing_after_its_close_frame(void **state)
{
    (void)state;
    static const char report[] = "{\"heap\":1}";
    struct world *w = &world;
    world_until(w, TEDDY_STATE_ONLINE, 1000);
    assert_int_equal(teddy_client_report(&w->client, report, sizeof report - 1), TEDDY_OK);
    w->on_call = nothing_after_the_close;
    teddy_client_stop(&w->client);
    assert_int_equal(w->toy_close, 1000);
    w->on_call = NULL;
    world_until(w, TEDDY_STATE_ONLINE, 1000);
    world_run(w, 10);
    assert_int_equal(w->telemetry, 1);
}

/* What the last connection came to is no verdict on the next, which never began. */
static void a_store_that_is_busy_is_no_refusal(void **state)
{
    (void)state;
    struct world *w = &world;
    world_until(w, TEDDY_STATE_ONLINE, 1000);
    w->plan.upgrade_status = 401;
    server_drop(w);
    while (world_count(w, TEDDY_EVENT_STATE) == 0 ||
           world_last(w, TEDDY_EVENT_STATE)->status != 401) {
        world_run(w, 100);
    }
    w->plan.upgrade_status = 0;
    w->load_rcs[TEDDY_RECORD_TOKENS] = TEDDY_AGAIN;
    world_run(w, 30000);
    const struct seen *e = world_waiting(w);
    assert_int_equal(e->err, TEDDY_ETIMEOUT);
    assert_int_equal(e->status, 0);
    w->load_rcs[TEDDY_RECORD_TOKENS] = TEDDY_OK;
    world_until(w, TEDDY_STATE_ONLINE, 60000);
    assert_int_equal(w->claims, 1);
}

static void an_utterance_after_a_month_of_silence(void **state)
{
    (void)state;
    struct world *w = &world;
    w->plan.heartbeat_s = 3600;
    w->plan.expires_in = 100000000;
    world_until(w, TEDDY_STATE_ONLINE, 1000);
    world_run(w, UINT64_C(30) * 86400 * 1000);
    assert_int_equal(w->upgrades, 1);
    world_say(w, "good morning");
    world_run(w, 1000);
    assert_int_equal(world_count(w, TEDDY_EVENT_ECHO), 1);
}

static void stop_on_event(struct world *w, const struct teddy_event *e)
{
    if (e->type == TEDDY_EVENT_ECHO) {
        teddy_client_stop(&w->client);
        assert_int_equal(teddy_client_state(&w->client), TEDDY_STATE_IDLE);
    }
}

static void stop_works_from_within_an_event(void **state)
{
    (void)state;
    struct world *w = &world;
    w->on_event = stop_on_event;
    world_say(w, "once");
    while (world_count(w, TEDDY_EVENT_ECHO) == 0) {
        world_step(w);
        w->now++;
    }
    assert_int_equal(teddy_client_state(&w->client), TEDDY_STATE_IDLE);
    assert_int_equal(w->wait_ms, UINT32_MAX);
    assert_int_equal(w->toy_close, 1000);
    assert_int_equal(world_count(w, TEDDY_EVENT_REPLY), 0);
    assert_false(w->open);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(starts_with_nothing_and_talks, fresh),
        cmocka_unit_test_setup(shows_each_state_once_on_the_way, fresh),
        cmocka_unit_test_setup(presents_what_it_has_after_a_reboot, fresh),
        cmocka_unit_test_setup(claims_anew_when_the_record_is_anothers, fresh),
        cmocka_unit_test_setup(survives_a_corrupted_record, fresh),
        cmocka_unit_test_setup(http_answers_lead_where_the_table_says, fresh),
        cmocka_unit_test_setup(closes_lead_where_the_table_says, fresh),
        cmocka_unit_test_setup(transport_failures_back_off_and_try_the_same_again, fresh),
        cmocka_unit_test_setup(every_stage_has_a_timeout, fresh),
        cmocka_unit_test_setup(a_failed_save_is_reported_and_survived, fresh),
        cmocka_unit_test_setup(a_known_expiry_is_refreshed_before_connecting, fresh),
        cmocka_unit_test_setup(a_lost_refresh_answer_is_asked_for_again, fresh),
        cmocka_unit_test_setup(notices_a_wrong_clock, fresh),
        cmocka_unit_test_setup(stop_forgets_secrets_and_a_step_starts_over, fresh),
        cmocka_unit_test_setup(stop_works_from_within_an_event, fresh),
        cmocka_unit_test_setup(stop_says_nothing_after_its_close_frame, fresh),
        cmocka_unit_test_setup(a_store_that_is_busy_is_no_refusal, fresh),
        cmocka_unit_test_setup(an_utterance_after_a_month_of_silence, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
