/* What is kept survives crashes and cannot be forged: the file operations are wrapped by the
 * linker, so that each can be the last one the process ever does. */
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

#include "posix_port.h"

static char dir[64], path[96], log_line[512];
static uint8_t record_a[700], record_b[TEDDY_RECORD_MAX];

/* The wrapped calls: count, and die before or after, or fail, at a chosen one. */
enum fault { FAULT_NONE, DIE_BEFORE, DIE_AFTER, FAIL };
static struct {
    enum fault fault;
    int at, seen;
    char trace[256];
    int unsynced; /* bytes written and not yet synced */
} io;

int __real_fsync(int fd);
ssize_t __real_write(int fd, const void *data, size_t len);
int __real_rename(const char *from, const char *to);
int __real_link(const char *from, const char *to);
int __wrap_fsync(int fd);
ssize_t __wrap_write(int fd, const void *data, size_t len);
int __wrap_rename(const char *from, const char *to);
int __wrap_link(const char *from, const char *to);

static bool before(char mark)
{
    size_t len = strlen(io.trace);

    if (len + 1 < sizeof io.trace)
        io.trace[len] = mark;
    io.seen++;
    if (io.seen == io.at && io.fault == DIE_BEFORE)
        _exit(9);
    return !(io.seen == io.at && io.fault == FAIL);
}

static void after(void)
{
    if (io.seen == io.at && io.fault == DIE_AFTER)
        _exit(9);
}

int __wrap_fsync(int fd)
{
    struct stat st;
    int r;

    fstat(fd, &st);
    if (!before(S_ISDIR(st.st_mode) ? 'D' : 'S'))
        return -1;
    r = __real_fsync(fd);
    io.unsynced = 0;
    after();
    return r;
}

ssize_t __wrap_write(int fd, const void *data, size_t len)
{
    ssize_t r;

    if (fd <= 2)
        return __real_write(fd, data, len);
    if (!before('W')) {
        (void)!__real_write(fd, data, len / 2);
        return -1;
    }
    /* Half of it at first, as a full disk or a signal does. */
    r = __real_write(fd, data, len > 1 ? len / 2 : len);
    io.unsynced += (int)r;
    after();
    return r;
}

int __wrap_rename(const char *from, const char *to)
{
    int r;

    if (!before('R'))
        return -1;
    assert_int_equal(io.unsynced, 0); /* a name may only be given to what is on the disk */
    r = __real_rename(from, to);
    after();
    return r;
}

int __wrap_link(const char *from, const char *to)
{
    int r;

    if (!before('L'))
        return -1;
    assert_int_equal(io.unsynced, 0);
    r = __real_link(from, to);
    after();
    return r;
}

static void arm(enum fault fault, int at)
{
    memset(&io, 0, sizeof io);
    io.fault = fault;
    io.at = at;
}

static void on_log(void *user, enum teddy_log_level level, const char *line)
{
    (void)user;
    (void)level;
    snprintf(log_line, sizeof log_line, "%s", line);
}

static int try_new(struct teddy_posix **p, char *why, size_t why_len)
{
    static const struct teddy_posix_trust none;
    struct teddy_posix_options o = {.trust = &none, .state_file = path, .log = on_log};

    return teddy_posix_new(p, &o, why, why_len);
}

static struct teddy_posix *port_new(void)
{
    struct teddy_posix *p;
    char why[200];

    if (try_new(&p, why, sizeof why))
        fail_msg("%s", why);
    return p;
}

static int load(uint8_t *buf, size_t cap, size_t *len)
{
    struct teddy_posix *p = port_new();
    int err = teddy_posix_port.load(p, TEDDY_RECORD_TOKENS, buf, cap, len);

    teddy_posix_free(p);
    return err;
}

static void save_as(enum teddy_record record, const uint8_t *data, size_t len)
{
    struct teddy_posix *p = port_new();

    assert_int_equal(teddy_posix_port.save(p, record, data, len), TEDDY_OK);
    teddy_posix_free(p);
}

static void save(const uint8_t *data, size_t len)
{
    save_as(TEDDY_RECORD_TOKENS, data, len);
}

/* 'a', 'b', '-' (none) or '?' */
static char which(void)
{
    uint8_t buf[2000];
    size_t len = 0;
    int err = load(buf, sizeof buf, &len);

    if (err == TEDDY_ENOTFOUND)
        return '-';
    if (err == TEDDY_OK && len == sizeof record_a && memcmp(buf, record_a, len) == 0)
        return 'a';
    if (err == TEDDY_OK && len == sizeof record_b && memcmp(buf, record_b, len) == 0)
        return 'b';
    return '?';
}

