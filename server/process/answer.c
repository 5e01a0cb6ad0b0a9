#include "process/answer.h"

#include <jansson.h>
#include <stdio.h>

#include "process/delta.h"
#include "process/mend.h"

static void fail_as(struct answer *a, const char *what, enum backend_result result)
{
    if (a->state != ANSWER_OPEN)
        return;
    a->state = ANSWER_FAILED;
    a->what = what;
    a->result = result;
}

static void fail(struct answer *a, const char *what)
{
    fail_as(a, what, BACKEND_FAILED);
}

/* The answer has come to its end, if there was one: a toy is never left silent. */
static void done(struct answer *a)
{
    if (think_end(&a->think, &a->text, ANSWER_BYTES_MAX) != TEDDY_OK)
        fail(a, "out of memory");
    a->spoke |= a->text.len > 0;
    if (!a->spoke)
        fail_as(a, "its answer was empty", BACKEND_NEITHER);
    else if (a->state == ANSWER_OPEN)
        a->state = ANSWER_DONE;
}

static void say(struct answer *a, struct span text)
{
    int rc = a->kind == ANSWER_CHAT ? think_feed(&a->think, text, &a->text, ANSWER_BYTES_MAX)
                                    : buffer_add(&a->text, text, ANSWER_BYTES_MAX);
    a->spoke |= a->text.len > 0;
    if (rc != TEDDY_OK)
        fail(a, "out of memory");
}

static json_t *load(struct span json, struct buffer *room)
{
    struct span mended;
    json_t *root;
    if (json_mend(json, room, &mended) != TEDDY_OK)
        return NULL;
    root = json_loadb(mended.p, mended.len, 0, NULL);
    if (!json_is_object(root)) {
        json_decref(root);
        return NULL;
    }
    return root;
}

static struct span string_of(const json_t *value)
{
    return json_is_string(value)
               ? (struct span){json_string_value(value), json_string_length(value)}
               : (struct span){"", 0};
}

/* ---- a chat completion */

/* The first choice; there are none in what only says usage. */
static const json_t *choice_of(const json_t *root)
{
    const json_t *choice, *choices = json_object_get(root, "choices");
    size_t i;
    json_array_foreach(choices, i, choice)
    {
        const json_t *index = json_object_get(choice, "index");
        if (!json_is_integer(index) || json_integer_value(index) == 0)
            return choice;
    }
    return NULL;
}

static bool is_error(const json_t *root)
{
    const json_t *error = json_object_get(root, "error");
    return (error && !json_is_null(error)) ||
           span_is(string_of(json_object_get(root, "object")), "error");
}

static void finish(struct answer *a, const json_t *choice)
{
    struct span reason = string_of(json_object_get(choice, "finish_reason"));
    if (reason.len == 0)
        return;
    if (span_is(reason, "content_filter"))
        fail_as(a, "its content filter stopped it", BACKEND_NEITHER);
    else if (span_is(reason, "error"))
        fail(a, "it ended in an error");
    else
        done(a);
}

static void take_chat(struct answer *a, const json_t *root)
{
    const json_t *choice = choice_of(root);
    const json_t *message =
        json_object_get(choice, a->framing == FRAMING_WHOLE ? "message" : "delta");
    if (is_error(root)) {
        fail(a, "it answered with an error");
        return;
    }
    say(a, string_of(json_object_get(message, "content")));
    finish(a, choice);
}

/* ---- a reply */

int reply_read(struct span json, struct buffer *room, struct reply *out)
{
    json_t *root = load(json, room);
    const json_t *text = json_object_get(root, "text"), *end = json_object_get(root, "done");
    const json_t *id = json_object_get(root, "id");
    if (!root)
        return TEDDY_EPROTO;
    if ((text && !json_is_string(text)) || (end && !json_is_boolean(end)) ||
        (id && !json_is_string(id))) {
        json_decref(root);
        return TEDDY_EPROTO;
    }
    *out = (struct reply){.root = root,
                          .id = json_string_value(id),
                          .text = string_of(text),
                          .done = json_is_true(end),
                          .error = is_error(root)};
    return TEDDY_OK;
}

