/* The power may fail at any moment of any write, and the disk may be full or fail: afterwards the
 * port opens, has the old or the new records, and can save. Never a toy that cannot come back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/world.h"
#include "port/posix/power_disk.h"
#include "posix_port.h"

static char dir[64], path[96];

/* What a load may say, as bits. */
enum { NONE = 1, OLD = 2, NEW = 4, DAMAGED = 8, OTHER = 16 };
#define ANY (NONE | OLD | NEW | DAMAGED)

#define TIME_OLD 3000000000u /* later than any build */
#define TIME_NEW 3100000000u

static uint8_t old_tokens[60], new_tokens[90], old_last[25], new_last[25];

struct scenario {
    const char *name;
    void (*prepare)(void);
    int (*run)(struct teddy_posix *p);
    /* Of tokens and last: what may be found at any moment, and what after the call has returned. */
    unsigned during[TEDDY_RECORDS], after[TEDDY_RECORDS];
};

static struct teddy_posix *try_new(char *why, size_t why_len)
{
    static const struct teddy_posix_trust none;
    struct teddy_posix_options o = {.trust = &none, .state_file = path};
    struct teddy_posix *p;

    return teddy_posix_new(&p, &o, why, why_len) == TEDDY_OK ? p : NULL;
}

static struct teddy_posix *port_new(void)
{
    char why[200];
    struct teddy_posix *p = try_new(why, sizeof why);

    if (!p)
        fail_msg("%s", why);
    return p;
}

static int save(struct teddy_posix *p, enum teddy_record r, bool new)
{
    const uint8_t *tokens = new ? new_tokens : old_tokens, *last = new ? new_last : old_last;

    return r == TEDDY_RECORD_TOKENS
               ? record_save(p, r, tokens, new ? sizeof new_tokens : sizeof old_tokens)
               : record_save(p, r, last, sizeof old_last);
}

static unsigned found(struct teddy_posix *p, enum teddy_record r)
{
    bool tokens = r == TEDDY_RECORD_TOKENS;
    uint8_t buf[TEDDY_RECORD_MAX];
    size_t len = 0;
    int err = teddy_posix_port.load(p, r, buf, sizeof buf, &len);

    if (err == TEDDY_ENOTFOUND)
        return NONE;
    if (err == TEDDY_EAUTH)
        return DAMAGED;
    if (err != TEDDY_OK)
        return OTHER;
    if (len == (tokens ? sizeof old_tokens : sizeof old_last) &&
        memcmp(buf, tokens ? old_tokens : old_last, len) == 0)
        return OLD;
    if (len == (tokens ? sizeof new_tokens : sizeof new_last) &&
        memcmp(buf, tokens ? new_tokens : new_last, len) == 0)
        return NEW;
    return OTHER;
}

/* What a verified server would have told. */
static void tell_time(struct teddy_posix *p, uint64_t t)
{
    p->peer.cert = calloc(1, sizeof *p->peer.cert + 2);
    p->peer.cert->refs = 1;
    p->peer.cert->not_after = UINT64_MAX;
    teddy_posix_port.server_time(p, t);
}

static void prepare_nothing(void)
{
    static const struct disk_state empty = {.len = {-1, -1, -1, -1, -1, -1}};

    disk_write(path, &empty);
}

static void prepare_all(void)
{
    struct teddy_posix *p;

    prepare_nothing();
    p = port_new();
    assert_int_equal(save(p, TEDDY_RECORD_TOKENS, false), TEDDY_OK);
    assert_int_equal(save(p, TEDDY_RECORD_LAST, false), TEDDY_OK);
    tell_time(p, TIME_OLD);
    assert_int_equal(p->time_stored, TIME_OLD);
    teddy_posix_free(p);
}

/* As a disk that lied about a sync may leave the key. */
static void prepare_cut_key(void)
{
    struct disk_state s;

    prepare_all();
    disk_read(path, &s);
    s.len[DISK_KEY] = 7;
    disk_write(path, &s);
}

static void prepare_zero_key(void)
{
    struct disk_state s;

    prepare_all();
    disk_read(path, &s);
    memset(s.data[DISK_KEY], 0, 32);
    disk_write(path, &s);
}

static int run_tokens(struct teddy_posix *p)
{
    return save(p, TEDDY_RECORD_TOKENS, true);
}

