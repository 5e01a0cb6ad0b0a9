/* Private to admin: what is said about conversations, as commands: a child's profile with one of
 * its toys, the parents' view, and which processor answers a toy. */
#ifndef ADMIN_TALK_H
#define ADMIN_TALK_H

#include <jansson.h>

#include "admin/command.h"
#include "store/talk.h"

#define TALK_DAYS_DEFAULT 7
#define TALK_DAYS_MAX     400

enum talk_member {
    TALK_NAME,
    TALK_AGE,
    TALK_LANGUAGE,
    TALK_QUIET,
    TALK_TZ,
    TALK_MINUTES,
    TALK_MEMORY,
    TALK_ALERT_WORDS,
    TALK_MEMBERS
};

/* Of ADMIN_PROFILE_SET, ADMIN_PROFILE_SHOW, ADMIN_REPORT and ADMIN_PROCESSOR. */
struct talk_work {
    char device_id[LIMIT_ID_LEN + 1];  /* of the child's; "": its only one, any where only limits
                                          are set, of a report all */
    unsigned given;                    /* ADMIN_PROFILE_SET: bit n is talk_member n */
    struct profile_row wanted;         /* those that are given */
    char processor[PROCESSOR_LEN + 1]; /* ADMIN_PROCESSOR; "": the configuration's */
    unsigned days;                     /* ADMIN_REPORT */

    /* What run found. */
    struct profile_row profile;
    json_t *list;  /* of a report */
    json_t *words; /* of a report */
};

bool admin_command_of_talk(const struct admin_command *c);
struct talk_work *talk_work_new(void);
void talk_work_free(struct talk_work *w); /* wiped. NULL is fine */

/* Reads the body of ADMIN_PROFILE_SET and ADMIN_PROCESSOR. What is wrong is in why: false.
 * *bad_json: it is no JSON object at all. */
bool talk_read(struct admin_command *c, struct span json, bool *bad_json, char *why, size_t cap);
int talk_run(struct store_tx *tx, struct admin_command *c);
/* What its event says: no value of a profile, only which were set. */
void talk_detail(const struct admin_command *c, char *out, size_t cap);
json_t *talk_day_json(int64_t day); /* from 1970-01-01 */
json_t *talk_profile_json(const struct profile_row *p);
json_t *talk_limits_json(const struct profile_row *p);
json_t *talk_json(const struct admin_command *c); /* the reply to a success, new */
/* The reply to a refusal; false: it is none of its own. */
bool talk_refuse(const struct admin_command *c, struct admin_answer *out);

#endif
