/* What is done about a child, as commands: the receipt and what breaks it, revocation, and the
 * pages of an export. */
#include "store/test_store.h"

#include <jansson.h>

#include "admin/child.h"
#include "admin/receipt.h"
#include "proto/text.h"
#include "store/erasures.h"

static struct place place;
static struct store *store;
static struct audit_key *key;

static const char *beside(const char *name)
{
    static char path[96];
    (void)snprintf(path, sizeof path, "%s/%s", place.dir, name);
    return path;
}

static int setup(void **state)
{
    char err[256];
    (void)state;
    place_make(&place);
    store = must_open(&(struct store_options){.path = place.path});
    return audit_key_load(beside(AUDIT_KEY_FILE), &key, err, sizeof err);
}

static int teardown(void **state)
{
    (void)state;
    store_close(store);
    audit_key_free(key);
    (void)unlink(beside(AUDIT_KEY_FILE));
    (void)unlink(beside(ERASURES_FILE));
    place_remove(&place);
    return 0;
}

static json_t *finish(enum admin_verb verb, const char *child_id, const char *after, int status)
{
    struct admin_command *c = admin_command_new(verb, child_id, span_of(""));
    struct admin_answer a;
    json_t *json;

    assert_non_null(c);
    c->child->key = key;
    (void)snprintf(c->child->after, sizeof c->child->after, "%s", after);
    admin_command_wait(c, store);
    admin_command_answer(c, &a);
    assert_int_equal(a.status, status);
    json = a.body != NULL ? json_loads(a.body, 0, NULL) : NULL;
    admin_answer_fini(&a);
    admin_command_free(c);
    return json;
}

struct fill {
    unsigned toys, messages, events;
};

static int fill_body(struct store_tx *tx, void *arg)
{
    const struct fill *f = arg;
    uint8_t secret[LIMIT_SECRET_LEN];
    uint64_t expired;
    char id[16];

    assert_int_equal(store_epoch_open(tx, 7), TEDDY_OK);
    for (unsigned i = 0; i < f->toys; i++) {
        (void)snprintf(id, sizeof id, "t%03u", i);
        secret_of(i, secret);
        assert_int_equal(store_device_add(tx, id, secret, 1), TEDDY_OK);
        assert_int_equal(bind_child(tx, id, "kid", 1, 100), TEDDY_OK);
        for (unsigned m = 0; m < f->messages; m++) {
            struct downlink_row d = {.body = {"hi", 2}, .queued_s = 100, .expires_s = 99999999999};
            assert_int_equal(store_downlink_add(tx, id, &d, 999, &expired), TEDDY_OK);
        }
    }
    for (unsigned i = 0; i < f->events; i++)
        assert_int_equal(audit_add(tx, &(struct audit_event){.event = "claim.accepted",
                                                             .child_id = i % 3 ? "kid" : "kid2"}),
                         TEDDY_OK);
    return TEDDY_OK;
}

static void fill(unsigned toys, unsigned messages, unsigned events)
{
    assert_int_equal(in_write(store, fill_body, &(struct fill){toys, messages, events}), TEDDY_OK);
}

static json_int_t erased(const json_t *receipt, const char *table)
{
    const json_t *rows = json_object_get(json_object_get(receipt, "erased"), table);
    assert_true(json_is_integer(rows));
    return json_integer_value(rows);
}

static void a_receipt_says_what_was_erased(void **state)
{
    (void)state;
    fill(2, 3, 2);
    json_t *receipt = finish(ADMIN_FORGET, "kid", "", 200);
    assert_int_equal(erased(receipt, "device"), 2);
    assert_int_equal(erased(receipt, "downlink"), 6);
    assert_int_equal(erased(receipt, "child"), 1);
    assert_int_equal(json_integer_value(json_object_get(receipt, "event")), 3);
    assert_int_equal(json_string_length(json_object_get(receipt, "child")), 32);
    assert_null(receipt_fault(receipt, key));
    char *text = json_dumps(receipt, 0);
    assert_null(strstr(text, "kid"));
    free(text);
    json_decref(receipt);

    receipt = finish(ADMIN_FORGET, "kid", "", 200); /* there is nothing more */
    assert_true(json_is_null(json_object_get(receipt, "child")));
    assert_int_equal(
        erased(receipt, "device") + erased(receipt, "downlink") + erased(receipt, "child"), 0);
    assert_null(receipt_fault(receipt, key));
    json_decref(receipt);
}

