/* The power goes: between any two calls of the port, and at any byte of a record that is being
 * saved. Whatever is left, the toy comes online by itself, and takes each message once, but for one
 * that the application had taken and the port had not kept. */
#include <stdio.h>
#include <string.h>

#include "world.h"

static struct world world;
static jmp_buf power;

static int fresh(void **state)
{
    (void)state;
    world_init(&world);
    return 0;
}

static unsigned times_taken(const struct world *w, const char *id)
{
    unsigned n = 0;
    for (unsigned i = 0; i < w->taken; i++) {
        n += strcmp(w->taken_id[i], id) == 0;
    }
    return n;
}

/* A day of a toy: it pairs, takes a message, refreshes in session, takes two, refreshes over HTTP,
 * takes one more. */
static const char *const ids[] = {"1.1", "1.2", "1.3", "2.1"};

static void until_queue_is_empty(struct world *w)
{
    for (unsigned i = 0; i < 200 && w->queued > 0; i++) {
        world_run(w, 100);
    }
    assert_int_equal(w->queued, 0);
}

static void a_day(struct world *w)
{
    world_until(w, TEDDY_STATE_ONLINE, 10000);
    server_queue(w, ids[0], "\"text\":\"one\"");
    until_queue_is_empty(w);
    server_text(w, "{\"type\":\"token_expiring\",\"expires_in\":120}");
    server_queue(w, ids[1], "\"data\":{\"two\":2}");
    server_queue(w, ids[2], "\"text\":\"three\"");
    until_queue_is_empty(w);
    while (w->inband == 0 || (teddy_client_wants(&w->client) & TEDDY_WANTS_READ) == 0) {
        world_run(w, 10);
    }
    server_close(w, WS_CLOSE_POLICY, "token_expired");
    world_until(w, TEDDY_STATE_WAITING, 1000);
    world_until(w, TEDDY_STATE_ONLINE, 10000);
    server_queue(w, ids[3], "\"text\":\"four\"");
    until_queue_is_empty(w);
}

/* The message that the application has and the port has not, or "". */
static void in_between(const struct world *w, char out[32])
{
    snprintf(out, 32, "%s", w->taken > w->lasts ? w->taken_id[w->taken - 1] : "");
}

static void comes_online(struct world *w)
{
    w->on_call = NULL;
    w->on_save = NULL;
    world_reboot(w);
    world_until(w, TEDDY_STATE_ONLINE, 10000); /* not after the minutes of a refusal */
    until_queue_is_empty(w);
    world_run(w, 100);
    assert_int_equal(teddy_client_state(&w->client), TEDDY_STATE_ONLINE);
}

static void check_once_each(const struct world *w, const char *but)
{
    for (unsigned i = 0; i < w->taken; i++) {
        if (times_taken(w, w->taken_id[i]) != 1u + (strcmp(but, w->taken_id[i]) == 0)) {
            fail_msg("%s was taken %u times", w->taken_id[i], times_taken(w, w->taken_id[i]));
        }
    }
}

static unsigned calls, cut;

static void cut_at_call(struct world *w, enum world_call call)
{
    (void)w;
    (void)call;
    if (++calls == cut) {
        longjmp(power, 1);
    }
}

/* False: the day was over before. */
static bool day_until_the_cut(struct world *w)
{
    calls = 0;
    if (setjmp(power) != 0) {
        return true;
    }
    a_day(w);
    return false;
}

static void between_any_two_calls(void **state)
{
    (void)state;
    struct world *w = &world;
    unsigned cuts = 0, between = 0;
    for (unsigned slow = 0; slow < 2; slow++) {
        bool more = true;
        for (cut = 1; more; cut++, cuts++) {
            char but[32];
            world_init(w);
            w->plan.strict = true;
            w->again = slow;
            w->piece = slow == 0 ? 0 : 64;
            w->on_call = cut_at_call;
            more = day_until_the_cut(w);
            in_between(w, but);
            between += but[0] != '\0';
            comes_online(w);
            check_once_each(w, but);
            assert_true(more || w->taken == 4);
        }
    }
    assert_true(cuts > 200);
    assert_true(between >= 8); /* each of the four messages, with either port */
}

enum left { LEFT_CUT, LEFT_ZEROS, LEFT_GARBAGE, LEFT_FORMS };

