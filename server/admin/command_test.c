/* The commands on a real store: what they answer, what they leave, and whose sessions they close.
 */

#include <jansson.h>

#include "admin/command.h"
#include "proto/text.h"
#include "store/test_opened.h"

#define SECRET_A "a1b2c3d4e5f6789012345678901234567890abcdef1234567890abcdef123456"
#define SECRET_B "b1b2c3d4e5f6789012345678901234567890abcdef1234567890abcdef123456"
#define SECRET_C "c1b2c3d4e5f6789012345678901234567890abcdef1234567890abcdef123456"

static struct admin_command *command(enum admin_verb verb, const char *id, const char *text)
{
    struct admin_command *c = admin_command_new(verb, id, span_of(text));
    assert_non_null(c);
    return c;
}

/* Runs and frees; the status, and the body as JSON. */
static int finish(struct admin_command *c, json_t **body)
{
    struct admin_answer a;
    json_error_t e;

    admin_command_wait(c, store);
    admin_command_answer(c, &a);
    char *text = admin_answer_text(&a, "0123456789abcdef");
    int status = a.status;
    assert_non_null(text);
    json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, &e);
    assert_non_null(json);
    if (a.code != NULL) {
        assert_int_equal(json_integer_value(json_object_get(json, "status")), status);
        assert_string_equal(json_string_value(json_object_get(json, "request_id")),
                            "0123456789abcdef");
        assert_true(json_string_length(json_object_get(json, "detail")) > 10);
    }
    free(text);
    admin_answer_fini(&a);
    admin_command_free(c);
    if (body != NULL)
        *body = json;
    else
        json_decref(json);
    return status;
}

static int simple(enum admin_verb verb, const char *id)
{
    return finish(command(verb, id, ""), NULL);
}

static int add(const char *id, const char *secret)
{
    struct admin_command *c = command(ADMIN_ADD, id, "");
    assert_int_equal(hex_decode(span_of(secret), c->secret, sizeof c->secret), TEDDY_OK);
    return finish(c, NULL);
}

static const char *text_of(json_t *json, const char *name)
{
    static char out[256];
    const char *v = json_string_value(json_object_get(json, name));
    (void)snprintf(out, sizeof out, "%s", v != NULL ? v : "(none)");
    return out;
}

static void expect_problem(struct admin_command *c, int status, const char *code)
{
    json_t *json;
    assert_int_equal(finish(c, &json), status);
    assert_string_equal(text_of(json, "code"), code);
    json_decref(json);
}

/* Jobs that a test needs beside the commands. */
struct probe {
    struct store_job job;
    const char *id;
    const char *child;
    uint8_t sid[STORE_JTI_LEN];
    struct device_row device;
    struct family_row family;
    bool seen;
    uint8_t secret[LIMIT_SECRET_LEN];
};

static int run_claimed(struct store_tx *tx, struct store_job *job)
{
    static const uint8_t mac[LIMIT_MAC_LEN] = {7};
    struct probe *p = (struct probe *)job;
    struct family_row f = {0};
    int rc = store_device_get(tx, p->id, &p->device);
    if (rc != TEDDY_OK)
        return rc;
    memcpy(f.sid, p->sid, sizeof f.sid);
    (void)snprintf(f.child_id, sizeof f.child_id, "%s", p->child);
    f.pair.refresh_exp_s = 4000000000u;
    return store_claim_add(tx, &p->device,
                           &(struct claim_row){"nonce-12", mac, &f, "1.0", "", 1700000000});
}

/* As if the device had claimed itself for the child; the family's sid begins with `tag`. */
static void claimed(const char *id, const char *child, uint8_t tag)
{
    struct probe p = {.job = {.run = run_claimed}, .id = id, .child = child, .sid = {tag}};
    assert_int_equal(store_write_wait(store, &p.job), TEDDY_OK);
}

