#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
/* after those */
#include <cmocka.h>

#include "process/process.h"

struct ear {
    struct process_sink sink;
    char text[4096];
    unsigned parts, dones, fails;
    uint32_t wake_ms;
};

static void on_reply(struct process_sink *sink, struct span text, bool done)
{
    struct ear *e = (struct ear *)sink;
    size_t len = strlen(e->text);
    snprintf(e->text + len, sizeof e->text - len, "%.*s", (int)text.len, text.p);
    e->parts++;
    e->dones += done;
}

static void on_fail(struct process_sink *sink, const char *code, const char *detail)
{
    (void)code;
    (void)detail;
    ((struct ear *)sink)->fails++;
}

static void on_wake_after(struct process_sink *sink, uint32_t delay_ms)
{
    ((struct ear *)sink)->wake_ms = delay_ms;
}

struct talk {
    const struct processor *p;
    void *shared, *session;
    struct ear ear;
    char path[32];
};

static void open_talk(struct talk *t, const char *rules)
{
    char err[256] = "";
    *t = (struct talk){.p = processor_find("script"), .path = "/tmp/rules-XXXXXX"};
    t->ear.sink = (struct process_sink){on_reply, on_fail, on_wake_after};
    struct process_config config = {.loops = 1};
    if (rules) {
        int fd = mkstemp(t->path);
        assert_int_equal(write(fd, rules, strlen(rules)), strlen(rules));
        close(fd);
        config.script.rules_path = t->path;
    }
    if (t->p->open(&config, &t->shared, err, sizeof err) != TEDDY_OK)
        fail_msg("%s", err);
    assert_int_equal(t->p->session_new(t->shared, NULL, NULL, &t->session), TEDDY_OK);
}

static void close_talk(struct talk *t)
{
    t->p->session_free(t->session);
    t->p->close(t->shared);
    unlink(t->path);
}

/* The whole answer, its pauses skipped. */
static const char *say(struct talk *t, const char *text)
{
    t->ear.text[0] = '\0';
    t->ear.parts = t->ear.dones = 0;
    struct process_turn turn = {.text = span_of(text)};
    t->p->utter(t->session, &turn, &t->ear.sink);
    while (!t->ear.dones) {
        assert_true(t->ear.wake_ms > 0);
        t->ear.wake_ms = 0;
        t->p->wake(t->session, &t->ear.sink);
    }
    assert_int_equal(t->ear.dones, 1);
    assert_int_equal(t->ear.fails, 0);
    return t->ear.text;
}

static void remembers_what_it_was_told(void **state)
{
    (void)state;
    struct talk t;
    open_talk(&t, "unknown name my friend\nrule n\nhear my name is +\nkeep name 1\nsay Hello "
                  "{name}, {1}! {{ok}}\n"
                  "default\nsay Hm, {name}.\n");
    assert_string_equal(say(&t, "what?"), "Hm, my friend.");
    assert_string_equal(say(&t, "My name is Leo."), "Hello Leo, Leo! {ok}");
    assert_string_equal(say(&t, "what?"), "Hm, Leo.");
    assert_string_equal(say(&t, "my name is {name} {1}"), "Hello name} {1, name} {1! {ok}");
    void *first = t.session;
    assert_int_equal(t.p->session_new(t.shared, NULL, NULL, &t.session), TEDDY_OK);
    assert_string_equal(say(&t, "what?"), "Hm, my friend."); /* memory is the session's own */
    t.p->session_free(first);
    close_talk(&t);
}

static void never_says_the_same_twice_in_a_row(void **state)
{
    (void)state;
    struct talk t;
    open_talk(&t, "default\nsay a\nsay b\nsay c\n");
    char before[16] = "";
    unsigned seen = 0;
    for (int i = 0; i < 9; i++) {
        const char *now = say(&t, "x");
        assert_string_not_equal(now, before);
        snprintf(before, sizeof before, "%s", now);
        seen |= 1u << (now[0] - 'a');
    }
    assert_int_equal(seen, 7);
    close_talk(&t);
}

static void speaks_in_parts_with_pauses(void **state)
{
    (void)state;
    struct talk t;
    open_talk(&t, "default\nsay one.\npause 5\nthen two.\nthen three.\n");
    struct process_turn turn = {.text = span_of("x")};
    t.p->utter(t.session, &turn, &t.ear.sink);
    assert_string_equal(t.ear.text, "one.");
    assert_int_equal(t.ear.wake_ms, 5);
    assert_int_equal(t.ear.dones, 0);
    t.p->wake(t.session, &t.ear.sink);
    assert_string_equal(t.ear.text, "one. two. three.");
    assert_int_equal(t.ear.parts, 3);
    assert_int_equal(t.ear.dones, 1);
    t.p->utter(t.session, &turn, &t.ear.sink);
    t.p->cancel(t.session);
    t.p->wake(t.session, &t.ear.sink);
    assert_int_equal(t.ear.parts, 4); /* nothing behind a cancel */
    close_talk(&t);
}

