/* What the server keeps of conversations, per pair of toy and child, because a child id alone
 * proves nothing: a profile, the last turns, how long was played a day, what was blocked a day, and
 * alerts that wait to be delivered. Limits are the child's: no second toy escapes them. Within a
 * job's run. Wherever a pair stands, the toy must be bound to that child: otherwise
 * TEDDY_ENOTFOUND. */
#ifndef STORE_TALK_H
#define STORE_TALK_H

#include "proto/span.h"
#include "store/store.h"

#define PROFILE_NAME_LEN     64 /* bytes */
#define PROFILE_LANGUAGE_LEN 35
#define PROFILE_ZONE_LEN     47
#define PROCESSOR_LEN        23
#define CATEGORY_LEN         15
#define ALERT_WORDS_MAX      1024 /* bytes; of what was blocked, too */
#define BLOCKED_WORDS_KEPT   100

/* Three ways a switch can stand. */
enum profile_switch { PROFILE_DEFAULT = -1, PROFILE_OFF = 0, PROFILE_ON = 1 };

struct profile_row {
    char name[PROFILE_NAME_LEN + 1];         /* "": not known */
    char language[PROFILE_LANGUAGE_LEN + 1]; /* BCP 47; "": not known */
    unsigned age;                            /* years; 0: not known */
    /* The limits: of the child, whichever toy it is. */
    char zone[PROFILE_ZONE_LEN + 1]; /* of the IANA's database; "": UTC */
    unsigned quiet_from, quiet_to;   /* minutes of the day; the same: no quiet hours */
    unsigned minutes;                /* a day, of all toys together; 0: no limit */

    enum profile_switch memory; /* default: the configuration's */
    bool alert_words;           /* an alert may quote the child */
};

struct talk_pair {
    int64_t device_row;
    char processor[PROCESSOR_LEN + 1]; /* the toy's own; "": the configuration's */
};

/* The pair, and its profile. One that has none of its own is as the child's other toys say, but for
 * what only the child's own toy may tell: no name, and memory only ever switched off. */
int store_profile_get(struct store_tx *tx, const char *device_id, const char *child_id,
                      struct talk_pair *pair, struct profile_row *out);
/* Memory that is off is also erased. The limits become those of all the child's toys. */
int store_profile_put(struct store_tx *tx, const struct talk_pair *pair, const char *child_id,
                      const struct profile_row *profile, uint64_t now_s);
/* The only toy that is bound to the child. TEDDY_ENOTFOUND: none is; TEDDY_EDUP: several are. */
int store_child_only_device(struct store_tx *tx, const char *child_id,
                            char device_id[LIMIT_ID_LEN + 1]);
/* Any toy that is bound to the child: for what is the child's. TEDDY_ENOTFOUND: none is. */
int store_child_any_device(struct store_tx *tx, const char *child_id,
                           char device_id[LIMIT_ID_LEN + 1]);
/* "": the configuration's. TEDDY_ENOTFOUND: there is no such device. */
int store_device_processor(struct store_tx *tx, const char *device_id, const char *processor);

/* ---- What a session does. ---- */

struct talk_turn {
    int64_t n;
    uint64_t at_s;
    struct span heard, said; /* of a row that is read: during the call */
};

struct talk_bounds {
    unsigned turns, bytes; /* of one pair */
};

/* The pair's turns, oldest first. */
int store_turn_list(struct store_tx *tx, const struct talk_pair *pair, const char *child_id,
                    void (*each)(void *arg, const struct talk_turn *turn), void *arg);
/* The newest; older ones leave until the bounds hold. */
int store_turn_add(struct store_tx *tx, const struct talk_pair *pair, const char *child_id,
                   const struct talk_turn *turn, const struct talk_bounds *bounds);
/* The pair, if this token family of the toy's is still in force: what a session writes late, after
 * its toy was released or its child forgotten, is not written. */
int store_talk_pair(struct store_tx *tx, const char *device_id, const char *child_id,
                    const uint8_t sid[STORE_JTI_LEN], struct talk_pair *out);
/* day: local, counted from 1970-01-01. With all toys that said they were this child's. */
int store_played_get(struct store_tx *tx, const char *child_id, int64_t day, uint64_t *seconds);
int store_played_add(struct store_tx *tx, const struct talk_pair *pair, const char *child_id,
                     int64_t day, uint64_t seconds);
