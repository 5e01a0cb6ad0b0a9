/* What is kept of a child, and that nothing of it is left once it is forgotten: in no table, in no
 * file; and that the list of the forgotten brings an older or interrupted database up to it. */
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <time.h>

#include "proto/text.h"
#include "store/audit.h"
#include "store/children.h"
#include "store/erasures.h"
#include "store/history.h"
#include "store/test_opened.h"

static const char *list_path(void)
{
    static char path[96];
    snprintf(path, sizeof path, "%s/" ERASURES_FILE, place.dir);
    return path;
}

/* ---- The files, and the tables as another program sees them ---- */

static bool file_has(const char *path, const void *needle, size_t len)
{
    struct stat st;
    int fd = open(path, O_RDONLY);
    if (fd < 0)
        return false;
    assert_int_equal(fstat(fd, &st), 0);
    char *bytes = malloc((size_t)st.st_size + 1);
    assert_non_null(bytes);
    assert_int_equal(read(fd, bytes, (size_t)st.st_size), st.st_size);
    close(fd);
    bool found = memmem(bytes, (size_t)st.st_size, needle, len) != NULL;
    free(bytes);
    return found;
}

static bool files_have(const void *needle, size_t len)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    char path[80];
    bool found = file_has(list_path(), needle, len);
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s%s", place.path, ends[i]);
        found |= file_has(path, needle, len);
    }
    return found;
}

static sqlite3 *raw_open(void)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(place.path, &db), SQLITE_OK);
    return db;
}

/* Calls each for every column of every table. */
static void each_column(void (*each)(void *arg, const char *table, const char *column), void *arg)
{
    sqlite3 *db = raw_open();
    sqlite3_stmt *st = NULL;
    assert_int_equal(sqlite3_prepare_v2(db,
                                        "SELECT t.name, c.name FROM sqlite_schema t,"
                                        " pragma_table_info(t.name) c WHERE t.type = 'table'",
                                        -1, &st, NULL),
                     SQLITE_OK);
    while (sqlite3_step(st) == SQLITE_ROW)
        each(arg, (const char *)sqlite3_column_text(st, 0),
             (const char *)sqlite3_column_text(st, 1));
    sqlite3_finalize(st);
    sqlite3_close(db);
}

static void assert_without(void *arg, const char *table, const char *column)
{
    char sql[320];
    snprintf(
        sql, sizeof sql,
        "SELECT count(*) FROM \"%s\" WHERE instr(CAST(\"%s\" AS BLOB), CAST('%s' AS BLOB)) > 0",
        table, column, (const char *)arg);
    if (number(sql) != 0)
        fail_msg("%s.%s still says %s", table, column, (const char *)arg);
}

/* ---- What a child has ---- */

#define WORDS "good night, little one"

/* The toy was here, and said how it is. */
static int past_of(struct store_tx *tx, const char *device_id)
{
    struct device_row device;
    struct family_row family;
    int err = store_device_get(tx, device_id, &device);
    if (err == TEDDY_OK)
        err = store_family_get(tx, device_id, NULL, &family);
    struct history_owner owner = {device_id, device.child_id, family.sid};
    struct telemetry_row row = {.at_s = 101, .has = 1};
    if (err == TEDDY_OK)
        err = store_telemetry_add(tx, &owner, &row, &(struct telemetry_bounds){1, 9});
    return err != TEDDY_OK ? err : store_session_add(tx, &owner, &(struct past_session){0});
}