static void file_named(const char *suffix, char out[128])
{
    snprintf(out, 128, "%s%s", path, suffix);
}

static int clean(void **state)
{
    static const char *const suffixes[] = {"", ".last", ".key", ".time", ".lock", ".tmp"};
    char name[128];

    (void)state;
    arm(FAULT_NONE, 0);
    for (size_t i = 0; i < 6; i++) {
        file_named(suffixes[i], name);
        unlink(name);
    }
    return 0;
}

static void what_is_saved_is_loaded(void **state)
{
    struct teddy_posix *p;
    uint8_t small[10];
    struct stat st;
    char key[128];
    size_t len;

    (void)state;
    assert_int_equal(which(), '-');
    save(record_a, sizeof record_a);
    assert_int_equal(which(), 'a');
    save(record_b, sizeof record_b);
    assert_int_equal(which(), 'b');
    assert_int_equal(load(small, sizeof small, &len), TEDDY_EAUTH); /* no record of this core's */
    file_named(".key", key);
    assert_int_equal(stat(key, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_size, 32);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    p = port_new();
    assert_int_equal(teddy_posix_port.save(p, TEDDY_RECORD_TOKENS, record_b, TEDDY_RECORD_MAX + 1),
                     TEDDY_ETOOBIG);
    assert_int_equal(teddy_posix_port.erase(p), TEDDY_OK);
    assert_int_equal(teddy_posix_port.erase(p), TEDDY_OK);
    teddy_posix_free(p);
    assert_int_equal(which(), '-');
}

static void it_is_sealed_anew_each_time(void **state)
{
    uint8_t one[2000], two[2000];
    size_t len1 = 0, len2 = 0;

    (void)state;
    save(record_a, sizeof record_a);
    assert_int_equal(file_read(path, true, one, sizeof one, &len1), TEDDY_OK);
    save(record_a, sizeof record_a);
    assert_int_equal(file_read(path, true, two, sizeof two, &len2), TEDDY_OK);
    assert_int_equal(len1, sizeof record_a + 32);
    assert_int_equal(len2, len1);
    assert_memory_equal(one, two, 4);
    assert_memory_not_equal(one + 4, two + 4, 12);
    assert_memory_not_equal(one + 16, two + 16, len1 - 16);
    assert_null(memmem(one, len1, record_a, 16));
}

/* A save in a child that ends at the given call; true when it got to its end. */
static bool save_in_child(enum fault fault, int at)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        struct teddy_posix *p = port_new();
        arm(fault, at);
        _exit(teddy_posix_port.save(p, TEDDY_RECORD_TOKENS, record_b, sizeof record_b) == TEDDY_OK
                  ? 0
                  : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status) == 0;
}

static void death_at_any_step_leaves_old_or_new(void **state)
{
    const enum fault deaths[] = {DIE_BEFORE, DIE_AFTER};
    bool saw_old = false, saw_new = false;

    for (size_t d = 0; d < 2; d++) {
        bool finished = false;
        for (int at = 1; !finished; at++) {
            clean(state);
            save(record_a, sizeof record_a);
            finished = save_in_child(deaths[d], at);
            char found = which();
            if (finished)
                assert_int_equal(found, 'b');
            else if (found == 'a')
                saw_old = true;
            else if (found == 'b')
                saw_new = true;
            else
                fail_msg("after step %d: %c", at, found);
            save(record_a, sizeof record_a); /* and it can go on */
            assert_int_equal(which(), 'a');
            assert_in_range(at, 1, 100);
        }
    }
    assert_true(saw_old && saw_new);
}

static void death_at_the_first_save_leaves_none_or_new(void **state)
{
    const enum fault deaths[] = {DIE_BEFORE, DIE_AFTER};

    for (size_t d = 0; d < 2; d++) {
        bool finished = false;
        for (int at = 1; !finished; at++) {
            clean(state);
            finished = save_in_child(deaths[d], at);
            char found = which();
            if (found != 'b' && (finished || found != '-'))
                fail_msg("after step %d: %c", at, found);
            save(record_a, sizeof record_a);
            assert_int_equal(which(), 'a');
            assert_in_range(at, 1, 100);
        }
    }
}

