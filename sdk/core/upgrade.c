/* The opening handshake of the session (RFC 6455 section 4). */
#include "core.h"
#include "proto/endpoints.h"
#include "proto/text.h"
#include "teddy/version.h"

#define FIELDS_LEN (200 + sizeof TEDDY_SDK_VERSION) /* what is always the same of a request */
_Static_assert(TEDDY_HOST_MAX + TEDDY_PATH_MAX + LIMIT_ID_LEN + LIMIT_TOKEN_LEN + FIELDS_LEN <=
                   TEDDY_BUFFER_MIN - LIMIT_TOKEN_LEN - 1,
               "the longest request must not run into its token");

static void write_request(struct teddy_client *c, struct writer *w)
{
    const char *path = c->config.ws_endpoint != NULL ? c->config.ws_endpoint : ENDPOINT_WS;
    const char *slash = path[strlen(path) - 1] == '/' ? "" : "/";
    sdk_http_begin(c, w, "GET %%% HTTP/1.1", (const char *[]){path, slash, c->config.device_id});
    sdk_write(w,
              "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
              "Sec-WebSocket-Key: %\r\nAuthorization: Bearer %\r\n\r\n",
              (const char *[]){c->proof.nonce, sdk_token(c)});
}

/* What the server must answer to stays in rx while the port hashes it: out_len says that it is
 * there. The token stands behind all that is written here (sdk_token). */
int sdk_upgrade_prepare(struct teddy_client *c)
{
    struct writer w = writer_on((char *)c->rx, c->rx_len - LIMIT_TOKEN_LEN - 1);
    if (c->out_len == 0) {
        int rc = sdk_nonce(c);
        if (rc != TEDDY_OK) {
            return rc;
        }
        writer_text(&w, c->proof.nonce);
        writer_text(&w, WS_GUID);
        c->out_len = w.len;
        w.len = 0;
    }
    int rc = c->port->sha1(c->ctx, c->rx, c->out_len, c->proof.digest);
    if (rc != TEDDY_OK) {
        return rc;
    }
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
    static const char names[] = "Upgrade\0Connection\0Sec-WebSocket-Accept\0"
                                "Sec-WebSocket-Extensions\0Sec-WebSocket-Protocol";
    enum { UPGRADE, CONNECTION, ACCEPT, EXTENSIONS, PROTOCOL, FIELDS };
    struct span fields[FIELDS];
    char accept[WS_ACCEPT_LEN + 1];
    const char *name = names;
    for (size_t i = 0; i < FIELDS; i++) {
        fields[i] = sdk_http_field(head, name);
        name += strlen(name) + 1;
    }
    ws_accept(c->proof.digest, accept);
    return span_ieq(fields[UPGRADE], "websocket") && list_has(fields[CONNECTION], "upgrade") &&
           span_is(fields[ACCEPT], accept) && fields[EXTENSIONS].p == NULL &&
           fields[PROTOCOL].p == NULL;
}