static void a_receipt_that_was_changed_shows(void **state)
{
    static const char *const members[] = {"child", "at", "version", "key", "signature"};
    uint8_t raw[AUDIT_PUBLIC_LEN];
    (void)state;
    fill(1, 0, 2);
    json_t *receipt = finish(ADMIN_FORGET, "kid", "", 200);
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        json_t *changed = json_deep_copy(receipt);
        char text[256];
        (void)snprintf(text, sizeof text, "%s",
                       json_string_value(json_object_get(changed, members[i])));
        text[1] = text[1] == '0' ? '1' : '0';
        assert_int_equal(json_object_set_new(changed, members[i], json_string(text)), 0);
        assert_non_null(receipt_fault(changed, key));
        assert_int_equal(json_object_del(changed, members[i]), 0);
        assert_non_null(receipt_fault(changed, key));
        json_decref(changed);
    }
    json_t *changed = json_deep_copy(receipt);
    assert_int_equal(
        json_object_set_new(json_object_get(changed, "erased"), "device", json_integer(7)), 0);
    assert_string_equal(receipt_fault(changed, key), "it is not as it was signed");
    json_decref(changed);
    changed = json_deep_copy(receipt);
    assert_int_equal(json_object_set_new(changed, "event", json_integer(1)), 0);
    assert_string_equal(receipt_fault(changed, key), "it is not as it was signed");
    /* Nor does one line pass for two. */
    assert_int_equal(json_object_set_new(changed, "version", json_string("1\nevent=2")), 0);
    assert_string_equal(receipt_fault(changed, key), "it is no receipt of a forgotten child");
    json_decref(changed);
    assert_int_equal(audit_key_public(key, raw), TEDDY_OK);
    raw[0] ^= 1;
    struct audit_key *other = audit_key_of(raw);
    if (other != NULL)
        assert_string_equal(receipt_fault(receipt, other), "it was signed with another key");
    audit_key_free(other);
    json_decref(receipt);
}

static void without_a_key_nothing_is_forgotten(void **state)
{
    (void)state;
    fill(1, 0, 0);
    struct audit_key *kept = key;
    key = NULL;
    json_decref(finish(ADMIN_FORGET, "kid", "", 503));
    key = kept;
    json_t *receipt = finish(ADMIN_FORGET, "kid", "", 200);
    assert_int_equal(erased(receipt, "device"), 1);
    json_decref(receipt);
}

static void revocation(void **state)
{
    (void)state;
    fill(3, 0, 0);
    json_t *json = finish(ADMIN_CHILD_REVOKE, "kid", "", 200);
    assert_int_equal(json_integer_value(json_object_get(json, "revoked")), 3);
    json_decref(json);
    json = finish(ADMIN_CHILD_REVOKE, "nobody", "", 200);
    assert_int_equal(json_integer_value(json_object_get(json, "revoked")), 0);
    json_decref(json);
}

/* All pages; how many there are. */
static unsigned export_all(const char *child_id, size_t counts[3])
{
    static const char *const parts[] = {"bindings", "messages", "events"};
    char after[LIMIT_ID_LEN + 1] = "";
    unsigned pages = 0;
    memset(counts, 0, 3 * sizeof *counts);
    for (;;) {
        json_t *page = finish(ADMIN_CHILD_EXPORT, child_id, after, 200);
        size_t items = 0;
        for (unsigned i = 0; i < 3; i++)
            items += json_array_size(json_object_get(page, parts[i]));
        assert_in_range(items, 0, 100);
        for (unsigned i = 0; i < 3; i++)
            counts[i] += json_array_size(json_object_get(page, parts[i]));
        const char *next = json_string_value(json_object_get(page, "next"));
        bool more = next != NULL;
        (void)snprintf(after, sizeof after, "%s", more ? next : "");
        json_decref(page);
        assert_true(++pages < 1000);
        if (!more)
            return pages;
    }
}

static void an_export_is_whole_over_its_pages(void **state)
{
    size_t counts[3];
    (void)state;
    fill(101, 2, 331);
    assert_true(export_all("kid", counts) >= 6);
    assert_int_equal(counts[0], 101);
    assert_int_equal(counts[1], 202);
    assert_int_equal(counts[2], 220 + 1); /* and that it was exported */
    assert_int_equal(export_all("nobody", counts), 1);
    assert_int_equal(counts[0] + counts[1] + counts[2], 0);
}

static void an_export_of_full_pages_ends(void **state)
{
    size_t counts[3];
    (void)state;
    fill(100, 1, 0);
    (void)export_all("kid", counts);
    assert_int_equal(counts[0], 100);
    assert_int_equal(counts[1], 100);
}

static void where_a_page_begins_is_checked(void **state)
{
    static const char *const bad[] = {"b",
                                      "b-",
                                      "x-1",
                                      "b-x",
                                      "m-1",
                                      "m-1-2",
                                      "m-1-2-",
                                      "m-1-2-x",
                                      "m-1-2-3-4",
                                      "e-1-2",
                                      "b-99999999999999999999",
                                      "m-1-4294967296-1"};
    static const char *const good[] = {"", "b-1", "m-1-2-3", "e-7", "m-0-4294967295-0"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (child_after_ok(bad[i]))
            fail_msg("%s passes", bad[i]);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(child_after_ok(good[i]));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_receipt_says_what_was_erased),
        T(a_receipt_that_was_changed_shows),
        T(without_a_key_nothing_is_forgotten),
        T(revocation),
        T(an_export_is_whole_over_its_pages),
        T(an_export_of_full_pages_ends),
        cmocka_unit_test(where_a_page_begins_is_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
