/* A mind from the inside: mind.c is its life, load.c and record.c what it reads and writes,
 * posts.c the alerts, limits.c the child's day, turn.c asks and speaks, moderation.c asks the
 * second judge. */
#ifndef MIND_INTERNAL_H
#define MIND_INTERNAL_H

#include <stdatomic.h>

#include "mind/mind.h"
#include "mind/prompt.h"
#include "net/loop.h"
#include "net/outgoing.h"
#include "ops/metrics.h"
#include "process/lines.h"
#include "safety/safety.h"
#include "store/talk.h"

#define PLAY_GAP_MS  60000   /* silence up to here counts as play */
#define PLAY_WRITE_S 10      /* of play are written at once, and what is left at the end */
#define BLOCKED_MAX  4       /* told of one turn */
#define RAW_MAX      2097152 /* bytes of an answer that waits to be judged */
#define PERSON_OLD_S 900     /* clocks change at quarters of an hour, in every zone */
#define PLAYERS      1024    /* of a loop that left lately */
#define POSTS_MAX    512     /* of a loop: alerts that wait for the store, 1 MB */

struct alert_post;

/* Who left, so that play goes on when the toy is there again within PLAY_GAP_MS. */
struct player {
    uint64_t who;       /* a hash of toy and child */
    uint64_t played_ms; /* when play was counted last; 0: nobody */
    uint64_t unsaved_ms;
};

/* What the minds of one loop share. */
struct mind_loop {
    struct outgoing *outgoing; /* to the moderation endpoint */
    struct alert_post *posts;  /* alerts that the store has not taken yet */
    unsigned posts_count;
    struct player players[PLAYERS];
    bool stopped;
};

struct minds {
    struct mind_config config;
    struct prompt *prompt;
    char authorization[4200]; /* of the moderation endpoint */
    atomic_ulong changes;
    struct mind_loop loops[METRIC_LOOPS_MAX];
};

/* Who is spoken with, as the store knows it. */
struct person {
    bool known;
    struct profile_row profile;
    char processor[PROCESSOR_LEN + 1];
    bool has_zone;
    int32_t offset_s;      /* to local time */
    int64_t day;           /* of played_s */
    uint64_t played_s;     /* by the child, with all of its toys */
    unsigned long changes; /* of struct minds, when it was read */
    uint64_t until_s;
};

/* The last turns, oldest first. */
struct past {
    size_t heard, said; /* bytes */
    char words[];       /* heard, then said */
};

struct memory {
    struct past **past;
    unsigned count;
    size_t bytes;
};

/* NULL turns, or too long: they are not remembered. */
void memory_add(struct memory *m, unsigned turns, size_t bytes, struct span heard,
                struct span said);
void memory_clear(struct memory *m);

/* What is being done about an utterance. */
struct turn {
    struct process_turn asked;
    struct process_message *history;
    char *text;
    size_t text_len;
    const struct process *process; /* who answers */
    void *state;                   /* its state of this session */
    bool running;                  /* it has not ended */
    bool ended;                    /* it has said all */
    bool own_words;                /* of the operator's rule file: judged part by part */
    bool spoke;                    /* something reached the toy */
    bool audible;                  /* there was a word in what was said */
    bool remember;
    struct safety_out out;
    struct buffer raw; /* not judged yet, from raw_at on */
    size_t raw_at;
    struct buffer last;    /* judged, and to be said with done */
    struct buffer said;    /* all that was, to be remembered */
    struct buffer waiting; /* a sentence before the second judge */
    struct transfer *judge;
    bool judging, verdict_ok;
    struct pause *pause; /* others have their turn; NULL: none */
    struct buffer verdict;
    uint8_t blocked[BLOCKED_MAX]; /* categories, each once */
    bool blocked_in;
    unsigned blocked_count;
};

enum then { THEN_END, THEN_FALL_BACK, THEN_UNKNOWN };

struct load;

