/* What is remembered, bounded in turns and bytes; and an answer that breaks off, at each place
 * where it can: it always ends in words, which are judged, and in one end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mind/internal.h"
#include "proto/text.h"

/* ---- Memory ---- */

static void remember(struct memory *m, unsigned turns, size_t bytes, const char *heard,
                     const char *said)
{
    memory_add(m, turns, bytes, span_of(heard), span_of(said));
}

static void holds(const struct memory *m, const char *expected)
{
    char all[256] = "";
    size_t bytes = 0;
    for (unsigned i = 0; i < m->count; i++) {
        const struct past *p = m->past[i];
        snprintf(all + strlen(all), sizeof all - strlen(all), "%.*s>%.*s;", (int)p->heard, p->words,
                 (int)p->said, p->words + p->heard);
        bytes += p->heard + p->said;
    }
    assert_string_equal(all, expected);
    assert_int_equal(m->bytes, bytes);
}

static void memory_is_bounded(void **state)
{
    struct memory m = {0};
    (void)state;
    remember(&m, 3, 20, "a", "b");
    remember(&m, 3, 20, "c", "d");
    remember(&m, 3, 20, "e", "f");
    holds(&m, "a>b;c>d;e>f;");
    remember(&m, 3, 20, "g", "");
    holds(&m, "c>d;e>f;g>;");
    remember(&m, 3, 20, "0123456789", "01234567"); /* 18: with the last, 19 */
    holds(&m, "g>;0123456789>01234567;");
    remember(&m, 3, 20, "0123456789", "0123456789"); /* just as long as may be */
    holds(&m, "0123456789>0123456789;");
    remember(&m, 3, 20, "0123456789", "01234567890"); /* too long: the others stay */
    holds(&m, "0123456789>0123456789;");
    memory_clear(&m);
    holds(&m, "");
    remember(&m, 0, 20, "a", "b");
    holds(&m, "");
    remember(&m, 1, 20, "a", "b");
    remember(&m, 1, 20, "c", "d");
    holds(&m, "c>d;");
    memory_clear(&m);
}

/* ---- An answer, by processors of the test ---- */

static const char *script; /* what the backend does: "+words", "." done, "!code" fails; by ";" */
static char fallback_asked[64];
static bool fallback_fails;

static void *NOBODY = (void *)"";

static int session_new(void *shared, struct loop *loop, const struct process_session *who,
                       void **session)
{
    (void)shared;
    (void)loop;
    (void)who;
    *session = NOBODY;
    return TEDDY_OK;
}

static void nothing(void *session)
{
    (void)session;
}

static void backend_utter(void *session, const struct process_turn *turn, struct process_sink *sink)
{
    char text[4096], *rest = text, *word;
    (void)session;
    (void)turn;
    snprintf(text, sizeof text, "%s", script);
    while ((word = strsep(&rest, ";")) != NULL) {
        if (word[0] == '+')
            sink->reply(sink, span_of(word + 1), false);
        else if (word[0] == '.')
            sink->reply(sink, span_of(word + 1), true);
        else if (word[0] == '!')
            (sink->fail)(sink, word + 1, "It broke.");
    }
}

static void fallback_utter(void *session, const struct process_turn *turn,
                           struct process_sink *sink)
{
    (void)session;
    snprintf(fallback_asked, sizeof fallback_asked, "%.*s%s", (int)turn->text.len, turn->text.p,
             turn->broken_off ? " (broken off)" : "");
    if (fallback_fails)
        (sink->fail)(sink, BACKEND_ERROR, "It broke, too.");
    else
        sink->reply(sink, span_of(turn->broken_off ? " Where was I?" : "Let us play."), true);
}

static const struct processor BACKEND = {.name = "chat",
                                         .session_new = session_new,
                                         .session_free = nothing,
                                         .utter = backend_utter,
                                         .cancel = nothing};
static const struct processor FALLBACK = {.name = "script",
                                          .session_new = session_new,
                                          .session_free = nothing,
                                          .utter = fallback_utter,
                                          .cancel = nothing};

static struct loop *loop;
static struct minds *minds;
static struct mind *mind;
static struct safety *safety;
static const struct process backend = {&BACKEND, NULL}, fallback = {&FALLBACK, NULL};
static const struct process_session who = {"toy", "kid"};
static struct process_sink sink;
static char heard[4096];
static unsigned ends;

