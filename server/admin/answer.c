/* A finished command as an HTTP status and JSON. Text that holds a secret is built in one buffer of
 * ours, which is wiped. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/batch.h"
#include "admin/child.h"
#include "admin/command.h"
#include "admin/family.h"
#include "admin/fleet.h"
#include "admin/talk.h"
#include "admin/time_json.h"
#include "admin/token.h"
#include "proto/text.h"
#include "proto/writer.h"

static json_t *text_or_null(const char *text)
{
    return text[0] != '\0' ? json_string(text) : json_null();
}

static json_t *id_json(const struct downlink_id *id)
{
    char text[DOWNLINK_ID_TEXT] = "";
    struct writer w = writer_on(text, sizeof text);

    downlink_id_write(&w, id);
    return writer_end(&w) == TEDDY_OK ? json_string(text) : NULL;
}

static json_t *messages_json(const struct admin_command *c)
{
    json_t *messages = json_array();

    for (unsigned i = 0; i < c->downlink_count; i++) {
        const struct downlink_row *d = &c->downlinks[i];
        json_t *row =
            json_pack("{s:o, s:o, s:o, s:s, s:I}", "id", id_json(&d->id), "queued",
                      time_or_null(d->queued_s), "expires", time_or_null(d->expires_s), "kind",
                      d->data ? "data" : "text", "bytes", (json_int_t)d->body.len);
        if (json_array_append_new(messages, row) != 0) {
            json_decref(messages);
            return NULL;
        }
    }
    return json_pack("{s:s, s:o}", "device_id", c->id, "messages", messages);
}

static json_t *token_json(const struct admin_token_row *t)
{
    return json_pack("{s:s, s:o, s:s, s:o, s:o, s:o, s:o, s:o}", "id", t->id, "name",
                     text_or_null(t->name), "role", t->role, "prefix", text_or_null(t->prefix),
                     "created", time_or_null(t->created_s), "expires", time_or_null(t->expires_s),
                     "used", time_or_null(t->used_s), "revoked", time_or_null(t->revoked_s));
}

static json_t *tokens_json(const struct admin_command *c)
{
    json_t *tokens = json_array();

    for (unsigned i = 0; i < c->tokens->count; i++)
        if (json_array_append_new(tokens, token_json(&c->tokens->rows[i])) != 0) {
            json_decref(tokens);
            return NULL;
        }
    return json_pack("{s:o}", "tokens", tokens);
}

static json_t *success_json(const struct admin_command *c)
{
    switch (c->verb) {
    case ADMIN_LIST:
    case ADMIN_SHOW:
    case ADMIN_TELEMETRY:
    case ADMIN_SESSIONS:
        return fleet_json(c);
    case ADMIN_ENABLE:
    case ADMIN_DISABLE:
        return json_pack("{s:s, s:b}", "device_id", c->id, "enabled", c->verb == ADMIN_ENABLE);
    case ADMIN_REMOVE:
        return json_pack("{s:s, s:b}", "device_id", c->id, "removed", 1);
    case ADMIN_RELEASE:
        return json_pack("{s:s, s:b}", "device_id", c->id, "released", 1);
    case ADMIN_REVOKE:
        return json_pack("{s:s, s:b}", "device_id", c->id, "revoked", 1);
    case ADMIN_IMPORT:
        return json_pack("{s:I, s:I}", "imported",
                         (json_int_t)(c->import->count - c->import->already), "already",
                         (json_int_t)c->import->already);
    case ADMIN_FORGET:
    case ADMIN_CHILD_REVOKE:
    case ADMIN_CHILD_EXPORT:
        return child_json(c);
    case ADMIN_PROFILE_SET:
    case ADMIN_PROFILE_SHOW:
    case ADMIN_REPORT:
    case ADMIN_PROCESSOR:
        return talk_json(c);
    case ADMIN_SEND:
        return json_pack("{s:o, s:s, s:o}", "id", id_json(&c->downlink.id), "device_id", c->id,
                         "expires", time_or_null(c->downlink.expires_s));
    case ADMIN_MESSAGES:
        return messages_json(c);
    case ADMIN_CLEAR:
        return json_pack("{s:s, s:I}", "device_id", c->id, "cleared", (json_int_t)c->gone);
    case ADMIN_TOKEN_LIST:
        return tokens_json(c);
    case ADMIN_TOKEN_REVOKE:
        return json_pack("{s:s, s:b}", "id", c->id, "revoked", 1);
    case ADMIN_BATCH_ADD:
        return batch_json(&c->batch);
    case ADMIN_BATCH_LIST:
        return batch_list_json(c);
    case ADMIN_FAMILIES:
    case ADMIN_FAMILY_REVOKE:
        return family_json(c);
    default:
        return NULL;
    }
}

static char *dump(json_t *json)
{
    char *text = json != NULL ? json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;

    json_decref(json);
    return text;
}

/* {"device_id":…,"oob_secret":…}: the one time that a secret is shown. */
static char *secret_text(const struct admin_command *c)
{
    size_t cap = LIMIT_ID_LEN + 2 * LIMIT_SECRET_LEN + 64;
    char *text = malloc(cap);
    struct writer w = writer_on(text, cap);

    if (text == NULL)
        return NULL;
    writer_text(&w, "{\"device_id\":");
    writer_json_string(&w, span_of(c->id));
    writer_text(&w, ",\"oob_secret\":\"");
    writer_hex(&w, c->secret, sizeof c->secret);
    writer_text(&w, "\"}");
    if (writer_end(&w) == TEDDY_OK)
        return text;
    wipe(text, cap);
    free(text);
    return NULL;
}