static void a_failing_disk_keeps_the_old_record(void **state)
{
    bool finished = false;

    for (int at = 1; !finished; at++) {
        clean(state);
        save(record_a, sizeof record_a);
        struct teddy_posix *p = port_new();
        arm(FAIL, at);
        finished =
            teddy_posix_port.save(p, TEDDY_RECORD_TOKENS, record_b, sizeof record_b) == TEDDY_OK;
        /* The very last step, the directory's sync, fails when the new one is already in place. */
        bool last = strcmp(io.trace + strlen(io.trace) - 1, "D") == 0;
        arm(FAULT_NONE, 0);
        teddy_posix_free(p);
        assert_int_equal(which(), finished || last ? 'b' : 'a');
        assert_in_range(at, 1, 100);
    }
}

static void the_steps_are_in_order(void **state)
{
    struct teddy_posix *p;
    const char *t;

    (void)state;
    save(record_a, sizeof record_a);
    p = port_new();
    arm(FAULT_NONE, 0);
    assert_int_equal(teddy_posix_port.save(p, TEDDY_RECORD_TOKENS, record_b, sizeof record_b),
                     TEDDY_OK);
    teddy_posix_free(p);
    t = io.trace + strspn(io.trace, "W");
    assert_true(t > io.trace);
    assert_string_equal(t, "SRD");
}

static void kill_at_random_moments(void **state)
{
    unsigned seed = 12345;

    (void)state;
    save(record_a, sizeof record_a);
    for (int round = 0; round < 60; round++) {
        int status;
        pid_t pid = fork();
        if (pid == 0) {
            struct teddy_posix *p = port_new();
            for (;;) {
                if (teddy_posix_port.save(p, TEDDY_RECORD_TOKENS, record_b, sizeof record_b) ||
                    teddy_posix_port.save(p, TEDDY_RECORD_TOKENS, record_a, sizeof record_a))
                    _exit(1);
            }
        }
        usleep(1000u + (unsigned)rand_r(&seed) % 5000u);
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        char found = which();
        if (found != 'a' && found != 'b')
            fail_msg("round %d: %c", round, found);
    }
}

static void damage(const char *name, size_t at, int bit, bool cut)
{
    int fd = open(name, O_RDWR);
    uint8_t b;

    assert_true(fd >= 0);
    if (cut) {
        assert_int_equal(ftruncate(fd, (off_t)at), 0);
    } else {
        assert_int_equal(pread(fd, &b, 1, (off_t)at), 1);
        b = (uint8_t)(b ^ (1 << bit));
        assert_int_equal(pwrite(fd, &b, 1, (off_t)at), 1);
    }
    close(fd);
}

static void any_flipped_bit_or_cut_is_noticed(void **state)
{
    uint8_t buf[2000];
    size_t len;

    (void)state;
    save(record_a, sizeof record_a);
    for (size_t at = 0; at < sizeof record_a + 32; at += at < 40 ? 1 : 31) {
        damage(path, at, (int)(at % 8), false);
        assert_int_equal(load(buf, sizeof buf, &len), TEDDY_EAUTH);
        damage(path, at, (int)(at % 8), false); /* back */
    }
    assert_int_equal(which(), 'a');
    for (size_t at = sizeof record_a + 32; at-- > 0;) {
        damage(path, at, 0, true);
        if (at % 13 == 0 || at < 40)
            assert_int_equal(load(buf, sizeof buf, &len), TEDDY_EAUTH);
    }
    assert_non_null(strstr(log_line, "damaged"));
    save(record_b, sizeof record_b);
    assert_int_equal(which(), 'b');
}

static void a_damaged_or_lost_key_is_noticed_and_replaced(void **state)
{
    uint8_t buf[2000];
    char key[128];
    size_t len;

    (void)state;
    file_named(".key", key);
    for (int how = 0; how < 5; how++) {
        save(record_a, sizeof record_a);
        if (how == 0)
            damage(key, 7, 3, false);
        else if (how == 1)
            damage(key, 31, 0, true);
        else if (how == 2)
            damage(key, 0, 0, true);
        else if (how == 3)
            assert_int_equal(truncate(key, 33), 0);
        else
            assert_int_equal(unlink(key), 0);
        assert_int_equal(load(buf, sizeof buf, &len), TEDDY_EAUTH);
        save(record_b, sizeof record_b);
        assert_int_equal(which(), 'b');
    }
}

static void what_others_may_read_is_refused(void **state)
{
    static const char *const suffixes[] = {"", ".last", ".key"};
    struct teddy_posix *p;
    char name[128], why[200];

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        save(record_a, sizeof record_a);
        save_as(TEDDY_RECORD_LAST, record_a, sizeof record_a);
        file_named(suffixes[i], name);
        assert_int_equal(chmod(name, 0640), 0);
        assert_int_equal(try_new(&p, why, sizeof why), TEDDY_EAUTH);
        assert_null(p);
        assert_non_null(strstr(why, "chmod 600"));
        assert_int_equal(chmod(name, 0600), 0);
    }
}

