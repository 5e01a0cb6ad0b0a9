/* A toy's past: two rings that are bounded, and that go with its binding; and the list of its
 * events. */

#include "store/audit.h"
#include "store/children.h"
#include "store/fleet.h"
#include "store/history.h"
#include "store/internal.h"
#include "store/test_opened.h"

static const uint8_t first_sid[STORE_JTI_LEN] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

/* ---- A toy with a past ---- */

static int toys_body(struct store_tx *tx, void *arg)
{
    static const char *const ids[] = {"a", "b"};
    uint8_t secret[LIMIT_SECRET_LEN];
    int err = TEDDY_OK;
    (void)arg;
    for (unsigned i = 0; err == TEDDY_OK && i < 2; i++) {
        secret_of(i, secret);
        err = store_device_add(tx, ids[i], secret, 1);
        if (err == TEDDY_OK)
            err = bind_child(tx, ids[i], "kid", 1, 100);
    }
    return err;
}

struct told {
    const char *device_id, *child_id;
    const uint8_t *sid;
    uint64_t at_s;
    unsigned interval_s, rows;
    const char *reason;
};

static struct history_owner owner_of(const struct told *t)
{
    return (struct history_owner){t->device_id ? t->device_id : "a",
                                  t->child_id ? t->child_id : "kid", t->sid ? t->sid : first_sid};
}

static int telemetry_body(struct store_tx *tx, void *arg)
{
    const struct told *t = arg;
    struct history_owner owner = owner_of(t);
    struct telemetry_row row = {.at_s = t->at_s,
                                .has = 1u << TELEMETRY_BATTERY | 1u << TELEMETRY_RSSI,
                                .value = {[TELEMETRY_BATTERY] = 0.5, [TELEMETRY_RSSI] = -61}};
    struct telemetry_bounds bounds = {t->interval_s, t->rows ? t->rows : 100};
    return store_telemetry_add(tx, &owner, &row, &bounds);
}

static int session_body(struct store_tx *tx, void *arg)
{
    const struct told *t = arg;
    struct history_owner owner = owner_of(t);
    struct past_session p = {
        .opened_s = t->at_s - 10, .closed_s = t->at_s, .received = 3, .sent = 4, .close = 1001};
    snprintf(p.reason, sizeof p.reason, "%s", t->reason ? t->reason : "peer_left");
    return store_session_add(tx, &owner, &p);
}

static void tell(struct told t)
{
    run(telemetry_body, &t);
    run(session_body, &t);
}

static int64_t rows_left(void)
{
    return number("SELECT (SELECT count(*) FROM telemetry) + (SELECT count(*) FROM past_session)");
}

/* ---- The rings ---- */

struct listed {
    uint64_t from_s, to_s;
    char text[4096];
    unsigned count, limit;
};

static bool list_telemetry(void *arg, const struct telemetry_row *row)
{
    struct listed *l = arg;
    size_t len = strlen(l->text);
    snprintf(l->text + len, sizeof l->text - len, "%u:%x:%g,%g ", (unsigned)row->at_s, row->has,
             row->value[TELEMETRY_BATTERY], row->value[TELEMETRY_RSSI]);
    return ++l->count != l->limit;
}

static int list_body(struct store_tx *tx, void *arg)
{
    struct listed *l = arg;
    return store_telemetry_list(tx, "a", l->from_s, l->to_s, list_telemetry, l);
}

static void listed(const char *text, uint64_t from_s, uint64_t to_s, unsigned limit)
{
    struct listed l = {from_s, to_s, "", 0, limit};
    assert_int_equal(in_read(store, list_body, &l), TEDDY_OK);
    assert_string_equal(l.text, text);
}

static void telemetry_is_kept_now_and_then(void **state)
{
    (void)state;
    run(toys_body, NULL);
    for (uint64_t at = 1000; at <= 1020; at++)
        run(telemetry_body, &(struct told){.at_s = at, .interval_s = 10});
    listed("1020:3:0.5,-61 1010:3:0.5,-61 1000:3:0.5,-61 ", 0, INT64_MAX, 0);
    listed("1010:3:0.5,-61 ", 1001, 1019, 0);
    listed("1020:3:0.5,-61 1010:3:0.5,-61 ", 0, INT64_MAX, 2);
    /* A clock that was set back does not end it. */
    run(telemetry_body, &(struct told){.at_s = 500, .interval_s = 10, .rows = 3});
    assert_int_equal(rows_left(), 3);
    run(telemetry_body, &(struct told){.at_s = 505, .interval_s = 10});
    listed("500:3:0.5,-61 ", 0, 999, 0);
    run(telemetry_body, &(struct told){.at_s = 2000, .rows = 2});
    listed("2000:3:0.5,-61 500:3:0.5,-61 ", 0, INT64_MAX, 0);
    run(telemetry_body, &(struct told){.at_s = 2001, .rows = 1});
    listed("2001:3:0.5,-61 ", 0, INT64_MAX, 0);
}