static void excuses_an_answer_that_broke_off(void **state)
{
    (void)state;
    struct process_turn turn = {.text = span_of("x"), .broken_off = true};
    for (int own = 0; own < 2; own++) {
        struct talk t;
        open_talk(&t, own ? "lost I forgot.\ndefault\nsay one.\npause 5\nthen two.\n"
                          : "default\nsay one.\npause 5\nthen two.\n");
        t.p->utter(t.session, &turn, &t.ear.sink);
        assert_int_equal(t.ear.dones, 1);
        if (own)
            assert_string_equal(t.ear.text, " I forgot.");
        else
            assert_non_null(strstr(t.ear.text, "lost my thread"));
        assert_string_equal(t.ear.text[0] ? say(&t, "x") : "", "one. two.");
        close_talk(&t);
    }
}

static void the_default_rules_are_kind_and_safe(void **state)
{
    (void)state;
    static const char *const TO_A_GROWN_UP[] = {
        "somebody hits me",
        "My brother hurt me!",
        "I want to die",
        "he touched me",
        "what is a gun?",
        "there is a stranger at the door",
        "I swallowed some pills",
        "the house is on fire",
        "help!",
        "I'm lost",
        "can you keep a secret",
        "my tummy hurts",
        "I'm being bullied",
        "what is sex",
        "don't tell mummy",
        "I can’t breathe",
        "he makes me feel weird",
    };
    static const char *const PRIVATE[] = {
        "my phone number is 5551234",    "I live at 12 Main Street",
        "my address is 7 Elm Road",      "my password is hunter2",
        "can I send you a photo of me",  "my last name is Miller",
        "do you want to see my picture", "My name is Leo and I live in Springfield",
    };
    static const char *const SECRET_BITS[] = {"5551234", "Main",   "Elm",
                                              "hunter2", "Miller", "Springfield"};
    struct talk t;
    open_talk(&t, NULL);
    for (size_t i = 0; i < sizeof TO_A_GROWN_UP / sizeof *TO_A_GROWN_UP; i++)
        for (int again = 0; again < 4; again++)
            if (!strstr(say(&t, TO_A_GROWN_UP[i]), "grown-up"))
                fail_msg("'%s' is answered: %s", TO_A_GROWN_UP[i], t.ear.text);
    for (size_t i = 0; i < sizeof PRIVATE / sizeof *PRIVATE; i++)
        for (int again = 0; again < 3; again++) {
            const char *answer = say(&t, PRIVATE[i]);
            for (size_t b = 0; b < sizeof SECRET_BITS / sizeof *SECRET_BITS; b++)
                assert_null(strstr(answer, SECRET_BITS[b]));
            if (!strstr(answer, "family") && !strstr(answer, "not") && !strstr(answer, "instead"))
                fail_msg("'%s' is answered: %s", PRIVATE[i], answer);
        }
    say(&t, "My name is Mia.");
    for (int again = 0; again < 2; again++)
        assert_non_null(strstr(say(&t, "what is my name?"), "Mia"));
    say(&t, "my favourite colour is light blue");
    assert_string_equal(say(&t, "what's my favourite colour?"), "You like light blue!");
    assert_string_equal(say(&t, "What does the cow say?"), "The cow says: Moo! Moo!");
    say(&t, "tell me a story");
    assert_true(t.ear.parts >= 4);
    assert_non_null(strstr(t.ear.text, "The end."));
    close_talk(&t);
}

static void found_by_name(void **state)
{
    (void)state;
    assert_true(processor_find("echo")->echo_only);
    assert_false(processor_find("script")->echo_only);
    assert_null(processor_find("parrot"));
    void *shared;
    char err[256];
    struct process_config config = {.script = {"/nonexistent"}};
    assert_int_equal(processor_find("script")->open(&config, &shared, err, sizeof err),
                     TEDDY_EINVAL);
    assert_non_null(strstr(err, "/nonexistent"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(remembers_what_it_was_told),
        cmocka_unit_test(never_says_the_same_twice_in_a_row),
        cmocka_unit_test(speaks_in_parts_with_pauses),
        cmocka_unit_test(excuses_an_answer_that_broke_off),
        cmocka_unit_test(the_default_rules_are_kind_and_safe),
        cmocka_unit_test(found_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
