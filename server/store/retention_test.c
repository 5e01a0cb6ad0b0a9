/* Each kind of data leaves when it is as old as its bound, and not before; the clock is the
 * test's. */

#include "store/admin_tokens.h"
#include "store/audit.h"
#include "store/batches.h"
#include "store/retention.h"
#include "store/test_opened.h"

#define DAY 86400ull
#define T0  (1000 * DAY)

struct walk {
    struct retention_bounds bounds;
    uint64_t now_s;
    struct retention_place at, next;
    bool due;
    uint64_t piece[RETENTION_KINDS], all[RETENTION_KINDS];
    unsigned pieces;
};

static int piece_body(struct store_tx *tx, void *arg)
{
    struct walk *w = arg;
    return store_retain(tx, &w->bounds, w->now_s, &w->at, &w->next, w->piece);
}

static int look_body(struct store_tx *tx, void *arg)
{
    struct walk *w = arg;
    return store_retain_look(tx, &w->bounds, w->now_s, &w->at, &w->next, &w->due);
}

/* As upkeep.c does: a piece without anything to do is only looked at. */
static void take_piece(struct walk *w)
{
    memset(w->piece, 0, sizeof w->piece);
    assert_int_equal(in_read(store, look_body, w), TEDDY_OK);
    if (w->due)
        assert_int_equal(in_write(store, piece_body, w), TEDDY_OK);
    for (unsigned i = 0; i < RETENTION_KINDS; i++)
        w->all[i] += w->piece[i];
    w->at = w->next;
}

static const struct retention_bounds bounds = {10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110};

/* A walk at that time; it is left with what went. */
static struct walk walk(const struct retention_bounds *b, uint64_t now_s)
{
    struct walk w = {.bounds = *b, .now_s = now_s};
    while (w.at.step != RETAIN_DONE) {
        take_piece(&w);
        assert_true(++w.pieces < 100000);
    }
    return w;
}

/* Nothing goes a second before it is due, `count` of the kind at that second, nothing after. */
static void expect(uint64_t due_s, enum retention_kind kind, uint64_t count)
{
    assert_int_equal(walk(&bounds, due_s - 1).all[kind], 0);
    assert_int_equal(walk(&bounds, due_s).all[kind], count);
    assert_int_equal(walk(&bounds, due_s + 1).all[kind], 0);
}

struct toy {
    const char *id, *child;
    unsigned n;
};

static int toy_body(struct store_tx *tx, void *arg)
{
    const struct toy *t = arg;
    uint8_t secret[LIMIT_SECRET_LEN];
    secret_of(t->n, secret);
    int err = store_device_add(tx, t->id, secret, T0);
    if (err == TEDDY_OK && t->child[0] != '\0')
        err = bind_child(tx, t->id, t->child, (uint8_t)t->n, T0);
    if (err == TEDDY_OK && t->child[0] != '\0')
        err =
            audit_add(tx, &(struct audit_event){
                              .event = "claim.accepted", .device_id = t->id, .child_id = t->child});
    return err;
}

static void add_toy(const char *id, const char *child, unsigned n)
{
    assert_int_equal(in_write(store, toy_body, &(struct toy){id, child, n}), TEDDY_OK);
}

struct message {
    const char *id;
    uint64_t expires_s;
};

static int message_body(struct store_tx *tx, void *arg)
{
    const struct message *m = arg;
    uint64_t expired;
    struct downlink_row d = {.body = {"x", 1}, .queued_s = T0, .expires_s = m->expires_s};
    return store_downlink_add(tx, m->id, &d, 100, &expired);
}

static void messages(void **state)
{
    (void)state;
    add_toy("a", "kid", 1);
    assert_int_equal(in_write(store, message_body, &(struct message){"a", T0 + 5}), TEDDY_OK);
    assert_int_equal(in_write(store, message_body, &(struct message){"a", T0 + 90 * DAY}),
                     TEDDY_OK);
    expect(T0 + 5, RETENTION_MESSAGES_EXPIRED, 1);
    expect(T0 + 10 * DAY, RETENTION_MESSAGES, 1);
    assert_int_equal(number("SELECT count(*) FROM downlink"), 0);
}

