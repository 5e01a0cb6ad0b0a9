/* The administration's JSON API (docs/protocol.md, "Around it"): handlers on the admin plane, whose
 * listeners are the Unix socket DIR/admin.sock and, when configured, one over HTTPS. Every handler
 * first asks who is there: on the socket only the server's own uid and root may go on, as owners,
 * others get 403; over HTTPS only who bears an admin token, others get 401, and 403 when its role
 * or scope does not reach.
 *
 * The plane's context is a struct admin_context, filled by the composing program before the first
 * request. */
#ifndef ADMIN_ADMIN_H
#define ADMIN_ADMIN_H

#include <stddef.h>

#include "admin/command.h"
#include "admin/token.h"
#include "http/http.h"
#include "identity/audit_key.h"
#include "identity/keyring.h"
#include "identity/ratelimit.h"
#include "proto/endpoints.h"
#include "session/session.h"
#include "store/store.h"

#define ADMIN_BODY_MAX    (16u << 20)  /* bytes of the largest body: a CSV of 100,000 devices */
#define ADMIN_JSON_MAX    4096u        /* bytes of a JSON body */
#define ADMIN_MESSAGE_MAX (128u << 10) /* bytes of a JSON body with a message to a toy */
#define ADMIN_ANSWER_MAX  (16u << 20)  /* bound of the plane's unsent output */
#define ADMIN_SOCKET      "admin.sock"

/* What a cookie of the console shows. */
struct admin_cookie {
    char token[ADMIN_TOKEN_ID_LEN + 1]; /* the id of the admin token that it stands for */
    uint64_t session;                   /* of the console */
    int status;                         /* 0: it is good; otherwise why it is not */
    const char *code, *detail;          /* static text */
};

struct admin_context {
    struct store *store;
    struct loop *const *loops; /* loop_count of each; hubs[i] lives on loops[i] */
    struct hub *const *hubs;
    unsigned loop_count;
    struct admin_downlinks downlinks;
    void (*drain)(void *drain_context); /* starts the permanent drain, once; any thread */
    void *drain_context;
    uint64_t started_s;          /* when the server began */
    const struct keys_ref *keys; /* the JWT keys in use */
    /* keyring_run on them, and the server goes on with what came of it. The store's writer thread.
     */
    int (*keys_change)(void *keys_context, struct keyring_op *op, char *err, size_t cap);
    void *keys_context;
    struct ratelimit *failures;  /* wrong tokens per address */
    struct admin_tokens *tokens; /* who may come over HTTPS */
    const struct master_key *master;
    const struct processes *processes; /* those that a toy may have */
    struct minds *minds;               /* told of what was changed of profiles and toys */
    const struct audit_key *audit_key; /* signs the trail's heads, and receipts */
    struct console *console;           /* NULL: no web console */
    /* Asked over HTTPS of a request without Authorization: false when it has no cookie of the
     * console. NULL: cookies count for nothing. */
    bool (*cookie)(const struct http_request *req, struct admin_cookie *out);
};

/* The plane's gate: a stranger's body is not even read. */
bool admin_gate_body(struct http_request *req);
/* The plane's: what is refused is counted for the audit trail, with who it was. */
void admin_refused(const struct http_request *req, const char *code);

