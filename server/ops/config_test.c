/* Each way of saying a setting, and each way of saying it wrongly: the error names the place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ops/config.h"

static char dir[] = "/tmp/teddy-config-XXXXXX";
static char file[64];
static struct config c;
static char err[512];

static void write_file(const char *text, size_t len)
{
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

/* Arguments end with NULL; the environment is what setenv made of it. */
static int load(const char *first, ...)
{
    char *argv[16] = {(char *)(uintptr_t) "teddyd"};
    int argc = 1;
    va_list args;

    va_start(args, first);
    for (const char *a = first; a != NULL; a = va_arg(args, const char *))
        argv[argc++] = (char *)(uintptr_t)a;
    va_end(args);
    err[0] = '\0';
    int rc = config_load(&c, argc, argv, err, sizeof err);
    clearenv();
    return rc;
}

static int load_file(const char *text)
{
    write_file(text, strlen(text));
    return load("--config", file, NULL);
}

static void expect(int rc, int want, const char *part)
{
    if (rc != want || strstr(err, part) == NULL)
        fail_msg("got %d '%s', expected %d and '%s'", rc, err, want, part);
}

static void defaults(void **state)
{
    (void)state;
    assert_int_equal(load(NULL), TEDDY_OK);
    assert_string_equal(c.listen, "127.0.0.1:8443");
    assert_true(c.tls);
    assert_false(c.echo_route);
    assert_int_equal(c.access_ttl_s, 3600);
    assert_string_equal(c.processor, "script");
    assert_string_equal(c.data, "");
}

static void precedence(void **state)
{
    (void)state;
    assert_int_equal(load_file("ping_ms = 1000\nsilence_ms=2000\n\n# remark\n loops : 3 ; remark\n"
                               "log_level = warn\r\necho_route = on\n"),
                     TEDDY_OK);
    assert_int_equal(c.ping_ms, 1000);
    assert_int_equal(c.silence_ms, 2000);
    assert_int_equal(c.loops, 3);
    assert_string_equal(c.log_level, "warn");
    assert_true(c.echo_route);

    setenv("TEDDY_CONFIG", file, 1);
    setenv("TEDDY_LOOPS", "4", 1);
    setenv("TEDDY_PING_MS", "1100", 1);
    assert_int_equal(load("--ping-ms=1200", "--log-level", "debug", NULL), TEDDY_OK);
    assert_int_equal(c.silence_ms, 2000);
    assert_int_equal(c.loops, 4);
    assert_int_equal(c.ping_ms, 1200);
    assert_string_equal(c.log_level, "debug");

    /* --config counts more than TEDDY_CONFIG. */
    setenv("TEDDY_CONFIG", "/nonexistent", 1);
    assert_int_equal(load("--config", file, NULL), TEDDY_OK);
    setenv("TEDDY_CONFIG", "/nonexistent", 1);
    expect(load(NULL), TEDDY_EPROTO, "/nonexistent: cannot be read: No such file");
}

static void port(void **state)
{
    (void)state;
    setenv("PORT", "8080", 1);
    assert_int_equal(load(NULL), TEDDY_OK);
    assert_string_equal(c.listen, "0.0.0.0:8080");
    setenv("PORT", "8080", 1);
    setenv("TEDDY_LISTEN", "127.0.0.1:1", 1);
    assert_int_equal(load(NULL), TEDDY_OK);
    assert_string_equal(c.listen, "127.0.0.1:1");
    setenv("PORT", "8080", 1);
    assert_int_equal(load("--listen", "[::1]:0", NULL), TEDDY_OK);
    assert_string_equal(c.listen, "[::1]:0");
    static const char *const bad[] = {"", "65536", "-1", "http", "80 ", "0x50"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        setenv("PORT", bad[i], 1);
        expect(load(NULL), TEDDY_EPROTO, "PORT: is not a port; allowed: 0 to 65535");
    }
    setenv("PORT", "80", 1); /* beyond loopback */
    expect(load("--no-tls", NULL), TEDDY_EINVAL, "trusted_proxies");
}

