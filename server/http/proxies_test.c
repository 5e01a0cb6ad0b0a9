#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "http/http.h"

static struct sockaddr_storage address(const char *text)
{
    struct sockaddr_storage out;
    memset(&out, 0, sizeof out);
    if (strchr(text, ':')) {
        out.ss_family = AF_INET6;
        assert_int_equal(inet_pton(AF_INET6, text, &((struct sockaddr_in6 *)&out)->sin6_addr), 1);
    } else {
        out.ss_family = AF_INET;
        assert_int_equal(inet_pton(AF_INET, text, &((struct sockaddr_in *)&out)->sin_addr), 1);
    }
    return out;
}

static const char *text_of(const struct sockaddr_storage *a)
{
    static char out[64];
    const void *from = a->ss_family == AF_INET6
                           ? (const void *)&((const struct sockaddr_in6 *)a)->sin6_addr
                           : (const void *)&((const struct sockaddr_in *)a)->sin_addr;
    return inet_ntop(a->ss_family, from, out, sizeof out);
}

/* Who the server takes for its client; fields are whole lines. */
static const char *client(const char *proxies, const char *peer, const char *fields)
{
    static struct sockaddr_storage who;
    struct trusted_proxies *p;
    char err[200] = "", head[1024];
    struct http_head parsed;
    size_t used;
    assert_int_equal(trusted_proxies_parse(proxies, &p, err, sizeof err), TEDDY_OK);
    snprintf(head, sizeof head, "GET / HTTP/1.1\r\nHost: x\r\n%s\r\n", fields);
    assert_int_equal(http1_request(head, strlen(head), sizeof head, &parsed, &used), TEDDY_OK);
    struct sockaddr_storage from = address(peer);
    trusted_proxies_client(p, &from, &parsed, &who);
    trusted_proxies_free(p);
    return text_of(&who);
}

#define XFF "X-Forwarded-For: "

static void believes_nobody_by_default(void **state)
{
    (void)state;
    assert_string_equal(client("", "127.0.0.1", XFF "1.2.3.4\r\n"), "127.0.0.1");
    assert_string_equal(client("10.0.0.0/8", "127.0.0.1", XFF "1.2.3.4\r\n"), "127.0.0.1");
    assert_string_equal(client("", "::ffff:9.8.7.6", ""), "9.8.7.6"); /* one client, one address */
}

static void takes_the_rightmost_that_is_no_proxy(void **state)
{
    (void)state;
    const char *p = "127.0.0.1/32, 10.0.0.0/8, ::1";
    assert_string_equal(client(p, "127.0.0.1", ""), "127.0.0.1");
    assert_string_equal(client(p, "127.0.0.1", XFF "1.2.3.4\r\n"), "1.2.3.4");
    assert_string_equal(client(p, "::1", XFF "2001:db8::7\r\n"), "2001:db8::7");
    assert_string_equal(client(p, "127.0.0.1", XFF "6.6.6.6, 1.2.3.4, 10.1.1.1\r\n"),
                        "1.2.3.4"); /* 6.6.6.6 is a lie */
    assert_string_equal(
        client(p, "127.0.0.1", XFF "6.6.6.6\r\n" XFF "1.2.3.4\r\nx-forwarded-for:10.2.2.2\r\n"),
        "1.2.3.4");
    assert_string_equal(client(p, "127.0.0.1", XFF "10.0.0.5, 10.0.0.6\r\n"),
                        "10.0.0.5"); /* proxies all the way */
    assert_string_equal(client(p, "127.0.0.1", XFF "1.2.3.4:5678\r\n"), "1.2.3.4");
    assert_string_equal(client(p, "127.0.0.1", XFF "[2001:db8::1]:99\r\n"), "2001:db8::1");
    assert_string_equal(client(p, "127.0.0.1", XFF "[2001:db8::1]\r\n"), "2001:db8::1");
    assert_string_equal(client(p, "::ffff:10.9.9.9", XFF "::ffff:1.2.3.4\r\n"), "1.2.3.4");
}

static void stops_at_the_first_malformed_entry(void **state)
{
    (void)state;
    static const char *const bad[] = {"unknown",
                                      "1.2.3",
                                      "1.2.3.4.5",
                                      "1.2.3.4:",
                                      "1.2.3.4:x",
                                      "1.2.3.4:99999",
                                      "[::1",
                                      "[1.2.3.4]",
                                      "2001:db8::1%eth0",
                                      "",
                                      "1.2.3.4 5",
                                      "\"1.2.3.4\"",
                                      "[",
                                      "[]",
                                      ":",
                                      ":80",
                                      "[2001:db8::1]80"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char line[128];
        snprintf(line, sizeof line, XFF "6.6.6.6, %s, 10.3.3.3\r\n", bad[i]);
        assert_string_equal(client("127.0.0.1,10.0.0.0/8", "127.0.0.1", line), "10.3.3.3");
    }
}

