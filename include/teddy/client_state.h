/* What struct teddy_client is made of, here only so that the caller can give it storage: include
 * teddy/client.h, and touch no member. About 1 KB; no token is in it, nor anywhere in memory but
 * while it is used. */
#ifndef TEDDY_CLIENT_STATE_H
#define TEDDY_CLIENT_STATE_H

#include "proto/downlink.h"
#include "proto/limits.h"
#include "proto/ws.h"
#include "teddy/client.h"

/* SERVER_URL, taken apart; both point into it: host[:port] as it is written there, and host, an
 * IPv6 literal without its brackets. */
struct teddy_url {
    const char *authority, *host;
    uint32_t authority_len, host_len;
    uint32_t tls;
    uint16_t port;
};

/* What was said, oldest first, in the caller's memory: an entry is a head of TEDDY_OUTBOX_ENTRY
 * bytes, then the text. */
struct teddy_outbox {
    uint8_t *buf;
    size_t cap, used, count;
    uint64_t next_id;
    uint32_t soonest; /* when the first entry expires, if one does (expiring) */
    uint32_t expiring;
    uint32_t refused;  /* length of what found no room; 0: nothing */
    uint32_t dropping; /* entries are being removed: nothing else may remove any */
};

/* A message of the server's queue that the application has not taken yet; its strings are in rx. */
struct teddy_offer {
    struct teddy_message message;
    struct downlink_id id;
};

#define TEDDY_LAST_LEN 13 /* bytes of TEDDY_RECORD_LAST */

/* The HTTP answer being read, or the session's input. rx holds what is taken (body or message) from
 * 0 to done_len, and what has arrived but is not looked at from raw_at to raw_end. */
struct teddy_input {
    size_t done_len, raw_at, raw_end;
};

struct teddy_answer {
    uint32_t length; /* of the body */
    int status;      /* 0: the head is not whole yet */
};

/* The frame on its way out, and what of its message is still to come in others. */
struct teddy_frame {
    const uint8_t *body;
    size_t body_len;
    size_t len, at; /* of chunk */
    uint32_t kind;
    uint32_t quoted;     /* the body goes into a JSON string, which ends its object */
    uint32_t unfinished; /* some of that remains */
    uint8_t chunk[256];
    uint32_t pong_len; /* of the next pong */
    uint8_t pong[WS_CONTROL_MAX];
};

/* What a request proves the toy with: a claim's nonce and its HMAC; of an upgrade the key, and what
 * its answer must be made of. */
struct teddy_proof {
    char nonce[25];
    uint8_t digest[32];
};

/* Why the last step of the way failed. */
struct teddy_failure {
    int err, status;
    uint16_t close;
    uint32_t retry_ms;
    char code[33];
};

/* What is used most stands first, and flags are whole words: the shortest instructions of a small
 * machine reach words within 128 bytes. */
struct teddy_client {
    uint32_t now; /* the low 32 bits of the caller's clock (sdk_due) */
    uint32_t deadline;
    uint8_t *rx;
    size_t rx_len;
    const struct teddy_port *port;
    void *ctx;
    struct teddy_input in;
    size_t out_len;    /* of the request in rx */
    size_t record_len; /* of the token record in rx, from 0 */
    uint32_t stage, goal;
    uint32_t hold;   /* why nothing is read: what is in rx is still in use */
    uint32_t wanted; /* frames to be made, a bit each */
    uint32_t online; /* welcomed */
    uint32_t more;   /* the step stopped at its bound, not for want of input */
    uint32_t stop_asked;
    uint32_t refresh_sent; /* the refresh token was presented and no answer came: it may be spent */
    uint32_t refresh_planned;
    uint32_t refresh_at;           /* when to ask for a new pair, if at all (refresh_planned) */
    uint32_t refresh_from;         /* no sooner than this, whatever the server says */
    uint32_t says;                 /* times the head was said in this session */
    uint32_t say_at;               /* when the head is due */
    uint32_t head_sent;            /* the outbox's head was said in this session */
    uint32_t head_done;            /* and is echoed while still on its way out again */
    uint32_t unkept;               /* `kept` is not saved yet */
    const struct sdk_queue *queue; /* NULL: none is taken */
    uint32_t silence_ms;
    uint32_t heard_at, moved_at; /* last byte in; last byte out, or the frame's start */
    uint32_t probed;             /* we pinged since we last heard anything */
    uint32_t shown;              /* enum teddy_state, as the last event said */
    struct teddy_event event;    /* the next one, as far as it is said: cleared when it is told */
    struct teddy_outbox outbox;
    size_t out_at;
    uint32_t online_at;
    uint32_t lifetime_s; /* of access, as it was given */
    uint32_t expires_at; /* of access, if that is known (expiry_known) */
    uint32_t expiry_known;
    uint32_t in_step;
    uint32_t tokenless; /* what the port keeps is no good, or nothing: claim */
    uint32_t our_close;
    uint32_t attempts, refusals; /* failures in a row, of either class */

    struct teddy_frame frame;
    struct ws_decoder decoder;
    struct teddy_answer answer;
    struct teddy_failure failure;
    struct teddy_url url;
    struct teddy_times times;
    struct teddy_client_config config;
    uint64_t clock;          /* the caller's */
    uint32_t last_seq;       /* of the last echo */
    struct downlink_id last; /* of the server's queue, taken by the application; 0.0: none */
    struct teddy_offer offer;
    bool (*on_message)(void *user, const struct teddy_message *m);
    uint8_t kept[TEDDY_LAST_LEN]; /* the record that says so */
    char host[TEDDY_HOST_MAX + 1];
    struct teddy_proof proof;
};

#endif