/* The row, and before it the token, this one time. */
static char *token_text(const struct admin_command *c)
{
    char *row = dump(token_json(&c->tokens->made)), *text = NULL;
    size_t cap = row != NULL ? strlen(row) + ADMIN_TOKEN_TEXT + 16 : 0;

    if (row != NULL)
        text = malloc(cap);
    if (text != NULL)
        (void)snprintf(text, cap, "{\"token\":\"%s\",%s", c->tokens->text, row + 1);
    free(row);
    return text;
}

static int by_line(const void *a, const void *b)
{
    const struct import_error *x = a, *y = b;

    return x->line < y->line ? -1 : x->line > y->line;
}

static json_t *error_json(const struct import_error *e)
{
    char what[128];

    if (e->other == 0)
        return json_pack("{s:i, s:s}", "line", (int)e->line, "error", e->what);
    (void)snprintf(what, sizeof what, "%s %u", e->what, e->other);
    return json_pack("{s:i, s:s}", "line", (int)e->line, "error", what);
}

/* In the order of lines; they were found in another. */
static char *import_errors(const struct import *i)
{
    size_t named = i->error_count < IMPORT_ERRORS_MAX ? i->error_count : IMPORT_ERRORS_MAX;
    struct import_error *sorted = malloc(sizeof i->errors);
    json_t *errors = json_array();

    if (sorted != NULL) {
        memcpy(sorted, i->errors, named * sizeof *sorted);
        qsort(sorted, named, sizeof *sorted, by_line);
        for (size_t n = 0; n < named; n++)
            (void)json_array_append_new(errors, error_json(&sorted[n]));
    }
    free(sorted);
    return dump(errors);
}

static void refuse(struct admin_answer *out, int status, const char *code, const char *detail)
{
    out->status = status;
    out->code = code;
    (void)snprintf(out->detail, sizeof out->detail, "%s", detail);
}

static void refuse_import(const struct admin_command *c, struct admin_answer *out)
{
    out->body = import_errors(c->import);
    if (c->verb == ADMIN_BATCH_ADD) {
        refuse(out, 409, "batch_conflict",
               "No device of the batch was registered: others have "
               "some of its ids or secrets.");
        return;
    }
    out->status = 422;
    out->code = "bad_import";
    (void)snprintf(out->detail, sizeof out->detail,
                   "Nothing was imported: %zu bad line%s. Correct the file and import it again.",
                   c->import->error_count, c->import->error_count == 1 ? "" : "s");
}

static void refuse_duplicate(const struct admin_command *c, struct admin_answer *out)
{
    out->status = 409;
    out->code = c->code != NULL ? c->code : "conflict";
    if (c->code != NULL && strcmp(c->code, "device_exists") == 0)
        (void)snprintf(out->detail, sizeof out->detail, "Device %s is registered already.", c->id);
    else if (c->verb == ADMIN_BATCH_ADD)
        (void)snprintf(out->detail, sizeof out->detail, "Batch %s is registered already.", c->id);
    else
        (void)snprintf(out->detail, sizeof out->detail,
                       "Another device has this secret; every device needs one of its own.");
}