static int run_look(struct store_tx *tx, struct store_job *job)
{
    static const uint8_t mac[LIMIT_MAC_LEN] = {9};
    struct probe *p = (struct probe *)job;
    int rc = store_device_get(tx, p->id, &p->device);
    if (rc == TEDDY_OK)
        rc = store_claim_seen(tx, &p->device, "nonce-12", mac, &p->seen);
    if (rc == TEDDY_OK)
        rc = store_device_unseal(tx, &p->device, p->secret);
    return rc == TEDDY_OK ? store_family_get(tx, p->id, p->sid, &p->family) : rc;
}

static struct probe look(const char *id, uint8_t tag, int want)
{
    struct probe p = {.job = {.run = run_look}, .id = id, .sid = {tag}};
    assert_int_equal(store_read_wait(store, &p.job), want);
    return p;
}

static void add_and_show(void **state)
{
    json_t *json;
    (void)state;
    assert_int_equal(finish(command(ADMIN_ADD, "Teddy-1", ""), &json), 201);
    assert_string_equal(text_of(json, "device_id"), "Teddy-1");
    assert_int_equal(strlen(text_of(json, "oob_secret")), 64);
    char secret[80];
    (void)snprintf(secret, sizeof secret, "%s", text_of(json, "oob_secret"));
    json_decref(json);

    /* The secret shown is the one kept, and is not shown again. */
    uint8_t bytes[32];
    claimed("Teddy-1", "child1", 1);
    struct probe p = look("Teddy-1", 1, TEDDY_OK);
    assert_int_equal(hex_decode(span_of(secret), bytes, 32), TEDDY_OK);
    assert_memory_equal(p.secret, bytes, 32);
    assert_int_equal(finish(command(ADMIN_SHOW, "Teddy-1", ""), &json), 200);
    char *all = json_dumps(json, 0);
    assert_null(strstr(all, secret));
    assert_null(strstr(all, "oob_secret"));
    free(all);
    assert_true(json_is_true(json_object_get(json, "enabled")));
    assert_string_equal(text_of(json, "child_id"), "child1");
    assert_string_equal(text_of(json, "claimed"), "2023-11-14T22:13:20Z");
    json_decref(json);

    expect_problem(command(ADMIN_ADD, "Teddy-1", ""), 409, "device_exists");
    expect_problem(command(ADMIN_SHOW, "teddy-1", ""), 404, "device_not_found"); /* byte for byte */
    struct admin_command *c = command(ADMIN_ADD, "Teddy-2", "");
    memcpy(c->secret, bytes, 32);
    expect_problem(c, 409, "secret_in_use");
    expect_problem(command(ADMIN_SHOW, "Teddy-2", ""), 404, "device_not_found");
}

static void secrets_are_drawn(void **state)
{
    struct admin_command *a = command(ADMIN_ADD, "a", ""), *b = command(ADMIN_ADD, "b", "");
    static const uint8_t zero[32];
    (void)state;
    assert_memory_not_equal(a->secret, b->secret, 32);
    assert_memory_not_equal(a->secret, zero, 32);
    admin_command_free(a);
    admin_command_free(b);
}

static void enable_and_disable(void **state)
{
    json_t *json;
    (void)state;
    assert_int_equal(simple(ADMIN_ADD, "d"), 201);
    struct admin_command *c = command(ADMIN_DISABLE, "d", "");
    assert_string_equal(admin_command_closes(c), "device_disabled");
    assert_int_equal(finish(c, NULL), 200);
    assert_int_equal(finish(command(ADMIN_SHOW, "d", ""), &json), 200);
    assert_true(json_is_false(json_object_get(json, "enabled")));
    json_decref(json);
    c = command(ADMIN_ENABLE, "d", "");
    assert_null(admin_command_closes(c));
    assert_int_equal(finish(c, NULL), 200);
    assert_int_equal(finish(command(ADMIN_SHOW, "d", ""), &json), 200);
    assert_true(json_is_true(json_object_get(json, "enabled")));
    json_decref(json);
    static const enum admin_verb verbs[] = {ADMIN_ENABLE,         ADMIN_DISABLE,      ADMIN_REMOVE,
                                            ADMIN_ROTATE,         ADMIN_RELEASE,      ADMIN_REVOKE,
                                            ADMIN_RELEASE_ROTATE, ADMIN_FAMILY_REVOKE};
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        expect_problem(command(verbs[i], "nobody", ""), 404, "device_not_found");
}

