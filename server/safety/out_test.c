#include "safety/testing.h"

static struct said say(const char *text)
{
    return say_with(builtin(), CHILD, text);
}

/* --- what is found --- */

static void disguises_are_seen_through(void **state)
{
    static const char *const rows[] = {
        "fuck",
        "F U C K",
        "f.u.c.k",
        "fuuuuuck",
        "fu\u200bck",
        "fuс\u043a",
        "ｆｕｃｋ",
        "\U0001d4bb\U0001d4ca\U0001d4b8\U0001d4c0",
        "f\u0336u\u0336c\u0336k",
        "f*ck",
        "f**k",
        "fück",
        "sh1t",
        "sh!t",
        "$hit",
        "b!tch",
        "a$$hole",
        "p0rn",
        "motherfucker",
        "\U0001f175\U0001f184\U0001f172\U0001f17a",
        "kill\nyourself",
        "kill-yourself",
        "k i l l yourself",
        "KiLl   YoUrSeLf",
        "الجـنس",
        "والجنس",
        "أُقْتُلْ نَفْسَكَ",
        "操 你 妈",
        "操-你-妈",
        "你這個傻逼",
        "m1erda",
        "¡MIERDA!",
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!say(rows[i]).verdict.blocked)
            fail_msg("passed: %s", rows[i]);
}

static void words_within_words_pass(void **state)
{
    static const char *const rows[] = {
        "Essex, Sussex and Scunthorpe",
        "a cocktail dress",
        "a classic bass",
        "the therapist's analysis",
        "E-s-s-e-x",
        "the shuttlecock",
        "cock-a-doodle-doo",
        "Moby Dick",
        "the pen is red",
        "grapes and raisins",
        "the titmouse",
        "Hello, assistant!",
        "a pussy cat",
        "shoot the ball",
        "Mr. Dickinson",
        "cono de helado",
        "la computadora",
        "me muero de risa",
        "دخول المدرسة",
        "小鸡吃米",
        "女性感到高兴",
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct said said = say(rows[i]);
        if (said.verdict.categories || said.verdict.blocked)
            fail_msg("blamed: %s", rows[i]);
        assert_string_equal(said.text, rows[i]);
    }
}

static void age_decides(void **state)
{
    struct safety_who young = {{"en", 2}, 5}, unknown = {{"en", 2}, 0}, old = {{"en", 2}, 10};

    (void)state;
    assert_true(say_with(builtin(), young, "A zombie came.").verdict.blocked);
    assert_true(say_with(builtin(), unknown, "A zombie came.").verdict.blocked);
    assert_false(say_with(builtin(), old, "A zombie came.").verdict.blocked);
}

static void links_and_contacts_are_taken_out(void **state)
{
    (void)state;
    struct said said = say("Look at www.bears.com now. It is nice.");
    assert_string_equal(said.text, "Look at \u2026 now. It is nice.");
    assert_int_equal(said.verdict.categories, SAFETY_BIT(SAFETY_LINK));
    said = say("It is 415-555-0137.");
    assert_string_equal(said.text, "It is \u2026.");
    assert_int_equal(said.verdict.categories, SAFETY_BIT(SAFETY_PERSONAL_DATA));
    assert_false(said.verdict.blocked);
}

/* --- sentences --- */

