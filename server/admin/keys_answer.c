#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/keys.h"
#include "admin/time_json.h"

static json_t *key_json(const struct key_info *key)
{
    static const char *const states[] = {
        [KEY_PENDING] = "pending",
        [KEY_SIGNING] = "signing",
        [KEY_VERIFYING] = "verifying",
        [KEY_RETIRED] = "retired",
    };

    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "kid", key->kid, "alg",
                     alg_name(key->alg), "state", states[key->state], "made",
                     time_or_null(key->made_s), "signs_from", time_or_null(key->signs_s), "retired",
                     time_or_null(key->retired_s), "verifies_until", time_or_null(key->until_s));
}

static void succeed(json_t *json, int status, struct admin_answer *out)
{
    *out = (struct admin_answer){.status = status};
    out->body = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (out->body == NULL) {
        out->status = 500;
        out->code = "internal";
        (void)snprintf(out->detail, sizeof out->detail, "Out of memory.");
    }
    out->len = out->body != NULL ? strlen(out->body) : 0;
}

void admin_keys_list(const struct keys *k, struct admin_answer *out)
{
    struct key_info keys[KEYRING_MAX];
    size_t count = keyring_list(k, keys);
    json_t *rows = json_array();

    for (size_t i = 0; rows != NULL && i < count; i++)
        if (json_array_append_new(rows, key_json(&keys[i])) != 0) {
            json_decref(rows);
            rows = NULL;
        }
    succeed(json_pack("{s:o, s:i}", "keys", rows, "jwks_max_age", (int)JWKS_MAX_AGE_S), 200, out);
}

static void refuse(int rc, const char *err, struct admin_answer *out)
{
    *out = (struct admin_answer){.status = 503, .code = "keys_unavailable"};
    if (rc == TEDDY_ENOTFOUND) {
        out->status = 404;
        out->code = "key_not_found";
    } else if (rc == TEDDY_EFULL) {
        out->status = 409;
        out->code = "too_many_keys";
    } else if (rc == TEDDY_EINVAL) {
        out->status = 409;
        out->code = "tokens_too_long";
    }
    (void)snprintf(out->detail, sizeof out->detail, "%s", err);
}

void admin_keys_changed(const struct keyring_op *op, int rc, const char *err,
                        struct admin_answer *out)
{
    json_t *json;

    if (rc != TEDDY_OK) {
        refuse(rc, err, out);
        return;
    }
    json = key_json(&op->key);
    if (json != NULL && op->verb == KEYRING_RETIRE)
        (void)json_object_set_new(
            json, "successor", op->successor[0] != '\0' ? json_string(op->successor) : json_null());
    succeed(json, op->verb == KEYRING_ADD ? 201 : 200, out);
}