static enum left form;
static unsigned saves, torn_save;
static size_t torn_at, torn_len;
static enum teddy_record torn_record;
static bool sealed;

/* What the flash holds when the power goes torn_at bytes into a save. */
static void tear(struct world *w, enum teddy_record record, const uint8_t *data, size_t len)
{
    uint8_t *kept = w->records[record];
    torn_record = record;
    torn_len = len;
    if (torn_at == 0) {
        return; /* the old one */
    }
    memcpy(kept, data, torn_at);
    w->record_len[record] = form == LEFT_CUT ? torn_at : len;
    for (size_t i = torn_at; i < len; i++) {
        kept[i] = form == LEFT_ZEROS ? 0 : (uint8_t)(0x9d * i + 0x53);
    }
    if (torn_at == len) {
        w->lasts += record == TEDDY_RECORD_LAST;
    } else if (sealed) {
        w->load_rcs[record] = TEDDY_EAUTH;
    }
}

static int torn_or_kept(struct world *w, enum teddy_record record, const uint8_t *data, size_t len)
{
    if (++saves == torn_save) {
        tear(w, record, data, len);
        longjmp(power, 1);
    }
    memcpy(w->records[record], data, len);
    w->record_len[record] = len;
    w->lasts += record == TEDDY_RECORD_LAST;
    return TEDDY_OK;
}

/* One day with a torn save. False: there are not that many saves. */
static bool torn_day(struct world *w)
{
    char but[32];
    world_init(w);
    w->plan.strict = true;
    w->on_save = torn_or_kept;
    saves = 0;
    if (!day_until_the_cut(w)) {
        return false;
    }
    in_between(w, but);
    w->on_save = NULL;
    world_reboot(w);
    for (unsigned i = 0; i < 100 && w->load_rcs[torn_record] != TEDDY_OK; i++) {
        unsigned kept = torn_record == TEDDY_RECORD_LAST ? w->lasts : w->saves;
        world_run(w, 100);
        if (kept != (torn_record == TEDDY_RECORD_LAST ? w->lasts : w->saves)) {
            w->load_rcs[torn_record] = TEDDY_OK; /* written anew */
        }
    }
    world_until(w, TEDDY_STATE_ONLINE, 10000);
    until_queue_is_empty(w);
    /* What an unsealed port makes of a torn id is not the core's to know. */
    if (sealed || torn_record == TEDDY_RECORD_TOKENS || torn_at == 0 || torn_at == torn_len) {
        check_once_each(w, but);
    }
    assert_true(w->claims <= 2);
    return true;
}

static void at_any_byte_of_any_save(void **state)
{
    (void)state;
    struct world *w = &world;
    unsigned tokens = 0, lasts = 0, days = 0;
    for (unsigned variant = 0; variant < 2 * LEFT_FORMS; variant++) {
        form = (enum left)(variant % LEFT_FORMS);
        sealed = variant < LEFT_FORMS;
        bool more = true;
        for (torn_save = 1; more; torn_save++) {
            torn_len = 1;
            for (torn_at = 0; more && torn_at <= torn_len; torn_at++, days++) {
                more = torn_day(w);
            }
            tokens += more && torn_record == TEDDY_RECORD_TOKENS;
            lasts += more && torn_record == TEDDY_RECORD_LAST;
        }
    }
    assert_int_equal(tokens, 3 * 2 * LEFT_FORMS);
    assert_int_equal(lasts, 4 * 2 * LEFT_FORMS);
    assert_true(days > 1000);
}

/* A damaged record alone, without a cut: any state of either that flash can be found in. */
static void whatever_is_found_in_the_records(void **state)
{
    (void)state;
    struct world *w = &world;
    uint64_t r = 88172645463325252u;
    for (unsigned i = 0; i < 2000; i++) {
        world_init(w);
        w->plan.strict = true;
        for (unsigned record = 0; record < TEDDY_RECORDS; record++) {
            for (size_t k = 0; k < TEDDY_RECORD_MAX; k++) {
                r = r * 6364136223846793005u + 1442695040888963407u;
                w->records[record][k] = (uint8_t)(r >> (i % 2 == 0 ? 40 : 61)); /* or few values */
            }
            w->records[record][0] = (uint8_t)(1 + i % 3);
            w->record_len[record] = (size_t)(r >> 33) % (TEDDY_RECORD_MAX + 1);
        }
        server_queue(w, "1.1", "\"text\":\"m\"");
        comes_online(w);
        assert_int_equal(w->taken, 1);
        assert_int_equal(w->claims, 1);
    }
}

