/* What the files of the core share. The way a client walks:
 *
 *   idle → load → choose → prepare → resolve → connect → send → receive ─ claim, refresh → save ─┐
 *                   ↑                   ↑                        └ session → session → closing   │
 *                   wait (after any failure)  └──────────────────────────────────────────────────┘
 *
 * client.c is that walk, verdict.c says where a failure leads, the other files each do one step of
 * it. */
#ifndef SDK_CORE_H
#define SDK_CORE_H

#include "proto/span.h"
#include "proto/writer.h"
#include "teddy/client.h"

enum sdk_stage {
    SDK_IDLE,
    SDK_LOAD,    /* the stored tokens */
    SDK_CHOOSE,  /* what the next connection is for */
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

/* How long to wait after a failure. */
enum sdk_wait {
    SDK_BACKOFF, /* exponential, full jitter */
    SDK_REFUSED, /* minutes, doubling: only people can change the answer */
};

struct sdk_verdict {
    uint8_t goal; /* enum sdk_goal: what to try next */
    uint8_t wait; /* enum sdk_wait */
    bool drop;    /* the tokens are no good any more */
};

/* Frames that the session owes, a bit each, and what the frame on its way is. */
enum sdk_frame_kind {
    SDK_FRAME_CLOSE = 1u << 0,
    SDK_FRAME_PONG = 1u << 1,
    SDK_FRAME_HELLO = 1u << 2,
    SDK_FRAME_PING = 1u << 3,
    SDK_FRAME_REFRESH = 1u << 4,
    SDK_FRAME_SAY = 1u << 5,
};

/* One message of the server, read. text points into the message, which was unescaped in place. */
struct sdk_message {
    char type[20];
    char id[LIMIT_UTTERANCE_ID + 1];
    char code[33];
    const char *text;
    size_t text_len;
    uint64_t seq, time, expires_in, heartbeat_s;
    bool done;
};

#define SDK_POLL_MS     20 /* between calls of a port's function that says AGAIN without a socket */
#define SDK_CLOSING_MS  2000 /* for our close frame to leave */
#define SDK_STEPS_MAX   16   /* stages, and reads, that one step goes through */
#define SDK_CLOCK_SKEW  300  /* seconds */
#define SDK_REFRESH_GAP 5000 /* between two refreshes in session, whatever the server says */
#define SDK_INPUT_SLACK                                                                            \
    160 /* of rx: a terminator, and a frame header or control frame not whole yet */

/* client.c */
void sdk_emit(struct teddy_client *c, struct teddy_event *event);
void sdk_show(struct teddy_client *c, enum teddy_state state);
void sdk_log(const struct teddy_client *c, enum teddy_log_level level, const char *line);
/* Compares the port's clock with the server's, and hands the latter on when TLS vouches for it. */
void sdk_clock_check(struct teddy_client *c, uint64_t server_s);
/* Takes an answer's or close reason's first word, if it is one. */
void sdk_failure_code(struct teddy_client *c, struct span word);

/* 32 bits of the port's generator; all ones when it fails. */
uint32_t sdk_random32(struct teddy_client *c);

/* url.c: TEDDY_EINVAL for anything but scheme://host[:port][/]. */
TEDDY_MUST_CHECK int sdk_url_parse(const char *text, bool allow_plain, struct teddy_url *out);
bool sdk_path_ok(const char *path);
/* host[:port] as the Host field wants it; the port always, when `full`. */
void sdk_url_authority(struct writer *w, const struct teddy_url *url, bool full);

/* tokens.c */
void sdk_tokens_clear(struct teddy_client *c);
bool sdk_tokens_have(const struct teddy_client *c);
const char *sdk_tokens_access(const struct teddy_client *c);
const char *sdk_tokens_refresh(const struct teddy_client *c);
/* Loads the record; a damaged one or another's is none. TEDDY_OK (with tokens or without),
 * TEDDY_AGAIN. */
int sdk_tokens_load(struct teddy_client *c);
/* Takes the pair out of an answer or `tokens` message: all of it or, on TEDDY_EPROTO, nothing. */
TEDDY_MUST_CHECK int sdk_tokens_take(struct teddy_client *c, struct span json);
/* True when access is known to have expired. */
bool sdk_tokens_expired(const struct teddy_client *c);
/* Saves what was taken and tells the application; TEDDY_OK also when that failed (the event has the
 * error). */
int sdk_tokens_save(struct teddy_client *c, uint64_t by);

/* backoff.c: the wait after the n-th failure (from 0); r: 32 random bits. */
uint32_t sdk_backoff_ms(const struct teddy_client_config *config, unsigned n, uint32_t r);
uint32_t sdk_refused_ms(const struct teddy_client_config *config, unsigned n, uint32_t r);

/* verdict.c: where a failed step leads. */
struct sdk_verdict sdk_verdict_of(enum sdk_goal goal, const struct teddy_failure *failure);

/* claim.c, refresh.c, upgrade.c: write the request into rx (out_len). TEDDY_AGAIN while the port
 * computes. */
int sdk_claim_prepare(struct teddy_client *c);
int sdk_refresh_prepare(struct teddy_client *c);
int sdk_upgrade_prepare(struct teddy_client *c);
/* The server's 101: its Upgrade, Connection and Sec-WebSocket-Accept. */
bool sdk_upgrade_ok(const struct teddy_client *c, const struct http_head *head);

/* http.c */
/* Puts a POST of the body that `write_body` makes into rx. TEDDY_ENOSPC. */
int sdk_http_post(struct teddy_client *c, const char *path,
                  void (*write_body)(struct teddy_client *c, struct writer *w));
int sdk_http_send(struct teddy_client *c);
/* Reads the answer. TEDDY_OK: 200 with tokens taken, or 101 checked; otherwise the failure is
 * filled in. */
int sdk_http_receive(struct teddy_client *c);
/* An IMF-fixdate (RFC 9110 section 5.6.7) as seconds since 1970; 0: not one. */
uint64_t sdk_http_date(struct span text);

/* outbox.c */
void sdk_outbox_init(struct teddy_outbox *o, uint8_t *buf, size_t cap, uint64_t first_id);
int sdk_outbox_push(struct teddy_outbox *o, const char *text, size_t len, uint64_t *id);
/* The oldest; false when there is none. */
bool sdk_outbox_head(const struct teddy_outbox *o, uint64_t *id, const uint8_t **text, size_t *len);
void sdk_outbox_pop(struct teddy_outbox *o);
void sdk_outbox_clear(struct teddy_outbox *o);
void sdk_decimal(uint64_t n, char out[21]);

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
/* When it wants to be run again. */
uint64_t sdk_session_wake(const struct teddy_client *c);
/* The head is done with: removed, as soon as no frame is being made of it. */
void sdk_session_said(struct teddy_client *c);
/* What the server said makes the session count as online; welcomed: it knows ids, refresh and the
 * rest. */
void sdk_session_online(struct teddy_client *c, bool welcomed);

/* message.c */
TEDDY_MUST_CHECK int sdk_message_read(char *json, size_t len, struct sdk_message *out);
/* Acts on one whole text message: rx[0..len), with room for a NUL behind. */
void sdk_message_take(struct teddy_client *c, char *text, size_t len);

#endif