static void file_errors(void **state)
{
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"\n\nlisen = x\n", ":3: unknown key 'lisen'; did you mean 'listen'?"},
        {"zebra_crossing = 1\n", ":1: unknown key 'zebra_crossing'"},
        {"Loops = 1\n", "did you mean 'loops'?"},
        {"admin_token_file = /x\n", ":1: unknown key 'admin_token_file'; it is gone: remove it, "
                                    "and make tokens with 'teddyctl "
                                    "admin-token create'"},
        {"loops = many\n", ":1: loops: 'many' is not a whole number; allowed: 0 to 64 threads"},
        {"loops = 65\n", ":1: loops: '65' is out of range; allowed: 0 to 64 threads"},
        {"loops = -1\n", "'-1' is not a whole number"},
        {"loops = +1\n", "is not a whole number"},
        {"loops = 1e1\n", "is not a whole number"},
        {"loops = 0x1\n", "is not a whole number"},
        {"loops = 01\n", "is not a whole number"},
        {"loops = 1 2\n", "is not a whole number"},
        {"loops =\n", "'' is not a whole number"},
        {"loops = 18446744073709551617\n", "is "},
        {"loops = 4294967297\n", "is out of range"},
        {"tls = maybe\n", "tls: 'maybe' is neither on nor off; allowed: on or off"},
        {"log_level = loud\n",
         "'loud' is not one of its words; allowed: error, warn, info or debug"},
        {"log_level = error|warn\n", "is not one of its words"},
        {"processor =\n", "is not one of its words; allowed: script, echo, chat, webhook or exec"},
        {"# a\nping_ms = 1\n", ":2: ping_ms: '1' is out of range"},
        {"loops = 1\n\nloops = 1\n", ":3: loops is there already, on line 1"},
        {"loops = 1\n  loops = 2\n", ":2: loops is there already, on line 1"},
        {"# x\n[server]\nloops = 1\n", ":2: sections are not used"},
        {"loops = 1\njust words\nlog_level = warn\n", ":2: expected KEY = VALUE"},
        {"just words\nlisen = 1\n", ":1: expected KEY = VALUE"},
        {"data = \"/var/lib\"\n", "stands in quotes"},
        {"data = a\x01"
         "b\n",
         "control character"},
        {"data = \xff\n", "not UTF-8"},
        {"= 1\n", ":1: "},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        expect(load_file(cases[i].text), TEDDY_EPROTO, cases[i].part);
        assert_memory_equal(err, file, strlen(file));
        assert_null(strpbrk(err, "\x01\xff\n"));
    }
}

static void file_forms(void **state)
{
    char text[1024];
    (void)state;
    assert_int_equal(load_file("\xef\xbb\xbfloops = 2\n"), TEDDY_OK);
    assert_int_equal(c.loops, 2);
    assert_int_equal(load_file(""), TEDDY_OK);
    assert_int_equal(load_file("loops = 5"), TEDDY_OK); /* no newline at the end */
    assert_int_equal(c.loops, 5);
    /* An indented line is a setting of its own, not more of the one above. */
    assert_int_equal(load_file("data = /a\n   loops = 6\n"), TEDDY_OK);
    assert_string_equal(c.data, "/a");
    assert_int_equal(c.loops, 6);
    for (int len = 190; len < 210; len++) {
        (void)snprintf(text, sizeof text, "loops = 1\ndata = /%0*d\nping_ms = 200\n", len - 8, 0);
        if (len <= 199)
            assert_int_equal(load_file(text), TEDDY_OK);
        else
            expect(load_file(text), TEDDY_EPROTO, ":2: the line is longer than 199 bytes");
    }
    write_file("loops = 1\0\nping_ms = 5", 22);
    expect(load("--config", file, NULL), TEDDY_EPROTO, ":1: holds a NUL byte");
    expect(load("--config", "/nonexistent/x", NULL), TEDDY_EPROTO,
           "/nonexistent/x: cannot be read");
    expect(load("--config", dir, NULL), TEDDY_EPROTO, "cannot be read: Is a directory");
}