static void sentences_are_told_apart(void **state)
{
    static const struct {
        const char *text;
        size_t count;
    } rows[] = {
        {"One. Two! Three? Four… Five", 5},
        {"3.14 is pi", 1},
        {"He said \"no.\" Then he left.", 2},
        {"一。二！三？四", 4},
        {"هل؟ نعم.", 2},
        {"one\ntwo\n", 2},
        {"Wait...what?! No.", 2},
        {"", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct said said = say(rows[i].text);
        assert_string_equal(said.text, rows[i].text);
        if (said.sentences != rows[i].count)
            fail_msg("%s: %zu sentences", rows[i].text, said.sentences);
    }
}

static void a_sentence_comes_as_soon_as_it_is_whole(void **state)
{
    struct safety_out o;
    struct safety_who who = CHILD;
    struct safety_sentence s;
    struct span rest = span_of("Hello there");

    (void)state;
    safety_out_init(&o, builtin(), &who, 0);
    assert_int_equal(safety_out_next(&o, &rest, false, &s), TEDDY_AGAIN);
    rest = span_of(". ");
    assert_int_equal(safety_out_next(&o, &rest, false, &s), TEDDY_OK);
    assert_int_equal(s.text.len, strlen("Hello there."));
    assert_int_equal(s.say, SAFETY_SAY_PASS);
    assert_int_equal(safety_out_next(&o, &rest, false, &s), TEDDY_AGAIN);
}

/* One that waits for a slower judge holds the text behind it back: nothing is lost. */
static void a_sentence_can_be_held(void **state)
{
    struct safety_out o;
    struct safety_who who = CHILD;
    struct safety_sentence s;
    struct span rest = span_of("One is here. Two is here. Three");
    const char *expect[] = {"One is here.", " Two is here.", " Three"};

    (void)state;
    safety_out_init(&o, builtin(), &who, 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(safety_out_next(&o, &rest, true, &s), TEDDY_OK);
        assert_int_equal(s.text.len, strlen(expect[i]));
        assert_memory_equal(s.text.p, expect[i], s.text.len);
    }
    assert_int_equal(safety_out_next(&o, &rest, true, &s), TEDDY_AGAIN);
}

static void what_is_blocked_is_replaced_once(void **state)
{
    (void)state;
    struct said said = say("Good day. Kill yourself. Where do you live? Bye.");
    struct safety_who who = CHILD;
    struct span line = safety_line(builtin(), &who, SAFETY_MOMENT_OUT, SAFETY_SELF_HARM, 0);
    assert_int_equal(said.sentences, 2);
    assert_int_equal(said.last, SAFETY_SAY_INSTEAD);
    assert_int_equal(said.verdict.categories, SAFETY_BIT(SAFETY_SELF_HARM));
    assert_memory_equal(said.text, "Good day.", 9);
    assert_int_equal(said.len, 9 + line.len);
    assert_memory_equal(said.text + 9, line.p, line.len);
}

static void what_is_split_over_sentences_is_found(void **state)
{
    (void)state;
    assert_true(say("You should kill. Yourself!").verdict.blocked);
    assert_true(say("You should kill\nyourself").verdict.blocked);
    struct said said = say("It is 415-555. 0137 is the rest.");
    assert_true(said.verdict.categories & SAFETY_BIT(SAFETY_PERSONAL_DATA));
    assert_null(strstr(said.text, "0137"));
}

/* What came before is kept for its words: not from the middle of one, "mistake" is no "take". */
static void the_tail_begins_with_a_word(void **state)
{
    char text[500] = "A mis";
    size_t len = strlen(text);

    (void)state;
    len += (size_t)snprintf(text + len, sizeof text - len, "take");
    for (int i = 0; i < 10; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, " %s",
                                "abcdefgabcdefgabcdefgabcdefgabcdefgab");
    assert_int_equal(len, 5 + SAFETY_TAIL_MAX);
    text[len - 1] = '.';
    snprintf(text + len, sizeof text - len, " Tablets.");
    assert_false(say(text).verdict.blocked);
    text[4] = ' ';
    assert_true(say(text).verdict.blocked);
}

static void long_sentences_are_cut_between_words(void **state)
{
    static char text[4000];
    size_t len = 0;

    (void)state;
    while (len + 8 < sizeof text)
        len += (size_t)snprintf(text + len, sizeof text - len, "teddy, ");
    struct said said = say(text);
    assert_string_equal(said.text, text);
    assert_true(said.sentences > 6);
    struct safety_out o;
    struct safety_who who = CHILD;
    struct safety_sentence s;
    struct span rest = span_of(text);
    safety_out_init(&o, builtin(), &who, 0);
    while (safety_out_next(&o, &rest, false, &s) == TEDDY_OK)
        assert_int_equal(s.text.p[s.text.len - 1], ' ');
    /* a phrase that lies over a cut */
    memcpy(text + SAFETY_SENTENCE_MAX - 8, "kill yourself", 13);
    said = say(text);
    assert_true(said.verdict.blocked);
    assert_null(strstr(said.text, "yourself"));
}

static void no_word_is_as_long_as_that(void **state)
{
    static char text[2000];

    (void)state;
    for (size_t i = 0; i < sizeof text - 1; i++)
        text[i] = (char)('a' + i % 7);
    assert_true(say(text).verdict.blocked);
}

/* --- closed --- */

static void what_cannot_be_judged_is_blocked(void **state)
{
    struct safety_who french = {{"fr", 2}, 6}, mexican = {{"es-MX", 5}, 6};

    (void)state;
    assert_true(say("caf\xe9. Good.").verdict.blocked);
    assert_true(say("half \xf0\x9f\x90").verdict.blocked);
    assert_true(say("Привет, мишка.").verdict.blocked);
    assert_true(say("これは").verdict.blocked);
    assert_false(say("The letter \u03c0 is Greek.").verdict.blocked);
    assert_true(say_with(builtin(), french, "Bonjour.").verdict.blocked);
    assert_false(say_with(builtin(), mexican, "Hola.").verdict.blocked);
}

static void the_operator_may_allow_other_languages(void **state)
{
    struct safety *s;
    struct safety_config config = {.allow_uncovered = true};
    struct safety_who french = {{"fr", 2}, 6};
    char err[256];

    (void)state;
    assert_int_equal(safety_open(&config, &s, err, sizeof err), TEDDY_OK);
    assert_false(say_with(s, french, "Bonjour, мишка.").verdict.blocked);
    assert_true(say_with(s, french, "fuck").verdict.blocked);
    safety_close(s);
}

static void the_system_prompt_is_not_told(void **state)
{
    static const char prompt[] = "You are Teddy, a gentle bear who speaks with Lily, aged six, and "
                                 "never mentions that you are a machine.";
    struct safety_who who = CHILD;
    struct safety_out o;
    struct said said = {0};

    (void)state;
    safety_out_init(&o, builtin(), &who, 0);
    struct safety_secret *secret = safety_secret_new(builtin(), span_of(prompt));
    assert_non_null(secret);
    safety_out_secret(&o, secret);
    safety_out_feed(&o, span_of("I am Teddy, a gentle bear. I love honey. "), gather, &said);
    assert_false(safety_out_blocked(&o));
    safety_out_feed(&o, span_of("They wrote: a gentle bear, who SPEAKS with Lily, aged six."),
                    gather, &said);
    safety_out_end(&o, gather, &said);
    assert_true(safety_out_blocked(&o));
    assert_int_equal(said.verdict.categories, SAFETY_BIT(SAFETY_INJECTION));
    free(secret);
}

/* --- what is said instead --- */

static void every_replacement_may_be_said(void **state)
{
    static const char *const languages[] = {"en", "es", "ar", "zh"};

    (void)state;
    for (size_t l = 0; l < 4; l++)
        for (unsigned m = 0; m <= SAFETY_MOMENT_ALERT; m++)
            for (unsigned c = 0; c < SAFETY_CATEGORY_COUNT; c++)
                for (uint32_t turn = 0; turn < 4; turn++) {
                    struct safety_who who = {span_of(languages[l]), 3};
                    char text[SAFETY_LINE_MAX + 1];
                    struct span line = safety_line(builtin(), &who, (enum safety_moment)m,
                                                   (enum safety_category)c, turn);
                    assert_in_range(line.len, 1, SAFETY_LINE_MAX);
                    snprintf(text, sizeof text, "%.*s", (int)line.len, line.p);
                    struct said said = say_with(builtin(), who, text);
                    assert_string_equal(said.text, text);
                    assert_false(said.verdict.blocked);
                }
}

static void replacements_take_turns_in_the_childs_language(void **state)
{
    struct safety_who who = CHILD, spanish = {{"es", 2}, 6}, other = {{"xx", 2}, 6};
    struct span a = safety_line(builtin(), &who, SAFETY_MOMENT_IN, SAFETY_HATE, 0);
    struct span b = safety_line(builtin(), &who, SAFETY_MOMENT_IN, SAFETY_HATE, 1);

    (void)state;
    assert_false(span_eq(a, b));
    assert_false(span_eq(a, safety_line(builtin(), &spanish, SAFETY_MOMENT_IN, SAFETY_HATE, 0)));
    assert_true(span_eq(a, safety_line(builtin(), &other, SAFETY_MOMENT_IN, SAFETY_HATE, 0)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(disguises_are_seen_through),
        cmocka_unit_test(words_within_words_pass),
        cmocka_unit_test(age_decides),
        cmocka_unit_test(links_and_contacts_are_taken_out),
        cmocka_unit_test(sentences_are_told_apart),
        cmocka_unit_test(a_sentence_comes_as_soon_as_it_is_whole),
        cmocka_unit_test(a_sentence_can_be_held),
        cmocka_unit_test(what_is_blocked_is_replaced_once),
        cmocka_unit_test(what_is_split_over_sentences_is_found),
        cmocka_unit_test(the_tail_begins_with_a_word),
        cmocka_unit_test(long_sentences_are_cut_between_words),
        cmocka_unit_test(no_word_is_as_long_as_that),
        cmocka_unit_test(what_cannot_be_judged_is_blocked),
        cmocka_unit_test(the_operator_may_allow_other_languages),
        cmocka_unit_test(the_system_prompt_is_not_told),
        cmocka_unit_test(every_replacement_may_be_said),
        cmocka_unit_test(replacements_take_turns_in_the_childs_language),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