static int fill_body(struct store_tx *tx, void *arg)
{
    static const char *const ids[] = {"a", "b", "c"};
    uint8_t secret[LIMIT_SECRET_LEN];
    uint64_t expired;
    (void)arg;
    assert_int_equal(store_epoch_open(tx, 7), TEDDY_OK);
    for (unsigned i = 0; i < 3; i++) {
        secret_of(i, secret);
        assert_int_equal(store_device_add(tx, ids[i], secret, 1), TEDDY_OK);
        assert_int_equal(bind_child(tx, ids[i], i < 2 ? "kid-of-this-test" : "kid-of-another",
                                    (uint8_t)(0x70 + i), 100),
                         TEDDY_OK);
        assert_int_equal(past_of(tx, ids[i]), TEDDY_OK);
        struct downlink_row d = {
            .body = {WORDS, strlen(WORDS)}, .queued_s = 100, .expires_s = 1000000};
        assert_int_equal(store_downlink_add(tx, ids[i], &d, 9, &expired), TEDDY_OK);
        assert_int_equal(audit_add(tx, &(struct audit_event){.event = "claim.accepted",
                                                             .device_id = ids[i],
                                                             .child_id = i < 2 ? "kid-of-this-test"
                                                                               : "kid-of-another"}),
                         TEDDY_OK);
        talk_with(tx, ids[i], i < 2 ? "kid-of-this-test" : "kid-of-another");
    }
    return TEDDY_OK;
}

static int forget_body(struct store_tx *tx, void *arg)
{
    struct child_erased *erased = arg;
    store_scrub(tx);
    return store_child_forget(tx, "kid-of-this-test", UINT64_MAX, erased);
}

#define TALK_ROWS                                                                                  \
    "SELECT (SELECT count(*) FROM profile) + (SELECT count(*) FROM turn)"                          \
    " + (SELECT count(*) FROM played) + (SELECT count(*) FROM blocked)"                            \
    " + (SELECT count(*) FROM alert) + (SELECT count(*) FROM blocked_words)"                       \
    " + (SELECT count(*) FROM limits)"

static void nothing_of_it_is_left(void **state)
{
    struct child_erased erased;
    (void)state;
    run(fill_body, NULL);
    assert_int_equal(number("UPDATE device SET client_timestamp = 'kid-of-this-test'"
                            " WHERE child_id = 'kid-of-this-test' RETURNING 1"),
                     1); /* a toy can say what it likes */
    assert_true(files_have("kid-of-this-test", 16));
    run(forget_body, &erased);
    for (unsigned i = 0; i < CHILD_TABLES; i++) /* two toys, one child */
        assert_int_equal(erased.rows[i], strcmp(erased.table[i], "child") == 0 ||
                                                 strcmp(erased.table[i], "limits") == 0
                                             ? 1
                                             : 2);
    each_column(assert_without, (void *)(uintptr_t) "kid-of-this-test");
    assert_false(files_have("kid-of-this-test", 16)); /* at once: the log is cut */
    uint8_t jti[2 * STORE_JTI_LEN];
    memset(jti, 0x70, STORE_JTI_LEN);
    assert_false(files_have(jti, STORE_JTI_LEN));
    assert_int_equal(number("SELECT count(*) FROM device WHERE device_id IN ('a', 'b') AND"
                            " (child_id || client_timestamp <> '' OR claimed_s + seen_s + iat_s"
                            " + access_exp_s + refresh_exp_s + presented + spent_s <> 0 OR"
                            " coalesce(sid, access_jti, refresh_jti, spent_jti) IS NOT NULL)"),
                     0);
    /* What is another's is there. */
    assert_int_equal(number("SELECT count(*) FROM downlink"), 1);
    assert_int_equal(number("SELECT count(*) FROM child"), 1);
    assert_true(files_have("kid-of-another", 14));
    assert_int_equal(number("SELECT count(*) FROM audit"), 3);
    assert_int_equal(number(TALK_ROWS), 7);

    run(forget_body, &erased);
    for (unsigned i = 0; i < CHILD_TABLES; i++)
        assert_int_equal(erased.rows[i], 0);
}

/* Each table and column that can be about a child, and where it is said what becomes of it: whoever
 * adds one comes by here. */