void admin_device_list(struct http_request *req);
void admin_device_add(struct http_request *req);
void admin_device_show(struct http_request *req);
void admin_device_telemetry(struct http_request *req);
void admin_device_sessions(struct http_request *req);
void admin_device_remove(struct http_request *req);
void admin_device_enable(struct http_request *req);
void admin_device_disable(struct http_request *req);
void admin_device_rotate_secret(struct http_request *req);
void admin_device_release(struct http_request *req);
void admin_device_release_rotate(struct http_request *req);
void admin_device_revoke(struct http_request *req);
void admin_device_families(struct http_request *req);
void admin_family_revoke(struct http_request *req);
void admin_device_import(struct http_request *req);
void admin_device_send(struct http_request *req);
void admin_device_messages(struct http_request *req);
void admin_device_clear(struct http_request *req);
void admin_child_forget(struct http_request *req);
void admin_child_revoke(struct http_request *req);
void admin_child_export(struct http_request *req);
void admin_child_set(struct http_request *req);
void admin_child_show(struct http_request *req);
void admin_child_report(struct http_request *req);
void admin_device_processor(struct http_request *req);
void admin_batch_add(struct http_request *req);
void admin_batch_list(struct http_request *req);
void admin_master_key_status(struct http_request *req);
void admin_master_key_rotate(struct http_request *req);
void admin_session_list(struct http_request *req);
void admin_route_list(struct http_request *req);
void admin_status(struct http_request *req);
void admin_drain(struct http_request *req);
void admin_key_list(struct http_request *req);
void admin_key_add(struct http_request *req);
void admin_key_retire(struct http_request *req);
void admin_token_create(struct http_request *req);
void admin_token_list(struct http_request *req);
void admin_token_revoke(struct http_request *req);
void admin_audit_list(struct http_request *req);
void admin_audit_head(struct http_request *req);
void admin_audit_verify(struct http_request *req);

#define ADMIN_DEVICE ENDPOINT_ADMIN "/devices/{device_id}"