static void on_reply(struct process_sink *s, struct span text, bool done)
{
    (void)s;
    assert_int_equal(ends, 0);
    strncat(heard, text.p, text.len);
    if (!done)
        return;
    ends++;
    loop_stop(loop);
}

static void on_fail(struct process_sink *s, const char *code, const char *detail)
{
    (void)s;
    (void)detail;
    assert_int_equal(ends, 0);
    snprintf(heard + strlen(heard), sizeof heard - strlen(heard), "[%s]", code);
    ends++;
    loop_stop(loop);
}

static void open_minds(const struct process *in_place)
{
    static const uint8_t sid[STORE_JTI_LEN];
    char err[256];
    struct mind_config config = {.process = &backend, .fallback = in_place, .safety = safety};
    assert_int_equal(minds_open(&config, &minds, err, sizeof err), TEDDY_OK);
    assert_int_equal(mind_new(minds, loop, &who, sid, &mind), TEDDY_OK);
    sink = (struct process_sink){.reply = on_reply, .fail = on_fail};
}

static void close_minds(void)
{
    mind_free(mind);
    minds_close(minds);
}

static int setup(void **state)
{
    char err[256];
    (void)state;
    assert_int_equal(loop_new(&loop, 0), TEDDY_OK);
    assert_int_equal(
        safety_open(&(struct safety_config){NULL, NULL, false, false}, &safety, err, sizeof err),
        TEDDY_OK);
    open_minds(&fallback);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    close_minds();
    safety_close(safety);
    loop_free(loop);
    return 0;
}

/* All that the toy hears. */
static const char *say_words(const char *words, const char *does)
{
    script = does;
    heard[0] = fallback_asked[0] = '\0';
    ends = 0;
    mind_utter(mind, span_of(words), false, &sink);
    if (ends == 0)
        loop_run(loop); /* what is put off to the end of the callback */
    assert_int_equal(ends, 1);
    return heard;
}

static const char *say(const char *does)
{
    return say_words("hello", does);
}

static void an_answer_that_breaks_off(void **state)
{
    (void)state;
    assert_string_equal(say(".Hello there. How are you?"), "Hello there. How are you?");
    assert_string_equal(fallback_asked, "");
    assert_string_equal(say("!backend_down"), "Let us play.");
    assert_string_equal(fallback_asked, "hello");
    /* A sentence was said: the fallback excuses itself and does not begin anew. */
    assert_string_equal(say("+Bears like honey. And;!backend_timeout"),
                        "Bears like honey. Where was I?");
    assert_string_equal(fallback_asked, "hello (broken off)");
    /* Of half a sentence nothing was said, and nothing is: it was never judged whole. */
    assert_string_equal(say("+Bears like;!backend_error"), "Let us play.");
    assert_string_equal(fallback_asked, "hello");
    assert_string_equal(say(".It works again."), "It works again.");
}

static void what_is_not_the_backends_fault_is_told(void **state)
{
    (void)state;
    assert_string_equal(say("!internal"), "[internal]");
    assert_string_equal(fallback_asked, "");
}

static void without_a_fallback_there_is_a_clear_error(void **state)
{
    (void)state;
    close_minds();
    open_minds(NULL);
    assert_string_equal(say("!backend_busy"), "[backend_busy]");
    assert_string_equal(say("+Bears like honey. And;!backend_timeout"),
                        "Bears like honey.[backend_timeout]");
    close_minds();
    open_minds(&fallback);
}

static void a_fallback_that_fails_ends_it(void **state)
{
    (void)state;
    fallback_fails = true;
    assert_string_equal(say("!backend_down"), "[backend_error]");
    fallback_fails = false;
}

static bool passed;

static void pass(struct loop *l, struct loop_timer *timer)
{
    (void)timer;
    passed = true;
    loop_stop(l);
}

static void let_time_pass(void)
{
    struct loop_timer timer = {.fire = pass};
    loop_timer_set(loop, &timer, loop_now_ms(loop) + 50);
    for (passed = false; !passed;) /* an answer at once has stopped it already */
        loop_run(loop);
}

/* Others have their turn while it is judged; nothing of it is lost, or said once it is cancelled.
 */
