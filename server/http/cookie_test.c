#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "http/http.h"

/* The cookie "id" of a request with these field lines: "" also when its value is empty. */
static int find(const char *fields, char out[64])
{
    static char text[2048];
    struct http_head head;
    struct span value = {NULL, 0};
    size_t used;
    snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: h\r\n%s\r\n", fields);
    assert_int_equal(http1_request(text, strlen(text), sizeof text, &head, &used), TEDDY_OK);
    int rc = http_cookie(&head, "id", &value);
    if (rc == TEDDY_OK)
        snprintf(out, 64, "%.*s", (int)value.len, value.p);
    return rc;
}

static void finds_the_one(void **state)
{
    (void)state;
    static const struct {
        const char *fields, *value;
    } good[] = {
        {"Cookie: id=abc\r\n", "abc"},
        {"cookie: a=b; id=abc; c=d\r\n", "abc"},
        {"Cookie: a=b;id=abc\r\n", "abc"},
        {"Cookie: a=b;   id=abc;\r\n", "abc"},
        {"Cookie: id=a=b=c\r\n", "a=b=c"},
        {"Cookie: id=\r\n", ""},
        {"Cookie: ; ;; odd, \"thing\"; =; id=abc\r\n", "abc"},
        {"Cookie: id; id=abc\r\n", "abc"},
        {"Cookie: xid=1; idx=2; ID=3; id =4; id=abc\r\n", "abc"},
        {"Cookie: x=id=1; id=abc\r\n", "abc"},
    };
    char value[64];
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        if (find(good[i].fields, value) != TEDDY_OK)
            fail_msg("not found: %s", good[i].fields);
        assert_string_equal(value, good[i].value);
    }
}

static void finds_none_or_too_many(void **state)
{
    (void)state;
    char value[64];
    assert_int_equal(find("", value), TEDDY_ENOTFOUND);
    assert_int_equal(find("Cookie: \r\n", value), TEDDY_ENOTFOUND);
    assert_int_equal(find("Cookie: id\r\n", value), TEDDY_ENOTFOUND);
    assert_int_equal(find("Cookie: a=id\r\n", value), TEDDY_ENOTFOUND);
    assert_int_equal(find("Cookie: ids=1; i=d\r\n", value), TEDDY_ENOTFOUND);
    assert_int_equal(find("Cookie: id=1; id=1\r\n", value), TEDDY_EDUP);
    assert_int_equal(find("Cookie: id=1\r\nCookie: a=b\r\n", value), TEDDY_EDUP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_one),
        cmocka_unit_test(finds_none_or_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
