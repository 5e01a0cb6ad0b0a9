/* Imports and batches on a real store: what a CSV may be, how each bad line is named, and that all
 * of its devices are registered or none. */

#include <jansson.h>

#include "admin/command.h"
#include "proto/text.h"
#include "store/test_opened.h"

#define SECRET_A "a1b2c3d4e5f6789012345678901234567890abcdef1234567890abcdef123456"
#define SECRET_B "b1b2c3d4e5f6789012345678901234567890abcdef1234567890abcdef123456"
#define SECRET_C "c1b2c3d4e5f6789012345678901234567890abcdef1234567890abcdef123456"
#define SECRET_D "d1b2c3d4e5f6789012345678901234567890abcdef1234567890abcdef123456"
#define BATCH_ID "0123456789abcdef"

/* Runs and frees; the status, and the body in *json when it is asked for. */
static int finish(struct admin_command *c, json_t **json)
{
    struct admin_answer a;
    assert_non_null(c);
    admin_command_wait(c, store);
    admin_command_answer(c, &a);
    char *text = admin_answer_text(&a, NULL);
    int status = a.status;
    assert_non_null(text);
    json_t *body = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(body);
    free(text);
    admin_answer_fini(&a);
    admin_command_free(c);
    if (json != NULL)
        *json = body;
    else
        json_decref(body);
    return status;
}

static int status_of(enum admin_verb verb, const char *id)
{
    return finish(admin_command_new(verb, id, (struct span){"", 0}), NULL);
}

static void add(const char *id, const char *secret)
{
    struct admin_command *c = admin_command_new(ADMIN_ADD, id, (struct span){"", 0});
    assert_non_null(c);
    assert_int_equal(hex_decode(span_of(secret), c->secret, sizeof c->secret), TEDDY_OK);
    assert_int_equal(finish(c, NULL), 201);
}

/* A device with that very secret is there: adding another with it is refused. */
static void assert_has_secret(const char *id, const char *secret)
{
    char csv[160];
    json_t *json;
    (void)snprintf(csv, sizeof csv, "%s,%s", id, secret);
    assert_int_equal(finish(admin_command_new(ADMIN_IMPORT, "", span_of(csv)), &json), 200);
    assert_int_equal(json_integer_value(json_object_get(json, "already")), 1);
    json_decref(json);
}

static void expect(const char *prefix, struct span csv, long long imported, long long already)
{
    json_t *json;
    assert_int_equal(finish(admin_command_new(ADMIN_IMPORT, prefix, csv), &json), 200);
    assert_int_equal(json_integer_value(json_object_get(json, "imported")), imported);
    assert_int_equal(json_integer_value(json_object_get(json, "already")), already);
    json_decref(json);
}

struct wrong {
    int line;
    const char *what;
};

/* The very lines, in their order, each with what is wrong. */
static void expect_bad(const char *prefix, struct span csv, const struct wrong *want, size_t count)
{
    json_t *json;
    assert_int_equal(finish(admin_command_new(ADMIN_IMPORT, prefix, csv), &json), 422);
    assert_string_equal(json_string_value(json_object_get(json, "code")), "bad_import");
    const json_t *errors = json_object_get(json, "errors");
    assert_int_equal(json_array_size(errors), count);
    for (size_t i = 0; i < count; i++) {
        const json_t *e = json_array_get(errors, i);
        assert_int_equal(json_integer_value(json_object_get(e, "line")), want[i].line);
        assert_string_equal(json_string_value(json_object_get(e, "error")), want[i].what);
    }
    json_decref(json);
}

static void good_lines(void **state)
{
    (void)state;
    expect("",
           span_of("\xef\xbb\xbf"
                   "device_id,oob_secret\r\n"
                   "i1," SECRET_A "\r\n\n"
                   " \"i2\" , \"" SECRET_B "\"\n"
                   "i3," SECRET_C), /* no newline at the end */
           3, 0);
    assert_has_secret("i2", SECRET_B);
    assert_has_secret("i3", SECRET_C);
}

/* A maker's own columns, in the maker's order. */
static void named_columns(void **state)
{
    static const struct wrong other[] = {
        {2, "has another number of columns than the first line"},
        {3, "has a quote that is not closed, or in the middle of a field"}};
    (void)state;
    expect("m",
           span_of("mac,\"oob_secret\",note, device_id ,lot\n"
                   "a0:b1," SECRET_A ",\"brown, \"\"soft\"\"\",m1,7\n"
                   "a0:b2," SECRET_B ",,m2,\n"),
           2, 0);
    assert_has_secret("m1", SECRET_A);
    assert_has_secret("m2", SECRET_B);
    expect_bad(
        "", span_of("device_id,lot,oob_secret\nx," SECRET_C "\n\"x,7," SECRET_C "\ny,7," SECRET_C),
        other, 2);
    assert_int_equal(status_of(ADMIN_SHOW, "y"), 404);
}

