/* WebSocket frames and handshake values (RFC 6455), for both ends. Decoding is in place and in
 * pieces: a data frame is handed on as it arrives, so the codec holds no buffer. Threads: one per
 * decoder. Blocks: no. Allocates: no. */
#ifndef PROTO_WS_H
#define PROTO_WS_H

#include "proto/limits.h"
#include "proto/span.h"
#include "proto/utf8.h"
#include "teddy/err.h"

#define WS_GUID        "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define WS_ACCEPT_LEN  28
#define WS_HEADER_MAX  14 /* the longest frame header */
#define WS_CONTROL_MAX 125

enum ws_opcode {
    WS_CONTINUATION = 0x0,
    WS_TEXT = 0x1,
    WS_BINARY = 0x2,
    WS_CLOSE = 0x8,
    WS_PING = 0x9,
    WS_PONG = 0xA,
};

enum ws_close_code {
    WS_CLOSE_NORMAL = 1000,
    WS_CLOSE_GOING_AWAY = 1001,
    WS_CLOSE_PROTOCOL = 1002,
    WS_CLOSE_UNSUPPORTED = 1003,
    WS_CLOSE_NO_STATUS = 1005, /* never on the wire */
    WS_CLOSE_ABNORMAL = 1006,  /* never on the wire */
    WS_CLOSE_INVALID_UTF8 = 1007,
    WS_CLOSE_POLICY = 1008,
    WS_CLOSE_TOO_BIG = 1009,
    WS_CLOSE_INTERNAL = 1011,
    WS_CLOSE_RESTART = 1012,
    WS_CLOSE_OVERLOAD = 1013,
    WS_CLOSE_REPLACED = 4001,
};

struct ws_decoder {
    uint32_t max_message; /* bytes of a whole message, fragments together */
    uint32_t message_len; /* of the present message so far, its open frame counted whole */
    uint32_t frame_left;  /* of the present data frame; 0 between frames */
    uint8_t mask[4];
    uint8_t mask_at; /* offset into mask, 0..3 */
    uint8_t opcode;  /* of the present message; 0 between messages */
    /* Frames must be masked (we are the server), and are unmasked by this; NULL: they must not be
     * (the toy, which links no such thing). */
    void (*unmask)(struct ws_decoder *d, uint8_t *data, size_t len, bool first);
    bool fin;
    struct utf8 utf8;
};

/* One step of decoding. */
struct ws_event {
    uint8_t opcode; /* WS_TEXT or WS_BINARY (also for continuations) or a control opcode */
    bool first;     /* the first piece of its message */
    bool last;      /* the last piece of its message; always true for control frames */
    uint8_t *data;  /* unmasked, inside the caller's buffer */
    size_t len;
};

/* Unmasks what comes next of a frame's payload. The frame's key is the 4 bytes before its first
 * piece, and is kept for the others. */
void ws_unmask_next(struct ws_decoder *d, uint8_t *data, size_t len, bool first);
static inline void ws_decoder_init(struct ws_decoder *d, bool masked, uint32_t max_message)
{
    *d = (struct ws_decoder){.unmask = masked ? ws_unmask_next : NULL, .max_message = max_message};
}

/* Decodes from buf. TEDDY_OK: one event, *used bytes taken (call again with the rest). TEDDY_AGAIN:
 * *used bytes taken (perhaps 0) and more are needed; a partial header, a header whose payload has
 * not begun, or a partial control frame is left in the buffer. After an error the decoder is of no
 * further use. TEDDY_EPROTO (close 1002: reserved bits, opcodes, masking, fragmented or long
 * control frames, non-minimal lengths, interleaved messages, bad close codes), TEDDY_EUTF8 (1007:
 * text or close reason), TEDDY_ETOOBIG (1009). */
TEDDY_MUST_CHECK int ws_decode(struct ws_decoder *d, uint8_t *buf, size_t len, size_t *used,
                               struct ws_event *ev);

/* The close code for a decoding error (and for TEDDY_EUNSUPPORTED: 1003). */
enum ws_close_code ws_close_code_of(int err);
/* The word each close code's reason begins with for such an error: "protocol", "invalid_utf8", … */
const char *ws_close_word_of(int err);

/* Writes a final frame's header; returns its length. mask is NULL at the server. */
size_t ws_header(uint8_t out[WS_HEADER_MAX], uint8_t opcode, size_t payload_len,
                 const uint8_t *mask);
/* XORs len bytes with the mask, starting at the mask's first byte. */
void ws_mask(uint8_t *data, size_t len, const uint8_t mask[4]);

/* A close frame's payload: the code and a reason cut to 123 bytes. Returns its length (at most
 * 125). */
size_t ws_close_payload(uint8_t out[WS_CONTROL_MAX], uint16_t code, struct span reason);
/* Reads one (already checked by ws_decode): code WS_CLOSE_NO_STATUS when empty. */
void ws_close_read(const uint8_t *data, size_t len, uint16_t *code, struct span *reason);
/* Reads "code retry_ms=N": the first word, and N or 0. */
void ws_reason_read(struct span reason, struct span *word, uint32_t *retry_ms);

/* True for a Sec-WebSocket-Key of 24 base64 characters that decode to 16 bytes. */
bool ws_key_ok(struct span key);
/* Sec-WebSocket-Accept from SHA-1(key ‖ WS_GUID), with a NUL. */
void ws_accept(const uint8_t sha1[20], char out[WS_ACCEPT_LEN + 1]);

#endif