static void so_many_rows_are_so_many_days(void **state)
{
    (void)state;
    assert_int_equal(telemetry_rows(7, 300), 2016);
    assert_int_equal(telemetry_rows(0, 300), 1);
    assert_int_equal(telemetry_rows(7, 0), 1);
    assert_int_equal(telemetry_rows(365, 1), TELEMETRY_ROWS_MAX);
    assert_int_equal(telemetry_rows(UINT32_MAX, 1), TELEMETRY_ROWS_MAX);
}

static bool list_session(void *arg, const struct past_session *p)
{
    struct listed *l = arg;
    if (l->count++ == 0)
        snprintf(l->text, sizeof l->text, "%u-%u %u %s %u/%u", (unsigned)p->opened_s,
                 (unsigned)p->closed_s, p->close, p->reason, (unsigned)p->received,
                 (unsigned)p->sent);
    return true;
}

static int sessions_body(struct store_tx *tx, void *arg)
{
    return store_session_list(tx, "a", list_session, arg);
}

static void the_last_sessions_are_kept(void **state)
{
    struct listed l = {0};
    (void)state;
    run(toys_body, NULL);
    for (uint64_t i = 0; i < SESSIONS_KEPT + 3; i++)
        run(session_body, &(struct told){.at_s = 1000 + i});
    assert_int_equal(in_read(store, sessions_body, &l), TEDDY_OK);
    assert_int_equal(l.count, SESSIONS_KEPT);
    assert_string_equal(l.text, "1042-1052 1001 peer_left 3/4");
    assert_int_equal(number("SELECT min(closed_s) FROM past_session"), 1003);
}

/* ---- Whose it is ---- */

static int claim_body(struct store_tx *tx, void *arg)
{
    return bind_child(tx, "a", arg, 2, 200);
}

static int release_body(struct store_tx *tx, void *arg)
{
    (void)arg;
    return store_device_release(tx, "a");
}

static int remove_body(struct store_tx *tx, void *arg)
{
    (void)arg;
    return store_device_remove(tx, "a");
}

static int forget_body(struct store_tx *tx, void *arg)
{
    struct child_erased erased;
    (void)arg;
    return store_child_forget(tx, "kid", UINT64_MAX, &erased);
}

static void it_goes_with_the_binding(void **state)
{
    static const struct {
        in_tx *fn;
        const char *arg;
        int64_t left; /* of four rows, two of them another toy's */
    } ways[] = {{claim_body, "kid", 4},
                {claim_body, "other", 2},
                {release_body, NULL, 2},
                {remove_body, NULL, 2},
                {forget_body, NULL, 0}};
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        run(toys_body, NULL);
        tell((struct told){.at_s = 1000});
        tell((struct told){.device_id = "b", .at_s = 1000});
        assert_int_equal(rows_left(), 4);
        run(ways[i].fn, (void *)(uintptr_t)ways[i].arg);
        assert_int_equal(rows_left(), ways[i].left);
        (void)teardown(state);
        (void)setup(state);
    }
}

static void what_comes_late_is_nobodys(void **state)
{
    (void)state;
    run(toys_body, NULL);
    tell((struct told){.device_id = "nobody", .at_s = 1000});
    tell((struct told){.child_id = "other", .at_s = 1000});
    tell((struct told){.child_id = "", .at_s = 1000});
    assert_int_equal(rows_left(), 0);
    run(release_body, NULL);
    tell((struct told){.at_s = 1000});
    assert_int_equal(rows_left(), 0);
    /* The same child again: a family of its own, of which that session is not. */
    run(claim_body, (void *)(uintptr_t) "kid");
    run(telemetry_body, &(struct told){.at_s = 1000});
    run(session_body, &(struct told){.at_s = 1000, .reason = "token_revoked"});
    assert_int_equal(rows_left(), 0);
    run(session_body, &(struct told){.at_s = 1000, .reason = "superseded"});
    assert_int_equal(rows_left(), 1);
}

