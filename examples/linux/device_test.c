/* The program as a whole, where no teddyd is needed: its usage, its endings, and servers that are
 * not what they should be. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "sdk/port/posix/test_pki.h"

static const char *program;
static char dir[64], ca_path[96], secret_path[96], state_path[96];
static struct pki_cert ca, leaf;

/* A run of the program: what it said, and how it ended. */
struct run {
    pid_t pid;
    int in, out, err;
    char said[16384], complained[8192];
    int status;
};

static void start(struct run *r, const char *const *args)
{
    const char *argv[40] = {program};
    int in[2], out[2], err[2];

    memset(r, 0, sizeof *r);
    for (size_t i = 0; args[i]; i++)
        argv[i + 1] = args[i];
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(pipe2(err, O_CLOEXEC), 0);
    r->pid = fork();
    if (r->pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        dup2(err[1], 2);
        execv(program, (char **)(uintptr_t)argv);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    close(err[1]);
    r->in = in[1];
    r->out = out[0];
    r->err = err[0];
}

static void slurp(int fd, char *buf, size_t cap)
{
    size_t len = strlen(buf);
    ssize_t n;

    while (len + 1 < cap && (n = read(fd, buf + len, cap - 1 - len)) > 0)
        len += (size_t)n;
}

/* Until it has complained of this. */
static void await_complaint(struct run *r, const char *text)
{
    size_t len = strlen(r->complained);
    ssize_t n;

    while (!strstr(r->complained, text) &&
           (n = read(r->err, r->complained + len, sizeof r->complained - 1 - len)) > 0)
        len += (size_t)n;
    if (!strstr(r->complained, text))
        fail_msg("no \"%s\" in: %s", text, r->complained);
}

static int finish(struct run *r)
{
    if (r->in >= 0)
        close(r->in);
    slurp(r->out, r->said, sizeof r->said);
    slurp(r->err, r->complained, sizeof r->complained);
    close(r->out);
    close(r->err);
    assert_int_equal(waitpid(r->pid, &r->status, 0), r->pid);
    assert_true(WIFEXITED(r->status));
    return WEXITSTATUS(r->status);
}

static void wrong_usage_is_2(void **state)
{
    static const struct {
        const char *args[14];
        const char *says;
    } table[] = {
        {{NULL}, "missing: --server"},
        {{"verify", NULL}, "missing: --server"},
        {{"--server", "https://a", NULL}, "missing: --id"},
        {{"--server", "https://a", "--id", "x", NULL}, "missing: --child"},
        {{"--server", "https://a", "--id", "x", "--child", "c", NULL}, "missing: --secret-file"},
        {{"--server", "https://a", "--id", "x", "--child", "c", "--secret-file", "f", NULL},
         "missing: --state"},
        {{"--server", "https://a", "--id", "x y", "--child", "c", "--secret-file", "f", "--state",
          "s", NULL},
         "--id and --child"},
        {{"--nonsense", NULL}, "nonsense"},
        {{"--server", NULL}, "server"},
        {{"stray", NULL}, "unexpected: stray"},
        {{"--linger-s", "-1", NULL}, "--linger-s"},
        {{"--ahead", "65", NULL}, "--ahead"},
        {{"--backoff-cap-ms", "99999999999999999999999", NULL}, "--backoff-cap-ms"},
        {{"--quiet", "--json", NULL}, "exclude each other"},
        {{"verify", "--server", "ftp://a", "--id", "x", "--secret-file", "f", NULL},
         "https://host"},
        {{"verify", "--server", "https://a/path", "--id", "x", "--secret-file", "f", NULL},
         "https://host"},
        {{"verify", "--server", "http://a", "--id", "x", "--secret-file", "f", NULL},
         "https://host"},
        {{"verify", "--server", "https://a", "--claim-endpoint", "no/slash", "--id", "x",
          "--secret-file", "f", NULL},
         "path"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct run r;
        start(&r, table[i].args);
        assert_int_equal(finish(&r), 2);
        assert_string_equal(r.said, "");
        if (!strstr(r.complained, table[i].says))
            fail_msg("row %zu: no \"%s\" in: %s", i, table[i].says, r.complained);
    }
}

static void help_is_complete(void **state)
{
    static const char *const options[] = {"--server",
                                          "--ca",
                                          "--id",
                                          "--child",
                                          "--secret-file",
                                          "--state",
                                          "--bind",
                                          "--firmware",
                                          "--quiet",
                                          "--json",
                                          "--verbose",
                                          "--allow-plain",
                                          "--claim-endpoint",
                                          "--ws-endpoint",
                                          "--linger-s",
                                          "--ahead",
                                          "--backoff-floor-ms",
                                          "--backoff-base-ms",
                                          "--backoff-cap-ms",
                                          "--backoff-refused-ms",
                                          "--step-timeout-ms",
                                          "--echo-timeout-ms",
                                          "SERVER_URL",
                                          "CLAIM_ENDPOINT",
                                          "WS_ENDPOINT",
                                          "FILE.last",
                                          "messages",
                                          "verify",
                                          "Exit status"};
    const char *help[] = {"--help", NULL}, *version[] = {"--version", NULL};
    struct run r;

    (void)state;
    start(&r, help);
    assert_int_equal(finish(&r), 0);
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        if (!strstr(r.said, options[i]))
            fail_msg("--help lacks %s", options[i]);
    start(&r, version);
    assert_int_equal(finish(&r), 0);
    assert_non_null(strstr(r.said, "teddy-device "));
}

static void start_toy(struct run *r, const char *url, const char *const *more)
{
    const char *args[40] = {"--server", url,   "--ca",          ca_path,     "--id",    "toy",
                            "--child",  "kid", "--secret-file", secret_path, "--state", state_path};

    for (size_t i = 0, at = 12; more && more[i]; i++)
        args[at++] = more[i];
    start(r, args);
}

static void url_of(const struct pki_server *s, char out[64])
{
    snprintf(out, 64, "https://127.0.0.1:%u", s->port);
}

static void say(struct run *r, const char *text)
{
    assert_int_equal(write(r->in, text, strlen(text)), strlen(text));
}

static void files_that_are_not_right_are_1(void **state)
{
    char missing[96];
    const char *no_ca[] = {"--ca", missing, NULL}, *no_secret[] = {"--secret-file", missing, NULL},
               *no_folder[] = {"--state", "/nonexistent/state", NULL},
               *no_bind[] = {"--bind", "nowhere", NULL};
    const char *const *all[] = {no_ca, no_secret, no_folder, no_bind};
    struct run r;

    (void)state;
    snprintf(missing, sizeof missing, "%s/missing", dir);
    for (size_t i = 0; i < 4; i++) {
        start_toy(&r, "https://127.0.0.1:1", all[i]);
        assert_int_equal(finish(&r), 1);
        assert_non_null(strstr(r.complained, all[i][1]));
        assert_ptr_equal(strchr(r.complained, '\n'), strrchr(r.complained, '\n'));
    }
    assert_int_equal(chmod(secret_path, 0644), 0);
    start_toy(&r, "https://127.0.0.1:1", NULL);
    assert_int_equal(finish(&r), 1);
    assert_non_null(strstr(r.complained, "chmod 600"));
    assert_int_equal(chmod(secret_path, 0600), 0);
}

static void nobody_there_is_1_after_the_linger(void **state)
{
    const char *fast[] = {"--linger-s", "1", "--backoff-cap-ms", "200", NULL};
    struct run r;

    (void)state;
    start_toy(&r, "https://127.0.0.1:1", fast);
    say(&r, "Is anybody there?\n");
    assert_int_equal(finish(&r), 1);
    assert_non_null(strstr(r.complained, "Connection refused"));
    assert_non_null(strstr(r.complained, "again in 0."));
    assert_non_null(strstr(r.complained, "is the server up"));
    assert_null(strstr(r.said, "echo:"));
}

static void a_stranger_is_not_trusted(void **state)
{
    struct pki_cert alone =
        pki_make("localhost", NULL, false, "IP:127.0.0.1", NULL, 1000000000, 4000000000);
    struct pki_server s;
    struct run r;
    char url[64];

    (void)state;
    pki_server_start(&s, &alone, PKI_ECHO, false);
    url_of(&s, url);
    start_toy(&r, url, NULL);
    await_complaint(&r, "no authority we trust has signed it");
    await_complaint(&r, "give --ca FILE");
    assert_int_equal(kill(r.pid, SIGTERM), 0);
    assert_int_equal(finish(&r), 0);
    pki_server_stop(&s);
    pki_free(&alone);
}

static void a_signal_ends_it_though_the_server_is_silent(void **state)
{
    const int signals[] = {SIGINT, SIGTERM};
    const char *verbose[] = {"--verbose", NULL};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct pki_server s;
        struct run r;
        char url[64];
        pki_server_start(&s, NULL, PKI_SILENT, false);
        url_of(&s, url);
        start_toy(&r, url, verbose);
        await_complaint(&r, "claiming");
        assert_int_equal(kill(r.pid, signals[i]), 0);
        assert_int_equal(finish(&r), 0);
        pki_server_stop(&s);
    }
}

/* It speaks TLS, and then gives back what it hears: no HTTP, and no Teddy. */
static void something_else_is_waited_out_and_verified_as_such(void **state)
{
    const char *fast[] = {"--linger-s", "4", "--backoff-cap-ms", "300", NULL};
    struct pki_server s;
    struct run r;
    char url[64];
    const char *verify[] = {"verify", "--server",      url,         "--ca", ca_path, "--id",
                            "toy",    "--secret-file", secret_path, NULL};

    (void)state;
    pki_server_start(&s, &leaf, PKI_ECHO, false);
    url_of(&s, url);
    start_toy(&r, url, fast);
    say(&r, "hello\n");
    assert_int_equal(finish(&r), 1);
    assert_non_null(strstr(r.said, "certificate: verified: CN=leaf, issued by CN=test authority"));
    assert_non_null(strstr(r.complained, "malformed input"));
    start(&r, verify);
    assert_int_equal(finish(&r), 1);
    assert_non_null(strstr(r.said, "pass  its certificate is verified for this host"));
    assert_non_null(strstr(r.said, "FAIL  GET /healthz"));
    assert_non_null(strstr(r.complained, "does not keep the contract"));
    pki_server_stop(&s);
}

static void verify_says_where_it_ends(void **state)
{
    struct pki_cert wrong =
        pki_make("wrong", &ca, false, "IP:127.0.0.2", NULL, 1000000000, 4000000000);
    struct pki_server s;
    struct run r;
    char url[64];
    const char *verify[] = {"verify", "--server",      url,         "--ca", ca_path, "--id",
                            "toy",    "--secret-file", secret_path, NULL};

    (void)state;
    pki_server_start(&s, &wrong, PKI_ECHO, false);
    url_of(&s, url);
    start(&r, verify);
    assert_int_equal(finish(&r), 1);
    assert_non_null(strstr(r.said, "FAIL  its certificate is verified for this host"));
    assert_non_null(strstr(r.said, "not for this host"));
    pki_server_stop(&s); /* and now nobody is there */
    start(&r, verify);
    assert_int_equal(finish(&r), 1);
    assert_non_null(strstr(r.said, "FAIL  it can be reached by TCP"));
    assert_non_null(strstr(r.said, "1 failed"));
    pki_free(&wrong);
}

static void remove_state(void)
{
    static const char *const suffixes[] = {"", ".last", ".key", ".time", ".lock", ".tmp"};
    char name[128];

    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        snprintf(name, sizeof name, "%s%s", state_path, suffixes[i]);
        unlink(name);
    }
}