static void decide(void *arg, const char *table, const char *column)
{
    static const struct {
        const char *table, *column;
    } kept[] = {
        {"audit", "child"},         /* the pseudonym, whose key goes */
        {"audit", "device_id"},     /* the toy's */
        {"claim_key", "device_row"} /* replay rows: docs/privacy.md */
    };
    const struct child_erased *erased = arg;
    if (strstr(column, "child") == NULL && strcmp(column, "device_id") != 0 &&
        strcmp(column, "device_row") != 0)
        return;
    for (unsigned i = 0; i < CHILD_TABLES; i++)
        if (strcmp(table, erased->table[i]) == 0)
            return;
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
        if (strcmp(table, kept[i].table) == 0 && strcmp(column, kept[i].column) == 0)
            return;
    fail_msg("%s.%s: store_child_forget does nothing about it, and docs/privacy.md says nothing",
             table, column);
}

static void every_table_is_decided_on(void **state)
{
    struct child_erased erased;
    (void)state;
    run(forget_body, &erased);
    each_column(decide, &erased);
}

/* ---- Copies that SQLite leaves behind where rows were moved ---- */

#define TOYS 3000

struct crowd {
    unsigned from, to;
};

static void crowd_id(unsigned i, char id[32])
{
    snprintf(id, 32, "crowd-%08x-%04u", (unsigned)(i * 2654435761u), i);
}

static int crowd_add(struct store_tx *tx, void *arg)
{
    uint8_t secret[LIMIT_SECRET_LEN];
    char device[32];
    (void)arg;
    for (unsigned i = 0; i < TOYS; i++) {
        secret_of(i, secret);
        snprintf(device, sizeof device, "t%u", i);
        assert_int_equal(store_device_add(tx, device, secret, 1), TEDDY_OK);
    }
    return TEDDY_OK;
}

static int crowd_bind(struct store_tx *tx, void *arg)
{
    const struct crowd *c = arg;
    char device[32], id[32];
    for (unsigned i = c->from; i < c->to; i++) {
        unsigned toy = i * 7919u % TOYS;
        uint8_t name[AUDIT_CHILD_LEN];
        snprintf(device, sizeof device, "t%u", toy);
        crowd_id(toy, id);
        assert_int_equal(bind_child(tx, device, id, 1, 100), TEDDY_OK);
        assert_int_equal(audit_child(tx, id, true, name), TEDDY_OK);
    }
    return TEDDY_OK;
}

static int crowd_forget(struct store_tx *tx, void *arg)
{
    struct child_erased erased;
    char id[32];
    (void)arg;
    store_scrub(tx);
    for (unsigned i = 0; i < TOYS; i++) {
        crowd_id(i, id);
        assert_int_equal(store_child_forget(tx, id, UINT64_MAX, &erased), TEDDY_OK);
        uint64_t all = 0; /* the toy and the child */
        for (unsigned t = 0; t < CHILD_TABLES; t++)
            all += erased.rows[t];
        assert_int_equal(all, 2);
    }
    return TEDDY_OK;
}

static void no_copy_is_left_where_rows_were_moved(void **state)
{
    (void)state;
    run(crowd_add, NULL);
    for (unsigned i = 0; i < TOYS; i += 100)
        run(crowd_bind, &(struct crowd){i, i + 100});
    run(crowd_forget, NULL);
    assert_false(files_have("crowd-", 6));
    assert_int_equal(number("SELECT count(*) FROM device WHERE child_id = ''"), TOYS);
    sqlite3 *db = raw_open();
    sqlite3_stmt *st = NULL;
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(st, 0), "ok");
    sqlite3_finalize(st);
    sqlite3_close(db);
}

/* ---- The list ---- */

struct listing {
    uint64_t at_s;
    int result;
};

static int append_body(struct store_tx *tx, void *arg)
{
    struct listing *l = arg;
    assert_int_equal(erasures_append(tx, "kid-of-this-test", l->at_s), TEDDY_OK);
    return l->result;
}

/* Listed, and then the power goes before the commit. */
static void list_alone(uint64_t at_s)
{
    struct listing l = {at_s, TEDDY_EINVAL};
    assert_int_equal(in_write(store, append_body, &l), TEDDY_EINVAL);
}

static void assert_bound(const char *device_id, bool bound)
{
    char sql[128];
    snprintf(sql, sizeof sql, "SELECT child_id <> '' FROM device WHERE device_id = '%s'",
             device_id);
    assert_int_equal(number(sql), bound);
}