static void bad_lines(void **state)
{
    static const struct wrong want[] = {
        {2, "is not device_id,oob_secret"},
        {3, "device_id is not 1 to 64 of A-Z a-z 0-9 _ -"},
        {4, "oob_secret is not 64 hex digits"},
        {5, "oob_secret is not 64 hex digits"},
        {6, "is not device_id,oob_secret"},
        {7, "device_id is registered already"},
        {8, "another device has this oob_secret"},
        {9, "device_id is not 1 to 64 of A-Z a-z 0-9 _ -"},
        {10, "device_id is that of line 1"},
        {11, "oob_secret is that of line 10"},
        {12, "has a quote that is not closed, or in the middle of a field"},
    };
    static const struct wrong outside[] = {{2, "device_id does not begin with the prefix"}};
    static const struct wrong header[] = {{2, "oob_secret is not 64 hex digits"}};
    static const struct wrong none[] = {{0, "there is no device in the file"}};
    (void)state;
    add("there", SECRET_A);
    expect_bad("",
               span_of("new1," SECRET_B "\n"
                       "nonsense\n"
                       "bad id," SECRET_C "\n"
                       "new2,abcd\n"
                       "new3,\n"
                       "new4," SECRET_C ",x\n"
                       "there," SECRET_C "\n"
                       "new5," SECRET_A "\n"
                       "," SECRET_C "\n"
                       "new1," SECRET_D "\n"
                       "new6," SECRET_D "\n"
                       "\"new7," SECRET_D "\n"),
               want, sizeof want / sizeof want[0]);
    assert_int_equal(status_of(ADMIN_SHOW, "new1"), 404);
    expect_bad("n-", span_of("n-1," SECRET_B "\nm-2," SECRET_C), outside, 1);
    expect_bad("n-", span_of("n-1," SECRET_B "\nn," SECRET_C), outside, 1);
    expect("n-", span_of("n-1," SECRET_B), 1, 0);
    expect_bad("", span_of(""), none, 1);
    /* The names are a header on the first line alone. */
    expect_bad("", span_of("\ndevice_id,oob_secret\n"), header, 1);
}

/* Many lines `prefix-N,secret`, from first; and room for more. */
struct lines {
    char *text;
    size_t len, cap;
};

static void put_lines(struct lines *l, const char *prefix, unsigned first, unsigned count)
{
    if (l->text == NULL) {
        l->cap = 100 * ((size_t)count + 10);
        l->text = malloc(l->cap);
        assert_non_null(l->text);
    }
    for (unsigned i = first; i < first + count; i++)
        l->len +=
            (size_t)snprintf(l->text + l->len, l->cap - l->len, "%s%06u,%064x\n", prefix, i, i + 1);
}

/* Once a row is refused, whatever was added before it leaves with it, and the rows behind it are
 * named all the same. */
static void whole_or_not_at_all(void **state)
{
    enum { ROWS = 3000 };
    static const struct wrong want[] = {{ROWS / 2 + 1, "device_id is registered already"},
                                        {ROWS, "another device has this oob_secret"}};
    char taken[80];
    struct lines l = {0};
    (void)state;
    put_lines(&l, "p-", 0, ROWS);
    add("p-001500", SECRET_A);
    (void)snprintf(taken, sizeof taken, "%064x", ROWS);
    add("other", taken);
    for (int again = 0; again < 2; again++)
        expect_bad("", (struct span){l.text, l.len}, want, 2);
    assert_int_equal(status_of(ADMIN_SHOW, "p-000000"), 404);
    assert_int_equal(status_of(ADMIN_SHOW, "p-002998"), 404);
    assert_int_equal(status_of(ADMIN_REMOVE, "p-001500"), 200);
    assert_int_equal(status_of(ADMIN_REMOVE, "other"), 200);
    expect("", (struct span){l.text, l.len}, ROWS, 0);
    expect("", (struct span){l.text, l.len}, 0, ROWS);
    assert_int_equal(status_of(ADMIN_REMOVE, "p-000007"), 200);
    expect("", (struct span){l.text, l.len}, 1, ROWS - 1);
    free(l.text);
}

/* What a job finds is no less right when the group it is in runs twice, and what was in the way is
 * gone the second time. */
