/* Upgrades that are refused, and sessions that are closed for what is sent in them. */
#include <stdio.h>
#include <string.h>

#include "verify_parts.h"

#define UPGRADE    "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define KEY        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define VERSION_13 "Sec-WebSocket-Version: 13\r\n"

void verify_upgrades(struct verify *v)
{
    struct span version = {"", 0};

    ask(v, "GET", v->ws_path, "Connection: close\r\n", NULL, 0);
    check(v, v->answer.status == 426 || v->answer.status == 400,
          "the session's path without an upgrade is 426 or 400", "%s", seen_answer(v));
    ask(v, "GET", v->ws_path, UPGRADE KEY "Sec-WebSocket-Version: 8\r\n", NULL, 0);
    (void)http1_field(&v->answer.head, "Sec-WebSocket-Version", &version);
    check(v, v->answer.status == 426 && span_is(version, "13"),
          "another WebSocket version is 426 with Sec-WebSocket-Version: 13", "%s", seen_answer(v));
    ask(v, "GET", v->ws_path, UPGRADE VERSION_13 "Sec-WebSocket-Key: short\r\n", NULL, 0);
    check(v, v->answer.status == 400, "a malformed Sec-WebSocket-Key is 400", "%s", seen_answer(v));
    ask(v, "POST", v->ws_path, UPGRADE VERSION_13 KEY, "", 0);
    check(v, v->answer.status == 405, "an upgrade by POST is 405", "%s", seen_answer(v));
}

enum provoke { BINARY, BAD_UTF8, RESERVED_BIT, UNMASKED, TOO_BIG };

static int provoke(struct verify *v, enum provoke how)
{
    struct wire *w = &v->main;

    switch (how) {
    case BINARY:
        return ws_send_raw(w, 0x80 | WS_BINARY, "\x01\x02", 2);
    case BAD_UTF8:
        return ws_send_raw(w, 0x80 | WS_TEXT, "abc\xc0\xaf", 5);
    case RESERVED_BIT:
        return ws_send_raw(w, 0xc0 | WS_TEXT, "abc", 3);
    case UNMASKED:
        return wire_send(w,
                         "\x81\x03"
                         "abc",
                         5);
    case TOO_BIG:
        break;
    }
    return ws_announce(w, 0x80 | WS_TEXT, UINT64_C(1) << 30);
}

static void closes_with(struct verify *v, enum provoke how, uint16_t code, const char *what)
{
    if (!session_open(v, &v->main)) {
        check(v, false, what, "no session: %s", seen_answer(v));
        return;
    }
    v->in.err = provoke(v, how);
    if (v->in.err == TEDDY_OK)
        ws_await_close(&v->main, &v->in);
    check(v, v->in.err == TEDDY_OK && v->in.code == code, what, "%s", seen_close(v));
    wire_close(&v->main);
}

void verify_closes(struct verify *v)
{
    closes_with(v, BINARY, 1003, "a binary message closes with 1003");
    closes_with(v, BAD_UTF8, 1007, "text that is not UTF-8 closes with 1007");
    closes_with(v, RESERVED_BIT, 1002, "a reserved bit closes with 1002");
    closes_with(v, UNMASKED, 1002, "a frame without mask closes with 1002");
    closes_with(v, TOO_BIG, 1009, "a message of 1 GiB closes with 1009 at its header");
}
