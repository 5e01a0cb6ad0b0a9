/* What struct teddy_client is made of, here only so that the caller can give it storage: include
 * teddy/client.h, and touch no member. About 3 KB, of which the token record takes 1.7. */
#ifndef TEDDY_CLIENT_STATE_H
#define TEDDY_CLIENT_STATE_H

#include "proto/http1.h"
#include "proto/limits.h"
#include "proto/ws.h"
#include "teddy/client.h"

/* SERVER_URL, taken apart. */
struct teddy_url {
    char host[TEDDY_HOST_MAX + 1]; /* an IPv6 literal without its brackets */
    uint16_t port;
    bool tls;
};

/* The record the port keeps, built in place: a version byte, then device_id, child_id, host:port,
 * access and refresh, each with a NUL. The first four parts say whose tokens they are. */
struct teddy_tokens {
    uint8_t record[TEDDY_RECORD_MAX];
    size_t len;          /* 0: no tokens */
    uint16_t access_at;  /* where access begins: the length of what comes before the tokens */
    uint16_t refresh_at; /* where refresh begins */
};

/* Utterances, oldest first, in the caller's memory: an entry is id, length, text. */
struct teddy_outbox {
    uint8_t *buf;
    size_t cap, used, count;
    uint64_t next_id;
};

/* The HTTP answer being read, or the session's input. rx holds what is taken (body or message) from
 * 0 to done_len, and what has arrived but is not looked at from raw_at to raw_end. */
struct teddy_input {
    size_t done_len, raw_at, raw_end;
};

struct teddy_answer {
    struct http_chunked chunked;
    uint64_t length; /* of the body, when kind says so */
    uint64_t date;   /* 0: none */
    uint32_t retry_after_s;
    int status; /* 0: the head is not whole yet */
    enum http_body kind;
    uint8_t interim; /* 1xx answers seen */
};

/* The frame on its way out: the chunk is masked already, the rest is made as room comes. */
struct teddy_frame {
    uint8_t chunk[256];
    size_t len, at;
    const uint8_t *body;
    size_t body_len, body_at;
    const char *tail;
    uint8_t mask[4];
    uint8_t mask_at;
    uint8_t kind;
    bool escape;     /* the body goes into a JSON string */
    bool unfinished; /* body or tail remain */
};

/* Why the last step of the way failed. */
struct teddy_failure {
    int err, status;
    uint16_t close;
    uint32_t retry_ms;
    char code[33];
};

struct teddy_client {
    struct teddy_client_config config;
    const struct teddy_port *port;
    void *ctx;
    uint8_t *rx;
    size_t rx_len;
    struct teddy_url url;
    struct teddy_tokens tokens;
    struct teddy_outbox outbox;

    uint64_t now, deadline;
    uint8_t stage, goal;
    uint8_t shown;               /* enum teddy_state, as the last event said */
    unsigned attempts, refusals; /* failures in a row, of either class */
    bool in_step, stop_asked;
    bool more;         /* the step stopped at its bound, not for want of input */
    bool claimed;      /* the pair being saved comes from a claim */
    bool refresh_sent; /* the refresh token was presented and no answer came: it may be spent */
    bool saving;       /* in session: the new pair is not saved yet */

    uint32_t lifetime_s;   /* of access, as it was given */
    uint64_t expires_at;   /* of access, on the caller's clock; 0: not known */
    uint64_t refresh_at;   /* when to ask for a new pair in session; 0: not planned */
    uint64_t refresh_from; /* no sooner than this, whatever the server says */
    uint64_t save_by;

    char nonce[33];
    char accept[WS_ACCEPT_LEN + 1];
    uint8_t digest[32];
    size_t out_len, out_at; /* the request in rx */
    size_t loaded;
    struct teddy_input in;
    struct teddy_answer answer;
    struct teddy_failure failure;

    struct ws_decoder decoder;
    struct teddy_frame frame;
    uint8_t pong[WS_CONTROL_MAX];
    uint8_t pong_len;
    uint8_t wanted; /* frames to be made, a bit each */
    bool modern;    /* the server answered hello before: it is never taken for an older one */
    bool welcomed;  /* the server knows ids, refresh and the rest */
    bool head_sent; /* the outbox's head was said in this session */
    bool head_done; /* and is echoed while still on its way out again */
    bool probed;    /* we pinged since we last heard anything */
    unsigned says;  /* times the head was said in this session */
    uint16_t our_close;
    uint32_t silence_ms;
    uint64_t opened_at, online_at; /* online_at 0: not yet */
    uint64_t heard_at, moved_at;   /* last byte in; last byte out, or the frame's start */
    uint64_t say_at;               /* when the head is due */
    uint64_t last_seq;             /* of the last echo */
};

#endif
