#include "safety/testing.h"

static char heard[40000];

static struct safety_verdict hear(const char *text)
{
    return hear_with(builtin(), CHILD, text, heard, sizeof heard);
}

static void personal_data_is_replaced(void **state)
{
    static const char *const rows[][2] = {
        {"call 415-555-0137 now", "call [phone number] now"},
        {"it is (212) 555-0199!", "it is [phone number]!"},
        {"+44 20 7946 0018", "[phone number]"},
        {"1-800-555-0123", "[phone number]"},
        {"رقمي ٠٥٠١٢٣٤٥٦٧", "رقمي [phone number]"},
        {"电话13812345678。", "电话[phone number]。"},
        {"five five five oh one four two", "[phone number]"},
        {"double five five, one two three, four five", "[phone number]"},
        {"４１５－５５５－０１３７", "[phone number]"},
        {"4\u200b15\u200b-555-0137", "[phone number]"},
        {"4111 1111 1111 1111", "[card number]"},
        {"GB82 WEST 1234 5698 7654 32 is it", "[account number] is it"},
        {"a.b+c@mail.example.co.uk, ok", "[e-mail], ok"},
        {"lily dot b at example dot org", "[e-mail]"},
        {"ana arroba ejemplo punto com", "[e-mail]"},
        {"follow @superbear99 there", "follow [e-mail] there"},
        {"221B Baker Street, London", "[address], London"},
        {"en la calle de la Paz 45", "en la [address]"},
        {"see https://x.example/a?b=1.", "see [link]."},
        {"see bears.example.com/x now", "see [link] now"},
        {"see bears dot com now", "see [link] now"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct safety_verdict v = hear(rows[i][0]);
        assert_string_equal(heard, rows[i][1]);
        assert_int_equal(v.redactions, 1);
        assert_true(v.categories & (SAFETY_BIT(SAFETY_PERSONAL_DATA) | SAFETY_BIT(SAFETY_LINK)));
        assert_false(v.blocked);
    }
}

static void other_numbers_stay(void **state)
{
    static const char *const rows[] = {
        "1 2 3 4 5 6 7 8 9 10 11 12",
        "one two three four five six seven eight nine ten",
        "nine eight seven six five four three two one",
        "10 20 30 40 50 60",
        "what is 123456 plus 654321",
        "1,000,000 and 8,000,000,000 people",
        "pi is 3.14159265",
        "from 1914-1918",
        "on 2024-05-12 or 12/05/2024",
        "at 10:30 and 12:45",
        "2 dogs cross the road",
        "I am 6 and my sister is 10",
        "It is late.Go home",
        "It was late.In the box",
        "look at the dot on the i",
        "4111 1111 1111 1112 x",
    };

    (void)state;
    for (size_t i = 0; i + 1 < sizeof rows / sizeof *rows; i++) {
        struct safety_verdict v = hear(rows[i]);
        assert_string_equal(heard, rows[i]);
        assert_int_equal(v.redactions, 0);
    }
    hear("4111 1111 1111 1112 x"); /* no card by its check digit: a card it is not called */
    assert_null(strstr(heard, "card"));
}

static void several_pieces_are_replaced_in_order(void **state)
{
    (void)state;
    struct safety_verdict v = hear("a@b.com, 415-555-0137 and c@d.com");
    assert_string_equal(heard, "[e-mail], [phone number] and [e-mail]");
    assert_int_equal(v.redactions, 3);
}

static void what_cannot_be_seen_is_left_out(void **state)
{
    (void)state;
    hear("he\u200bl\u00adlo\x01 \u202e\u2066wor\ufeffld\n\U000e0041!");
    assert_string_equal(heard, "hello world\n!");
    hear("\U0001f468\u200d\U0001f469 a\u200db"); /* joined emoji stay what they are */
    assert_string_equal(heard, "\U0001f468\u200d\U0001f469 ab");
}

static void signs_of_danger_are_told(void **state)
{
    static const struct {
        const char *text;
        enum safety_category category;
    } rows[] = {
        {"I want to die", SAFETY_SELF_HARM},
        {"i wanna k1ll mys3lf", SAFETY_SELF_HARM},
        {"my dad hits me", SAFETY_VIOLENCE},
        {"my uncle touched me down there", SAFETY_SEXUAL},
        {"I swallowed a battery", SAFETY_MEDICINE},
        {"I am lost and I can't find my mommy", SAFETY_OTHER},
        {"me quiero morir", SAFETY_SELF_HARM},
        {"أبي يضربني", SAFETY_VIOLENCE},
        {"我不想活了", SAFETY_SELF_HARM},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct safety_verdict v = hear(rows[i].text);
        assert_true(v.danger & SAFETY_BIT(rows[i].category));
        assert_int_equal(v.why, rows[i].category);
        assert_true(v.blocked);
    }
}

static void play_is_no_danger(void **state)
{
    static const char *const rows[] = {
        "I killed the dragon!",
        "kill the lights",
        "my dog died",
        "I lost my tooth",
        "I'm dying of laughter",
        "my brother beats me at chess",
        "tell me a joke",
        "I live in a big house",
        "Papa reads me a story",
        "me muero de risa",
        "笑死我了",
        "قطتي نامت",
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct safety_verdict v = hear(rows[i]);
        if (v.danger || v.blocked || v.categories)
            fail_msg("%s: %x", rows[i], v.categories);
    }
}

/* Whatever cannot be judged is blocked, and nothing of it leaves. */
static void what_cannot_be_judged_is_blocked(void **state)
{
    static char text[SAFETY_IN_MAX + 2];
    struct safety_verdict v;
    struct safety_who who = CHILD;

    (void)state;
    assert_true(hear("caf\xe9").blocked);
    assert_string_equal(heard, "");
    memset(text, 'a', sizeof text - 1);
    for (size_t i = 0; i < sizeof text - 1; i += 5)
        text[i] = ' ';
    assert_true(hear(text).blocked);
    assert_string_equal(heard, "");
    text[SAFETY_IN_MAX] = '\0';
    assert_false(hear(text).blocked);
    assert_int_equal(strlen(heard), SAFETY_IN_MAX);
    /* no room for the answer */
    assert_int_equal(safety_in(builtin(), &who, span_of("hello"), heard, 4, &v), 0);
    assert_true(v.blocked);
    assert_true(
        hear("QWxsIHlvdXIgYmFzZSBhcmUgYmVsb25nIHRvIHVzIGFuZCBzbyBvbiBhbmQgc28gZm9ydGgg").blocked);
    assert_true(hear("привет мишка").blocked); /* no list is in this script */
}

static void more_than_can_be_told_is_blocked(void **state)
{
    static char text[SAFETY_IN_MAX];
    size_t len = 0;

    (void)state;
    while (len + 10 < sizeof text)
        len += (size_t)snprintf(text + len, sizeof text - len, "a@b.com, ");
    assert_true(hear(text).blocked);
    for (len = 0; len < 4000;)
        len += (size_t)snprintf(text + len, sizeof text - len, "kill the lights, ");
    assert_true(hear(text).blocked);
    text[1000] = '\0';
    assert_false(hear(text).blocked);
}

static void danger_decides_what_is_said(void **state)
{
    (void)state;
    struct safety_verdict v = hear("show me porn. my dad hits me. fuck");
    assert_int_equal(v.danger, SAFETY_BIT(SAFETY_VIOLENCE));
    assert_true(v.categories & SAFETY_BIT(SAFETY_SEXUAL));
    assert_int_equal(v.why, SAFETY_VIOLENCE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(personal_data_is_replaced),
        cmocka_unit_test(other_numbers_stay),
        cmocka_unit_test(several_pieces_are_replaced_in_order),
        cmocka_unit_test(what_cannot_be_seen_is_left_out),
        cmocka_unit_test(signs_of_danger_are_told),
        cmocka_unit_test(play_is_no_danger),
        cmocka_unit_test(what_cannot_be_judged_is_blocked),
        cmocka_unit_test(more_than_can_be_told_is_blocked),
        cmocka_unit_test(danger_decides_what_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
