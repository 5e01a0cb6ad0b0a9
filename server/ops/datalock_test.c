/* The lock must hold between processes and end with its holder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ops/datalock.h"

static char dir[] = "/tmp/teddy-lock-XXXXXX";
static char err[512];

static void remove_dir(void)
{
    char path[64];
    (void)snprintf(path, sizeof path, "%s/lock", dir);
    (void)unlink(path);
    (void)rmdir(dir);
}

static void one_holder(void **state)
{
    int a = -1, b = -1;
    char pid[32], path[64];
    struct stat st;
    (void)state;
    assert_int_equal(data_lock(dir, &a, err, sizeof err), TEDDY_OK);
    assert_int_equal(data_lock(dir, &b, err, sizeof err), TEDDY_AGAIN);
    (void)snprintf(pid, sizeof pid, "process %ld", (long)getpid());
    assert_non_null(strstr(err, pid));
    assert_non_null(strstr(err, dir));
    (void)snprintf(path, sizeof path, "%s/lock", dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    data_unlock(a);
    assert_int_equal(data_lock(dir, &b, err, sizeof err), TEDDY_OK);
    data_unlock(b);
}

static void ends_with_its_holder(void **state)
{
    int ready[2], fd = -1;
    char byte;
    (void)state;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int held = -1;
        if (data_lock(dir, &held, err, sizeof err) != TEDDY_OK || write(ready[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(data_lock(dir, &fd, err, sizeof err), TEDDY_AGAIN);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(data_lock(dir, &fd, err, sizeof err), TEDDY_OK);
    data_unlock(fd);
    close(ready[0]);
    close(ready[1]);
}

static void no_directory(void **state)
{
    int fd = -1;
    (void)state;
    assert_int_equal(data_lock("/nonexistent/teddy", &fd, err, sizeof err), TEDDY_EIO);
    assert_non_null(strstr(err, "/nonexistent/teddy/lock"));
    assert_int_equal(fd, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_holder),
        cmocka_unit_test(ends_with_its_holder),
        cmocka_unit_test(no_directory),
    };
    if (mkdtemp(dir) == NULL)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    remove_dir();
    return failed;
}
