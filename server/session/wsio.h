/* WebSocket frames on a connection, at the server's end: whole messages or pieces in, frames out,
 * and the close handshake (RFC 6455 section 7). Embedded in what uses it, which owns the
 * connection's deadline and its `closed`. */
#ifndef SESSION_WSIO_H
#define SESSION_WSIO_H

#include "net/conn.h"
#include "proto/ws.h"

#define WSIO_CLOSE_WAIT_MS 2000  /* for the peer's answer to our close frame */
#define WSIO_LINGER_MS     2000  /* for the last bytes to arrive */
#define WSIO_SOFT_MAX      65536 /* unsent output over which nothing more is read */
#define WSIO_PIECE_MAX     16384 /* bytes decoded at a time */

struct wsio;

struct wsio_ops {
    /* A piece of a text or binary message. Unless it is a whole one, ws->mid is there. */
    void (*piece)(struct wsio *ws, const struct ws_event *ev);
    /* Ping and pong frames count against the user's limits: false and a ping is not answered. NULL:
     * all may. */
    bool (*control)(struct wsio *ws, uint8_t opcode);
};

enum wsio_state {
    WSIO_OPEN,
    WSIO_CLOSING, /* our close frame is sent, the peer's is awaited */
    WSIO_DONE,    /* nothing more is sent or read */
};

/* What is known in the middle of a message, and only then. */
struct wsio_mid {
    struct ws_decoder decoder;
    char *message; /* wsio_ops.piece may gather the pieces here; freed after the last */
    uint32_t message_len, message_cap;
};

struct wsio {
    struct conn *conn;
    struct wsio_mid *mid; /* NULL: between messages */
    uint32_t frame_max;   /* largest payload of one frame sent; 0: any */
    uint16_t peer_code;   /* of the close frame that the peer sent, 0 when it sent none */
    uint8_t state;        /* enum wsio_state */
};

void wsio_init(struct wsio *ws, struct conn *conn);
/* Lets go of what was gathered of a message that is not whole yet, wiped; what comes of it still is
 * decoded. */
void wsio_drop_message(struct wsio *ws);
void wsio_fini(struct wsio *ws); /* the connection has closed */
/* For the handler's data: decodes messages of up to message_max bytes, answers control frames,
 * hands pieces on. Returns the bytes used. */
size_t wsio_data(struct wsio *ws, const struct wsio_ops *ops, uint32_t message_max, uint8_t *data,
                 size_t len);
/* For the handler's drained. */
void wsio_drained(struct wsio *ws);
/* A text message, in frames of at most frame_max. Nothing when not open. */
void wsio_text(struct wsio *ws, const char *text, size_t len);
/* One frame; fin false leaves its message open. */
void wsio_frame(struct wsio *ws, uint8_t opcode, bool fin, const void *data, size_t len);
/* Sends a close frame once and waits for the peer's; the connection's deadline is set for that. */
void wsio_close(struct wsio *ws, uint16_t code, const char *reason);
/* The same without waiting: for a peer whose frames cannot be read any more. */
void wsio_fail(struct wsio *ws, uint16_t code, const char *reason);
/* For the handler's deadline: true when it was the wait for the peer's close that has ended. */
bool wsio_deadline(struct wsio *ws);

#endif