/* ---- The toy's events ---- */

struct events {
    const char *device;
    int64_t before;
    char text[256];
    bool listed;
};

static int events_add(struct store_tx *tx, void *arg)
{
    int err = TEDDY_OK;
    for (const char *toy = arg; err == TEDDY_OK && *toy != '\0'; toy++)
        err = audit_add(tx, &(struct audit_event){.event = "claim.accepted",
                                                  .device_id = (char[]){*toy, '\0'}});
    return err;
}

static bool take_event(void *arg, const struct audit_row *row)
{
    struct events *e = arg;
    size_t len = strlen(e->text);
    assert_int_equal(row->device_id.len, 1);
    assert_memory_equal(row->device_id.p, e->device, 1);
    snprintf(e->text + len, sizeof e->text - len, "%d ", (int)row->n);
    return true;
}

static int events_body(struct store_tx *tx, void *arg)
{
    struct events *e = arg;
    return audit_of_device(tx, e->device, e->before, take_event, e, &e->listed);
}

static void events(const char *device, int64_t before, bool is_listed, const char *text)
{
    struct events e = {.device = device, .before = before};
    assert_int_equal(in_read(store, events_body, &e), TEDDY_OK);
    assert_string_equal(e.text, text);
    assert_int_equal(e.listed, is_listed);
}

static int unlist_body(struct store_tx *tx, void *arg)
{
    (void)arg;
    return sqlite3_exec(tx->db, "UPDATE device SET event = 0", NULL, NULL, NULL);
}

static void a_toys_events_are_a_list(void **state)
{
    (void)state;
    run(toys_body, NULL);
    run(events_add, (void *)(uintptr_t) "abxbaab");
    events("a", 0, true, "6 5 1 ");
    events("b", 0, true, "7 4 2 ");
    events("b", 4, true, "2 ");
    events("b", 3, true, ""); /* another's */
    events("x", 0, false, "");
    run(unlist_body, NULL); /* as those of an older release */
    events("b", 0, false, "");
    events("b", 4, false, "");
    run(remove_body, NULL);
    events("a", 0, false, "");
}

/* ---- The registry ---- */

struct rows {
    const char *after;
    char text[256];
};

static bool take_row(void *arg, const struct fleet_row *r)
{
    struct rows *l = arg;
    size_t len = strlen(l->text);
    snprintf(l->text + len, sizeof l->text - len, "%s%s%s%u ", r->device_id, r->enabled ? "+" : "-",
             r->child_id, (unsigned)r->refresh_exp_s);
    return true;
}

static int rows_body(struct store_tx *tx, void *arg)
{
    struct rows *l = arg;
    uint64_t last_s = 0;
    assert_int_equal(store_fleet_list(tx, l->after, take_row, l), TEDDY_OK);
    assert_int_equal(store_fleet_last(tx, 1, &last_s), TEDDY_OK);
    return (int)last_s;
}

static int disable_body(struct store_tx *tx, void *arg)
{
    (void)arg;
    return store_device_enable(tx, "b", false);
}

static void rows_tell_a_state(void **state)
{
    struct rows l = {.after = ""};
    (void)state;
    run(toys_body, NULL);
    run(disable_body, NULL);
    assert_int_equal(in_read(store, rows_body, &l), 0);
    assert_string_equal(l.text, "a+kid31 b-kid31 ");
    run(session_body, &(struct told){.at_s = 900});
    run(telemetry_body, &(struct told){.at_s = 950});
    run(release_body, NULL);
    l = (struct rows){.after = ""};
    assert_int_equal(in_read(store, rows_body, &l), 0);
    assert_string_equal(l.text, "a+0 b-kid31 ");
    run(claim_body, (void *)(uintptr_t) "kid");
    run(session_body, &(struct told){.at_s = 900});
    l = (struct rows){.after = "a"};
    assert_int_equal(in_read(store, rows_body, &l), 900);
    assert_string_equal(l.text, "b-kid31 ");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(telemetry_is_kept_now_and_then),
        T(so_many_rows_are_so_many_days),
        T(the_last_sessions_are_kept),
        T(it_goes_with_the_binding),
        T(what_comes_late_is_nobodys),
        T(a_toys_events_are_a_list),
        T(rows_tell_a_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