static void a_second_run_looks_again(void **state)
{
    struct admin_command *c =
        admin_command_new(ADMIN_IMPORT, "", span_of("r1," SECRET_A "\nr2," SECRET_B));
    (void)state;
    assert_non_null(c);
    add("r2", SECRET_C);
    assert_int_equal(store_write_wait(store, &c->job), TEDDY_EPROTO);
    assert_int_equal(status_of(ADMIN_SHOW, "r1"), 404);
    assert_int_equal(status_of(ADMIN_REMOVE, "r2"), 200);
    assert_int_equal(store_write_wait(store, &c->job), TEDDY_OK);
    admin_command_free(c);
    assert_has_secret("r1", SECRET_A);
    assert_has_secret("r2", SECRET_B);
}

static void large(void **state)
{
    struct lines l = {0};
    json_t *json;
    (void)state;
    put_lines(&l, "bulk-", 0, 20000);
    expect("", (struct span){l.text, l.len}, 20000, 0);
    /* Nothing but bad lines: the first thousand are named, all are counted. */
    size_t lines = l.len / 2;
    for (size_t i = 0; i < lines; i++)
        memcpy(l.text + 2 * i, "x\n", 2);
    assert_int_equal(
        finish(admin_command_new(ADMIN_IMPORT, "", (struct span){l.text, 2 * lines}), &json), 422);
    assert_int_equal(json_array_size(json_object_get(json, "errors")), IMPORT_ERRORS_MAX);
    char counted[64];
    (void)snprintf(counted, sizeof counted, "%zu bad lines", lines);
    assert_non_null(strstr(json_string_value(json_object_get(json, "detail")), counted));
    json_decref(json);
    /* Every byte there is, also NUL. */
    for (size_t i = 0; i < 4096; i++)
        l.text[i] = (char)(i * 7 + i / 256);
    assert_int_equal(finish(admin_command_new(ADMIN_IMPORT, "", (struct span){l.text, 4096}), NULL),
                     422);
    free(l.text);
}

/* ---- Batches ---- */

static const struct batch_row plain = {.prefix = "t-", .first = 5, .digits = 6};

static struct admin_command *batch_of(const char *id, struct span csv, const struct batch_row *row,
                                      const char **wrong)
{
    struct admin_command *c = admin_command_new(ADMIN_BATCH_ADD, id, csv);
    assert_non_null(c);
    *wrong = admin_command_batch(c, row);
    return c;
}

static int add_batch(const char *id, struct span csv, json_t **json)
{
    const char *wrong;
    struct admin_command *c = batch_of(id, csv, &plain, &wrong);
    assert_null(wrong);
    return finish(c, json);
}

static json_t *batches(const char *id, const char *prefix, int64_t after)
{
    struct admin_command *c = admin_command_new(ADMIN_BATCH_LIST, id, (struct span){"", 0});
    json_t *json;
    assert_non_null(c);
    assert_false(admin_command_writes(c));
    (void)snprintf(c->batch.prefix, sizeof c->batch.prefix, "%s", prefix);
    c->batch.row = after;
    assert_int_equal(finish(c, &json), 200);
    return json;
}

static size_t batch_count(const char *id, const char *prefix)
{
    json_t *json = batches(id, prefix, 0);
    size_t count = json_array_size(json_object_get(json, "batches"));
    json_decref(json);
    return count;
}

static void a_batch_with_its_devices(void **state)
{
    struct lines l = {0};
    json_t *json;
    (void)state;
    put_lines(&l, "t-", 5, 300);
    assert_int_equal(add_batch(BATCH_ID, (struct span){l.text, l.len}, &json), 201);
    assert_int_equal(json_integer_value(json_object_get(json, "count")), 300);
    json_decref(json);
    assert_int_equal(status_of(ADMIN_SHOW, "t-000304"), 200);
    json = batches("", "t-", 0);
    assert_int_equal(json_integer_value(json_object_get(json, "next_number")), 305);
    const json_t *b = json_array_get(json_object_get(json, "batches"), 0);
    assert_string_equal(json_string_value(json_object_get(b, "id")), BATCH_ID);
    assert_int_equal(json_integer_value(json_object_get(b, "first")), 5);
    assert_true(json_is_null(json_object_get(json, "next")));
    json_decref(json);
    assert_int_equal(batch_count(BATCH_ID, ""), 1);
    assert_int_equal(batch_count("fedcba9876543210", ""), 0);
    assert_int_equal(batch_count("", "other-"), 0);
    /* The same once more, by who never got the answer. */
    assert_int_equal(add_batch(BATCH_ID, (struct span){l.text, l.len}, &json), 409);
    assert_string_equal(json_string_value(json_object_get(json, "code")), "batch_exists");
    json_decref(json);
    free(l.text);
}