static int run_last(struct teddy_posix *p)
{
    return save(p, TEDDY_RECORD_LAST, true);
}

static int run_time(struct teddy_posix *p)
{
    tell_time(p, TIME_NEW);
    return p->time_stored == TIME_NEW ? TEDDY_OK : TEDDY_EIO;
}

static int run_erase(struct teddy_posix *p)
{
    return teddy_posix_port.erase(p);
}

/* Forgotten, and paired again. */
static int run_erase_and_save(struct teddy_posix *p)
{
    int err = teddy_posix_port.erase(p);

    return err ? err : save(p, TEDDY_RECORD_TOKENS, true);
}

static const struct scenario scenarios[] = {
    {"first tokens, and the key", prepare_nothing, run_tokens, {NONE | NEW, NONE}, {NEW, NONE}},
    {"first last, and the key", prepare_nothing, run_last, {NONE, NONE | NEW}, {NONE, NEW}},
    {"tokens", prepare_all, run_tokens, {OLD | NEW, OLD}, {NEW, OLD}},
    {"last", prepare_all, run_last, {OLD, OLD | NEW}, {OLD, NEW}},
    {"tokens, the key being cut",
     prepare_cut_key,
     run_tokens,
     {DAMAGED | NEW, DAMAGED},
     {NEW, DAMAGED}},
    {"last, the key being zeros",
     prepare_zero_key,
     run_last,
     {DAMAGED, DAMAGED | NEW},
     {DAMAGED, NEW}},
    {"first time", prepare_nothing, run_time, {NONE, NONE}, {NONE, NONE}},
    {"time", prepare_all, run_time, {OLD, OLD}, {OLD, OLD}},
    {"erase", prepare_all, run_erase, {OLD | NONE, OLD | NONE}, {NONE, NONE}},
    {"erase, then tokens",
     prepare_all,
     run_erase_and_save,
     {OLD | NONE | NEW, OLD | NONE},
     {NEW, NONE}},
};
#define SCENARIOS (sizeof scenarios / sizeof scenarios[0])

static void assert_saves(struct teddy_posix *p, enum teddy_record r, const char *what)
{
    for (int new = 0; new < 2; new ++) {
        if (save(p, r, new) != TEDDY_OK)
            fail_msg("%s: record %d cannot be saved any more", what, r);
        if (found(p, r) != (new ? NEW : OLD))
            fail_msg("%s: record %d is not what was saved", what, r);
    }
}

/* It opens, finds what it may, and can save, now and after another start. */
static void assert_comes_back(const char *what, const unsigned may[TEDDY_RECORDS])
{
    char why[200];
    struct teddy_posix *p = try_new(why, sizeof why);
    struct disk_state s;

    if (!p)
        fail_msg("%s: does not open: %s", what, why);
    if (p->time_stored != 0 && p->time_stored != TIME_OLD && p->time_stored != TIME_NEW)
        fail_msg("%s: the stored time is %llu", what, (unsigned long long)p->time_stored);
    for (int r = 0; r < TEDDY_RECORDS; r++) {
        unsigned got = found(p, (enum teddy_record)r);
        if ((got & may[r]) == 0)
            fail_msg("%s: record %d is %u, not one of %u", what, r, got, may[r]);
    }
    for (int r = 0; r < TEDDY_RECORDS; r++)
        assert_saves(p, (enum teddy_record)r, what);
    teddy_posix_free(p);
    p = port_new();
    for (int r = 0; r < TEDDY_RECORDS; r++)
        if (found(p, (enum teddy_record)r) != NEW)
            fail_msg("%s: record %d is lost by a restart", what, r);
    tell_time(p, TIME_NEW);
    teddy_posix_free(p);
    disk_read(path, &s);
    assert_int_equal(s.len[DISK_TMP], -1);
    assert_int_equal(s.len[DISK_KEY], 32);
}

struct look {
    const struct scenario *scenario;
    const unsigned *may;
    size_t calls;
};

/* States looked at already, by a hash of what is in the files and of what may be found. */
static uint64_t seen[1 << 15];
static size_t seen_count;

