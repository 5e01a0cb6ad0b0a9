/* The sessions from the inside: hub.c keeps them and lets one replace another, session.c is one's
 * life and its timers, message.c reads what it hears, utterance.c has utterances answered in order,
 * downlink.c delivers what waits for the toy, send.c writes what it says. */
#ifndef SESSION_INTERNAL_H
#define SESSION_INTERNAL_H

#include <string.h>

#include "ops/metrics.h"
#include "proto/json.h"
#include "proto/writer.h"
#include "session/history.h"
#include "session/recent.h"
#include "session/session.h"
#include "session/wsio.h"

#define SESSION_WAITING_MAX 4    /* utterances behind the one being answered */
#define SESSION_FRAME_MIN   256  /* the smallest `max` of a hello */
#define REFRESH_PATIENCE_MS 5000 /* a refresh under way at exp is waited for */

#define DOWNLINK_WINDOW 8 /* messages that a toy has not acked */

#define CLONED_REPLACEMENTS 3
#define CLONED_WINDOW_MS    600000

enum session_state {
    SESSION_REGISTERED, /* no connection yet */
    SESSION_LIVE,
    SESSION_CLOSING, /* said goodbye; only the connection is left */
};

enum utterance_flag {
    UTTERANCE_REPEATED = 1u << 0,  /* its id was taken before: only ended */
    UTTERANCE_CANCELLED = 1u << 1, /* while waiting */
    UTTERANCE_OVERHEARD = 1u << 2, /* while waiting: an alert is raised */
};

/* One that waits or is being answered. */
struct utterance {
    struct utterance *next;
    uint64_t seq;
    uint64_t id_hash; /* 0: no id */
    uint32_t text_len;
    uint32_t heard_ms; /* the low bits of when */
    uint8_t id_len;
    uint8_t flags;
    char data[]; /* id, then text */
};

/* What answering takes, of a session whose words went to a processor: made at the first of them,
 * gone when the session falls silent for good. */
struct talk {
    struct process_sink sink;
    struct session *session;
    struct process_session who;
    struct mind *mind;       /* NULL: nothing had to be answered yet */
    struct utterance *queue; /* the first is being answered */
    uint8_t queued;
    bool answering;
    bool spoke; /* the answer's first word is out */
};

/* Of a session that has sent messages, or whose toy has had some. */
struct marks {
    struct downlink_id sent, acked; /* the last one sent in this session or said to be kept, the
                                       last one acked */
};

#define SESSION_TIME_BITS 43 /* milliseconds for two centuries */
#define SESSION_TIME_MAX  ((UINT64_C(1) << SESSION_TIME_BITS) - 1)
#define SESSION_SEQ_BITS  48

/* One that is silent costs this, its names and its connection: there are many
 * (docs/performance.md). Times are on the loop's clock; those of 32 bits are the low ones of a time
 * never far from now. */
struct session {
    struct wsio ws;
    struct session *next; /* in its bucket */
    union {
        struct talk *talk;      /* close_code 0: NULL until there is something to answer */
        const char *close_word; /* else */
    };
    struct marks *marks; /* NULL: none yet */
    uint64_t id;         /* hub.c: its low half is the hash of the device */
    uint64_t since_ms : SESSION_TIME_BITS;
    uint64_t state : 2;    /* enum session_state */
    uint64_t replaced : 2; /* replacements of the run */
    uint64_t hello : 1;
    uint64_t noticed : 1; /* token_expiring was sent */
    uint64_t refreshing : 1;
    uint64_t pumping : 1;
    uint64_t fetching : 1;   /* a job of downlink.c is under way */
    uint64_t fetch_more : 1; /* and there is reason for another */
    uint64_t fetch_late : 1; /* the store could not; try again at the next ping */
    uint64_t ack_new : 1;    /* acked is to be written */
    uint64_t ack_last : 1;   /* acked is hello's `last`: perhaps there is nothing to write */
    uint64_t silent : 1;     /* ended for having said nothing */
    uint64_t orphan : 1;     /* the hub is gone, only the connection is left */
    uint64_t key : 6;        /* the slot of the key that signed its token */
    uint64_t exp_ms : SESSION_TIME_BITS;
    uint64_t loop : 8;     /* the hub's */
    uint64_t child_at : 8; /* of the child's id in ids */
    uint64_t client : 2;   /* enum session_client */
    uint64_t own : 1;      /* the toy has a processor of its own */
    uint64_t seq : SESSION_SEQ_BITS;
    uint64_t close_code : 16;
    uint32_t heard_ms, ping_ms /* the next one */;
    int32_t allowance;       /* thousandths of messages; negative: over the limit */
    uint32_t allowed_ms;     /* when it was counted */
    uint32_t replaced_ms;    /* when the present run of replacements began */
    uint32_t received, sent; /* messages */
    uint32_t telemetry_s;    /* when some is kept again; 0: the first is */
    uint8_t sid[STORE_JTI_LEN];
    char ids[]; /* device, child, each terminated; the client's address, 4 or 16 bytes */
};

