/* A backend's answer, read out of the bytes of an HTTP answer: events or one object of a chat
 * completion, or lines or one object of our own. Pure: bytes in, text and a verdict out. Every byte
 * is hostile: lines and objects are bounded, and what makes no sense ends in a failure that is
 * named. */
#ifndef PROCESS_ANSWER_H
#define PROCESS_ANSWER_H

#include "process/backend.h"
#include "process/delta.h"
#include "process/sse.h"
#include "process/think.h"

#define ANSWER_LINE_MAX  65536   /* bytes of a line, an event's data, an object */
#define ANSWER_BYTES_MAX 4194304 /* of all: an event costs some hundred bytes a word */

enum answer_kind {
    ANSWER_CHAT, /* OpenAI's chat completions: text/event-stream or application/json */
    ANSWER_REPLY /* {"text", "done", "error"}: application/x-ndjson or application/json */
};

enum answer_state { ANSWER_OPEN, ANSWER_DONE, ANSWER_FAILED };

struct answer {
    enum answer_kind kind;
    enum { FRAMING_EVENTS, FRAMING_LINES, FRAMING_WHOLE } framing;
    struct sse sse;
    struct lines lines;
    struct buffer whole, mended;
    struct think think;
    struct delta_form form;
    struct buffer text; /* to be said; whoever says it sets len to 0 */
    enum answer_state state;
    bool spoke;                 /* there was text */
    const char *what;           /* why it failed, for the log */
    enum backend_result result; /* what that says of the backend */
    char status[16];
};

/* The head has come; a head of no use is a failure. */
void answer_init(struct answer *a, enum answer_kind kind, long status, const char *type);
void answer_feed(struct answer *a, struct span bytes);
void answer_end(struct answer *a); /* of the bytes, as the sender meant it */
void answer_fini(struct answer *a);

/* One of our own objects, as webhooks and exec programs write them. */
struct reply {
    struct json_t *root;
    const char *id;   /* NULL: none */
    struct span text; /* valid UTF-8, empty: none */
    bool done, error;
};

/* TEDDY_EPROTO: it is no JSON object, or a member has the wrong type; TEDDY_ENOMEM. room: as
 * json_mend wants it. */
TEDDY_MUST_CHECK int reply_read(struct span json, struct buffer *room, struct reply *out);
void reply_fini(struct reply *r);

#endif