static void environment_errors(void **state)
{
    (void)state;
    setenv("TEDDY_LISEN", "x", 1);
    expect(load(NULL), TEDDY_EPROTO,
           "environment variable TEDDY_LISEN: no such setting; did you mean 'TEDDY_LISTEN'?");
    setenv("TEDDY_loops", "1", 1);
    expect(load(NULL), TEDDY_EPROTO, "did you mean 'TEDDY_LOOPS'?");
    setenv("TEDDY_ADMIN_TOKEN_FILE", "/x", 1);
    expect(load(NULL), TEDDY_EPROTO, "make tokens with 'teddyctl admin-token create'");
    unsetenv("TEDDY_ADMIN_TOKEN_FILE");
    setenv("TEDDY_", "1", 1);
    expect(load(NULL), TEDDY_EPROTO, "TEDDY_: no such setting");
    setenv("TEDDY_LOOPS", "65", 1);
    expect(load(NULL), TEDDY_EPROTO, "TEDDY_LOOPS: '65' is out of range; allowed: 0 to 64 threads");
    setenv("TEDDY_BEAR\x1b[2J", "65", 1);
    expect(load(NULL), TEDDY_EPROTO, "TEDDY_BEAR?[2J: no such setting");
    setenv("TEDDYBEAR", "not ours", 1);
    assert_int_equal(load(NULL), TEDDY_OK);
}

static void flag_errors(void **state)
{
    char longest[600];
    (void)state;
    expect(load("--lisen", "x", NULL), TEDDY_EINVAL,
           "--lisen: unknown flag; did you mean '--listen'?");
    expect(load("--admin-token-file", "/x", NULL), TEDDY_EINVAL,
           "make tokens with 'teddyctl admin-token create'");
    expect(load("--log_level=info", NULL), TEDDY_EINVAL, "did you mean '--log-level'?");
    expect(load("--xylophone", NULL), TEDDY_EINVAL, "--xylophone: unknown flag; see --help");
    expect(load("--listen", NULL), TEDDY_EINVAL, "--listen: needs a value");
    expect(load("--listen", "--no-tls", NULL), TEDDY_EINVAL, "--listen: needs a value");
    expect(load("--config", NULL), TEDDY_EINVAL, "--config: needs a file");
    expect(load("--no-tls=1", NULL), TEDDY_EINVAL, "--no-tls: takes no value");
    expect(load("start", NULL), TEDDY_EINVAL, "start: unexpected argument");
    expect(load("--", NULL), TEDDY_EINVAL, "unexpected argument");
    expect(load("-v", NULL), TEDDY_EINVAL, "unexpected argument");
    expect(load("", NULL), TEDDY_EINVAL, "unexpected argument");
    expect(load("--loops", "99", NULL), TEDDY_EINVAL,
           "--loops: '99' is out of range; allowed: 0 to 64");
    memset(longest, 'a', sizeof longest);
    memcpy(longest, "--data=", 7);
    longest[7 + 512] = '\0';
    expect(load(longest, NULL), TEDDY_EINVAL, "--data: 'aaa");
    longest[7 + 511] = '\0';
    assert_int_equal(load(longest, NULL), TEDDY_OK);
    assert_int_equal(strlen(c.data), 511);
    longest[0] = longest[1] = '-';
    memset(longest + 2, 'b', 500);
    expect(load(longest, NULL), TEDDY_EINVAL, "unknown flag");
    /* A flag's mistake is told before the file is looked at. */
    expect(load("--config", "/nonexistent", "--loops=x", NULL), TEDDY_EINVAL, "--loops");
    /* The last of a repeated flag counts, so that a wrapper's can be overridden. */
    assert_int_equal(load("--loops=1", "--loops=2", NULL), TEDDY_OK);
    assert_int_equal(c.loops, 2);
}

