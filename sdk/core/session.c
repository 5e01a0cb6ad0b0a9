/* The session from the 101 to its end: its input, its clocks and its close. What is sent is
 * frames.c, what is received message.c. */
#include "core.h"
#include "proto/text.h"

/* After this much time online the refused waits begin anew, in units of the first one: twice the
 * longest, so that two toys of one identity, replacing each other, cannot keep resetting each
 * other. */
#define SETTLED_REFUSED 32

void sdk_session_open(struct teddy_client *c)
{
    size_t max = c->rx_len - SDK_INPUT_SLACK;
    ws_decoder_init(&c->decoder, false, max > UINT32_MAX / 2 ? UINT32_MAX / 2 : (uint32_t)max);
    c->wanted = SDK_FRAME_HELLO;
    c->probed = false;
    c->last_seq = 0;
    c->our_close = WS_CLOSE_NO_STATUS;
    c->silence_ms = TEDDY_SILENCE_MS;
    c->refresh_from = c->heard_at = c->moved_at = c->say_at = c->now;
}

void sdk_session_hold(struct teddy_client *c, enum sdk_hold why)
{
    c->hold = why;
    c->deadline = c->now + c->times.step_timeout_ms;
}

void sdk_session_wipe(const struct teddy_client *c)
{
    wipe(c->rx, c->in.raw_at);
    wipe(c->rx + c->in.raw_end, c->rx_len - c->in.raw_end); /* where it was before it was moved */
}

void sdk_session_said(struct teddy_client *c)
{
    if (sdk_frames_saying(c)) {
        c->head_done = true; /* it is being said again: the frame must be whole first */
        return;
    }
    sdk_outbox_remove(&c->outbox, 0);
    c->head_sent = c->head_done = false;
    c->says = 0;
    c->say_at = c->now;
}

/* Only a session that lasts clears what failed before: one that is accepted and dropped does not.
 */
static void settle(struct teddy_client *c)
{
    uint32_t online = c->now - c->online_at;
    if (!c->online) {
        return;
    }
    if (online >= c->times.backoff_cap_ms) {
        c->attempts = 0;
    }
    if (online / SETTLED_REFUSED >= c->times.backoff_refused_ms) {
        c->refusals = 0;
    }
}

void sdk_session_end(struct teddy_client *c)
{
    settle(c);
    c->frame.kind = 0;
    if (c->head_done) {
        sdk_session_said(c);
    }
    wipe(&c->frame, sizeof c->frame);
    if (c->hold == SDK_HOLD_SAVE) {
        c->refresh_sent = true; /* the new pair is lost with rx; the spent token gets it again */
    }
    c->hold = SDK_HOLD_NONE;
    c->wanted = 0;
    c->says = 0;
    c->head_sent = c->online = false;
}

/* Ends the session from our side. */
static void refuse(struct teddy_client *c, int err)
{
    c->failure.err = err;
    c->our_close = ws_close_code_of(err);
    c->failure.close = (uint16_t)c->our_close;
    c->wanted = SDK_FRAME_CLOSE;
}

/* An utterance that the server cannot take at all must not end every session to come. Of a report
 * nobody asks. */
static void drop_refused(struct teddy_client *c)
{
    char id[21];
    uint32_t close = c->failure.close;
    if (!c->head_sent || (close != WS_CLOSE_TOO_BIG && close != WS_CLOSE_INVALID_UTF8)) {
        return;
    }
    bool speech = sdk_head_id(c, id);
    sdk_session_said(c);
    if (speech) {
        c->event.close = (int)close;
        c->event.code = c->failure.code;
        c->event.id = id;
        sdk_emit(c, TEDDY_EVENT_ERROR);
    }
}

static void closed(struct teddy_client *c, const struct ws_event *ev)
{
    struct span reason, word;
    ws_close_read(ev->data, ev->len, &c->failure.close, &reason);
    c->our_close = c->failure.close;
    ws_reason_read(reason, &word, &c->failure.retry_ms);
    sdk_failure_code(c, word);
    drop_refused(c);
    c->wanted = SDK_FRAME_CLOSE;
}

/* A piece of a message, moved to the others; the room for a NUL behind it is kept (see fill). */
static void piece(struct teddy_client *c, const struct ws_event *ev)
{
    if (ev->first) {
        c->in.done_len = 0;
    }
    memmove(c->rx + c->in.done_len, ev->data, ev->len);
    c->in.done_len += ev->len;
    if (ev->last) {
        size_t len = c->in.done_len;
        c->in.done_len = 0;
        sdk_message_take(c, len);
    }
}

/* Reads on behind what is not decoded yet, after closing the gap before it. */
static int fill(struct teddy_client *c)
{
    struct teddy_input *in = &c->in;
    size_t left = in->raw_end - in->raw_at, to = in->done_len + 1;
    memmove(c->rx + to, c->rx + in->raw_at, left);
    in->raw_at = to;
    in->raw_end = to + left;
    int rc = sdk_recv(c);
    if (rc == TEDDY_OK) {
        c->heard_at = c->now;
        c->probed = false;
    }
    return rc;
}

/* Takes one frame, or piece of one; what is binary is for later. */
static int take_input(struct teddy_client *c)
{
    struct teddy_input *in = &c->in;
    struct ws_event ev;
    size_t used = 0;
    int rc = ws_decode(&c->decoder, c->rx + in->raw_at, in->raw_end - in->raw_at, &used, &ev);
    in->raw_at += used;
    if (rc == TEDDY_AGAIN) {
        return fill(c);
    }
    if (rc != TEDDY_OK) {
        refuse(c, rc);
    } else if (ev.opcode == WS_CLOSE) {
        closed(c, &ev);
    } else if (ev.opcode == WS_PING) {
        memcpy(c->frame.pong, ev.data, ev.len); /* at most WS_CONTROL_MAX */
        c->frame.pong_len = (uint32_t)ev.len;
        c->wanted |= SDK_FRAME_PONG;
    } else if (ev.opcode == WS_TEXT) {
        piece(c, &ev);
    }
    return TEDDY_OK;
}