static void token_families(void **state)
{
    (void)state;
    add_toy("a", "kid", 1);
    add_toy("b", "kid", 2);
    raw("UPDATE device SET claimed_s = 99999999999, refresh_exp_s = 86400000"); /* T0 */
    expect(T0 + 20 * DAY, RETENTION_TOKENS, 2);
    assert_int_equal(number("SELECT count(*) FROM device WHERE access_jti IS NOT NULL OR"
                            " refresh_exp_s > 0"),
                     0);
    assert_int_equal(number("SELECT count(*) FROM device WHERE child_id = 'kid'"), 2);
}

static void a_revoked_family_goes_at_once(void **state)
{
    (void)state;
    add_toy("a", "kid", 1);
    raw("UPDATE device SET sid = NULL");
    assert_int_equal(walk(&bounds, T0).all[RETENTION_TOKENS], 1);
}

static void the_history_of_a_released_toy(void **state)
{
    (void)state;
    add_toy("a", "kid", 1);
    raw("UPDATE device SET child_id = '', client_timestamp = 'x', refresh_exp_s = 99999999999");
    assert_int_equal(walk(&bounds, T0).all[RETENTION_RELEASED], 1);
    assert_int_equal(number("SELECT claimed_s + seen_s + length(client_timestamp) FROM device"), 0);
}

/* Whoever refreshes is not idle. */
static void bindings(void **state)
{
    (void)state;
    add_toy("a", "kid", 1);
    add_toy("b", "kid", 2);
    raw("UPDATE device SET refresh_exp_s = 99999999999");
    raw("UPDATE device SET iat_s = 86400000 + 86400 WHERE device_id = 'b'"); /* T0 + DAY */
    assert_int_equal(in_write(store, message_body, &(struct message){"a", T0 + 90 * DAY}),
                     TEDDY_OK);
    struct retention_bounds b = bounds;
    b.messages_days = 90;
    assert_int_equal(walk(&b, T0 + 30 * DAY - 1).all[RETENTION_BINDINGS], 0);
    assert_int_equal(walk(&b, T0 + 30 * DAY).all[RETENTION_BINDINGS], 1);
    assert_int_equal(number("SELECT count(*) FROM device WHERE child_id = 'kid'"), 1);
    assert_int_equal(number("SELECT count(*) FROM downlink"), 0);
    assert_int_equal(number("SELECT count(*) FROM audit WHERE event = 'device.released' AND"
                            " child IS NOT NULL AND device_id = 'a'"),
                     1);
    expect(T0 + 31 * DAY, RETENTION_BINDINGS, 1);
}

static void children(void **state)
{
    (void)state;
    add_toy("a", "kid", 1);
    add_toy("b", "other", 2);
    raw("UPDATE device SET claimed_s = 99999999999");
    raw("UPDATE device SET child_id = '' WHERE device_id = 'a'");
    walk(&bounds, T0); /* from now on it is known to have no toy */
    assert_int_equal(walk(&bounds, T0 + 40 * DAY - 1).all[RETENTION_CHILDREN], 0);
    /* It has one again. */
    raw("UPDATE device SET child_id = 'kid', claimed_s = 99999999999 WHERE device_id = 'a'");
    assert_int_equal(walk(&bounds, T0 + 40 * DAY).all[RETENTION_CHILDREN], 0);
    raw("UPDATE device SET child_id = '' WHERE device_id = 'a'");
    walk(&bounds, T0 + 41 * DAY);
    expect(T0 + 81 * DAY, RETENTION_CHILDREN, 1);
    assert_int_equal(number("SELECT count(*) FROM child WHERE child_id = 'other'"), 1);
    assert_int_equal(number("SELECT count(*) FROM child"), 1);
    assert_int_equal(number("SELECT count(*) FROM audit WHERE event = 'child.forgotten'"), 1);
}

static int small_body(struct store_tx *tx, void *arg)
{
    struct batch_row batch = {.id = "0123456789abcdef",
                              .prefix = "b-",
                              .first = 1,
                              .count = 1,
                              .digits = 1,
                              .created_s = T0};
    struct admin_token_row token = {
        .id = "01234567", .role = "viewer", .created_s = T0, .expires_s = T0 + DAY};
    (void)arg;
    int err = store_batch_add(tx, &batch);
    return err != TEDDY_OK ? err : store_admin_token_add(tx, &token, 9);
}

static void batches_and_admin_tokens(void **state)
{
    (void)state;
    assert_int_equal(in_write(store, small_body, NULL), TEDDY_OK);
    expect(T0 + 50 * DAY, RETENTION_BATCHES, 1);
    expect(T0 + 61 * DAY, RETENTION_ADMIN_TOKENS, 1);
}

