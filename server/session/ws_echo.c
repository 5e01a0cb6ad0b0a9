#include "session/ws_echo.h"

#include <stdlib.h>

#include "session/wsio.h"

#define ECHO_PING_MS    30000
#define ECHO_SILENCE_MS 75000

struct ws_echo {
    struct wsio ws; /* first: a pointer to it is one to this */
    uint64_t heard_ms;
    uint32_t message_max;
};

static void piece(struct wsio *ws, const struct ws_event *ev)
{
    wsio_frame(ws, ev->first ? ev->opcode : (uint8_t)WS_CONTINUATION, ev->last, ev->data, ev->len);
}

static uint64_t now_of(const struct ws_echo *e)
{
    return loop_now_ms(conn_loop(e->ws.conn));
}

static size_t data(struct conn *c, uint8_t *bytes, size_t len)
{
    static const struct wsio_ops OPS = {piece, NULL};
    struct ws_echo *e = conn_user(c);
    e->heard_ms = now_of(e);
    return wsio_data(&e->ws, &OPS, e->message_max, bytes, len);
}

static void deadline(struct conn *c)
{
    struct ws_echo *e = conn_user(c);
    if (wsio_deadline(&e->ws))
        return;
    if (now_of(e) >= e->heard_ms + ECHO_SILENCE_MS) {
        conn_abort(c);
        return;
    }
    if (now_of(e) >= e->heard_ms + ECHO_PING_MS)
        wsio_frame(&e->ws, WS_PING, true, "", 0);
    conn_set_deadline(c, now_of(e) + ECHO_PING_MS / 2);
}

static void drained(struct conn *c)
{
    struct ws_echo *e = conn_user(c);
    wsio_drained(&e->ws);
}

static void closed(struct conn *c, enum conn_end why)
{
    struct ws_echo *e = conn_user(c);
    (void)why;
    wsio_fini(&e->ws);
    free(e);
}

void ws_echo_start(struct conn *c, uint32_t message_max)
{
    static const struct conn_handler HANDLER = {data, deadline, drained, closed};
    struct ws_echo *e = calloc(1, sizeof *e);
    if (!e) {
        conn_abort(c);
        return;
    }
    wsio_init(&e->ws, c);
    e->message_max = message_max;
    conn_set_handler(c, &HANDLER, e);
    e->heard_ms = now_of(e);
    conn_set_deadline(c, now_of(e) + ECHO_PING_MS / 2);
    conn_resume(c);
}