static bool seen_before(const struct disk_state *s, const unsigned may[TEDDY_RECORDS])
{
    uint64_t h = 14695981039346656037u ^ may[0] ^ may[1] << 8;

    for (int i = 0; i < DISK_NAMES; i++) {
        h = (h ^ (uint64_t)(s->len[i] + 1)) * 1099511628211u;
        for (ssize_t at = 0; at < s->len[i]; at++)
            h = (h ^ s->data[i][at]) * 1099511628211u;
    }
    h |= 1; /* 0 is a free place */
    for (size_t at = h >> 49;; at = (at + 1) % (1 << 15)) {
        if (seen[at] == h)
            return true;
        if (seen[at] == 0) {
            assert_true(++seen_count < 30000);
            seen[at] = h;
            return false;
        }
    }
}

static void look(const struct disk_state *s, void *user)
{
    struct look *l = user;
    char what[160];

    snprintf(what, sizeof what, "%s, cut after call %zu (%s), files %zd %zd %zd %zd %zd %zd",
             l->scenario->name, l->calls, l->calls ? disk_call_text(l->calls - 1) : "-", s->len[0],
             s->len[1], s->len[2], s->len[3], s->len[4], s->len[5]);
    if (seen_before(s, l->may))
        return;
    disk_write(path, s);
    assert_comes_back(what, l->may);
}

/* The time's file is old, new, or not there; of a torn one nothing may be believed but that. */
static void cut_everywhere(bool honest)
{
    static const unsigned any[TEDDY_RECORDS] = {ANY, ANY};

    memset(seen, 0, sizeof seen);
    seen_count = 0;
    for (size_t i = 0; i < SCENARIOS; i++) {
        const struct scenario *sc = &scenarios[i];
        struct teddy_posix *p;
        size_t total;
        sc->prepare();
        disk_note(path);
        p = port_new();
        assert_int_equal(sc->run(p), TEDDY_OK);
        teddy_posix_free(p);
        disk_stop();
        total = disk_calls();
        assert_in_range(total, 2, 40);
        for (size_t calls = 0; calls <= total; calls++) {
            struct look l = {sc, calls == total ? sc->after : sc->during, calls};
            if (!honest)
                l.may = any;
            disk_cut(calls, honest, look, &l);
        }
    }
    print_message("%zu states\n", seen_count);
    assert_true(seen_count > 500);
}

static void a_cut_leaves_the_old_or_the_new(void **state)
{
    (void)state;
    cut_everywhere(true);
}

static void even_a_lying_disk_leaves_a_toy_that_comes_back(void **state)
{
    (void)state;
    cut_everywhere(false);
}

/* Which call fails, or how many bytes there is room for: the port says so, goes on with what it
 * has, and saves when it can again. True when nothing was in its way. */
static bool run_with(const struct scenario *sc, size_t fail, ssize_t room)
{
    struct teddy_posix *p;
    char what[120];
    int err;

    snprintf(what, sizeof what, "%s, call %zu failing, room for %zd bytes", sc->name, fail, room);
    sc->prepare();
    p = port_new();
    disk_note(path);
    disk_fail(fail);
    disk_room(room);
    err = sc->run(p);
    disk_stop();
    for (int r = 0; r < TEDDY_RECORDS; r++) {
        unsigned may = err == TEDDY_OK ? sc->after[r] : sc->during[r];
        if ((found(p, (enum teddy_record)r) & may) == 0)
            fail_msg("%s: record %d is none of %u", what, r, may);
    }
    if (err != TEDDY_OK)
        assert_int_equal(err, TEDDY_EIO);
    teddy_posix_free(p);
    assert_comes_back(what, err == TEDDY_OK ? sc->after : sc->during);
    return err == TEDDY_OK;
}

static void a_failing_call_is_survived(void **state)
{
    (void)state;
    for (size_t i = 0; i < SCENARIOS; i++) {
        size_t failed = 0;
        for (size_t nth = 1; nth <= 24; nth++)
            failed += !run_with(&scenarios[i], nth, -1);
        assert_true(failed >= 2);
        assert_true(run_with(&scenarios[i], 0, -1));
    }
}

static void a_full_disk_is_survived(void **state)
{
    (void)state;
    for (size_t i = 0; i < SCENARIOS; i++) {
        ssize_t room = 0;
        while (!run_with(&scenarios[i], 0, room))
            room++;
        assert_in_range(room, 0, 300);
        if (scenarios[i].run != run_erase)
            assert_true(room > 10);
    }
}