static void a_list_is_applied_at_the_next_start(void **state)
{
    (void)state;
    run(fill_body, NULL);
    list_alone((uint64_t)time(NULL) + 1);
    assert_bound("a", true);
    reopen();
    assert_bound("a", false);
    assert_bound("b", false);
    assert_bound("c", true);
    assert_int_equal(number("SELECT count(*) FROM audit WHERE event = 'child.forgotten' AND"
                            " child IS NOT NULL AND actor = 'server'"),
                     1);
    assert_int_equal(number("SELECT count(*) FROM child"), 1);
    store_close(store);
    assert_false(files_have("kid-of-this-test", 16));
    store = must_open(&(struct store_options){.path = place.path});
    assert_int_equal(number("SELECT count(*) FROM audit"), 4); /* once */
}

static int bind_again(struct store_tx *tx, void *arg)
{
    (void)arg;
    return bind_child(tx, "a", "kid-of-this-test", 9, 5000);
}

/* Of a restored database: what is younger than the erasure is another child's. */
static void a_child_that_came_back_is_another(void **state)
{
    (void)state;
    run(fill_body, NULL);
    run(bind_again, NULL);
    list_alone(4999);
    reopen();
    assert_bound("a", true);
    assert_bound("b", false);
    list_alone(5000);
    reopen();
    assert_bound("a", false);
}

static void a_restored_database_is_brought_up_to_the_list(void **state)
{
    char copy[96], sql[160];
    struct child_erased erased;
    struct listing l = {100, TEDDY_OK};
    (void)state;
    run(fill_body, NULL);
    snprintf(copy, sizeof copy, "%s/copy.db", place.dir);
    snprintf(sql, sizeof sql, "VACUUM INTO '%s'", copy);
    sqlite3 *db = raw_open();
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    run(append_body, &l);
    run(forget_body, &erased);
    store_close(store);
    assert_int_equal(rename(copy, place.path), 0);
    store = must_open(&(struct store_options){.path = place.path});
    assert_bound("a", false);
    assert_bound("c", true);
    assert_int_equal(number(TALK_ROWS), 7); /* the other child's */
}

static void write_list(const char *text)
{
    FILE *f = fopen(list_path(), "a");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void what_a_power_cut_left_of_a_line_is_no_line(void **state)
{
    static const char longer[] = "\nv1 0\0\0\0\0\n\0\0"; /* the file was made longer, not written */
    char line[200] = "";
    (void)state;
    run(fill_body, NULL);
    write_list("v1 00112233"); /* no end */
    list_alone(100);
    FILE *f = fopen(list_path(), "r");
    assert_non_null(f);
    assert_string_equal(fgets(line, sizeof line, f), "v1 00112233\n");
    assert_non_null(fgets(line, sizeof line, f));
    assert_int_equal(strlen(line), 3 + 64 + 1 + 3 + 1);
    assert_memory_equal(line, "v1 ", 3);
    assert_string_equal(line + 67, " 100\n");
    fclose(f);
    f = fopen(list_path(), "a");
    assert_non_null(f);
    assert_int_equal(fwrite(longer, 1, sizeof longer, f), sizeof longer);
    assert_int_equal(fclose(f), 0);
    reopen();
    assert_bound("a", false);
}

static void a_damaged_line_keeps_the_server_from_starting(void **state)
{
    static const char *const bad[] = {"v2 what a later release writes\n", "v1 zz 5\n", "x\n",
                                      "v1 00112233 \n"};
    struct store_options o = {.path = place.path, .master = test_master()};
    (void)state;
    run(fill_body, NULL);
    list_alone(100);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct store *none = NULL;
        char err[512] = "";
        struct stat st;
        store_close(store);
        assert_int_equal(stat(list_path(), &st), 0);
        write_list(bad[i]);
        assert_int_equal(store_open(&o, &none, err, sizeof err), TEDDY_ESTORE);
        assert_non_null(strstr(err, "of the list of forgotten children is damaged"));
        assert_int_equal(truncate(list_path(), st.st_size), 0);
        store = must_open(&o);
        assert_bound("a", false);
    }
}