/* The rows of the one route table, for its initializer, each with the role it needs. */
/* clang-format off */
#define ADMIN_ROW(role, method, pattern, handler, body_max, media) {method, pattern, ROUTE_ADMIN, #handler, handler, body_max, media, role}
#define ADMIN_ROUTES \
    ADMIN_ROW(ROLE_VIEWER, "GET", ENDPOINT_ADMIN "/devices", admin_device_list, 0, NULL), \
    ADMIN_ROW(ROLE_OWNER, "POST", ENDPOINT_ADMIN "/devices", admin_device_add, ADMIN_JSON_MAX, "application/json"), \
    ADMIN_ROW(ROLE_OWNER, "POST", ENDPOINT_ADMIN "/devices/import", admin_device_import, ADMIN_BODY_MAX, "text/csv"), \
    ADMIN_ROW(ROLE_VIEWER, "GET", ADMIN_DEVICE, admin_device_show, 0, NULL), \
    ADMIN_ROW(ROLE_VIEWER, "GET", ADMIN_DEVICE "/telemetry", admin_device_telemetry, 0, NULL), \
    ADMIN_ROW(ROLE_VIEWER, "GET", ADMIN_DEVICE "/sessions", admin_device_sessions, 0, NULL), \
    ADMIN_ROW(ROLE_OWNER, "DELETE", ADMIN_DEVICE, admin_device_remove, 0, NULL), \
    ADMIN_ROW(ROLE_OPERATOR, "POST", ADMIN_DEVICE "/enable", admin_device_enable, 0, NULL), \
    ADMIN_ROW(ROLE_OPERATOR, "POST", ADMIN_DEVICE "/disable", admin_device_disable, 0, NULL), \
    ADMIN_ROW(ROLE_OWNER, "POST", ADMIN_DEVICE "/rotate-secret", admin_device_rotate_secret, 0, NULL), \
    ADMIN_ROW(ROLE_OPERATOR, "POST", ADMIN_DEVICE "/release", admin_device_release, 0, NULL), \
    ADMIN_ROW(ROLE_OWNER, "POST", ADMIN_DEVICE "/release-rotate", admin_device_release_rotate, 0, NULL), \
    ADMIN_ROW(ROLE_OPERATOR, "POST", ADMIN_DEVICE "/revoke", admin_device_revoke, 0, NULL), \
    ADMIN_ROW(ROLE_VIEWER, "GET", ADMIN_DEVICE "/families", admin_device_families, 0, NULL), \
    ADMIN_ROW(ROLE_OPERATOR, "POST", ADMIN_DEVICE "/families/{sid}/revoke", admin_family_revoke, 0, NULL), \
    ADMIN_ROW(ROLE_OPERATOR, "POST", ADMIN_DEVICE "/messages", admin_device_send, ADMIN_MESSAGE_MAX, "application/json"), \
    ADMIN_ROW(ROLE_VIEWER, "GET", ADMIN_DEVICE "/messages", admin_device_messages, 0, NULL), \
    ADMIN_ROW(ROLE_OPERATOR, "DELETE", ADMIN_DEVICE "/messages", admin_device_clear, 0, NULL), \
    ADMIN_ROW(ROLE_OWNER, "POST", ENDPOINT_ADMIN "/children/{child_id}/forget", admin_child_forget, 0, NULL), \
    ADMIN_ROW(ROLE_OPERATOR, "POST", ENDPOINT_ADMIN "/children/{child_id}/revoke", admin_child_revoke, 0, NULL), \
    ADMIN_ROW(ROLE_OWNER, "GET", ENDPOINT_ADMIN "/children/{child_id}/export", admin_child_export, 0, NULL), \
    ADMIN_ROW(ROLE_OPERATOR, "POST", ENDPOINT_ADMIN "/children/{child_id}/profile", admin_child_set, ADMIN_JSON_MAX, "application/json"), \
    ADMIN_ROW(ROLE_OPERATOR, "GET", ENDPOINT_ADMIN "/children/{child_id}/profile", admin_child_show, 0, NULL), \
    ADMIN_ROW(ROLE_OPERATOR, "GET", ENDPOINT_ADMIN "/children/{child_id}/report", admin_child_report, 0, NULL), \
    ADMIN_ROW(ROLE_OPERATOR, "POST", ADMIN_DEVICE "/processor", admin_device_processor, ADMIN_JSON_MAX, "application/json"), \
    ADMIN_ROW(ROLE_OWNER, "POST", ENDPOINT_ADMIN "/batches", admin_batch_add, ADMIN_BODY_MAX, "text/csv"), \
    ADMIN_ROW(ROLE_VIEWER, "GET", ENDPOINT_ADMIN "/batches", admin_batch_list, 0, NULL), \
    ADMIN_ROW(ROLE_OWNER, "GET", ENDPOINT_ADMIN "/master-key", admin_master_key_status, 0, NULL), \
    ADMIN_ROW(ROLE_OWNER, "POST", ENDPOINT_ADMIN "/master-key/rotate", admin_master_key_rotate, 0, NULL), \
    ADMIN_ROW(ROLE_VIEWER, "GET", ENDPOINT_ADMIN "/sessions", admin_session_list, 0, NULL), \
    ADMIN_ROW(ROLE_VIEWER, "GET", ENDPOINT_ADMIN "/routes", admin_route_list, 0, NULL), \
    ADMIN_ROW(ROLE_VIEWER, "GET", ENDPOINT_ADMIN "/status", admin_status, 0, NULL), \
    ADMIN_ROW(ROLE_OWNER, "POST", ENDPOINT_ADMIN "/drain", admin_drain, 0, NULL), \
    ADMIN_ROW(ROLE_OWNER, "GET", ENDPOINT_ADMIN "/admin-tokens", admin_token_list, 0, NULL), \
    ADMIN_ROW(ROLE_OWNER, "POST", ENDPOINT_ADMIN "/admin-tokens", admin_token_create, ADMIN_JSON_MAX, "application/json"), \
    ADMIN_ROW(ROLE_OWNER, "POST", ENDPOINT_ADMIN "/admin-tokens/{token_id}/revoke", admin_token_revoke, 0, NULL), \
    ADMIN_ROW(ROLE_OPERATOR, "GET", ENDPOINT_ADMIN "/keys", admin_key_list, 0, NULL), \
    ADMIN_ROW(ROLE_OWNER, "POST", ENDPOINT_ADMIN "/keys", admin_key_add, ADMIN_JSON_MAX, "application/json"), \
    ADMIN_ROW(ROLE_OWNER, "POST", ENDPOINT_ADMIN "/keys/{kid}/retire", admin_key_retire, ADMIN_JSON_MAX, "application/json"), \
    ADMIN_ROW(ROLE_OPERATOR, "GET", ENDPOINT_ADMIN "/audit", admin_audit_list, 0, NULL), \
    ADMIN_ROW(ROLE_OPERATOR, "GET", ENDPOINT_ADMIN "/audit/head", admin_audit_head, 0, NULL), \
    ADMIN_ROW(ROLE_OPERATOR, "GET", ENDPOINT_ADMIN "/audit/verify", admin_audit_verify, 0, NULL)
/* clang-format on */

#endif