struct hub {
    struct loop *loop;
    const struct session_config *config;
    struct session **buckets; /* a power of two of them */
    unsigned bucket_count;
    unsigned count;
    struct recent recent;
    struct history *history; /* NULL: nothing is kept */
    char *out;               /* where messages are written */
    size_t out_cap;
    uint64_t seed;
    uint64_t registered;    /* sessions so far, from a random number on */
    const char *drain_word; /* NULL: not draining */
    uint16_t drain_code;
};

static inline const char *session_device(const struct session *s)
{
    return s->ids;
}

static inline const char *session_child(const struct session *s)
{
    return s->ids + s->child_at;
}

/* Of the whole block, from the lengths of its names and of the client's address. */
static inline size_t session_size(size_t device_len, size_t child_len, size_t client_len)
{
    return offsetof(struct session, ids) + device_len + 1 + child_len + 1 + client_len;
}

enum session_client { CLIENT_UNKNOWN, CLIENT_IPV4, CLIENT_IPV6 };

/* hub.c */
extern struct hub *hubs[METRIC_LOOPS_MAX]; /* by loop; set before the loops run */

static inline struct hub *session_hub(const struct session *s)
{
    return hubs[s->loop];
}

struct session *hub_find(const struct hub *h, uint64_t id); /* NULL: gone */
void hub_forget(struct session *s); /* takes it off the tables and frees it */

static inline uint64_t session_now(const struct session *s)
{
    return loop_now_ms(session_hub(s)->loop);
}

/* NULL: nothing is to be answered. */
static inline struct talk *session_talk(const struct session *s)
{
    return s->close_code ? NULL : s->talk;
}

/* Which counts it, as teddy_sessions has them. */
static inline void session_count(const struct session *s, uint64_t n)
{
    metric_add(s->loop, (enum metric)((unsigned)METRIC_SESSIONS_OPENING + (unsigned)s->state), n);
}

static inline void session_set_state(struct session *s, enum session_state state)
{
    session_count(s, METRIC_LESS);
    s->state = state & 3u;
    session_count(s, 1);
}

void session_id_text(uint64_t id, char out[17]);

/* session.c */
void session_go_live(struct session *s, struct conn *conn);
void session_free(struct session *s);
void session_close(struct session *s, uint16_t code, const char *word, bool retry);
void session_rearm(
    struct session *s); /* the connection's deadline, after one of its times has changed */
/* Sets when its token expires, from seconds since 1970. */
void session_set_exp(struct session *s, uint64_t exp_s);
/* Gives up what is waiting and frees what hearing and answering need. */
void session_silence(struct session *s);
/* Takes one message from the allowance: 1, or 0 when it is over the limit, or -1 when the session
 * was closed for it. */
int session_allow(struct session *s);
uint64_t unix_ms(void);

/* message.c: a whole text message, writable. */
void message_take(struct session *s, char *text, size_t len);

/* utterance.c */
/* id empty: none. text as it was said, or json, whose member `text` is unescaped in its place. */
void utterance_take(struct session *s, struct span id, struct span text,
                    const struct json_object *json);
void utterance_cancel(struct session *s, uint64_t seq);
/* Frees s->talk, too. */
void utterances_drop(struct session *s);

/* downlink.c */
/* hello came, with the id of the last message the toy has kept (0.0: none). */
void downlink_hello(struct session *s, const struct downlink_id *last);
/* False: no such message was sent in this session. */
bool downlink_ack(struct session *s, const struct downlink_id *id);
/* There may be something to write or to send. */
void downlink_go(struct session *s);

/* send.c */
void send_echo(struct session *s, uint64_t seq, struct span id, struct span text, bool done);
/* In several messages when one would be too large for the toy. */
void send_reply(struct session *s, uint64_t seq, struct span id, struct span text, bool done);
void send_error(struct session *s, uint64_t seq, struct span id, const char *code,
                const char *detail); /* seq 0: none */
void send_welcome(struct session *s);
/* False: it is larger than the toy takes, and was not sent. */
bool send_message(struct session *s, const struct downlink_row *d);
void send_pong(struct session *s, const struct json_member *t); /* NULL: none */
void send_expiring(struct session *s, uint64_t expires_in_s);
void send_tokens(struct session *s, const char *access, const char *refresh, uint32_t expires_in);

#endif
