/* A world for the core's tests: a port whose time, randomness, store and transport the test owns,
 * and behind the transport a small server made of the real proto, which does as the test's plan
 * says. */
#ifndef SDK_WORLD_H
#define SDK_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/ws.h"
#include "teddy/client.h"

#define WORLD_EVENTS 512
#define WORLD_QUEUE  16

/* What the client can call: a test may look on, or cut the power there. */
enum world_call {
    ON_HMAC,
    ON_SHA1,
    ON_LOAD,
    ON_SAVE,
    ON_RESOLVE,
    ON_CONNECT,
    ON_SEND,
    ON_RECV,
    ON_MESSAGE
};

struct seen {
    enum teddy_event_type type;
    enum teddy_state state;
    int err, status, close;
    char code[40], purpose[12], id[72], text[256];
    size_t text_len;
    uint64_t seq, at;
    bool done;
    uint32_t wait_ms, expires_in;
    int64_t skew_s;
};

/* What the server does. Zero is a good server. */
struct plan {
    int claim_status, refresh_status, upgrade_status; /* 0: success */
    const char *problem;                              /* code of a problem body */
    const char *fields;                               /* more field lines, with their CRLF */
    const char *raw_answer;                           /* sent as it is to any request */
    const char *raw_session;                          /* bytes sent after the 101 */
    size_t raw_session_len;
    bool until_close, interim;
    unsigned bad_upgrade; /* of the 101: 1 accept, 2 Connection, 3 Upgrade, 4 an extension, 5 a
                             protocol */
    uint32_t expires_in;  /* 0: 3600 */
    bool mute;            /* no welcome at all, and no echo */
    bool no_echo;         /* takes utterances and says nothing */
    bool no_pong;
    bool strict;    /* an access token but the last: token_expired; a refresh token but that and the
                       one spent before: 401 */
    bool no_tokens; /* loses the answer to a refresh in session */
    const char *said_error; /* code of the error that answers an utterance */
    uint16_t close_code;    /* closes the session after hello, … */
    const char *close_reason;
    bool close_on_say; /* … or after an utterance instead */
    uint32_t lasts_ms; /* … or when it was up for this long */
    bool drop;         /* cuts the transport where it would close */
    size_t cut_at;     /* 0: never; else the transport ends after this many bytes of the server */
    bool stall;        /* … without saying so */
    uint64_t time, heartbeat_s;
};

struct world {
    struct teddy_client client;
    struct teddy_client_config config;
    uint8_t rx[4096], outbox[8192];
    size_t rx_len;
    uint64_t now, steps;
    uint32_t wait_ms;
    struct plan plan;

    /* the port */
    uint64_t rng;
    bool rng_broken;
    size_t piece;   /* most bytes of one send or recv; 0: any */
    unsigned again; /* each call says AGAIN this many times first */
    unsigned agains[8];
    int resolve_rc, connect_rc, send_rc, hmac_rc, sha1_rc, save_rc, load_rc;
    uint8_t records[TEDDY_RECORDS][TEDDY_RECORD_MAX];
    size_t record_len[TEDDY_RECORDS];
    int last_rc;                                            /* of saving TEDDY_RECORD_LAST */
    int load_rcs[TEDDY_RECORDS];                            /* of loading that record alone */
    void (*on_call)(struct world *w, enum world_call call); /* before each call does anything */
    /* Instead of keeping the record. */
    int (*on_save)(struct world *w, enum teddy_record record, const uint8_t *data, size_t len);
    uint64_t wall, told;
    unsigned connects, saves, hmacs, disconnects, lasts;
    char log[256];

    /* the server */
    bool open, gone;
    uint8_t in[16384]; /* from the toy */
    size_t in_len;
    uint8_t out[65536]; /* to the toy */
    size_t out_len, out_at;
    size_t total_out; /* bytes ever made on this connection */
    size_t claim_len; /* bytes of the last good answer to a claim */
    bool upgraded;
    uint64_t upgraded_at;
    struct ws_decoder decoder;
    char message[8192];
    size_t message_len;
    uint64_t seq;
    unsigned claims, refreshes, upgrades, hellos, pings, pongs, says, inband;
    char nonces[64][40];
    char access[64], refresh[64]; /* as given last */
    char spent[64];               /* the refresh token presented last */
    unsigned pair;
    char said_ids[512][24];
    char said_text[512];
    uint64_t said_sums[512];
    uint16_t toy_close;
    char last[32], acked[32]; /* of hello, of the last ack */
    unsigned acks, telemetry;
    bool stale;   /* the session's token is not the last */
    bool greeted; /* hello and welcome are exchanged */
    char queue_id[WORLD_QUEUE][32], queue[WORLD_QUEUE][160];
    unsigned queued;
    char report[256];
    uint8_t last_mask[4];
    unsigned same_masks, frames;

    struct seen seen[WORLD_EVENTS];
    size_t seen_count;
    void (*on_event)(struct world *w, const struct teddy_event *event);

    /* the application's messages */
    bool refuses; /* it takes none */
    void (*on_message)(struct world *w, const struct teddy_message *m);
    unsigned offers, taken;
    char taken_id[64][32], taken_text[64][64];
    bool taken_data[64];
    uint64_t taken_expires;
};

/* A fresh toy that has nothing, at a good server. */
void world_init(struct world *w);
/* The toy loses its power: all but the records. */
void world_reboot(struct world *w);
void world_boot(struct world *w, const struct teddy_port *port); /* … over another port */
void world_step(struct world *w);
/* Runs until the state is reached, or fails the test after that much time. */
void world_until(struct world *w, enum teddy_state state, uint64_t within_ms);
void world_run(struct world *w, uint64_t ms);
/* The last event of that type, or NULL. */
const struct seen *world_last(const struct world *w, enum teddy_event_type type);
unsigned world_count(const struct world *w, enum teddy_event_type type);
/* The last STATE event that is WAITING; fails the test when there is none. */
const struct seen *world_waiting(const struct world *w);
void world_say(struct world *w, const char *text);

/* The server's side of the present session. */
void server_text(struct world *w, const char *text);
void server_frame(struct world *w, uint8_t opcode, bool fin, const void *data, size_t len);
void server_bytes(struct world *w, const void *data, size_t len);
void server_close(struct world *w, uint16_t code, const char *reason);
void server_drop(struct world *w);
/* Puts a message into the server's queue: it is sent now, and in each session to come, until hello
 * or an ack says that it was taken. members: JSON, such as "\"text\":\"x\"". */
void server_queue(struct world *w, const char *id, const char *members);

extern const struct teddy_port world_port;

#endif