static void a_key_of_zeros_is_no_key(void **state)
{
    static const uint8_t zeros[32];
    struct disk_state s;
    struct teddy_posix *p;

    (void)state;
    prepare_zero_key();
    p = port_new();
    assert_int_equal(found(p, TEDDY_RECORD_TOKENS), DAMAGED);
    assert_int_equal(save(p, TEDDY_RECORD_TOKENS, true), TEDDY_OK);
    teddy_posix_free(p);
    disk_read(path, &s);
    assert_int_equal(s.len[DISK_KEY], sizeof zeros);
    assert_memory_not_equal(s.data[DISK_KEY], zeros, sizeof zeros);
}

/* A whole toy: the core's, with the scripted server of its tests, and our records. */
static struct world world, world_then;
static struct teddy_posix *records;

static int online_load(void *ctx, enum teddy_record r, uint8_t *buf, size_t cap, size_t *len)
{
    (void)ctx;
    return teddy_posix_port.load(records, r, buf, cap, len);
}

static int online_save(void *ctx, enum teddy_record r, const uint8_t *data, size_t len)
{
    (void)ctx;
    return teddy_posix_port.save(records, r, data, len);
}

static int online_erase(void *ctx)
{
    (void)ctx;
    return teddy_posix_port.erase(records);
}

static void boot(void)
{
    static struct teddy_port port;

    port = world_port;
    port.load = online_load;
    port.save = online_save;
    port.erase = online_erase;
    world_boot(&world, &port);
    records = port_new();
}

static void unplug(void)
{
    teddy_posix_free(records);
    records = NULL;
}

/* Its server is as it was at the end: tokens older than the last two are refused, and what was
 * acked does not come again. */
static void look_online(const struct disk_state *s, void *user)
{
    static const unsigned any[TEDDY_RECORDS] = {ANY, ANY};

    (void)user;
    if (seen_before(s, any))
        return;
    disk_write(path, s);
    world = world_then;
    boot();
    world_until(&world, TEDDY_STATE_ONLINE, 10 * 60 * 1000);
    server_queue(&world, "1.2", "\"text\":\"after\"");
    world_run(&world, 5000);
    assert_string_equal(world.acked, "1.2");
    unplug();
}

/* A claim, a message, and all over again after a restart. */
static void the_toy_is_online_again(void **state)
{
    (void)state;
    memset(seen, 0, sizeof seen);
    seen_count = 0;
    prepare_nothing();
    for (int second = 0; second < 2; second++) {
        disk_note(path);
        if (second == 0)
            world_init(&world);
        world.plan.strict = true;
        world.plan.expires_in = 120;
        boot();
        world_until(&world, TEDDY_STATE_ONLINE, 60000);
        if (second == 0)
            server_queue(&world, "1.1", "\"text\":\"before\"");
        world_run(&world, 110000); /* in which the tokens are refreshed */
        unplug();
        disk_stop();
        world_then = world;
        struct disk_state end;
        disk_read(path, &end);
        for (int honest = 0; honest < 2; honest++)
            for (size_t calls = 0; calls <= disk_calls(); calls++)
                disk_cut(calls, honest, look_online, NULL);
        disk_write(path, &end);
        world = world_then;
    }
    print_message("%zu states\n", seen_count);
    assert_true(seen_count > 200);
    assert_true(world_then.refreshes + world_then.inband > 0);
    assert_string_equal(world_then.acked, "1.1");
}

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/teddy-power-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/state", dir);
    memset(old_tokens, 'o', sizeof old_tokens);
    memset(new_tokens, 'n', sizeof new_tokens);
    memset(old_last, 'o', sizeof old_last);
    memset(new_last, 'n', sizeof new_last);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    prepare_nothing();
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cut_leaves_the_old_or_the_new),
        cmocka_unit_test(even_a_lying_disk_leaves_a_toy_that_comes_back),
        cmocka_unit_test(a_failing_call_is_survived),
        cmocka_unit_test(a_full_disk_is_survived),
        cmocka_unit_test(a_key_of_zeros_is_no_key),
        cmocka_unit_test(the_toy_is_online_again),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
