/* The opening handshake of the session (RFC 6455 section 4). */
#include "core.h"
#include "proto/endpoints.h"
#include "proto/text.h"
#include "teddy/version.h"

#define KEY_LEN 24

/* The key, and what is hashed with it, stand behind the request and before its token. */
static char *key_place(const struct teddy_client *c)
{
    return (char *)c->rx + c->rx_len - LIMIT_TOKEN_LEN - 1 - KEY_LEN - sizeof WS_GUID;
}

/* out_len says that the key is there. */
static int fresh_key(struct teddy_client *c)
{
    uint8_t bytes[16];
    if (c->port->random(c->ctx, bytes, sizeof bytes) != TEDDY_OK) {
        return TEDDY_EIO;
    }
    base64_encode(bytes, sizeof bytes, key_place(c));
    memcpy(key_place(c) + KEY_LEN, WS_GUID, sizeof WS_GUID);
    c->out_len = KEY_LEN + sizeof WS_GUID - 1;
    return TEDDY_OK;
}

static void write_request(struct teddy_client *c, struct writer *w)
{
    const char *path = c->config.ws_endpoint != NULL ? c->config.ws_endpoint : ENDPOINT_WS;
    writer_text(w, "GET ");
    writer_text(w, path);
    writer_text(w, path[strlen(path) - 1] == '/' ? "" : "/");
    writer_text(w, c->config.device_id);
    writer_text(w, " HTTP/1.1");
    sdk_http_host(w, &c->url);
    writer_text(w, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                   "Sec-WebSocket-Key: ");
    writer_bytes(w, key_place(c), KEY_LEN);
    writer_text(w, "\r\nAuthorization: Bearer ");
    writer_text(w, sdk_token(c));
    writer_text(w, "\r\n\r\n");
}

int sdk_upgrade_prepare(struct teddy_client *c)
{
    int rc = c->out_len == 0 ? fresh_key(c) : TEDDY_OK;
    if (rc == TEDDY_OK) {
        rc = c->port->sha1(c->ctx, (const uint8_t *)key_place(c), c->out_len, c->digest);
    }
    if (rc != TEDDY_OK) {
        return rc;
    }
    ws_accept(c->digest, c->accept);
    struct writer w = writer_on((char *)c->rx, (size_t)(key_place(c) - (char *)c->rx));
    write_request(c, &w);
    c->out_len = w.len;
    return w.overflow ? TEDDY_ENOSPC : TEDDY_OK;
}

/* True when the list holds the word, whatever else. */
static bool list_has(struct span list, const char *word)
{
    size_t len = strlen(word);
    for (; list.len >= len; list.p++, list.len--) {
        if (span_ieq((struct span){list.p, len}, word)) {
            return true;
        }
    }
    return false;
}

bool sdk_upgrade_ok(const struct teddy_client *c, struct span head)
{
    return span_ieq(sdk_http_field(head, "Upgrade"), "websocket") &&
           list_has(sdk_http_field(head, "Connection"), "upgrade") &&
           span_is(sdk_http_field(head, "Sec-WebSocket-Accept"), c->accept) &&
           sdk_http_field(head, "Sec-WebSocket-Extensions").p == NULL &&
           sdk_http_field(head, "Sec-WebSocket-Protocol").p == NULL;
}