/* One device is in the way: neither the batch nor any other of its devices is there. */
static void no_half_batch(void **state)
{
    struct lines l = {0};
    json_t *json;
    (void)state;
    put_lines(&l, "t-", 5, 300);
    add("t-000250", SECRET_A);
    assert_int_equal(add_batch(BATCH_ID, (struct span){l.text, l.len}, &json), 409);
    assert_string_equal(json_string_value(json_object_get(json, "code")), "batch_conflict");
    assert_int_equal(json_array_size(json_object_get(json, "errors")), 1);
    json_decref(json);
    assert_int_equal(batch_count(BATCH_ID, ""), 0);
    assert_int_equal(status_of(ADMIN_SHOW, "t-000005"), 404);
    assert_int_equal(status_of(ADMIN_SHOW, "t-000304"), 404);
    free(l.text);
}

static void a_batch_is_what_it_says(void **state)
{
    static const struct {
        const char *id, *csv;
        struct batch_row row;
        const char *wrong;
    } cases[] = {
        {"0123456789ABCDEF",
         "t-000005," SECRET_A,
         {.prefix = "t-", .first = 5, .digits = 6},
         "id is"},
        {"0123456789abcde",
         "t-000005," SECRET_A,
         {.prefix = "t-", .first = 5, .digits = 6},
         "id is"},
        {"0123456789abcdef0",
         "t-000005," SECRET_A,
         {.prefix = "t-", .first = 5, .digits = 6},
         "id is"},
        {BATCH_ID, "t-000006," SECRET_A, {.prefix = "t-", .first = 5, .digits = 6}, "not prefix"},
        {BATCH_ID,
         "t-000005," SECRET_A "\nt-000007," SECRET_B,
         {.prefix = "t-", .first = 5, .digits = 6},
         "not prefix"},
        {BATCH_ID, "t-00005," SECRET_A, {.prefix = "t-", .first = 5, .digits = 6}, "not prefix"},
        {BATCH_ID, "t-5," SECRET_A, {.prefix = "t-", .first = 5, .digits = 0}, "digits"},
        {BATCH_ID, "t-5," SECRET_A, {.prefix = "t-", .first = 5, .digits = 19}, "digits"},
        {BATCH_ID, "t-5," SECRET_A, {.prefix = "t-", .first = UINT64_MAX, .digits = 1}, "first"},
        {BATCH_ID, "5," SECRET_A, {.prefix = "", .first = 5, .digits = 1}, "prefix"},
        {BATCH_ID, "t-5,12", {.prefix = "t-", .first = 5, .digits = 1}, "not a CSV"},
        {BATCH_ID,
         "t-5," SECRET_A "\nt-6," SECRET_A,
         {.prefix = "t-", .first = 5, .digits = 1},
         "not a CSV"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *wrong;
        struct admin_command *c =
            batch_of(cases[i].id, span_of(cases[i].csv), &cases[i].row, &wrong);
        if (wrong == NULL || strstr(wrong, cases[i].wrong) == NULL)
            fail_msg("case %zu: %s", i, wrong != NULL ? wrong : "(none)");
        admin_command_free(c);
    }
}

static void pages_of_batches(void **state)
{
    struct batch_row row = plain;
    char id[24], csv[128];
    const char *wrong;
    (void)state;
    for (unsigned n = 0; n < ADMIN_BATCHES_MAX + 2; n++) {
        row.first = n;
        (void)snprintf(id, sizeof id, "%016x", n);
        (void)snprintf(csv, sizeof csv, "t-%06u,%064x", n, n + 1);
        struct admin_command *c = batch_of(id, span_of(csv), &row, &wrong);
        assert_null(wrong);
        assert_int_equal(finish(c, NULL), 201);
    }
    json_t *json = batches("", "", 0);
    assert_int_equal(json_array_size(json_object_get(json, "batches")), ADMIN_BATCHES_MAX);
    int64_t next = json_integer_value(json_object_get(json, "next"));
    json_decref(json);
    assert_true(next > 0);
    json = batches("", "", next);
    assert_int_equal(json_array_size(json_object_get(json, "batches")), 2);
    assert_true(json_is_null(json_object_get(json, "next")));
    json_decref(json);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(good_lines),
        WITH_STORE(named_columns),
        WITH_STORE(bad_lines),
        WITH_STORE(whole_or_not_at_all),
        WITH_STORE(a_second_run_looks_again),
        WITH_STORE(large),
        WITH_STORE(a_batch_with_its_devices),
        WITH_STORE(no_half_batch),
        WITH_STORE(a_batch_is_what_it_says),
        WITH_STORE(pages_of_batches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
