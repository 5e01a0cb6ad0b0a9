/* What the files of the core share. The way a client walks:
 *
 *   idle → recall → load → prepare → resolve → connect → send → receive ─ pair → save ─┐
 *            ↑               ↑                               └ 101 → session → closing    │
 *            wait (after any failure)                                                     │
 *                            └────────────────────────────────────────────────────────────┘
 *
 * client.c is that walk, verdict.c says where a failure leads, the other files each do one step of
 * it. */
#ifndef SDK_CORE_H
#define SDK_CORE_H

#include "proto/json.h"
#include "proto/span.h"
#include "proto/writer.h"
#include "teddy/client.h"

enum sdk_stage {
    SDK_IDLE,
    SDK_RECALL,  /* the id of the last message taken */
    SDK_LOAD,    /* what the next connection is for, and the token it needs, into rx */
    SDK_PREPARE, /* make the request, in rx */
    SDK_RESOLVE,
    SDK_CONNECT,
    SDK_SEND,
    SDK_RECEIVE, /* the HTTP answer */
    SDK_SAVE,    /* the new pair, before it is presented */
    SDK_SESSION,
    SDK_CLOSING, /* our close frame is on its way */
    SDK_WAIT,
};

enum sdk_goal { SDK_CLAIM, SDK_REFRESH, SDK_CONNECT_SESSION };

/* What follows a failure: the goal to try next, and … */
enum sdk_verdict {
    SDK_NEXT = 3,    /* the goal's bits */
    SDK_REFUSED = 4, /* … after minutes, doubling, as only people can change the answer; otherwise
                        exponentially, with full jitter */
    SDK_DROP = 8,    /* … without the tokens, which are no good any more */
};

/* Frames that the session owes, a bit each, the lowest first; and what the frame on its way is. */
enum sdk_frame_kind {
    SDK_FRAME_CLOSE = 1u << 0,
    SDK_FRAME_PONG = 1u << 1,
    SDK_FRAME_HELLO = 1u << 2,
    SDK_FRAME_PING = 1u << 3,
    SDK_FRAME_REFRESH = 1u << 4,
    SDK_FRAME_ACK = 1u << 5,
    SDK_FRAME_SAY = 1u << 6, /* the outbox's head, when it is due */
};

/* Why nothing is read in session for now: what is in rx is in use. */
enum sdk_hold {
    SDK_HOLD_NONE,
    SDK_HOLD_LOAD,  /* the refresh token is on its way from the port … */
    SDK_HOLD_SEND,  /* … and out */
    SDK_HOLD_SAVE,  /* the new pair, to the port */
    SDK_HOLD_OFFER, /* a message, to the application */
    SDK_HOLD_KEEP,  /* its id, to the port */
};

enum sdk_entry_kind { SDK_REPORT, SDK_SAY, SDK_SAY_FOR_A_WHILE };

/* The head of an outbox entry. */
struct sdk_entry {
    uint64_t id;
    uint32_t expires_at; /* of SDK_SAY_FOR_A_WHILE, … */
    uint32_t lifetime_ms; /* … once no lifetime stands here any more: the next step sets the time */
    uint32_t len;
    uint32_t kind;
};

#define SDK_POLL_MS     20 /* between calls of a port's function that says AGAIN without a socket */
#define SDK_CLOSING_MS  2000 /* for our close frame to leave */
#define SDK_STEPS_MAX   16   /* stages, and reads, that one step goes through */
#define SDK_CLOCK_SKEW  300  /* seconds */
#define SDK_REFRESH_GAP 5000 /* between two refreshes in session, whatever the server says */
#define SDK_INPUT_SLACK                                                                            \
    160 /* of rx: a terminator, and a frame header or control frame not whole yet */

/* Milliseconds that a time within the core may lie ahead or behind: twelve days. Times are the low
 * 32 bits of the caller's clock, which a step advances by no more than this. */
#define SDK_SPAN_MS (1u << 30)

/* True when the time has come. */
static inline bool sdk_due(const struct teddy_client *c, uint32_t at)
{
    return (int32_t)(c->now - at) >= 0;
}

static inline uint32_t sdk_least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* client.c */
/* Nothing is said of the next event yet (c->event). */
void sdk_event_clear(struct teddy_client *c);
void sdk_emit(struct teddy_client *c, enum teddy_event_type type);
void sdk_show(struct teddy_client *c, enum teddy_state state);
void sdk_log(const struct teddy_client *c, enum teddy_log_level level, const char *line);
/* Compares the port's clock with the server's, and hands the latter on when TLS vouches for it. */
void sdk_clock_check(struct teddy_client *c, uint32_t server_s);
/* Takes an answer's or close reason's first word, if it is one. */
void sdk_failure_code(struct teddy_client *c, struct span word);

