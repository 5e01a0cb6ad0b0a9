/* The toy: claims itself, keeps its tokens, holds its session, and finds its way back by itself.
 *
 *   teddy_client_init(&client, &config, &port, port_ctx, rx, sizeof rx, outbox, sizeof outbox);
 *   for (;;) { uint32_t wait_ms; teddy_client_step(&client, now_ms(), &wait_ms); wait(wait_ms or
 * the socket); }
 *
 * A state machine that never blocks and never allocates; time is told to it and randomness comes
 * from its port. All calls for one client come from one thread, or under one lock; none may be made
 * from within a callback except teddy_client_say, teddy_client_report, teddy_client_stop and the
 * getters. A say can itself call on_event (TEDDY_EVENT_DROPPED). */
#ifndef TEDDY_CLIENT_H
#define TEDDY_CLIENT_H

#include "teddy/config.h"
#include "teddy/err.h"
#include "teddy/port.h"

enum teddy_state {
    TEDDY_STATE_IDLE,       /* before the first step, and after stop */
    TEDDY_STATE_CLAIMING,   /* no usable tokens: pairing */
    TEDDY_STATE_REFRESHING, /* trading the refresh token for a new pair */
    TEDDY_STATE_CONNECTING, /* opening the session */
    TEDDY_STATE_ONLINE,     /* welcome received */
    TEDDY_STATE_WAITING,    /* backing off; the event says why and for how long */
};

enum teddy_event_type {
    TEDDY_EVENT_STATE, /* state, and for WAITING: err, status or close, code, purpose, wait_ms */
    TEDDY_EVENT_CONNECTED, /* the transport is up and its certificate verified; purpose: "claim",
                              "refresh", "session" */
    TEDDY_EVENT_CLAIMED, /* expires_in; err: the pair could not be saved, and lasts for one session
                          */
    TEDDY_EVENT_REFRESHED, /* the same */
    TEDDY_EVENT_ECHO,      /* id, seq, text */
    TEDDY_EVENT_REPLY,     /* id, seq, text (one part), done */
    TEDDY_EVENT_ERROR,   /* the server's `error` message: id (of the utterance it is about, if any),
                            seq (0: none), code, text (its detail); or the close (1007, 1009) with
                            which it refused the utterance id, code. Unless the code is `busy` or
                            `rate_limited` that utterance is not said again. */
    TEDDY_EVENT_CLOCK,   /* skew_s: the port's clock minus the server's, when over 5 minutes */
    TEDDY_EVENT_DROPPED, /* id, code: an utterance will not be said (again): `outbox_full`, it made
                            room for a newer one; `expired` */
    TEDDY_EVENT_ROOM,    /* after a TEDDY_EFULL: the outbox has room again */
};

/* Strings are NUL-terminated, never NULL (empty when they do not apply) and valid during the
 * callback only. */
struct teddy_event {
    enum teddy_event_type type;
    enum teddy_state state;
    int err;          /* teddy_err: what went wrong, TEDDY_OK when the server answered */
    int status;       /* HTTP status of the answer, or 0 */
    int close;        /* WebSocket close code, or 0 */
    const char *code; /* problem `code`, close reason's first word, or error's code */
    const char *purpose;
    const char *id;
    const char *text;
    size_t text_len;
    uint32_t seq;
    bool done;
    uint32_t wait_ms;
    uint32_t expires_in; /* seconds */
    int64_t skew_s;
};

/* A message of the server's queue (`teddyctl send`). */
struct teddy_message {
    const char *id;   /* "epoch.n", increasing */
    const char *text; /* UTF-8, NUL-terminated; of a `data` message its JSON text */
    size_t text_len;
    bool is_data;
    uint32_t expires_s; /* seconds since 1970; 0: never. Not judged by the SDK. */
};

/* What becomes of an utterance when the outbox has no room for it, and when it waits for long. */
enum teddy_when_full {
    TEDDY_DROP_NEWEST, /* it is refused with TEDDY_EFULL: the default */
    TEDDY_DROP_OLDEST, /* the oldest that are not on their way are dropped (TEDDY_EVENT_DROPPED);
                          TEDDY_EFULL if that is not enough */
};
struct teddy_say {
    enum teddy_when_full when_full;
    uint32_t expires_ms; /* dropped when not echoed by then, or in 12 days; 0: never */
};

/* The outbox, as it is now. */
struct teddy_outbox_state {
    size_t count;       /* utterances not yet echoed, the one on its way included */
    size_t room;        /* bytes of the longest utterance that would be taken now */
    uint64_t oldest_id; /* of the first of them, 0: none */
};

/* Waits, in milliseconds, as config.h describes them. 0: the default; over TEDDY_RETRY_MAX_MS:
 * that. The floor never exceeds the cap: where it is higher, each wait is the cap. */
struct teddy_times {
    uint32_t backoff_floor_ms, backoff_base_ms, backoff_cap_ms, backoff_refused_ms;
    uint32_t step_timeout_ms, echo_timeout_ms;
};
#define TEDDY_TIMES                                                                                \
    {                                                                                              \
        .backoff_floor_ms = TEDDY_BACKOFF_FLOOR_MS, .backoff_base_ms = TEDDY_BACKOFF_BASE_MS,      \
        .backoff_cap_ms = TEDDY_BACKOFF_CAP_MS, .backoff_refused_ms = TEDDY_BACKOFF_REFUSED_MS,    \
        .step_timeout_ms = TEDDY_STEP_TIMEOUT_MS, .echo_timeout_ms = TEDDY_ECHO_TIMEOUT_MS,        \
    }

