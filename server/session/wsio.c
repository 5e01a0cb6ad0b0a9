#include "session/wsio.h"

#include <stdlib.h>

#include "proto/text.h"

void wsio_init(struct wsio *ws, struct conn *conn)
{
    *ws = (struct wsio){.conn = conn};
}

void wsio_drop_message(struct wsio *ws)
{
    struct wsio_mid *mid = ws->mid;
    if (!mid || !mid->message)
        return;
    wipe(mid->message, mid->message_len); /* it may hold a token */
    free(mid->message);
    mid->message = NULL;
    mid->message_len = mid->message_cap = 0;
}

void wsio_fini(struct wsio *ws)
{
    wsio_drop_message(ws);
    free(ws->mid);
    ws->mid = NULL;
}

void wsio_frame(struct wsio *ws, uint8_t opcode, bool fin, const void *data, size_t len)
{
    uint8_t header[WS_HEADER_MAX];
    size_t n = ws_header(header, opcode, len, NULL);
    if (!fin)
        header[0] = (uint8_t)(header[0] & 0x7F);
    /* A failure drops the connection; its closed callback cleans up. */
    if (conn_send(ws->conn, header, n) != TEDDY_OK ||
        (len > 0 && conn_send(ws->conn, data, len) != TEDDY_OK))
        ws->state = WSIO_DONE;
}

void wsio_text(struct wsio *ws, const char *text, size_t len)
{
    uint8_t opcode = WS_TEXT;
    while (ws->state == WSIO_OPEN && ws->frame_max && len > ws->frame_max) {
        wsio_frame(ws, opcode, false, text, ws->frame_max);
        text += ws->frame_max;
        len -= ws->frame_max;
        opcode = WS_CONTINUATION;
    }
    if (ws->state == WSIO_OPEN)
        wsio_frame(ws, opcode, true, text, len);
}

/* end: conn_finish, or conn_part once the peer's close frame has come, behind which it sends
 * nothing. */
static void finish(struct wsio *ws, void (*end)(struct conn *c, uint32_t linger_ms))
{
    if (ws->state == WSIO_DONE)
        return;
    ws->state = WSIO_DONE;
    conn_resume(ws->conn); /* a paused one would not notice that the peer has closed */
    end(ws->conn, WSIO_LINGER_MS);
}

static void send_close(struct wsio *ws, uint16_t code, struct span reason)
{
    uint8_t payload[WS_CONTROL_MAX];
    size_t len = code == WS_CLOSE_NO_STATUS ? 0 : ws_close_payload(payload, code, reason);
    wsio_frame(ws, WS_CLOSE, true, payload, len);
}

void wsio_close(struct wsio *ws, uint16_t code, const char *reason)
{
    if (ws->state != WSIO_OPEN)
        return;
    send_close(ws, code, span_of(reason));
    if (ws->state == WSIO_DONE)
        return;
    ws->state = WSIO_CLOSING;
    conn_resume(ws->conn); /* the peer's close frame may stand behind what was not read yet */
    conn_set_deadline(ws->conn, loop_now_ms(conn_loop(ws->conn)) + WSIO_CLOSE_WAIT_MS);
}

void wsio_fail(struct wsio *ws, uint16_t code, const char *reason)
{
    if (ws->state == WSIO_OPEN)
        send_close(ws, code, span_of(reason));
    finish(ws, conn_finish);
}

bool wsio_deadline(struct wsio *ws)
{
    if (ws->state == WSIO_OPEN)
        return false;
    finish(ws, conn_finish);
    return true;
}

static void take_close(struct wsio *ws, const struct ws_event *ev)
{
    struct span reason;
    ws_close_read(ev->data, ev->len, &ws->peer_code, &reason);
    if (ws->state == WSIO_OPEN)
        send_close(ws, ws->peer_code, (struct span){"", 0});
    finish(ws, conn_part);
}

static void take_control(struct wsio *ws, const struct wsio_ops *ops, const struct ws_event *ev)
{
    if (ev->opcode == WS_CLOSE) {
        take_close(ws, ev);
        return;
    }
    if (ws->state != WSIO_OPEN)
        return; /* we have said goodbye: only the peer's own is of interest */
    bool may = !ops->control || ops->control(ws, ev->opcode);
    if (may && ws->state == WSIO_OPEN && ev->opcode == WS_PING)
        wsio_frame(ws, WS_PONG, true, ev->data, ev->len);
}

/* The decoder moves to where it lasts; the one between messages knows nothing of this one. */
static bool begin_mid(struct wsio *ws, struct ws_decoder *between)
{
    ws->mid = calloc(1, sizeof *ws->mid);
    if (ws->mid) {
        ws->mid->decoder = *between;
        ws_decoder_init(between, true, between->max_message);
    } else {
        wsio_fail(ws, WS_CLOSE_INTERNAL, "internal");
    }
    return ws->mid != NULL;
}

static void take(struct wsio *ws, const struct wsio_ops *ops, struct ws_decoder *between,
                 const struct ws_event *ev)
{
    if (ev->opcode != WS_TEXT && ev->opcode != WS_BINARY) {
        take_control(ws, ops, ev);
        return;
    }
    bool whole = ev->first && ev->last;
    if (!whole && !ws->mid && !begin_mid(ws, between))
        return;
    if (ws->state == WSIO_OPEN)
        ops->piece(ws, ev);
    if (ev->last)
        wsio_fini(ws);
}

size_t wsio_data(struct wsio *ws, const struct wsio_ops *ops, uint32_t message_max, uint8_t *data,
                 size_t len)
{
    struct ws_decoder between;
    size_t at = 0;
    ws_decoder_init(&between, true, message_max);
    while (at < len && ws->state != WSIO_DONE) {
        struct ws_event ev;
        struct ws_decoder *decoder = ws->mid ? &ws->mid->decoder : &between;
        size_t used = 0, n = len - at < WSIO_PIECE_MAX ? len - at : WSIO_PIECE_MAX;
        int rc = ws_decode(decoder, data + at, n, &used, &ev);
        at += used;
        if (rc == TEDDY_OK) {
            take(ws, ops, &between, &ev);
        } else if (rc != TEDDY_AGAIN) {
            wsio_fail(ws, (uint16_t)ws_close_code_of(rc), ws_close_word_of(rc));
        } else if (used == 0) {
            break;
        }
        if (ws->state == WSIO_OPEN && conn_unsent(ws->conn) > WSIO_SOFT_MAX) {
            /* A peer that does not take its answers is not heard until it does. */
            conn_pause(ws->conn);
            break;
        }
    }
    return ws->state == WSIO_DONE ? len : at;
}

void wsio_drained(struct wsio *ws)
{
    if (ws->state == WSIO_OPEN)
        conn_resume(ws->conn);
}