static void cross_checks(void **state)
{
    char part[128];
    (void)state;
    expect(
        load("--retry-min-ms=2000", "--retry-max-ms=1000", NULL), TEDDY_EINVAL,
        "retry_min_ms (--retry-min-ms) and retry_max_ms (--retry-max-ms): 2000 is more than 1000");
    (void)snprintf(part, sizeof part, "retry_min_ms (%s:2) and retry_max_ms (default): 20000",
                   file);
    expect(load_file("\nretry_min_ms = 20000"), TEDDY_EPROTO, part);
    setenv("TEDDY_SILENCE_MS", "30000", 1);
    expect(load(NULL), TEDDY_EPROTO, "ping_ms (default) and silence_ms (TEDDY_SILENCE_MS)");
    expect(load("--tls-cert=a", NULL), TEDDY_EINVAL, "give both or neither");
    expect(load("--tls-key=a", NULL), TEDDY_EINVAL, "give both or neither");
    expect(load("--tls-ca=a", NULL), TEDDY_EINVAL, "tls_ca");
    assert_int_equal(load("--tls-cert=a", "--tls-key=b", "--tls-ca=c", NULL), TEDDY_OK);
    expect(load("--tls-cert=a", "--tls-key=b", "--no-tls", NULL), TEDDY_EINVAL, "TLS is off");
    expect(load("--message-max=1024", NULL), TEDDY_EINVAL, "utterance_max");
    expect(load("--access-ttl-s=86400", "--refresh-ttl-s=60", NULL), TEDDY_EINVAL, "outlive");
    expect(load("--echo-route=on", "--message-max=16777216", NULL), TEDDY_EINVAL, "output_max");
    expect(load("--downlink-max=5462", NULL), TEDDY_EINVAL, "eight messages");
    assert_int_equal(load("--downlink-max=5461", NULL), TEDDY_OK);
    expect(load("--jwt-issuer=", NULL), TEDDY_EINVAL,
           "jwt_issuer (--jwt-issuer): must not be empty");
    expect(load("--jwt-audience=", NULL), TEDDY_EINVAL, "must not be empty");
}

static void listen_forms(void **state)
{
    static const char *const bad[] = {
        "",      "65536", ":8443", "host",       "host:",  "h:65536", "h:-1",        "::1:8443",
        "[::1]", "[]:1",  "a b:1", "http://h:1", "h:1:2x", "h: 1",    "h:000000001", "[::1:1"};
    static const char *const loopback[] = {"127.0.0.1:1", "127.9.9.9:1", "[::1]:0", "localhost:80"};
    static const char *const beyond[] = {"0.0.0.0:1", "[::]:1", "192.0.2.1:1", "toys.example:1",
                                         "127.example:1"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        expect(load("--listen", bad[i], NULL), TEDDY_EINVAL, "is not HOST:PORT");
    expect(load("--metrics-listen", "x", NULL), TEDDY_EINVAL, "metrics_listen (--metrics-listen)");
    expect(load("--admin-listen", "x", NULL), TEDDY_EINVAL, "admin_listen (--admin-listen)");
    char host[16];
    uint16_t port;
    assert_int_equal(config_host_port("9464", host, sizeof host, &port), TEDDY_OK);
    assert_string_equal(host, "127.0.0.1");
    assert_int_equal(port, 9464);
    assert_int_equal(config_host_port("127.0.0.1:1", host, 9, &port), TEDDY_EINVAL); /* no room */
    for (size_t i = 0; i < sizeof loopback / sizeof loopback[0]; i++)
        assert_int_equal(load("--no-tls", "--listen", loopback[i], NULL), TEDDY_OK);
    for (size_t i = 0; i < sizeof beyond / sizeof beyond[0]; i++) {
        expect(load("--tls=off", "--listen", beyond[i], NULL), TEDDY_EINVAL,
               "trusted_proxies must name");
        assert_int_equal(load("--listen", beyond[i], NULL), TEDDY_OK);
        assert_int_equal(
            load("--no-tls", "--trusted-proxies=127.0.0.1", "--listen", beyond[i], NULL), TEDDY_OK);
        assert_false(c.tls);
    }
}

/* What one call prints to standard output. */
static char *printed(int (*call)(void), int want)
{
    static char text[65536];
    FILE *f = tmpfile();
    assert_non_null(f);
    assert_int_equal(fflush(stdout), 0);
    int saved = dup(STDOUT_FILENO);
    assert_true(dup2(fileno(f), STDOUT_FILENO) >= 0);
    int rc = call();
    fflush(stdout);
    assert_true(dup2(saved, STDOUT_FILENO) >= 0);
    close(saved);
    assert_int_equal(rc, want);
    rewind(f);
    size_t n = fread(text, 1, sizeof text - 1, f);
    text[n] = '\0';
    fclose(f);
    return text;
}

static int call_help(void)
{
    return load("--help", NULL);
}

static int call_version(void)
{
    return load("--version", NULL);
}

static int call_reference(void)
{
    return load("--help-config", NULL);
}

static void information(void **state)
{
    static const char *const keys[] = {
#define NAME(key, ...) #key,
        CONFIG_MAP(NAME, NAME, NAME, NAME)
#undef NAME
    };
    (void)state;
    assert_string_equal(printed(call_version, TEDDY_AGAIN), "teddyd " TEDDY_VERSION "\n");
    const char *help = printed(call_help, TEDDY_AGAIN);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        char flag[80];
        (void)snprintf(flag, sizeof flag, "\n  --%s\n", keys[i]);
        for (char *p = flag; *p != '\0'; p++)
            *p = (char)(*p == '_' ? '-' : *p);
        assert_non_null(strstr(help, flag));
    }
    assert_non_null(strstr(help, "0 to 64 threads; default 0\n"));
    assert_non_null(strstr(help, "error, warn, info or debug; default info\n"));
}