/* The milliseconds until that time: 0 when it has come. */
uint32_t sdk_until(const struct teddy_client *c, uint32_t at);
/* 32 bits of the port's generator; all ones when it fails. */
uint32_t sdk_random32(struct teddy_client *c);

/* Fills proof.nonce with 16 random bytes in base64: a claim's nonce, a Sec-WebSocket-Key.
 * TEDDY_EIO.
 */
#define SDK_NONCE_BYTES 16
int sdk_nonce(struct teddy_client *c);

/* form.c */
/* Writes the form, each % of which is a gap for the next of the parts. */
void sdk_write(struct writer *w, const char *form, const char *const *parts);
void sdk_decimal(uint64_t n, char out[21]);
/* Which of the words it is, from 0; how many there are, when it is none. Each of them has a NUL
 * behind, the last one two. */
unsigned sdk_word(const char *words, const char *word);

/* url.c: TEDDY_EINVAL for anything but scheme://host[:port][/]. */
TEDDY_MUST_CHECK int sdk_url_parse(const char *text, bool allow_plain, struct teddy_url *out);
bool sdk_path_ok(const char *path);
/* host[:port] as the Host field wants it. */
void sdk_url_authority(struct writer *w, const struct teddy_url *url);

/* tokens.c */
/* What is stored is no good: the next connection claims. */
void sdk_tokens_drop(struct teddy_client *c);
/* Loads the record and leaves the token that the goal needs in rx (sdk_token). TEDDY_ENOTFOUND:
 * there is none that could be used; TEDDY_AGAIN. */
int sdk_tokens_load(struct teddy_client *c);
/* Of the record in rx, leaves that token alone, where building a request does not reach it. */
void sdk_tokens_pick(struct teddy_client *c, bool refresh);
/* The token so left, until rx is used otherwise. */
const char *sdk_token(const struct teddy_client *c);
/* Takes the pair out of an answer or `tokens` message, which stands in rx[0..len), and makes it the
 * record there (record_len); on TEDDY_EPROTO nothing happened. */
TEDDY_MUST_CHECK int sdk_tokens_take(struct teddy_client *c, const struct json_object *o,
                                     size_t len);
/* The member's string, as it stands; empty when it is none. */
struct span sdk_member_text(const struct json_object *o, const char *name);
/* True when access is known to have expired. */
bool sdk_tokens_expired(const struct teddy_client *c);
/* Loads a record into rx (record_len): TEDDY_AGAIN; TEDDY_EAUTH also when it is not ok. */
int sdk_load(struct teddy_client *c, enum teddy_record record,
             bool (*ok)(const struct teddy_client *c));
/* Saves a record: TEDDY_AGAIN until it is done, or the deadline has come. */
int sdk_save(struct teddy_client *c, enum teddy_record record, const uint8_t *data, size_t len);
/* Saves what was taken and tells the application; TEDDY_OK also when that failed (the event has the
 * error). */
int sdk_tokens_save(struct teddy_client *c);

/* downlink.c: the messages of the server's queue. A toy that takes none (no
 * teddy_client_on_message) links none of it: the rest calls it through c->queue, which is NULL
 * then. */
struct sdk_queue {
    /* Loads the id of the last one taken. TEDDY_AGAIN. */
    int (*load)(struct teddy_client *c);
    /* Saves it. TEDDY_AGAIN; TEDDY_OK also when that failed, or nothing is to be saved. */
    int (*save)(struct teddy_client *c);
    /* Takes a message whose strings the event has. They stand unescaped in rx, each with a NUL. */
    void (*take)(struct teddy_client *c, const struct json_object *o);
    /* One step of what rx is held for: it is offered to the application, then its id is saved. */
    int (*hold)(struct teddy_client *c);
    /* Writes the form, whose gap is for an id. */
    void (*write_id)(struct writer *w, const char *form, const struct downlink_id *id);
};

/* owner.c: bytes that differ for another device, server or child (empty: any). */
#define SDK_OWNER_LEN 4
void sdk_owner(const struct teddy_client *c, const char *child_id, uint8_t out[SDK_OWNER_LEN]);

/* backoff.c: the wait after the n-th failure (from 0); r: 32 random bits. */
uint32_t sdk_backoff_ms(const struct teddy_times *times, unsigned n, uint32_t r);
uint32_t sdk_refused_ms(const struct teddy_times *times, unsigned n, uint32_t r);

/* verdict.c: where a failed step leads, in bits of enum sdk_verdict. */
unsigned sdk_verdict_of(unsigned goal, const struct teddy_failure *failure);

