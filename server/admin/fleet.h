/* Private to admin: the toys as somebody looks at them, as commands on the registry: a page of
 * them, one with what is known about it, its telemetry, its past sessions. What the store does not
 * know, whether a toy is online, the caller fills in once the command is done. */
#ifndef ADMIN_FLEET_H
#define ADMIN_FLEET_H

#include <jansson.h>

#include "admin/command.h"
#include "store/fleet.h"
#include "store/history.h"

#define FLEET_PART_LEN      64u
#define FLEET_LOOKS_MAX     20000u /* toys that one page looks at */
#define FLEET_PIECE         2000u  /* of them in one go of the store's reader */
#define FLEET_ONLINE_MAX    2000u  /* that are taken from the sessions for one page */
#define FLEET_TELEMETRY_DEF 1000u  /* rows of an answer */

/* Told from its row, in this order. */
enum fleet_state {
    FLEET_ANY,
    FLEET_DISABLED,  /* kept out */
    FLEET_UNCLAIMED, /* bound to no child: new, or released */
    FLEET_LAPSED,    /* bound, without tokens in force: it has to claim again */
    FLEET_CLAIMED,
};

enum fleet_online { FLEET_BOTH, FLEET_ONLINE, FLEET_OFFLINE };

struct fleet_live {
    bool online, hello;
    uint64_t id, since_s, utterances, received, sent;
    char address[64];
};

struct fleet_item {
    struct fleet_row row;
    uint64_t last_s; /* when it was last here, as its history tells */
    bool online;
};

struct fleet_work {
    /* Of ADMIN_LIST. */
    char q[LIMIT_ID_LEN + 1];      /* how its id begins; "": anyhow */
    char part[FLEET_PART_LEN + 1]; /* of its id or firmware, in any case; "": anything */
    enum fleet_state state;
    enum fleet_online online;
    bool none;                     /* nobody is online: there is no server */
    char (*ids)[LIMIT_ID_LEN + 1]; /* of FLEET_ONLINE: who is, in order, to be looked up */
    unsigned id_count, id_at;
    /* Of ADMIN_TELEMETRY. */
    uint64_t from_s, to_s;

    /* What run found. */
    struct fleet_item *items; /* up to the command's limit */
    unsigned count, looked, piece;
    char at[LIMIT_ID_LEN + 1];     /* the last that was looked at */
    char prefix[LIMIT_ID_LEN + 1]; /* of all */
    bool begun, again, more;
    struct fleet_live live; /* of ADMIN_SHOW */
    struct family_row family;
    unsigned messages;
    struct telemetry_row *telemetry; /* newest first; of ADMIN_SHOW the last */
    unsigned telemetry_count;
    struct past_session sessions[SESSIONS_KEPT];
    unsigned session_count;
};

struct fleet_work *fleet_work_new(void);
void fleet_work_free(struct fleet_work *w); /* NULL is fine */
bool fleet_verb(enum admin_verb verb);
bool fleet_state_parse(const char *text, enum fleet_state *out);

int fleet_run(struct store_tx *tx, struct admin_command *c);
/* The reply to a success, new. */
json_t *fleet_json(const struct admin_command *c);
/* The members of a row of telemetry, but "at", into the object. */
bool fleet_telemetry_into(json_t *object, const struct telemetry_row *row);
json_t *fleet_session_json(const struct past_session *p);

#endif
