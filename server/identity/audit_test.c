/* The audit trail over what is undone and repeated, its heads, its retention and its pseudonyms.
 * What verify finds in a database that somebody changed is shown in
 * tests/integration/test_audit.py. */
#include "store/test_store.h"

#include <pthread.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "identity/audit_verify.h"
#include "store/children.h"
#include "store/internal.h"

static struct place place;
static struct store *store;
static struct audit_key *key;
static char key_path[96];

static int open_all(void **state)
{
    char err[512] = "";
    (void)state;
    place_make(&place);
    store = must_open(&(struct store_options){.path = place.path});
    snprintf(key_path, sizeof key_path, "%s/" AUDIT_KEY_FILE, place.dir);
    assert_int_equal(audit_key_load(key_path, &key, err, sizeof err), TEDDY_OK);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    store_close(store);
    audit_key_free(key);
    unlink(key_path);
    place_remove(&place);
    return 0;
}

static int add_one(struct store_tx *tx, void *arg)
{
    return audit_add(tx, &(struct audit_event){.event = arg, .actor = "test", .device_id = "toy"});
}

static void add(const char *event)
{
    assert_int_equal(in_write(store, add_one, (void *)(uintptr_t)event), TEDDY_OK);
}

/* Everything as `teddyctl audit verify` does it. */
struct seen {
    struct audit_verifier v;
    char events[512];
    struct audit_head heads[32];
};

static bool take_row(void *arg, const struct audit_row *row)
{
    struct seen *s = arg;
    size_t len = strlen(s->events);
    snprintf(s->events + len, sizeof s->events - len, "%.*s ", (int)row->event.len, row->event.p);
    return audit_verify_row(&s->v, row) == TEDDY_OK;
}

static bool take_head(void *arg, const struct audit_head *head)
{
    struct seen *s = arg;
    s->heads[s->v.head_count++] = *head;
    return true;
}

static int look(struct store_tx *tx, void *arg)
{
    struct seen *s = arg;
    struct audit_head anchor;
    *s = (struct seen){.v = {.key = key, .heads = s->heads}};
    int rc = audit_anchor(tx, &anchor);
    if (rc == TEDDY_OK)
        assert_true(audit_key_verifies(key, AUDIT_SIGNED_ANCHOR, &anchor));
    assert_int_equal(audit_heads(tx, take_head, s), TEDDY_OK);
    if (audit_verify_begin(&s->v, rc == TEDDY_OK ? &anchor : NULL) == TEDDY_OK &&
        audit_rows(tx, INT64_MIN, take_row, s) == TEDDY_OK && s->v.fault[0] == '\0')
        (void)audit_verify_end(&s->v);
    audit_verify_fini(&s->v);
    return TEDDY_OK;
}

static struct seen seen;

static void assert_whole(const char *events)
{
    assert_int_equal(in_read(store, look, &seen), TEDDY_OK);
    assert_string_equal(seen.v.fault, "");
    if (events != NULL)
        assert_string_equal(seen.events, events);
}

static void assert_fault(const char *fault)
{
    assert_int_equal(in_read(store, look, &seen), TEDDY_OK);
    if (strstr(seen.v.fault, fault) == NULL)
        fail_msg("'%s' is not in '%s'", fault, seen.v.fault);
}

static int add_of_kid(struct store_tx *tx, void *arg)
{
    (void)arg;
    return audit_add(tx, &(struct audit_event){.event = "e", .actor = "test", .child_id = "kid"});
}

/* Between the two, another job of its group is undone; then all of the group is. */
static int undone_twice(struct store_tx *tx, void *arg)
{
    assert_int_equal(add_of_kid(tx, arg), TEDDY_OK);
    audit_undone(tx);
    assert_int_equal(add_of_kid(tx, arg), TEDDY_OK);
    return TEDDY_EDUP;
}

static int has_key(struct store_tx *tx, void *arg)
{
    uint8_t child[AUDIT_CHILD_LEN];
    (void)arg;
    return audit_child(tx, "kid", false, child);
}

static void a_pseudonym_has_its_key(void **state)
{
    (void)state;
    assert_int_equal(in_write(store, undone_twice, NULL), TEDDY_EDUP);
    assert_int_equal(in_read(store, has_key, NULL), TEDDY_ENOTFOUND);
    assert_int_equal(in_write(store, add_of_kid, NULL), TEDDY_OK);
    assert_int_equal(in_read(store, has_key, NULL), TEDDY_OK);
}

