/* The opening handshake of the session (RFC 6455 section 4). */
#include "core.h"
#include "proto/endpoints.h"
#include "proto/text.h"
#include "teddy/version.h"

#define KEY_LEN 24

/* The key, and what is hashed of it, at the start of rx; out_len says that it is there. */
static int fresh_key(struct teddy_client *c)
{
    uint8_t bytes[16];
    if (c->port->random(c->ctx, bytes, sizeof bytes) != TEDDY_OK) {
        return TEDDY_EIO;
    }
    base64_encode(bytes, sizeof bytes, (char *)c->rx);
    memcpy(c->rx + KEY_LEN, WS_GUID, sizeof WS_GUID - 1);
    c->out_len = KEY_LEN + sizeof WS_GUID - 1;
    return TEDDY_OK;
}

static void write_request(struct teddy_client *c, const char *key, struct writer *w)
{
    const char *path = c->config.ws_endpoint != NULL ? c->config.ws_endpoint : ENDPOINT_WS;
    writer_text(w, "GET ");
    writer_text(w, path);
    writer_text(w, path[strlen(path) - 1] == '/' ? "" : "/");
    writer_text(w, c->config.device_id);
    writer_text(w, " HTTP/1.1\r\nHost: ");
    sdk_url_authority(w, &c->url);
    writer_text(w, "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13"
                   "\r\nSec-WebSocket-Key: ");
    writer_text(w, key);
    writer_text(w, "\r\nAuthorization: Bearer ");
    writer_text(w, sdk_token(c));
    writer_text(w, "\r\nUser-Agent: teddy-sdk/" TEDDY_SDK_VERSION "\r\n\r\n");
}

int sdk_upgrade_prepare(struct teddy_client *c)
{
    char key[KEY_LEN + 1];
    if (c->out_len == 0) {
        int rc = fresh_key(c);
        if (rc != TEDDY_OK) {
            return rc;
        }
    }
    int rc = c->port->sha1(c->ctx, c->rx, c->out_len, c->digest);
    if (rc != TEDDY_OK) {
        return rc;
    }
    ws_accept(c->digest, c->accept);
    memcpy(key, c->rx, KEY_LEN);
    key[KEY_LEN] = '\0';
    struct writer w = writer_on((char *)c->rx, c->rx_len - LIMIT_TOKEN_LEN - 1);
    write_request(c, key, &w);
    c->out_len = w.len;
    c->out_at = 0;
    return w.overflow ? TEDDY_ENOSPC : TEDDY_OK;
}

bool sdk_upgrade_ok(const struct teddy_client *c, const struct http_head *head)
{
    struct span upgrade, accept, none;
    return http1_field(head, "Upgrade", &upgrade) == 1 && span_ieq(upgrade, "websocket") &&
           http1_field_has(head, "Connection", "upgrade") &&
           http1_field(head, "Sec-WebSocket-Accept", &accept) == 1 && span_is(accept, c->accept) &&
           http1_field(head, "Sec-WebSocket-Extensions", &none) == 0 &&
           http1_field(head, "Sec-WebSocket-Protocol", &none) == 0;
}