static void a_long_answer_at_once(void **state)
{
    static const char one[] = "Bears like honey. ";
    char does[4096], whole[2048];
    size_t at = 0, len = 0;
    (void)state;
    for (int i = 0; i < 110; i++) { /* the rest comes meanwhile */
        at += (size_t)snprintf(does + at, sizeof does - at, "%s%s",
                               i == 0    ? "+"
                               : i == 80 ? ";."
                                         : "",
                               one);
        len += (size_t)snprintf(whole + len, sizeof whole - len, "%s", one);
    }
    assert_string_equal(say(does), whole);
    ends = 0;
    heard[0] = '\0';
    mind_utter(mind, span_of("hello"), false, &sink);
    assert_int_equal(ends, 0);
    mind_cancel(mind);
    size_t so_far = strlen(heard);
    assert_in_range(so_far, 1, len - 100);
    let_time_pass();
    assert_int_equal(ends, 0);
    assert_int_equal(strlen(heard), so_far);
    snprintf(does + at, sizeof does - at, "You should kill yourself.");
    assert_null(strstr(say(does), "kill"));
}

/* What is blocked is replaced once, in the middle of an answer, and nothing of the rest is said,
 * whether it comes or breaks off. */
static void blocked_in_the_middle(void **state)
{
    static const char *const ways[] = {
        "+Bears like honey. ;+You should kill;+ yourself. ;.Then we dance.",
        "+Bears like honey. ;+You should kill yourself. And;!backend_error",
        ".Bears like honey. You should kill yourself. Then we dance."};
    (void)state;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        const char *said = say(ways[i]);
        assert_int_equal(strncmp(said, "Bears like honey. ", 18), 0);
        assert_true(strlen(said) > 18);
        if (strstr(said, "kill") || strstr(said, "dance") || strstr(said, "Where was I"))
            fail_msg("%zu: %s", i, said);
    }
}

/* Blanks, or nothing but what is taken out, would be silence. */
static void an_answer_without_a_word(void **state)
{
    static const char *const ways[] = {". ", "+ ;.\n", ".\xE2\x80\xA6!", ".\xE2\x80\x8B",
                                       ".\xC2\xA0\xE3\x80\x80"};
    (void)state;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        const char *said = say(ways[i]);
        while (*said == ' ' || *said == '\n')
            said++;
        if (strcmp(said, "Let us play.") != 0 || strcmp(fallback_asked, "hello") != 0)
            fail_msg("%zu: '%s'", i, heard);
    }
    assert_string_equal(say(".5!"), "5!");
    assert_string_equal(say(".\xE4\xBD\xA0"), "\xE4\xBD\xA0");
    assert_string_equal(say("+Bears. ;. "), "Bears.  ");
    assert_string_equal(fallback_asked, "");
}

static uint64_t alerts_raised(void)
{
    struct metrics_totals totals;
    metrics_totals(&totals);
    return totals.counts[METRIC_ALERTS_RAISED];
}

/* The day of a child has an end, its danger has none. */
static void danger_is_heard_when_the_day_is_over(void **state)
{
    uint64_t before = alerts_raised();
    (void)state;
    mind->person.profile.quiet_to = 1440;
    assert_non_null(strstr(say(".Never."), "quiet time"));
    assert_int_equal(alerts_raised(), before);
    const char *said = say_words("i want to kill myself", ".Never.");
    assert_non_null(strstr(said, "grown-up"));
    assert_null(strstr(said, "quiet time"));
    assert_int_equal(alerts_raised(), before + 1);
}

static void open_another(const struct process_session *whose)
{
    static const uint8_t sid[STORE_JTI_LEN];
    mind_free(mind);
    assert_int_equal(mind_new(minds, loop, whose, sid, &mind), TEDDY_OK);
}

/* A toy that leaves and comes back plays on; another one does not. */
static void coming_back_is_play(void **state)
{
    static const struct process_session other = {"toy", "kid2"};
    (void)state;
    say(".Yes.");
    let_time_pass();
    open_another(&who);
    say(".Yes.");
    assert_true(mind->unsaved_ms >= 50);
    uint64_t so_far = mind->unsaved_ms;
    let_time_pass();
    open_another(&other);
    say(".Yes.");
    assert_true(mind->unsaved_ms < 50);
    open_another(&who);
    say(".Yes.");
    assert_true(mind->unsaved_ms >= so_far + 50);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {cmocka_unit_test(memory_is_bounded),
                                       T(an_answer_that_breaks_off),
                                       T(what_is_not_the_backends_fault_is_told),
                                       T(without_a_fallback_there_is_a_clear_error),
                                       T(a_fallback_that_fails_ends_it),
                                       T(a_long_answer_at_once),
                                       T(blocked_in_the_middle),
                                       T(an_answer_without_a_word),
                                       T(danger_is_heard_when_the_day_is_over),
                                       T(coming_back_is_play)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
