/* What is asked of the server for each command on the registry. */
#include <stdio.h>
#include <string.h>

#include "cli/link.h"
#include "proto/endpoints.h"
#include "proto/text.h"
#include "proto/writer.h"

#define IMPORT_TYPE "Content-Type: text/csv"

void link_request_write(const struct ctl_call *call, struct link_request *r,
                        char path[LINK_PATH_MAX], char body[256])
{
    static const struct {
        const char *method, *before, *after;
    } forms[] = {
        [ADMIN_LIST] = {"GET", "/devices?limit=1000", ""},
        [ADMIN_ADD] = {"POST", "/devices", ""},
        [ADMIN_SHOW] = {"GET", "/devices/", ""},
        [ADMIN_REMOVE] = {"DELETE", "/devices/", ""},
        [ADMIN_ENABLE] = {"POST", "/devices/", "/enable"},
        [ADMIN_DISABLE] = {"POST", "/devices/", "/disable"},
        [ADMIN_ROTATE] = {"POST", "/devices/", "/rotate-secret"},
        [ADMIN_RELEASE] = {"POST", "/devices/", "/release"},
        [ADMIN_REVOKE] = {"POST", "/devices/", "/revoke"},
        [ADMIN_IMPORT] = {"POST", "/devices/import", ""},
        [ADMIN_FORGET] = {"POST", "/children/", "/forget"},
        [ADMIN_CHILD_REVOKE] = {"POST", "/children/", "/revoke"},
        [ADMIN_CHILD_EXPORT] = {"GET", "/children/", "/export"},
        [ADMIN_PROFILE_SET] = {"POST", "/children/", "/profile"},
        [ADMIN_PROFILE_SHOW] = {"GET", "/children/", "/profile"},
        [ADMIN_REPORT] = {"GET", "/children/", "/report"},
        [ADMIN_PROCESSOR] = {"POST", "/devices/", "/processor"},
        [ADMIN_SEND] = {"POST", "/devices/", "/messages"},
        [ADMIN_MESSAGES] = {"GET", "/devices/", "/messages"},
        [ADMIN_CLEAR] = {"DELETE", "/devices/", "/messages"},
        [ADMIN_TOKEN_CREATE] = {"POST", "/admin-tokens", ""},
        [ADMIN_TOKEN_LIST] = {"GET", "/admin-tokens", ""},
        [ADMIN_TOKEN_REVOKE] = {"POST", "/admin-tokens/", "/revoke"},
        [ADMIN_BATCH_ADD] = {"POST", "/batches", ""},
        [ADMIN_BATCH_LIST] = {"GET", "/batches", ""},
        [ADMIN_MASTER_STATUS] = {"GET", "/master-key", ""},
        [ADMIN_MASTER_ROTATE] = {"POST", "/master-key/rotate", ""},
        [ADMIN_RELEASE_ROTATE] = {"POST", "/devices/", "/release-rotate"},
        [ADMIN_FAMILIES] = {"GET", "/devices/", "/families"},
        [ADMIN_FAMILY_REVOKE] = {"POST", "/devices/", "/families/"},
        [ADMIN_TELEMETRY] = {"GET", "/devices/", "/telemetry"},
        [ADMIN_SESSIONS] = {"GET", "/devices/", "/sessions"},
    };
    const char *id = call->id != NULL ? call->id : "";
    bool in_path = call->verb != ADMIN_ADD && call->verb != ADMIN_LIST &&
                   call->verb != ADMIN_IMPORT && call->batch == NULL;

    *r = (struct link_request){.method = forms[call->verb].method, .path = path};
    (void)snprintf(path, LINK_PATH_MAX, "%s%s%s%s", ENDPOINT_ADMIN, forms[call->verb].before,
                   in_path ? id : "", forms[call->verb].after);
    if (call->sid != NULL)
        (void)snprintf(path + strlen(path), LINK_PATH_MAX - strlen(path), "%s/revoke", call->sid);
    link_query(call, path, LINK_PATH_MAX);
    if (call->verb == ADMIN_SEND || call->verb == ADMIN_TOKEN_CREATE ||
        call->verb == ADMIN_PROFILE_SET || call->verb == ADMIN_PROCESSOR)
        *r = (struct link_request){r->method, path, LINK_JSON_TYPE, call->text.p, call->text.len};
    if (call->verb == ADMIN_IMPORT || call->verb == ADMIN_BATCH_ADD)
        *r = (struct link_request){r->method, path, IMPORT_TYPE, call->text.p, call->text.len};
    if (call->verb == ADMIN_ADD) {
        struct writer w = writer_on(body, 256);
        writer_text(&w, "{\"device_id\":");
        writer_json_string(&w, span_of(id));
        if (call->secret != NULL) {
            writer_text(&w, ",\"oob_secret\":\"");
            writer_hex(&w, call->secret, LIMIT_SECRET_LEN);
            writer_text(&w, "\"");
        }
        writer_text(&w, "}");
        (void)writer_end(&w);
        *r = (struct link_request){r->method, path, LINK_JSON_TYPE, body, w.len};
    }
}
