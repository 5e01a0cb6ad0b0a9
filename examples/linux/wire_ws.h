/* For verify alone: the session's side of wire.h. */
#ifndef DEVICE_WIRE_WS_H
#define DEVICE_WIRE_WS_H

#include "wire.h"

/* What came: a message, a control frame, the close, or that nothing came. */
struct incoming {
    int err;        /* TEDDY_OK, TEDDY_ETIMEOUT, TEDDY_ECLOSED without a close frame, … */
    uint8_t opcode; /* WS_TEXT, WS_BINARY, WS_PING, WS_PONG, WS_CLOSE */
    uint16_t code;  /* WS_CLOSE: its code */
    char word[40];  /* WS_CLOSE: its reason's first word */
    char type[24];  /* WS_TEXT: the message's `type`, empty when it has none */
    struct json_object json;
    struct span text; /* valid until the next call */
    char text_bytes[LIMIT_WS_MESSAGE + 1];
};

/* Opens a session's WebSocket: the token in the query and/or as bearer, NULL for none. What the
 * server answered is in *out: 101 when it was taken and its Sec-WebSocket-Accept is right (else
 * out->err is TEDDY_EPROTO). */
void ws_open(struct wire *w, const char *target, const char *query_token, const char *bearer,
             struct answer *out);

/* Sends one frame, masked; `first` is its first byte (FIN, reserved bits, opcode). */
int ws_send_raw(struct wire *w, uint8_t first, const void *data, size_t len);
int ws_send_text(struct wire *w, const char *text);
/* A masked frame header that announces len bytes, and nothing more. */
int ws_announce(struct wire *w, uint8_t first, uint64_t len);

/* The next message or control frame; pings are answered and passed over. */
void ws_next(struct wire *w, struct incoming *in, uint32_t patience_ms);
/* Passes over everything until a message of that type, or the close, or an end. */
void ws_await(struct wire *w, struct incoming *in, const char *type);
/* Passes over everything until the close, or an end. */
void ws_await_close(struct wire *w, struct incoming *in);

/* A member's string or number, for checks: empty, 0 when it is not there. */
void ws_member(const struct incoming *in, const char *name, char *out, size_t cap);
uint64_t ws_number(const struct incoming *in, const char *name);
bool ws_done(const struct incoming *in);

#endif