static int setup(void **state)
{
    int fd;

    (void)state;
    signal(SIGPIPE, SIG_IGN);
    snprintf(dir, sizeof dir, "/tmp/teddy-device-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(ca_path, sizeof ca_path, "%s/ca.crt", dir);
    snprintf(secret_path, sizeof secret_path, "%s/secret", dir);
    snprintf(state_path, sizeof state_path, "%s/state", dir);
    ca = pki_make("test authority", NULL, true, NULL, NULL, 1000000000, 4000000000);
    leaf = pki_make("leaf", &ca, false, "IP:127.0.0.1", NULL, 1000000000, 4000000000);
    pki_write(&ca, ca_path);
    fd = open(secret_path, O_WRONLY | O_CREAT, 0600);
    for (int i = 0; i < 32; i++)
        assert_int_equal(write(fd, "a5", 2), 2);
    close(fd);
    unsetenv("SERVER_URL");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    remove_state();
    unlink(ca_path);
    unlink(secret_path);
    pki_free(&leaf);
    pki_free(&ca);
    return rmdir(dir);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_usage_is_2),
        cmocka_unit_test(help_is_complete),
        cmocka_unit_test(files_that_are_not_right_are_1),
        cmocka_unit_test(nobody_there_is_1_after_the_linger),
        cmocka_unit_test(a_stranger_is_not_trusted),
        cmocka_unit_test(a_signal_ends_it_though_the_server_is_silent),
        cmocka_unit_test(something_else_is_waited_out_and_verified_as_such),
        cmocka_unit_test(verify_says_where_it_ends),
    };

    if (argc != 2) {
        fprintf(stderr, "usage: device_test TEDDY-DEVICE\n");
        return 2;
    }
    program = argv[1];
    return cmocka_run_group_tests(tests, setup, teardown);
}