void reply_fini(struct reply *r)
{
    json_decref(r->root);
    r->root = NULL;
}

static void take_reply(struct answer *a, struct span json)
{
    struct reply r;
    if (reply_read(json, &a->mended, &r) != TEDDY_OK) {
        fail(a, "it answered with something else than our JSON");
        return;
    }
    if (r.error)
        fail(a, "it answered with an error");
    else
        say(a, r.text);
    if (r.done)
        done(a);
    reply_fini(&r);
}

/* ---- what they come in */

static void take_object(struct answer *a, struct span json)
{
    char room[DELTA_ROOM];
    struct span text;
    bool last;
    if (a->kind == ANSWER_REPLY) {
        take_reply(a, json);
        return;
    }
    if (a->framing == FRAMING_EVENTS && delta_read(&a->form, json, room, &text, &last)) {
        say(a, text);
        if (last)
            done(a);
        return;
    }
    json_t *root = load(json, &a->mended);
    if (root)
        take_chat(a, root);
    else
        fail(a, "it answered with malformed JSON");
    json_decref(root);
}

static void take_event(struct answer *a, struct span data)
{
    if (strcmp(a->sse.type, "error") == 0)
        fail(a, "it answered with an error");
    else if (span_is(data, "[DONE]"))
        done(a);
    else if (data.len > 0)
        take_object(a, data);
}

static void take_line(struct answer *a, struct span line)
{
    if (line.len > 0)
        take_object(a, line);
}

static int next(struct answer *a, struct span *bytes)
{
    struct span piece;
    int rc;
    if (a->framing == FRAMING_WHOLE) {
        rc = buffer_add(&a->whole, *bytes, ANSWER_LINE_MAX);
        return rc == TEDDY_OK ? TEDDY_AGAIN : rc;
    }
    rc = a->framing == FRAMING_EVENTS ? sse_next(&a->sse, bytes, &piece)
                                      : lines_next(&a->lines, bytes, &piece);
    if (rc == TEDDY_OK && a->framing == FRAMING_EVENTS)
        take_event(a, piece);
    else if (rc == TEDDY_OK)
        take_line(a, piece);
    return rc;
}

void answer_feed(struct answer *a, struct span bytes)
{
    int rc = TEDDY_OK;
    while (a->state == ANSWER_OPEN && rc == TEDDY_OK)
        rc = next(a, &bytes);
    if (rc != TEDDY_OK && rc != TEDDY_AGAIN)
        fail(a, rc == TEDDY_ETOOBIG ? "a line of its answer was too long" : "out of memory");
}

void answer_end(struct answer *a)
{
    if (a->state != ANSWER_OPEN)
        return;
    if (a->framing != FRAMING_WHOLE) {
        fail(a, "its answer ended too early");
        return;
    }
    take_object(a, (struct span){a->whole.p ? a->whole.p : "", a->whole.len});
    done(a);
}

/* What the request itself may be at fault for says nothing of the backend. */
static enum backend_result fault(long status)
{
    return status == 400 || status == 413 || status == 422 ? BACKEND_NEITHER : BACKEND_FAILED;
}

void answer_init(struct answer *a, enum answer_kind kind, long status, const char *type)
{
    const char *streamed = kind == ANSWER_CHAT ? "text/event-stream" : "application/x-ndjson";
    *a = (struct answer){.kind = kind, .lines = {.max = ANSWER_LINE_MAX}};
    sse_init(&a->sse, ANSWER_LINE_MAX);
    if (status < 200 || status > 299) {
        snprintf(a->status, sizeof a->status, "status %ld", status);
        fail_as(a, a->status, fault(status));
    } else if (strcmp(type, streamed) == 0) {
        a->framing = kind == ANSWER_CHAT ? FRAMING_EVENTS : FRAMING_LINES;
    } else if (strcmp(type, "application/json") == 0) {
        a->framing = FRAMING_WHOLE;
    } else {
        fail(a, "its content type is none that is understood");
    }
}

void answer_fini(struct answer *a)
{
    sse_fini(&a->sse);
    lines_fini(&a->lines);
    buffer_fini(&a->whole);
    buffer_fini(&a->mended);
    buffer_fini(&a->text);
}