static void reference_page(void **state)
{
    static char page[65536];
    FILE *f = fopen(TEDDY_SOURCE_DIR "/docs/configuration.md", "r");
    (void)state;
    assert_non_null(f);
    size_t n = fread(page, 1, sizeof page - 1, f);
    page[n] = '\0';
    fclose(f);
    /* If this fails: teddyd --help-config >docs/configuration.md */
    assert_string_equal(page, printed(call_reference, TEDDY_AGAIN));
}

static int resolve(const char *data, bool make, char *out)
{
    memset(&c, 0, sizeof c);
    (void)snprintf(c.data, sizeof c.data, "%s", data);
    err[0] = '\0';
    int rc = config_data_dir(&c, make, out, 256, err, sizeof err);
    clearenv();
    return rc;
}

static void data_dir(void **state)
{
    char out[256], want[256];
    struct stat st;
    (void)state;
    clearenv();
    (void)snprintf(want, sizeof want, "%s/x/y", dir);
    expect(resolve(want, false, out), TEDDY_ENOTFOUND, "x/y: No such file");
    assert_int_equal(resolve(want, true, out), TEDDY_OK);
    assert_string_equal(out, want);
    assert_int_equal(stat(want, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(resolve(want, true, out), TEDDY_OK);
    assert_int_equal(chmod(want, 0777), 0);
    expect(resolve(want, true, out), TEDDY_EIO, "may be written by everybody");
    rmdir(want);
    (void)snprintf(want, sizeof want, "%s/x", dir);
    rmdir(want);

    char list[300];
    (void)snprintf(list, sizeof list, "%s:/other", dir);
    setenv("STATE_DIRECTORY", list, 1);
    setenv("XDG_DATA_HOME", "/x", 1);
    assert_int_equal(resolve("", false, out), TEDDY_OK);
    assert_string_equal(out, dir);
    setenv("XDG_DATA_HOME", dir, 1);
    expect(resolve("", false, out), TEDDY_ENOTFOUND, "/teddy: No such");
    setenv("XDG_DATA_HOME", "relative", 1);
    setenv("HOME", dir, 1);
    expect(resolve("", false, out), TEDDY_ENOTFOUND, "/.local/share/teddy: No such");
    write_file("", 0);
    expect(resolve(file, true, out), TEDDY_EIO, "is not a directory");
    (void)snprintf(want, sizeof want, "%s/below", file);
    expect(resolve(want, true, out), TEDDY_EIO, "cannot be made");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),       cmocka_unit_test(precedence),
        cmocka_unit_test(port),           cmocka_unit_test(file_errors),
        cmocka_unit_test(file_forms),     cmocka_unit_test(environment_errors),
        cmocka_unit_test(flag_errors),    cmocka_unit_test(cross_checks),
        cmocka_unit_test(listen_forms),   cmocka_unit_test(information),
        cmocka_unit_test(reference_page), cmocka_unit_test(data_dir),
    };
    clearenv();
    if (mkdtemp(dir) == NULL)
        return 1;
    (void)snprintf(file, sizeof file, "%s/teddy.conf", dir);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)unlink(file);
    (void)rmdir(dir);
    return failed;
}
