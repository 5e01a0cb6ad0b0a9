/* Where the master key comes from, and what is refused with which advice. */
#include "identity/master_key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "BbBbBbBbBbBbBbBbBbBbBbBbBbBbBbBbBbBbBbBbBbBbBbBbBbBbBbBbBbBbBbBb"

static char dir[32];
static struct master_key m;
static char err[512];

static const char *at(const char *name)
{
    static char path[96];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/master-XXXXXX");
    assert_non_null(mkdtemp(dir));
    unsetenv("CREDENTIALS_DIRECTORY");
    unsetenv(MASTER_KEY_ENV);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    static const char *const names[] = {"master.key", "master.key.new", "other", "link",
                                        MASTER_KEY_CREDENTIAL};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        (void)remove(at(names[i]));
    assert_int_equal(rmdir(dir), 0);
    return 0;
}

static void put(const char *name, const char *text, mode_t mode)
{
    FILE *f = fopen(at(name), "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(at(name), mode), 0);
}

static void found(const char *configured, enum master_source source, uint8_t first, unsigned count)
{
    if (master_key_find(&m, configured, dir, err, sizeof err) != TEDDY_OK)
        fail_msg("%s", err);
    assert_int_equal(m.source, source);
    assert_int_equal(m.keys.count, count);
    if (count > 0)
        assert_int_equal(m.keys.key[0][31], first);
}

static void refused(const char *configured, int code, const char *because)
{
    static const uint8_t none[sizeof m.keys.key];
    err[0] = 0;
    assert_int_equal(master_key_find(&m, configured, dir, err, sizeof err), code);
    if (strstr(err, because) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err, because);
    assert_null(strstr(err, "aaaaaaaa"));
    assert_memory_equal(m.keys.key, none, sizeof none);
}

static void parsed(const char *text, unsigned count)
{
    struct seal_master keys = {0};
    const char *wrong = master_key_parse((struct span){text, strlen(text)}, &keys);
    if (wrong != NULL)
        fail_msg("\"%s\" %s", text, wrong);
    assert_int_equal(keys.count, count);
    assert_int_equal(keys.key[0][0], 0xaa);
    assert_int_equal(keys.key[1][0], count > 1 ? 0xbb : 0);
}

static void not_parsed(const char *text, const char *because)
{
    struct seal_master keys = {0};
    const char *wrong = master_key_parse((struct span){text, strlen(text)}, &keys);
    assert_non_null(wrong);
    if (strstr(wrong, because) == NULL)
        fail_msg("\"%s\": \"%s\" does not say \"%s\"", text, wrong, because);
    assert_int_equal(keys.count, 0);
}

static void what_a_key_looks_like(void **state)
{
    (void)state;
    parsed(A, 1);
    parsed(" " A "\r\n\n", 1);
    parsed(A ":" B, 2);
    parsed(A "\n" B "\n", 2);
    parsed(A " : " B, 2);
    not_parsed("", "is empty");
    not_parsed(" \n", "is empty");
    not_parsed("aa", "is not 64 hex digits");
    not_parsed(A "a", "is not 64 hex digits");
    not_parsed("g" A, "is not 64 hex digits");
    not_parsed(A A, "is not 64 hex digits");
    not_parsed(A ":", "behind its first key");
    not_parsed(A ":x", "behind its first key");
    not_parsed(A "::" B, "behind its first key");
    not_parsed(A ":" B ":" A, "more than two");
    not_parsed(A "\n" B "\n" A, "more than two");
    not_parsed(A ":" A, "same key twice");
}

/* Each is read though the ones behind it are there too, and only the winner. */
static void one_source_wins(void **state)
{
    (void)state;
    put("master.key", "not a key, and not read", 0644);
    put("other", "0000000000000000000000000000000000000000000000000000000000000002\n", 0600);
    found(at("other"), MASTER_CONFIGURED, 2, 1);
    assert_true(master_key_in_file(&m));
    assert_string_equal(m.from, at("other"));
    setenv(MASTER_KEY_ENV, "0000000000000000000000000000000000000000000000000000000000000003", 1);
    found(at("other"), MASTER_ENVIRONMENT, 3, 1);
    assert_false(master_key_in_file(&m));
    assert_null(getenv(MASTER_KEY_ENV));
    put(MASTER_KEY_CREDENTIAL, "0000000000000000000000000000000000000000000000000000000000000004",
        0440); /* as systemd grants it */
    setenv("CREDENTIALS_DIRECTORY", dir, 1);
    setenv(MASTER_KEY_ENV, A, 1);
    found(at("other"), MASTER_CREDENTIAL, 4, 1);
    assert_null(getenv(MASTER_KEY_ENV)); /* it is of no use, and wiped all the same */
    assert_string_equal(master_key_source(&m), "credential");
    assert_int_equal(remove(at(MASTER_KEY_CREDENTIAL)), 0);
    found(at("other"), MASTER_CONFIGURED, 2, 1); /* credentials for other things */
}

static void the_variable_leaves_the_memory(void **state)
{
    (void)state;
    setenv(MASTER_KEY_ENV, A ":" B, 1);
    char *text = getenv(MASTER_KEY_ENV);
    found("", MASTER_ENVIRONMENT, 0xaa, 2);
    assert_null(memmem(text, strlen(A), "aa", 2));
    setenv(MASTER_KEY_ENV, "", 1);
    refused("", TEDDY_EPROTO, MASTER_KEY_ENV ": is empty");
    setenv(MASTER_KEY_ENV, A A, 1);
    refused("", TEDDY_EPROTO, "is not 64 hex digits");
}

static void a_bad_file_is_refused(void **state)
{
    (void)state;
    put("master.key", A, 0640);
    refused("", TEDDY_EAUTH, "chmod 600");
    put("master.key", A, 0604);
    refused("", TEDDY_EAUTH, "mode 604");
    put("master.key", A "zz", 0600);
    refused("", TEDDY_EPROTO, "master.key: it is not 64 hex digits");
    put("master.key", "", 0600);
    refused("", TEDDY_EPROTO, "it is empty");
    char large[400];
    memset(large, 'a', sizeof large - 1);
    large[sizeof large - 1] = 0;
    put("master.key", large, 0600);
    refused("", TEDDY_EPROTO, "longer than 256 bytes");
    assert_int_equal(remove(at("master.key")), 0);
    assert_int_equal(mkfifo(at("master.key"), 0600), 0);
    refused("", TEDDY_EPROTO, "not a plain file");
    assert_int_equal(remove(at("master.key")), 0);
    put("other", A, 0600);
    char target[96];
    snprintf(target, sizeof target, "%s", at("other"));
    assert_int_equal(symlink(target, at("link")), 0);
    refused(at("link"), TEDDY_EPROTO, "symbolic link");
    refused(at("missing"), TEDDY_EIO, "openssl rand -hex 32 >");
    refused(dir, TEDDY_EPROTO, "not a plain file");
    put(MASTER_KEY_CREDENTIAL, A, 0444);
    setenv("CREDENTIALS_DIRECTORY", dir, 1);
    refused("", TEDDY_EAUTH, "others may read");
}

static void its_own_file_is_made_once(void **state)
{
    (void)state;
    struct stat st;
    found("", MASTER_OWN, 0, 0); /* not before the database asks */
    assert_int_not_equal(access(at("master.key"), F_OK), 0);
    assert_int_equal(m.keys.make(&m.keys, err, sizeof err), TEDDY_OK);
    assert_true(m.made);
    assert_int_equal(stat(at("master.key"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    uint8_t first[SEAL_KEY_LEN];
    memcpy(first, m.keys.key[0], sizeof first);
    found("", MASTER_OWN, first[31], 1);
    assert_memory_equal(m.keys.key[0], first, sizeof first);
    assert_false(m.made);
    found(at("master.key"), MASTER_CONFIGURED, first[31], 1);
    assert_null(m.keys.make); /* a configured one is never made: it may be on a disk that is not
                                 there */
}

static void a_rotation_that_was_cut_is_settled(void **state)
{
    (void)state;
    struct seal_master keys = {0};
    put("master.key", A "\n" B "\n", 0600);
    put("master.key.new", A "\n", 0600);
    found("", MASTER_OWN, 0xaa, 2);
    assert_int_equal(master_key_settle(&m, err, sizeof err), TEDDY_OK);
    assert_int_not_equal(access(at("master.key.new"), F_OK), 0);
    assert_int_equal(master_key_read(&m, &keys, err, sizeof err), TEDDY_OK);
    assert_int_equal(keys.count, 1);
    assert_int_equal(keys.key[0][0], 0xaa);
    assert_int_equal(remove(at("master.key")), 0);
    assert_int_equal(master_key_read(&m, &keys, err, sizeof err), TEDDY_EIO);
    setenv(MASTER_KEY_ENV, A ":" B, 1);
    found("", MASTER_ENVIRONMENT, 0xaa, 2); /* nothing to write */
    assert_int_equal(master_key_settle(&m, err, sizeof err), TEDDY_OK);
    assert_int_not_equal(access(at("master.key"), F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_key_looks_like),
        cmocka_unit_test_setup_teardown(one_source_wins, setup, teardown),
        cmocka_unit_test_setup_teardown(the_variable_leaves_the_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(a_bad_file_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(its_own_file_is_made_once, setup, teardown),
        cmocka_unit_test_setup_teardown(a_rotation_that_was_cut_is_settled, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
