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

#include "ops/secret_file.h"

static char dir[32], path[64], out[SECRET_MAX + 1], err[512];

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/secret-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static void write_secret(const char *name, const char *text, size_t len, mode_t mode)
{
    snprintf(path, sizeof path, "%s/%s", dir, name);
    unlink(path);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, len, f), len);
    fclose(f);
    assert_int_equal(chmod(path, mode), 0);
}

static int get(void)
{
    err[0] = '\0';
    return secret_read("teddy-test", path, out, err, sizeof err);
}

static void read_and_trimmed(void **state)
{
    (void)state;
    write_secret("a", " \tsk-123\r\n", 10, 0600);
    assert_int_equal(get(), TEDDY_OK);
    assert_string_equal(out, "sk-123");
    assert_int_equal(secret_read("teddy-test", NULL, out, err, sizeof err), TEDDY_ENOTFOUND);
}

static void refused(const char *text, size_t len, mode_t mode, const char *why)
{
    write_secret("a", text, len, mode);
    assert_int_equal(get(), TEDDY_EINVAL);
    assert_non_null(strstr(err, path));
    assert_non_null(strstr(err, why));
    assert_null(strstr(err, "sk-"));
    assert_null(strstr(out, "sk-"));
}

static void what_is_no_secret(void **state)
{
    static char big[SECRET_MAX + 2];
    (void)state;
    memset(big, 's', sizeof big);
    refused("sk-123", 6, 0640, "chmod 600");
    refused("sk-123", 6, 0604, "chmod 600");
    refused("sk-1 sk-2", 9, 0600, "one word");
    refused("sk-\0\0", 5, 0600, "one word");
    refused("\n\n", 2, 0600, "empty");
    refused(big, sizeof big, 0600, "too long");
    unlink(path);
    assert_int_equal(get(), TEDDY_EINVAL);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_int_equal(get(), TEDDY_EINVAL);
}

static void a_credential_comes_first(void **state)
{
    (void)state;
    setenv("CREDENTIALS_DIRECTORY", dir, 1);
    write_secret("a", "file", 4, 0600);
    assert_int_equal(get(), TEDDY_OK);
    assert_string_equal(out, "file");
    write_secret("teddy-test", "credential", 10, 0440);
    assert_int_equal(secret_read("teddy-test", NULL, out, err, sizeof err), TEDDY_OK);
    assert_string_equal(out, "credential");
    unsetenv("CREDENTIALS_DIRECTORY");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(read_and_trimmed, setup),
        cmocka_unit_test_setup(what_is_no_secret, setup),
        cmocka_unit_test_setup(a_credential_comes_first, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