int store_blocked_add(struct store_tx *tx, const struct talk_pair *pair, const char *child_id,
                      int64_t day, const char *category);
/* The child's words that were blocked, or that led to what was; the newest BLOCKED_WORDS_KEPT of a
 * pair are kept. */
int store_blocked_words_add(struct store_tx *tx, const struct talk_pair *pair, const char *child_id,
                            const char *category, struct span words, uint64_t now_s);

/* ---- The parents' view. ---- */

struct talk_day {
    int64_t day;
    const char *device_id; /* during the call, as is category */
    uint64_t seconds;      /* of play; with a category 0 */
    const char *category;  /* NULL: it is about play */
    uint64_t blocked;
};

/* Of all toys that are bound to the child, or of one (NULL: all), from a day on: in order of days,
 * toys, and play before categories. */
int store_report(struct store_tx *tx, const char *child_id, const char *device_id, int64_t from_day,
                 bool (*each)(void *arg, const struct talk_day *day), void *arg);

struct talk_words {
    const char *device_id, *category; /* during the call, as are the words */
    uint64_t at_s;
    struct span words;
};

/* The words that were kept of what was blocked, in order of time. Toys and days as above. */
int store_report_words(struct store_tx *tx, const char *child_id, const char *device_id,
                       int64_t from_day, bool (*each)(void *arg, const struct talk_words *words),
                       void *arg);

/* ---- All of it that is kept of a child, bound or not, toy by toy. ---- */

/* The child's limits alone: TEDDY_ENOTFOUND: none were ever set. */
int store_limits_get(struct store_tx *tx, const char *child_id, struct profile_row *out);

enum talk_kept {
    KEPT_PROFILE,
    KEPT_TURN,
    KEPT_PLAYED,
    KEPT_BLOCKED,
    KEPT_ALERT,
    KEPT_BLOCKED_WORDS
};

struct talk_kept_row {
    enum talk_kept what;
    const struct profile_row *profile; /* of a profile */
    uint64_t at_s;                     /* of a turn or alert */
    int64_t day;                       /* of what was played or blocked … */
    uint64_t count;                    /* … seconds, or how often; of an alert: how many more */
    struct span a, b; /* heard and said; or category and an alert's words; during the call */
    uint64_t last_s;  /* of an alert: when the last of those was */
};

/* The first toy behind that row which left something with the child; TEDDY_ENOTFOUND: none. */
int store_talk_toy(struct store_tx *tx, const char *child_id, int64_t after_row, int64_t *row,
                   char device_id[LIMIT_ID_LEN + 1]);
int store_talk_kept(struct store_tx *tx, const char *child_id, int64_t row,
                    bool (*each)(void *arg, const struct talk_kept_row *kept), void *arg);

/* ---- Alerts: an outbox. One leaves when it was delivered. ---- */

#define ALERTS_ALIKE 4 /* of a toy, a child and a category: more are counted in the last */
#define ALERTS_MAX                                                                                 \
    20000 /* of all, 30 MB at most: more are dropped, as the audit trail has them                  \
           */

struct alert_new {
    const char *category;
    struct span words; /* empty: not to be told */
    uint64_t at_s;
    uint64_t more, last_s; /* raised since, and when the last was, as far as it is known; at_s */
};

enum alert_fate { ALERT_KEPT, ALERT_COUNTED, ALERT_DROPPED };

struct alert_row {
    int64_t n; /* never given twice */
    char device_id[LIMIT_ID_LEN + 1], child_id[LIMIT_ID_LEN + 1];
    char category[CATEGORY_LEN + 1];
    char words[ALERT_WORDS_MAX + 1]; /* "": not to be told */
    uint64_t at_s, due_s;
    unsigned tries;
    uint64_t more, last_s; /* that are counted in it, and when the last was raised */
};

int store_alert_add(struct store_tx *tx, const struct talk_pair *pair, const char *child_id,
                    const struct alert_new *alert, enum alert_fate *fate);
/* The one that is due first. */
int store_alert_next(struct store_tx *tx, struct alert_row *out);
int store_alert_put_off(struct store_tx *tx, int64_t n, uint64_t due_s);
/* It was told with so many more; those that were counted in it since are an alert of their own. */
int store_alert_drop(struct store_tx *tx, int64_t n, uint64_t told);

#endif