static int list_and_forget(struct store_tx *tx, void *arg)
{
    struct child_erased erased;
    (void)arg;
    int err = erasures_append(tx, "kid-of-this-test", 100);
    return err != TEDDY_OK ? err : store_child_forget(tx, "kid-of-this-test", UINT64_MAX, &erased);
}

static void without_the_list_nothing_is_forgotten(void **state)
{
    (void)state;
    run(fill_body, NULL);
    assert_int_equal(mkdir(list_path(), 0700), 0);
    assert_int_equal(in_write(store, list_and_forget, NULL), TEDDY_ESTORE);
    assert_bound("a", true);
    assert_int_equal(rmdir(list_path()), 0);
    run(list_and_forget, NULL);
    assert_bound("a", false);
    struct stat st;
    assert_int_equal(stat(list_path(), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

/* ---- Revocation, and what is shown ---- */

static int revoke_body(struct store_tx *tx, void *arg)
{
    return store_child_revoke(tx, "kid-of-this-test", arg);
}

static void revocation_keeps_the_bindings(void **state)
{
    uint64_t devices = 0;
    (void)state;
    run(fill_body, NULL);
    run(revoke_body, &devices);
    assert_int_equal(devices, 2);
    assert_bound("a", true);
    assert_int_equal(number("SELECT count(*) FROM device WHERE sid IS NOT NULL"), 1);
    run(revoke_body, &devices);
    assert_int_equal(devices, 0);
}

struct shown {
    char text[512];
    int64_t row;
    struct downlink_id id;
    unsigned limit;
};

static bool show_binding(void *arg, const struct child_binding *b)
{
    struct shown *s = arg;
    size_t len = strlen(s->text);
    snprintf(s->text + len, sizeof s->text - len, "%s%s;", b->device_id, b->has_family ? "+" : "");
    s->row = b->row;
    return true;
}

static bool show_message(void *arg, const struct child_message *m)
{
    struct shown *s = arg;
    size_t len = strlen(s->text);
    snprintf(s->text + len, sizeof s->text - len, "%s:%.*s;", m->device_id,
             (int)m->message.body.len, m->message.body.p);
    s->row = m->row;
    s->id = m->message.id;
    return true;
}

static int bindings_body(struct store_tx *tx, void *arg)
{
    struct shown *s = arg;
    return store_child_bindings(tx, "kid-of-this-test", s->row, s->limit, show_binding, s);
}

static int messages_body(struct store_tx *tx, void *arg)
{
    struct shown *s = arg;
    struct downlink_id after = s->id;
    return store_child_messages(tx, "kid-of-this-test", s->row, &after, s->limit, show_message, s);
}

static void bindings_and_messages_are_shown_in_pages(void **state)
{
    struct shown s = {.limit = 9};
    (void)state;
    run(fill_body, NULL);
    assert_int_equal(in_read(store, bindings_body, &s), TEDDY_OK);
    assert_string_equal(s.text, "a+;b+;");
    s = (struct shown){.limit = 1};
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(in_read(store, bindings_body, &s), TEDDY_OK);
    assert_string_equal(s.text, "a+;b+;");
    s = (struct shown){.limit = 1};
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(in_read(store, messages_body, &s), TEDDY_OK);
    assert_string_equal(s.text, "a:" WORDS ";b:" WORDS ";");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(nothing_of_it_is_left),
        T(every_table_is_decided_on),
        T(no_copy_is_left_where_rows_were_moved),
        T(a_list_is_applied_at_the_next_start),
        T(a_child_that_came_back_is_another),
        T(a_restored_database_is_brought_up_to_the_list),
        T(what_a_power_cut_left_of_a_line_is_no_line),
        T(a_damaged_line_keeps_the_server_from_starting),
        T(without_the_list_nothing_is_forgotten),
        T(revocation_keeps_the_bindings),
        T(bindings_and_messages_are_shown_in_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