struct load_row {
    enum teddy_record record;
    int rc;
    uint32_t for_ms;
    unsigned claims; /* 1: the stored pair is used in the end */
    unsigned taken;  /* 2: with its record, the toy has lost that it had the message */
};

static void load_errors_need_nobody(void **state)
{
    (void)state;
    static const struct load_row rows[] = {
        {TEDDY_RECORD_TOKENS, TEDDY_EAUTH, 1000, 2, 1},
        {TEDDY_RECORD_TOKENS, TEDDY_EIO, 1000, 2, 1},
        {TEDDY_RECORD_TOKENS, TEDDY_ENOTFOUND, 1000, 2, 1},
        {TEDDY_RECORD_TOKENS, -99, 1000, 2, 1},
        {TEDDY_RECORD_TOKENS, TEDDY_AGAIN, 1000, 1, 1},
        {TEDDY_RECORD_TOKENS, TEDDY_AGAIN, 100000, 1, 1},
        {TEDDY_RECORD_LAST, TEDDY_EAUTH, 1000, 1, 2},
        {TEDDY_RECORD_LAST, TEDDY_EIO, 1000, 1, 2},
        {TEDDY_RECORD_LAST, TEDDY_ENOTFOUND, 1000, 1, 2},
        {TEDDY_RECORD_LAST, -99, 1000, 1, 2},
        {TEDDY_RECORD_LAST, TEDDY_AGAIN, 1000, 1, 1},
        {TEDDY_RECORD_LAST, TEDDY_AGAIN, 100000, 1, 1},
    };
    struct world *w = &world;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        world_init(w);
        w->plan.strict = true;
        world_until(w, TEDDY_STATE_ONLINE, 1000);
        server_queue(w, "1.1", "\"text\":\"m\"");
        world_run(w, 100);
        w->greeted = false;
        server_queue(w, "1.1", "\"text\":\"m\""); /* the ack was lost */
        world_reboot(w);
        w->load_rcs[rows[i].record] = rows[i].rc;
        uint64_t steps = w->steps;
        world_run(w, rows[i].for_ms);
        assert_true(w->steps - steps < rows[i].for_ms / 20 + 100);
        w->load_rcs[rows[i].record] = TEDDY_OK;
        server_queue(w, "1.2", "\"text\":\"m\"");
        world_until(w, TEDDY_STATE_ONLINE, 30000);
        world_run(w, 100);
        if (w->claims != rows[i].claims) {
            fail_msg("row %zu: %u claims", i, w->claims);
        }
        assert_int_equal(w->queued, 0);
        assert_int_equal(times_taken(w, "1.1"), rows[i].taken);
        assert_int_equal(times_taken(w, "1.2"), 1);
    }
}

/* The token record is loaded for each connection: a port that fails only then, for an hour. */
static void a_flash_that_fails_for_an_hour(void **state)
{
    (void)state;
    struct world *w = &world;
    static const int rcs[] = {TEDDY_EAUTH, TEDDY_EIO, TEDDY_AGAIN};
    for (size_t i = 0; i < sizeof rcs / sizeof rcs[0]; i++) {
        world_init(w);
        world_until(w, TEDDY_STATE_ONLINE, 1000);
        w->load_rc = w->save_rc = w->last_rc = rcs[i];
        server_queue(w, "1.1", "\"text\":\"m\"");
        server_close(w, WS_CLOSE_RESTART, "restart");
        world_run(w, 3600 * 1000);
        w->load_rc = w->save_rc = w->last_rc = TEDDY_OK;
        world_until(w, TEDDY_STATE_ONLINE, 80000);
        world_run(w, 100);
        assert_int_equal(w->taken, 1);
        assert_int_equal(w->queued, 0);
        assert_true(w->claims <= 2);
        comes_online(w); /* and what was kept since then is good */
        assert_true(w->claims <= 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(between_any_two_calls, fresh),
        cmocka_unit_test_setup(at_any_byte_of_any_save, fresh),
        cmocka_unit_test_setup(whatever_is_found_in_the_records, fresh),
        cmocka_unit_test_setup(load_errors_need_nobody, fresh),
        cmocka_unit_test_setup(a_flash_that_fails_for_an_hour, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
