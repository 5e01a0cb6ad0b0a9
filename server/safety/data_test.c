#include <sys/stat.h>
#include <unistd.h>

#include "safety/testing.h"

/* An operator's directory for one test. */
struct dir {
    char path[64];
    char files[8][128];
    unsigned count;
};

static struct dir make_dir(void)
{
    struct dir d = {.path = "/tmp/teddy-safety.XXXXXX"};
    char path[128];

    assert_non_null(mkdtemp(d.path));
    snprintf(path, sizeof path, "%s/en", d.path);
    assert_int_equal(mkdir(path, 0700), 0);
    return d;
}

static void put(struct dir *d, const char *name, const char *text)
{
    char path[128];

    snprintf(path, sizeof path, "%s/%s", d->path, name);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    memcpy(d->files[d->count++], path, sizeof path);
}

static void remove_dir(struct dir *d)
{
    char path[128];

    while (d->count > 0)
        unlink(d->files[--d->count]);
    snprintf(path, sizeof path, "%s/en", d->path);
    rmdir(path);
    rmdir(d->path);
}

static struct safety *open_dir(struct dir *d, bool alone)
{
    struct safety_config config = {.dir = d->path, .no_builtin = alone};
    struct safety *s = NULL;
    char err[256];

    if (safety_open(&config, &s, err, sizeof err) != TEDDY_OK)
        fail_msg("%s", err);
    return s;
}

static bool blocked(const struct safety *s, const char *text)
{
    return say_with(s, CHILD, text).verdict.blocked;
}

static void the_operator_adds(void **state)
{
    struct dir d = make_dir();

    (void)state;
    put(&d, "en/other.txt", "# ours\n@ out block\nbroccoli\n! fuck the broccoli\n");
    struct safety *s = open_dir(&d, false);
    assert_true(blocked(s, "Eat your Broccoli!"));
    assert_true(blocked(s, "shit"));
    assert_false(blocked(s, "Eat your carrots."));
    safety_close(s);
    remove_dir(&d);
}

static void the_operator_replaces(void **state)
{
    struct dir d = make_dir();

    (void)state;
    put(&d, "en/other.txt", "@ replace\n@ out block\nbroccoli\n");
    struct safety *s = open_dir(&d, false);
    assert_true(blocked(s, "broccoli"));
    assert_false(blocked(s, "shit"));
    assert_true(blocked(s, "kill yourself"));
    safety_close(s);
    remove_dir(&d);
}

static void patterns_mean_what_is_said_of_them(void **state)
{
    static const struct {
        const char *text;
        bool blocked;
    } rows[] = {
        {"red apple", true},
        {"Red, apple!", true},
        {"redapple", false},
        {"red sour apple", false},
        {"green pear", true},
        {"blue pear", false},
        {"a plum here", true},
        {"plums", true},
        {"plumber", true},
        {"sugarplum", false},
        {"xxkiwixx", true},
        {"fig one two pie", true},
        {"fig a b c d pie", true},
        {"fig a b c d e pie", false},
        {"pie fig", false},
        {"nut", false},
        {"nut cake", true},
        {"big nut cake", true},
        {"hot nut cake", false},
        {"lemon tea now", true},
        {"lemon now", true},
        {"lemon hot now", false},
        {"far a b c d e f g h away", true},
    };
    struct dir d = make_dir();

    (void)state;
    put(&d, "en/lexicon.txt", "@ script latin\n");
    put(&d, "en/other.txt",
        "@ out block\nred apple\n(green|yellow (ripe|)) pear\nplum*\n*kiwi*\nfig * pie\n"
        "(nut) cake\n! hot nut cake\nlemon (tea|) now\nfar ** away\n");
    struct safety *s = open_dir(&d, true);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (blocked(s, rows[i].text) != rows[i].blocked)
            fail_msg("%s", rows[i].text);
    safety_close(s);
    remove_dir(&d);
}

static void directions_actions_and_owners(void **state)
{
    struct safety_who spanish = {{"es", 2}, 6}, old = {{"en", 2}, 12};
    struct dir d = make_dir();
    char text[256];

    (void)state;
    put(&d, "en/lexicon.txt", "@ script latin\n");
    put(&d, "en/other.txt",
        "@ in block\nasked\n@ in alert\nhurting\n@ out block own\nmine\n@ out block "
        "below=12\nghost\n");
    struct safety *s = open_dir(&d, true);
    assert_true(hear_with(s, CHILD, "asked", text, sizeof text).blocked);
    assert_false(blocked(s, "asked"));
    struct safety_verdict v = hear_with(s, CHILD, "hurting", text, sizeof text);
    assert_true(v.danger == SAFETY_BIT(SAFETY_OTHER) && !v.blocked);
    assert_true(blocked(s, "mine"));
    safety_close(s);
    s = open_dir(&d, false);
    assert_false(say_with(s, spanish, "mine").verdict.blocked);
    assert_true(blocked(s, "ghost"));
    assert_false(say_with(s, old, "ghost").verdict.blocked);
    safety_close(s);
    remove_dir(&d);
}