static void release_with_a_new_secret(void **state)
{
    json_t *json;
    (void)state;
    assert_int_equal(add("rr", SECRET_A), 201);
    claimed("rr", "kid", 2);
    struct admin_command *c = command(ADMIN_RELEASE_ROTATE, "rr", "");
    assert_string_equal(admin_command_closes(c), "token_revoked");
    assert_int_equal(finish(c, &json), 200);
    assert_string_not_equal(text_of(json, "oob_secret"), SECRET_A);
    json_decref(json);
    struct probe p = look("rr", 2, TEDDY_OK);
    assert_string_equal(p.device.child_id, "");
    assert_int_equal(p.device.claimed_s, 0);
    assert_int_equal(p.device.secret_rev, 2);
    assert_true(p.family.revoked);
    assert_false(p.seen);
    /* Another device has the secret that was drawn: the toy is not released either. */
    assert_int_equal(add("other", SECRET_B), 201);
    claimed("rr", "kid", 3);
    c = command(ADMIN_RELEASE_ROTATE, "rr", "");
    assert_int_equal(hex_decode(span_of(SECRET_B), c->secret, sizeof c->secret), TEDDY_OK);
    expect_problem(c, 409, "secret_in_use");
    p = look("rr", 3, TEDDY_OK);
    assert_string_equal(p.device.child_id, "kid");
    assert_false(p.family.revoked);
}

static void rotate_release_revoke_remove(void **state)
{
    json_t *json;
    (void)state;
    assert_int_equal(add("r", SECRET_A), 201);
    claimed("r", "kid", 2);
    struct admin_command *c = command(ADMIN_REVOKE, "r", "");
    assert_string_equal(admin_command_closes(c), "token_revoked");
    assert_int_equal(finish(c, NULL), 200);
    struct probe p = look("r", 2, TEDDY_OK);
    assert_true(p.family.revoked);
    assert_string_equal(p.device.child_id, "kid");
    assert_true(p.seen);

    assert_int_equal(simple(ADMIN_RELEASE, "r"), 200);
    p = look("r", 2, TEDDY_OK);
    assert_string_equal(p.device.child_id, "");
    assert_true(p.seen); /* a release does not make an old claim good again */

    c = command(ADMIN_ROTATE, "r", "");
    assert_string_equal(admin_command_closes(c), "token_revoked");
    assert_int_equal(finish(c, &json), 200);
    assert_string_not_equal(text_of(json, "oob_secret"), SECRET_A);
    json_decref(json);
    p = look("r", 2, TEDDY_OK);
    assert_false(p.seen);
    assert_int_equal(p.device.secret_rev, 2);

    c = command(ADMIN_REMOVE, "r", "");
    assert_string_equal(admin_command_closes(c), "token_revoked");
    assert_int_equal(finish(c, NULL), 200);
    (void)look("r", 2, TEDDY_ENOTFOUND);
    assert_int_equal(add("r", SECRET_A), 201); /* its secret is free again */
}