/* claim.c, refresh.c, upgrade.c: write the request into rx (out_len). TEDDY_AGAIN while the port
 * computes. */
int sdk_claim_prepare(struct teddy_client *c);
int sdk_refresh_prepare(struct teddy_client *c);
int sdk_upgrade_prepare(struct teddy_client *c);
/* The server's 101: its Upgrade, Connection and Sec-WebSocket-Accept. */
bool sdk_upgrade_ok(const struct teddy_client *c, struct span head);

/* http.c */
/* Puts a POST of the body that `write_body` makes into rx. TEDDY_ENOSPC. */
int sdk_http_post(struct teddy_client *c, const char *path,
                  void (*write_body)(struct teddy_client *c, struct writer *w));
/* Writes a request's first line, a form without its end, its Host and its User-Agent. */
void sdk_http_begin(const struct teddy_client *c, struct writer *w, const char *line,
                    const char *const *parts);
/* The value of the first field of that name in an answer's head, trimmed; p is NULL when there is
 * none. */
struct span sdk_http_field(struct span head, const char *name);
/* Sends data[*at..len). */
int sdk_send(struct teddy_client *c, const uint8_t *data, size_t len, size_t *at);
/* Receives into rx, behind what is there (raw_end). TEDDY_ETOOBIG: rx is full. */
int sdk_recv(struct teddy_client *c);
int sdk_http_send(struct teddy_client *c);
/* Reads the answer. TEDDY_OK: 200 with tokens taken, or 101 checked; otherwise the failure is
 * filled in. */
int sdk_http_receive(struct teddy_client *c);

/* outbox.c: bytes alone; say.c knows what they mean. */
void sdk_outbox_init(struct teddy_outbox *o, uint8_t *buf, size_t cap, uint64_t first_id);
/* TEDDY_EFULL; TEDDY_ETOOBIG: never. */
int sdk_outbox_push(struct teddy_outbox *o, const char *text, const struct sdk_entry *entry);
/* The entry at *at (0: the oldest), and *at moved behind it: its text ends there. False: there is
 * none. */
bool sdk_outbox_next(const struct teddy_outbox *o, size_t *at, struct sdk_entry *entry);
void sdk_outbox_remove(struct teddy_outbox *o, size_t at);
void sdk_outbox_clear(struct teddy_outbox *o);
size_t sdk_outbox_room(const struct teddy_outbox *o);

/* say.c */
/* The oldest; false when there is none. */
bool sdk_head(const struct teddy_client *c, struct sdk_entry *entry);
/* What the time does to the outbox: new entries get theirs, old ones expire. */
void sdk_outbox_tick(struct teddy_client *c);
/* The offset of the first entry that is not on its way. */
size_t sdk_waiting_from(const struct teddy_client *c);
/* Adds an entry, by the policy. TEDDY_EFULL; TEDDY_ETOOBIG. */
int sdk_push(struct teddy_client *c, const char *text, const struct sdk_entry *entry,
             enum teddy_when_full when_full);
/* The event for who was refused, once there is room. */
void sdk_outbox_tell_room(struct teddy_client *c);

/* frames.c */
/* Makes and sends what is owed until the transport takes no more. TEDDY_OK: nothing is left;
 * TEDDY_AGAIN. */
int sdk_frames_pump(struct teddy_client *c);
/* True while the body being sent is the outbox's head. */
bool sdk_frames_saying(const struct teddy_client *c);

/* session.c */
void sdk_session_open(struct teddy_client *c);
/* TEDDY_AGAIN while it lives; TEDDY_OK when it ends with a close frame of ours to send; a failure
 * when it broke. */
int sdk_session_run(struct teddy_client *c);
int sdk_session_closing(struct teddy_client *c);
void sdk_session_end(struct teddy_client *c);
/* In how many milliseconds it wants to be run again. */
uint32_t sdk_session_wake(const struct teddy_client *c);
/* Reads nothing more until that is done, or for the time of a step (deadline). */
void sdk_session_hold(struct teddy_client *c, enum sdk_hold why);
/* Forgets what is in rx, but for what is not looked at yet. */
void sdk_session_wipe(const struct teddy_client *c);
/* The head is done with: removed, as soon as no frame is being made of it. */
void sdk_session_said(struct teddy_client *c);

/* message.c */
/* True, with the id in decimal, when there is an utterance that the server has not echoed yet. */
bool sdk_head_id(const struct teddy_client *c, char out[21]);
/* Acts on one whole text message, rx[0..len), with room for a NUL behind. */
void sdk_message_take(struct teddy_client *c, size_t len);
/* The member's whole number, or the most that 32 bits hold; 0 when it is none. */
uint32_t sdk_member_number(const struct json_object *o, const char *name);

#endif