static void refuse_full(const struct admin_command *c, struct admin_answer *out)
{
    out->status = 409;
    out->code = "downlink_queue_full";
    (void)snprintf(out->detail, sizeof out->detail,
                   "%u messages wait for %s already; nothing was queued.", c->queue_max, c->id);
}

static void refuse_tokens(struct admin_answer *out)
{
    out->status = 409;
    out->code = "too_many_admin_tokens";
    (void)snprintf(out->detail, sizeof out->detail,
                   "%u admin tokens are in force already; revoke those that nobody needs.",
                   ADMIN_TOKENS_MAX);
}

static void refuse_unknown(const struct admin_command *c, struct admin_answer *out)
{
    bool token = c->verb == ADMIN_TOKEN_REVOKE;

    if (c->code != NULL) {
        refuse(out, 404, c->code,
               "No token family of this sid is in force for the device; its "
               "tokens are refused already.");
        return;
    }
    out->status = 404;
    out->code = token ? "admin_token_not_found" : "device_not_found";
    (void)snprintf(out->detail, sizeof out->detail,
                   token ? "There is no admin token %s." : "No device %s is registered.", c->id);
}

static void refuse_for_store(struct admin_answer *out)
{
    refuse(out, 503, "store_unavailable", "The store cannot do this now; nothing was changed.");
}

static void succeed(const struct admin_command *c, struct admin_answer *out)
{
    bool shows_secret = admin_shows_secret(c->verb);
    bool shows_token = c->verb == ADMIN_TOKEN_CREATE;

    bool makes =
        c->verb == ADMIN_ADD || c->verb == ADMIN_SEND || c->verb == ADMIN_BATCH_ADD || shows_token;

    out->body = shows_secret ? secret_text(c) : shows_token ? token_text(c) : dump(success_json(c));
    out->status = makes ? 201 : 200;
    if (out->body == NULL)
        refuse(out, 500, "internal", "Out of memory; the command itself was done.");
}

void admin_command_answer(const struct admin_command *c, struct admin_answer *out)
{
    *out = (struct admin_answer){0};
    if (c->found != NULL) {
        master_answer(c, out);
        out->len = out->body != NULL ? strlen(out->body) : 0;
        return;
    }
    if (c->talk != NULL && talk_refuse(c, out))
        return;
    switch (c->job.result) {
    case TEDDY_OK:
        succeed(c, out);
        break;
    case TEDDY_ENOTFOUND:
        refuse_unknown(c, out);
        break;
    case TEDDY_EDUP:
        refuse_duplicate(c, out);
        break;
    case TEDDY_EFULL:
        if (c->verb == ADMIN_TOKEN_CREATE)
            refuse_tokens(out);
        else
            refuse_full(c, out);
        break;
    case TEDDY_EPROTO:
        refuse_import(c, out);
        break;
    case TEDDY_ENOMEM:
        refuse(out, 500, "internal", "Out of memory; nothing was changed.");
        break;
    default:
        refuse_for_store(out);
    }
    out->len = out->body != NULL ? strlen(out->body) : 0;
}

void admin_answer_fini(struct admin_answer *a)
{
    if (a->body != NULL)
        wipe(a->body, a->len);
    free(a->body);
    a->body = NULL;
}

static const char *title_of(int status)
{
    switch (status) {
    case 400:
        return "Bad Request";
    case 404:
        return "Not Found";
    case 409:
        return "Conflict";
    case 422:
        return "Unprocessable Content";
    case 503:
        return "Service Unavailable";
    default:
        return "Internal Server Error";
    }
}

char *admin_answer_text(const struct admin_answer *a, const char *request_id)
{
    json_t *problem;

    if (a->code == NULL)
        return a->body != NULL ? strdup(a->body) : NULL;
    problem =
        json_pack("{s:s, s:s, s:i, s:s, s:s}", "type", "about:blank", "title", title_of(a->status),
                  "status", a->status, "detail", a->detail, "code", a->code);
    if (request_id != NULL)
        (void)json_object_set_new(problem, "request_id", json_string(request_id));
    if (a->body != NULL)
        (void)json_object_set_new(problem, "errors", json_loads(a->body, 0, NULL));
    return dump(problem);
}
