/* teddy-sim from the inside: what its files share. One thread runs every toy: loop.c waits, toy.c
 * is one toy, port.c what stands between the SDK's core and the POSIX port, faults.c what goes
 * wrong and when, admin.c the operator, in threads of its own, report.c what came of it. */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include <pthread.h>
#include <stdatomic.h>

#include "sdk/port/posix/teddy_posix.h"
#include "sim/args.h"
#include "sim/tally.h"
#include "sim/timers.h"
#include "teddy/client.h"

#define SIM_OUTBOX    768 /* a dozen utterances */
#define SIM_POSTERS   4
#define SIM_CAUSES    24
#define SIM_QUIET_MS  1000 /* after all has arrived: what comes now is doubled */
#define SIM_SLOW_MS   10   /* between two pieces of a slow link */
#define SIM_FORCED_MS 3000 /* a cut that no traffic meets by then happens all the same */

enum sim_fault {
    FAULT_CUT,      /* the connection breaks after so many bytes more, in the midst of a message */
    FAULT_STALL,    /* nothing goes either way for a while */
    FAULT_SLOW,     /* a few bytes at a time, and every second time a break in the end */
    FAULT_TRUNCATE, /* what arrives ends in its middle, and so does the connection */
    FAULT_SKEW,     /* the toy's wall clock is wrong from now on */
    FAULT_EXPIRY,   /* the toy slept: its access token's life has passed meanwhile */
    FAULT_REBOOT,   /* power lost and back: the records stay, the outbox does not */
    FAULT_STORAGE,  /* the same, and the records are gone or damaged */
    FAULT_RESTART,  /* the server: --restart-command */
    FAULT_NONE,     /* and how many there are */
};
extern const char *const sim_fault_names[FAULT_NONE];

/* A small generator of its own for each purpose, so that none disturbs another's order
 * (SplitMix64). Nothing secret comes from it. */
static inline uint64_t sim_draw(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

/* What a toy keeps across reboots, exactly as long as it is; data NULL: nothing. */
struct sim_record {
    uint8_t *data;
    size_t len;
    bool damaged; /* load says TEDDY_EAUTH */
};

/* The fault at work on a toy's link. */
struct sim_link_fault {
    enum sim_fault kind;
    bool breaks;      /* FAULT_SLOW: and then the connection breaks */
    uint32_t bytes;   /* FAULT_CUT: left to pass. FAULT_SLOW: of one piece */
    uint64_t next_ms; /* FAULT_SLOW: of the next piece */
    uint64_t until_ms;
};

struct toy {
    struct timer timer; /* when to step */
    struct sim *sim;
    struct teddy_posix *posix;
    char *id;
    uint32_t index, life_s; /* life_s: of its access token, when it got it */
    int fd;                 /* registered with epoll … */
    short events;           /* … for these; 0: not registered */
    bool started, online;
    atomic_bool bound; /* was online once: its queue will not be emptied by its first claim */
    uint32_t said;     /* utterances that the outbox took */
    uint32_t owed;     /* that are due and found no room yet */
    uint32_t doubtful; /* claims it has begun and saw no answer to: each may arrive yet */
    size_t held;       /* bytes that TLS has taken and must be offered again */
    uint64_t jitter;   /* generator of the core's small draws */
    uint64_t jump_ms;  /* its monotonic clock is ahead of ours by this */
    int64_t skew_s;    /* its wall clock, of the right time */
    uint64_t offline_at, down_lost_at;
    struct sim_link_fault fault;
    struct sim_record records[TEDDY_RECORDS];
    struct tally up, down, posted;
    struct teddy_client client;
    uint8_t rx[TEDDY_BUFFER_MIN], outbox[SIM_OUTBOX];
};

/* Why toys waited, and how often. */
struct sim_cause {
    char what[64];
    uint64_t count;
};

struct sim_stats {
    uint64_t connections, resumed, claims, refreshes, sessions, clock_events;
    uint64_t said, echoed, received, forgotten, strange, others, overtaken, revoked;
    uint64_t up_doubled, up_disordered, down_doubled, down_disordered, down_again;
    uint64_t faults[FAULT_NONE], restarts_failed;
    struct sim_cause causes[SIM_CAUSES];
    struct samples reconnects;
    uint32_t online, started;
    uint64_t rss_before, rss_online; /* bytes; rss_online 0: not all were online at once */
};

enum sim_phase { SIM_TALK, SIM_SETTLE, SIM_OVER };

struct sim {
    const struct sim_args *args;
    struct teddy_posix_trust *trust;
    struct toy *toys;
    struct timers timers;
    struct sim_stats stats;
    enum sim_phase phase;
    bool settled;
    int epoll;
    uint64_t began, now, ends_at, quiet_since;
    uint64_t ticks;       /* utterances that have come due */
    uint64_t fault_draw;  /* generator of the faults' order */
    uint64_t fault_at_us; /* when the next is due; TIMER_NEVER: none is */
    uint32_t restarts_begun;
    int restart_pid; /* 0: none is under way */
    char run[16]; /* names this run in the messages posted: what an earlier one left is not ours */
    /* admin.c */
    pthread_t posters[SIM_POSTERS];
    unsigned poster_count;
    atomic_uint posters_done;
    atomic_bool end_posting;
    _Atomic uint64_t posted, unanswered, refused_posts;
};

/* toy.c: all called from the one thread. toy_init: TEDDY_OK, or the reason is printed. */
TEDDY_MUST_CHECK int toy_init(struct toy *t, struct sim *sim, uint32_t index, const char *id,
                              const uint8_t secret[32]);
void toy_fini(struct toy *t);
/* Runs the core once and plans the next time. */
void toy_step(struct toy *t);
/* Says what is owed, as far as there is room. */
void toy_say(struct toy *t);
/* As a lost supply and its return: the core begins anew with what the records hold. */
void toy_reboot(struct toy *t);
/* Online, all it said echoed, all that was posted for it received. */
bool toy_settled(const struct toy *t);
/* Everything that was queued for it and did not come. */
uint64_t toy_lost_up(const struct toy *t);
uint64_t toy_lost_down(const struct toy *t);

/* port.c: the table for teddy_client_init; its ctx is a struct toy. */
extern const struct teddy_port sim_port;
/* True while the toy's link says AGAIN whatever its socket says. */
bool sim_port_held(const struct toy *t);
void sim_record_lose(struct sim_record *r);

/* faults.c */
void faults_begin(struct sim *sim);
/* Does what is due. */
void faults_run(struct sim *sim);
/* When it wants to be called again. */
uint64_t faults_next(const struct sim *sim);
/* No more of them, and those at work end. */
void faults_end(struct sim *sim);

/* admin.c: posts --down messages for each toy, in order; results are read after join. */
TEDDY_MUST_CHECK bool admin_start(struct sim *sim);
void admin_join(struct sim *sim);

/* loop.c: runs until all has settled or its time is over. False when it could not run. */
TEDDY_MUST_CHECK bool loop_run(struct sim *sim);
/* The second signal, which ended the run, as the first did the talk; 0: there was none. */
int loop_cut_by(void);

/* report.c */
void cause_count(struct sim_stats *s, const char *purpose, const char *what);
uint64_t report_rss(void);
void report_progress(const struct sim *sim, bool on_one_line);
/* Prints the report; the exit status. */
int report_end(const struct sim *sim);

#endif
