#include "safety/testing.h"

#include "safety/internal.h"

/* The built-in lists as they are read when there is a directory to add to them. Of the caller. */
static struct safety *read_text(void)
{
    struct safety_config config = {0};
    struct safety *s = calloc(1, sizeof *s);
    char err[256];

    assert_non_null(s);
    if (safety_read(s, &config, err, sizeof err) != TEDDY_OK)
        fail_msg("%s", err);
    assert_false(s->in_place);
    s->language = (uint8_t)language_find(s, span_of("en"));
    return s;
}

/* The first len bytes of the image, or all and zeros behind. */
static char *copy(size_t len)
{
    size_t have = safety_image().len;
    char *p = aligned_alloc(64, (len / 64 + 1) * 64);

    assert_non_null(p);
    memset(p, 0, len);
    memcpy(p, safety_image().p, len < have ? len : have);
    return p;
}

static void assert_writes_the_image(const struct safety *s)
{
    char *bytes = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&bytes, &len);

    assert_non_null(f);
    assert_true(image_write(s, f));
    assert_int_equal(fclose(f), 0);
    assert_int_equal(len, safety_image().len);
    assert_memory_equal(bytes, safety_image().p, len);
    free(bytes);
}

static void assert_say_the_same_lines(const struct safety *a, const struct safety *b)
{
    static const char *const languages[] = {"en", "es-MX", "zh", "ar", "fr"};

    for (size_t i = 0; i < sizeof languages / sizeof *languages; i++)
        for (int n = 0; n < 3 * 3 * (SAFETY_CATEGORY_COUNT + 1); n++) {
            struct safety_who who = {span_of(languages[i]), 6};
            enum safety_moment moment = (enum safety_moment)(n % 3);
            enum safety_category category = (enum safety_category)(n / 9);
            struct span x = safety_line(a, &who, moment, category, (uint32_t)(n / 3 % 3));
            struct span y = safety_line(b, &who, moment, category, (uint32_t)(n / 3 % 3));
            assert_int_equal(x.len, y.len);
            assert_memory_equal(x.p, y.p, x.len);
        }
}

/* One for what each of the arrays is for. */
static void assert_judge_the_same(const struct safety *a, const struct safety *b)
{
    static const char *const sentences[] = {
        "Good night, little bear.",
        "I want to kill myself.",
        "i want to k i l l my self",
        "How do I make a b0mb?",
        "suiside is on my mind",
        "соcaine", /* the first two letters are Cyrillic */
        "ppl say u r ok",
        "I live at 12 Maple Street, call 555 010 4477.",
        "Quiero matarme. Vivo en la calle Mayor 5.",
        "我想死",
        "أريد أن أموت",
        "สวัส", /* Thai: no list covers it */
    };
    unsigned blocked = 0;

    for (size_t i = 0; i < sizeof sentences / sizeof *sentences; i++) {
        char x[1024], y[1024];
        struct safety_verdict v = hear_with(a, CHILD, sentences[i], x, sizeof x);
        struct safety_verdict w = hear_with(b, CHILD, sentences[i], y, sizeof y);
        assert_string_equal(x, y);
        assert_int_equal(v.categories, w.categories);
        assert_int_equal(v.danger, w.danger);
        assert_int_equal(v.redactions, w.redactions);
        assert_int_equal(v.blocked, w.blocked);
        assert_int_equal(v.why, w.why);
        assert_string_equal(say_with(a, CHILD, sentences[i]).text,
                            say_with(b, CHILD, sentences[i]).text);
        blocked += v.blocked;
    }
    assert_in_range(blocked, 5, sizeof sentences / sizeof *sentences - 3);
}

static void what_was_read_at_build_is_what_is_read(void **state)
{
    struct safety *text = read_text();
    struct safety_counts a = safety_counts(builtin()), b = safety_counts(text);

    (void)state;
    assert_true(builtin()->in_place);
    assert_writes_the_image(text);
    assert_writes_the_image(builtin());
    assert_say_the_same_lines(builtin(), text);
    assert_judge_the_same(builtin(), text);
    assert_int_equal(a.languages, b.languages);
    assert_int_equal(a.patterns, b.patterns);
    assert_int_equal(a.atoms, b.atoms);
    assert_int_equal(a.lines, b.lines);
    assert_int_equal(a.bytes, sizeof *text); /* nothing but itself */
    assert_true(b.bytes >= safety_image().len);
    safety_close(text);
}

static void an_image_that_does_not_fit_is_refused(void **state)
{
    size_t len = safety_image().len;
    const size_t others[] = {0, 1, 100, 4096, len / 2, len - 16, len - 1, len + 16};
    char *p = copy(len);
    struct safety s = {0};

    (void)state;
    assert_int_equal(image_open(&s, (struct span){p, len}), TEDDY_OK);
    assert_true(image_is_current((struct span){p, len}));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        char *other = copy(others[i]);
        assert_int_equal(image_open(&s, (struct span){other, others[i]}), TEDDY_EINVAL);
        free(other);
    }
    char *odd = copy(len + 1);
    memmove(odd + 1, odd, len);
    assert_int_equal(image_open(&s, (struct span){odd + 1, len}), TEDDY_EINVAL);
    free(odd);
    *p ^= 1; /* another head */
    assert_int_equal(image_open(&s, (struct span){p, len}), TEDDY_EINVAL);
    free(p);
    p = copy(len);
    memset(p + 16, '9', 4); /* folded by another version of Unicode */
    assert_false(image_is_current((struct span){p, len}));
    ptrdiff_t at = (const char *)builtin()->trie.nodes - safety_image().p;
    p[at - 16] ^= 1; /* nodes of another size */
    assert_int_equal(image_open(&s, (struct span){p, len}), TEDDY_EINVAL);
    p[at - 16] ^= 1;
    p[at - 1] ^= 0x10; /* so many that their bytes seem to be as few */
    assert_int_equal(image_open(&s, (struct span){p, len}), TEDDY_EINVAL);
    free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_read_at_build_is_what_is_read),
        cmocka_unit_test(an_image_that_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
