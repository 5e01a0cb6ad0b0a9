/* The administration's JSON API (docs/protocol.md, "Around it"): handlers on the admin plane, whose
 * listeners are the Unix socket DIR/admin.sock and, when configured, one over HTTPS. Every handler
 * first asks who is there: on the socket only the server's own uid and root may go on, others get
 * 403; over HTTPS only a bearer of the admin token, others get 401.
 *
 * The plane's context is a struct admin_context, filled by the composing program before the first
 * request. */
#ifndef ADMIN_ADMIN_H
#define ADMIN_ADMIN_H

#include <stddef.h>

#include "admin/command.h"
#include "http/http.h"
#include "identity/ratelimit.h"
#include "proto/endpoints.h"
#include "session/session.h"
#include "store/store.h"

#define ADMIN_BODY_MAX    (4u << 20)   /* bytes of the largest body: a CSV text */
#define ADMIN_JSON_MAX    4096u        /* bytes of a JSON body */
#define ADMIN_MESSAGE_MAX (128u << 10) /* bytes of a JSON body with a message to a toy */
#define ADMIN_ANSWER_MAX  (16u << 20)  /* bound of the plane's unsent output */
#define ADMIN_SOCKET      "admin.sock"

struct admin_context {
    struct store *store;
    struct loop *const *loops; /* loop_count of each; hubs[i] lives on loops[i] */
    struct hub *const *hubs;
    unsigned loop_count;
    struct admin_downlinks downlinks;
    void (*drain)(void *drain_context); /* starts the permanent drain, once; any thread */
    void *drain_context;
    struct ratelimit *failures; /* wrong tokens per address */
    const struct master_key *master;
    uint8_t token_sha256[32]; /* of the admin token; unused without a listener over HTTPS */
};

/* Reads the admin token's file: a regular file that only its owner may read, with one line of 32 to
 * 128 characters of A-Z a-z 0-9 - . _ ~ (RFC 6750's b64token without + / =). Only its SHA-256 is
 * kept. TEDDY_EIO or TEDDY_EPROTO with err. Threads: any. Blocks: on the file. */
TEDDY_MUST_CHECK int admin_token_load(const char *path, uint8_t sha256[32], char *err, size_t cap);

void admin_device_list(struct http_request *req);
void admin_device_add(struct http_request *req);
void admin_device_show(struct http_request *req);
void admin_device_remove(struct http_request *req);
void admin_device_enable(struct http_request *req);
void admin_device_disable(struct http_request *req);
void admin_device_rotate_secret(struct http_request *req);
void admin_device_release(struct http_request *req);
void admin_device_revoke(struct http_request *req);
void admin_device_import(struct http_request *req);
void admin_device_send(struct http_request *req);
void admin_device_messages(struct http_request *req);
void admin_device_clear(struct http_request *req);
void admin_child_forget(struct http_request *req);
void admin_master_key_status(struct http_request *req);
void admin_master_key_rotate(struct http_request *req);
void admin_session_list(struct http_request *req);
void admin_route_list(struct http_request *req);
void admin_status(struct http_request *req);
void admin_drain(struct http_request *req);

#define ADMIN_DEVICE ENDPOINT_ADMIN "/devices/{device_id}"

/* The rows of the one route table, for its initializer. */
/* clang-format off */
#define ADMIN_ROW(method, pattern, handler, body_max, media) {method, pattern, ROUTE_ADMIN, #handler, handler, body_max, media}
#define ADMIN_ROUTES \
    ADMIN_ROW("GET", ENDPOINT_ADMIN "/devices", admin_device_list, 0, NULL), \
    ADMIN_ROW("POST", ENDPOINT_ADMIN "/devices", admin_device_add, ADMIN_JSON_MAX, "application/json"), \
    ADMIN_ROW("POST", ENDPOINT_ADMIN "/devices/import", admin_device_import, ADMIN_BODY_MAX, "text/csv"), \
    ADMIN_ROW("GET", ADMIN_DEVICE, admin_device_show, 0, NULL), \
    ADMIN_ROW("DELETE", ADMIN_DEVICE, admin_device_remove, 0, NULL), \
    ADMIN_ROW("POST", ADMIN_DEVICE "/enable", admin_device_enable, 0, NULL), \
    ADMIN_ROW("POST", ADMIN_DEVICE "/disable", admin_device_disable, 0, NULL), \
    ADMIN_ROW("POST", ADMIN_DEVICE "/rotate-secret", admin_device_rotate_secret, 0, NULL), \
    ADMIN_ROW("POST", ADMIN_DEVICE "/release", admin_device_release, 0, NULL), \
    ADMIN_ROW("POST", ADMIN_DEVICE "/revoke", admin_device_revoke, 0, NULL), \
    ADMIN_ROW("POST", ADMIN_DEVICE "/messages", admin_device_send, ADMIN_MESSAGE_MAX, "application/json"), \
    ADMIN_ROW("GET", ADMIN_DEVICE "/messages", admin_device_messages, 0, NULL), \
    ADMIN_ROW("DELETE", ADMIN_DEVICE "/messages", admin_device_clear, 0, NULL), \
    ADMIN_ROW("POST", ENDPOINT_ADMIN "/children/{child_id}/forget", admin_child_forget, 0, NULL), \
    ADMIN_ROW("GET", ENDPOINT_ADMIN "/master-key", admin_master_key_status, 0, NULL), \
    ADMIN_ROW("POST", ENDPOINT_ADMIN "/master-key/rotate", admin_master_key_rotate, 0, NULL), \
    ADMIN_ROW("GET", ENDPOINT_ADMIN "/sessions", admin_session_list, 0, NULL), \
    ADMIN_ROW("GET", ENDPOINT_ADMIN "/routes", admin_route_list, 0, NULL), \
    ADMIN_ROW("GET", ENDPOINT_ADMIN "/status", admin_status, 0, NULL), \
    ADMIN_ROW("POST", ENDPOINT_ADMIN "/drain", admin_drain, 0, NULL)
/* clang-format on */

#endif
