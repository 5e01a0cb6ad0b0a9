/* The small parts by themselves: url, backoff, outbox, date. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core.h"

static void urls_are_taken_strictly(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host;
        uint16_t port;
    } good[] = {
        {"https://teddy.example", "teddy.example", 443},
        {"https://teddy.example/", "teddy.example", 443},
        {"https://teddy.example:8443", "teddy.example", 8443},
        {"https://127.0.0.1:1", "127.0.0.1", 1},
        {"https://a-b.c_d.e:65535/", "a-b.c_d.e", 65535},
        {"https://[::1]:8443", "::1", 8443},
        {"https://[2001:db8::1]", "2001:db8::1", 443},
        {"http://localhost", "localhost", 80},
    };
    static const char *const bad[] = {
        "",
        "https://",
        "https:///",
        "teddy.example",
        "HTTPS://teddy.example",
        "ftp://teddy.example",
        "wss://teddy.example",
        "https://teddy.example:",
        "https://teddy.example:0",
        "https://teddy.example:65536",
        "https://teddy.example:99999999999999999999",
        "https://teddy.example:80a",
        "https://teddy.example:+80",
        "https://teddy.example/path",
        "https://teddy.example//",
        "https://teddy.example?x",
        "https://teddy.example#x",
        "https://user@teddy.example",
        "https://user:pw@teddy.example",
        "https://teddy example",
        "https://teddy..example",
        "https://.teddy",
        "https://teddy.",
        "https://-teddy",
        "https://teddy-",
        "https://t\xc3\xa9"
        "ddy",
        "https://teddy.example\r\nX: y",
        "https://[::1",
        "https://::1",
        "https://[]",
        "https://[teddy]",
        "https://[::1]x",
        "https://[::1%25eth0]",
        " https://teddy.example",
        "https://teddy.example ",
    };
    struct teddy_url url;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(sdk_url_parse(good[i].text, true, &url), TEDDY_OK);
        assert_string_equal(url.host, good[i].host);
        assert_int_equal(url.port, good[i].port);
        assert_int_equal(url.tls, good[i].text[4] == 's');
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (sdk_url_parse(bad[i], true, &url) != TEDDY_EINVAL) {
            fail_msg("taken: %s", bad[i]);
        }
    }
    assert_int_equal(sdk_url_parse("http://localhost", false, &url), TEDDY_EINVAL);
    assert_int_equal(sdk_url_parse(NULL, true, &url), TEDDY_EINVAL);
    char longest[8 + TEDDY_HOST_MAX + 2] = "https://";
    memset(longest + 8, 'a', TEDDY_HOST_MAX);
    assert_int_equal(sdk_url_parse(longest, false, &url), TEDDY_OK);
    longest[8 + TEDDY_HOST_MAX] = 'a';
    assert_int_equal(sdk_url_parse(longest, false, &url), TEDDY_EINVAL);
}

static void authorities_are_written_as_the_host_field_wants_them(void **state)
{
    (void)state;
    static const struct {
        const char *url, *brief, *full;
    } rows[] = {
        {"https://teddy.example", "teddy.example", "teddy.example:443"},
        {"https://teddy.example:8443", "teddy.example:8443", "teddy.example:8443"},
        {"http://[::1]", "[::1]", "[::1]:80"},
        {"http://[::1]:443", "[::1]:443", "[::1]:443"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct teddy_url url;
        char text[64];
        for (unsigned full = 0; full < 2; full++) {
            struct writer w = writer_on(text, sizeof text);
            assert_int_equal(sdk_url_parse(rows[i].url, true, &url), TEDDY_OK);
            sdk_url_authority(&w, &url, full != 0);
            assert_int_equal(writer_end(&w), TEDDY_OK);
            assert_string_equal(text, full ? rows[i].full : rows[i].brief);
        }
    }
}

static void paths_are_plain(void **state)
{
    (void)state;
    static const char *const bad[] = {"",        "x",         "/a b", "/a?b",  "/a#b",
                                      "/a\r\nb", "/\xc3\xa9", "/\"",  "/a\x7f"};
    assert_true(sdk_path_ok("/"));
    assert_true(sdk_path_ok("/api/v1/pair/claim"));
    assert_true(sdk_path_ok("/a%20b/~c_d-e.f:g@h!$&'()*+,;="));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(sdk_path_ok(bad[i]));
    }
    char longest[TEDDY_PATH_MAX + 2] = "/";
    memset(longest + 1, 'a', TEDDY_PATH_MAX - 1);
    assert_true(sdk_path_ok(longest));
    longest[TEDDY_PATH_MAX] = 'a';
    assert_false(sdk_path_ok(longest));
}

static void jitter_is_full_and_bounded(void **state)
{
    (void)state;
    const struct teddy_client_config config = {.backoff_floor_ms = 250,
                                               .backoff_base_ms = 1000,
                                               .backoff_cap_ms = 60000,
                                               .backoff_refused_ms = 60000};
    for (unsigned n = 0; n < 100; n++) {
        uint64_t ceiling = n < 6 ? 1000u << n : 60000;
        uint32_t least = UINT32_MAX, most = 0;
        for (uint64_t r = 0; r <= UINT32_MAX; r += 0xfffff) {
            uint32_t wait = sdk_backoff_ms(&config, n, (uint32_t)r);
            assert_in_range(wait, 250, ceiling);
            least = wait < least ? wait : least;
            most = wait > most ? wait : most;
        }
        assert_int_equal(least, 250);
        assert_in_range(most, ceiling - ceiling / 100, ceiling);
        assert_int_equal(sdk_backoff_ms(&config, n, UINT32_MAX), ceiling);
        uint32_t refused = 60000u << (n < 4 ? n : 4);
        assert_int_equal(sdk_refused_ms(&config, n, 0), refused);
        assert_int_equal(sdk_refused_ms(&config, n, UINT32_MAX), refused + refused / 4);
    }
    const struct teddy_client_config extreme = {.backoff_floor_ms = 1,
                                                .backoff_base_ms = UINT32_MAX,
                                                .backoff_cap_ms = 86400000,
                                                .backoff_refused_ms = UINT32_MAX};
    assert_int_equal(sdk_backoff_ms(&extreme, 4000000000u, UINT32_MAX), 86400000);
    assert_int_equal(sdk_refused_ms(&extreme, 4000000000u, UINT32_MAX), 86400000);
}

static void the_outbox_keeps_order_within_its_bounds(void **state)
{
    (void)state;
    uint8_t buf[200];
    struct teddy_outbox o;
    uint64_t next_in = 1, next_out = 1, id;
    const uint8_t *text;
    size_t len;
    sdk_outbox_init(&o, buf, sizeof buf, 1);
    assert_false(sdk_outbox_head(&o, &id, &text, &len));
    sdk_outbox_pop(&o);
    for (unsigned i = 0; i < 5000; i++) {
        char said[64];
        size_t said_len = 1 + (next_in * 7) % 63;
        memset(said, (int)('a' + next_in % 26), said_len);
        if (i % 3 != 0 && sdk_outbox_push(&o, said, said_len, &id) == TEDDY_OK) {
            assert_int_equal(id, next_in++);
        } else if (sdk_outbox_head(&o, &id, &text, &len)) {
            assert_int_equal(id, next_out);
            assert_int_equal(len, 1 + (next_out * 7) % 63);
            for (size_t k = 0; k < len; k++) {
                assert_int_equal(text[k], 'a' + next_out % 26);
            }
            sdk_outbox_pop(&o);
            next_out++;
        }
        assert_int_equal(o.count, next_in - next_out);
    }
    sdk_outbox_clear(&o);
    char most[176];
    memset(most, 'z', sizeof most);
    /* The promise of the header: its text and 24 bytes are room enough. */
    assert_int_equal(sdk_outbox_push(&o, most, sizeof most, NULL), TEDDY_OK);
    assert_int_equal(sdk_outbox_push(&o, most, sizeof most, NULL), TEDDY_EFULL);
    sdk_outbox_init(&o, buf, 5, 1);
    assert_int_equal(sdk_outbox_push(&o, "a", 1, NULL), TEDDY_ETOOBIG);
}

static void dates_are_imf_fixdate_or_nothing(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 32 Nov 1994 08:49:37 GMT",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1969 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 1994 08:49:-7 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
    };
    assert_int_equal(sdk_http_date(span_of("Sun, 06 Nov 1994 08:49:37 GMT")), 784111777);
    assert_int_equal(sdk_http_date(span_of("Thu, 01 Jan 1970 00:00:01 GMT")), 1);
    assert_int_equal(sdk_http_date(span_of("Tue, 29 Feb 2000 23:59:59 GMT")), 951868799);
    assert_int_equal(sdk_http_date(span_of("Fri, 15 Jan 2027 08:00:00 GMT")), 1800000000);
    assert_int_equal(sdk_http_date(span_of("Fri, 31 Dec 9999 23:59:59 GMT")), 253402300799);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(sdk_http_date(span_of(bad[i])), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_are_taken_strictly),
        cmocka_unit_test(authorities_are_written_as_the_host_field_wants_them),
        cmocka_unit_test(paths_are_plain),
        cmocka_unit_test(jitter_is_full_and_bounded),
        cmocka_unit_test(the_outbox_keeps_order_within_its_bounds),
        cmocka_unit_test(dates_are_imf_fixdate_or_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