#define TEDDY_FIRMWARE_OTHERS " .-_+~:/()"

struct teddy_client_config {
    const char *server_url; /* SERVER_URL: https://host[:port]; http:// only when allow_plain. No
                               default. */
    const char *claim_endpoint; /* CLAIM_ENDPOINT: NULL for /api/v1/pair/claim */
    const char
        *ws_endpoint; /* WS_ENDPOINT: NULL for /ws/esp32; "/" and the device id are appended */
    const char *device_id;
    const char *child_id;
    const char *firmware;            /* ≤ 32 of A-Z a-z 0-9 and TEDDY_FIRMWARE_OTHERS, or NULL */
    bool allow_plain;                /* http:// and ws://, for development on one machine */
    const struct teddy_times *times; /* copied; NULL: TEDDY_TIMES */
    void (*on_event)(void *user, const struct teddy_event *event); /* may be NULL */
    void *user;
};

struct teddy_client;
#include "teddy/client_state.h" /* struct teddy_client: sized for the caller, its members private */

/* Prepares a client in the caller's storage. The strings of config, port, rx and outbox must
 * outlive it. rx (≥ TEDDY_BUFFER_MIN) bounds the largest message taken; outbox holds what was said
 * and is not echoed yet (its text and TEDDY_OUTBOX_ENTRY bytes each). TEDDY_EINVAL: an id, URL or
 * bound is not valid (the log line says which). TEDDY_EIO: the port has no randomness. Threads: the
 * client's. Blocks: no. Allocates: no. */
TEDDY_MUST_CHECK int teddy_client_init(struct teddy_client *c,
                                       const struct teddy_client_config *config,
                                       const struct teddy_port *port, void *port_ctx, uint8_t *rx,
                                       size_t rx_len, uint8_t *outbox, size_t outbox_len);

/* Who takes the messages of the server's queue, told before the first step or while stopped; NULL:
 * nobody. Without it they stay in that queue until they expire, and the code for them is not
 * linked.
 *
 * on_message returns true, and the SDK keeps the message's id across restarts, then acks it: it
 * does not come again, but for a power cut in between. false: not now; it is offered again every
 * TEDDY_OFFER_MS, and nothing else is read from the server meanwhile, so take it well within the
 * server's patience (75 s). user: the configuration's; m is valid during the call. */
void teddy_client_on_message(struct teddy_client *c,
                             bool (*on_message)(void *user, const struct teddy_message *m));

/* Does what can be done now, without blocking. now_ms: a monotonic clock. *wait_ms: call again
 * after that long at the latest, or as soon as the transport can be read or written, as
 * teddy_client_wants says. */
void teddy_client_step(struct teddy_client *c, uint64_t now_ms, uint32_t *wait_ms);

/* Queues an utterance (valid UTF-8, 1 to 4096 bytes): it is said, and said again, until the server
 * echoes it. Copied. how: NULL for the default. *id (may be NULL) gets its number, as the events'
 * `id` shows it in decimal. TEDDY_EFULL: the outbox has no room now (TEDDY_EVENT_ROOM tells when it
 * has); TEDDY_EINVAL: empty; TEDDY_EUTF8; TEDDY_ETOOBIG: longer than the outbox or 4096. */
TEDDY_MUST_CHECK int teddy_client_say(struct teddy_client *c, const char *text, size_t len,
                                      const struct teddy_say *how, uint64_t *id);

/* Queues a report, sent once as `telemetry` and never repeated: json is one object of 1 to 24
 * members, none of them `type`, such as {"heap":81234,"rssi":-61}, without white space before it,
 * and at most TEDDY_REPORT_MAX bytes. Copied; one that still waits is dropped, even when this one
 * then finds no room. TEDDY_EPROTO: not such an object; TEDDY_EFULL, TEDDY_ETOOBIG. */
TEDDY_MUST_CHECK int teddy_client_report(struct teddy_client *c, const char *json, size_t len);

/* Utterances queued and not yet echoed. */
size_t teddy_client_pending(const struct teddy_client *c);
void teddy_client_outbox(const struct teddy_client *c, struct teddy_outbox_state *out);
/* What to wait for, besides the time: TEDDY_WANTS_READ, TEDDY_WANTS_WRITE, both, or neither:
 * nothing is read while the application has a message to take, or the port a record, nor while a
 * request or the last close frame is on its way out. */
unsigned teddy_client_wants(const struct teddy_client *c);
enum teddy_state teddy_client_state(const struct teddy_client *c);

/* Closes the session (1000) and stops, forgetting all tokens in memory; a further step starts over
 * from the stored ones, and says what is still in the outbox. forget also empties the outbox and
 * erases the stored tokens: the result is the port's, TEDDY_AGAIN to call it again. */
void teddy_client_stop(struct teddy_client *c);
int teddy_client_forget(struct teddy_client *c);

#endif