struct mind {
    struct minds *minds;
    struct loop *loop;
    struct process_session who;
    uint8_t sid[STORE_JTI_LEN];
    struct process_sink inner; /* what processors speak into */
    struct process_sink *sink; /* the session's; NULL: nothing was said */
    struct span text;
    bool overheard;            /* an alert is raised already */
    const struct process *own; /* who answers this toy; NULL: not known yet */
    void *own_state, *spare;   /* its state, the fallback's; NULL: not needed yet */
    struct loop_timer wake;    /* of who answers */
    struct loop_timer later;   /* then */
    struct loop_timer late;    /* of the second judge */
    enum then then;
    struct turn *turn;
    struct load *load;
    struct alert_post *alert; /* the answer waits until it is written */
    struct person person;
    struct memory memory;
    /* The system prompt, written for `told` and not to be said; NULL: not yet. */
    char *system;
    size_t system_len;
    struct safety_secret *secret; /* NULL without a judge */
    struct profile_row told;
    uint32_t turns;      /* so far: varies what is said */
    uint64_t played_ms;  /* when play was counted last; 0: never */
    uint64_t unsaved_ms; /* of play */
};

/* mind.c */
uint64_t mind_now_s(void);
struct safety_who mind_safety_who(const struct mind *m);
/* The present utterance is over: what of it is to be kept is queued, then the session hears. */
void mind_finish(struct mind *m);
void mind_fail(struct mind *m, const char *code, const char *detail);
/* Our own words, and the end; why: of the log. */
void mind_close_with(struct mind *m, struct span line);
/* The same once the alert is in the store, or it is clear that it is not yet. */
void mind_close_behind_alert(struct mind *m, enum safety_category why, struct span line);
/* At the end of the present callback, which may be one of the processor's, which is given up. */
void mind_later(struct mind *m, enum then then);

/* load.c: reads the person, then calls mind_known. False: it could not be asked for. */
bool load_begin(struct mind *m);
void load_drop(struct mind *m); /* it is not wanted any more */
void mind_known(struct mind *m, bool ok);

/* limits.c: what is to be said instead of an answer; len 0: nothing, go on. */
struct span limits_check(struct mind *m);
enum limits_end { LIMITS_NONE, LIMITS_QUIET, LIMITS_ENOUGH };
/* The day of p moves on with the time. unsaved_s: played besides. */
enum limits_end limits_judge(struct person *p, uint64_t now_s, uint64_t unsaved_s);
/* The clock of p's zone at that time. Reads the zone's file: on the store's thread, never a loop's.
 */
void limits_read_clock(struct person *p, uint64_t now_s);
/* Play goes on until now. */
void limits_played(struct mind *m);
void limits_leave(struct mind *m); /* the session ends; perhaps the next goes on */

/* turn.c */
void turn_begin(struct mind *m); /* the person is known */
/* Nobody is asked, and the line is said, unless the words mean danger: they are heard always. */
void turn_closed(struct mind *m, struct span line);
bool mind_remembers(const struct mind *m);
void turn_forget_prompt(struct mind *m);
void turn_free(struct turn *t);
void turn_fall_back(struct mind *m, const char *code, const char *detail);
void turn_give_up(struct mind *m); /* who answers, and the second judge */
void turn_blocked(struct mind *m, enum safety_category why, bool in);
/* The second judge has let pass what waits; or has not, or could not judge. */
void turn_passed(struct mind *m);
void turn_flagged(struct mind *m, enum safety_category why);
void turn_unjudged(struct mind *m);
extern const struct process_sink TURN_SINK;
void turn_wake(struct loop *loop, struct loop_timer *timer);

/* moderation.c */
TEDDY_MUST_CHECK int moderation_open(struct minds *minds, char *err, size_t cap);
bool moderation_ask(struct mind *m, struct span sentence); /* false: it cannot be asked */
void moderation_drop(struct mind *m);
void moderation_late(struct loop *loop, struct loop_timer *timer);

/* record.c */
void record_turn(struct mind *m, const struct turn *t);
void record_rest(struct mind *m); /* of play: the session ends */
/* An event of the audit trail; side NULL: neither in nor out. Within a job's run. */
int record_tell(struct store_tx *tx, const char *event, const char *device, const char *child,
                const char *category, const char *side);

/* posts.c */
/* wait, and true: mind_finish is called when it is written, or for now cannot be; record_unawait:
 * no more. */
bool record_alert(struct mind *m, enum safety_category why, struct span words, bool wait);
void record_unawait(struct mind *m);
void record_stop(struct mind_loop *at, struct loop *loop);

#endif