static void many_lines_are_bounded(void **state)
{
    (void)state;
    char fields[1000] = XFF "6.6.6.6\r\n";
    for (size_t i = 0; i < 40; i++)
        strncat(fields, "X-Forwarded-For:\r\n", sizeof fields - strlen(fields) - 1);
    strncat(fields, XFF "1.2.3.4\r\n", sizeof fields - strlen(fields) - 1);
    assert_string_equal(client("127.0.0.1", "127.0.0.1", fields), "1.2.3.4");
}

static void names_what_is_wrong_with_the_configuration(void **state)
{
    (void)state;
    static const char *const bad[] = {"localhost",   "10.0.0.0/33", "10.0.0.1/8",  "::1/129",
                                      "1.2.3.4/",    "1.2.3.4,",    ",1.2.3.4",    "1.2.3.4/-1",
                                      "1.2.3.4/8/8", "1.2.3.4:80",  "10.0.0.0/0x8"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct trusted_proxies *p;
        char err[200] = "";
        assert_int_equal(trusted_proxies_parse(bad[i], &p, err, sizeof err), TEDDY_EINVAL);
        assert_non_null(strstr(err, "trusted proxies: '"));
    }
    assert_string_equal(client("0.0.0.0/0", "1.1.1.1", XFF "2.2.2.2\r\n"), "2.2.2.2");
    assert_string_equal(client("10.0.0.0/9", "10.128.0.1", XFF "2.2.2.2\r\n"), "10.128.0.1");
    assert_string_equal(client("2001:db8::/33", "2001:db8:7fff::1", XFF "2.2.2.2\r\n"), "2.2.2.2");
    assert_string_equal(client("2001:db8::/33", "2001:db8:8000::1", XFF "2.2.2.2\r\n"),
                        "2001:db8:8000::1");
}

static int query(const char *text, const char *name, char *out, size_t cap)
{
    size_t len = 99;
    struct http_request req = {.query = span_of(text)};
    int rc = http_query(&req, name, out, cap, &len);
    if (rc == TEDDY_OK)
        assert_int_equal(len, strlen(out));
    return rc;
}

static void reads_query_parameters(void **state)
{
    (void)state;
    char out[16];
    assert_int_equal(query("a=1&token=x.y-z_&b", "token", out, sizeof out), TEDDY_OK);
    assert_string_equal(out, "x.y-z_");
    assert_int_equal(query("token=", "token", out, sizeof out), TEDDY_OK);
    assert_string_equal(out, "");
    assert_int_equal(query("token", "token", out, sizeof out), TEDDY_OK);
    assert_int_equal(query("token=%41%2e+", "token", out, sizeof out), TEDDY_OK);
    assert_string_equal(out, "A.+");
    assert_int_equal(query("token=a=b", "token", out, sizeof out), TEDDY_OK);
    assert_string_equal(out, "a=b");
    assert_int_equal(query("", "token", out, sizeof out), TEDDY_ENOTFOUND);
    assert_int_equal(query("&&tokens=1&xtoken=1", "token", out, sizeof out), TEDDY_ENOTFOUND);
    assert_int_equal(query("token=1&token=1", "token", out, sizeof out), TEDDY_EDUP);
    assert_int_equal(query("token=123456789012345", "token", out, sizeof out), TEDDY_OK);
    assert_int_equal(query("token=1234567890123456", "token", out, sizeof out), TEDDY_ENOSPC);
    assert_int_equal(query("token=%4", "token", out, sizeof out), TEDDY_EPROTO);
    assert_int_equal(query("token=%zz", "token", out, sizeof out), TEDDY_EPROTO);
    assert_int_equal(query("token=a%00b", "token", out, sizeof out), TEDDY_EPROTO);
    assert_int_equal(query("token=%", "token", out, sizeof out), TEDDY_EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(believes_nobody_by_default),
        cmocka_unit_test(takes_the_rightmost_that_is_no_proxy),
        cmocka_unit_test(stops_at_the_first_malformed_entry),
        cmocka_unit_test(many_lines_are_bounded),
        cmocka_unit_test(names_what_is_wrong_with_the_configuration),
        cmocka_unit_test(reads_query_parameters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
