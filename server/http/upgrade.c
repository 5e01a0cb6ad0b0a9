/* From HTTP to WebSocket (RFC 6455 section 4.2). No extension and no subprotocol is negotiated:
 * what is offered is left unanswered. */
#include <openssl/evp.h>
#include <pthread.h>

#include "http/internal.h"
#include "proto/writer.h"
#include "proto/ws.h"

static bool refuse(struct http_request *req, int status, const char *code, const char *detail)
{
    if (status == 426) {
        request_of(req)->offer_upgrade = true;
        request_add_field(request_of(req), "Upgrade", "websocket", FIELDS_CAP);
        request_add_field(request_of(req), "Sec-WebSocket-Version", "13", FIELDS_CAP);
    }
    http_problem(req, status, code, detail);
    return false;
}

static bool version_ok(struct http_request *req)
{
    struct span version;
    size_t n = http1_field(&req->head, "Sec-WebSocket-Version", &version);
    if (n > 1)
        return refuse(req, 400, "bad_upgrade", "Sec-WebSocket-Version is given more than once.");
    if (n == 0 || !span_is(version, "13"))
        return refuse(req, 426, "websocket_version",
                      "Sec-WebSocket-Version 13 is the one spoken here.");
    return true;
}

bool http_upgrade_ok(struct http_request *req)
{
    struct span key;
    if (!span_is(req->head.method, "GET")) {
        http_set_field(req, "Allow", "GET");
        return refuse(req, 405, "method_not_allowed", "A WebSocket is opened with GET.");
    }
    if (req->head.minor < 1)
        return refuse(req, 400, "bad_upgrade", "A WebSocket is opened over HTTP/1.1.");
    if (!http1_field_has(&req->head, "Upgrade", "websocket"))
        return refuse(req, 426, "upgrade_required", "This path is a WebSocket.");
    if (!http1_field_has(&req->head, "Connection", "Upgrade"))
        return refuse(req, 400, "bad_upgrade", "Connection: Upgrade is missing.");
    if (!version_ok(req))
        return false;
    bool there;
    if (req->plane->own_origin && !http_own_origin(req, &there) && there)
        return refuse(req, 403, "cross_origin", "A page of another origin may not connect here.");
    if (http1_field(&req->head, "Sec-WebSocket-Key", &key) != 1 || !ws_key_ok(key))
        return refuse(req, 400, "bad_upgrade",
                      "Sec-WebSocket-Key must be given once, 16 bytes in base64.");
    return true;
}

/* Looked up once: OpenSSL's one-shot call does so each time, which costs more than the hash. */
static EVP_MD *sha1;
static pthread_once_t sha1_once = PTHREAD_ONCE_INIT;

static void look_up(void)
{
    sha1 = EVP_MD_fetch(NULL, "SHA1", NULL);
}

static void send_switch(struct request *r)
{
    struct span key = {NULL, 0};
    uint8_t digest[20];
    char text[128], accept[WS_ACCEPT_LEN + 1], head[FIELDS_CAP + 256];
    (void)http1_field(&r->pub.head, "Sec-WebSocket-Key", &key);
    struct writer w = writer_on(text, sizeof text);
    writer_span(&w, key);
    writer_text(&w, WS_GUID);
    pthread_once(&sha1_once, look_up);
    if (sha1 == NULL || EVP_Digest(text, w.len, digest, NULL, sha1, NULL) != 1) {
        conn_abort(r->serving->conn);
        return;
    }
    ws_accept(digest, accept);
    w = writer_on(head, sizeof head);
    writer_text(&w,
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Accept: ");
    writer_text(&w, accept);
    writer_text(&w, "\r\n");
    writer_bytes(&w, r->fields, r->fields_len);
    writer_text(&w, "\r\n");
    conn_send(r->serving->conn, head, w.len);
}

/* Between here and its new owner's handler, which the caller sets at once. */
static size_t nobody_reads(struct conn *c, uint8_t *data, size_t len)
{
    (void)c;
    (void)data;
    (void)len;
    return 0;
}

static void nobody_closed(struct conn *c, enum conn_end why)
{
    (void)c;
    (void)why;
}

struct conn *request_give_away(struct request *r)
{
    static const struct conn_handler nobody = {.data = nobody_reads, .closed = nobody_closed};
    struct serving *s = r->serving;
    struct conn *c = NULL;
    if (s) {
        c = s->conn;
        if (s->plane->upgraded)
            conn_set_limits(c, s->plane->upgraded);
        conn_set_deadline(c, 0);
        conn_set_handler(c, &nobody, NULL);
        serving_free(s);
    }
    request_free(r);
    return c;
}

struct conn *http_upgrade(struct http_request *req)
{
    struct request *r = request_of(req);
    if (r->serving) {
        request_log(r, 101);
        send_switch(r);
    }
    return request_give_away(r);
}