static void one_process_at_a_time(void **state)
{
    struct teddy_posix *first = port_new(), *second;
    char why[200];

    (void)state;
    assert_int_equal(try_new(&second, why, sizeof why), TEDDY_EIO);
    assert_non_null(strstr(why, "in use"));
    teddy_posix_free(first);
    assert_int_equal(try_new(&second, why, sizeof why), TEDDY_OK);
    teddy_posix_free(second);
}

static void strange_files_are_no_record(void **state)
{
    uint8_t buf[100];
    struct teddy_posix *p;
    char why[200], name[128];
    size_t len;
    FILE *f;

    (void)state;
    f = fopen(path, "w");
    chmod(path, 0600);
    for (int i = 0; i < 20000; i++)
        fputc('x', f);
    fclose(f);
    assert_int_equal(load(buf, sizeof buf, &len), TEDDY_EAUTH);
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(try_new(&p, why, sizeof why), TEDDY_EIO);
    rmdir(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(try_new(&p, why, sizeof why), TEDDY_EIO);
    unlink(path);
    file_named(".time", name);
    f = fopen(name, "w");
    fputs("99999999999999999999\n", f);
    fclose(f);
    p = port_new();
    assert_true(teddy_posix_port.wall_time(p) < 4102444800u);
    assert_non_null(strstr(log_line, "holds no time"));
    teddy_posix_free(p);
}

static void neither_record_passes_for_the_other(void **state)
{
    struct teddy_posix *p;
    uint8_t buf[2000];
    char last[128];
    size_t len = 0;

    (void)state;
    file_named(".last", last);
    save(record_a, sizeof record_a);
    save_as(TEDDY_RECORD_LAST, record_b, 25);
    p = port_new();
    assert_int_equal(teddy_posix_port.load(p, TEDDY_RECORD_LAST, buf, sizeof buf, &len), TEDDY_OK);
    assert_int_equal(len, 25);
    assert_memory_equal(buf, record_b, 25);
    assert_int_equal(rename(path, last), 0);
    assert_int_equal(teddy_posix_port.load(p, TEDDY_RECORD_LAST, buf, sizeof buf, &len),
                     TEDDY_EAUTH);
    assert_int_equal(rename(last, path), 0);
    assert_int_equal(teddy_posix_port.load(p, TEDDY_RECORD_TOKENS, buf, sizeof buf, &len),
                     TEDDY_OK);
    assert_memory_equal(buf, record_a, sizeof record_a);
    assert_int_equal(teddy_posix_port.load(p, TEDDY_RECORD_LAST, buf, sizeof buf, &len),
                     TEDDY_ENOTFOUND);
    assert_int_equal(teddy_posix_port.save(p, TEDDY_RECORD_LAST, record_b, 25), TEDDY_OK);
    assert_int_equal(teddy_posix_port.erase(p), TEDDY_OK);
    for (int r = 0; r < TEDDY_RECORDS; r++)
        assert_int_equal(teddy_posix_port.load(p, (enum teddy_record)r, buf, sizeof buf, &len),
                         TEDDY_ENOTFOUND);
    teddy_posix_free(p);
}

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/teddy-record-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/state", dir);
    for (size_t i = 0; i < sizeof record_b; i++) {
        record_b[i] = (uint8_t)(i * 31 + 7);
        if (i < sizeof record_a)
            record_a[i] = (uint8_t)(i * 13 + 1);
    }
    return 0;
}

static int teardown(void **state)
{
    clean(state);
    return rmdir(dir);
}

#define TEST(f) cmocka_unit_test_setup(f, clean)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_saved_is_loaded),
        TEST(it_is_sealed_anew_each_time),
        TEST(death_at_any_step_leaves_old_or_new),
        TEST(death_at_the_first_save_leaves_none_or_new),
        TEST(a_failing_disk_keeps_the_old_record),
        TEST(the_steps_are_in_order),
        TEST(kill_at_random_moments),
        TEST(any_flipped_bit_or_cut_is_noticed),
        TEST(a_damaged_or_lost_key_is_noticed_and_replaced),
        TEST(what_others_may_read_is_refused),
        TEST(one_process_at_a_time),
        TEST(strange_files_are_no_record),
        TEST(neither_record_passes_for_the_other),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
