/* The table of who has signed in, and its clocks, which no test waits for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "console/credential.h"
#include "console/sessions.h"
#include "proto/text.h"

static struct console_sessions *s;

static int make(void **state)
{
    (void)state;
    s = console_sessions_new();
    return s != NULL ? 0 : -1;
}

static int drop(void **state)
{
    (void)state;
    console_sessions_free(s);
    return 0;
}

static bool use(const char *secret, uint64_t now_ms, struct console_session *out)
{
    return console_session_use(s, span_of(secret), now_ms, out);
}

static void opens_and_closes(void **state)
{
    char a[CONSOLE_SECRET_LEN + 1], b[CONSOLE_SECRET_LEN + 1];
    struct console_session x, y;

    (void)state;
    assert_int_equal(console_session_open(s, "00000001", 5, a), TEDDY_OK);
    assert_int_equal(console_session_open(s, "00000002", 5, b), TEDDY_OK);
    assert_int_equal(strlen(a), CONSOLE_SECRET_LEN);
    assert_true(span_within(span_of(a), "-_"));
    assert_string_not_equal(a, b);
    assert_true(use(a, 6, &x) && use(b, 6, &y));
    assert_string_equal(x.token, "00000001");
    assert_string_equal(y.token, "00000002");
    assert_true(x.number != y.number);
    assert_int_equal(x.ends_ms, 5 + CONSOLE_LIFE_MS);
    console_session_close(s, x.number);
    assert_false(use(a, 7, &x));
    assert_false(console_session_lives(s, x.number, 7));
    assert_true(console_session_lives(s, y.number, 7));
    assert_true(use(b, 7, &y));
    assert_false(console_session_lives(s, 0, 7));
}

static void is_no_other(void **state)
{
    char a[CONSOLE_SECRET_LEN + 1], wrong[CONSOLE_SECRET_LEN + 8];
    struct console_session x;

    (void)state;
    assert_int_equal(console_session_open(s, "00000001", 5, a), TEDDY_OK);
    for (size_t i = 0; i < CONSOLE_SECRET_LEN; i++) {
        memcpy(wrong, a, sizeof a);
        wrong[i] = wrong[i] == 'A' ? 'B' : 'A';
        assert_false(use(wrong, 6, &x));
    }
    assert_false(use("", 6, &x));
    memcpy(wrong, a, CONSOLE_SECRET_LEN);
    memcpy(wrong + CONSOLE_SECRET_LEN, "x", 2);
    assert_false(use(wrong, 6, &x));
    assert_false(console_session_use(s, (struct span){a, CONSOLE_SECRET_LEN - 1}, 6, &x));
    assert_true(use(a, 6, &x));
}

static void ends_when_idle(void **state)
{
    char a[CONSOLE_SECRET_LEN + 1];
    struct console_session x;

    (void)state;
    assert_int_equal(console_session_open(s, "00000001", 1000, a), TEDDY_OK);
    assert_true(use(a, 1000 + CONSOLE_IDLE_MS - 1, &x)); /* and from here on anew */
    assert_true(console_session_lives(s, x.number, 1000 + 2 * CONSOLE_IDLE_MS - 2));
    assert_false(console_session_lives(s, x.number, 1000 + 2 * CONSOLE_IDLE_MS - 1));
    assert_false(use(a, 1000 + 2 * CONSOLE_IDLE_MS - 1, &x));
    assert_false(use(a, 1001, &x)); /* it is gone */
}

static void ends_however_it_is_used(void **state)
{
    char a[CONSOLE_SECRET_LEN + 1];
    struct console_session x;
    uint64_t at = 1000;

    (void)state;
    assert_int_equal(console_session_open(s, "00000001", at, a), TEDDY_OK);
    for (; at < 1000 + CONSOLE_LIFE_MS; at += CONSOLE_IDLE_MS / 2)
        assert_true(use(a, at, &x));
    assert_false(use(a, 1000 + CONSOLE_LIFE_MS, &x));
}

static void one_more_ends_the_oldest(void **state)
{
    char all[CONSOLE_SESSIONS_MAX + 1][CONSOLE_SECRET_LEN + 1], token[ADMIN_TOKEN_ID_LEN + 1];
    struct console_session x;

    (void)state;
    for (unsigned i = 0; i < CONSOLE_SESSIONS_MAX; i++) {
        (void)snprintf(token, sizeof token, "%08x", 16 + i / CONSOLE_OF_ONE_MAX);
        assert_int_equal(console_session_open(s, token, 10 + i, all[i]), TEDDY_OK);
    }
    assert_true(use(all[0], 5000, &x)); /* now the second is the one least lately used */
    assert_int_equal(console_session_open(s, "00000002", 5001, all[CONSOLE_SESSIONS_MAX]),
                     TEDDY_OK);
    assert_false(use(all[1], 5002, &x));
    assert_true(use(all[0], 5002, &x));
    assert_true(use(all[2], 5002, &x));
    assert_true(use(all[CONSOLE_SESSIONS_MAX], 5002, &x));
}