static void a_toys_past(void **state)
{
    (void)state;
    add_toy("a", "kid", 1);
    raw("UPDATE device SET claimed_s = 99999999999;"
        "INSERT INTO telemetry (device_row, n, at_s) VALUES (1, 1, 86400000), (1, 2, 86400002);"
        "INSERT INTO past_session VALUES (1, 1, 1, 86400000, 0, '', 0, 0),"
        " (1, 2, 1, 86400002, 0, '', 0, 0)");
    expect(T0 + 90 * DAY, RETENTION_TELEMETRY, 1);
    expect(T0 + 90 * DAY + 2, RETENTION_TELEMETRY, 1);
    expect(T0 + 100 * DAY, RETENTION_SESSIONS, 1);
    expect(T0 + 100 * DAY + 2, RETENTION_SESSIONS, 1);
}

/* More than a piece looks at. */
static void of_telemetry_the_last_row_alone(void **state)
{
    struct retention_bounds b = bounds;
    (void)state;
    b.telemetry_days = 0;
    add_toy("a", "kid", 1);
    add_toy("b", "kid", 2);
    raw("UPDATE device SET claimed_s = 99999999999;"
        "WITH RECURSIVE i (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < 1300)"
        " INSERT INTO telemetry (device_row, n, at_s) SELECT d.row, i.n, i.n FROM device d, i");
    assert_int_equal(walk(&b, T0).all[RETENTION_TELEMETRY], 2598);
    assert_int_equal(number("SELECT sum(n) FROM telemetry"), 2600);
    assert_int_equal(walk(&b, T0 + 9000 * DAY).all[RETENTION_TELEMETRY], 0);
}

static void for_ever(void **state)
{
    static const struct retention_bounds none = {0};
    (void)state;
    assert_int_equal(in_write(store, small_body, NULL), TEDDY_OK);
    add_toy("a", "kid", 1);
    raw("UPDATE device SET refresh_exp_s = 99999999999");
    assert_int_equal(in_write(store, message_body, &(struct message){"a", 100 * T0}), TEDDY_OK);
    struct walk w = walk(&none, 90 * T0);
    for (unsigned i = 0; i < RETENTION_KINDS; i++)
        assert_int_equal(w.all[i], 0);
}

/* ---- Pieces ---- */

#define TOYS 2200

static int crowd_body(struct store_tx *tx, void *arg)
{
    char id[32], child[32];
    (void)arg;
    for (unsigned i = 0; i < TOYS; i++) {
        snprintf(id, sizeof id, "t%u", i);
        snprintf(child, sizeof child, "kid%u", i);
        assert_int_equal(toy_body(tx, &(struct toy){id, child, i}), TEDDY_OK);
        assert_int_equal(message_body(tx, &(struct message){id, T0 + 1}), TEDDY_OK);
    }
    return TEDDY_OK;
}

static void a_piece_is_small_and_none_is_passed_over(void **state)
{
    (void)state;
    assert_int_equal(in_write(store, crowd_body, NULL), TEDDY_OK);
    raw("UPDATE device SET iat_s = 0");
    struct walk w = {.bounds = bounds, .now_s = T0 + 30 * DAY};
    uint64_t most[RETENTION_KINDS] = {0};
    while (w.at.step != RETAIN_DONE) {
        take_piece(&w);
        for (unsigned i = 0; i < RETENTION_KINDS; i++)
            most[i] = w.piece[i] > most[i] ? w.piece[i] : most[i];
    }
    assert_int_equal(w.all[RETENTION_MESSAGES_EXPIRED], TOYS);
    assert_int_equal(w.all[RETENTION_BINDINGS], TOYS);
    assert_int_equal(w.all[RETENTION_TOKENS], 0); /* they went with the bindings */
    assert_in_range(most[RETENTION_MESSAGES_EXPIRED], 1, 500);
    assert_in_range(most[RETENTION_BINDINGS], 1, 50);
    w = walk(&bounds, T0 + 70 * DAY);
    assert_int_equal(w.all[RETENTION_CHILDREN], TOYS);
    assert_int_equal(number("SELECT count(*) FROM child"), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(messages),
        T(token_families),
        T(a_revoked_family_goes_at_once),
        T(the_history_of_a_released_toy),
        T(bindings),
        T(children),
        T(batches_and_admin_tokens),
        T(a_toys_past),
        T(of_telemetry_the_last_row_alone),
        T(for_ever),
        T(a_piece_is_small_and_none_is_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
