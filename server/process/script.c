/* The offline companion: answers from a rule file (docs/rules.md). */
#include <stdlib.h>
#include <sys/random.h>

#include "process/processors.h"
#include "process/script_rules.h"
#include "proto/text.h"
#include "proto/writer.h"

extern const unsigned char default_rules[]; /* default.rules, embedded by the build */
extern const size_t default_rules_len;

#define LOST "Oh, now I have lost my thread. What were we talking about?"

struct quote {
    char text[RULES_QUOTE_MAX + 1];
};

/* One session's. */
struct script {
    const struct rules *rules;
    struct quote *memory;  /* by name; made when the first thing is kept */
    const struct say *say; /* being said; NULL when silent */
    unsigned part;         /* the next one */
    struct quote captures[RULES_CAPTURES];
    uint8_t next[]; /* per rule: the reply whose turn it is */
};

static int script_open(const struct process_config *config, void **shared, char *err, size_t cap)
{
    struct rules *rules;
    int rc = config->script.rules_path
                 ? rules_load(config->script.rules_path, &rules, err, cap)
                 : rules_parse("default.rules",
                               (struct span){(const char *)default_rules, default_rules_len},
                               &rules, err, cap);
    *shared = rules;
    return rc == TEDDY_EIO ? TEDDY_EINVAL : rc;
}

static void script_close(void *shared)
{
    rules_free(shared);
}

static int script_session_new(void *shared, struct loop *loop, const struct process_session *who,
                              void **session)
{
    (void)loop;
    (void)who;
    const struct rules *rules = shared;
    struct script *s = calloc(1, sizeof *s + rules->rules.count);
    if (!s)
        return TEDDY_ENOMEM;
    s->rules = rules;
    /* Each session begins elsewhere, so that not every morning starts with the same words. That
     * needs no secrecy: when there is no randomness, all begin with the first reply. */
    if (getrandom(s->next, rules->rules.count > 256 ? 256 : rules->rules.count, GRND_NONBLOCK) < 0)
        memset(s->next, 0, rules->rules.count);
    *session = s;
    return TEDDY_OK;
}

static void script_session_free(void *session)
{
    struct script *s = session;
    if (!s)
        return;
    if (s->memory)
        wipe(s->memory, s->rules->name_count * sizeof *s->memory);
    free(s->memory);
    wipe(s, sizeof *s);
    free(s);
}

static const char *remembered(const struct script *s, int name, struct span *unknown)
{
    *unknown = s->rules->names[name].unknown;
    return s->memory && s->memory[name].text[0] ? s->memory[name].text : NULL;
}

/* rules_parse has made sure that it fits. */
static struct span render(const struct script *s, const struct part *part, bool first,
                          char out[RULES_SPOKEN_MAX])
{
    struct writer w = writer_on(out, RULES_SPOKEN_MAX);
    struct piece piece;
    if (!first) /* parts are concatenated by whoever shows them */
        writer_text(&w, " ");
    for (size_t at = 0; (piece = rules_piece(part->text, &at)).kind != PIECE_END;) {
        if (piece.kind == PIECE_CAPTURE) {
            writer_text(&w, s->captures[piece.capture].text);
        } else if (piece.kind == PIECE_NAME) {
            struct span unknown;
            const char *known = remembered(s, rules_name(s->rules, piece.text), &unknown);
            writer_span(&w, known ? span_of(known) : unknown);
        } else {
            writer_span(&w, piece.text);
        }
    }
    return (struct span){w.buf, w.len};
}

/* Says what is due; a pause ends it until wake. */
static void speak(struct script *s, struct process_sink *sink)
{
    while (s->say) {
        char out[RULES_SPOKEN_MAX];
        const struct part *part = RULES_AT(s->rules, parts, part, s->say->part_first + s->part);
        struct span text = render(s, part, s->part == 0, out);
        bool done = ++s->part == s->say->part_count;
        if (done)
            s->say = NULL; /* first: the sink may come back with the next utterance */
        sink->reply(sink, text, done);
        if (!done && part[1].pause_ms > 0) {
            sink->wake_after(sink, part[1].pause_ms);
            return;
        }
        if (done)
            return;
    }
}

static void keep(struct script *s, const struct rule *rule)
{
    if (rule->keep_count && !s->memory)
        s->memory = calloc(s->rules->name_count, sizeof *s->memory);
    for (unsigned i = 0; s->memory && i < rule->keep_count; i++) {
        const struct keep *k = RULES_AT(s->rules, keeps, keep, rule->keep_first + i);
        s->memory[k->name] = s->captures[k->capture];
    }
}

/* Behind the first words of an answer that somebody else could not finish. */
static void excuse(const struct script *s, struct process_sink *sink)
{
    char out[RULES_SPOKEN_MAX];
    struct writer w = writer_on(out, sizeof out);
    writer_text(&w, " "); /* parts are concatenated */
    writer_span(&w, s->rules->lost.p ? s->rules->lost : span_of(LOST));
    sink->reply(sink, (struct span){w.buf, w.len}, true);
}

static void script_utter(void *session, const struct process_turn *turn, struct process_sink *sink)
{
    struct script *s = session;
    if (turn->broken_off) {
        excuse(s, sink);
        return;
    }
    struct words words;
    struct capture captures[RULES_CAPTURES] = {{0, 0}};
    words_split(&words, turn->text);
    const struct rule *rule = rules_match(s->rules, &words, captures);
    for (unsigned i = 0; i < RULES_CAPTURES; i++)
        words_quote(&words, captures[i].first, captures[i].count, s->captures[i].text,
                    sizeof s->captures[i].text);
    keep(s, rule);
    uint8_t *next = &s->next[rule - RULES_AT(s->rules, rules, rule, 0)];
    unsigned due = *next % rule->say_count;
    *next = (uint8_t)((due + 1) % rule->say_count);
    s->say = RULES_AT(s->rules, says, say, rule->say_first + due);
    s->part = 0;
    speak(s, sink);
}

static void script_wake(void *session, struct process_sink *sink)
{
    speak(session, sink);
}

static void script_cancel(void *session)
{
    struct script *s = session;
    s->say = NULL;
}

const struct processor processor_script = {
    .name = "script",
    .open = script_open,
    .close = script_close,
    .session_new = script_session_new,
    .session_free = script_session_free,
    .utter = script_utter,
    .wake = script_wake,
    .cancel = script_cancel,
};