static void errors_name_file_and_line(void **state)
{
    static const struct {
        const char *name, *text, *err;
    } rows[] = {
        {"en/other.txt", "word\n", "en/other.txt:1: an `@` line must say first"},
        {"en/other.txt", "@ out block\n(a|b\n", "en/other.txt:2: a ( without its )"},
        {"en/other.txt", "@ out block\na)\n", "en/other.txt:2: a ) or | without"},
        {"en/other.txt", "@ out block\n* a\n", "en/other.txt:2: a gap needs words"},
        {"en/other.txt", "@ out block\na *\n", "en/other.txt:2: a gap needs words"},
        {"en/other.txt", "@ out block\na*b\n", "en/other.txt:2: a * stands at an end"},
        {"en/other.txt", "@ out block\n(a|)\n", "en/other.txt:2: a part of it may be nothing"},
        {"en/other.txt", "@ out block\n!!\n", "en/other.txt:2: no letter, digit or sign"},
        {"en/other.txt", "@ out\n", "en/other.txt:1: say in or out or both"},
        {"en/other.txt", "@ out alert\n", "en/other.txt:1: only what comes in"},
        {"en/other.txt", "@ out block below=0\n", "en/other.txt:1: 'below=0' is none of"},
        {"en/other.txt", "@ out block\n@ replace\n", "en/other.txt:2: `@ replace` belongs"},
        {"en/other.txt", "@ out block\n\xff\n", "en/other.txt:2: not UTF-8"},
        {"en/lexicon.txt", "@ script klingon\n", "en/lexicon.txt:1: 'klingon' is no script"},
        {"en/lexicon.txt", "@ digit 12\n", "en/lexicon.txt:1: 'digit' takes a number"},
        {"en/lexicon.txt", "@ fish\n", "en/lexicon.txt:1: 'fish' is no kind of word"},
        {"en/lines.txt", "@ out fish\n", "en/lines.txt:1: 'fish' is no category"},
        {"en/lines.txt", "@ up any\n", "en/lines.txt:1: 'up' is none of"},
        {"en/fish.txt", "", "en/fish.txt:0: named neither"},
        {"en/other.md", "", "en/other.md:0: a data file's name ends with .txt"},
        {"fish.txt", "", "fish.txt:0: no data file has this name"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct dir d = make_dir();
        struct safety_config config = {.dir = d.path, .no_builtin = true};
        struct safety *s = NULL;
        char err[256] = "";
        put(&d, rows[i].name, rows[i].text);
        assert_int_equal(safety_open(&config, &s, err, sizeof err), TEDDY_EINVAL);
        if (!strstr(err, rows[i].err))
            fail_msg("%s instead of %s", err, rows[i].err);
        remove_dir(&d);
    }
}

static void what_cannot_be_read_is_refused(void **state)
{
    struct safety_config gone = {.dir = "/nonexistent/teddy"}, odd = {.language = "tlh"};
    struct safety *s = NULL;
    char err[256];

    (void)state;
    assert_int_equal(safety_open(&gone, &s, err, sizeof err), TEDDY_EIO);
    assert_non_null(strstr(err, "/nonexistent/teddy"));
    assert_int_equal(safety_open(&odd, &s, err, sizeof err), TEDDY_EINVAL);
    assert_non_null(strstr(err, "tlh"));
}

static void wordings_are_bounded(void **state)
{
    struct dir d = make_dir();
    struct safety_config config = {.dir = d.path, .no_builtin = true};
    struct safety *s = NULL;
    char err[256];

    (void)state;
    put(&d, "en/other.txt",
        "@ out block\na (b|c|e|) (b|c|e|) (b|c|e|) (b|c|e|) (b|c|e|) (b|c|e|) "
        "(b|c|e|) (b|c|e|) (b|c|e|) d\n");
    assert_int_equal(safety_open(&config, &s, err, sizeof err), TEDDY_EINVAL);
    assert_non_null(strstr(err, "4000 wordings"));
    remove_dir(&d);
}

static void builtin_lists_cover_four_languages(void **state)
{
    struct safety_counts c = safety_counts(builtin());

    (void)state;
    assert_int_equal(c.languages, 4);
    assert_true(c.patterns > 1000 && c.atoms > c.patterns && c.lines > 40);
    assert_in_range(c.bytes, 1, 16 << 20);
    assert_true(safety_covers(builtin(), span_of("zh-TW")));
    assert_false(safety_covers(builtin(), span_of("fr")));
    assert_string_equal(safety_category_name(SAFETY_SELF_HARM), "self_harm");
    assert_int_equal(safety_category_find(span_of("link")), SAFETY_LINK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_operator_adds),
        cmocka_unit_test(the_operator_replaces),
        cmocka_unit_test(patterns_mean_what_is_said_of_them),
        cmocka_unit_test(directions_actions_and_owners),
        cmocka_unit_test(errors_name_file_and_line),
        cmocka_unit_test(what_cannot_be_read_is_refused),
        cmocka_unit_test(wordings_are_bounded),
        cmocka_unit_test(builtin_lists_cover_four_languages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
