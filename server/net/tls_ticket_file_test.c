/* What the file of the ticket keys survives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/tls_tickets.h"

enum { LIFETIME = 3600, START = 1000000 };

static char dir[64], note[TLS_TICKETS_NOTE];

static const char *in_dir(const char *name)
{
    static char paths[4][160];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", dir, name);
    return path;
}

static struct tls_tickets *open_keys(const char *name, uint64_t now_s)
{
    struct tls_tickets *t = NULL;
    memset(note, 'x', sizeof note);
    assert_int_equal(tls_tickets_open(in_dir(name), LIFETIME, now_s, &t, note), TEDDY_OK);
    return t;
}

static void expect_note(const char *word)
{
    if (!strstr(note, word) || !strstr(note, "keys"))
        fail_msg("'%s' does not say '%s'", note, word);
}

static void write_keys(const void *data, size_t len, mode_t mode)
{
    unlink(in_dir("keys"));
    FILE *file = fopen(in_dir("keys"), "w");
    assert_int_equal(fwrite(data, 1, len, file), len);
    fclose(file);
    assert_int_equal(chmod(in_dir("keys"), mode), 0);
}

/* True when the keys of the file as it was came through another start. */
static bool kept(const char *before, size_t len)
{
    struct stat st;
    char content[4096];
    tls_tickets_free(open_keys("keys", START));
    assert_int_equal(stat(in_dir("keys"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    FILE *file = fopen(in_dir("keys"), "r");
    size_t got = fread(content, 1, sizeof content, file);
    fclose(file);
    return got == len && memcmp(content, before, len) == 0;
}

static void what_cannot_be_trusted_is_replaced(void **state)
{
    (void)state;
    char good[4096], bad[4096];
    unlink(in_dir("keys"));
    tls_tickets_free(open_keys("keys", START));
    FILE *file = fopen(in_dir("keys"), "r");
    size_t len = fread(good, 1, sizeof good, file);
    fclose(file);
    assert_true(kept(good, len));
    assert_string_equal(note, "");

    write_keys(good, len, 0640);
    assert_false(kept(good, len));
    expect_note("others could read or write");
    write_keys(good, len, 0602);
    assert_false(kept(good, len));
    expect_note("others could read or write");
    for (size_t cut = 0; cut < len; cut++) {
        write_keys(good, cut, 0600);
        assert_false(kept(good, cut));
        expect_note("damaged");
    }
    memcpy(bad, good, len);
    bad[0] ^= 1;
    write_keys(bad, len, 0600);
    assert_false(kept(bad, len));
    expect_note("damaged");
    memset(bad + len, 7, sizeof bad - len);
    write_keys(bad, sizeof bad, 0600);
    assert_false(kept(bad, sizeof bad));
    expect_note("damaged");

    unlink(in_dir("keys"));
    write_keys(good, len, 0600);
    assert_int_equal(rename(in_dir("keys"), in_dir("elsewhere")), 0);
    assert_int_equal(symlink(in_dir("elsewhere"), in_dir("keys")), 0);
    assert_false(kept(good, len));
    expect_note("replaced by new ones");
    unlink(in_dir("elsewhere"));
}

static void without_a_place_for_the_file(void **state)
{
    (void)state;
    char path[160];
    snprintf(path, sizeof path, "%s", in_dir("dir/keys"));
    struct tls_tickets *t = open_keys("dir/keys", START);
    expect_note("not kept for the next start");
    assert_int_equal(mkdir(in_dir("dir"), 0700), 0); /* the disk has room again */
    assert_false(tls_tickets_tend(t, START + 1, note));
    assert_string_equal(note, "");
    assert_int_equal(access(path, R_OK), 0);
    tls_tickets_free(t);
    unlink(path);
    rmdir(in_dir("dir"));
}

static int init(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/teddy-tickets-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int fini(void **state)
{
    (void)state;
    unlink(in_dir("keys"));
    return rmdir(dir); /* nothing else was left: no temporary file */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_trusted_is_replaced),
        cmocka_unit_test(without_a_place_for_the_file),
    };
    return cmocka_run_group_tests(tests, init, fini);
}
