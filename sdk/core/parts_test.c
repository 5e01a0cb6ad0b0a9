/* The small parts by themselves: url, backoff, outbox. */
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
        "https://t\xc3\xa9"
        "ddy",
        "https://teddy.example\r\nX: y",
        "https://[::1",
        "https://::1",
        "https://[]",
        "https://[::1]x",
        "https://[::1%25eth0]",
        " https://teddy.example",
        "https://teddy.example ",
    };
    struct teddy_url url;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(sdk_url_parse(good[i].text, true, &url), TEDDY_OK);
        assert_int_equal(url.host_len, strlen(good[i].host));
        assert_memory_equal(url.host, good[i].host, url.host_len);
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
        const char *url, *authority;
    } rows[] = {
        {"https://teddy.example", "teddy.example"},
        {"https://teddy.example:8443", "teddy.example:8443"},
        {"http://[::1]", "[::1]"},
        {"http://[::1]:443", "[::1]:443"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct teddy_url url;
        char text[64];
        struct writer w = writer_on(text, sizeof text);
        assert_int_equal(sdk_url_parse(rows[i].url, true, &url), TEDDY_OK);
        sdk_url_authority(&w, &url);
        assert_int_equal(writer_end(&w), TEDDY_OK);
        assert_string_equal(text, rows[i].authority);
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
    const struct teddy_times config = {.backoff_floor_ms = 250,
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
    const struct teddy_times extreme = {.backoff_floor_ms = 1,
                                        .backoff_base_ms = UINT32_MAX,
                                        .backoff_cap_ms = 86400000,
                                        .backoff_refused_ms = UINT32_MAX};
    assert_int_equal(sdk_backoff_ms(&extreme, 4000000000u, UINT32_MAX), 86400000);
    assert_int_equal(sdk_refused_ms(&extreme, 4000000000u, UINT32_MAX), 86400000);
}

/* A cap that somebody chose, under the floor that nobody did. */
static void the_floor_never_exceeds_the_cap(void **state)
{
    (void)state;
    const struct teddy_times times = {.backoff_floor_ms = TEDDY_BACKOFF_FLOOR_MS,
                                      .backoff_base_ms = TEDDY_BACKOFF_BASE_MS,
                                      .backoff_cap_ms = 200};
    for (unsigned n = 0; n < 100; n++) {
        for (uint64_t r = 0; r <= UINT32_MAX; r += 0xfffff) {
            assert_int_equal(sdk_backoff_ms(&times, n, (uint32_t)r), 200);
        }
    }
}

static bool head_of(const struct teddy_outbox *o, struct sdk_entry *entry, const uint8_t **text)
{
    size_t at = 0;
    bool there = sdk_outbox_next(o, &at, entry);
    *text = o->buf + sizeof *entry;
    return there;
}

static void the_outbox_keeps_order_within_its_bounds(void **state)
{
    (void)state;
    uint8_t buf[200];
    struct teddy_outbox o;
    struct sdk_entry in = {.id = 1}, out;
    uint64_t next_out = 1;
    const uint8_t *text;
    sdk_outbox_init(&o, buf, sizeof buf, 1);
    assert_false(head_of(&o, &out, &text));
    sdk_outbox_remove(&o, 0);
    for (unsigned i = 0; i < 5000; i++) {
        char said[64];
        in.len = (uint16_t)(1 + (in.id * 7) % 63);
        memset(said, (int)('a' + in.id % 26), in.len);
        if (i % 3 != 0 && sdk_outbox_push(&o, said, &in) == TEDDY_OK) {
            in.id++;
        } else if (head_of(&o, &out, &text)) {
            assert_int_equal(out.id, next_out);
            assert_int_equal(out.len, 1 + (next_out * 7) % 63);
            for (size_t k = 0; k < out.len; k++) {
                assert_int_equal(text[k], 'a' + next_out % 26);
            }
            sdk_outbox_remove(&o, 0);
            next_out++;
        }
        assert_int_equal(o.count, in.id - next_out);
    }
    sdk_outbox_clear(&o);
    char most[176];
    memset(most, 'z', sizeof most);
    /* The promise of the header: its text and TEDDY_OUTBOX_ENTRY bytes are room enough. */
    in.len = sizeof most;
    assert_int_equal(sdk_outbox_push(&o, most, &in), TEDDY_OK);
    assert_int_equal(sdk_outbox_push(&o, most, &in), TEDDY_EFULL);
    sdk_outbox_init(&o, buf, 5, 1);
    in.len = 1;
    assert_int_equal(sdk_outbox_push(&o, "a", &in), TEDDY_ETOOBIG);
}

static void forms_are_written_with_their_parts(void **state)
{
    (void)state;
    static const char *const parts[] = {"a", "", "%"};
    char text[16], number[21];
    struct writer w = writer_on(text, sizeof text);
    sdk_write(&w, "%%<%>", parts);
    assert_int_equal(writer_end(&w), TEDDY_OK);
    assert_string_equal(text, "a<%>"); /* a part is no form */
    w = writer_on(text, 4);
    sdk_write(&w, "12%45", parts);
    assert_true(w.overflow);
    sdk_decimal(0, number);
    assert_string_equal(number, "0");
    sdk_decimal(UINT64_MAX, number);
    assert_string_equal(number, "18446744073709551615");
}

static void words_are_found_in_their_lists(void **state)
{
    (void)state;
    static const char words[] = "one\0two\0three\0";
    static const char *const none[] = {"", "on", "ones", "tw", "One", "three "};
    assert_int_equal(sdk_word(words, "one"), 0);
    assert_int_equal(sdk_word(words, "two"), 1);
    assert_int_equal(sdk_word(words, "three"), 2);
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        assert_int_equal(sdk_word(words, none[i]), 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_are_taken_strictly),
        cmocka_unit_test(authorities_are_written_as_the_host_field_wants_them),
        cmocka_unit_test(paths_are_plain),
        cmocka_unit_test(jitter_is_full_and_bounded),
        cmocka_unit_test(the_floor_never_exceeds_the_cap),
        cmocka_unit_test(forms_are_written_with_their_parts),
        cmocka_unit_test(words_are_found_in_their_lists),
        cmocka_unit_test(the_outbox_keeps_order_within_its_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