static bool refresh_due(const struct teddy_client *c)
{
    return c->refresh_planned && sdk_due(c, c->refresh_at) && sdk_due(c, c->refresh_from);
}

/* A refresh needs rx for its token: between two messages. */
static bool input_idle(const struct teddy_client *c)
{
    return c->hold == SDK_HOLD_NONE && c->in.raw_at == c->in.raw_end && c->in.done_len == 0;
}

static int load_refresh(struct teddy_client *c)
{
    int rc = c->tokenless ? TEDDY_ENOTFOUND : sdk_tokens_load(c);
    if (rc == TEDDY_AGAIN && !sdk_due(c, c->deadline)) {
        return rc;
    }
    c->hold = rc == TEDDY_OK ? SDK_HOLD_SEND : SDK_HOLD_NONE;
    if (rc == TEDDY_OK) {
        c->wanted |= SDK_FRAME_REFRESH;
    } else {
        c->refresh_planned = false; /* the session ends with its token */
    }
    return TEDDY_OK;
}

/* One step of what rx is held for: TEDDY_OK, and there may be more; TEDDY_AGAIN. */
static int hold_step(struct teddy_client *c)
{
    int rc = TEDDY_AGAIN;
    if (c->hold == SDK_HOLD_SEND) { /* until frames.c has sent it */
        return rc;
    }
    if (c->hold == SDK_HOLD_LOAD) {
        rc = load_refresh(c);
    } else if (c->hold == SDK_HOLD_SAVE) {
        rc = sdk_tokens_save(c);
        c->hold = rc == TEDDY_OK ? SDK_HOLD_NONE : SDK_HOLD_SAVE;
    } else {
        rc = c->queue->hold(c);
    }
    if (c->hold == SDK_HOLD_NONE) {
        sdk_session_wipe(c); /* what it was held for */
    }
    return rc;
}

static int clocks(struct teddy_client *c)
{
    uint32_t silent = c->now - c->heard_at;
    settle(c);
    if (sdk_due(c, c->say_at)) {
        c->say_at = c->now; /* which stays due, however long nothing is said (SDK_SPAN_MS) */
    }
    if (sdk_due(c, c->refresh_from)) {
        c->refresh_from = c->now;
    }
    if (silent >= c->silence_ms) {
        return TEDDY_ETIMEOUT;
    }
    if (c->frame.kind != 0 && c->now - c->moved_at >= c->times.step_timeout_ms) {
        return TEDDY_ETIMEOUT;
    }
    if (silent >= c->silence_ms / 2 && !c->probed) {
        c->probed = true;
        c->wanted |= SDK_FRAME_PING;
    }
    if (!c->online) { /* no welcome */
        return sdk_due(c, c->deadline) ? TEDDY_ETIMEOUT : TEDDY_OK;
    }
    if (refresh_due(c) && input_idle(c)) {
        sdk_session_hold(c, SDK_HOLD_LOAD);
        c->more = true;
    }
    return TEDDY_OK;
}

static bool ending(const struct teddy_client *c)
{
    return c->stop_asked || (c->wanted & SDK_FRAME_CLOSE) != 0;
}

/* Takes what came and works off what that leads to, until there is nothing more to do now. */
int sdk_session_run(struct teddy_client *c)
{
    unsigned steps = 0;
    int rc;
    do {
        rc = c->hold != SDK_HOLD_NONE ? hold_step(c) : take_input(c);
    } while (rc == TEDDY_OK && !ending(c) && ++steps < SDK_STEPS_MAX);
    if (rc < 0 || ending(c)) {
        return rc < 0 ? rc : TEDDY_OK;
    }
    c->more |= rc == TEDDY_OK;
    rc = clocks(c);
    if (rc == TEDDY_OK && !c->stop_asked) {
        rc = sdk_frames_pump(c);
    }
    return rc < 0 ? rc : TEDDY_AGAIN;
}

int sdk_session_closing(struct teddy_client *c)
{
    int rc = sdk_frames_pump(c);
    return rc == TEDDY_OK ? TEDDY_ECLOSED : rc;
}

/* When what rx is held for, or the welcome, is looked at again; `never` otherwise. */
static uint32_t held_until(const struct teddy_client *c, uint32_t never)
{
    if (!c->online || c->hold == SDK_HOLD_OFFER) {
        return c->deadline;
    }
    return c->hold == SDK_HOLD_NONE || c->hold == SDK_HOLD_SEND ? never : c->now + SDK_POLL_MS;
}

uint32_t sdk_session_wake(const struct teddy_client *c)
{
    uint32_t never = c->now + SDK_SPAN_MS, frame_at = never, refresh_at = never;
    if (c->frame.kind != 0) {
        frame_at = c->moved_at + c->times.step_timeout_ms;
    } else if (c->online && c->outbox.count > 0) {
        frame_at = c->say_at;
    }
    if (c->online && c->refresh_planned && input_idle(c)) {
        bool held_back = (int32_t)(c->refresh_from - c->refresh_at) > 0;
        refresh_at = held_back ? c->refresh_from : c->refresh_at;
    }
    const uint32_t times[] = {
        c->heard_at + (c->probed ? c->silence_ms : c->silence_ms / 2),
        held_until(c, never),
        frame_at,
        refresh_at,
    };
    uint32_t wait = SDK_SPAN_MS;
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        wait = sdk_least(wait, sdk_until(c, times[i]));
    }
    return wait;
}