static void one_token_ends_its_own(void **state)
{
    char all[CONSOLE_OF_ONE_MAX + 1][CONSOLE_SECRET_LEN + 1], other[CONSOLE_SECRET_LEN + 1];
    struct console_session x;

    (void)state;
    assert_int_equal(console_session_open(s, "00000002", 5, other), TEDDY_OK);
    for (unsigned i = 0; i <= CONSOLE_OF_ONE_MAX; i++)
        assert_int_equal(console_session_open(s, "00000001", 10 + i, all[i]), TEDDY_OK);
    assert_false(use(all[0], 100, &x));
    for (unsigned i = 1; i <= CONSOLE_OF_ONE_MAX; i++)
        assert_true(use(all[i], 100, &x));
    for (unsigned i = 0; i < 2 * CONSOLE_SESSIONS_MAX; i++)
        assert_int_equal(console_session_open(s, "00000001", 200 + i, all[0]), TEDDY_OK);
    assert_true(use(other, 1000, &x)); /* although its last use is longest ago */
}

static void a_link_is_good_once_and_for_five_minutes(void **state)
{
    char a[CONSOLE_SECRET_LEN + 1], b[CONSOLE_SECRET_LEN + 1], token[ADMIN_TOKEN_ID_LEN + 1];
    struct console_session x;

    (void)state;
    assert_int_equal(console_link_make(s, "0000000a", 1000, a), TEDDY_OK);
    assert_int_equal(console_link_make(s, "0000000b", 1000, b), TEDDY_OK);
    assert_false(use(a, 1001, &x)); /* it is no session */
    assert_true(console_link_take(s, span_of(a), 1000 + CONSOLE_LINK_MS - 1, token));
    assert_string_equal(token, "0000000a");
    assert_false(console_link_take(s, span_of(a), 1001, token));
    assert_false(console_link_take(s, span_of(b), 1000 + CONSOLE_LINK_MS, token));
    assert_false(console_link_take(s, span_of(b), 1001, token)); /* gone as well */
}

static void links_are_bounded(void **state)
{
    char all[CONSOLE_LINKS_MAX + 1][CONSOLE_SECRET_LEN + 1], token[ADMIN_TOKEN_ID_LEN + 1];

    (void)state;
    for (unsigned i = 0; i <= CONSOLE_LINKS_MAX; i++)
        assert_int_equal(console_link_make(s, "0000000a", 10 + i, all[i]), TEDDY_OK);
    assert_false(console_link_take(s, span_of(all[0]), 100, token));
    for (unsigned i = 1; i <= CONSOLE_LINKS_MAX; i++)
        assert_true(console_link_take(s, span_of(all[i]), 100, token));
}

static void credentials(void **state)
{
    static const struct {
        const char *body;
        enum console_credential is;
        const char *text;
    } all[] = {
        {"{\"token\":\"tdy_x\"}", CONSOLE_BY_TOKEN, "tdy_x"},
        {" { \"once\" : \"a\\u0062c\" } ", CONSOLE_BY_LINK, "abc"},
        {"{\"token\":\"\"}", CONSOLE_BY_TOKEN, ""},
        {"{\"token\":\"a\",\"once\":\"b\"}", CONSOLE_NO_MEMBER, ""},
        {"{\"token\":\"a\",\"token\":\"b\"}", CONSOLE_NO_JSON, ""},
        {"{\"token\":1}", CONSOLE_NO_MEMBER, ""},
        {"{\"token\":\"a\\u0000b\"}", CONSOLE_NO_MEMBER, ""},
        {"{}", CONSOLE_NO_MEMBER, ""},
        {"", CONSOLE_NO_JSON, ""},
        {"[\"token\"]", CONSOLE_NO_JSON, ""},
        {"{\"token\":\"a\"} x", CONSOLE_NO_JSON, ""},
    };
    char text[CONSOLE_CREDENTIAL_MAX + 1], body[300];
    size_t len;

    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        assert_int_equal(console_credential_read(span_of(all[i].body), text, &len), all[i].is);
        assert_string_equal(text, all[i].text);
        assert_int_equal(len, strlen(all[i].text));
    }
    for (size_t n = CONSOLE_CREDENTIAL_MAX; n <= CONSOLE_CREDENTIAL_MAX + 1; n++) {
        memset(body, 'x', sizeof body);
        memcpy(body, "{\"once\":\"", 9);
        memcpy(body + 9 + n, "\"}", 3);
        assert_int_equal(console_credential_read(span_of(body), text, &len),
                         n <= CONSOLE_CREDENTIAL_MAX ? CONSOLE_BY_LINK : CONSOLE_NO_MEMBER);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(opens_and_closes, make, drop),
        cmocka_unit_test_setup_teardown(is_no_other, make, drop),
        cmocka_unit_test_setup_teardown(ends_when_idle, make, drop),
        cmocka_unit_test_setup_teardown(ends_however_it_is_used, make, drop),
        cmocka_unit_test_setup_teardown(one_more_ends_the_oldest, make, drop),
        cmocka_unit_test_setup_teardown(one_token_ends_its_own, make, drop),
        cmocka_unit_test_setup_teardown(a_link_is_good_once_and_for_five_minutes, make, drop),
        cmocka_unit_test_setup_teardown(links_are_bounded, make, drop),
        cmocka_unit_test(credentials),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