static void list_pages(void **state)
{
    char id[16], after[256] = "";
    json_t *json;
    unsigned seen = 0;
    (void)state;
    assert_int_equal(finish(command(ADMIN_LIST, "", ""), &json), 200);
    assert_int_equal(json_array_size(json_object_get(json, "devices")), 0);
    assert_true(json_is_null(json_object_get(json, "next")));
    json_decref(json);
    for (int i = 0; i < 7; i++) {
        (void)snprintf(id, sizeof id, "p%d", i);
        assert_int_equal(simple(ADMIN_ADD, id), 201);
    }
    for (int page = 0; page < 4; page++) {
        struct admin_command *c = command(ADMIN_LIST, after, "");
        c->limit = 3;
        assert_int_equal(finish(c, &json), 200);
        json_t *devices = json_object_get(json, "devices");
        for (size_t i = 0; i < json_array_size(devices); i++) {
            (void)snprintf(id, sizeof id, "p%u", seen++);
            assert_string_equal(text_of(json_array_get(devices, i), "device_id"), id);
        }
        bool more = !json_is_null(json_object_get(json, "next"));
        (void)snprintf(after, sizeof after, "%s", text_of(json, "next"));
        json_decref(json);
        assert_true(more == (page < 2));
        if (!more)
            break;
    }
    assert_int_equal(seen, 7);
    /* A page that ends exactly with the last device has no next one. */
    struct admin_command *c = command(ADMIN_LIST, "", "");
    c->limit = 7;
    assert_int_equal(finish(c, &json), 200);
    assert_true(json_is_null(json_object_get(json, "next")));
    json_decref(json);
}

static void list_of_a_prefix(void **state)
{
    static const char *const ids[] = {"Tedda",  "Teddx", "Teddy", "Teddy-1", "Teddy-2",
                                      "Teddy_", "Teddz", "Te",    "teddy-3"};
    char longest[LIMIT_ID_LEN + 1], secret[65];
    json_t *json;
    (void)state;
    memset(longest, 'z', LIMIT_ID_LEN);
    longest[LIMIT_ID_LEN] = '\0';
    for (unsigned i = 0; i <= sizeof ids / sizeof ids[0]; i++) {
        (void)snprintf(secret, sizeof secret, "%064x", i);
        assert_int_equal(add(i < 9 ? ids[i] : longest, secret), 201);
    }
    static const struct {
        const char *prefix, *after;
        unsigned limit;
        const char *first;
        unsigned count;
        const char *next;
    } cases[] = {
        {"Teddy", "", 100, "Teddy", 4, "(none)"},
        {"Teddy-", "", 100, "Teddy-1", 2, "(none)"},
        {"Teddy-", "", 1, "Teddy-1", 1, "Teddy-1"},
        {"Teddy-", "Teddy-1", 1, "Teddy-2", 1, "(none)"},
        {"Teddy-", "A", 100, "Teddy-1", 2, "(none)"},
        {"Teddy-", "Teddz", 100, NULL, 0, "(none)"},
        {"Teddy-3", "", 100, NULL, 0, "(none)"},
        {"t", "", 100, "teddy-3", 1, "(none)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct admin_command *c = command(ADMIN_LIST, cases[i].after, "");
        (void)snprintf(c->prefix, sizeof c->prefix, "%s", cases[i].prefix);
        c->limit = cases[i].limit;
        assert_int_equal(finish(c, &json), 200);
        json_t *devices = json_object_get(json, "devices");
        assert_int_equal(json_array_size(devices), cases[i].count);
        if (cases[i].count > 0)
            assert_string_equal(text_of(json_array_get(devices, 0), "device_id"), cases[i].first);
        assert_string_equal(text_of(json, "next"), cases[i].next);
        json_decref(json);
    }
    struct admin_command *c = command(ADMIN_LIST, "", "");
    (void)snprintf(c->prefix, sizeof c->prefix, "%s", longest); /* one that has no room behind it */
    assert_int_equal(finish(c, &json), 200);
    assert_int_equal(json_array_size(json_object_get(json, "devices")), 1);
    json_decref(json);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(add_and_show),
        WITH_STORE(secrets_are_drawn),
        WITH_STORE(enable_and_disable),
        WITH_STORE(rotate_release_revoke_remove),
        WITH_STORE(list_pages),
        WITH_STORE(list_of_a_prefix),
        WITH_STORE(release_with_a_new_secret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