/* ---- Groups of jobs, of which some are undone ---- */

struct step {
    struct store_job job; /* first */
    const char *event;
    int result;
    unsigned *done, runs;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool held;

static int run_hold(struct store_tx *tx, struct store_job *job)
{
    (void)tx;
    (void)job;
    pthread_mutex_lock(&lock);
    while (held)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    return TEDDY_OK;
}

static int run_step(struct store_tx *tx, struct store_job *job)
{
    struct step *s = (struct step *)job;
    s->runs++;
    int rc = add_one(tx, (void *)(uintptr_t)s->event);
    return rc != TEDDY_OK ? rc : s->result;
}

static void count_done(struct store_job *job)
{
    struct step *s = (struct step *)job;
    pthread_mutex_lock(&lock);
    ++*s->done;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
}

/* All steps in one group: the writer is held until they are queued. */
static void run_group(struct step *steps, unsigned count)
{
    unsigned done = 0;
    struct step hold = {.job = {.run = run_hold, .done = count_done}, .done = &done};
    held = true;
    assert_int_equal(store_write(store, &hold.job), TEDDY_OK);
    for (unsigned i = 0; i < count; i++) {
        steps[i].job = (struct store_job){.run = run_step, .done = count_done};
        steps[i].done = &done;
        assert_int_equal(store_write(store, &steps[i].job), TEDDY_OK);
    }
    pthread_mutex_lock(&lock);
    held = false;
    pthread_cond_broadcast(&changed);
    while (done < count + 1)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static void what_is_undone_leaves_no_gap(void **state)
{
    (void)state;
    add("first");
    struct step steps[] = {{.event = "a"},
                           {.event = "undone", .result = TEDDY_EDUP},
                           {.event = "b"},
                           {.event = "undone", .result = TEDDY_EDUP},
                           {.event = "c"}};
    run_group(steps, 5);
    assert_true(steps[0].runs > 1); /* bare, then guarded */
    assert_int_equal(steps[1].job.result, TEDDY_EDUP);
    assert_int_equal(steps[4].job.result, TEDDY_OK);
    add("last");
    assert_whole("first a b c last ");
    struct step last = {.event = "undone", .result = TEDDY_EDUP};
    run_group(&last, 1); /* at the end of a group */
    add("behind");
    assert_whole("first a b c last behind ");
}

static void it_goes_on_after_a_restart(void **state)
{
    (void)state;
    add("a");
    store_close(store);
    store = must_open(&(struct store_options){.path = place.path});
    add("b");
    assert_whole("a b ");
}

static void raw(const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(place.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_busy_timeout(db, 5000), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void an_event_of_somebody_else_is_not_passed_over(void **state)
{
    (void)state;
    add("a");
    raw("INSERT INTO audit VALUES (2, 1, 'forged', '', NULL, '', '', zeroblob(32), 0)");
    assert_int_equal(in_write(store, add_one, (void *)(uintptr_t) "b"), TEDDY_ESTORE);
    add("c"); /* it does not keep the server from working for ever */
    assert_fault("event 2 is not what was written there");
}

/* No event can follow the highest number there is. */
static void a_number_that_nothing_can_follow_is_damage(void **state)
{
    (void)state;
    add("a");
    store_close(store);
    raw("INSERT INTO audit VALUES (9223372036854775807, 1, 'forged', '', NULL, '', '', "
        "zeroblob(32), 0)");
    store = must_open(&(struct store_options){.path = place.path});
    assert_int_equal(in_write(store, add_one, (void *)(uintptr_t) "b"), TEDDY_ESTORE);
    assert_fault("are missing");
}

static void the_table_refuses_to_be_changed(void **state)
{
    static const char *const changes[] = {"UPDATE audit SET event = 'b'", "DELETE FROM audit"};
    (void)state;
    add("a");
    for (unsigned i = 0; i < 2; i++) {
        sqlite3 *db = NULL;
        assert_int_equal(sqlite3_open(place.path, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, changes[i], NULL, NULL, NULL), SQLITE_CONSTRAINT);
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
    }
    assert_whole("a ");
}

/* ---- Heads and retention ---- */

static int sign_end(struct store_tx *tx, void *arg)
{
    const uint64_t *at_ms = arg;
    struct audit_head head;
    bool grown = false;
    int rc = audit_unsigned(tx, &head, &grown);
    assert_true(grown);
    head.at_ms = *at_ms;
    assert_int_equal(audit_key_sign(key, AUDIT_SIGNED_HEAD, &head), TEDDY_OK);
    return rc != TEDDY_OK ? rc : audit_head_add(tx, &head);
}

static void sign_at(uint64_t at_ms)
{
    assert_int_equal(in_write(store, sign_end, &at_ms), TEDDY_OK);
}

static void of_each_hour_the_newest_head_stays(void **state)
{
    (void)state;
    add("a");
    sign_at(3600000);
    add("b");
    sign_at(3660000);
    add("c");
    sign_at(7199999);
    add("d");
    sign_at(7200000);
    assert_whole(NULL);
    assert_int_equal(seen.v.heads_good, 2);
    assert_int_equal(seen.heads[0].n, 3);
    assert_int_equal(seen.heads[1].n, 4);
}

struct prune {
    uint64_t before_ms, keep_max;
    unsigned piece;
    enum audit_signed what;
    bool more;
    int result;
};

static int run_prune(struct store_tx *tx, void *arg)
{
    struct prune *p = arg;
    struct audit_head anchor;
    p->result = audit_prunable(tx, p->before_ms, p->keep_max, p->piece, &anchor, &p->more);
    if (p->result != TEDDY_OK)
        return TEDDY_OK;
    anchor.at_ms = 1;
    assert_int_equal(audit_key_sign(key, p->what, &anchor), TEDDY_OK);
    uint64_t events;
    return audit_prune(tx, &anchor, &events);
}

static struct prune prune(uint64_t before_ms, uint64_t keep_max, unsigned piece)
{
    struct prune p = {before_ms, keep_max, piece, AUDIT_SIGNED_ANCHOR, false, 0};
    assert_int_equal(in_write(store, run_prune, &p), TEDDY_OK);
    return p;
}

static int add_at(struct store_tx *tx, void *arg)
{
    const uint64_t *at_ms = arg;
    char event[8];
    snprintf(event, sizeof event, "e%llu", (unsigned long long)*at_ms);
    return audit_add(tx, &(struct audit_event){.event = event, .at_ms = *at_ms});
}

static void what_is_old_leaves_behind_a_signed_anchor(void **state)
{
    (void)state;
    for (uint64_t at = 1; at <= 9; at++)
        assert_int_equal(in_write(store, add_at, &at), TEDDY_OK);
    assert_int_equal(prune(0, 100, 5).result, TEDDY_ENOTFOUND);
    struct prune p = prune(4, 100, 2);
    assert_true(p.more); /* two of three */
    assert_whole("e3 e4 e5 e6 e7 e8 e9 ");
    p = prune(4, 100, 2);
    assert_false(p.more);
    assert_whole("e4 e5 e6 e7 e8 e9 ");
    p = prune(0, 4, 100); /* by number */
    assert_false(p.more);
    assert_whole("e6 e7 e8 e9 ");
    assert_int_equal(prune(100, 100, 100).result, TEDDY_OK);
    assert_whole("e9 "); /* the newest stays, whatever its age */
    assert_int_equal(prune(100, 100, 100).result, TEDDY_ENOTFOUND);
    add("next");
    assert_whole("e9 next ");
    raw("DELETE FROM audit_anchor");
    assert_fault("events 1 to 8 are missing: the beginning is cut off");
}

static void a_head_does_not_pass_for_an_anchor(void **state)
{
    (void)state;
    struct audit_head head = {.n = 5, .at_ms = 6, .hash = {7}};
    assert_int_equal(audit_key_sign(key, AUDIT_SIGNED_HEAD, &head), TEDDY_OK);
    assert_true(audit_key_verifies(key, AUDIT_SIGNED_HEAD, &head));
    assert_false(audit_key_verifies(key, AUDIT_SIGNED_ANCHOR, &head));
    for (unsigned i = 0; i < 3; i++) {
        struct audit_head other = head;
        other.n += i == 0;
        other.at_ms += i == 1;
        other.hash[0] ^= i == 2;
        assert_false(audit_key_verifies(key, AUDIT_SIGNED_HEAD, &other));
    }
}

static void the_key_is_its_owners_alone(void **state)
{
    (void)state;
    struct audit_key *again = NULL, *public_half = NULL;
    struct audit_head head = {.n = 1};
    uint8_t bytes[AUDIT_PUBLIC_LEN];
    char err[512] = "";
    struct stat st;
    assert_int_equal(stat(key_path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(audit_key_load(key_path, &again, err, sizeof err), TEDDY_OK);
    assert_int_equal(audit_key_sign(again, AUDIT_SIGNED_HEAD, &head), TEDDY_OK);
    assert_true(audit_key_verifies(key, AUDIT_SIGNED_HEAD, &head)); /* the same one */
    audit_key_free(again);
    assert_int_equal(audit_key_public(key, bytes), TEDDY_OK);
    public_half = audit_key_of(bytes);
    assert_true(audit_key_verifies(public_half, AUDIT_SIGNED_HEAD, &head));
    audit_key_free(public_half);
    assert_int_equal(chmod(key_path, 0640), 0);
    assert_int_equal(audit_key_load(key_path, &again, err, sizeof err), TEDDY_EAUTH);
    assert_int_equal(chmod(key_path, 0600), 0);
    assert_int_equal(truncate(key_path, 20), 0);
    assert_int_equal(audit_key_load(key_path, &again, err, sizeof err), TEDDY_EPROTO);
}

/* ---- Pseudonyms ---- */

struct name {
    const char *child_id;
    bool make;
    uint8_t out[AUDIT_CHILD_LEN];
};

static int run_name(struct store_tx *tx, void *arg)
{
    struct name *n = arg;
    return audit_child(tx, n->child_id, n->make, n->out);
}

static int run_erase(struct store_tx *tx, void *arg)
{
    struct child_erased erased;
    return store_child_forget(tx, arg, UINT64_MAX, &erased);
}

static void a_child_keeps_its_pseudonym_until_it_is_forgotten(void **state)
{
    (void)state;
    struct name a = {"kid", false, {0}}, again = {"kid", true, {0}}, b = {"kid2", true, {0}};
    assert_int_equal(in_read(store, run_name, &a), TEDDY_ENOTFOUND);
    a.make = true;
    assert_int_equal(in_write(store, run_name, &a), TEDDY_OK);
    assert_int_equal(in_write(store, run_name, &again), TEDDY_OK);
    assert_int_equal(in_write(store, run_name, &b), TEDDY_OK);
    assert_memory_equal(a.out, again.out, AUDIT_CHILD_LEN);
    assert_memory_not_equal(a.out, b.out, AUDIT_CHILD_LEN);
    assert_int_equal(in_write(store, run_erase, (void *)(uintptr_t) "kid"), TEDDY_OK);
    again.make = false;
    assert_int_equal(in_read(store, run_name, &again), TEDDY_ENOTFOUND);
    again.make = true;
    assert_int_equal(in_write(store, run_name, &again), TEDDY_OK);
    assert_memory_not_equal(a.out, again.out, AUDIT_CHILD_LEN); /* a stranger */
}

/* The writer remembers pseudonyms, but neither that of a child that was forgotten nor one whose key
 * was undone. */
struct claim_step {
    struct step step; /* first */
    const char *child_id;
};

static int run_claim(struct store_tx *tx, struct store_job *job)
{
    struct claim_step *s = (struct claim_step *)job;
    s->step.runs++;
    int rc = audit_add(tx, &(struct audit_event){.event = "claim", .child_id = s->child_id});
    return rc != TEDDY_OK ? rc : s->step.result;
}

static int claim_as(const char *child_id, int result)
{
    struct claim_step s = {.step.result = result, .child_id = child_id};
    s.step.job.run = run_claim;
    return store_write_wait(store, &s.step.job);
}

struct names {
    unsigned count;
    uint8_t child[4][AUDIT_CHILD_LEN];
};

static bool take_name(void *arg, const struct audit_row *row)
{
    struct names *n = arg;
    assert_non_null(row->child);
    memcpy(n->child[n->count++ % 4], row->child, AUDIT_CHILD_LEN);
    return true;
}

static int read_names(struct store_tx *tx, void *arg)
{
    return audit_rows(tx, 0, take_name, arg);
}

static void what_is_remembered_is_what_the_store_has(void **state)
{
    (void)state;
    struct name kept = {"kid", false, {0}};
    struct names n = {0};
    assert_int_equal(claim_as("kid", TEDDY_EDUP), TEDDY_EDUP); /* its key is undone */
    assert_int_equal(claim_as("kid", TEDDY_OK), TEDDY_OK);
    assert_int_equal(claim_as("kid", TEDDY_OK), TEDDY_OK); /* remembered */
    assert_int_equal(in_read(store, run_name, &kept), TEDDY_OK);
    assert_int_equal(in_write(store, run_erase, (void *)(uintptr_t) "kid"), TEDDY_OK);
    assert_int_equal(claim_as("kid", TEDDY_OK), TEDDY_OK);
    assert_int_equal(in_read(store, read_names, &n), TEDDY_OK);
    assert_int_equal(n.count, 3);
    assert_memory_equal(n.child[0], kept.out, AUDIT_CHILD_LEN);
    assert_memory_equal(n.child[1], kept.out, AUDIT_CHILD_LEN);
    assert_memory_not_equal(n.child[2], kept.out, AUDIT_CHILD_LEN);
    assert_int_equal(in_read(store, run_name, &kept), TEDDY_OK);
    assert_memory_equal(n.child[2], kept.out, AUDIT_CHILD_LEN); /* of the key that there is now */
}

static int add_many(struct store_tx *tx, void *arg)
{
    unsigned *from = arg;
    char id[32];
    for (unsigned i = 0; i < 3000; i++) {
        snprintf(id, sizeof id, "kid-%u", *from + i % 1500);
        if (audit_add(tx, &(struct audit_event){.event = "claim", .child_id = id}) != TEDDY_OK)
            return TEDDY_ESTORE;
    }
    return TEDDY_OK;
}

struct many {
    uint8_t child[3000][AUDIT_CHILD_LEN];
    unsigned count;
};

static bool take_many(void *arg, const struct audit_row *row)
{
    struct many *m = arg;
    memcpy(m->child[m->count++], row->child, AUDIT_CHILD_LEN);
    return m->count < 3000;
}

static int read_many(struct store_tx *tx, void *arg)
{
    return audit_rows(tx, 0, take_many, arg);
}

static void many_children_stay_apart(void **state)
{
    (void)state;
    static struct many m;
    unsigned from = 0;
    m.count = 0;
    assert_int_equal(in_write(store, add_many, &from), TEDDY_OK);
    assert_int_equal(in_read(store, read_many, &m), TEDDY_OK);
    assert_int_equal(m.count, 3000);
    for (unsigned i = 0; i < 1500; i++) {
        struct name kept = {.make = false};
        char id[32];
        snprintf(id, sizeof id, "kid-%u", i);
        kept.child_id = id;
        assert_memory_equal(m.child[i], m.child[i + 1500], AUDIT_CHILD_LEN);
        if (i % 100 != 0)
            continue;
        assert_int_equal(in_read(store, run_name, &kept), TEDDY_OK);
        assert_memory_equal(m.child[i], kept.out, AUDIT_CHILD_LEN);
    }
}

/* RFC 4231 has no key of 16 bytes; this is Python's hmac. */
static void hmac_is_hmac(void **state)
{
    static const uint8_t want[] = {0x87, 0xe1, 0xac, 0xd1, 0xc5, 0x7a};
    struct audit_hasher *h = audit_hasher_new();
    uint8_t k[AUDIT_CHILD_LEN], out[AUDIT_HASH_LEN];
    (void)state;
    for (uint8_t i = 0; i < sizeof k; i++)
        k[i] = i;
    assert_true(audit_hmac(h, k, span_of("child123"), out));
    assert_memory_equal(out, want, sizeof want);
    audit_hasher_free(h);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_all, close_all)
    const struct CMUnitTest tests[] = {
        TEST(what_is_undone_leaves_no_gap),
        TEST(it_goes_on_after_a_restart),
        TEST(an_event_of_somebody_else_is_not_passed_over),
        TEST(a_number_that_nothing_can_follow_is_damage),
        TEST(the_table_refuses_to_be_changed),
        TEST(of_each_hour_the_newest_head_stays),
        TEST(what_is_old_leaves_behind_a_signed_anchor),
        TEST(a_head_does_not_pass_for_an_anchor),
        TEST(the_key_is_its_owners_alone),
        TEST(a_child_keeps_its_pseudonym_until_it_is_forgotten),
        TEST(a_pseudonym_has_its_key),
        TEST(what_is_remembered_is_what_the_store_has),
        TEST(many_children_stay_apart),
        cmocka_unit_test(hmac_is_hmac),
    };
    return cmocka_run_group_tests_name("audit", tests, NULL, NULL);
}
