/* doctor's examination of limits, on files that stand for those of /proc. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/doctor.h"

#include <cmocka.h> /* behind it: it has a macro fail */

static char proc[] = "/tmp/teddy-doctor-XXXXXX";
static const char *const folders[] = {"sys", "sys/net", "sys/net/core", "sys/net/netfilter"};
static const char *const names[] = {"sys/net/core/somaxconn", "sys/net/netfilter/nf_conntrack_max",
                                    "sys/net/netfilter/nf_conntrack_count"};
/* What was found: good things, others, and of the last of these its words and command. */
static unsigned good, bad;
static char what[512], command[512];

void found_good(struct doctor *d, const char *format, ...)
{
    (void)d;
    (void)format;
    good++;
}

void found(struct doctor *d, enum finding f, const char *mend, const char *format, ...)
{
    va_list args;

    (void)d;
    assert_int_equal(f, FINDING_WRONG);
    va_start(args, format);
    (void)vsnprintf(what, sizeof what, format, args);
    va_end(args);
    (void)snprintf(command, sizeof command, "%s", mend);
    bad++;
}

static const char *path_of(const char *name)
{
    static char path[256];

    (void)snprintf(path, sizeof path, "%s/%s", proc, name);
    return path;
}

/* Looks at a machine of 100 connections; NULL: it has no such file. */
static void look(const char *backlog, const char *max, const char *count)
{
    const char *const texts[] = {backlog, max, count};
    struct doctor d = {.proc = proc, .config = {.connections_max = 100}};

    for (size_t i = 0; i < 3; i++) {
        FILE *f = texts[i] != NULL ? fopen(path_of(names[i]), "we") : NULL;
        if (f == NULL)
            (void)unlink(path_of(names[i]));
        else
            assert_true(fputs(texts[i], f) >= 0 && fclose(f) == 0);
    }
    good = bad = 0;
    examine_limits(&d);
}

static void test_good(void **state)
{
    (void)state;
    look("4096\n", "262144\n", "17\n");
    assert_int_equal(good, 3);
    assert_int_equal(bad, 0);
    look("4096\n", NULL, NULL); /* nothing is tracked */
    assert_int_equal(good, 2);
    assert_int_equal(bad, 0);
    look("1024\n", "200\n", NULL);
    assert_int_equal(good, 3);
}

static void test_backlog(void **state)
{
    (void)state;
    look("128\n", NULL, NULL);
    assert_int_equal(bad, 1);
    assert_string_equal(command, "sysctl -w net.core.somaxconn=4096");
}

static void test_few_can_be_tracked(void **state)
{
    (void)state;
    look("4096\n", "199\n", "17\n");
    assert_int_equal(bad, 1);
    assert_non_null(strstr(what, "nf_conntrack_max is 199, for 100 connections"));
    assert_string_equal(command, "sysctl -w net.netfilter.nf_conntrack_max=400");
}

static void test_tracked_are_full(void **state)
{
    (void)state;
    look("4096\n", "8000\n", "7599\n");
    assert_int_equal(bad, 0);
    look("4096\n", "8000\n", "7600\n");
    assert_int_equal(bad, 1);
    assert_non_null(strstr(what, "7600 of 8000 connections"));
    assert_string_equal(command, "sysctl -w net.netfilter.nf_conntrack_max=16000");
}

static int make(void **state)
{
    (void)state;
    if (mkdtemp(proc) == NULL)
        return -1;
    for (size_t i = 0; i < 4; i++)
        if (mkdir(path_of(folders[i]), 0700) != 0)
            return -1;
    return 0;
}

static int drop(void **state)
{
    (void)state;
    look(NULL, NULL, NULL);
    for (size_t i = 4; i-- > 0;)
        (void)rmdir(path_of(folders[i]));
    return rmdir(proc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_backlog),
        cmocka_unit_test(test_few_can_be_tracked),
        cmocka_unit_test(test_tracked_are_full),
    };

    return cmocka_run_group_tests(tests, make, drop);
}
